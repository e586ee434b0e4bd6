"""Clients that stall, by the hundred, and nothing in front of the product: everybody else is answered."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cdp.actors import Actor
from cdp.models import Job
from imports.models import Import
from profiles.models import Receipt
from profiles.tracking.sources.sources import create_source
from tests.faults.harness import Bench, served

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]

MIB = 1024**2
# A client gives up after so long; without stalled ones each of the calls takes less than a second.
PATIENCE = 30
BUNDLE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"


def head(first_line: str, *headers: str) -> bytes:
    return "\r\n".join([f"{first_line} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


FORM = ("Content-Type: multipart/form-data; boundary=x", "Authorization: Bearer nobody")
STALLS = {
    "nothing sent": b"",
    "half of a head": head("POST /v1/batch")[:-10],
    "one byte of a body": head("POST /v1/batch", "Content-Length: 1000") + b"{",
    "one byte of a file": head("POST /api/v1/imports/", *FORM, f"Content-Length: {50 * MIB}") + b"-",
    "one chunk": head("POST /v1/batch", "Transfer-Encoding: chunked") + b"1\r\n{\r\n",
    "a byte of a head each second": b"G",
    "a byte of a body each second": head("POST /v1/batch", "Content-Length: 1000") + b"{",
    "idle": head("GET /healthz"),
    # More than the kernel takes off the server's hands.
    "answers not read": head(f"GET {BUNDLE}") * 8,
}
DRIBBLED = [kind for kind in STALLS if "each second" in kind]


class Crowd:
    """Connections that stall, of each kind as many."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.sockets: list[tuple[str, socket.socket]] = []
        self.gone = threading.Event()
        self.dribbling = threading.Thread(target=self._dribble)
        self.dribbling.start()

    def grow(self, count: int) -> None:
        kinds = list(STALLS)
        while len(self.sockets) < count:
            self.add(kinds[len(self.sockets) % len(kinds)])

    def add(self, kind: str) -> socket.socket:
        client = socket.socket()
        if kind == "answers not read":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.connect(self.address)
        client.sendall(STALLS[kind])
        self.sockets.append((kind, client))
        return client

    def _dribble(self) -> None:
        while not self.gone.wait(1):
            for kind, client in [*self.sockets]:
                if kind in DRIBBLED:
                    with contextlib.suppress(OSError):  # the server has had enough
                        client.send(b"E")

    def leave(self) -> None:
        self.gone.set()
        self.dribbling.join()
        for _, client in self.sockets:
            client.close()


@pytest.fixture
def key(bench: Bench) -> str:
    bench.ready(beat=False)
    bench.manage("collectstatic", "--noinput", "--verbosity", "0")
    return bench.manage("apikey", "create", "Shop").splitlines()[-1]


@contextlib.contextmanager
def crowded(bench: Bench, log: Path, **env: str) -> Iterator[Crowd]:
    with served(bench, log, **env) as url:
        address = urlsplit(url)
        assert address.hostname
        assert address.port
        crowd = Crowd((address.hostname, address.port))
        try:
            assert ask(crowd.address, "GET", "/healthz")[0] == 200
            yield crowd
        finally:
            crowd.leave()


def ask(
    address: tuple[str, int], method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def form_of(size: int) -> bytes:
    """A file of at least so many bytes, as a form."""
    line = b"ann.%07d@example.com,Ann\n"
    rows = b"".join(line % number for number in range(size // len(line % 0) + 1))
    before = b'--x\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\nContent-Type: text/csv\r\n\r\n'
    return before + b"email,first_name\n" + rows + b"\r\n--x--\r\n"


@pytest.mark.parametrize("env", [{}, {"BEHIND_PROXY": "1"}], ids=["alone", "one address for all"])
def test_real_calls_go_on_beside_stalled_ones(
    bench: Bench, key: str, tmp_path: Path, env: dict[str, str]
) -> None:
    write_key = create_source(name=f"Shop {bool(env)}", kind="server", actor=Actor.system()).write_key
    signed = {"Authorization": f"Bearer {key}"}
    form = form_of(50 * MIB)
    with crowded(bench, tmp_path / "web.log", **env) as crowd:
        for count in (8, 64, 512):
            crowd.grow(count)
            for call in range(5):
                assert ask(crowd.address, "GET", "/healthz")[0] == 200
                name = f"m-{bool(env)}-{count}-{call}"
                item = {"type": "track", "anonymousId": "b", "event": "Seen", "messageId": name}
                status, answer = ask(
                    crowd.address, "POST", "/v1/batch", json.dumps({"batch": [item]}), X_Write_Key=write_key
                )
                assert (status, json.loads(answer)["accepted"]) == (200, 1)
                assert ask(crowd.address, "GET", "/api/v1/profiles/", **signed)[0] == 200
            status, answer = ask(
                crowd.address,
                "POST",
                "/api/v1/imports/",
                form,
                Content_Type="multipart/form-data; boundary=x",
                **signed,
            )
            assert status == 201, answer
            forget(json.loads(answer)["id"])
    assert Receipt.objects.filter(message_id__startswith=f"m-{bool(env)}-", outcome="applied").count() == 15


def forget(import_id: int) -> None:
    """No worker of another test plans it."""
    import_ = Import.objects.get(pk=import_id)
    Job.objects.filter(pk=import_.job_id).update(state=Job.State.CANCELED)
    import_.file.delete()


def test_who_takes_for_ever_is_closed(bench: Bench, key: str, tmp_path: Path) -> None:
    with crowded(bench, tmp_path / "web.log") as crowd:
        ends = {kind: crowd.add(kind) for kind in STALLS if kind != "answers not read"}
        for kind, client in ends.items():
            client.settimeout(90)
            got = b""
            with contextlib.suppress(ConnectionResetError):  # closed on a byte that came meanwhile
                while piece := client.recv(1000):
                    got += piece
            assert got.startswith(b"HTTP/1.1 200 OK\r\n") is (kind == "idle")
