"""Deciding about joins the circuit breaker held: block the value, call it shared, merge anyway, dismiss (I10)."""

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
from profiles.builtin import builtin_source
from profiles.editing.blocking import block_value, close_held, held_of, leading_row, tell_person
from profiles.editing.profiles import create_profile
from profiles.identity import graph
from profiles.merging.merge import merge_profiles
from profiles.merging.suggest_winner import suggest_winner
from profiles.models import HeldJoin, Identifier, IdentifierType, LinkInterval, Profile, Source

BLOCK, SHARED, MERGE, DISMISS = "block", "shared", "merge", "dismiss"
STATES = {
    BLOCK: HeldJoin.State.BLOCKED,
    SHARED: HeldJoin.State.SHARED,
    MERGE: HeldJoin.State.MERGED,
    DISMISS: HeldJoin.State.DISMISSED,
}


@dataclass(frozen=True, slots=True)
class DecidedHeld:
    """``decided`` are the rows decided, this one and its siblings; ``message`` says what was done.

    ``profile_id`` is the surviving profile of a merge, or the new anonymous one a shared device got.
    """

    held_id: int
    state: str
    decided: list[int]
    message: str
    profile_id: int | None = None


@dataclass(frozen=True, slots=True)
class ManyDecided:
    decided: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@graph.retried
@transaction.atomic
def decide_held(*, held_id: int, decision: str, actor: Actor) -> DecidedHeld:
    """Decide about one held join.

    ``block``: the value identifies nobody from now on; it is kept for contact where it is. ``shared``: the
    value joins nobody again, and what comes in by it alone goes to an anonymous profile of its own, not to
    whoever used it last. Both decide every open join of the value. ``merge``: the two become one, as if staff
    merged them. ``dismiss``: nothing; asked for again, it is held again.

    Raises NotFound, Conflict when it was decided already, Invalid for another word, RuleForbids when the two
    may not be merged or a value that is not soft is called shared.
    """
    if decision not in STATES:
        message = f"Decide {', '.join(STATES)}; “{decision}” is none of them."
        raise Invalid([{"field": "decision", "value": decision, "message": message}])
    held = take_hold(held_id)
    if held.state != HeldJoin.State.OPEN:
        raise Conflict(f"Held join {held_id} was decided already: {held.get_state_display().lower()}.")
    done = {BLOCK: _block, SHARED: _share, MERGE: _merge, DISMISS: _dismiss}[decision](held, actor)
    audit.record(
        "heldjoin.decide",
        actor=actor,
        subject=f"heldjoin:{held.pk}",
        detail={"decision": decision, "type": held.type.name, "decided": len(done.decided)},
    )
    return done


def decide_many(*, held_ids: Iterable[int], decision: str, actor: Actor) -> ManyDecided:
    """Decide about several, each for itself; what is refused is told and the others go on."""
    decided: list[int] = []
    problems: list[str] = []
    for held_id in dict.fromkeys(held_ids):
        if held_id in decided:  # a sibling of one before
            continue
        try:
            decided += decide_held(held_id=held_id, decision=decision, actor=actor).decided
        except Refused as refusal:
            problems.append(refusal.message)
    return ManyDecided(decided, problems)


def take_hold(held_id: int) -> HeldJoin:
    """The held join, locked until the transaction ends, and the graph with it. Raises NotFound."""
    graph.lock_graph()  # before any row, as merging does
    rows = HeldJoin.objects.select_for_update(no_key=True, of=("self",))
    held = rows.select_related("type", "source", "user").filter(pk=held_id).first()
    if held is None:
        raise NotFound(f"There is no held join {held_id}.")
    return held


def door_of(actor: Actor) -> Source:
    return builtin_source("api" if actor.key is not None else "staff")


# --- Block the value ---------------------------------------------------------------------------------------


def _block(held: HeldJoin, actor: Actor) -> DecidedHeld:
    done = block_value(type_id=held.type_id, value=held.value, actor=actor)
    message = f"{held.type} {held.value} is blocked: it identifies nobody from now on."
    return DecidedHeld(held.pk, HeldJoin.State.BLOCKED, done.held, message)


# --- A shared device ---------------------------------------------------------------------------------------


def _share(held: HeldJoin, actor: Actor) -> DecidedHeld:
    if held.type.strength != IdentifierType.Strength.SOFT:
        raise RuleForbids(
            f"{held.type} {held.value} is no device: only soft identifiers such as browser ids are shared. Block it instead."
        )
    row = leading_row(held.type_id, held.value)
    profile_id: int | None = None
    effects: dict[str, Any] = {}
    if row is not None:
        root = Profile.objects.defer("search").get(pk=row.profile.canonical_id)
        if root.is_recognized:
            effects = _take_over(held, row, actor)
        profile_id = effects.get("profile", root.pk)
    decided = close_held(held_of(held.type_id, held.value), HeldJoin.State.SHARED, actor, effects)
    message = f"{held.type} {held.value} is a shared device: it joins nobody from now on."
    return DecidedHeld(held.pk, HeldJoin.State.SHARED, decided, message, profile_id)


def _take_over(held: HeldJoin, row: Identifier, actor: Actor) -> dict[str, Any]:
    """An anonymous profile of the device's own has the value from this moment on; the past stays where it is."""
    now = timezone.now()
    Identifier.objects.filter(pk=row.pk).update(resolves=False)
    tell_person(row, "shared", actor)
    own = [(row.type.name, row.value)]
    mine = create_profile(values={}, identifiers=own, actor=actor, source=held.source).profile
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


def _merge(held: HeldJoin, actor: Actor) -> DecidedHeld:
    roots = graph.roots_of([held.profile_id, held.other_id])
    root = roots[held.profile_id]
    message, merge_id = f"#{root} is one person by now; nothing was left to merge.", None
    if root != roots[held.other_id]:
        best = suggest_winner(held.profile_id, held.other_id)
        done = merge_profiles(
            winner_id=best.winner_id, loser_id=best.loser_id, actor=actor, source=door_of(actor)
        )
        root, merge_id = done.winner_id, done.merge_id
        message = f"#{done.loser_id} was merged into #{root}."
    same = Q(profile__canonical_id=root, other__canonical_id=F("profile__canonical_id"))
    decided = close_held(HeldJoin.objects.filter(same), HeldJoin.State.MERGED, actor, {"merge": merge_id})
    return DecidedHeld(held.pk, HeldJoin.State.MERGED, decided, message, root)


def _dismiss(held: HeldJoin, actor: Actor) -> DecidedHeld:
    decided = close_held(HeldJoin.objects.filter(pk=held.pk), HeldJoin.State.DISMISSED, actor)
    return DecidedHeld(held.pk, HeldJoin.State.DISMISSED, decided, "Dismissed; nothing was changed.")
