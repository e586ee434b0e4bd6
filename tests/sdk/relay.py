"""Stands between an SDK and the product, records what passes, and breaks what a test asks for."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.browser.sites import Quiet, running

REFUSE = "refuse"  # 503, the product never sees the call
CUT = "cut"  # the product takes the call, its answer gets lost
TORN = "torn"  # as CUT, with half of the answer delivered
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass
class Passed:
    """One POST that reached the relay, and what the SDK was answered (0: nothing whole)."""

    path: str
    headers: dict[str, str]
    items: list[dict[str, Any]]
    sent_at: str | None
    status: int
    answer: dict[str, Any]


@dataclass
class Relay:
    upstream: str
    address: str = ""
    faults: deque[str] = field(default_factory=deque)
    passed: list[Passed] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self) -> str:
        with self.lock:
            return self.faults.popleft() if self.faults else ""

    def reached(self) -> list[dict[str, Any]]:
        """Items of the calls the product saw, as often as it saw them."""
        return [item for one in self.passed if one.answer for item in one.items]

    def sent(self) -> dict[str, dict[str, Any]]:
        """Everything the SDK sent, once, by its message id; with the ``sentAt`` of its first call."""
        calls: dict[str, dict[str, Any]] = {}
        for one in self.passed:
            for item in one.items:
                calls.setdefault(item["messageId"], {"sentAt": one.sent_at, **item})
        return calls


def _items(body: dict[str, Any]) -> list[dict[str, Any]]:
    return body.get("batch", [body])


class _Passage(Quiet):
    def do_GET(self) -> None:
        relay: Relay = self.server.owner
        relay.asked.append(self.path)
        self._answer(*self._forward(b""))

    def do_OPTIONS(self) -> None:
        self._answer(*self._forward(b""))

    def do_POST(self) -> None:
        relay: Relay = self.server.owner
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        plain = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        body = json.loads(plain)
        fault = relay.fault()
        if fault == REFUSE:
            allow = {"Access-Control-Allow-Origin": self.headers.get("Origin", "*"), "Retry-After": "1"}
            status, headers, content = (
                503,
                allow,
                b'{"status": 503, "code": "unavailable", "message": "Later."}',
            )
        else:
            status, headers, content = self._forward(raw)
        relay.passed.append(
            Passed(
                self.path,
                {name.lower(): value for name, value in self.headers.items()},
                _items(body),
                body.get("sentAt"),
                0 if fault in (CUT, TORN) else status,
                {} if fault == REFUSE else json.loads(content),
            )
        )
        if fault in (CUT, TORN):
            self._break_off(content if fault == TORN else b"")
        else:
            self._answer(status, headers, content)

    def _forward(self, raw: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = urlsplit(self.server.owner.upstream)
        asking = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        asking.request(self.command, self.path, body=raw or None, headers=headers)
        answer = asking.getresponse()
        content = answer.read()
        asking.close()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        return answer.status, kept, content

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _break_off(self, content: bytes) -> None:
        if content:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
        self.close_connection = True


@contextmanager
def relay_to(upstream: str) -> Iterator[Relay]:
    relay = Relay(upstream)
    with running(_Passage, relay) as server:
        relay.address = server.address
        yield relay
