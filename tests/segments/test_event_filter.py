"""Which events a rule means: what pages are called, types of properties, and properties that time alone changes."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.models import EventSchema, Profile
from segments.editing import publishable
from segments.vocabulary import Vocabulary
from tests.profile_factory import make_profile
from tests.segments.asked import clock, flips, happened, is_in, problems, read, stays, words

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> Profile:
    return make_profile(first_name="Ann")


@pytest.mark.parametrize(
    ("properties", "envelope", "called"),
    [
        ({"name": "Home"}, None, "Home"),
        # The call's own name wins; it is kept where the property differs.
        ({"name": "Start"}, {"name": "Home"}, "Home"),
        ({"name": ""}, {"name": 7, "rest": {"name": "Home"}}, "Home"),
        ({}, {"rest": "Home"}, ""),
        ({"title": "Home"}, {}, ""),
    ],
)
def test_what_pages_are_called(
    ann: Profile, properties: dict[str, Any], envelope: dict[str, Any] | None, called: str
) -> None:
    (event,) = happened(ann, "", "10:00", kind="page", properties=properties, envelope=envelope)
    assert event.page_name == called
    home = {"event": "Home", "kind": "page"}
    assert is_in(ann, home, "12:00") == (called == "Home")
    assert not is_in(ann, {"event": "Start", "kind": "page"}, "12:00")
    assert is_in(ann, {"event": "*", "kind": "page"}, "12:00")
    for other in ({"event": "*", "kind": "screen"}, {"event": "*"}, {"event": "page"}, {"event": "Home"}):
        assert not is_in(ann, other, "12:00"), other


def test_pages_before_the_first_one_is_there(ann: Profile) -> None:
    """Their name gets its id when a rule is published, so that the first page view is noticed."""
    rule = {
        "version": 1,
        "all": [
            {"event": "*", "kind": "screen"},
            {"sequence": [{"event": "A"}, {"event": "B"}], "no_longer_than": {"hours": 1}},
        ],
    }
    before = read(rule["all"][0]).reads
    assert (before.events, before.all_events) == (frozenset(), False)
    reads = publishable(rule, Vocabulary()).reads
    assert len(reads.events) == 3
    assert not reads.all_events
    assert len(happened(ann, "", "10:00", kind="screen")) == 1
    assert is_in(ann, rule["all"][0], "12:00")


def where(**filters: Any) -> dict[str, Any]:
    return {"event": "Booked", "where": [filters]}


def test_the_schema_says_what_a_property_is(ann: Profile) -> None:
    happened(ann, "Booked", "10:00", properties={"nights": "7", "rooms": [{"code": 12}], "free": "7"})
    EventSchema.objects.create(
        name="Booked",
        properties={
            "nights": {"type": "integer"},
            "rooms": {"type": "array", "items": {"code": {"type": "string"}}},
        },
    )
    assert is_in(ann, where(property="nights", value=7), "12:00")
    assert problems(where(property="nights", value="7")) == [("/all/0/where/0/value", "Write a number.")]
    for path in ("rooms.code", "rooms.*.code"):
        assert is_in(ann, where(property=path, value="12"), "12:00")
        assert problems(where(property=path, value=12)) == [("/all/0/where/0/value", "Write a text here.")]
    # Said otherwise by the rule, or by what it compares with.
    assert is_in(ann, where(property="nights", type="text", value="7"), "12:00")
    assert is_in(ann, where(property="free", value=7), "12:00")
    assert is_in(ann, where(property="free", value="7"), "12:00")
    # A rule keeps the type it was written with.
    kept = read(where(property="free", value="7")).json
    EventSchema.objects.update(properties={"free": {"type": "number"}})
    assert kept["all"][0]["where"] == [{"property": "free", "type": "text", "op": "eq", "value": "7"}]
    assert is_in(ann, kept["all"][0], "12:00")


@pytest.mark.parametrize(
    ("written", "is_day", "is_time"),
    [
        ("2026-01-12", True, False),
        ("2026-01-12T10:00:00Z", False, True),
        ("2026-01-12T11:00:00.5+01:00", False, True),
        ("2026-01-12 10:00Z", False, True),
        # Python alone, or PostgreSQL alone, would read these.
        ("20260112", False, False),
        ("2026-W03-1", False, False),
        ("20260112T100000Z", False, False),
        ("2026-01-12T24:00:00Z", False, False),
        ("2026-01-12T10:00:60Z", False, False),
        ("2026-01-12T10:00:00+15:30", False, False),
        ("2026-02-30", False, False),
        ("2026-02-30T10:00:00Z", False, False),
        ("0000-01-01", False, False),
        ("0001-01-01T00:00:00+14:00", False, False),
        ("9999-12-31T23:00:00-14:00", False, False),
        ("2026-01-12T10:00:00", False, False),
        (20260112, False, False),
        (None, False, False),
        ({"at": "2026-01-12"}, False, False),
    ],
)
def test_values_that_do_not_fit_satisfy_nothing(
    ann: Profile, written: Any, is_day: bool, is_time: bool
) -> None:
    happened(ann, "Booked", "10:00", properties={"on": written})
    for kind, value, fits in (("date", "1999-01-01", is_day), ("datetime", "1999-01-01T00:00:00Z", is_time)):
        for op in ("gt", "lte"):
            rule = where(property="on", type=kind, op=op, value=value)
            assert is_in(ann, rule, "12:00") == (fits and op == "gt"), (kind, op)


def test_a_property_that_is_still_to_come(ann: Profile) -> None:
    """“Leaves in the next 24 hours” comes true and ceases by time alone."""
    happened(ann, "Booked", "10:00", properties={"leaves": ["soon", "2026-01-12T10:00:00Z"]})
    soon = where(property="leaves", op="in_next", value={"hours": 24})
    assert stays(ann, soon, "12:00", "+1 09:59:59", "+1 10:00", "+2 09:59:59", "+2 10:00") == [
        False, False, True, True, False,
    ]  # fmt: skip
    assert flips(ann, soon, "12:00") == clock("+1 10:00")
    assert flips(ann, {**soon, "count": {"op": "eq", "value": 0}}, "12:00") == clock("+1 10:00")
    assert flips(ann, {**soon, "within": {"hours": 36}}, "+1 12:00") == clock("+1 22:00")
    left = where(property="leaves", op="in_last", value={"hours": 1})
    assert stays(ann, left, "+2 10:00", "+2 10:59:59", "+2 11:00") == [True, True, False]
    follows = {"sequence": [soon, {"event": "Paid"}], "no_longer_than": {"days": 3}}
    happened(ann, "Paid", "11:00")
    assert flips(ann, follows, "12:00") == clock("+1 10:00")
    assert stays(ann, follows, "+1 09:00", "+1 10:00") == [False, True]
    # Days are compared once a day.
    by_day = where(property="on", type="date", op="in_next", value={"days": 3})
    assert read(by_day).reads.calendar
    assert not read(soon).reads.calendar


def test_types_by_what_is_compared_with() -> None:
    for rest, said in (
        ({"op": "before", "value": "2026-03-01"}, "on is before 2026-03-01"),
        ({"op": "gt", "value": "2026-03-01"}, "on is after 2026-03-01"),
        ({"op": "gt", "value": "2026-03-01T10:00:00Z"}, "on is after 2026-03-01 10:00 UTC"),
        ({"op": "anniversary", "value": {"days": 0}}, "on has its day of the year today"),
        ({"op": "in_last", "value": {"hours": 3}}, "on is in the last 3 hours"),
        ({"op": "between", "value": [1, 2.5]}, "on is between 1 and 2.5"),
        ({"value": True}, "on is yes"),
    ):
        assert words(where(property="on", **rest)) == f"did Booked where {said} at least once"
    refused = [
        problems(where(property="on", **rest))[0][1]
        for rest in ({"op": "gt", "value": "a lot"}, {"value": [1]})
    ]
    assert refused == ["Write a number.", "Write a number."]
