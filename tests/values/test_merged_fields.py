"""How two values of a field become one; no database."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.values.merged_fields import combine, is_empty, loaded, stored_value

values = st.one_of(
    st.none(),
    st.just(""),
    st.text(max_size=3),
    st.booleans(),
    st.integers(),
    st.lists(st.text(max_size=2), unique=True),
)
sides = st.sampled_from([None, "winner", "loser"])


@pytest.mark.parametrize(
    ("winner", "loser", "choice", "value", "rule"),
    [
        ("Ann", "Anna", None, "Ann", "winner"),
        ("Ann", "Anna", "loser", "Anna", "choice"),
        ("Ann", "Anna", "winner", "Ann", "choice"),
        ("Ann", "Ann", "loser", "Ann", "same"),
        (None, "Anna", None, "Anna", "fill"),
        ("", "Anna", None, "Anna", "fill"),
        (None, "Anna", "winner", None, "choice"),
        ("Ann", None, "loser", "Ann", "winner"),
        (None, "", None, None, "same"),
        (False, True, None, False, "winner"),
        (0, 5, None, 0, "winner"),
        (["tea"], ["jam", "tea"], None, ["tea", "jam"], "union"),
        (["tea"], ["jam"], "loser", ["jam"], "choice"),
        ([], ["jam"], None, ["jam"], "fill"),
    ],
)
def test_the_rules(winner: Any, loser: Any, choice: str | None, value: Any, rule: str) -> None:
    outcome = combine("city", winner, loser, choice)
    assert (outcome.value, outcome.rule) == (value, rule)


def test_first_and_last_seen_span_both() -> None:
    early, late = (datetime.datetime(2025, month, 1, tzinfo=datetime.UTC) for month in (1, 2))
    assert combine("first_seen_at", late, early).value == early
    assert combine("last_seen_at", early, late, "winner").value == late
    assert combine("last_seen_at", None, late).value == late
    assert combine("last_seen_at", None, None).value is None
    assert loaded("last_seen_at", stored_value(late)) == late
    assert loaded("birth_date", stored_value("1990-02-28")) == "1990-02-28"


@given(values, values, sides)
def test_a_merge_never_empties_a_field_nor_makes_a_value_up(
    winner: Any, loser: Any, choice: str | None
) -> None:
    result = combine("city", winner, loser, choice).value
    if not is_empty(winner):
        assert not is_empty(result)
    if isinstance(result, list):
        known = [item for side in (winner, loser) if isinstance(side, list) for item in side]
        assert all(item in known for item in result)
    else:
        assert result in (winner, loser)
    # Merging the same loser once more changes nothing.
    assert combine("city", result, loser, choice).value == result
