"""Connections of clients → who is answered, and who is closed because it asks or takes its answer too slowly.

waitress reads and sends in one loop, so that a client that stalls costs a connection and no thread. What it lacks are
deadlines for those who send a byte now and then, and room for others when there are too many.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from cdp import metrics
from cdp.full_disk import BODY_LOST
from cdp.http_requests import RequestParser

log = logging.getLogger("cdp.request")

# A request has 20 s to arrive and a second more for each 4 KiB of it.
SECONDS, BYTES_PER_SECOND = 20.0, 4 * 1024
# An answer of which nothing is taken for so long is not waited for; keep-alive and silence are waitress' channel_timeout.
UNREAD_SECONDS = 30.0
# Unfinished requests of one address, in each process. An office or a mobile network may share one.
PER_ADDRESS = 128


class Answer(WSGITask):
    """One request's answer: HEAD without its body, the last before the process ends with ``Connection: close``."""

    @property
    def is_head(self) -> bool:
        return bool(self.request.command == "HEAD")

    def service(self) -> None:
        try:
            super().service()
        finally:
            self.channel.server.worker.log_access(self)

    def start(self) -> None:
        super().start()
        if not self.channel.server.accepting:
            self.set_close_on_finish()

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ["RAW_URI"] = environ["REQUEST_URI"]  # gunicorn's name, for its access log
        if self.request.is_lost:
            environ[BODY_LOST] = True
        if self.is_head:
            environ["wsgi.file_wrapper"] = UnreadFile
        return environ

    def write(self, data: bytes) -> None:
        super().write(b"" if self.is_head else data)

    def finish(self) -> None:
        if self.is_head and self.complete:
            self.write(b"")
            self.chunked_response = False  # no last chunk
        super().finish()


class UnreadFile:
    """A file that a HEAD asks about."""

    def __init__(self, file: Any, block_size: int = 0) -> None:
        self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(())


class Refusal(ErrorTask):
    """The answer to a request that the application never sees."""

    def execute(self) -> None:
        status = self.request.error.code
        metrics.requests.labels("other", "(unread)", status).inc()
        log.warning("refused unread", extra={"status": status})
        super().execute()


class Connection(HTTPChannel):
    task_class = Answer
    error_task_class = Refusal
    parser_class = RequestParser

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # When the request that is arriving began, how much of it is here, and whether one ever was complete.
        self.began, self.size, self.has_asked = self.creation_time, 0, False

    def __repr__(self) -> str:
        return "a connection"  # the address stays out of the log

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.began, self.size = time.time(), 0
        self.size += len(data)
        taken: bool = super().received(data)
        if self.request is None:
            self.has_asked = True
        return taken

    def handle_close(self) -> None:
        super().handle_close()
        if self.request is not None:
            self.request.close()

    @property
    def is_answered(self) -> bool:
        """Whether a request of it waits for a thread, or has one."""
        return bool(self.requests)

    @property
    def is_unfinished(self) -> bool:
        return not self.is_answered and (self.request is not None or not self.has_asked)

    @property
    def waits_since(self) -> float:
        return float(self.began if self.is_unfinished else self.last_activity)

    def is_busy(self, now: float) -> bool:
        """Whether a process that ends waits for it: it is answered, or was heard of in the last two seconds."""
        return bool(self.requests or self.total_outbufs_len or now - self.last_activity < 2)

    def is_overdue(self, now: float) -> bool:
        if self.is_unfinished:
            return bool(now - self.began > SECONDS + self.size / BYTES_PER_SECOND)
        # While the lock is taken a thread is adding to the answer, or sends.
        if not self.total_outbufs_len or not self.outbuf_lock.acquire(False):
            return False
        try:
            return bool(self.total_outbufs_len > 0 and now - self.last_activity > UNREAD_SECONDS)
        finally:
            self.outbuf_lock.release()


def close_stalled(
    connections: Iterable[Connection], now: float, *, limit: int, is_proxy: Callable[[str], bool]
) -> None:
    """Closes what is overdue, then who waits longest: beyond 128 unfinished requests of one address, and beyond the limit.

    Whoever is being answered is never closed for others, and a trusted proxy's address stands for many.
    """
    connections = list(connections)
    for connection in connections:
        if connection.is_overdue(now):
            connection.handle_close()
    open_ones = (connection for connection in connections if connection.connected)
    newest_first = sorted(open_ones, key=lambda connection: -connection.waits_since)
    unfinished: Counter[str] = Counter()
    for connection in newest_first:
        address = connection.addr[0]
        if connection.is_unfinished and not is_proxy(address):
            unfinished[address] += 1
            if unfinished[address] > PER_ADDRESS:
                connection.handle_close()
    oldest_first = [connection for connection in reversed(newest_first) if connection.connected]
    if (surplus := len(oldest_first) - limit) > 0:
        # A twentieth more, or the next connection would be the next to look through all.
        waiting = [connection for connection in oldest_first if not connection.is_answered]
        for connection in waiting[: surplus + limit // 20]:
            connection.handle_close()
