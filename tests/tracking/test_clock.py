"""Client clocks: every spelling of a time SDKs send, skew taken out, nothing in the future."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.tracking.parse.clock import ItemTime, occurred_at, parse_time, timestamp_of

UTC = datetime.UTC
NOW = datetime.datetime(2024, 6, 1, 12, 0, 0, tzinfo=UTC)
THEN = datetime.datetime(2024, 1, 5, 10, 10, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "raw",
    [
        "2024-01-05T10:10:10Z",
        "2024-01-05T10:10:10.000Z",
        "2024-01-05T10:10:10.000000+00:00",
        "2024-01-05T10:10:10.000000000Z",
        "2024-01-05T12:10:10+02:00",
        "2024-01-05T12:10:10+0200",
        "2024-01-05T05:10:10.000-05:00",
        "2024-01-05T10:10:10",
        "2024-01-05 10:10:10",
        " 2024-01-05T10:10:10Z ",
        "2024-01-05t10:10:10z",
        "2024-01-05 10:10:10 UTC",
        "2024-01-05 12:10:10 +0200",
        "2024-01-05T11:10:10+01:00[Europe/Berlin]",
        "20240105T101010Z",
        "Fri, 05 Jan 2024 10:10:10 GMT",
        "Fri, 05 Jan 2024 12:10:10 +0200",
        "Fri Jan 05 2024 11:10:10 GMT+0100 (Central European Standard Time)",
        1704449410,
        1704449410.0,
        1704449410000,
        1704449410000000,
        1704449410000000000,
        "1704449410",
        "1704449410000",
    ],
)
def test_every_spelling_of_one_moment(raw: Any) -> None:
    assert parse_time(raw) == THEN
    assert parse_time(raw).tzinfo is UTC


def test_decimals_and_days() -> None:
    assert parse_time("2024-01-05T10:10:10.123456Z") == THEN.replace(microsecond=123456)
    assert parse_time(1704449410123) == THEN.replace(microsecond=123000)
    assert parse_time("2024-01-05") == parse_time("20240105") == datetime.datetime(2024, 1, 5, tzinfo=UTC)
    # Thirteen digits are milliseconds, though they could be read as a day in 1712.
    assert parse_time("1712051700000") == datetime.datetime(2024, 4, 2, 9, 55, tzinfo=UTC)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "yesterday",
        "2024-13-01T00:00:00Z",
        "31/02/2024",
        True,
        [],
        {},
        float("nan"),
        10**400,
        "٣",
        "9" * 99,
    ],
)
def test_what_is_no_time(raw: Any) -> None:
    assert parse_time(raw) is None
    assert occurred_at(received_at=NOW, timestamp=raw) == ItemTime(NOW, bad=("timestamp",))


def ago(**delta: float) -> str:
    return (NOW - datetime.timedelta(**delta)).isoformat()


def test_a_right_clock_is_left_alone() -> None:
    at = NOW - datetime.timedelta(hours=1)
    assert occurred_at(received_at=NOW, timestamp=ago(hours=1)) == ItemTime(at)
    assert occurred_at(received_at=NOW, timestamp=ago(hours=1), sent_at=ago(seconds=59)) == ItemTime(at)
    assert occurred_at(received_at=NOW) == ItemTime(NOW)


def test_skew_is_taken_out() -> None:
    """A clock a day behind, another a day ahead: both were 30 seconds from happening to sending."""
    at = NOW - datetime.timedelta(seconds=30)
    for hours in (24, -24):
        moment = occurred_at(
            received_at=NOW, timestamp=ago(hours=hours, seconds=30), sent_at=ago(hours=hours)
        )
        assert moment == ItemTime(at, ("skewed",))
    # A device that thinks it is 1970 is right about how long ago.
    moment = occurred_at(received_at=NOW, timestamp="1969-12-31T23:59:00Z", sent_at="1970-01-01T00:00:00Z")
    assert moment == ItemTime(NOW - datetime.timedelta(minutes=1), ("skewed",))


def test_late_and_future_are_kept_and_marked() -> None:
    assert occurred_at(received_at=NOW, timestamp=ago(days=3)) == ItemTime(
        NOW - datetime.timedelta(days=3), ("late",)
    )
    assert occurred_at(received_at=NOW, timestamp=ago(hours=24)).marks == ()
    assert occurred_at(received_at=NOW, timestamp=ago(hours=-2)) == ItemTime(NOW, ("future",))
    # A few seconds ahead is an ordinary clock.
    assert occurred_at(received_at=NOW, timestamp=ago(seconds=-5)) == ItemTime(NOW)


def test_absurd_times() -> None:
    for raw in ("1969-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", -1):
        assert occurred_at(received_at=NOW, timestamp=raw) == ItemTime(NOW, bad=("timestamp",))
    assert occurred_at(received_at=NOW, timestamp="9999-12-31T23:59:59Z") == ItemTime(NOW, ("future",))
    moment = occurred_at(received_at=NOW, timestamp="0001-01-02T00:00:00Z", sent_at="9999-12-31T00:00:00Z")
    assert moment == ItemTime(NOW, bad=("timestamp",))
    moment = occurred_at(received_at=NOW, timestamp=ago(hours=1), sent_at="never")
    assert moment == ItemTime(NOW - datetime.timedelta(hours=1), bad=("sentAt",))


_times = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=40),
    st.datetimes(timezones=st.sampled_from([UTC, None, datetime.timezone(datetime.timedelta(hours=-9))])).map(
        datetime.datetime.isoformat
    ),
    st.lists(st.integers(), max_size=2),
)


@given(timestamp=_times, sent_at=_times)
def test_never_raises_never_in_the_future_always_aware(timestamp: Any, sent_at: Any) -> None:
    moment = occurred_at(received_at=NOW, timestamp=timestamp, sent_at=sent_at)
    assert moment.at.tzinfo is not None
    assert datetime.datetime(1970, 1, 1, tzinfo=UTC) <= moment.at <= NOW


def test_a_time_told_of_the_past_goes_before_the_moment_of_the_call() -> None:
    """Some SDKs send both: when they were called, and what they were told."""
    arrived = datetime.datetime(2024, 6, 1, 12, tzinfo=datetime.UTC)
    now, past, fast = "2024-06-01T12:00:00Z", "2023-01-01T08:00:00Z", "2024-06-01T14:00:00Z"

    def chosen(original: object, given: object, sent_at: object) -> object:
        return timestamp_of(original, given, sent_at=sent_at, received_at=arrived)

    assert chosen(now, past, now) == past
    assert chosen(fast, past, fast) == past  # on a machine whose clock is two hours fast
    assert chosen(fast, now, fast) == fast  # here the second is the first, corrected by a server
    assert chosen(past, now, now) == past
    assert chosen(now, None, now) == now
    assert chosen(None, past, None) == past
    assert chosen(now, "soon", now) == now
