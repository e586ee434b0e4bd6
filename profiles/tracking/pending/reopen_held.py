"""A decision about a held merge → taken back, so that the merge waits again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict, RuleForbids
from profiles.editing.block_values import (
    held_merges_of,
    record_resolving_change,
    resolving_row,
    unblock_value,
)
from profiles.identity import graph
from profiles.models import Change, Event, HeldMerge, Identifier, LinkInterval, Merge, Profile
from profiles.privacy.delete import delete_profiles
from profiles.tracking.ingest.ingest import wait_for_turn
from profiles.tracking.pending.decide_held import lock_held_merge, source_of_actor

State = HeldMerge.State


class MergedAnyway(RuleForbids):
    """A merge is taken back by undoing it; ``merge_id`` is the one, None when another one made them one."""

    code = "merged_anyway"

    def __init__(self, held_merge_id: int, merge_id: int | None) -> None:
        self.merge_id = merge_id
        what = f"undo merge {merge_id}" if merge_id else "undo the merge that made them one"
        super().__init__(
            f"Waiting merge {held_merge_id} was merged anyway, and the two are one person: {what}, then it can be reopened."
        )
        if merge_id is not None:
            self.extra = {"merge_id": merge_id, "unmerge": f"/api/v1/merges/{merge_id}/unmerge/"}


@dataclass(frozen=True, slots=True)
class ReopenedHeldMerge:
    """``reopened`` are the merges that wait again, this one and its siblings; ``was`` is the state before.

    ``profile_id`` is the surviving profile the value resolves to now, None for nobody.
    """

    held_merge_id: int
    was: str
    reopened: list[int]
    message: str
    profile_id: int | None = None


@graph.retried
@transaction.atomic
def reopen_held_merge(*, held_merge_id: int, actor: Actor) -> ReopenedHeldMerge:
    """Take a decision back: the merge waits again, with every other one that was decided for the same reason.

    Blocked: the value is taken off its type's list (a case of it among the duplicates waits again, too) and resolves
    to its former owner again, unless somebody else has it by now. Shared: likewise; where nothing came in meanwhile everything is exactly as before, else what came
    in stays with the device's own profile and the value passes on from now. Dismissed: nothing else was changed.
    Merged: open again once the merge was undone.

    Raises NotFound; Conflict when it is open, or waits already as a newer one; MergedAnyway.
    """
    wait_for_turn(alone=True)  # a call at work might bring an event to a profile that is found empty here
    held_merge = lock_held_merge(held_merge_id)
    if held_merge.state == State.OPEN:
        raise Conflict(f"Waiting merge {held_merge_id} is open: there is no decision to undo.")
    was = held_merge.state
    message, profile_id = _UNDO[State(was)](held_merge, actor)
    reopened, newer = _open(held_merge)
    if newer:
        waits = "merge waits" if newer == 1 else "merges wait"
        message += f" {newer:,} {waits} already, requested again since then."
    audit.record(
        "heldmerge.reopen",
        actor=actor,
        subject=f"heldmerge:{held_merge.pk}",
        detail={"was": was, "type": held_merge.type.name, "reopened": len(reopened)},
    )
    return ReopenedHeldMerge(held_merge.pk, was, reopened, message, profile_id)


def _open(held_merge: HeldMerge) -> tuple[list[int], int]:
    """Open the merge and those decided with it; how many wait already as newer ones. Four queries.

    The newer one stays the open one (they are one question), the older one is dismissed.
    """
    rows = list(
        _decided_with(held_merge)
        .order_by("-pk")
        .values_list("pk", "type_id", "value", "profile_id", "other_id")
    )
    values = {value for _, _, value, _, _ in rows}
    waiting = HeldMerge.objects.filter(state=State.OPEN, value__in=values)
    asked = set(waiting.values_list("type_id", "value", "profile_id", "other_id"))
    opened: list[int] = []
    for pk, type_id, value, profile_id, other_id in rows:
        question = (type_id, value, profile_id, other_id)
        if question not in asked:
            asked.add(question)
            opened.append(pk)
    older = [pk for pk, *_ in rows if pk not in set(opened)]
    HeldMerge.objects.filter(pk__in=opened).update(state=State.OPEN, user=None, decided_at=None, effects=None)
    HeldMerge.objects.filter(pk__in=older).update(state=State.DISMISSED, effects={})
    return sorted(opened), len(older)


def _decided_with(held_merge: HeldMerge) -> QuerySet[HeldMerge]:
    if held_merge.state in (State.BLOCKED, State.SHARED):
        return held_merges_of(held_merge.type_id, held_merge.value).filter(state=held_merge.state)
    if held_merge.state == State.MERGED and (held_merge.effects or {}).get("merge"):
        same = HeldMerge.objects.filter(state=State.MERGED, effects=held_merge.effects)
        return same.exclude(profile__canonical_id=F("other__canonical_id"))
    return HeldMerge.objects.filter(pk=held_merge.pk)


def _effects(held_merge: HeldMerge) -> dict[str, Any]:
    """What the last decision of this kind about the value changed."""
    last = (
        held_merges_of(held_merge.type_id, held_merge.value)
        .filter(state=held_merge.state)
        .order_by("-decided_at", "-pk")
        .first()
    )
    return (last.effects if last else None) or {}


# --- What each decision changed, put back: (message, surviving profile the value resolves to) --------------


def _undo_dismissal(held_merge: HeldMerge, actor: Actor) -> tuple[str, int | None]:
    same = held_merges_of(held_merge.type_id, held_merge.value).filter(
        state=State.OPEN, profile_id=held_merge.profile_id, other_id=held_merge.other_id
    )
    if (newer := same.first()) is not None:
        raise Conflict(
            f"Waiting merge {held_merge.pk} was asked for again and waits as waiting merge {newer.pk}; decide that one."
        )
    return "The merge waits again. Dismissing it had changed nothing.", None


def _undo_merge(held_merge: HeldMerge, actor: Actor) -> tuple[str, int | None]:
    roots = graph.roots_of([held_merge.profile_id, held_merge.other_id])
    if roots[held_merge.profile_id] == roots[held_merge.other_id]:
        merge_id = (held_merge.effects or {}).get("merge")
        in_force = merge_id is not None and Merge.objects.filter(pk=merge_id, undone_at=None).exists()
        raise MergedAnyway(held_merge.pk, merge_id if in_force else None)
    return "The merge waits again; its merge was undone.", None


def _undo_block(held_merge: HeldMerge, actor: Actor) -> tuple[str, int | None]:
    effects, what = _effects(held_merge), f"{held_merge.type} {held_merge.value}"
    if not effects.get("listed", True):
        return (
            f"The merge waits again. {what} stays blocked: it was already on the block list of its type. Remove it there.",
            None,
        )
    unblock_value(type_id=held_merge.type_id, value=held_merge.value, effects=effects)
    current, former = (
        resolving_row(held_merge.type_id, held_merge.value),
        _former(held_merge, effects.get("identifier")),
    )
    if current is None and former is not None:
        Identifier.objects.filter(pk=former.pk).update(resolves=True)
        record_resolving_change(former, "blocked", actor, is_taken_back=True)
        root = former.profile.canonical_id
        return f"{what} is not blocked any more: it identifies #{root} again.", root
    owner, root_id = _describe_owner(current)
    return f"{what} is not blocked any more: it identifies {owner}.", root_id


def _undo_shared(held_merge: HeldMerge, actor: Actor) -> tuple[str, int | None]:
    effects, what = _effects(held_merge), f"{held_merge.type} {held_merge.value}"
    current, former = (
        resolving_row(held_merge.type_id, held_merge.value),
        _former(held_merge, effects.get("identifier")),
    )
    device_profile_id: int = effects.get("profile", 0)
    if former is None or (
        current is not None
        and (current.profile_id != device_profile_id or current.profile.canonical_id != device_profile_id)
    ):
        owner, root_id = _describe_owner(current)
        return f"{what} is not a shared device any more: it identifies {owner}.", root_id
    is_exact = current is not None and _is_untouched(current.profile)
    if current is not None:
        Identifier.objects.filter(pk=current.pk).update(resolves=False)
    Identifier.objects.filter(pk=former.pk).update(resolves=True)
    if is_exact:
        _link_as_before(effects)
        delete_profiles(
            profile_ids=[device_profile_id],
            actor=actor,
            source=source_of_actor(actor),
            reason="Created for a shared device; that decision was undone.",
        )
    else:
        _link_from_now(former)
    record_resolving_change(former, "shared", actor, is_taken_back=True)
    root = former.profile.canonical_id
    message = f"{what} is not a shared device any more: it identifies #{root} again."
    if current is not None and not is_exact:
        record_resolving_change(current, "shared", actor, is_taken_back=True)
        message += f" What arrived in the meantime stays with #{device_profile_id}."
    return message, root


_UNDO = {
    State.BLOCKED: _undo_block,
    State.SHARED: _undo_shared,
    State.MERGED: _undo_merge,
    State.DISMISSED: _undo_dismissal,
}


# --- Identifiers and times -----------------------------------------------------------------------------------


def _former(held_merge: HeldMerge, identifier_id: int | None) -> Identifier | None:
    """The row the value resolved by before, locked, if it may again: its profile is live and has room for it."""
    if identifier_id is None:
        return None
    rows = Identifier.objects.select_related("type", "profile__canonical")
    rows = rows.filter(pk=identifier_id, type_id=held_merge.type_id, value=held_merge.value, is_pending=False)
    former = rows.select_for_update(no_key=True, of=("self",)).first()
    if former is None or not former.type.is_unique or former.profile.canonical.status != Profile.Status.LIVE:
        return None
    limit = former.type.max_per_profile
    if limit is None:
        return former
    has = Identifier.objects.of_profiles(former.profile.canonical_id).filter(
        type_id=former.type_id, resolves=True
    )
    return former if has.count() < limit else None


def _describe_owner(current: Identifier | None) -> tuple[str, int | None]:
    if current is None:
        return "nobody until a call sends it", None
    return f"#{current.profile.canonical_id}", current.profile.canonical_id


def _is_untouched(device: Profile) -> bool:
    """Nothing came in for the device's own profile, and nobody changed it."""
    others = Change.objects.filter(profile_id=device.pk).exclude(kind=Change.Kind.CREATED)
    return not (Event.objects.filter(profile_id=device.pk).exists() or others.exists())


def _link_as_before(effects: dict[str, Any]) -> None:
    LinkInterval.objects.filter(pk__in=effects["made"]).delete()
    LinkInterval.objects.filter(pk=effects["ended"]).update(ended_at=None)


def _link_from_now(former: Identifier) -> None:
    """It is theirs again from now on; in the time between it was the device's own."""
    current, same = timezone.now(), {"type": former.type, "value": former.value}
    LinkInterval.objects.filter(**same, ended_at=None).update(ended_at=current)
    LinkInterval.objects.create(**same, profile_id=former.profile_id, started_at=current)
