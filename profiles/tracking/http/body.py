"""A request → its body read, decompressed and parsed, each within its limit.

Content-Type is not looked at: SDKs send JSON as ``text/plain`` (no preflight) and gzipped JSON as form data.
Nor is Content-Encoding believed where the bytes say otherwise: some proxies decompress and leave the header.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from django.http import UnreadablePostError

from profiles.tracking.http.responses import RequestRefused
from profiles.tracking.parse.item_text import MAX_TEXT

if TYPE_CHECKING:
    from django.http import HttpRequest

MAX_BYTES = 4 * 1024 * 1024
_LIMIT = "4 MiB"
# A gzip stream may be several behind one another; a body of a million empty ones would take minutes.
_MAX_MEMBERS = 16
_BOM = b"\xef\xbb\xbf"
_NUL = b"\\u0000"
_GZIP = b"\x1f\x8b"
_RAW_DEFLATE = -zlib.MAX_WBITS
_PLAIN = ("", "identity", "gzip", "x-gzip", "deflate")


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """A body's JSON. ``has_fit_texts``: no text in it needs sanitizing; ``size`` is in bytes of JSON.

    ``rounded`` are the bytes, where the parser made the nearest float of a whole number of more than 64 bits.
    """

    value: Any
    has_fit_texts: bool
    size: int
    rounded: bytes = b""


def read_json(request: HttpRequest) -> ParsedBody:
    """The parsed body, not yet sanitized: lone surrogates and infinite numbers may be in it.

    Raises RequestRefused: 400, 413 or 415.
    """
    raw = read(request)
    return parse(inflate(raw, request.headers.get("Content-Encoding", "")))


def read(request: HttpRequest) -> bytes:
    """The bytes as sent, at most 4 MiB; a length announced beyond that is refused unread."""
    try:
        announced = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        announced = 0
    if announced > MAX_BYTES:
        raise _too_large("The body")
    # No more than was announced. Mobile SDKs send chunks and announce nothing; the server has put them together.
    try:
        raw: bytes = request.read()
    except (UnreadablePostError, OSError) as error:
        raise _unreadable() from error
    if len(raw) < announced:
        raise _unreadable()
    return raw


def inflate(raw: bytes, encoding: str = "") -> bytes:
    """The body decompressed, by what its first bytes say: gzip, zlib, or as it is.

    ``encoding`` decides only where bytes cannot: raw deflate has no mark. Never more than 4 MiB come into being.
    """
    if raw.startswith(_GZIP):
        return _decompress(raw, wbits=zlib.MAX_WBITS | 16)
    if _is_zlib(raw):
        return _decompress(raw, wbits=zlib.MAX_WBITS)
    names = [name.strip() for name in encoding.lower().split(",")]
    if "deflate" in names and raw and raw.lstrip()[:1] not in (b"{", b"["):
        return _decompress(raw, wbits=_RAW_DEFLATE)
    for name in names:
        if name not in _PLAIN and raw.lstrip()[:1] not in (b"{", b"["):
            message = f"Content-Encoding {name[:40]} is not understood. Send gzip, deflate or none."
            raise RequestRefused(415, "unknown_encoding", message)
    return raw


def parse(data: bytes) -> ParsedBody:
    """What the JSON says. NaN, Infinity and numbers too large are floats that sanitizing takes out, not an error."""
    data = data.removeprefix(_BOM)
    try:
        return ParsedBody(orjson.loads(data), _NUL not in data, len(data), rounded=data)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise _too_deep() from error
    return ParsedBody(_parse_tolerantly(data), False, len(data))


def _parse_tolerantly(data: bytes) -> Any:
    """orjson refuses NaN, 1e400 and half surrogate pairs, which JavaScript and Python SDKs do send."""
    if not data.strip():
        raise RequestRefused(400, "empty_body", "The body is empty. Send a JSON object.")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: byte {error.start + 1} cannot be read."
        raise RequestRefused(400, "invalid_encoding", message) from error
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError as error:
        raise _too_deep() from error
    except json.JSONDecodeError as error:
        message = f"The body is not JSON at line {error.lineno}, column {error.colno}."
        raise RequestRefused(400, "invalid_json", message) from error


def parse_exactly(data: bytes) -> Any:
    """The same JSON with all digits of its whole numbers; None where it nests too deeply for that."""
    try:
        return json.loads(data, parse_int=_whole_number)
    except RecursionError:
        return None


def _whole_number(digits: str) -> float:
    """Infinite for what is longer than any id; Python takes quadratic time to read long ones."""
    return int(digits) if len(digits) <= MAX_TEXT else math.inf


def _is_zlib(raw: bytes) -> bool:
    """RFC 1950: the method is 8, and the first two bytes divide by 31. No JSON begins so."""
    return len(raw) > 2 and raw[0] & 0x0F == 8 and raw[0] >> 4 <= 7 and (raw[0] << 8 | raw[1]) % 31 == 0


def _decompress(raw: bytes, *, wbits: int) -> bytes:
    decompressed = bytearray()
    rest = raw
    for _ in range(_MAX_MEMBERS):
        stream = zlib.decompressobj(wbits)
        try:
            decompressed += stream.decompress(rest, MAX_BYTES + 1 - len(decompressed))
        except zlib.error as error:
            raise _broken() from error
        if len(decompressed) > MAX_BYTES:
            raise _too_large("The body, decompressed,")
        if not stream.eof:
            raise _broken()
        rest = stream.unused_data.lstrip(b"\x00")
        if not rest:
            return bytes(decompressed)
    raise _broken()


def _unreadable() -> RequestRefused:
    return RequestRefused(400, "unreadable_body", "The body ended before its end. Send the call again.")


def _broken() -> RequestRefused:
    return RequestRefused(400, "invalid_compression", "The body is compressed and cannot be decompressed.")


def _too_large(what: str) -> RequestRefused:
    return RequestRefused(413, "body_too_large", f"{what} is over {_LIMIT}. Send smaller batches.")


def _too_deep() -> RequestRefused:
    return RequestRefused(
        400, "too_deep", "The body nests lists and objects too deeply. The limit is 40 levels."
    )
