"""One event after another within a time: any first event may begin, equal times are in order of arrival, a lack counts when the time is over."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.models import Profile
from tests.profile_factory import make_profile
from tests.segments.asked import actual, clock, flips, happened, is_in, problems, stays, words

pytestmark = pytest.mark.django_db
HOUR = {"hours": 1}


def steps(*names: str, **rest: Any) -> dict[str, Any]:
    """A name with “!” must not happen."""
    return {
        "sequence": [
            {"event": name.removeprefix("!"), **({"not": True} if name.startswith("!") else {})}
            for name in names
        ],
        "no_longer_than": HOUR,
        **rest,
    }


@pytest.fixture
def ann() -> Profile:
    return make_profile(first_name="Ann")


@pytest.mark.parametrize(
    ("events", "rule", "verdicts"),
    [
        # Any A may begin it.
        ("A10:00 A10:50 B11:20", steps("A", "B"), {"11:19:59": False, "11:20": True, "+9 10:00": True}),
        ("A10:00 B11:00", steps("A", "B"), {"12:00": True}),
        ("A10:00 B11:00:01", steps("A", "B"), {"12:00": False}),
        ("B10:00 A10:01", steps("A", "B"), {"12:00": False}),
        # Equal times are in the order of arrival.
        ("A10:00 B10:00", steps("A", "B"), {"10:00": True}),
        ("B10:00 A10:00", steps("A", "B"), {"10:00": False}),
        # One event is one step.
        ("A10:00", steps("A", "A"), {"12:00": False}),
        ("A10:00 A10:30", steps("A", "A"), {"12:00": True}),
        ("A10:00 B10:10 C10:20 D10:30 E11:00", steps("A", "B", "C", "D", "E"), {"12:00": True}),
        ("A10:00 B10:10 C10:20 D10:30 E11:00:01", steps("A", "B", "C", "D", "E"), {"12:00": False}),
        ("A10:00 C10:05 B10:10", steps("A", "B", "C"), {"12:00": False}),
        # Not B: in when the hour is over; a B at the very end of it counts, and one after it does not.
        ("A10:00", steps("A", "!B"), {"10:59:59": False, "11:00": True}),
        ("A10:00 B11:00", steps("A", "!B"), {"11:00": False, "12:00": False}),
        ("A10:00 B11:00:01", steps("A", "!B"), {"11:00": True, "12:00": True}),
        ("A10:00 B10:30 A10:40", steps("A", "!B"), {"11:00": False, "11:39:59": False, "11:40": True}),
        ("B10:00 A10:00", steps("A", "!B"), {"11:00": True}),
        ("A10:00 B10:00", steps("A", "!B"), {"11:00": False}),
        ("A10:00 A10:30", steps("A", "!A"), {"11:00": False, "11:30": True}),
        # A, then C, and no B after that C: the latest C within the hour.
        ("A10:00 C10:10 B10:20", steps("A", "C", "!B"), {"11:00": False}),
        ("A10:00 C10:10 B10:20 C10:30", steps("A", "C", "!B"), {"10:59": False, "11:00": True}),
        ("A10:00 C10:10 B10:20 C11:00:01", steps("A", "C", "!B"), {"12:00": False}),
        ("A10:00 B10:20 D10:30 C10:40", steps("A", "D", "C", "!B"), {"11:00": True}),
        ("A10:00", steps("A", "C", "!B"), {"12:00": False}),
        # The last one of its kind is followed by none.
        ("A10:00 C10:10 C10:20", steps("A", "C", "!C"), {"11:00": True}),
        # When the first step happened.
        ("A10:00 B10:30", steps("A", "B", within={"days": 1}), {"+1 09:59:59": True, "+1 10:00": False}),
        (
            "A10:00 B10:30",
            steps("A", "B", within={"minutes": [40, 50]}),
            {"10:39": False, "10:40": True, "10:50": False},
        ),
        ("A10:00", steps("A", "!B", within={"hours": 2}), {"11:00": True, "12:00": False}),
        # Over only after it stopped to count: never.
        ("A10:00", steps("A", "!B", within={"minutes": 30}), {"10:29": False, "11:00": False}),
    ],
)
def test_who_is_in_and_when(
    ann: Profile, events: str, rule: dict[str, Any], verdicts: dict[str, bool]
) -> None:
    for event in events.split():
        happened(ann, event[0], event[1:])
    assert {time: is_in(ann, rule, time) for time in verdicts} == verdicts


def test_a_late_one_makes_them_leave(ann: Profile) -> None:
    happened(ann, "A", "10:00")
    rule = steps("A", "!B")
    assert flips(ann, rule, "10:30") == clock("11:00")
    assert is_in(ann, rule, "11:05")
    happened(ann, "B", "10:59")
    assert not is_in(ann, rule, "11:05")
    assert flips(ann, rule, "11:05") is None


def test_steps_of_merged_profiles_and_with_filters(ann: Profile) -> None:
    other = make_profile(first_name="Anna")
    Profile.objects.filter(pk=other.pk).update(canonical=ann, status="merged")
    happened(other, "A", "10:00", properties={"price": 5})
    happened(ann, "A", "10:10", properties={"price": 50})
    happened(other, "B", "11:05")
    rule = steps("A", "B")
    assert stays(ann, rule, "11:05") == [True]
    rule["sequence"][0]["where"] = [{"property": "price", "op": "lt", "value": 10}]
    assert stays(ann, rule, "11:05") == [False]
    rule["no_longer_than"] = {"minutes": 65}
    assert stays(ann, rule, "11:05") == [True]
    assert actual(ann, rule, "11:05") == "2026-01-10 10:00:00 then 2026-01-10 11:05:00 UTC"
    assert actual(ann, rule, "11:04") == "began last on 2026-01-10 10:00:00 UTC"
    assert actual(ann, rule, "09:00") == "never did A where price is less than 10"


def test_words_and_what_is_refused() -> None:
    rule = steps("A", "B", "!C", within={"days": 7})
    assert words(rule) == "did A, then B, then not C within 1 hour, beginning in the last 7 days"
    rule["sequence"][0]["not"] = True
    rule["sequence"][1]["within"] = {"days": 1}
    rule["no_longer_than"] = {"weeks": 1}
    assert problems(rule) == [
        ("/all/0/sequence/0/not", "Only the last step can be one that did not happen."),
        ("/all/0/sequence/1/within", "“within” is not known here. Known: event, kind, not, where."),
        ("/all/0/no_longer_than/weeks", "“weeks” is not known here. Known: days, hours, minutes."),
    ]
    assert problems({"sequence": [{"event": "A"}]}) == [
        ("/all/0/sequence", "Write at least two steps, the first to happen first."),
        ("/all/0/no_longer_than", "Say how long after the first step the last one may happen."),
    ]
    assert problems(steps(*"ABCDEF"))[0] == ("/all/0/sequence", "At most 5 entries; this has 6.")
