"""Stored values and what a rule compares them with → yes or no, as the SQL functions of migration 0002 decide. Pure.

Text compares without case and accents: ``fold`` here and ``segments_fold`` in SQL give the same text. Numbers compare to
six decimals; a text that is written like a number is one, anything else has no number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

_MARKS = re.compile("[\u0300-\u036f]")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)
_SIX = Decimal("0.000001")
# A step of a path: a name, or * for every item of a list.
_STEP = re.compile(r"[^.\x00-\x1f\"]{1,100}")
MAX_STEPS = 6


def fold(text: str) -> str:
    """Without accents and in small letters, letter by letter, as PostgreSQL's C.UTF-8 does it."""
    if text.isascii():
        return text.lower()
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", text))
    return "".join(small if len(small := char.lower()) == 1 else char for char in plain)


def as_number(value: Any) -> Decimal | None:
    """The number of a JSON value, None where it has none."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
    elif isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    number = Decimal(str(value))
    # Half away from zero, as PostgreSQL rounds a numeric.
    return number.quantize(_SIX, ROUND_HALF_UP) if number.is_finite() and abs(number) < 10**20 else None


def as_text(value: Any) -> str | None:
    """The text of a JSON value: of a number and of yes or no as JSON writes them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _json_number(value)
    return None


def _json_number(value: float) -> str:
    """As jsonb writes it: without an exponent."""
    return format(Decimal(repr(value)), "f")


def clean_path(path: str) -> tuple[str, ...] | None:
    """``products.*.sku`` → its steps; None for what is no path."""
    steps = tuple(path.split("."))
    if len(steps) > MAX_STEPS or steps[0] == "*" or not all(_STEP.fullmatch(step) for step in steps):
        return None
    return steps


def json_path(steps: Sequence[str]) -> str:
    """The steps as PostgreSQL's jsonpath, which reads every item of a list at the end."""
    written = "".join("[*]" if step == "*" else '."' + step.replace("\\", "\\\\") + '"' for step in steps)
    return f"${written}[*]"


def items_at(value: Any, steps: Sequence[str]) -> Iterator[Any]:
    """Every value at the path; a list stands for its items, wherever it is (jsonpath's lax mode)."""
    if not steps:
        yield from value if isinstance(value, list) else [value]
        return
    step, rest = steps[0], steps[1:]
    if step == "*":
        for item in value if isinstance(value, list) else [value]:
            yield from items_at(item, rest)
        return
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, dict) and step in part:
            yield from items_at(part[step], rest)
