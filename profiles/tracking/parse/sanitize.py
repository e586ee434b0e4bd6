"""Parsed JSON → JSON that PostgreSQL stores unchanged. Pure.

NUL is stripped from texts and names; half a surrogate pair becomes U+FFFD; numbers that are not finite
or not within 64 bits become null. The last because a parser turns ``12345678901234567890123`` into the
nearest float: two customers' ids would become one. ``changes`` says what that does to an item.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from profiles.tracking.parse.item_text import MAX_TEXT, item_problem, pointer_part
from profiles.tracking.parse.item_types import ItemProblem

MAX_DEPTH = 40
# Problems listed of one item; what lies beyond is counted.
_MAX_LISTED = 50
_LONE = re.compile("[\ud800-\udfff]")
_MIN, _MAX = -(2**63), 2**64


class TooDeep(Exception):
    """More than MAX_DEPTH lists and objects inside one another."""


def clean(value: Any, *, depth: int = MAX_DEPTH) -> Any:
    """Parsed JSON made fit to store. Lists and objects are changed in place; the value is returned.

    Cleaning twice changes nothing more. Raises TooDeep beyond ``depth`` levels of lists and objects.
    """
    kind = type(value)
    if kind is str:
        return value if _is_fit(value) else _fit(value)
    if kind is dict:
        _clean_object(value, depth)
    elif kind is list:
        if not depth:
            raise TooDeep
        for position, inner in enumerate(value):
            if (cleaned := clean(inner, depth=depth - 1)) is not inner:
                value[position] = cleaned
    elif kind is float:
        # Also false for NaN and the infinities.
        return value if _MIN < value < _MAX else None
    elif kind is int:
        return value if _MIN <= value < _MAX else None
    return value


def is_fit(value: Any, *, depth: int = MAX_DEPTH) -> bool:
    """Whether ``clean`` would change nothing and raise nothing, given that all texts in it are fit.

    The quick way for nearly every item: it looks at no text. Of what a strict parser read, texts are fit
    unless the JSON had an escaped NUL in it.
    """
    for inner in value.values() if type(value) is dict else value:
        kind = type(inner)
        if kind is str or kind is int:
            continue
        if kind is float:
            if not _MIN < inner < _MAX:
                return False
        elif (kind is dict or kind is list) and (depth <= 1 or not is_fit(inner, depth=depth - 1)):
            return False
    return True


def changes(value: Any) -> list[ItemProblem]:
    """What ``clean`` will change in an item, with where it is and what was sent. For items that are not fit."""
    found = _changes(value, "", MAX_DEPTH)
    listed = list(islice(found, _MAX_LISTED))
    if more := sum(1 for _ in found):
        message = f"{more:,} more values cannot be stored as they were sent."
        listed.append(item_problem("not_storable", "", None, message))
    return listed


def _changes(value: Any, pointer: str, depth: int) -> Iterator[ItemProblem]:
    kind = type(value)
    if kind is dict and depth:
        yield from _name_changes(value, pointer)
        for name, inner in value.items():
            yield from _changes(inner, f"{pointer}/{pointer_part(_fit(name))}", depth - 1)
    elif kind is list and depth:
        for position, inner in enumerate(value):
            yield from _changes(inner, f"{pointer}/{position}", depth - 1)
    elif kind is str and not _is_fit(value):
        message = "NUL and halves of characters cannot be stored; the text was stored without them."
        yield item_problem("text_cleaned", pointer, _fit(value), message)
    elif (kind is float or kind is int) and not _MIN <= value < _MAX:
        message = "This number has more digits than can be kept, so it was left out. Send it as text."
        yield item_problem("number_too_large", pointer, str(value)[:MAX_TEXT], message)


def _name_changes(value: dict[str, Any], pointer: str) -> Iterator[ItemProblem]:
    """Names that are the same without NUL: all but one of their values are left out."""
    taken = set(value)
    for name, inner in value.items():
        if _is_fit(name):
            continue
        fit = _fit(name)
        if fit in taken:
            message = f"Another name is “{fit}” as well once NUL is taken out of this one, so its value was left out."
            yield item_problem("name_taken", f"{pointer}/{pointer_part(fit)}", _fit(str(inner)), message)
        taken.add(fit)


def _clean_object(value: dict[str, Any], depth: int) -> None:
    if not depth:
        raise TooDeep
    unfit = None
    for name, inner in value.items():
        if not _is_fit(name):
            unfit = [*(unfit or ()), name]
        if (cleaned := clean(inner, depth=depth - 1)) is not inner:
            value[name] = cleaned
    for name in unfit or ():
        # A name that is taken already keeps its own value.
        value.setdefault(_fit(name), value.pop(name))


def _is_fit(text: str) -> bool:
    return "\x00" not in text and (text.isascii() or _LONE.search(text) is None)


def _fit(text: str) -> str:
    return _LONE.sub("\ufffd", text.replace("\x00", ""))
