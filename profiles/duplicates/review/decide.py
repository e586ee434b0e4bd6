"""A reviewer's decision about a pair (merge, not a duplicate, later, open again) or its assignee → stored
and audited.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Invalid, NotFound, RuleForbids, Stale
from cdp.models import User
from cdp.times import day
from profiles.duplicates.finding import clusters
from profiles.duplicates.review.queue import with_profiles
from profiles.identity import graph
from profiles.merging.merge import apply_merge, lock_pair
from profiles.merging.suggest_winner import suggest_winner
from profiles.models import DuplicatePair, Profile, Source, Tier
from profiles.pairs import verdicts
from profiles.pairs.verdicts import LATER_DAYS, decider

MERGE, NOT_DUPLICATE, LATER, REOPEN = "merge", "not_duplicate", "later", "open"
VERDICTS = (MERGE, NOT_DUPLICATE, LATER, REOPEN)
MAX_DAYS = 365
_GONE = "Pair {} is no longer suggested: one of the two was changed, merged or erased. Nothing was done."

Verdict = DuplicatePair.Verdict


class StalePair(Stale):
    """The pair is no longer what the reviewer looked at. ``pair`` is its present state, None when it is
    gone.
    """

    def __init__(self, message: str, pair: DuplicatePair | None = None) -> None:
        super().__init__(message)
        self.pair = pair


@dataclass(frozen=True, slots=True)
class PairDecision:
    """What was decided. ``merge_id``, ``winner_id`` and ``loser_id`` are set for a merge."""

    pair_id: int
    verdict: str
    message: str
    merge_id: int | None = None
    winner_id: int | None = None
    loser_id: int | None = None


def find_pair(pair_id: int) -> DuplicatePair:
    """A pair with both profiles. Raises NotFound; StalePair when there was a pair with this id. One query,
    or two.
    """
    pair = with_profiles(DuplicatePair.objects.all()).filter(pk=pair_id).first()
    if pair is not None:
        return pair
    with connection.cursor() as cursor:
        # Ids are never reused, so a smaller one belonged to a pair.
        cursor.execute(
            "SELECT %s <= (SELECT last_value FROM pg_sequences WHERE schemaname = current_schema()"
            " AND sequencename = 'profiles_duplicatepair_id_seq')",
            [pair_id],
        )
        was_there = cursor.fetchone()[0]
    if was_there:
        raise StalePair(
            f"Pair {pair_id} is no longer suggested: one of the two was changed, merged, deleted or erased. Nothing was done."
        )
    raise NotFound(f"There is no pair {pair_id}.")


def state_of(pair: DuplicatePair) -> str:
    """A short hash of what a reviewer of this pair saw: both profiles' versions and the verdict. No query."""
    profile_states = [
        (side.canonical_id, side.canonical.version, side.canonical.status) for side in (pair.a, pair.b)
    ]
    return hashlib.sha256(repr((pair.pk, pair.verdict, profile_states)).encode()).hexdigest()[:16]


@graph.retried
@transaction.atomic
def decide(
    *,
    pair_id: int,
    verdict: str,
    actor: Actor,
    source: Source,
    winner_id: int | None = None,
    choices: Mapping[str, str] | None = None,
    state: str | None = None,
    days: int = LATER_DAYS,
) -> PairDecision:
    """Decide about a pair that is still in ``state`` (from ``state_of``); None accepts its present state.

    *merge* merges into ``winner_id`` or the suggested winner. *later* brings the pair back after ``days``.
    *open* takes *later* and *not a duplicate* back; a merge is taken back by undoing it.

    Raises NotFound; Invalid for an unknown verdict, winner or number of days; StalePair when a profile was
    edited, merged or erased since, or the pair was decided before; RuleForbids for a merge of a household,
    of a locked profile …
    """
    _check(verdict, days)
    graph.lock_graph()
    pair = _locked_pairs([pair_id]).first() or find_pair(pair_id)
    check_fresh(pair, verdict, state)
    if verdict == MERGE:
        return _merge(pair, winner_id, choices, actor, source)
    return _remember([pair], verdict, days, actor)[0]


def _check(verdict: str, days: int) -> None:
    if verdict not in VERDICTS:
        message = (
            f"“{verdict}” cannot be set as a verdict: write {', '.join(VERDICTS[:-1])} or {VERDICTS[-1]}."
        )
        raise Invalid([{"field": "verdict", "value": verdict, "message": message}])
    if not 1 <= days <= MAX_DAYS:
        message = f"A pair can be put off for 1 to {MAX_DAYS} days."
        raise Invalid([{"field": "days", "value": days, "message": message}])


def check_fresh(pair: DuplicatePair, verdict: str, state: str | None) -> None:
    """Raises StalePair when the pair cannot be decided any more, or is not in ``state``."""
    left, right = pair.a.canonical, pair.b.canonical
    if pair.verdict == Verdict.MERGED or left.pk == right.pk:
        by_whom = (
            f" by {decider(pair)} on {day(pair.decided_at)}" if pair.decided_at and _has_decider(pair) else ""
        )
        raise StalePair(f"#{pair.a_id} and #{pair.b_id} were merged{by_whom}: they are #{left.pk}.", pair)
    if pair.verdict == Verdict.NOT_DUPLICATE and verdict != REOPEN:
        raise StalePair(verdicts.sentence(pair), pair)
    for side in (left, right):
        if side.status != Profile.Status.LIVE:
            raise StalePair(f"Profile #{side.pk} is now {side.get_status_display().lower()}.", pair)
    if state is not None and state != state_of(pair):
        raise StalePair(
            f"#{left.pk} or #{right.pk} changed since you looked. Nothing was done; look again.", pair
        )


def _has_decider(pair: DuplicatePair) -> bool:
    return pair.user_id is not None or pair.key_id is not None


def _merge(
    pair: DuplicatePair,
    winner_id: int | None,
    choices: Mapping[str, str] | None,
    actor: Actor,
    source: Source,
) -> PairDecision:
    if pair.tier == Tier.RELATED:
        raise RuleForbids(
            f"#{pair.a_id} and #{pair.b_id} look like two people of one household or company, which is never merged"
            " from here. If they are one person after all, merge them from their card."
        )
    winner, loser = _winner_and_loser(pair, winner_id)
    merged = apply_merge(lock_pair(winner, loser), choices=choices, actor=actor, source=source).merged
    clusters.refresh_cases([merged.winner_id, merged.loser_id])
    message = f"#{merged.loser_id} was merged into #{merged.winner_id}."
    return PairDecision(pair.pk, Verdict.MERGED, message, merged.merge_id, merged.winner_id, merged.loser_id)


def _winner_and_loser(pair: DuplicatePair, winner_id: int | None) -> tuple[int, int]:
    roots = {pair.a_id: pair.a.canonical_id, pair.b_id: pair.b.canonical_id}
    roots |= {root: root for root in roots.values()}
    if winner_id is None:
        suggestion = suggest_winner(pair.a_id, pair.b_id)
        return suggestion.winner_id, suggestion.loser_id
    if winner_id not in roots:
        message = f"The winner is #{pair.a.canonical_id} or #{pair.b.canonical_id}, not #{winner_id}."
        raise Invalid([{"field": "winner_id", "value": winner_id, "message": message}])
    winner = roots[winner_id]
    return winner, next(root for root in roots.values() if root != winner)


def _remember(pairs: Sequence[DuplicatePair], verdict: str, days: int, actor: Actor) -> list[PairDecision]:
    """Store a verdict other than a merge on each pair. A few queries for any number."""
    roots = [(pair.a.canonical_id, pair.b.canonical_id) for pair in pairs]
    if verdict == REOPEN:
        verdicts.take_back(roots)
    values = verdicts.written(verdict, actor=actor, days=days)
    DuplicatePair.objects.filter(pk__in=[pair.pk for pair in pairs]).update(**values)
    clusters.refresh_derived(sorted({root for pair_roots in roots for root in pair_roots}))
    audit.record_many(
        "duplicate.verdict",
        actor=actor,
        subjects=[f"profile:{root}" for root, _ in roots],
        details=[
            {"pair": pair.pk, "other": other_root, "verdict": verdict}
            for pair, (_, other_root) in zip(pairs, roots, strict=True)
        ],
    )
    decisions = []
    for pair, (root, other_root) in zip(pairs, roots, strict=True):
        outcome = {
            NOT_DUPLICATE: "are marked as not duplicates",
            LATER: f"come back on {day(values['later_until'] or timezone.now())}",
            REOPEN: "are back in the queue",
        }[verdict]
        decisions.append(PairDecision(pair.pk, verdict, f"#{root} and #{other_root} {outcome}."))
    return decisions


@dataclass(frozen=True, slots=True)
class PairDecisions:
    """``problems`` are sentences, one for each pair that was left as it is."""

    decided: list[PairDecision]
    problems: list[str]


@graph.retried
@transaction.atomic
def decide_many(
    *, pair_ids: Sequence[int], verdict: str, actor: Actor, days: int = LATER_DAYS
) -> PairDecisions:
    """Postpone, separate or reopen several pairs; those that cannot be decided are reported, the others
    decided.

    Many merges are a batch (``profiles.merging.batches``). Raises Invalid. A few queries for any number of
    pairs.
    """
    _check(verdict, days)
    if verdict == MERGE:
        message = "Many pairs are merged as a batch, with a preview of the whole."
        raise Invalid([{"field": "verdict", "value": verdict, "message": message}])
    graph.lock_graph()
    pairs = {pair.pk: pair for pair in _locked_pairs(pair_ids)}
    decidable, problems = [], []
    for pair_id in dict.fromkeys(pair_ids):
        if pair_id not in pairs:
            problems.append(_GONE.format(pair_id))
            continue
        try:
            check_fresh(pairs[pair_id], verdict, None)
            decidable.append(pairs[pair_id])
        except StalePair as stale:
            problems.append(stale.message)
    return PairDecisions(_remember(decidable, verdict, days, actor) if decidable else [], problems)


def _locked_pairs(pair_ids: Sequence[int]) -> QuerySet[DuplicatePair]:
    """These pairs, locked, with both profiles."""
    rows = with_profiles(DuplicatePair.objects.filter(pk__in=pair_ids))
    return rows.order_by("pk").select_for_update(of=("self",))


@transaction.atomic
def assign(*, pair_ids: Sequence[int], user_id: int | None, actor: Actor) -> int:
    """Assign these pairs to a member of staff (None: to nobody); how many. Raises Invalid."""
    if user_id is not None and not User.objects.filter(pk=user_id, is_active=True, is_staff=True).exists():
        raise Invalid([{"field": "assignee", "value": user_id, "message": "Choose a member of staff."}])
    undecided = DuplicatePair.objects.filter(pk__in=pair_ids, verdict__in=[Verdict.OPEN, Verdict.LATER])
    count = undecided.update(assignee=user_id)
    audit.record(
        "duplicate.assign",
        actor=actor,
        subject="",
        detail={"pairs": sorted(pair_ids)[:500], "assignee": user_id},
    )
    return count
