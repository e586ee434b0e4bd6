"""The bytes of a connection → a whole request, or why it is refused: waitress' parser, stricter and with less to keep.

Whole bodies lie in memory or, from 128 KiB on, in a file without a name before a thread sees the request. So nobody gets
more room than the request can use: files come as forms from people and programs that say who they are.
"""

from __future__ import annotations

import copy
import re
from functools import lru_cache
from typing import Any

from django.conf import settings
from waitress.buffers import OverflowableBuffer
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver, FixedStreamReceiver
from waitress.utilities import BadRequest

from cdp.full_disk import full_disk

# The largest form: the largest file and what is around it.
MAX_FORM = settings.CDP_IMPORT_MAX_BYTES + 1024**2
# Of every other body at most this much is read. What is beyond the application's own limit is forgotten, but read, so that
# the client gets the application's answer and not a connection that is reset.
MAX_READ = 32 * 1024**2
KEPT = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1
_PIECE = 8 * 1024
_NOT_ASCII = re.compile(rb"[\x80-\xff]")


class RequestParser(HTTPRequestParser):
    """Refuses with 400, 413, 431 or 501 what two readers could understand differently, and what is too large."""

    adj: Any

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.completed:
            # waitress asks for the body of a request that it has refused, or that has none, and waits for it.
            self.expect_continue = False
        return consumed

    @property
    def is_lost(self) -> bool:
        """Whether the disk had no room for its body."""
        return self.body_rcv is not None and self.body_rcv.getbuf().is_lost

    def parse_header(self, header_plus: bytes) -> None:
        first_line, end, headers = header_plus.partition(b"\r\n")
        # Some programs send an address with letters as they are; urllib reads ASCII alone.
        first_line = _NOT_ASCII.sub(lambda byte: b"%%%02X" % ord(byte[0]), first_line)
        try:
            super().parse_header(first_line + end + headers)
        except ValueError as error:  # a host in brackets that is none, a length of thousands of digits
            raise ParsingError("The first line or the length is malformed") from error
        if "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("Transfer-Encoding needs HTTP/1.1")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding exclude each other")
        if self.body_rcv is not None:
            self._limit_body()

    def _limit_body(self) -> None:
        if self._is_form_of_somebody():
            buffer = Body(self.adj.inbuf_overflow)
        else:
            buffer = FirstBytes(self.adj.inbuf_overflow)
            self.adj = _with_limit(self.adj, MAX_READ)
        receiver = BoundedChunks(buffer) if self.chunked else FixedStreamReceiver(self.content_length, buffer)
        self.body_rcv = receiver

    def _is_form_of_somebody(self) -> bool:
        """Whether files may be in it. Who sent it is not known yet, only that the application has something to check."""
        is_form = self.headers.get("CONTENT_TYPE", "").lower().startswith("multipart/form-data")
        return is_form and ("AUTHORIZATION" in self.headers or "COOKIE" in self.headers)


@lru_cache(maxsize=1)
def _with_limit(adjustments: Any, size: int) -> Any:
    changed = copy.copy(adjustments)
    changed.max_request_body_size = size
    return changed


class Body(OverflowableBuffer):
    """In memory or in a file. Where the disk has no room it is lost, and read on, so that the client gets an answer."""

    is_lost = False

    def append(self, data: bytes) -> None:
        if self.is_lost:
            return
        try:
            super().append(data)
        except OSError as error:
            if not full_disk(error):
                raise
            self.close()
            self.buf, self.strbuf, self.overflowed, self.is_lost = None, b"", False, True


class FirstBytes(Body):
    """Keeps one byte more than the application takes: it refuses by the announced length, or by this one."""

    def append(self, data: bytes) -> None:
        if room := max(KEPT - len(self), 0):
            super().append(data[:room])


class BoundedChunks(ChunkedReceiver):
    """A chunked body in pieces: for one large piece of tiny chunks, or lines without end, waitress takes quadratic time."""

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data[:_PIECE])
        if len(self.control_line) > _PIECE or len(self.trailer) > _PIECE:
            self.error = BadRequest("A chunk's first line or the trailer is too long")
        return consumed
