"""The edges of windows, one person and one rule at a time: in and out to the second, and when time will change it."""

from __future__ import annotations

import datetime
import uuid
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from profiles.builtin_sources import SOURCE_IDS
from profiles.models import AttributeDefinition, Event, EventName, Profile
from segments.evaluate.explain import next_flip
from segments.evaluate.preview import ask
from segments.evaluate.statements import count_statement
from segments.moments import Moment
from segments.person import load_person
from segments.rules.parse import parse_rule
from segments.vocabulary import Vocabulary
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)
BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def day(number: float) -> datetime.datetime:
    return BEGIN + number * DAY


def happened(profile: Profile, name: str, *days: float, **properties: Any) -> None:
    row, _ = EventName.objects.get_or_create(name=name)
    for number in days:
        Event.objects.create(
            profile=profile,
            name=row,
            occurred_at=day(number),
            message_id=uuid.uuid4(),
            source_id=SOURCE_IDS["web"],
            properties=properties,
        )


def is_in(profile: Profile, rules: dict[str, Any], at: datetime.datetime, zone: str = "UTC") -> bool:
    """What SQL and Python say, which must be the same."""
    rule = parse_rule({"version": 1, "all": [rules]}, Vocabulary())
    moment = Moment(at, ZoneInfo(zone))
    person = load_person(profile.pk, rule.reads)
    assert person is not None
    ((_, count, _),) = ask(count_statement(rule), moment)
    assert bool(count) == rule.holds(person, moment)
    return bool(count)


def flips(profile: Profile, rules: dict[str, Any], at: datetime.datetime) -> datetime.datetime | None:
    rule = parse_rule({"version": 1, "all": [rules]}, Vocabulary())
    person = load_person(profile.pk, rule.reads)
    assert person is not None
    return next_flip(rule, person, Moment(at, ZoneInfo("UTC")))


def views(count: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"event": "View", "count": count, **rest}


TEN = {"within": {"days": 10}}
AT_LEAST_3 = {"op": "gte", "value": 3}


@pytest.mark.parametrize(
    ("days", "rule", "stays"),
    [
        ((1, 2, 3), views(AT_LEAST_3, **TEN), [(3, 11)]),
        ((1, 2, 3, 4), views(AT_LEAST_3, **TEN), [(3, 12)]),
        # Two on the first day, three from the second on; two of them expire at once: from three to one.
        ((1, 1, 2), views({"op": "eq", "value": 2}, **TEN), [(1, 2)]),
        ((1, 2), views({"op": "lte", "value": 1}, **TEN), [(0, 2), (11, 20)]),
        ((0,), views({"op": "gte", "value": 1}, within={"days": [7, 14]}), [(7, 14)]),
        ((0,), views({"op": "eq", "value": 0}, within={"days": 30}), [(30, 40)]),
    ],
)
def test_stays_by_the_day(
    days: tuple[float, ...], rule: dict[str, Any], stays: list[tuple[int, int]]
) -> None:
    """Half-open windows: exactly as old as the window is out, exactly now is in. Looked at a second around each edge."""
    ann = make_profile(first_name="Ann")
    # Events that are still to come count when they are due.
    happened(ann, "View", *days)
    horizon = 20 if not stays or stays[-1][1] <= 20 else stays[-1][1]
    for number in range(horizon):
        for at in (day(number) - SECOND, day(number), day(number) + SECOND):
            expected = any(day(begin) <= at < day(end) for begin, end in stays)
            if at < day(0):
                continue
            assert is_in(ann, rule, at) == expected, at
    edges = sorted({edge for stay in stays for edge in stay if 0 < edge < horizon})
    now, found = day(0), []
    while (at := flips(ann, rule, now)) is not None and at < day(horizon):
        found.append(at)
        now = at
    assert found == [day(edge) for edge in edges]


def test_counting_since_another_event() -> None:
    ann, ben = make_profile(first_name="Ann"), make_profile(first_name="Ben")
    rule = {"event": "Buy", "count": {"op": "eq", "value": 0}, "since": {"event": "Cart"}}
    happened(ann, "Cart", 1)
    happened(ann, "Buy", 2)
    assert not is_in(ann, rule, day(3))
    happened(ann, "Cart", 3)
    assert is_in(ann, rule, day(4))
    # Who never had a cart has nothing to count from.
    assert load_person(ben.pk, parse_rule({"all": [rule]}, Vocabulary()).reads) is not None
    ((_, people, _),) = ask(
        count_statement(parse_rule({"all": [rule]}, Vocabulary())), Moment(day(4), ZoneInfo("UTC"))
    )
    assert people == 1


def test_unknown_and_different() -> None:
    ann = make_profile(first_name="Ann")
    is_pl = {"attribute": "country", "op": "eq", "value": "PL"}
    differs = {"attribute": "country", "op": "ne", "value": "Poland"}
    assert not is_in(ann, differs, day(0))
    assert is_in(ann, {"not": is_pl}, day(0))
    assert is_in(ann, {"not": {"all": [is_pl, {"type": "recognized"}]}}, day(0))
    Profile.objects.filter(pk=ann.pk).update(country="DE")
    assert is_in(ann, differs, day(0))


def test_a_list_that_has_it_is_not_without_it() -> None:
    AttributeDefinition.objects.create(name="lives_in", type="list")
    ann = make_profile(first_name="Ann")
    Profile.objects.filter(pk=ann.pk).update(attributes={"lives_in": ["PL", "DE"]})
    assert not is_in(ann, {"attribute": "lives_in", "op": "ne", "value": "PL"}, day(0))
    assert is_in(ann, {"attribute": "lives_in", "op": "ne", "value": "NO"}, day(0))


def test_days_of_the_workspace() -> None:
    """“In the next 7 days” of the 20th: from the beginning of the 13th to the end of the 20th, where the workspace is."""
    AttributeDefinition.objects.create(name="renews_on", type="date")
    ann = make_profile(first_name="Ann")
    Profile.objects.filter(pk=ann.pk).update(attributes={"renews_on": "2026-03-20"})
    rule = {"attribute": "renews_on", "op": "in_next", "value": {"days": 7}}
    midnight = datetime.datetime(2026, 3, 13, tzinfo=ZoneInfo("Europe/Warsaw")).astimezone(datetime.UTC)
    over = datetime.datetime(2026, 3, 21, tzinfo=ZoneInfo("Europe/Warsaw")).astimezone(datetime.UTC)
    seen = [
        is_in(ann, rule, at, "Europe/Warsaw") for at in (midnight - SECOND, midnight, over - SECOND, over)
    ]
    assert seen == [False, True, True, False]


def test_hours_when_the_clock_changes_and_a_day_without_midnight() -> None:
    warsaw = ZoneInfo("Europe/Warsaw")
    noon = datetime.datetime(2026, 3, 29, 12, tzinfo=warsaw).astimezone(datetime.UTC)
    ann = make_profile(first_name="Ann")
    row, _ = EventName.objects.get_or_create(name="View")
    at = datetime.datetime(2026, 3, 28, 11, 0, 1, tzinfo=warsaw).astimezone(datetime.UTC)
    Event.objects.create(
        profile=ann, name=row, occurred_at=at, message_id=uuid.uuid4(), source_id=SOURCE_IDS["web"]
    )
    # 24 hours before noon it was eleven o'clock.
    assert is_in(ann, {"event": "View", "within": {"hours": 24}}, noon, "Europe/Warsaw")
    assert not is_in(ann, {"event": "View", "within": {"hours": 24}}, noon + SECOND, "Europe/Warsaw")
    moment = Moment(noon, ZoneInfo("America/Sao_Paulo"))
    assert moment.midnight(datetime.date(2017, 10, 15)) == datetime.datetime(
        2017, 10, 15, 3, tzinfo=datetime.UTC
    )


def test_birthday_on_29_february() -> None:
    ann = make_profile(first_name="Ann", birth_date="1992-02-29")
    rule = {"attribute": "birth_date", "op": "anniversary", "value": {"days": 0}}
    days = [
        datetime.datetime(*date, 12, tzinfo=datetime.UTC)
        for date in ((2026, 2, 28), (2028, 2, 28), (2028, 2, 29))
    ]
    assert [is_in(ann, rule, at) for at in days] == [True, False, True]
