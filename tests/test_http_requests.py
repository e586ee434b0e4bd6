"""Bytes → a request or a refusal, however they are cut; and how much of a body is kept, and where."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from waitress.adjustments import Adjustments

from cdp.http_requests import KEPT, MAX_FORM, MAX_READ, RequestParser

FORM = "Content-Type: multipart/form-data; boundary=x\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
KIB = 1024


def parsed(data: bytes, piece: int = 64 * KIB) -> RequestParser:
    """Fed as waitress does: what is not taken comes again."""
    parser = RequestParser(
        Adjustments(
            max_request_body_size=MAX_FORM, max_request_header_size=64 * KIB, inbuf_overflow=128 * KIB
        )
    )
    while data and not parser.completed:
        taken = parser.received(data[:piece])
        assert taken
        data = data[taken:]
    return parser


def post(headers: str, body: bytes = b"", version: str = "1.1") -> bytes:
    return f"POST /v1/batch HTTP/{version}\r\nHost: x\r\n{headers}\r\n".encode() + body


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (post(f"Content-Length: 5\r\n{CHUNKED}", b"0\r\n\r\n"), 400),
        (post(CHUNKED, b"0\r\n\r\n", version="1.0"), 400),
        (post("Content-Length: 5\r\nContent-Length: 6\r\n"), 400),
        (post("Content-Length: +5\r\n"), 400),
        (post("Content-Length: 0x5\r\n"), 400),
        (post(f"Content-Length: {'9' * 5000}\r\n"), 400),
        (post("Transfer-Encoding: gzip, chunked\r\n"), 501),
        (post("Transfer-Encoding: xchunked\r\n"), 501),
        (post("Transfer-Encoding : chunked\r\n"), 400),
        (post("X: a\nContent-Length: 5\r\n"), 400),
        (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (post(f"X: {'a' * 64 * KIB}\r\n"), 431),
        (b"GET / HTTP/1.1\r\n" + b"a" * 64 * KIB, 431),
        (post(f"Content-Length: {MAX_READ}\r\n"), 413),
        (post(f"{FORM}Content-Length: {MAX_READ}\r\n"), 413),
        (post(f"Cookie: a=b\r\n{FORM}Content-Length: {MAX_FORM}\r\n"), 413),
        (post(CHUNKED, b"%x\r\n" % (MAX_READ + KIB) + b" " * (MAX_READ + KIB)), 413),
        (post(CHUNKED, b"zz\r\n"), 400),
        (post(CHUNKED, b"1\r\nabcd"), 400),
        (post(CHUNKED, b"1" * 20 * KIB), 400),
        (post(CHUNKED, b"0\r\nX: " + b"a" * 20 * KIB), 400),
    ],
    ids=lambda value: str(value[:90]) if isinstance(value, bytes) else None,
)
def test_what_is_refused(data: bytes, status: int) -> None:
    for headers in ("", "Expect: 100-continue\r\n"):
        parser = parsed(data.replace(b"Host: x\r\n", f"Host: x\r\n{headers}".encode()))
        assert parser.error is not None
        assert (parser.completed, parser.error.code, parser.expect_continue) == (True, status, False)
        parser.close()


def test_an_address_with_letters_as_they_are() -> None:
    parser = parsed("GET /people/jürgen?q=ü HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert parser.error is None
    assert (parser.path.encode("latin-1").decode(), parser.query) == ("/people/jürgen", "q=%C3%BC")


@pytest.mark.parametrize("piece", [1, 7, 64 * KIB])
def test_a_chunked_body_is_put_together(piece: int) -> None:
    parser = parsed(post(CHUNKED, b"4\r\nabcd\r\n1;x=y\r\ne\r\n0\r\nX: z\r\n\r\n"), piece)
    assert parser.error is None
    assert (parser.completed, parser.headers["CONTENT_LENGTH"]) == (True, "5")
    assert parser.get_body_stream().read() == b"abcde"


def test_tiny_chunks_are_taken_in_pieces() -> None:
    """waitress copies what is left of a piece for each chunk."""
    parser = RequestParser(Adjustments())
    head = post(CHUNKED)
    assert parser.received(head) == len(head)
    assert parser.received(b"1\r\na\r\n" * 10 * KIB) == 8 * KIB


def test_only_a_form_of_somebody_is_kept_whole() -> None:
    size = KEPT + 100 * KIB
    for headers, kept in (
        ("", KEPT),
        ("Authorization: Bearer x\r\n", KEPT),
        (FORM, KEPT),
        (f"{FORM}Authorization: Bearer x\r\n", size),
        (f"{FORM}Cookie: sessionid=x\r\n", size),
    ):
        parser = parsed(post(f"{headers}Content-Length: {size}\r\n", b"x" * size))
        assert (parser.error, parser.completed) == (None, True)
        assert len(parser.get_body_stream().read()) == kept
        # What the application refuses by.
        assert parser.headers["CONTENT_LENGTH"] == str(size)
        parser.close()
    parser = parsed(post(CHUNKED, b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n"))
    assert parser.headers["CONTENT_LENGTH"] == str(KEPT)
    parser.close()


def test_a_large_body_is_in_a_file_without_a_name_in_our_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    parser = parsed(post(f"Content-Length: {200 * KIB}\r\n", b"x" * 200 * KIB))
    file = parser.get_body_stream()
    status = os.fstat(file.fileno())
    assert (status.st_mode & 0o777, status.st_nlink) == (0o600, 0)
    assert os.readlink(f"/proc/self/fd/{file.fileno()}").startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    parser.close()
    assert file.closed


def test_a_body_for_which_there_is_no_room_is_read_on_and_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = post(f"{FORM}Cookie: sessionid=x\r\nContent-Length: {400 * KIB}\r\n", b"x" * 400 * KIB)
    parser = parsed(whole)
    assert not parser.is_lost
    parser.close()
    assert not parsed(post("")).is_lost

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("waitress.buffers.TempfileBasedBuffer.newfile", full)
    parser = parsed(whole)
    assert (parser.error, parser.completed, parser.is_lost) == (None, True, True)
    assert parser.get_body_stream().read() == b""

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("waitress.buffers.TempfileBasedBuffer.newfile", broken)
    with pytest.raises(OSError, match="Input/output"):
        parsed(whole)


def test_a_request_without_body_expects_nothing() -> None:
    parser = parsed(post("Expect: 100-continue\r\nContent-Length: 0\r\n"))
    assert (parser.completed, parser.error, parser.expect_continue) == (True, None, False)
    parser = parsed(post("Expect: 100-continue\r\nContent-Length: 5\r\n"))
    assert (parser.completed, parser.expect_continue) == (False, True)
