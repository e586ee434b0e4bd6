"""Bytes of JSON → values, and back. What could not be stored as it was sent is refused, with a pointer to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

MAX_DEPTH = 40
# No endpoint takes more than 5,000 small objects; a million keys are stopped before they are built.
MAX_VALUES = 40_000
_BIGGEST = 2**63
_LONG_NUMBER = re.compile(rb"\d{19}")


class BadBody(ParseError):
    """A body that is not one good JSON value; ``problems`` has the pointers."""

    def __init__(self, message: str, pointer: str | None = None) -> None:
        super().__init__(message)
        self.problems = [] if pointer is None else [{"pointer": pointer, "message": message}]


class _Doubled(dict[str, Any]):
    """An object that named a key twice; found again by the walk, which knows the way to it."""

    key = ""


class StrictJSONParser(BaseParser):
    """RFC 8259 and nothing else: UTF-8, every key once, numbers that are numbers, no NUL, depth ≤ 40."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return parse(stream.read())


class MergePatchParser(StrictJSONParser):
    """RFC 7396: what PATCH means here anyway (null clears)."""

    media_type = "application/merge-patch+json"


def parse(raw: bytes) -> Any:
    """The JSON value in ``raw``; raises BadBody with a sentence and, where it can, a JSON pointer."""
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MAX_VALUES:
        raise BadBody(f"The body has more than {MAX_VALUES:,} values. Send it in several requests.")
    try:
        # The strict reader judges the text; the standard one then finds doubled keys.
        orjson.loads(raw)
        value = json.loads(raw, object_pairs_hook=_object, parse_int=_integer)
    except orjson.JSONDecodeError as error:
        raise BadBody(_why(raw, error)) from None
    except RecursionError:
        raise BadBody(f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    if _is_suspicious(raw, value):
        _inspect(value)
    return value


def _is_suspicious(raw: bytes, value: Any) -> bool:
    """Whether the slow walk may find something: quick to say no to what nearly everybody sends."""
    if b"\\u0000" in raw or _LONG_NUMBER.search(raw):
        return True
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH or any(type(item) is _Doubled for item in level):
            return True
        inner = (
            item.values() if isinstance(item, dict) else item
            for item in level
            if isinstance(item, (dict, list))
        )
        level = [child for children in inner for child in children if isinstance(child, (dict, list))]
    return False


def _why(raw: bytes, error: orjson.JSONDecodeError) -> str:
    text = str(error)
    if "depth limit" in text:
        return f"The body is nested deeper than {MAX_DEPTH} levels."
    if "UTF-8" in text:
        try:
            raw.decode()
        except UnicodeDecodeError as bad:
            return f"The body is not UTF-8: byte {bad.start} cannot be read."
    if raw.startswith(b"\xef\xbb\xbf"):
        return "The body starts with a byte order mark. Send plain UTF-8 without it."
    if not raw.strip():
        return "The body is empty. Send a JSON object."
    return f"The body is not valid JSON: {error.msg}, line {error.lineno}, column {error.colno}."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    doubled = _Doubled(made)
    seen: set[str] = set()
    doubled.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return doubled


def _integer(text: str) -> int | float:
    # int() refuses more than 4,300 digits; such a number is out of range in any case.
    return int(text) if len(text) <= 20 else float("inf")


def _inspect(value: Any) -> None:
    """Walk without recursion, so that depth costs nothing and the pointer is known."""
    todo: list[tuple[Any, str, int]] = [(value, "", 1)]
    while todo:
        item, pointer, depth = todo.pop()
        if isinstance(item, str):
            if "\x00" in item:
                raise BadBody(
                    "A text contains the control character NUL (\\u0000), which cannot be stored.", pointer
                )
        elif isinstance(item, (int, float)):
            if not -_BIGGEST <= item < _BIGGEST and not _is_plain_float(item):
                raise BadBody("This number is out of range.", pointer)
        elif isinstance(item, (dict, list)):
            if depth > MAX_DEPTH:
                raise BadBody(f"The body is nested deeper than {MAX_DEPTH} levels.", pointer)
            todo.extend((child, at, depth + 1) for child, at in _children(item, pointer))


def _is_plain_float(number: float) -> bool:
    return isinstance(number, float) and number not in (float("inf"), float("-inf")) and number == number


def _children(item: dict[str, Any] | list[Any], pointer: str) -> Iterator[tuple[Any, str]]:
    if isinstance(item, list):
        for index, child in enumerate(item):
            yield child, f"{pointer}/{index}"
        return
    if isinstance(item, _Doubled):
        at = f"{pointer}/{escape(item.key)}"
        raise BadBody(f"The key “{item.key}” appears twice in one object.", at)
    for key, child in item.items():
        if "\x00" in key:
            _refuse_key(pointer)
        yield child, f"{pointer}/{escape(key)}"


def _refuse_key(pointer: str) -> NoReturn:
    raise BadBody("A key contains the control character NUL (\\u0000), which cannot be stored.", pointer)


def escape(key: str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return re.sub(r"[~/]", lambda hit: "~0" if hit[0] == "~" else "~1", key)


class OrjsonRenderer(BaseRenderer):
    """Compact UTF-8 JSON; times in UTC as ``2024-05-01T12:00:00.123456Z``."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        if data is None:
            return b""
        return orjson.dumps(data, default=_default, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _default(value: Any) -> Any:
    """Decimals, lazy texts, querysets' lists and the string classes Django and DRF make."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    return str(value)
