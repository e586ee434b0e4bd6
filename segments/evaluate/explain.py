"""A segment's rule and a person → each condition with what holds and what they have, and when time will change it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from segments.conditions.base import Finding
from segments.evaluate.moment import current_moment
from segments.moments import Moment
from segments.person import Person, load_person
from segments.rules.tree import Group, Leaf, Negation, Part, Rule


@dataclass(frozen=True, slots=True)
class ExplainedPart:
    """One line: a condition, or the head of a group at ``depth`` (the outermost group is at 0)."""

    pointer: str
    depth: int
    text: str
    holds: bool
    finding: Finding | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """``is_in`` by the rule alone; ``changes_at``: when time alone changes it, if nothing else happens."""

    is_in: bool
    parts: tuple[ExplainedPart, ...]
    changes_at: datetime.datetime | None


def explain(rule: Rule, root_id: int) -> Explanation | None:
    """None for an id that is no surviving profile. A fixed number of queries."""
    person = load_person(root_id, rule.reads)
    return None if person is None else explain_person(rule, person, current_moment())


def explain_person(rule: Rule, person: Person, moment: Moment) -> Explanation:
    """Pure but for what is loaded already."""
    parts = tuple(_lines(rule.group, person, moment, 0))
    return Explanation(rule.holds(person, moment), parts, next_flip(rule, person, moment))


def next_flip(rule: Rule, person: Person, moment: Moment) -> datetime.datetime | None:
    """The next moment at which time alone really changes whether the person is in."""
    now = rule.holds(person, moment)
    later = (at for at in rule.breakpoints(person, moment) if at > moment.now)
    return next((at for at in later if rule.holds(person, moment.at(at)) != now), None)


def _lines(part: Part, person: Person, moment: Moment, depth: int) -> list[ExplainedPart]:
    if part.is_off:
        return []
    if isinstance(part, Leaf):
        finding = part.condition.explain(person, moment)
        return [ExplainedPart(part.pointer, depth, finding.text, finding.holds, finding)]
    holds = part.holds(person, moment)
    if isinstance(part, Negation):
        head = ExplainedPart(part.pointer, depth, "not", holds)
        return [head, *_lines(part.part, person, moment, depth + 1)]
    return [ExplainedPart(part.pointer, depth, _head(part), holds), *_inner(part, person, moment, depth)]


def _head(group: Group) -> str:
    return {"all": "all of", "any": "any of", "none": "none of"}[group.kind]


def _inner(group: Group, person: Person, moment: Moment, depth: int) -> list[ExplainedPart]:
    return [line for part in group.parts for line in _lines(part, person, moment, depth + 1)]
