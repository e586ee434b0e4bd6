"""Values, windows and comparisons of rules, read in the plainest way. Nothing here uses the code under test."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("UTC")


def plain(text: str) -> str:
    kept = "".join(char for char in unicodedata.normalize("NFKD", text) if not "\u0300" <= char <= "\u036f")
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in kept)


def number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", value, re.ASCII):
        return None
    if not isinstance(value, (str, int, float)):
        return None
    return Decimal(str(value)).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def text_of(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{Decimal(str(value)):f}"
    return value if isinstance(value, str) else None


def compare(
    kind: str, op: str, have: Any, wanted: Any, now: datetime.datetime, exactly: bool = False
) -> bool:
    """False where the value is unknown or does not fit the type."""
    if kind == "text":
        text = text_of(have)
        if text is None:
            return False
        fold: Callable[[str], str] = (lambda value: value) if exactly else plain
        wishes = [fold(one) for one in (wanted if isinstance(wanted, list) else [wanted])]
        mine = fold(text)
        return {
            "eq": mine in wishes,
            "in": mine in wishes,
            "ne": mine not in wishes,
            "not_in": mine not in wishes,
            "contains": wishes[0] in mine,
            "not_contains": wishes[0] not in mine,
            "starts": mine.startswith(wishes[0]),
            "ends": mine.endswith(wishes[0]),
        }[op]
    if kind == "boolean":
        return isinstance(have, bool) and have == wanted
    if kind == "number":
        mine_number = number(have)
        return mine_number is not None and order(op, mine_number, wanted, number)
    if have is None:
        return False
    if kind == "date":
        day = day_of(have)
        if day is None:
            return False
        return compare_day(op, day, wanted, now)
    moment = moment_of(have)
    if moment is None:
        return False
    if op in ("in_last", "in_next"):
        delta = span(wanted)
        return now - delta < moment <= now if op == "in_last" else now < moment <= now + delta
    return order(op, moment, wanted, datetime.datetime.fromisoformat)


def moment_of(value: Any) -> datetime.datetime | None:
    if isinstance(value, datetime.datetime) or not isinstance(value, str):
        return value if isinstance(value, datetime.datetime) else None
    for written in ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M%z"):
        try:
            return datetime.datetime.strptime(value, written)
        except ValueError:
            continue
    return None


def day_of(value: Any) -> datetime.date | None:
    if isinstance(value, datetime.date) or not isinstance(value, str):
        return value if isinstance(value, datetime.date) else None
    try:
        return datetime.datetime.strptime(value, "%Y-%m-%d").date()
    except ValueError:
        return None


def order(op: str, mine: Any, wanted: Any, read: Callable[[Any], Any]) -> bool:
    wishes = [read(one) for one in (wanted if isinstance(wanted, list) else [wanted])]
    first = wishes[0]
    return bool(
        {
            "eq": mine == first,
            "ne": mine != first,
            "in": mine in wishes,
            "not_in": mine not in wishes,
            "gt": mine > first,
            "after": mine > first,
            "gte": mine >= first,
            "lt": mine < first,
            "before": mine < first,
            "lte": mine <= first,
            "between": first <= mine <= wishes[-1],
        }[op]
    )


def compare_day(op: str, day: datetime.date, wanted: Any, now: datetime.datetime) -> bool:
    today = now.astimezone(ZONE).date()
    if op == "anniversary":
        for ahead in range(wanted["days"] + 1):
            then = today + datetime.timedelta(days=ahead)
            if (then.month, then.day) == (day.month, day.day):
                return True
            is_common = (then + datetime.timedelta(days=1)).day == 1
            if (day.month, day.day) == (2, 29) and (then.month, then.day) == (2, 28) and is_common:
                return True
        return False
    if op in ("in_last", "in_next"):
        ago = (today - day).days
        return 0 <= ago < wanted["days"] if op == "in_last" else 0 <= -ago <= wanted["days"]
    return order(op, day, wanted, datetime.date.fromisoformat)


def span(written: dict[str, int]) -> datetime.timedelta:
    return datetime.timedelta(**written)


def in_window(at: datetime.datetime, within: dict[str, Any] | None, now: datetime.datetime) -> bool:
    if at > now:
        return False
    if not within:
        return True
    if "after" in within or "before" in within:
        after, before = within.get("after"), within.get("before")
        if after and at < datetime.datetime.fromisoformat(after):
            return False
        return not (before and at >= datetime.datetime.fromisoformat(before))
    ((unit, amount),) = within.items()
    if isinstance(amount, list):
        return now - span({unit: amount[1]}) < at <= now - span({unit: amount[0]})
    return now - span({unit: amount}) < at


def overlaps(
    begin: datetime.datetime,
    end: datetime.datetime | None,
    within: dict[str, Any] | None,
    now: datetime.datetime,
) -> bool:
    """Whether a moment of ``[begin, end)`` is in the window: looked at second by second around each edge."""
    edges = [begin, now, *([end] if end else [])]
    for value in (within or {}).values():
        if isinstance(value, str):
            edges.append(datetime.datetime.fromisoformat(value))
            continue
        ((unit, _),) = (within or {}).items()
        amounts = value if isinstance(value, list) else [value]
        edges += [now - span({unit: amount}) for amount in amounts]
    moments = {edge + datetime.timedelta(microseconds=shift) for edge in edges for shift in (-1, 0, 1)}
    # A stay that ended as it began has that one moment.
    return any(
        in_window(at, within, now) and begin <= at and (end is None or at < end or begin == at)
        for at in moments
    )
