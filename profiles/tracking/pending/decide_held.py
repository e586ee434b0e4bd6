"""A decision of staff about a held merge → the value blocked or called shared, the two merged, or nothing."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import F, Max, Q
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict, Invalid, NotFound, Refused, RuleForbids
from profiles.builtin_sources import builtin_source
from profiles.editing.block_values import (
    block_value,
    close_held_merges,
    held_merges_of,
    record_resolving_change,
    resolving_row,
)
from profiles.editing.profiles import create_profile
from profiles.identity import graph
from profiles.merging.merge import merge_profiles
from profiles.merging.suggest_winner import suggest_winner
from profiles.models import HeldMerge, Identifier, IdentifierType, LinkInterval, Profile, Source

BLOCK, SHARED, MERGE, DISMISS = "block", "shared", "merge", "dismiss"
STATES = {
    BLOCK: HeldMerge.State.BLOCKED,
    SHARED: HeldMerge.State.SHARED,
    MERGE: HeldMerge.State.MERGED,
    DISMISS: HeldMerge.State.DISMISSED,
}


@dataclass(frozen=True, slots=True)
class HeldMergeDecision:
    """``decided`` are the rows decided, this one and its siblings; ``message`` says what was done.

    ``profile_id`` is the surviving profile of a merge, or the new anonymous one a shared device got.
    """

    held_merge_id: int
    state: str
    decided: list[int]
    message: str
    profile_id: int | None = None


@dataclass(frozen=True, slots=True)
class HeldMergeDecisions:
    decided: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@graph.retried
@transaction.atomic
def decide_held_merge(*, held_merge_id: int, decision: str, actor: Actor) -> HeldMergeDecision:
    """Decide about one held merge.

    ``block``: the value identifies nobody from now on; it is kept for contact where it is. ``shared``: the
    value merges nobody again, and what comes in by it alone goes to an anonymous profile of its own, not to
    whoever used it last. Both decide every open merge of the value. ``merge``: the two become one, as if staff
    merged them. ``dismiss``: nothing; asked for again, it is held again.

    Raises NotFound, Conflict when it was decided already, Invalid for another word, RuleForbids when the two
    may not be merged or a value that is not soft is called shared.
    """
    if decision not in STATES:
        message = f"The decision is one of {', '.join(STATES)}, not “{decision}”."
        raise Invalid([{"field": "decision", "value": decision, "message": message}])
    held_merge = lock_held_merge(held_merge_id)
    if held_merge.state != HeldMerge.State.OPEN:
        raise Conflict(
            f"Waiting merge {held_merge_id} was decided already: {held_merge.get_state_display().lower()}."
        )
    decision_made = {BLOCK: _block, SHARED: _share, MERGE: _merge, DISMISS: _dismiss}[decision](
        held_merge, actor
    )
    audit.record(
        "heldmerge.decide",
        actor=actor,
        subject=f"heldmerge:{held_merge.pk}",
        detail={"decision": decision, "type": held_merge.type.name, "decided": len(decision_made.decided)},
    )
    return decision_made


def decide_held_merges(*, held_merge_ids: Iterable[int], decision: str, actor: Actor) -> HeldMergeDecisions:
    """Decide about several, each for itself; ``problems`` has what was refused, and the others go on."""
    decided: list[int] = []
    problems: list[str] = []
    for held_merge_id in dict.fromkeys(held_merge_ids):
        if held_merge_id in decided:  # a sibling of one before
            continue
        try:
            decided += decide_held_merge(held_merge_id=held_merge_id, decision=decision, actor=actor).decided
        except Refused as refusal:
            problems.append(refusal.message)
    return HeldMergeDecisions(decided, problems)


def lock_held_merge(held_merge_id: int) -> HeldMerge:
    """The held merge, locked until the transaction ends, and the graph with it. Raises NotFound."""
    graph.lock_graph()  # before any row, as merging does
    rows = HeldMerge.objects.select_for_update(no_key=True, of=("self",))
    held_merge = rows.select_related("type", "source", "user").filter(pk=held_merge_id).first()
    if held_merge is None:
        raise NotFound(f"There is no waiting merge {held_merge_id}.")
    return held_merge


def source_of_actor(actor: Actor) -> Source:
    source: Source = builtin_source("api" if actor.key is not None else "staff")
    return source


# --- Block the value ---------------------------------------------------------------------------------------


def _block(held_merge: HeldMerge, actor: Actor) -> HeldMergeDecision:
    blocked = block_value(type_id=held_merge.type_id, value=held_merge.value, actor=actor)
    message = f"{held_merge.type} {held_merge.value} is blocked: it identifies nobody from now on."
    return HeldMergeDecision(held_merge.pk, HeldMerge.State.BLOCKED, blocked.held_merge_ids, message)


# --- A shared device ---------------------------------------------------------------------------------------


def _share(held_merge: HeldMerge, actor: Actor) -> HeldMergeDecision:
    if held_merge.type.strength != IdentifierType.Strength.SOFT:
        raise RuleForbids(
            f"{held_merge.type} {held_merge.value} is not a device: only soft identifiers such as browser ids can be shared. Block it instead."
        )
    row = resolving_row(held_merge.type_id, held_merge.value)
    profile_id: int | None = None
    effects: dict[str, Any] = {}
    if row is not None:
        root = Profile.objects.defer("search").get(pk=row.profile.canonical_id)
        if root.is_recognized:
            effects = _give_device_profile(held_merge, row, actor)
        profile_id = effects.get("profile", root.pk)
    decided = close_held_merges(
        held_merges_of(held_merge.type_id, held_merge.value), HeldMerge.State.SHARED, actor, effects
    )
    message = f"{held_merge.type} {held_merge.value} is a shared device: nobody is merged by it from now on."
    return HeldMergeDecision(held_merge.pk, HeldMerge.State.SHARED, decided, message, profile_id)


def _give_device_profile(held_merge: HeldMerge, row: Identifier, actor: Actor) -> dict[str, Any]:
    """An anonymous profile of the device's own has the value from this moment on; the past stays where it is."""
    now = timezone.now()
    Identifier.objects.filter(pk=row.pk).update(resolves=False)
    record_resolving_change(row, "shared", actor)
    own = [(row.type.name, row.value)]
    mine = create_profile(values={}, identifiers=own, actor=actor, source=held_merge.source).profile
    return {"identifier": row.pk, "profile": mine.pk, **_pass_on(row, mine.pk, now)}


def _pass_on(row: Identifier, profile_id: int, now: datetime.datetime) -> dict[str, Any]:
    """Whose the value was ends now; which row ended, and which were made."""
    intervals = LinkInterval.objects.filter(type=row.type, value=row.value)
    same = {"type": row.type, "value": row.value}
    ended = intervals.filter(ended_at=None).first()
    if ended is not None:
        LinkInterval.objects.filter(pk=ended.pk).update(ended_at=now)
        made = []
    else:
        since = intervals.aggregate(last=Max("ended_at"))["last"]
        past = {"profile_id": row.profile_id, "started_at": since, "ended_at": now}
        made = [LinkInterval.objects.create(**same, **past).pk]
    made.append(LinkInterval.objects.create(**same, profile_id=profile_id, started_at=now).pk)
    return {"ended": ended.pk if ended else None, "made": made}


# --- Merge anyway, or nothing ------------------------------------------------------------------------------


def _merge(held_merge: HeldMerge, actor: Actor) -> HeldMergeDecision:
    roots = graph.roots_of([held_merge.profile_id, held_merge.other_id])
    root = roots[held_merge.profile_id]
    message, merge_id = f"#{root} is one person already; nothing was left to merge.", None
    if root != roots[held_merge.other_id]:
        suggestion = suggest_winner(held_merge.profile_id, held_merge.other_id)
        merged = merge_profiles(
            winner_id=suggestion.winner_id,
            loser_id=suggestion.loser_id,
            actor=actor,
            source=source_of_actor(actor),
        )
        root, merge_id = merged.winner_id, merged.merge_id
        message = f"#{merged.loser_id} was merged into #{root}."
    same = Q(profile__canonical_id=root, other__canonical_id=F("profile__canonical_id"))
    decided = close_held_merges(
        HeldMerge.objects.filter(same), HeldMerge.State.MERGED, actor, {"merge": merge_id}
    )
    return HeldMergeDecision(held_merge.pk, HeldMerge.State.MERGED, decided, message, root)


def _dismiss(held_merge: HeldMerge, actor: Actor) -> HeldMergeDecision:
    decided = close_held_merges(HeldMerge.objects.filter(pk=held_merge.pk), HeldMerge.State.DISMISSED, actor)
    return HeldMergeDecision(
        held_merge.pk, HeldMerge.State.DISMISSED, decided, "Dismissed; nothing was changed."
    )
