"""Spans of time, windows and numbers of times as inputs of the builder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segments.comparison import DATETIME, NUMBER
from segments.form.fields import Control, Field, Option, Posted, Raw
from segments.form.values import as_input, typed
from segments.moments import CALENDAR, UNITS

if TYPE_CHECKING:
    from segments.form.suggestions import Suggestions

UNIT_OPTIONS = tuple(Option(unit, unit) for unit in UNITS)
_EVER, _LAST, _AGO, _FIXED, _WORD = "", "last", "ago", "fixed", "word"
_MODES = (
    Option(_EVER, "at any time"),
    Option(_LAST, "in the last"),
    Option(_AGO, "between … ago"),
    Option(_WORD, "on days of the calendar"),
    Option(_FIXED, "between fixed times"),
)


def duration_texts(value: Any) -> tuple[str, str]:
    """Unit and amount of ``{"days": 7}``, as texts."""
    if isinstance(value, dict):
        for unit in UNITS:
            if unit in value:
                return unit, as_input(value[unit], NUMBER)
    return "days", ""


@dataclass(frozen=True)
class DurationField(Field):
    """``{"hours": 3}``. ``question``: an input that says whether it is there at all."""

    before: str = ""
    is_optional: bool = False

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        unit, amount = duration_texts(raw.get(self.name))
        yield Control(f"{self.name}-amount", self.label, "number", amount, key=self.name, before=self.before)
        yield Control(f"{self.name}-unit", f"{self.label}: unit", "select", unit, UNIT_OPTIONS, self.name)

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        amount = posted.get(f"{self.name}-amount").strip()
        if amount or not self.is_optional:
            raw[self.name] = {posted.get(f"{self.name}-unit") or "days": typed(amount, NUMBER)}


@dataclass(frozen=True)
class WindowField(Field):
    """When something happened: ever, in the last so many days, that long ago, on days of the calendar, between fixed times."""

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        name, value = self.name, raw.get(self.name)
        value = value if isinstance(value, dict) else {}
        mode, key = _mode(value), self.name
        yield Control(f"{name}-mode", self.label, "select", mode, _MODES, key, reshapes=True)
        if mode in (_LAST, _AGO):
            unit = next(unit for unit in UNITS if unit in value)
            amounts = value[unit] if isinstance(value[unit], list) else [value[unit]]
            texts = [as_input(amount, NUMBER) for amount in amounts]
            if mode == _AGO:
                yield Control(f"{name}-least", "At least so long ago", "number", texts[0], key=key)
                yield Control(
                    f"{name}-amount", "At most so long ago", "number", texts[-1], key=key, before="to"
                )
            else:
                yield Control(f"{name}-amount", "How long", "number", texts[0], key=key)
            after = "ago" if mode == _AGO else ""
            yield Control(f"{name}-unit", "Unit", "select", unit, UNIT_OPTIONS, key, after=after)
        elif mode == _WORD:
            options = [Option(word, label) for word, label in CALENDAR.items()]
            yield Control(
                f"{name}-word", "Days", "select", str(value["calendar"]), options, key, after=suggestions.zone
            )
        elif mode == _FIXED:
            for part, label, before in (("after", "From", ""), ("before", "Before", "to")):
                text = as_input(value.get(part), DATETIME)
                after = suggestions.zone if part == "before" else ""
                yield Control(f"{name}-{part}", label, "moment", text, key=key, before=before, after=after)

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        mine = posted.of(self.name)
        value = _read_window(mine)
        if value is not None:
            raw[self.name] = value


def _mode(value: Raw) -> str:
    if "calendar" in value:
        return _WORD
    if any(unit in value for unit in UNITS):
        return _AGO if any(isinstance(value.get(unit), list) for unit in UNITS) else _LAST
    return _FIXED if "after" in value or "before" in value else _EVER


def _read_window(posted: Posted) -> Raw | None:
    unit = posted.get("unit") or "days"
    match posted.get("mode"):
        case "last":
            return {unit: typed(posted.get("amount"), NUMBER) if "amount" in posted else 7}
        case "ago":
            most = typed(posted.get("amount"), NUMBER) if "amount" in posted else 14
            return {unit: [typed(posted.get("least"), NUMBER) if "least" in posted else 7, most]}
        case "word":
            return {"calendar": posted.get("word") or "today"}
        case "fixed":
            fixed = {part: typed(posted.get(part), DATETIME) for part in ("after", "before")}
            # Nothing is given yet: the place of the first one is kept.
            return {part: value for part, value in fixed.items() if value} or {"after": ""}
    return None


NEVER = "never"
_COUNTS = (
    Option("gte", "at least"),
    Option(NEVER, "never"),
    Option("eq", "exactly"),
    Option("lte", "at most"),
    Option("gt", "more than"),
    Option("lt", "fewer than"),
    Option("ne", "not exactly"),
    Option("between", "between"),
)


@dataclass(frozen=True)
class CountField(Field):
    """``{"op": "gte", "value": 3}``: how many times; *never* is exactly none."""

    after: str = "times"

    def controls(self, raw: Raw, suggestions: Suggestions) -> Iterator[Control]:
        name, count = self.name, raw.get(self.name)
        count = count if isinstance(count, dict) else {"op": "gte", "value": 1}
        op, value = str(count.get("op", "gte")), count.get("value")
        if op == "eq" and value == 0:
            op = NEVER
        yield Control(f"{name}-op", self.label, "select", op, _COUNTS, name, reshapes=True)
        if op == NEVER:
            return
        values = value if isinstance(value, list) else [value]
        texts = [as_input(item, NUMBER) for item in values]
        if op == "between":
            yield Control(f"{name}-low", "From", "number", texts[0], key=name)
            high = texts[1] if len(texts) > 1 else ""
            yield Control(f"{name}-high", "To", "number", high, key=name, before="and", after=self.after)
        else:
            yield Control(f"{name}-value", "How many times", "number", texts[0], key=name, after=self.after)

    def read(self, posted: Posted, raw: Raw, suggestions: Suggestions) -> None:
        mine = posted.of(self.name)
        op = mine.get("op") or "gte"
        single = mine.get("value") if "value" in mine else mine.get("low") or "1"
        if op == NEVER:
            raw[self.name] = {"op": "eq", "value": 0}
        elif op == "between":
            low = mine.get("low") if "low" in mine else single
            raw[self.name] = {"op": op, "value": [typed(low, NUMBER), typed(mine.get("high"), NUMBER)]}
        else:
            raw[self.name] = {"op": op, "value": typed(single, NUMBER)}
