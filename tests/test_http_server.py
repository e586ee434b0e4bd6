"""The product as it is served, over real sockets: what a client hears, and how a web process ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cdp.actors import Actor
from cdp.http_requests import MAX_READ
from cdp.local import processes
from profiles.models import Receipt
from profiles.tracking.sources.sources import create_source
from tests.faults.harness import wait_until
from tests.sdk.served import environment, product

MIB = 1024 * 1024
HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
Address = tuple[str, int]


def address_of(url: str) -> Address:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


@pytest.fixture
def address(tmp_path: Path, transactional_db: None) -> Iterator[Address]:
    with product(tmp_path / "product") as url:
        yield address_of(url)


@pytest.fixture
def write_key(transactional_db: None) -> str:
    return create_source(name="Shop", kind="server", actor=Actor.system()).write_key


def post(address: Address, path: str, size: int, **headers: str) -> tuple[int, str]:
    """The whole body is sent before anybody looks for an answer, as most clients do."""
    connection = http.client.HTTPConnection(*address, timeout=60)
    try:
        connection.request("POST", path, body=b" " * size, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def batch(*names: str) -> bytes:
    items = [{"type": "track", "anonymousId": "b1", "event": "Seen", "messageId": name} for name in names]
    return json.dumps({"batch": items}).encode()


def answer_on(client: socket.socket) -> http.client.HTTPResponse:
    """Read to its end."""
    answer = http.client.HTTPResponse(client)
    answer.begin()
    answer.read()
    return answer


def head_of(key: str, **headers: str) -> bytes:
    named = {"Host": "127.0.0.1", "X-Write-Key": key, **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return f"POST /v1/batch HTTP/1.1\r\n{lines}\r\n".encode()


def test_a_refused_call_is_answered_whatever_it_goes_on_to_send(address: Address) -> None:
    for keep in ("keep-alive", "close"):
        status, answer = post(address, "/v1/batch", 6 * MIB, Connection=keep, **{"X-Write-Key": "wrong"})
        assert (status, "unknown_write_key" in answer) == (401, True)
        assert post(address, "/api/v1/imports/", 20 * MIB, Connection=keep)[0] == 401
    status, answer = post(address, "/v1/batch", 6 * MIB)
    assert (status, '"code":"body_too_large"' in answer) == (413, True)
    # The next call on the same connection begins where this one ended.
    connection = http.client.HTTPConnection(*address, timeout=60)
    for _ in range(2):
        connection.request("POST", "/v1/batch", body=b" " * 5 * MIB)
        answer = connection.getresponse()
        assert (answer.status, "body_too_large" in answer.read().decode()) == (413, True)
    connection.close()


def test_who_sends_without_end_is_cut_off_and_others_are_served(address: Address) -> None:
    with socket.create_connection(address, timeout=60) as endless:
        endless.sendall(head_of("x", Content_Length=str(2 * MAX_READ)))
        # Before anything of it is sent.
        assert endless.recv(1000).startswith(b"HTTP/1.1 413 ")
        with pytest.raises(OSError):
            for _ in range(2 * MAX_READ // MIB):
                endless.sendall(b" " * MIB)
    assert post(address, "/v1/batch", 10)[0] == 400


def test_bodies_in_chunks(address: Address, write_key: str) -> None:
    connection = http.client.HTTPConnection(*address, timeout=60)
    body = batch("m1", "m2")
    for pieces, expected in (
        ([body[:10], body[10:]], (200, '"accepted":2')),
        ([b" " * MIB] * 8, (413, "body_too_large")),
    ):
        connection.request("POST", "/v1/batch", iter(pieces), {"X-Write-Key": write_key}, encode_chunked=True)
        answer = connection.getresponse()
        assert answer.status == expected[0]
        assert expected[1] in answer.read().decode().replace(" ", "")
    connection.close()
    assert Receipt.objects.filter(message_id__in=["m1", "m2"], outcome="applied").count() == 2


def test_who_asks_before_sending_is_told_to_go_on(address: Address, write_key: str) -> None:
    body = batch("m1")
    with socket.create_connection(address, timeout=60) as client:
        client.sendall(head_of(write_key, Expect="100-continue", Content_Length=str(len(body))))
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
    with socket.create_connection(address, timeout=60) as client:
        client.sendall(head_of(write_key, Expect="100-continue", Content_Length=str(3 * MAX_READ)))
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(address, timeout=60) as client:
        client.sendall(head_of(write_key, Expect="100-continue", Content_Length="0"))
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_what_two_readers_would_understand_differently_is_refused(address: Address, write_key: str) -> None:
    smuggled = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with socket.create_connection(address, timeout=60) as client:
        head = head_of(write_key, Transfer_Encoding="chunked", Content_Length=str(len(smuggled)))
        client.sendall(head + smuggled)
        got = b""
        while piece := client.recv(1000):
            got += piece
    assert got.startswith(b"HTTP/1.1 400 ")
    assert got.count(b"HTTP/1.1 ") == 1


def test_connections_stay_open_and_no_server_is_named(address: Address) -> None:
    connection = http.client.HTTPConnection(*address, timeout=60)
    connection.connect()
    first = connection.sock
    for method in ("GET", "HEAD", "GET"):
        connection.request(method, "/healthz")
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200
        assert bool(body) is (method == "GET")
        assert answer.headers["Server"] is None
        assert int(answer.headers["Content-Length"]) > 0
        assert connection.sock is first
    connection.request("GET", "/healthz", headers={"Connection": "close"})
    answer = connection.getresponse()
    assert answer.headers["Connection"] == "close"
    answer.close()
    connection.close()


def test_the_access_log_has_routes(tmp_path: Path, transactional_db: None) -> None:
    with product(tmp_path, GUNICORN_CMD_ARGS="--access-logfile -") as url:
        connection = http.client.HTTPConnection(*address_of(url), timeout=60)
        connection.request("GET", "/api/v1/profiles/ann@example.com/?q=canary")
        assert connection.getresponse().status == 401
        connection.close()
        log = tmp_path / "web.log"
        wait_until(lambda: '"GET api/v1/profiles/<ref:ref>/ HTTP/1.1" 401 ' in log.read_text())
    assert "canary" not in log.read_text()


def served_alone(folder: Path, **env: str) -> tuple[Any, Address, socket.socket]:
    """gunicorn with one web process, its address, and the socket to close when it has ended."""
    folder.mkdir(exist_ok=True)
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    web = processes.start_web(
        env=environment(folder, WEB_PROCESSES="1", **env),
        log=folder / "web.log",
        listening=listening.fileno(),
    )
    return web, listening.getsockname(), listening


def test_what_is_arriving_when_the_process_is_told_to_end_is_answered(tmp_path: Path, write_key: str) -> None:
    web, address, listening = served_alone(tmp_path)
    try:
        body = batch("m1")
        with socket.create_connection(address, timeout=60) as idle:
            idle.sendall(HEALTHZ)
            assert answer_on(idle).status == 200
            with socket.create_connection(address, timeout=60) as client:
                client.sendall(head_of(write_key, Content_Length=str(len(body))) + body[:20])
                stalled = socket.create_connection(address, timeout=60)
                stalled.sendall(b"GET /")
                # The process has read it: what follows on another connection is answered.
                idle.sendall(HEALTHZ)
                assert answer_on(idle).status == 200
                web.send_signal(signal.SIGTERM)
                wait_until(lambda: "Handling signal: term" in (tmp_path / "web.log").read_text())
                client.sendall(body[20:])
                answer = answer_on(client)
                assert (answer.status, answer.headers["Connection"]) == (200, "close")
            assert web.wait(30) == 0
            stalled.close()
    finally:
        web.kill()
        web.wait()
        listening.close()
    assert Receipt.objects.filter(message_id="m1", outcome="applied").count() == 1


def test_a_process_is_replaced_and_no_call_is_lost(tmp_path: Path, write_key: str) -> None:
    """Four clients that keep their connections, over several processes; each call is answered or never arrived."""
    web, address, listening = served_alone(
        tmp_path, GUNICORN_CMD_ARGS="--max-requests 40 --max-requests-jitter 0"
    )
    answered: list[str] = []

    def send(client: int) -> None:
        connection = http.client.HTTPConnection(*address, timeout=60)
        for number in range(30):
            name = f"m-{client}-{number}"
            for _ in range(5):
                try:
                    connection.request("POST", "/v1/batch", batch(name), {"X-Write-Key": write_key})
                    answer = connection.getresponse()
                    assert answer.status == 200, answer.read()
                    answer.read()
                    answered.append(name)
                    break
                except (ConnectionError, http.client.HTTPException):
                    connection.close()  # an idle connection that a process closed when it ended
        connection.close()

    try:
        clients = [threading.Thread(target=send, args=[client]) for client in range(4)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        booted = (tmp_path / "web.log").read_text().count("Booting worker")
        os.kill(web.pid, signal.SIGTERM)
        assert web.wait(30) == 0
    finally:
        web.kill()
        web.wait()
        listening.close()
    assert booted > 1
    assert len(answered) == 120
    assert Receipt.objects.filter(message_id__in=answered).values("message_id").distinct().count() == 120
