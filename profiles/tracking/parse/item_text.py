"""Any JSON value → text as an item's fields and problems have it. Pure."""

from __future__ import annotations

from typing import Any

from profiles.tracking.parse.item_types import ItemProblem

MAX_TEXT = 255
# Of a whole number with as many digits.
_MAX_BITS = 845
# What no client means as a value.
NOTHING: tuple[Any, ...] = (None, "", {}, [])


def name_text(raw: Any) -> str:
    """A name's text, trimmed; a number as text, anything else as none."""
    if isinstance(raw, str):
        return raw.strip()
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return number_text(raw) or ""
    return ""


def number_text(raw: float) -> str | None:
    """42 and 42.0 are the id 42; what is not finite or longer than an id is none."""
    if isinstance(raw, int):
        return str(raw) if raw.bit_length() <= _MAX_BITS else None
    if raw != raw or abs(raw) >= 2**64:
        return None
    return str(int(raw)) if raw.is_integer() else repr(raw)


def pointer_part(name: str) -> str:
    """A name as a JSON pointer has it."""
    return name.replace("~", "~0").replace("/", "~1") if "/" in name or "~" in name else name


def item_problem(code: str, pointer: str, value: Any, message: str) -> ItemProblem:
    return {"pointer": pointer, "value": problem_value(value), "message": message, "code": code}


def problem_value(value: Any) -> Any:
    """A value as a problem names it: short, and never an object or a list."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return problem_text(value, MAX_TEXT)


def problem_text(value: Any, limit: int) -> str:
    if isinstance(value, str):
        return value[:limit]
    if value is None:
        return ""
    kind = {dict: "an object", list: "a list", bool: "a yes or no"}.get(type(value))
    return kind or str(value)[:limit]
