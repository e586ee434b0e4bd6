"""What a client still sends after its request was refused → read and thrown away, so that the client gets the response.

A connection that is closed on unread bytes is reset, and a client in the middle of sending learns of a broken pipe where it
should learn of a 413 or a 401; SDKs send such a call again for ever. Gunicorn reads 64 KiB of it and gives up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from gunicorn.http.errors import ParseException

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# The server's own share, for which nothing has to be done here.
SMALL = 64 * 1024
# Whoever sends more, or so slowly, is cut off after all: a thread is occupied meanwhile.
MOST, SECONDS = 32 * 1024 * 1024, 20.0
_PIECE = 64 * 1024


class ReadToTheEnd:
    """A WSGI application around another: large bodies are read and forgotten once the answer is out."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = self._application(environ, start_response)
        return _Answer(answer, environ["wsgi.input"]) if _is_large(environ) else answer


def _is_large(environ: WSGIEnvironment) -> bool:
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return bool(environ.get("wsgi.input_terminated"))
    announced = environ.get("CONTENT_LENGTH") or ""
    return announced.isdecimal() and int(announced) > SMALL


class _Answer:
    def __init__(self, answer: Iterable[bytes], stream: Any) -> None:
        self._answer, self._stream = answer, stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        """Called by the server when everything is sent."""
        try:
            if hasattr(self._answer, "close"):
                self._answer.close()
        finally:
            _forget(self._stream)


def _forget(stream: Any) -> None:
    left, deadline = MOST, time.monotonic() + SECONDS
    try:
        while left > 0 and time.monotonic() < deadline and (piece := stream.read(_PIECE)):
            left -= len(piece)
    except (OSError, ParseException):
        # The client went away, or what it sent is no HTTP: there is nobody to answer, and the server closes.
        return
