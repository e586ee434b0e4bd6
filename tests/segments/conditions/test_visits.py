"""Visits: parted by a pause of half an hour to the second, counted by when they began, with their length."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.models import Profile
from tests.profile_factory import make_profile
from tests.segments.asked import actual, clock, flips, happened, is_in, problems, stays, words

pytestmark = pytest.mark.django_db


def came(op: str, value: Any, **rest: Any) -> dict[str, Any]:
    return {"visits": {"op": op, "value": value}, **rest}


@pytest.fixture
def ann() -> Profile:
    return make_profile(first_name="Ann")


def visits(profile: Profile, **rest: Any) -> int:
    """How many there are at noon."""
    return next(number for number in range(9) if is_in(profile, came("eq", number, **rest), "12:00"))


def test_a_pause_of_half_an_hour(ann: Profile) -> None:
    assert visits(ann) == 0
    happened(ann, "View", "10:00", "10:29:59", "10:59:58")
    assert visits(ann) == 1
    happened(ann, "Buy", "11:29:58")
    assert visits(ann) == 2
    # Whatever it is called, on any of the merged profiles, in whatever order it came.
    other = make_profile(first_name="Anna")
    Profile.objects.filter(pk=other.pk).update(canonical=ann, status="merged")
    happened(other, "Home", "11:10", kind="page")
    assert visits(ann) == 1
    # What a server says about somebody is no visit.
    happened(ann, "", "08:00", kind="identify")
    assert visits(ann) == 1


def test_counted_by_when_they_began(ann: Profile) -> None:
    happened(ann, "View", "10:00", "10:20", "10:40", "11:30")
    hour = {"within": {"hours": 1}}
    assert stays(ann, came("gte", 1, **hour), "09:59:59", "10:00", "10:59:59", "11:00") == [
        False,
        True,
        True,
        False,
    ]
    # In the middle of a visit no other one begins.
    assert stays(ann, came("gte", 1, within={"minutes": 5}), "10:19", "10:20", "10:41") == [
        False,
        False,
        False,
    ]
    assert flips(ann, came("gte", 1, **hour), "11:00") == clock("11:30")
    assert flips(ann, came("gte", 1, **hour), "11:30") == clock("12:30")
    assert stays(ann, came("lte", 0, **hour), "11:29", "11:30") == [True, False]
    fixed = {"within": {"after": "2026-01-10T10:20:00Z"}}
    assert stays(ann, came("gte", 1, **fixed), "11:29", "11:30") == [False, True]


def test_length(ann: Profile) -> None:
    happened(ann, "View", "10:00", "10:05", "10:05:01", "11:00")
    long = came("gte", 1, longer_than={"minutes": 5})
    assert stays(ann, long, "10:05", "10:05:01", "12:00") == [False, True, True]
    assert flips(ann, long, "10:01") == clock("10:05:01")
    # As long as it is until now, though it began before the window ended.
    skipped = came("gte", 1, within={"minutes": [2, 60]}, longer_than={"minutes": 5})
    assert stays(ann, skipped, "10:02", "10:05:01", "10:59", "11:00") == [False, True, True, False]
    assert actual(ann, long, "12:00") == "once, the last on 2026-01-10 10:00 UTC for 5 min"
    assert actual(ann, long, "10:01") == "never"


def test_words_and_what_is_refused() -> None:
    rule = came("gte", 3, within={"days": 30}, longer_than={"minutes": 5})
    assert words(rule) == "came at least 3 times in the last 30 days, for more than 5 minutes"
    assert words(came("eq", 0)) == "never came"
    assert problems(came("gte", -1, within={"days": [7]}, longer_than={"seconds": 1})) == [
        ("/all/0/visits/value", "Write a whole number from 0 to 1,000,000."),
        ("/all/0/within/days", "Write two numbers: not within the first, but within the second."),
        ("/all/0/longer_than/seconds", "“seconds” is not known here. Known: days, hours, minutes."),
    ]
