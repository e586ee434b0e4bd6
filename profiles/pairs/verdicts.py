"""Decisions of people about pairs → remembered, and respected by imports, tracking and merges."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import NotFound, RuleForbids
from cdp.sql import run
from cdp.times import day
from profiles.identity import graph
from profiles.models import DuplicatePair

Verdict = DuplicatePair.Verdict
LATER_DAYS = 7


@transaction.atomic
def set_verdict(*, a_id: int, b_id: int, verdict: str, actor: Actor) -> DuplicatePair:
    """Remember what somebody decided about two people (open, later, not_duplicate).

    Kept for their surviving profiles; *open* takes back what was said about anybody merged into them, too.
    Raises NotFound, RuleForbids when both are one person already.
    """
    if verdict not in (Verdict.OPEN, Verdict.LATER, Verdict.NOT_DUPLICATE):
        raise RuleForbids(f"“{verdict}” cannot be set as a verdict: write open, later or not_duplicate.")
    roots = graph.roots_of([a_id, b_id])
    for wanted in (a_id, b_id):
        if wanted not in roots:
            raise NotFound(f"No profile “{wanted}”.")
    if roots[a_id] == roots[b_id]:
        raise RuleForbids(f"Profiles #{a_id} and #{b_id} are one person: #{roots[a_id]}.")
    if verdict == Verdict.OPEN:
        take_back([(roots[a_id], roots[b_id])])
    (pair,) = remember([(roots[a_id], roots[b_id])], verdict=verdict, actor=actor)
    audit.record(
        "duplicate.verdict",
        actor=actor,
        subject=f"profile:{roots[a_id]}",
        detail={"other": roots[b_id], "verdict": verdict},
    )
    return pair


def remember(root_pairs: Iterable[tuple[int, int]], *, verdict: str, actor: Actor) -> list[DuplicatePair]:
    """Write the verdict of each pair; whatever was decided before is overruled. One statement."""
    values = written(verdict, actor=actor)
    pairs = [DuplicatePair(a_id=min(pair), b_id=max(pair), **values) for pair in root_pairs]
    return DuplicatePair.objects.bulk_create(
        pairs, update_conflicts=True, unique_fields=["a", "b"], update_fields=list(values)
    )


def written(verdict: str, *, actor: Actor, days: int = LATER_DAYS) -> dict[str, Any]:
    """What a verdict writes on a pair: *open* is nobody's decision, *later* ends after so many days."""
    is_open = verdict == Verdict.OPEN
    until = timezone.now() + datetime.timedelta(days=days) if verdict == Verdict.LATER else None
    return {
        "verdict": verdict,
        "user_id": None if is_open else actor.user_id,
        "key_id": None if is_open else actor.key_id,
        "decided_at": None if is_open else Now(),
        "later_until": until,
    }


_BETWEEN_SQL = """
    UPDATE profiles_duplicatepair d
    SET verdict = %(to)s::text, user_id = %(user)s::bigint, key_id = %(key)s::bigint,
        decided_at = CASE WHEN %(to)s::text = 'open' THEN NULL ELSE now() END, later_until = NULL
    FROM unnest(%(one)b::bigint[], %(other)b::bigint[]) AS asked (a, b)
    JOIN profiles_profile x ON x.canonical_id IN (asked.a, asked.b)
    JOIN profiles_profile y ON y.canonical_id = CASE x.canonical_id WHEN asked.a THEN asked.b ELSE asked.a END
    WHERE d.a_id = x.id AND d.b_id = y.id AND d.verdict = %(was)s::text
"""


def _change_between(root_pairs: Sequence[tuple[int, int]], *, was: str, to: str, actor: Actor | None) -> None:
    """Every pair between two surviving profiles, and anybody merged into them, of one verdict gets another."""
    run(
        _BETWEEN_SQL,
        {
            "was": str(was),
            "to": str(to),
            "user": actor.user_id if actor else None,
            "key": actor.key_id if actor else None,
            "one": [a for a, _ in root_pairs],
            "other": [b for _, b in root_pairs],
        },
    )


def take_back(root_pairs: Iterable[tuple[int, int]]) -> None:
    """Every *not a duplicate* between two surviving profiles, and anybody merged into them, is open. One statement."""
    _change_between(list(root_pairs), was=Verdict.NOT_DUPLICATE, to=Verdict.OPEN, actor=None)


def between(root_a: int, root_b: int) -> QuerySet[DuplicatePair]:
    """Every pair decided or suggested between members of two people."""
    return DuplicatePair.objects.filter(
        Q(a__canonical_id=root_a, b__canonical_id=root_b) | Q(a__canonical_id=root_b, b__canonical_id=root_a)
    )


def objection(root_a: int, root_b: int) -> str:
    """The sentence about a remembered *not a duplicate* between two people, or "". One query."""
    row = (
        between(root_a, root_b)
        .filter(verdict=Verdict.NOT_DUPLICATE)
        .select_related("user", "key")
        .order_by("-decided_at")
        .first()
    )
    return sentence(row) if row else ""


def sentence(row: DuplicatePair) -> str:
    """Who said *not a duplicate*; ``user`` and ``key`` should be loaded with the pair."""
    when = f" on {day(row.decided_at)}" if row.decided_at else ""
    return f"{decider(row)} decided{when} that #{row.a_id} and #{row.b_id} are not duplicates."


def decider(row: DuplicatePair) -> str:
    """The name of whoever decided about a pair; ``user`` and ``key`` should be loaded with it."""
    if row.user:
        return row.user.get_username()
    return row.key.name if row.key else "somebody"


def overrule(root_a: int, root_b: int, *, actor: Actor) -> None:
    """A person merges the two: every pair between them is answered. Before the pointers move. One statement."""
    between(root_a, root_b).exclude(verdict=Verdict.MERGED).update(**written(Verdict.MERGED, actor=actor))


def reopen_as_different(root_pairs: Iterable[tuple[int, int]], *, actor: Actor) -> None:
    """Merges are undone: the two are not duplicates, nor are pairs between them. After the pointers moved."""
    pairs = list(root_pairs)
    _change_between(pairs, was=Verdict.MERGED, to=Verdict.NOT_DUPLICATE, actor=actor)
    remember(pairs, verdict=Verdict.NOT_DUPLICATE, actor=actor)


def reopen(root_pairs: Sequence[tuple[int, int]]) -> None:
    """Merges are undone that nobody had looked at one by one: pairs between the two are open. One statement."""
    _change_between(root_pairs, was=Verdict.MERGED, to=Verdict.OPEN, actor=None)
