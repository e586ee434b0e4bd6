"""A part of a rule as JSON → its values, checked; or the sentence about what is wrong, with the place in the rule. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from cdp.api.json import escape
from cdp.errors import Invalid

MAX_TEXT = 1_000
# 15 digits, as every number of the product.
_LARGEST = Decimal(10) ** 15


def problem(pointer: str, value: Any, message: str) -> dict[str, Any]:
    """One problem of ``Invalid``; ``field`` is a JSON Pointer (RFC 6901) into the rule."""
    return {"field": pointer or "/", "value": _short(value), "message": message}


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return value[:100]
    return value if isinstance(value, (bool, int, float)) or value is None else None


@dataclass(frozen=True, slots=True)
class Node:
    """A JSON object of a rule, and where it stands. Every reader raises Invalid with one problem."""

    raw: dict[str, Any]
    pointer: str = ""

    @classmethod
    def of(cls, raw: Any, pointer: str = "") -> Node:
        if not isinstance(raw, dict):
            raise Invalid([problem(pointer, raw, "Write this part of the rule as a JSON object.")])
        return cls(raw, pointer)

    def __contains__(self, key: str) -> bool:
        return key in self.raw

    def refuse(self, key: str, message: str) -> NoReturn:
        pointer = f"{self.pointer}/{escape(key)}" if key else self.pointer
        raise Invalid([problem(pointer, self.raw.get(key), message)])

    def only(self, *keys: str) -> None:
        """Nothing but these keys: a misspelled one would be a condition without effect."""
        for key in self.raw:
            if key not in keys:
                known = ", ".join(sorted(keys))
                self.refuse(key, f"“{str(key)[:100]}” is not known here. Known: {known}.")

    def child(self, key: str) -> Node:
        return Node.of(self.raw.get(key), f"{self.pointer}/{key}")

    def children(self, key: str, *, most: int) -> list[Node]:
        raw = self.raw.get(key)
        if not isinstance(raw, list) or not raw:
            self.refuse(key, "Write a list with at least one entry.")
        if len(raw) > most:
            self.refuse(key, f"At most {most:,} entries; this has {len(raw):,}.")
        return [Node.of(part, f"{self.pointer}/{key}/{index}") for index, part in enumerate(raw)]

    def text(self, key: str, *, most: int = MAX_TEXT) -> str:
        raw = self.raw.get(key)
        if not isinstance(raw, str) or not raw.strip():
            self.refuse(key, "Write a text here.")
        if len(raw) > most:
            self.refuse(key, f"At most {most:,} characters; this has {len(raw):,}.")
        if "\x00" in raw or any("\ud800" <= char <= "\udfff" for char in raw):
            self.refuse(key, "The text has a character that cannot be stored. Remove it.")
        return raw

    def choice(self, key: str, known: Collection[str], *, default: str | None = None) -> str:
        raw = self.raw.get(key, default)
        if not isinstance(raw, str) or raw not in known:
            said = f"“{str(raw)[:60]}” is none of " if raw is not None else "Choose one of "
            self.refuse(key, f"{said}{', '.join(known)}.")
        return raw

    def flag(self, key: str) -> bool:
        raw = self.raw.get(key, False)
        if not isinstance(raw, bool):
            self.refuse(key, "Write true or false.")
        return raw

    def number(self, key: str) -> Decimal:
        return self.as_number(key, self.raw.get(key))

    def as_number(self, key: str, raw: Any) -> Decimal:
        if isinstance(raw, bool) or not isinstance(raw, (int, float)):
            self.refuse(key, "Write a number.")
        value = Decimal(str(raw))
        if not value.is_finite() or abs(value) >= _LARGEST:
            self.refuse(key, "Write a number of at most 15 digits.")
        return value

    def whole(self, key: str, *, least: int = 0, most: int = 1_000_000) -> int:
        raw = self.raw.get(key)
        if isinstance(raw, bool) or not isinstance(raw, int) or not least <= raw <= most:
            self.refuse(key, f"Write a whole number from {least:,} to {most:,}.")
        return raw

    def moment(self, key: str) -> datetime.datetime:
        """ISO 8601 with a zone, in UTC."""
        return self.as_moment(key, self.raw.get(key))

    def as_moment(self, key: str, raw: Any) -> datetime.datetime:
        try:
            moment = datetime.datetime.fromisoformat(raw) if isinstance(raw, str) else None
            moment = moment.astimezone(datetime.UTC) if moment is not None and moment.tzinfo else None
        except (ValueError, OverflowError):
            moment = None
        if moment is None:
            self.refuse(key, "Write a time with its zone, like 2026-03-01T14:30:00Z.")
        return moment

    def date(self, key: str, raw: Any) -> datetime.date:
        try:
            date = datetime.date.fromisoformat(raw) if isinstance(raw, str) and len(raw) == 10 else None
        except ValueError:
            date = None
        if date is None:
            self.refuse(key, "Write a date like 2026-03-01.")
        return date


def all_problems(attempts: Iterable[Any]) -> list[Any]:
    """The results of callables; Invalid with every problem of all of them where one raises."""
    results, problems = [], []
    for attempt in attempts:
        try:
            results.append(attempt())
        except Invalid as error:
            problems += error.problems
    if problems:
        raise Invalid(problems)
    return results
