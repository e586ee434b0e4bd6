"""Statements with their parameters beside them: what goes in comes out, whatever it holds."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import psycopg
import pytest
from django.db import DataError, IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from cdp.sql import ask, run, together
from profiles.models import IdentifierType

pytestmark = pytest.mark.django_db

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30)
MOMENTS = st.datetimes(min_value=datetime.datetime(1, 1, 2), max_value=datetime.datetime(9999, 12, 30)).map(
    lambda moment: moment.replace(tzinfo=datetime.UTC)
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
    rows = run(
        f"SELECT item FROM unnest(%b::{kind}[]) WITH ORDINALITY AS u (item, number) ORDER BY number", [values]
    )
    assert [item for (item,) in rows] == values


def test_quotes_braces_and_control_characters() -> None:
    values = ['"', "\\", '\\"', "{a,b}", "NULL", "null", "", "\n", "\t\\n", "é", "a,b", "\x7f", "\x01"]
    rows = run(
        "SELECT item FROM unnest(%(v)b::text[]) WITH ORDINALITY AS u (item, number) ORDER BY number",
        {"v": values},
    )
    assert [item for (item,) in rows] == values


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
        numbers = ask("SELECT generate_series(1, %s)", [3], read=lambda rows: [item for (item,) in rows])
        written = ask("CREATE TEMP TABLE sent ON COMMIT DROP AS SELECT %s::int AS number", [7])
        sent = ask("SELECT number FROM sent", [])
        assert sent.value == [(7,)], "it sees what was sent before"
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


def test_without_pipelines_statements_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg.capabilities, "has_pipeline", lambda: False)
    with together():
        first = ask("SELECT %s::int", [1])
        assert connection.connection.pgconn.pipeline_status == psycopg.pq.PipelineStatus.OFF
        second = ask("SELECT %s::int", [2])
    assert (second.value, first.value) == ([(2,)], [(1,)])


def test_statements_count_as_queries_of_django(django_assert_num_queries: Any) -> None:
    """Query-count tests see them. Fails when Django's cursor wrappers change."""
    with django_assert_num_queries(2) as captured, together():
        ask("SELECT %s::int", [1])
        ask("SELECT %b::text[]", [["a", "b"]])
    assert [query["sql"] for query in captured.captured_queries] == ["SELECT $1::int", "SELECT $1::text[]"]
