"""A value of an identifier type → blocked, so that it identifies nobody, or unblocked again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from cdp.actors import Actor
from cdp.ttl_cache import forget_all
from profiles.builtin_sources import builtin_source
from profiles.editing.locking import touch
from profiles.identity.graph import refresh_recognized
from profiles.journal import Entry, publish_updated, record
from profiles.models import Change, DuplicateCase, HeldMerge, Identifier, IdentifierType, Profile


@dataclass(frozen=True, slots=True)
class BlockedValue:
    """``held_merge_ids`` are the merges that waited because of it; ``profile_id`` is whom it resolved to until now.

    ``effects`` is what was changed, for taking it back: ``{"listed": bool, "identifier": id | None, "case":
    [id, state before] | None}``; kept with the held merges.
    """

    held_merge_ids: list[int]
    profile_id: int | None
    effects: dict[str, Any] = field(default_factory=dict)


def block_value(*, type_id: int, value: str, actor: Actor) -> BlockedValue:
    """Add a value to the type's blocked ones; it is kept for contact where it is. In the caller's transaction.

    The profile it resolved to gets a journal entry; merges and cases that wait because of it are decided with it.
    """
    kind = IdentifierType.objects.select_for_update(no_key=True).get(pk=type_id)
    is_new = value.lower() not in (known.lower() for known in kind.blocked_values)
    if is_new:
        kind.blocked_values = [*kind.blocked_values, value.lower()]
        kind.save(update_fields=["blocked_values"])
    row = resolving_row(type_id, value)
    if row is not None:
        Identifier.objects.filter(pk=row.pk).update(resolves=False)
        record_resolving_change(row, "blocked", actor)
    # Other processes notice within seconds.
    transaction.on_commit(forget_all)
    # At most one (constraint duplicate_case_of_value_once).
    cases = DuplicateCase.objects.filter(
        kind=DuplicateCase.Kind.SHARED_VALUE, type_id=type_id, value=value, state__in=["open", "shared"]
    )
    case = cases.values_list("pk", "state").first()
    effects = {"listed": is_new, "identifier": row.pk if row else None, "case": case}
    held_merge_ids = close_held_merges(
        held_merges_of(type_id, value), HeldMerge.State.BLOCKED, actor, effects
    )
    cases.update(
        state=DuplicateCase.State.BLOCKED,
        user=actor.user_id,
        key=actor.key_id,
        decided_at=Now(),
        updated_at=Now(),
    )
    return BlockedValue(held_merge_ids, row.profile.canonical_id if row else None, effects)


def unblock_value(*, type_id: int, value: str, effects: dict[str, Any]) -> None:
    """Take a value off its type's list again, and the case that was decided with it is as before.

    In the caller's transaction; whom it resolves to then is the caller's to decide. ``effects`` as ``block_value`` returned them.
    """
    kind = IdentifierType.objects.select_for_update(no_key=True).get(pk=type_id)
    kind.blocked_values = [known for known in kind.blocked_values if known.lower() != value.lower()]
    kind.save(update_fields=["blocked_values"])
    transaction.on_commit(forget_all)
    State = DuplicateCase.State
    pk, state = effects.get("case") or (None, "")
    again = DuplicateCase.objects.filter(type_id=type_id, value=value, state__in=[State.OPEN, State.SHARED])
    if pk is not None and not again.exists():
        nobody = {"user": None, "key": None, "decided_at": None} if state == State.OPEN else {}
        case = DuplicateCase.objects.filter(pk=pk, state=State.BLOCKED)
        case.update(state=state, updated_at=Now(), **nobody)


def resolving_row(type_id: int, value: str) -> Identifier | None:
    """The row a value resolves by, locked; at most one."""
    rows = Identifier.objects.resolving().filter(type_id=type_id, value=value)
    return rows.select_related("profile", "type").select_for_update(no_key=True, of=("self",)).first()


def held_merges_of(type_id: int, value: str) -> QuerySet[HeldMerge]:
    return HeldMerge.objects.filter(type_id=type_id, value=value)


def close_held_merges(
    rows: QuerySet[HeldMerge], state: HeldMerge.State, actor: Actor, effects: dict[str, Any] | None = None
) -> list[int]:
    """Those of them that are open are decided; their ids. ``effects`` is what to put back when it is taken back."""
    ids = sorted(rows.filter(state=HeldMerge.State.OPEN).values_list("pk", flat=True))
    HeldMerge.objects.filter(pk__in=ids).update(
        state=state, user=actor.user_id, decided_at=Now(), effects=effects or {}
    )
    return ids


def record_resolving_change(row: Identifier, what: str, actor: Actor, *, is_taken_back: bool = False) -> None:
    """Journal that a value resolves to its profile no more (``what``: blocked, shared), or that it does again."""
    root = Profile.objects.defer("search").get(pk=row.profile.canonical_id)
    refresh_recognized([root.pk])
    touch(root)
    sides = [[str(row)], []] if is_taken_back else [[], [str(row)]]
    entry = Entry(root.pk, Change.Kind.UPDATED, {what: sides}, via_id=row.profile_id)
    source = builtin_source("api" if actor.key is not None else "staff")
    record(entry=entry, actor=actor, source=source)
    publish_updated([root.pk], ["identifiers"])
