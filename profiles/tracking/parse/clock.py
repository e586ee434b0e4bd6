"""A client's timestamps and when the call arrived → when something happened, by our clock. Pure.

``receivedAt − (sentAt − timestamp)``: a clock that is wrong is wrong by the same amount when it sends, so the
time between happening and sending is right whatever it shows.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

UTC = datetime.UTC
# Clocks that differ by less are taken as right: the difference is mostly the way here.
TOLERANCE = datetime.timedelta(seconds=60)
LATE = datetime.timedelta(hours=24)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)

# JavaScript's Date.toString(): “Fri Jan 05 2024 10:10:10 GMT+0100 (CET)”.
_JS = re.compile(r"^\w{3} (\w{3}) (\d{1,2}) (\d{4}) (\d\d:\d\d:\d\d) (?:GMT|UTC)([+-]\d{4})?")
_NUMBER = re.compile(r"^-?[0-9]{1,19}(?:\.[0-9]{1,9})?$")
# What stands behind ISO times of Java and Ruby: “[Europe/Berlin]”, “ UTC”, “ +0200”.
_ZONE = re.compile(r"(?<!\s)\s*\[[^\[\]]*\]$")
_OFFSET = re.compile(r"(?<!\s)\s+(?=[+-]\d\d:?\d\d$)")
_NAMED = re.compile(r"(?<!\s)\s*(?:UTC|GMT|z)$")


# Made for every item of a call. Nobody changes one; freezing it would take three times as long.
@dataclass(slots=True)
class ItemTime:
    """``at`` is aware and not after the arrival. ``marks``: skewed, future, late. ``bad``: names not readable."""

    at: datetime.datetime
    marks: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()


def occurred_at(*, received_at: datetime.datetime, timestamp: Any = None, sent_at: Any = None) -> ItemTime:
    """When it happened, by our clock. Never raises, never after ``received_at``.

    Corrected by the client's skew from 60 s on; clamped where it is still in the future (marked from 60 s on).
    A time that cannot be read, or before 1970, is the arrival's, with its name in ``bad``.
    """
    if timestamp is None:
        return ItemTime(received_at)
    stamp = parse_time(timestamp)
    if stamp is None:
        return ItemTime(received_at, bad=("timestamp",))
    bad: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    if sent_at is not None:
        sent = parse_time(sent_at)
        if sent is None:
            bad = ("sentAt",)
        elif not -TOLERANCE < received_at - sent < TOLERANCE:
            try:
                stamp = received_at - (sent - stamp)
            except OverflowError:
                return ItemTime(received_at, bad=("timestamp",))
            marks = ("skewed",)
    if stamp > received_at:
        if stamp - received_at > TOLERANCE:
            marks = (*marks, "future")
        return ItemTime(received_at, marks, bad)
    if stamp < _EPOCH:
        return ItemTime(received_at, bad=(*bad, "timestamp"))
    if received_at - stamp > LATE:
        marks = (*marks, "late")
    return ItemTime(stamp, marks, bad)


def timestamp_of(original: Any, given: Any, *, sent_at: Any, received_at: datetime.datetime) -> Any:
    """Which of an item's two times, ``originalTimestamp`` and ``timestamp``, is when it happened.

    The first, where there is one. But some SDKs put there when the call was made, and the time
    the caller gave into the second: that is believed, unless it is the first one as a server has corrected it.
    """
    if not original or not given:
        return original or given
    called, given_time = parse_time(original), parse_time(given)
    if called is None or given_time is None or given_time >= called:
        return original
    sent = parse_time(sent_at)
    if sent is None or -TOLERANCE < received_at - sent < TOLERANCE:
        return given
    corrected = abs((received_at - given_time) - (sent - called)) < TOLERANCE
    return original if corrected else given


def parse_time(raw: Any) -> datetime.datetime | None:
    """A time in any form SDKs send, in UTC; None when it is none. Without an offset it is UTC.

    ISO 8601 with ``Z``, offsets and any number of decimals, dates alone, epoch seconds, milliseconds,
    microseconds or nanoseconds as number or text, RFC 2822, JavaScript's ``Date.toString()``.
    """
    if type(raw) is str:
        if raw[4:5] != "-":
            return _parse_other_form(raw)
        try:
            return _utc(datetime.datetime.fromisoformat(raw))
        except (ValueError, OverflowError):
            return _parse_other_form(raw)
    if type(raw) is int or type(raw) is float:
        return _epoch(raw)
    return None


def _parse_other_form(raw: str) -> datetime.datetime | None:
    """Forms that ``fromisoformat`` does not know. Digits go first: it would read 13 of them as a year 1712."""
    text = raw.strip()[:80]
    if _NUMBER.match(text) and len(text) != len("20240105"):
        return _epoch(float(text))
    for reader in (_iso, _js, parsedate_to_datetime):
        try:
            return _utc(reader(text))
        except (ValueError, OverflowError, TypeError, IndexError):
            continue
    return None


def _iso(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(
        _NAMED.sub("+00:00", _OFFSET.sub("", _ZONE.sub("", text))).replace("t", "T")
    )


def _js(text: str) -> datetime.datetime:
    match = _JS.match(text)
    if match is None:
        raise ValueError(text)
    month, day, year, clock, offset = match.groups()
    return datetime.datetime.strptime(
        f"{day} {month} {year} {clock} {offset or '+0000'}", "%d %b %Y %H:%M:%S %z"
    )


def _epoch(number: float) -> datetime.datetime | None:
    """By size: from 1973 on milliseconds have 12 digits, where seconds would be in the year 5138."""
    if number != number or abs(number) >= 1e20:
        return None
    while abs(number) >= 1e11:
        number /= 1000
    try:
        return _EPOCH + datetime.timedelta(seconds=number)
    except OverflowError:
        return None


def _utc(moment: datetime.datetime) -> datetime.datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
