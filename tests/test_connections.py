"""Connections that ask or read too slowly are closed, and cost no thread until then; how answers leave."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from waitress import create_server, wasyncore
from waitress.server import BaseWSGIServer

from cdp.connections import PER_ADDRESS, SECONDS, UNREAD_SECONDS, Connection, close_stalled

KIB, MIB = 1024, 1024**2
NOBODY = lambda address: False  # noqa: E731


class Served:
    """waitress as a web process runs it, turned by hand, in front of ``application``."""

    def __init__(self, application: Any, **options: Any) -> None:
        self.by_file: dict[int, Any] = {}
        self.logged: list[Any] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = self.listening.getsockname()
        self.clients: list[socket.socket] = []
        self.server = create_server(
            application,
            map=self.by_file,
            sockets=[self.listening],
            threads=1,
            asyncore_use_poll=True,
            connection_limit=1000,
            outbuf_overflow=256 * KIB,
            ident=None,
            **options,
        )
        for server in self.by_file.values():
            if isinstance(server, BaseWSGIServer):
                server.channel_class, server.worker = Connection, self

    def log_access(self, task: Any) -> None:
        self.logged.append(task.status)

    @property
    def connections(self) -> list[Connection]:
        return [item for item in self.by_file.values() if isinstance(item, Connection)]

    def turn(self, until: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 30
        while not until():
            assert time.monotonic() < deadline
            wasyncore.loop(timeout=0.05, use_poll=True, map=self.by_file, count=1)

    def client(self, data: bytes = b"") -> socket.socket:
        """Connected, and what it sent is read."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * KIB)
        client.settimeout(30)
        client.connect(self.address)
        self.clients.append(client)
        before = len(self.connections)
        self.turn(lambda: len(self.connections) > before)
        if data:
            client.sendall(data)
            self.turn(lambda: self.of(client).size)
        return client

    def of(self, client: socket.socket) -> Connection:
        return next(connection for connection in self.connections if connection.addr == client.getsockname())

    def close_stalled(self, *, after: float = 0, limit: int = 1000, is_proxy: Any = NOBODY) -> None:
        close_stalled(self.connections, time.time() + after, limit=limit, is_proxy=is_proxy)

    def is_open(self, client: socket.socket) -> bool:
        return any(connection.addr == client.getsockname() for connection in self.connections)

    def read(self, client: socket.socket, end: bytes) -> bytes:
        """What the client got, up to ``end``."""
        got = bytearray()
        client.setblocking(False)

        def has_all() -> bool:
            try:
                got.extend(client.recv(64 * KIB))
            except BlockingIOError:
                return False
            return got.endswith(end)

        self.turn(has_all)
        return bytes(got)

    def stop(self) -> None:
        for client in self.clients:
            client.close()
        for connection in self.connections:
            connection.handle_close()
        self.server.task_dispatcher.shutdown(timeout=10)
        wasyncore.close_all(self.by_file)


def hello(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(application: Any = hello, **options: Any) -> Served:
        started.append(Served(application, **options))
        return started[-1]

    yield start
    for served in started:
        served.stop()


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHo"
BODY = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"


def test_a_request_has_its_time_to_arrive(serve: Callable[..., Served]) -> None:
    served = serve()
    silent, half, body = served.client(), served.client(HALF), served.client(BODY + b"x")
    answered = served.client(GET)
    assert served.read(answered, b"hello").startswith(b"HTTP/1.1 200 OK\r\n")
    everybody = [silent, half, body, answered]
    served.close_stalled(after=SECONDS - 1)
    assert all(map(served.is_open, everybody))
    # A byte more is no new beginning, but a lot of it is worth more time.
    half.sendall(b"s")
    served.turn(lambda: served.of(half).size == len(HALF) + 1)
    for size in range(40, 401, 40):
        body.sendall(b"x" * 40 * KIB)
        served.turn(lambda size=size: served.of(body).size == len(BODY) + 1 + size * KIB)
    served.close_stalled(after=SECONDS + 1)
    assert list(map(served.is_open, everybody)) == [False, False, True, True]
    served.close_stalled(after=SECONDS + 101)
    assert list(map(served.is_open, everybody)) == [False, False, False, True]
    # The second request on a connection has its own time.
    answered.sendall(HALF)
    served.turn(lambda: served.of(answered).size == len(HALF))
    served.close_stalled(after=SECONDS + 1)
    assert not served.is_open(answered)


class Pieces:
    """An answer of so many pieces of 64 KiB; says when it ended."""

    def __init__(self, count: int) -> None:
        self.count, self.closed = count, threading.Event()

    def __call__(self, environ: Any, start_response: Any) -> Pieces:
        start_response("200 OK", [("Content-Type", "text/csv")])
        return self

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.count):
            yield b"x" * 64 * KIB

    def close(self) -> None:
        self.closed.set()


def test_an_answer_that_nobody_reads_waits_in_a_file_without_a_thread(serve: Callable[..., Served]) -> None:
    pieces = Pieces(256)
    served = serve(pieces, outbuf_high_watermark=1024 * MIB)
    client = served.client(GET)
    served.turn(pieces.closed.is_set)
    served.turn(lambda: not served.of(client).is_answered)
    connection = served.of(client)
    assert connection.outbufs[-1].overflowed
    served.close_stalled(after=UNREAD_SECONDS - 1)
    assert served.is_open(client)
    served.close_stalled(after=UNREAD_SECONDS + 1)
    assert not served.is_open(client)


@pytest.mark.parametrize("vanishes", [True, False])
def test_who_vanishes_or_stops_reading_frees_the_thread(serve: Callable[..., Served], vanishes: bool) -> None:
    endless = Pieces(1_000_000)
    served = serve(endless, outbuf_high_watermark=MIB)
    client = served.client(GET)
    connection = served.of(client)
    served.turn(lambda: connection.total_outbufs_len > MIB)
    assert connection.is_answered
    if vanishes:
        client.close()

    def has_ended() -> bool:
        # Again and again, as in the product: while a thread adds to the answer, nobody looks.
        if not vanishes:
            served.close_stalled(after=UNREAD_SECONDS + 1)
        return endless.closed.is_set()

    served.turn(has_ended)


def test_one_address_has_so_many_unfinished_requests(serve: Callable[..., Served]) -> None:
    served = serve()
    answered = served.client(GET)
    served.read(answered, b"hello")
    clients = [served.client(HALF if number % 2 else b"") for number in range(PER_ADDRESS + 5)]
    served.close_stalled(is_proxy=lambda address: address == "127.0.0.1")
    assert all(map(served.is_open, clients))
    served.close_stalled()
    assert [served.is_open(client) for client in clients] == [False] * 5 + [True] * PER_ADDRESS
    assert served.is_open(answered)


def test_beyond_the_limit_who_waits_longest_goes_and_nobody_who_is_answered(
    serve: Callable[..., Served],
) -> None:
    go_on = threading.Event()

    def slow(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            go_on.wait(30)
        return hello(environ, start_response)

    served = serve(slow)
    slow_one = served.client(GET.replace(b"/ ", b"/slow ", 1))
    waiting = served.client(GET)
    clients = [served.client(HALF) for _ in range(9)]
    served.close_stalled(limit=8)
    assert [served.is_open(client) for client in clients] == [False] * 3 + [True] * 6
    assert served.is_open(slow_one)
    assert served.is_open(waiting)
    go_on.set()
    assert served.read(slow_one, b"hello")
    assert served.read(waiting, b"hello")


def test_head_is_answered_without_a_body(serve: Callable[..., Served], tmp_path: Any) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"hello")

    def application(environ: Any, start_response: Any) -> Any:
        kind = environ["PATH_INFO"]
        if kind == "/pieces":
            start_response("200 OK", [])
            return iter([b"hel", b"lo"])
        start_response("200 OK", [("Content-Length", "5")])
        if kind == "/file":
            return environ["wsgi.file_wrapper"](file.open("rb"), 4096)
        return [b"hello"]

    served = serve(application)
    for path in (b"/plain", b"/file"):
        client = served.client(b"HEAD " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        head = served.read(client, b"\r\n\r\n")
        assert b"Content-Length: 5\r\n" in head
        # Nothing of a body is in the way of the next answer.
        client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert served.read(client, b"hello").startswith(b"HTTP/1.1 200 OK\r\n")
    client = served.client(b"HEAD /pieces HTTP/1.1\r\nHost: x\r\n\r\n")
    assert served.read(client, b"\r\n\r\n").count(b"\r\n\r\n") == 1
    served.turn(lambda: not served.is_open(client))
    client.setblocking(True)
    assert client.recv(10) == b""
    assert b"Server:" not in head
    assert served.logged == ["200 OK"] * 5


def test_the_last_answer_of_a_process_closes_the_connection(serve: Callable[..., Served]) -> None:
    served = serve()
    client = served.client(GET)
    assert b"Connection: close" not in served.read(client, b"hello")
    served.server.accepting = False
    client.sendall(GET)
    assert b"Connection: close\r\n" in served.read(client, b"hello")
    served.turn(lambda: not served.is_open(client))
