"""Statements with their parameters beside them: what goes in comes out, whatever it holds."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from cdp.sql import ask, commit_with_these, run, together
from profiles.models import IdentifierType

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


# --- Together ----------------------------------------------------------------------------------------------------


def test_what_is_sent_together_is_answered_in_any_order() -> None:
    with together():
        numbers = ask("SELECT generate_series(1, %s)", [3], read=lambda rows: [one for (one,) in rows])
        written = ask("CREATE TEMP TABLE told ON COMMIT DROP AS SELECT %s::int AS one", [7])
        told = ask("SELECT one FROM told", [])
        assert told.value == [(7,)], "it sees what was sent before"
        late = ask("SELECT %s::text", ["late"])
    assert (numbers.value, written.value, late.value) == ([1, 2, 3], [], [("late",)])
    assert run("SELECT 1", []) == [(1,)]


def test_what_one_of_them_raises_is_raised_by_the_next_answer_or_at_the_end() -> None:
    kind = IdentifierType.objects.values_list("name", flat=True)[0]
    again = "INSERT INTO profiles_identifiertype (name) VALUES (%s)"
    with pytest.raises(IntegrityError, match="null value|duplicate key"), transaction.atomic(), together():
        ask(again, [kind])
        ask("SELECT 1", []).value  # noqa: B018
        raise AssertionError("unreachable")
    with pytest.raises(DataError, match="invalid input syntax"), transaction.atomic(), together():
        ask("SELECT %s::text::int", ["seven"])
        ask("SELECT 1", [])
    assert run("SELECT 1", []) == [(1,)], "the transaction around goes on"


def test_a_statement_is_planned_once() -> None:
    statement = "SELECT count(*) FROM unnest(%b::int[]) AS planned_once"
    plans = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%% AS planned_once'"
    for _ in range(5):
        assert run(statement, [[1, 2, None]]) == [(3,)]
    assert run(plans, []) == [(1,)]


@pytest.mark.django_db(transaction=True)
def test_a_commit_goes_out_with_the_statements_before_it() -> None:
    ended: list[str] = []
    make = "INSERT INTO profiles_eventname (name) VALUES (%s)"
    with transaction.atomic():
        transaction.on_commit(lambda: ended.append("committed"))
        with together():
            ask(make, ["Waved"])
            commit_with_these()
        assert _seen_by_others() == ["Waved"]
        assert not ended
    assert ended == ["committed"]
    with pytest.raises(IntegrityError, match="duplicate key"), transaction.atomic():
        transaction.on_commit(lambda: ended.append("never"))
        with together():
            ask(make, ["Nodded"])
            ask(make, ["Waved"])
            commit_with_these()
    assert _seen_by_others() == ["Waved"]
    assert ended == ["committed"]
    assert run("SELECT 1", []) == [(1,)], "the connection goes on"


@pytest.mark.django_db(transaction=True)
def test_a_commit_waits_for_the_transaction_around() -> None:
    with transaction.atomic():
        with transaction.atomic(), together():
            ask("INSERT INTO profiles_eventname (name) VALUES (%s)", ["Waved"])
            commit_with_these()
        assert _seen_by_others() == []
    assert _seen_by_others() == ["Waved"]


def _seen_by_others() -> list[str]:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT name FROM profiles_eventname WHERE name IN ('Waved', 'Nodded')")
            return [name for (name,) in cursor]
    finally:
        other.close()
