"""Random rules over random people with merges: SQL for everybody, SQL for some, Python and the naive reading say the same."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import given, settings

from cdp.errors import Invalid
from segments.evaluate.preview import ask, few_candidates
from segments.evaluate.statements import count_statement, signature_statement, verdict_statement
from segments.models import Segment
from segments.moments import Moment
from segments.person import load_people
from segments.rules.parse import parse_rule
from segments.rules.tree import Rule
from segments.vocabulary import Vocabulary
from tests.segments import naive, naive_records
from tests.segments.rules import rules
from tests.segments.world import NOW, World
from tests.segments.world_records import IMPORTS, SEGMENTS

pytestmark = pytest.mark.django_db
MOMENT = Moment(NOW, ZoneInfo("UTC"))


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """Made once and rolled back at the end."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield World(seed=1, people=60)
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def facts(world: World, django_db_blocker: Any) -> dict[int, naive.Facts]:
    with django_db_blocker.unblock():
        others = naive_records.read_others()
        return {root: naive.read_facts(root, others) for root in world.roots}


def readable(raw: dict[str, Any]) -> Rule | None:
    """None for a rule in which everything is switched off."""
    if naive.is_off(raw):
        with pytest.raises(Invalid, match="Every condition of this rule is switched off. Switch one on."):
            parse_rule(raw, Vocabulary())
        return None
    return parse_rule(raw, Vocabulary())


def members(rule: Rule, moment: Moment, ids: list[int] | None = None) -> dict[int, tuple[bool, Any]]:
    """``{id: (is in, when to look again)}`` by SQL, without hand picks."""
    segment = Segment(pk=0)
    statement = verdict_statement(rule, segment.pk, is_scoped=ids is not None)
    return {pk: (is_in, due) for pk, is_in, due in ask(statement, moment, ids)}


@given(rules)
@settings(max_examples=120)
def test_sql_python_and_the_naive_reading_agree(
    world: World, facts: dict[int, naive.Facts], raw: dict[str, Any]
) -> None:
    rule = readable(raw)
    if rule is None:
        return
    # What is kept reads as the same rule.
    again = parse_rule(rule.json, Vocabulary())
    assert (again.json, again.words) == (rule.json, rule.words)
    expected = {root for root in world.roots if naive.is_in(raw, facts[root], NOW)}
    everybody = members(rule, MOMENT)
    some = members(rule, MOMENT, world.roots[:30])
    people = load_people(world.roots, rule.reads)
    assert {pk for pk, (is_in, _) in everybody.items() if is_in} == expected
    assert {pk for pk, (is_in, _) in some.items() if is_in} == expected & set(world.roots[:30])
    assert {pk for pk, person in people.items() if rule.holds(person, MOMENT)} == expected
    ((recognized, count, newest),) = ask(count_statement(rule), MOMENT)
    assert (count, newest or []) == (len(expected), sorted(expected, reverse=True)[:10])
    few = few_candidates(rule, MOMENT)
    if few is not None:
        ((_, count, _),) = ask(count_statement(rule, is_scoped=True), MOMENT, few)
        assert count == len(expected)
    assert recognized == sum(facts[root].root.is_recognized for root in expected)
    assert sum(people for _, people in ask(signature_statement(rule), MOMENT)) == len(world.roots)


@given(rules)
@settings(max_examples=60)
def test_nothing_changes_before_the_next_check(
    world: World, facts: dict[int, naive.Facts], raw: dict[str, Any]
) -> None:
    """At every breakpoint and a second beside it, the timers of SQL are never late."""
    rule = readable(raw)
    if rule is None or rule.reads.calendar:
        return
    due = {pk: at for pk, (_, at) in members(rule, MOMENT).items()}
    second = datetime.timedelta(seconds=1)
    for root, person in load_people(world.roots, rule.reads).items():
        is_in = naive.is_in(raw, facts[root], NOW)
        breakpoints = rule.breakpoints(person, MOMENT)
        for at in breakpoints:
            for moment in (at - second, at, at + second):
                if moment <= NOW or (due.get(root) is not None and moment >= due[root]):
                    continue
                assert naive.is_in(raw, facts[root], moment) == is_in, (root, moment, due.get(root))
        if due.get(root) is not None:
            assert due[root] == rule.next_breakpoint(person, MOMENT)
        if root in world.roots[:20]:
            _changes_at_breakpoints_alone(raw, facts[root], breakpoints)


def _changes_at_breakpoints_alone(
    raw: dict[str, Any], person: naive.Facts, breakpoints: list[datetime.datetime]
) -> None:
    """What holds at a breakpoint holds until just before the next one."""
    instant = datetime.timedelta(microseconds=1)
    for begin, end in itertools.pairwise(breakpoints):
        holds = naive.is_in(raw, person, begin)
        assert naive.is_in(raw, person, end - instant) == holds, (person.root.pk, begin, end)
        assert naive.is_in(raw, person, begin + (end - begin) / 2) == holds, (person.root.pk, begin, end)


@pytest.mark.parametrize(
    "node",
    [
        {"consent": {"channel": "email", "purpose": "newsletter"}, "state": "granted"},
        {"consent": {"channel": "email"}, "state": "withdrawn"},
        {"consent": {"channel": "post"}, "state": "none"},
        {"reachable": {"channel": "sms"}},
        {"source": "web", "how": "created"},
        {"import": IMPORTS[0], "how": "created"},
        {"profile": "last_seen_at", "op": "in_last", "value": {"days": 2}},
        {"duplicate": True, "tier": "certain"},
        {"was": "city", "op": "eq", "value": "Oslo"},
        {"changed": "plan", "within": {"days": 2}},
        {"was_in": SEGMENTS[0], "within": {"days": [1, 7]}},
        {"entered": SEGMENTS[0], "within": {"days": 1}},
        {"left": SEGMENTS[0], "within": {"days": 2}},
    ],
    ids=lambda node: next(iter(node)),
)
def test_each_kind_is_about_some_people(
    world: World, facts: dict[int, naive.Facts], node: dict[str, Any]
) -> None:
    is_in = [naive.is_in(node, facts[root], NOW) for root in world.roots]
    assert 0 < sum(is_in) < len(is_in)


def test_the_oracle_is_right_about_a_rule_counted_by_hand(world: World) -> None:
    """Not all rules of the world are about nobody or everybody."""
    raw = {"version": 1, "all": [{"event": "Added to Cart", "within": {"days": 2}}, {"not": {"tag": "vip"}}]}
    facts = [naive.read_facts(root, {}) for root in world.roots]
    is_in = [naive.is_in(raw, person, NOW) for person in facts]
    assert 0 < sum(is_in) < len(is_in)
