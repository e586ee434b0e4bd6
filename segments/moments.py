"""The moment of an evaluation and spans of time of a rule → bounds, breakpoints and words. Pure.

A window is half-open: ``(now − W, now]``, to the second. Calendar words count in the zone of the workspace.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from segments.nodes import Node

UNITS = {"minutes": 60, "hours": 3_600, "days": 86_400}
# Three years in each unit; beyond, a fixed time says what is meant.
LONGEST_SECONDS = 3 * 366 * 86_400
CALENDAR = {
    "today": "today",
    "yesterday": "yesterday",
    "this_week": "this week",
    "last_week": "last week",
    "this_month": "this month",
    "last_month": "last month",
    "this_year": "this year",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """As of when a rule is evaluated: ``now`` in UTC by the database's clock, ``zone`` of the workspace."""

    now: datetime.datetime
    zone: ZoneInfo

    @property
    def today(self) -> datetime.date:
        return self.now.astimezone(self.zone).date()

    def midnight(self, day: datetime.date) -> datetime.datetime:
        """When the day begins in the zone, in UTC; where the clock skips midnight, the first moment after."""
        local = datetime.datetime.combine(day, datetime.time(), self.zone)
        return local.astimezone(datetime.UTC)

    def at(self, now: datetime.datetime) -> Moment:
        return Moment(now, self.zone)


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time as it was written: ``Duration(14, "days")``."""

    amount: int
    unit: str

    @property
    def seconds(self) -> int:
        return self.amount * UNITS[self.unit]

    @property
    def delta(self) -> datetime.timedelta:
        return datetime.timedelta(seconds=self.seconds)

    @property
    def json(self) -> dict[str, int]:
        return {self.unit: self.amount}

    @property
    def words(self) -> str:
        """“1 day”, “3 hours”."""
        return f"{self.amount:,} {self.unit[:-1] if self.amount == 1 else self.unit}"


def read_duration(node: Node, *, most_seconds: int = LONGEST_SECONDS) -> Duration:
    """``{"days": 1}``. Raises Invalid."""
    node.only(*UNITS)
    if len(node.raw) != 1:
        node.refuse("", "Give one of minutes, hours and days.")
    (unit,) = node.raw
    return Duration(node.whole(unit, least=1, most=most_seconds // UNITS[unit]), unit)


@dataclass(frozen=True, slots=True)
class Bounds:
    """``start < t <= end`` of the moments that count; None is open. ``with_start``, ``before_end``: ``>=`` and ``<`` instead."""

    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    with_start: bool = False
    before_end: bool = False

    def hold(self, moment: datetime.datetime) -> bool:
        if self.start is not None and (moment < self.start if self.with_start else moment <= self.start):
            return False
        return self.end is None or (moment < self.end if self.before_end else moment <= self.end)

    def overlap(self, begin: datetime.datetime, until: datetime.datetime | None) -> bool:
        """Whether a moment of ``[begin, until)`` counts; None goes on."""
        if until is not None and self.start is not None and until <= self.start:
            return False
        return self.end is None or (begin < self.end if self.before_end else begin <= self.end)


@dataclass(frozen=True, slots=True)
class Window:
    """When something must have happened. One of: ever; ``last`` (and not within ``skip``); fixed times; a calendar word."""

    last: Duration | None = None
    skip: Duration | None = None
    after: datetime.datetime | None = None
    before: datetime.datetime | None = None
    calendar: str = ""

    @property
    def is_calendar(self) -> bool:
        return bool(self.calendar)

    def bounds(self, moment: Moment) -> Bounds:
        """What counts as of the moment: never what is still to come."""
        now = moment.now
        if self.calendar:
            first, last = calendar_days(self.calendar, moment.today)
            end = moment.midnight(last + datetime.timedelta(days=1))
            start = moment.midnight(first)
            return (
                Bounds(start, end, with_start=True, before_end=True)
                if end <= now
                else Bounds(start, now, with_start=True)
            )
        if self.last:
            end = now - self.skip.delta if self.skip else now
            return Bounds(now - self.last.delta, end)
        if self.before is not None and self.before <= now:
            return Bounds(self.after, self.before, with_start=True, before_end=True)
        return Bounds(self.after, now, with_start=True)

    @property
    def offsets(self) -> tuple[datetime.timedelta, datetime.timedelta | None]:
        """How long after it happened something begins to count, and ceases to; None: never."""
        return (
            self.skip.delta if self.skip else datetime.timedelta(),
            self.last.delta if self.last else None,
        )

    def breakpoints(self, happened: datetime.datetime) -> Iterator[datetime.datetime]:
        """The moments at which time changes whether something that happened then counts."""
        begins, ends = self.offsets
        yield happened + begins
        if ends is not None:
            yield happened + ends

    @property
    def json(self) -> dict[str, Any]:
        if self.calendar:
            return {"calendar": self.calendar}
        if self.last and self.skip:
            return {self.last.unit: [self.skip.amount, self.last.amount]}
        if self.last:
            return self.last.json
        fixed = {"after": self.after, "before": self.before}
        return {key: value.isoformat().replace("+00:00", "Z") for key, value in fixed.items() if value}

    @property
    def words(self) -> str:
        """“in the last 1 day”, “7 to 14 days ago”, “since 2026-03-01 00:00 UTC”; empty for ever."""
        if self.calendar:
            return CALENDAR[self.calendar]
        if self.last and self.skip:
            return f"{self.skip.amount:,} to {self.last.words} ago"
        if self.last:
            return f"in the last {self.last.words}"
        parts = []
        if self.after:
            parts.append(f"since {self.after:%Y-%m-%d %H:%M} UTC")
        if self.before:
            parts.append(f"before {self.before:%Y-%m-%d %H:%M} UTC")
        return " and ".join(parts)


EVER = Window()


def read_window(node: Node) -> Window:
    """``{"days": 1}``, ``{"days": [7, 14]}`` (that long ago), ``{"after", "before"}`` or ``{"calendar": "today"}``."""
    node.only(*UNITS, "after", "before", "calendar")
    if "calendar" in node:
        if len(node.raw) > 1:
            node.refuse("calendar", "A calendar word stands alone.")
        return Window(calendar=node.choice("calendar", tuple(CALENDAR)))
    if "after" in node or "before" in node:
        return _read_fixed(node)
    if len(node.raw) != 1:
        node.refuse("", "Give one of minutes, hours, days, or after and before, or a calendar word.")
    (unit,) = node.raw
    if not isinstance(node.raw[unit], list):
        return Window(last=read_duration(node))
    return _read_between(node, unit)


def read_optional_window(node: Node) -> Window:
    """What stands under ``within``; ever where nothing does. Raises Invalid."""
    return read_window(node.child("within")) if node.raw.get("within") is not None else EVER


def _read_between(node: Node, unit: str) -> Window:
    raw = node.raw[unit]
    if len(raw) != 2:
        node.refuse(unit, "Write two numbers: not within the first, but within the second.")
    pair = Node({"from": raw[0], "to": raw[1]}, f"{node.pointer}/{unit}")
    least = pair.whole("from", least=1, most=LONGEST_SECONDS // UNITS[unit])
    most = pair.whole("to", least=1, most=LONGEST_SECONDS // UNITS[unit])
    if least >= most:
        node.refuse(unit, "The first number must be smaller than the second.")
    return Window(last=Duration(most, unit), skip=Duration(least, unit))


def _read_fixed(node: Node) -> Window:
    if any(unit in node for unit in UNITS):
        node.refuse("", "Give a length of time or fixed times, not both.")
    after = node.moment("after") if "after" in node else None
    before = node.moment("before") if "before" in node else None
    if after and before and after >= before:
        node.refuse("before", "This time must be later than the other one.")
    return Window(after=after, before=before)


def calendar_days(word: str, today: datetime.date) -> tuple[datetime.date, datetime.date]:
    """The first and the last day of a calendar word; weeks begin on Monday."""
    day = datetime.timedelta(days=1)
    monday = today - today.weekday() * day
    first = today.replace(day=1)
    days = {
        "today": (today, today),
        "yesterday": (today - day, today - day),
        "this_week": (monday, monday + 6 * day),
        "last_week": (monday - 7 * day, monday - day),
        "this_month": (first, _month_end(first)),
        "last_month": ((first - day).replace(day=1), first - day),
        "this_year": (today.replace(month=1, day=1), today.replace(month=12, day=31)),
    }
    return days[word]


def _month_end(first: datetime.date) -> datetime.date:
    return (first.replace(day=28) + datetime.timedelta(days=4)).replace(day=1) - datetime.timedelta(days=1)
