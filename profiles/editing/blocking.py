"""A value that says nothing about who somebody is: from now on it identifies nobody (I10)."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from cdp.actors import Actor
from profiles.builtin import builtin_source
from profiles.editing.identifiers import refresh_recognized
from profiles.editing.locking import touch
from profiles.journal import Entry, record
from profiles.models import Change, DuplicateCase, HeldJoin, Identifier, IdentifierType, Profile
from profiles.tracking.recent import forget_all


@dataclass(frozen=True, slots=True)
class BlockedValue:
    """``held`` are the joins that waited because of it; ``profile_id`` is whom it led to until now."""

    held: list[int]
    profile_id: int | None


def block_value(*, type_id: int, value: str, actor: Actor) -> BlockedValue:
    """Add a value to the type's blocked ones; it is kept for contact where it is. In the caller's transaction.

    Whoever it led to hears of it; joins and cases that wait because of it are decided with it.
    """
    kind = IdentifierType.objects.select_for_update(no_key=True).get(pk=type_id)
    if value.lower() not in (known.lower() for known in kind.blocked_values):
        kind.blocked_values = [*kind.blocked_values, value.lower()]
        kind.save(update_fields=["blocked_values"])
    row = leading_row(type_id, value)
    if row is not None:
        Identifier.objects.filter(pk=row.pk).update(resolves=False)
        tell_person(row, "blocked", actor)
    # Other processes notice within seconds.
    transaction.on_commit(forget_all)
    held = close_held(held_of(type_id, value), HeldJoin.State.BLOCKED, actor)
    DuplicateCase.objects.filter(
        kind=DuplicateCase.Kind.SHARED_VALUE, type_id=type_id, value=value, state__in=["open", "shared"]
    ).update(
        state=DuplicateCase.State.BLOCKED,
        user=actor.user_id,
        key=actor.key_id,
        decided_at=Now(),
        updated_at=Now(),
    )
    return BlockedValue(held, row.profile.canonical_id if row else None)


def leading_row(type_id: int, value: str) -> Identifier | None:
    """The row a value leads by, locked; at most one (I1)."""
    rows = Identifier.objects.resolving().filter(type_id=type_id, value=value)
    return rows.select_related("profile", "type").select_for_update(no_key=True, of=("self",)).first()


def held_of(type_id: int, value: str) -> QuerySet[HeldJoin]:
    return HeldJoin.objects.filter(type_id=type_id, value=value)


def close_held(rows: QuerySet[HeldJoin], state: HeldJoin.State, actor: Actor) -> list[int]:
    """Those of them that are open are decided; their ids."""
    ids = sorted(rows.filter(state=HeldJoin.State.OPEN).values_list("pk", flat=True))
    HeldJoin.objects.filter(pk__in=ids).update(state=state, user=actor.user_id, decided_at=Now())
    return ids


def tell_person(row: Identifier, what: str, actor: Actor) -> None:
    """The person the value led to hears that it does no more (``what``: blocked, shared)."""
    root = Profile.objects.defer("search").get(pk=row.profile.canonical_id)
    refresh_recognized([root.pk])
    touch(root)
    entry = Entry(root.pk, Change.Kind.UPDATED, {what: [[], [str(row)]]}, via_id=row.profile_id)
    source = builtin_source("api" if actor.key is not None else "staff")
    record(entry=entry, actor=actor, source=source)
