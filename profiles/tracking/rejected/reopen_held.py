"""Taking back what was decided about a held join, so that it waits again (I10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict, RuleForbids
from profiles.editing.blocking import held_of, leading_row, tell_person, unblock_value
from profiles.identity import graph
from profiles.models import Change, Event, HeldJoin, Identifier, LinkInterval, Merge, Profile
from profiles.privacy.delete import delete_profiles
from profiles.tracking.ingest.ingest import enter
from profiles.tracking.rejected.decide_held import door_of, take_hold

State = HeldJoin.State


class MergedAnyway(RuleForbids):
    """A merge is taken back by undoing it; ``merge_id`` is the one, None when another had joined the two."""

    code = "merged_anyway"

    def __init__(self, held_id: int, merge_id: int | None) -> None:
        self.merge_id = merge_id
        what = f"undo merge {merge_id}" if merge_id else "undo the merge that made them one"
        super().__init__(
            f"Held join {held_id} was merged anyway, and the two are one person: {what}. Then it can be reopened."
        )
        if merge_id is not None:
            self.extra = {"merge_id": merge_id, "unmerge": f"/api/v1/merges/{merge_id}/unmerge/"}


@dataclass(frozen=True, slots=True)
class ReopenedHeld:
    """``reopened`` are the joins that wait again, this one and its siblings; ``was`` is the state before.

    ``profile_id`` is the surviving profile the value leads to now, None for nobody.
    """

    held_id: int
    was: str
    reopened: list[int]
    message: str
    profile_id: int | None = None


@graph.retried
@transaction.atomic
def reopen_held(*, held_id: int, actor: Actor) -> ReopenedHeld:
    """Take a decision back: the join waits again, with every other one that was decided for the same reason.

    Blocked: the value is taken off its type's list (a case of it among the duplicates waits again, too) and leads again to whom it led to, unless somebody else has
    it by now. Shared: likewise; where nothing came in meanwhile everything is exactly as before, else what came
    in stays with the device's own profile and the value passes on from now. Dismissed: nothing else was changed.
    Merged: open again once the merge was undone.

    Raises NotFound; Conflict when it is open, or waits already as a newer join; MergedAnyway.
    """
    enter(alone=True)  # a call at work might bring an event to a profile that is found empty here
    held = take_hold(held_id)
    if held.state == State.OPEN:
        raise Conflict(f"Held join {held_id} is open: there is no decision to take back.")
    was = held.state
    message, profile_id = _UNDO[State(was)](held, actor)
    reopened, newer = _open(held)
    if newer:
        waits = "join waits" if newer == 1 else "joins wait"
        message += f" {newer:,} {waits} already, asked for again since."
    audit.record(
        "heldjoin.reopen",
        actor=actor,
        subject=f"heldjoin:{held.pk}",
        detail={"was": was, "type": held.type.name, "reopened": len(reopened)},
    )
    return ReopenedHeld(held.pk, was, reopened, message, profile_id)


def _open(held: HeldJoin) -> tuple[list[int], int]:
    """Open the join and those decided with it; how many wait already as newer ones. Four queries.

    The newer one stays the open one (they are one question), the older one is dismissed.
    """
    rows = list(
        _decided_with(held).order_by("-pk").values_list("pk", "type_id", "value", "profile_id", "other_id")
    )
    values = {value for _, _, value, _, _ in rows}
    waiting = HeldJoin.objects.filter(state=State.OPEN, value__in=values)
    asked = set(waiting.values_list("type_id", "value", "profile_id", "other_id"))
    opened: list[int] = []
    for pk, type_id, value, person, other in rows:
        question = (type_id, value, person, other)
        if question not in asked:
            asked.add(question)
            opened.append(pk)
    older = [pk for pk, *_ in rows if pk not in set(opened)]
    HeldJoin.objects.filter(pk__in=opened).update(state=State.OPEN, user=None, decided_at=None, effects=None)
    HeldJoin.objects.filter(pk__in=older).update(state=State.DISMISSED, effects={})
    return sorted(opened), len(older)


def _decided_with(held: HeldJoin) -> QuerySet[HeldJoin]:
    if held.state in (State.BLOCKED, State.SHARED):
        return held_of(held.type_id, held.value).filter(state=held.state)
    if held.state == State.MERGED and (held.effects or {}).get("merge"):
        same = HeldJoin.objects.filter(state=State.MERGED, effects=held.effects)
        return same.exclude(profile__canonical_id=F("other__canonical_id"))
    return HeldJoin.objects.filter(pk=held.pk)


def _effects(held: HeldJoin) -> dict[str, Any]:
    """What the last decision of this kind about the value changed."""
    last = held_of(held.type_id, held.value).filter(state=held.state).order_by("-decided_at", "-pk").first()
    return (last.effects if last else None) or {}


# --- What each decision changed, put back: what to say, and whom the value leads to -----------------------


def _dismissed(held: HeldJoin, actor: Actor) -> tuple[str, int | None]:
    same = held_of(held.type_id, held.value).filter(
        state=State.OPEN, profile_id=held.profile_id, other_id=held.other_id
    )
    if (newer := same.first()) is not None:
        raise Conflict(
            f"Held join {held.pk} was asked for again and waits as held join {newer.pk}; decide that one."
        )
    return "The join waits again; dismissing it had changed nothing else.", None


def _merged(held: HeldJoin, actor: Actor) -> tuple[str, int | None]:
    roots = graph.roots_of([held.profile_id, held.other_id])
    if roots[held.profile_id] == roots[held.other_id]:
        merge_id = (held.effects or {}).get("merge")
        in_force = merge_id is not None and Merge.objects.filter(pk=merge_id, undone_at=None).exists()
        raise MergedAnyway(held.pk, merge_id if in_force else None)
    return "The join waits again; its merge was undone.", None


def _blocked(held: HeldJoin, actor: Actor) -> tuple[str, int | None]:
    effects, what = _effects(held), f"{held.type} {held.value}"
    if not effects.get("listed", True):
        return (
            f"The join waits again. {what} stays blocked: it was on its type's list before. Take it off there.",
            None,
        )
    unblock_value(type_id=held.type_id, value=held.value, effects=effects)
    now, row = leading_row(held.type_id, held.value), _former(held, effects.get("identifier"))
    if now is None and row is not None:
        Identifier.objects.filter(pk=row.pk).update(resolves=True)
        tell_person(row, "blocked", actor, is_taken_back=True)
        root = row.profile.canonical_id
        return f"{what} is not blocked any more: it leads to #{root} again.", root
    led, root_id = _leads_to(now)
    return f"{what} is not blocked any more: it leads to {led}.", root_id


def _shared(held: HeldJoin, actor: Actor) -> tuple[str, int | None]:
    effects, what = _effects(held), f"{held.type} {held.value}"
    now, row = leading_row(held.type_id, held.value), _former(held, effects.get("identifier"))
    mine: int = effects.get("profile", 0)
    if row is None or (now is not None and (now.profile_id != mine or now.profile.canonical_id != mine)):
        led, root_id = _leads_to(now)
        return f"{what} is no shared device any more: it leads to {led}.", root_id
    is_exact = now is not None and _is_untouched(now.profile)
    if now is not None:
        Identifier.objects.filter(pk=now.pk).update(resolves=False)
    Identifier.objects.filter(pk=row.pk).update(resolves=True)
    if is_exact:
        _link_as_before(effects)
        delete_profiles(
            profile_ids=[mine],
            actor=actor,
            source=door_of(actor),
            reason="Made for a shared device, which was taken back.",
        )
    else:
        _link_from_now(row)
    tell_person(row, "shared", actor, is_taken_back=True)
    root = row.profile.canonical_id
    message = f"{what} is no shared device any more: it leads to #{root} again."
    if now is not None and not is_exact:
        tell_person(now, "shared", actor, is_taken_back=True)
        message += f" What came in by it meanwhile stays with #{mine}."
    return message, root


_UNDO = {
    State.BLOCKED: _blocked,
    State.SHARED: _shared,
    State.MERGED: _merged,
    State.DISMISSED: _dismissed,
}


# --- Identifiers and times -----------------------------------------------------------------------------------


def _former(held: HeldJoin, identifier_id: int | None) -> Identifier | None:
    """The row the value led by before, locked, if it may lead again: the person is there, and has room for it."""
    if identifier_id is None:
        return None
    rows = Identifier.objects.select_related("type", "profile__canonical")
    rows = rows.filter(pk=identifier_id, type_id=held.type_id, value=held.value, is_pending=False)
    row = rows.select_for_update(no_key=True, of=("self",)).first()
    if row is None or not row.type.is_unique or row.profile.canonical.status != Profile.Status.LIVE:
        return None
    limit = row.type.max_per_profile
    if limit is None:
        return row
    has = Identifier.objects.of_people(row.profile.canonical_id).filter(type_id=row.type_id, resolves=True)
    return row if has.count() < limit else None


def _leads_to(now: Identifier | None) -> tuple[str, int | None]:
    if now is None:
        return "nobody until a call brings it", None
    return f"#{now.profile.canonical_id}", now.profile.canonical_id


def _is_untouched(device: Profile) -> bool:
    """Nothing came in for the device's own profile, and nobody changed it."""
    others = Change.objects.filter(profile_id=device.pk).exclude(kind=Change.Kind.CREATED)
    return not (Event.objects.filter(profile_id=device.pk).exists() or others.exists())


def _link_as_before(effects: dict[str, Any]) -> None:
    LinkInterval.objects.filter(pk__in=effects["made"]).delete()
    LinkInterval.objects.filter(pk=effects["ended"]).update(ended_at=None)


def _link_from_now(row: Identifier) -> None:
    """It is theirs again from now on; in the time between it was the device's own."""
    now, same = timezone.now(), {"type": row.type, "value": row.value}
    LinkInterval.objects.filter(**same, ended_at=None).update(ended_at=now)
    LinkInterval.objects.create(**same, profile_id=row.profile_id, started_at=now)
