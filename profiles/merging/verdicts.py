"""What people decided about pairs, remembered and respected by every door (I11)."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from cdp import audit
from cdp.actors import Actor
from profiles.errors import NotFound, RuleForbids
from profiles.identity import graph
from profiles.merging.sentences import day, decider
from profiles.models import DuplicatePair

Verdict = DuplicatePair.Verdict


@transaction.atomic
def set_verdict(*, a_id: int, b_id: int, verdict: str, actor: Actor) -> DuplicatePair:
    """Remember what somebody decided about two people (open, later, not_duplicate).

    Kept for their surviving profiles. Raises NotFound, RuleForbids when both are one person already.
    """
    if verdict not in (Verdict.OPEN, Verdict.LATER, Verdict.NOT_DUPLICATE):
        raise RuleForbids(f"“{verdict}” is no verdict to set: write open, later or not_duplicate.")
    roots = graph.roots_of([a_id, b_id])
    for wanted in (a_id, b_id):
        if wanted not in roots:
            raise NotFound(f"No profile “{wanted}”.")
    if roots[a_id] == roots[b_id]:
        raise RuleForbids(f"Profiles #{a_id} and #{b_id} are one person: #{roots[a_id]}.")
    pair = remember(roots[a_id], roots[b_id], verdict=verdict, actor=actor)
    audit.record(
        "duplicate.verdict",
        actor=actor,
        subject=f"profile:{roots[a_id]}",
        detail={"other": roots[b_id], "verdict": verdict},
    )
    return pair


def remember(a_id: int, b_id: int, *, verdict: str, actor: Actor) -> DuplicatePair:
    """Write one pair's verdict; whatever was decided before is overruled. One statement."""
    low, high = sorted((a_id, b_id))
    pair = DuplicatePair(
        a_id=low, b_id=high, verdict=verdict, user_id=actor.user_id, key_id=actor.key_id, decided_at=Now()
    )
    columns = ["verdict", "user", "key", "decided_at"]
    DuplicatePair.objects.bulk_create(
        [pair], update_conflicts=True, unique_fields=["a", "b"], update_fields=columns
    )
    return pair


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


def overrule(root_a: int, root_b: int, *, actor: Actor) -> None:
    """A person merges the two: every pair between them is answered. Before the pointers move. One statement."""
    between(root_a, root_b).exclude(verdict=Verdict.MERGED).update(
        verdict=Verdict.MERGED, user=actor.user_id, key=actor.key_id, decided_at=Now()
    )


def reopen_as_different(root_a: int, root_b: int, *, actor: Actor) -> None:
    """A merge is undone: the two are not duplicates, nor are pairs between them. After the pointers moved."""
    between(root_a, root_b).filter(verdict=Verdict.MERGED).update(
        verdict=Verdict.NOT_DUPLICATE, user=actor.user_id, key=actor.key_id, decided_at=Now()
    )
    remember(root_a, root_b, verdict=Verdict.NOT_DUPLICATE, actor=actor)
