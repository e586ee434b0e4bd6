"""A web process: gunicorn starts, watches and replaces it; waitress in it reads requests and sends answers.

gunicorn's own threads wait for whatever a client does: as many stalled uploads as there are threads stop them all. Here a
thread gets a request once all of it has arrived, and is done when its answer is handed over.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Iterable
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from gunicorn.workers.base import Worker
from waitress import create_server, wasyncore
from waitress.server import BaseWSGIServer

from cdp.client_address import is_trusted_proxy
from cdp.connections import Connection, close_stalled
from cdp.http_requests import MAX_FORM

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# Each process. Every turn of waitress' loop looks at all of them: a millisecond for a thousand.
CONNECTIONS = 1000
# A connection, its request and its answer; and everything else that is open in a process.
_FILES_EACH, _FILES = 3, 200
_KIB = 1024


class BufferingWorker(Worker):
    """Answers with ``cfg.threads`` threads, keeps connections for ``cfg.keepalive`` seconds, ends after ``max_requests``."""

    alive: bool
    servers: tuple[Any, ...] = ()
    next_look = 0.0

    def run(self) -> None:
        # Bodies and answers too large for memory: files without a name, here instead of in a place all share.
        tempfile.tempdir = settings.FILE_UPLOAD_TEMP_DIR or tempfile.tempdir
        self.limit = (_open_files(_FILES + _FILES_EACH * CONNECTIONS) - _FILES) // _FILES_EACH
        self.by_file: dict[int, Any] = {}
        create_server(
            self.answer,
            map=self.by_file,
            sockets=[listening.sock for listening in self.sockets],
            threads=self.cfg.threads,
            backlog=self.cfg.backlog,
            # Its own limit only stops accepting, which is what many stalled clients want.
            connection_limit=self.limit + 100,
            channel_timeout=self.cfg.keepalive,
            cleanup_interval=5,
            asyncore_use_poll=True,
            recv_bytes=64 * _KIB,
            inbuf_overflow=128 * _KIB,
            outbuf_overflow=256 * _KIB,
            # So much of an answer waits in a file before a thread waits for its reader.
            outbuf_high_watermark=_KIB**3,
            max_request_header_size=64 * _KIB,
            max_request_body_size=MAX_FORM,
            # Whose headers count is for cdp.client_address to say: here it would be one address.
            clear_untrusted_proxy_headers=False,
            log_socket_errors=False,
            ident=None,
        )
        self.servers = tuple(server for server in self.by_file.values() if isinstance(server, BaseWSGIServer))
        for server in self.servers:
            server.channel_class, server.worker = Connection, self
        while self.alive and self.ppid == os.getppid():
            self.turn()
        self.end()

    def turn(self) -> None:
        """Reads and sends what can be, for a second at most; once a second tells gunicorn that the process is alive."""
        wasyncore.loop(timeout=1, use_poll=True, map=self.by_file, count=1)
        now = time.time()
        if now >= self.next_look or len(self.by_file) > self.limit + 2 * len(self.servers):
            self.next_look = now + 1
            self.notify()
            close_stalled(self.connections(), now, limit=self.limit, is_proxy=is_trusted_proxy)

    def connections(self) -> list[Connection]:
        return [item for item in self.by_file.values() if isinstance(item, Connection)]

    def end(self) -> None:
        """Answers what is here or arriving, for ``graceful_timeout`` seconds at most; takes no new connections."""
        for server in self.servers:
            server.accepting = False
        deadline = time.time() + self.cfg.graceful_timeout
        while time.time() < deadline and any(
            connection.is_busy(time.time()) for connection in self.connections()
        ):
            self.turn()
        self.servers[0].task_dispatcher.shutdown(timeout=max(0, deadline - time.time()))
        wasyncore.close_all(self.by_file)

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        for server in self.servers:
            server.pull_trigger()

    # --- In threads ---------------------------------------------------------------------------------------------------

    def answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        response: Iterable[bytes] = self.wsgi(environ, start_response)
        return response

    def log_access(self, task: Any) -> None:
        """A line of gunicorn's access log, where one is asked for; the product's own log has each request anyway."""
        if not self.log.access_log_enabled or task.environ is None:
            return
        answer = SimpleNamespace(status=task.status, headers=task.response_headers, sent=task.content_length)
        headers = [(name.replace("_", "-"), value) for name, value in task.request.headers.items()]
        seconds = timedelta(seconds=max(0.0, time.time() - task.start_time))
        self.log.access(answer, SimpleNamespace(headers=headers), task.environ, seconds)


def _open_files(wanted: int) -> int:
    """How many of the wanted files this process may have open, after raising its limit: most begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return raised
