"""A site of somebody else in a test: pages of an origin of its own, and a platform that only writes down what it gets."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.sync_api import Page

from profiles.tracking.snippet import build

KEY = "web-key-of-the-test"
READY = "window.cdp && !!cdp.version"
WAITING = "() => Object.keys(localStorage).filter((key) => key.startsWith('cdp:')).length"


class Server(ThreadingHTTPServer):
    """Answers on a free port of ``host`` in a thread of its own."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler], host: str) -> None:
        super().__init__((host, 0), handler)
        self.address = f"http://{host}:{self.server_port}"
        self.owner: Any = None


@contextmanager
def running(handler: type[BaseHTTPRequestHandler], owner: Any, host: str = "127.0.0.1") -> Iterator[Server]:
    server = Server(handler, host)
    server.owner = owner
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Tests say what matters."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@dataclass
class Call:
    """One request the platform got."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    bytes: int
    status: int


@dataclass
class Recorder:
    """A platform that writes down calls and answers as told: ``answers`` first, then 200."""

    calls: list[Call] = field(default_factory=list)
    preflights: int = 0
    answers: list[tuple[int, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    address: str = ""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def note(self, call: Call) -> None:
        with self.changed:
            self.calls.append(call)
            self.changed.notify_all()

    def items(self, *statuses: int) -> list[dict[str, Any]]:
        """Every item of the calls answered with that status (200), in order."""
        wanted = statuses or (200,)
        return [item for call in self.calls if call.status in wanted for item in call.body["batch"]]

    def named(self, kind: str, *statuses: int) -> list[dict[str, Any]]:
        return [item for item in self.items(*statuses) if item["type"] == kind]


class Platform(Quiet):
    """The address of a Recorder: its snippet and its door."""

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].strip("/")
        files = {"cdp.js": "cdp.min.js", "cdp-debug.js": "cdp-debug.js"}
        if re.fullmatch(r"analytics\.js/v1/[^/]+/analytics\.min\.js", name):
            files[name] = "analytics.js"
        if name not in files:
            return self.answer(404)
        text = (build.FOLDER / files[name]).read_bytes()
        return self.answer(200, text, Content_Type="text/javascript", Cache_Control="no-store")

    def do_OPTIONS(self) -> None:
        self.server.owner.preflights += 1
        self.answer(403)

    def do_POST(self) -> None:
        recorder: Recorder = self.server.owner
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, body = recorder.answers.pop(0) if recorder.answers else (200, {}, {"success": True})
        headers = {
            "Access_Control_Allow_Origin": self.headers.get("Origin", "*"),
            "Access_Control_Expose_Headers": "Retry-After",
            "Content_Type": "application/json",
            **headers,
        }
        # Before the answer: who has seen the answer may look here at once.
        recorder.note(
            Call(
                self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(raw), len(raw), status
            )
        )
        self.answer(status, json.dumps(body).encode(), **headers)


@dataclass
class Site:
    """Pages of a shop: ``pages`` by path; forms may be posted anywhere, what they posted is in ``posted``."""

    address: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    posted: list[str] = field(default_factory=list)
    policy: str = ""

    def put(self, path: str, body: str, head: str = "") -> str:
        self.pages[path] = (
            f"<!doctype html><html lang=en><head><title>{path}</title>{head}</head><body>{body}"
        )
        return self.address + path


class SitePages(Quiet):
    def do_GET(self) -> None:
        site: Site = self.server.owner
        found = site.pages.get(self.path.partition("?")[0])
        headers = {"Content_Security_Policy": site.policy} if site.policy else {}
        if found is None:
            # Browsers ask for an icon and complain when there is none.
            return self.answer(204 if self.path == "/favicon.ico" else 404)
        return self.answer(200, found.encode(), Content_Type="text/html; charset=utf-8", **headers)

    def do_POST(self) -> None:
        self.server.owner.posted.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(200, b"<!doctype html><title>Thanks</title>Thanks", Content_Type="text/html")


def snippet(address: str, key: str = KEY, **options: str) -> str:
    """The script element a site copies; ``consent="required"`` becomes data-consent."""
    more = "".join(f' data-{name.replace("_", "-")}="{value}"' for name, value in options.items())
    return f'<script async src="{address}/cdp.js" data-key="{key}"{more}></script>'


def wait_for(page: Page, check: Callable[[], Any]) -> Any:
    """What ``check`` gives, once it is something; the page goes on meanwhile."""
    for _ in range(400):
        if found := check():
            return found
        page.wait_for_timeout(25)
    raise AssertionError("it did not come to that within 10 seconds")


def delivered(page: Page) -> None:
    """Everything queued was answered."""
    page.evaluate("cdp.flush()")
    page.wait_for_function(f"({WAITING})() === 0")
