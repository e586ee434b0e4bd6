"""Whatever bytes arrive: parsed within the limits, or refused with a 4xx that says why."""

from __future__ import annotations

import gzip
import io
import json
import math
import tracemalloc
import zlib
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from profiles.tracking.http import body
from profiles.tracking.http.responses import RequestRefused

MIB = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


def turned_away(data: bytes, **headers: str) -> tuple[int, str, str]:
    request = RequestFactory().post("/v1/batch", data, content_type="text/plain", headers=headers)
    with pytest.raises(RequestRefused) as error:
        body.read_json(request)
    return error.value.status, error.value.code, error.value.message


def read(data: bytes, **headers: str) -> Any:
    request = RequestFactory().post("/v1/batch", data, content_type="text/plain", headers=headers)
    return body.read_json(request).value


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"]
)
@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (lambda data: data, ""),
        (lambda data: data, "identity"),
        # A proxy decompressed it and left the header.
        (lambda data: data, "gzip"),
        (lambda data: data, "br"),
        (gzip.compress, "gzip"),
        (gzip.compress, ""),
        (lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:]), "gzip"),
        (lambda data: gzip.compress(data) + b"\x00" * 8, "gzip"),
        (zlib.compress, "deflate"),
        (zlib.compress, ""),
        (raw_deflate, "deflate"),
    ],
)
def test_a_body_is_read_by_what_its_bytes_say(packed: Any, encoding: str, content_type: str) -> None:
    said = {"batch": [{"event": "Été 😀"}]}
    data = packed(json.dumps(said, ensure_ascii=False).encode())
    headers = {"Content-Encoding": encoding} if encoding else {}
    request = RequestFactory().post("/v1/batch", data, content_type=content_type, headers=headers)
    assert body.read_json(request).value == said


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": Infinity, "b": -Infinity}', {"a": math.inf, "b": -math.inf}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('\ufeff{"a": 1}', {"a": 1}),
        (" \n[1]\t", [1]),
        ('"\\ud83d\\ude00"', "😀"),
        ("[" + "9" * 5000 + "]", [math.inf]),
        ("[NaN, " + "9" * 30 + "]", [pytest.approx(math.nan, nan_ok=True), int("9" * 30)]),
    ],
)
def test_what_sdks_were_seen_to_send_is_read(text: str, value: Any) -> None:
    assert read(text.encode()) == value


def test_numbers_beyond_a_float_and_half_characters_get_as_far_as_sanitizing() -> None:
    assert read(b'{"a": 1e400, "b": "\\ud800", "c": -1e999}') == {
        "a": math.inf,
        "b": "\ud800",
        "c": -math.inf,
    }


@pytest.mark.parametrize(
    ("data", "headers", "expected"),
    [
        (b"", {}, (400, "empty_body", "The body is empty. Send a JSON object.")),
        (b"  \n", {}, (400, "empty_body", "The body is empty. Send a JSON object.")),
        (b'{"a": }', {}, (400, "invalid_json", "The body is not JSON at line 1, column 7.")),
        (b'{"a": 1} x', {}, (400, "invalid_json", "The body is not JSON at line 1, column 10.")),
        (b"data=%7B%7D", {}, (400, "invalid_json", "The body is not JSON at line 1, column 1.")),
        (b'{"a": "\xff"}', {}, (400, "invalid_encoding", "The body is not UTF-8: byte 8 cannot be read.")),
        (
            b"[" * 100_000,
            {},
            (400, "too_deep", "The body nests lists and objects too deeply. The limit is 40 levels."),
        ),
        (
            b'{"a":' * 100_000 + b"1e400",
            {},
            (400, "too_deep", "The body nests lists and objects too deeply. The limit is 40 levels."),
        ),
        # Within the first parser's depth and beyond the second's.
        (
            b"[NaN," + b"[" * 1010 + b"]" * 1010 + b"]",
            {},
            (400, "too_deep", "The body nests lists and objects too deeply. The limit is 40 levels."),
        ),
        (
            gzip.compress(b"{}", mtime=0)[:-3],
            {},
            (400, "invalid_compression", "The body is compressed and cannot be decompressed."),
        ),
        (
            gzip.compress(b"{}", mtime=0) + b"rest",
            {},
            (400, "invalid_compression", "The body is compressed and cannot be decompressed."),
        ),
        (
            b"\x1f\x8b" + b"x" * 50,
            {"Content-Encoding": "gzip"},
            (400, "invalid_compression", "The body is compressed and cannot be decompressed."),
        ),
        (
            b"\x0b\x02\x80{}\x03",
            {"Content-Encoding": "br"},
            (415, "unknown_encoding", "Content-Encoding br is not understood. Send gzip, deflate or none."),
        ),
        (
            b"[" + b" " * (4 * MIB) + b"]",
            {},
            (413, "body_too_large", "The body is over 4 MiB. Send smaller batches."),
        ),
    ],
)
def test_what_cannot_be_read_says_why(
    data: bytes, headers: dict[str, str], expected: tuple[int, str, str]
) -> None:
    assert turned_away(data, **headers) == expected


@pytest.mark.parametrize(
    "make_bomb",
    [
        lambda: gzip.compress(b" " * (300 * MIB), 9),
        lambda: zlib.compress(b" " * (300 * MIB), 9),
        lambda: gzip.compress(b" " * (2 * MIB)) * 3,
    ],
    ids=["gzip", "zlib", "members"],
)
def test_a_bomb_is_stopped_at_four_mebibytes(make_bomb: Any) -> None:
    bomb = make_bomb()
    tracemalloc.start()
    try:
        refused = turned_away(bomb, **{"Content-Encoding": "gzip"})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused == (413, "body_too_large", "The body, decompressed, is over 4 MiB. Send smaller batches.")
    assert peak < 16 * MIB


def test_a_million_empty_gzip_streams_are_not_worked_through() -> None:
    data = gzip.compress(b"", mtime=0) * 100_000
    assert turned_away(data)[:2] == (400, "invalid_compression")


def test_exactly_four_mebibytes_are_taken() -> None:
    data = b"[" + b" " * (4 * MIB - 2) + b"]"
    assert read(data) == []
    assert read(gzip.compress(data)) == []


def test_a_body_that_cannot_be_read_is_a_400() -> None:
    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise ConnectionResetError

    environ = RequestFactory().post("/v1/batch", b"{}", content_type="text/plain").environ
    with pytest.raises(RequestRefused) as refused:
        body.read_json(WSGIRequest({**environ, "wsgi.input": Broken()}))
    assert (refused.value.status, refused.value.code) == (400, "unreadable_body")


def test_a_body_shorter_than_announced_is_not_taken_for_whole() -> None:
    environ = RequestFactory().post("/v1/batch", b"{}", content_type="text/plain").environ
    with pytest.raises(RequestRefused) as refused:
        body.read_json(WSGIRequest({**environ, "CONTENT_LENGTH": "100", "wsgi.input": io.BytesIO(b"{}")}))
    message = "The body ended before its end. Send the call again."
    assert (refused.value.status, refused.value.message) == (400, message)


@pytest.mark.parametrize(
    ("data", "has_fit_texts"),
    [(b'["a"]', True), (b'["\\u0000"]', False), (b'["\\ud800"]', False), (b"[NaN]", False)],
)
def test_a_body_says_whether_its_texts_need_a_look(data: bytes, has_fit_texts: bool) -> None:
    parsed = body.parse(data)
    assert (parsed.has_fit_texts, parsed.size) == (has_fit_texts, len(data))


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda tail: b"\x1f\x8b\x08" + tail)))
def test_no_bytes_do_anything_but_parse_or_be_turned_away(data: bytes) -> None:
    refused = []
    for encoding in ("", "gzip", "deflate", "br, x"):
        try:
            body.parse(body.inflate(data, encoding))
        except RequestRefused as error:
            refused.append(error)
    assert all(400 <= error.status < 500 and error.code and error.message.endswith(".") for error in refused)
