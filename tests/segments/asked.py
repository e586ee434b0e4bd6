"""One condition and one person → what SQL for everybody, SQL for some and Python say, which must be the same."""

from __future__ import annotations

import datetime
import uuid
from typing import Any
from zoneinfo import ZoneInfo

from cdp.errors import Invalid
from profiles.builtin_sources import SOURCE_IDS
from profiles.models import Event, EventName, Profile
from segments.evaluate.explain import next_flip
from segments.evaluate.preview import ask
from segments.evaluate.statements import verdict_statement
from segments.moments import Moment
from segments.person import Person, load_person
from segments.rules.parse import parse_rule
from segments.rules.tree import Rule
from segments.vocabulary import Vocabulary

TEN = datetime.datetime(2026, 1, 10, 10, 0, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)


def clock(text: str) -> datetime.datetime:
    """“11:05” and “11:05:30” of the day of ``TEN``; “+2 11:05” two days later."""
    days, _, time = text.rpartition(" ")
    parts = [int(part) for part in time.split(":")]
    moment = TEN.replace(hour=parts[0], minute=parts[1], second=parts[2] if len(parts) > 2 else 0)
    return moment + datetime.timedelta(days=int(days or 0))


def happened(profile: Profile, name: str, *times: str, kind: str = "track", **rest: Any) -> list[Event]:
    row, _ = EventName.objects.get_or_create(name=name if kind == "track" else kind)
    return [
        Event.objects.create(
            profile=profile,
            name=row,
            kind=kind,
            occurred_at=clock(time),
            message_id=uuid.uuid4(),
            source_id=SOURCE_IDS["web"],
            **rest,
        )
        for time in times
    ]


def read(condition: dict[str, Any]) -> Rule:
    """The rule of this one condition, which is kept as it reads."""
    rule = parse_rule({"version": 1, "all": [condition]}, Vocabulary())
    again = parse_rule(rule.json, Vocabulary())
    assert (again.json, again.words) == (rule.json, rule.words)
    return rule


def words(condition: dict[str, Any]) -> str:
    return read(condition).leaves[0].words


def problems(condition: dict[str, Any]) -> list[tuple[str, str]]:
    """The place and the sentence of everything that is wrong with it."""
    try:
        read(condition)
    except Invalid as error:
        return [(one["field"], one["message"]) for one in error.problems]
    return []


def loaded(profile: Profile, rule: Rule) -> Person:
    person = load_person(profile.pk, rule.reads)
    assert person is not None
    return person


def is_in(profile: Profile, condition: dict[str, Any], at: str | datetime.datetime) -> bool:
    rule = read(condition)
    moment = Moment(clock(at) if isinstance(at, str) else at, ZoneInfo("UTC"))
    person = loaded(profile, rule)
    verdict = rule.holds(person, moment)
    for ids in (None, [profile.pk]):
        rows = ask(verdict_statement(rule, 0, is_scoped=ids is not None), moment, ids)
        found = {pk: (holds, due) for pk, holds, due in rows}.get(profile.pk, (False, None))
        assert found == (verdict, rule.next_breakpoint(person, moment)), (ids, moment.now)
    return verdict


def stays(profile: Profile, condition: dict[str, Any], *times: str) -> list[bool]:
    """Whether they are in at each time."""
    return [is_in(profile, condition, time) for time in times]


def flips(profile: Profile, condition: dict[str, Any], at: str) -> datetime.datetime | None:
    """When time alone changes it."""
    rule = read(condition)
    return next_flip(rule, loaded(profile, rule), Moment(clock(at), ZoneInfo("UTC")))


def actual(profile: Profile, condition: dict[str, Any], at: str) -> str:
    rule = read(condition)
    return rule.leaves[0].condition.actual(loaded(profile, rule), Moment(clock(at), ZoneInfo("UTC")))
