"""Random parts: the same at any time, of the right size, independent by salt, and alike in SQL and in Python."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.db import connection

from segments.conditions.split import PRIME, part_of
from segments.query import RuleQuery
from tests.profile_factory import make_profile
from tests.segments.asked import actual, is_in, problems, read, words

PEOPLE = 100_000


def split(first: int, end: int, of: int = 100, salt: str = "spring sale") -> dict[str, Any]:
    return {"split": {"of": of, "from": first, "to": end, "salt": salt}}


def test_the_share_is_right_and_salts_are_independent() -> None:
    """Of 100,000 profiles numbered one after another, within four per mille; of those of every third number as well."""
    for step in (1, 3):
        spring = [part_of(pk * step, 100, "spring sale") for pk in range(1, PEOPLE + 1)]
        autumn = [part_of(pk * step, 100, "autumn") for pk in range(1, PEOPLE + 1)]
        for share in (10, 50, 90):
            assert abs(sum(part < share for part in spring) - share * PEOPLE // 100) < 400
        both = sum(one < 50 and other < 50 for one, other in zip(spring, autumn, strict=True))
        assert abs(both - PEOPLE // 4) < 400
        assert set(Counter(spring)) == set(range(100))


def test_parts_stay_as_they_are() -> None:
    """Whoever was in a hold-out must be in it after every upgrade."""
    assert [part_of(pk, 100, "spring sale") for pk in (1, 2, 3, 10**6, PRIME, 2**62)] == [
        75,
        82,
        55,
        1,
        42,
        75,
    ]


@pytest.mark.django_db
def test_sql_computes_the_same() -> None:
    for pk in (1, 2, 77, PRIME - 1, PRIME, PRIME + 1, 2**40, 2**63 - 1):
        part = part_of(pk, 7, "ł")
        query = RuleQuery()
        condition = read(split(part, part + 1, of=7, salt="ł")).leaves[0].condition
        text = f"SELECT {condition.sql(query).sql(dialect='postgres')} FROM (SELECT {pk}::bigint AS id) p"
        with connection.cursor() as cursor:
            cursor.execute(text, {name: bind(None) for name, bind in query.binds.items()})  # type: ignore[arg-type]
            assert cursor.fetchone() == (True,), pk


@pytest.mark.django_db
def test_somebody_is_in_one_of_two_halves_for_ever() -> None:
    ann = make_profile(first_name="Ann")
    halves = [split(0, 50), split(50, 100)]
    assert sorted(is_in(ann, half, "10:00") for half in halves) == [False, True]
    assert [is_in(ann, half, "10:00") for half in halves] == [
        is_in(ann, half, "+90 10:00") for half in halves
    ]
    assert is_in(ann, split(0, 100), "10:00")
    assert actual(ann, halves[0], "10:00") == f"is in part {part_of(ann.pk, 100, 'spring sale')}"


@pytest.mark.django_db
def test_words_and_what_is_refused() -> None:
    assert words(split(0, 50)) == "is among 50 of 100 random parts (0 to 49 by “spring sale”)"
    assert words(split(3, 4, of=10)) == "is among 1 of 10 random parts (3 by “spring sale”)"
    assert problems(split(50, 50)) == [
        (
            "/all/0/split/to",
            "This number must be larger than “from”: the part it names is the first that is out.",
        )
    ]
    assert problems({"split": {"of": 4, "from": 4, "to": 5, "salt": " "}}) == [
        ("/all/0/split/from", "Write a whole number from 0 to 3."),
        ("/all/0/split/to", "Write a whole number from 1 to 4."),
        ("/all/0/split/salt", "Write a text here."),
    ]
