"""Statements with their parameters beside them: what goes in comes out, whatever it holds."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.sql import run

pytestmark = pytest.mark.django_db

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30)
MOMENTS = st.datetimes(min_value=datetime.datetime(1, 1, 2), max_value=datetime.datetime(9999, 12, 30)).map(
    lambda one: one.replace(tzinfo=datetime.UTC)
)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT,
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "uuid": st.uuids(),
    "timestamptz": MOMENTS,
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_arrays_come_back_as_they_were(kind: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | KINDS[kind], max_size=8))
    found = run(
        f"SELECT one FROM unnest(%b::{kind}[]) WITH ORDINALITY AS u (one, place) ORDER BY place", [values]
    )
    assert [one for (one,) in found] == values


def test_quotes_braces_and_control_characters() -> None:
    values = ['"', "\\", '\\"', "{a,b}", "NULL", "null", "", "\n", "\t\\n", "é", "a,b", "\x7f", "\x01"]
    found = run(
        "SELECT one FROM unnest(%(v)b::text[]) WITH ORDINALITY AS u (one, place) ORDER BY place",
        {"v": values},
    )
    assert [one for (one,) in found] == values


def test_a_time_is_read_in_utc() -> None:
    ((at, number),) = run("SELECT '2026-07-01 12:00+02'::timestamptz, %s::uuid", [uuid.UUID(int=7)])
    assert (at, at.utcoffset(), number) == (
        datetime.datetime(2026, 7, 1, 10, tzinfo=datetime.UTC),
        datetime.timedelta(0),
        uuid.UUID(int=7),
    )
