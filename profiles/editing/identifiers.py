"""A profile and a value of an identifier type → the identifier attached to it, or detached from it.

An e-mail or phone is a contact value as well: where the profile has none, it is filled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from cdp import audit
from cdp.actors import Actor
from cdp.errors import IdentifierTaken, Invalid, NotFound, RuleForbids
from profiles.editing.locking import lock_root, touch
from profiles.identity.graph import refresh_recognized, retried
from profiles.identity.lookup import IdentifierPair, resolve
from profiles.identity.normalize import BadValue
from profiles.identity.presets import CONTACTS
from profiles.identity.types import Blocked, TypeSpec, get_type, identifier_types
from profiles.journal import REQUEST, Cause, Entry, publish_updated, record
from profiles.models import Change, Identifier, Profile, Source


@dataclass(frozen=True, slots=True)
class Attached:
    """``identifier`` is the row; ``is_new`` is False when the profile had it already."""

    identifier: Identifier
    is_new: bool


@dataclass(frozen=True, slots=True)
class CleanIdentifier:
    spec: TypeSpec
    value: str
    raw: str

    @property
    def pair(self) -> IdentifierPair:
        return (self.spec.name, self.value)


def clean_identifiers(
    pairs: Iterable[tuple[str, str]], types: dict[str, TypeSpec]
) -> tuple[list[CleanIdentifier], list[str]]:
    """Normalized, distinct, blocked ones dropped with a warning each; Invalid names every bad one."""
    clean: dict[IdentifierPair, CleanIdentifier] = {}
    warnings: list[str] = []
    problems = []
    for name, raw in pairs:
        spec = get_type(types, name)
        try:
            identifier = CleanIdentifier(spec, spec.clean(raw), raw)
        except Blocked as warning:
            warnings.append(str(warning))
        except BadValue as error:
            problems.append({"field": name, "value": raw, "message": str(error)})
        else:
            clean.setdefault(identifier.pair, identifier)
    if problems:
        raise Invalid(problems)
    return list(clean.values()), warnings


def check_free(identifiers: Iterable[CleanIdentifier], *, root_id: int | None) -> None:
    """Raises IdentifierTaken when one of them already resolves to another profile. One query."""
    hits = resolve(item.pair for item in identifiers if item.spec.row.is_unique)
    for hit in hits.values():
        if hit.root_id != root_id:
            raise IdentifierTaken(hit.type, hit.value, hit.root_id)


def check_limits(identifiers: Iterable[CleanIdentifier], *, root_id: int | None) -> None:
    """Raises RuleForbids when a profile would have more values of a type than it allows. One query."""
    limited: dict[str, set[str]] = {}
    specs = {}
    for item in identifiers:
        if item.spec.row.max_per_profile is not None:
            limited.setdefault(item.spec.name, set()).add(item.value)
            specs[item.spec.name] = item.spec
    if limited and root_id is not None:
        existing = Identifier.objects.of_profiles(root_id).filter(type__name__in=limited, resolves=True)
        for name, value in existing.values_list("type__name", "value"):
            limited[name].add(value)
    for name, values in limited.items():
        limit = specs[name].row.max_per_profile or 0
        if len(values) > limit:
            values_text = ", ".join(sorted(values))
            raise RuleForbids(
                f"One person has at most {limit} {name}; this would make {len(values)}: {values_text}."
            )


def insert_identifiers(
    identifiers: list[CleanIdentifier], *, profile_id: int, source: Source
) -> list[Identifier]:
    """Insert rows for one profile; a value somebody else just took raises IdentifierTaken."""
    rows = [
        Identifier(
            type=item.spec.row,
            value=item.value,
            raw=item.raw[:320] if item.raw != item.value else "",
            profile_id=profile_id,
            source=source,
            resolves=item.spec.row.is_unique,
        )
        for item in identifiers
    ]
    try:
        with transaction.atomic():
            return Identifier.objects.bulk_create(rows)
    except IntegrityError:
        check_free(identifiers, root_id=profile_id)
        raise


@retried
@transaction.atomic
def attach_identifier(
    *,
    profile_id: int,
    type_name: str,
    raw: str,
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
    is_verified: bool = False,
    via_id: int | None = None,
) -> Attached:
    """Give the profile one more identifier; has no effect but ``last_seen_at`` when it has it already.

    The first e-mail or phone becomes the contact value, too.

    ``via_id`` is the member whose identifier led here; the new one is kept there, so that an unmerge returns it.

    Raises IdentifierTaken (it resolves to another profile), RuleForbids (too many of a type), Invalid.
    """
    identifiers, blocked = clean_identifiers([(type_name, raw)], identifier_types())
    if blocked:
        raise Invalid([{"field": type_name, "value": raw, "message": blocked[0]}])
    root = lock_root(profile_id)
    item = identifiers[0]
    matching = Identifier.objects.of_profiles(root.pk).filter(type=item.spec.row, value=item.value)
    existing = matching.order_by("-resolves", "is_pending", "pk").first()
    if (
        existing is not None
        and not existing.is_pending
        and (existing.resolves or not item.spec.row.is_unique)
    ):
        existing.is_verified = existing.is_verified or is_verified
        Identifier.objects.filter(pk=existing.pk).update(last_seen_at=Now(), is_verified=existing.is_verified)
        return Attached(existing, is_new=False)
    check_free(identifiers, root_id=root.pk)
    check_limits(identifiers, root_id=root.pk)
    if existing is not None:
        # Released by a deletion, lost in a clash once or waiting to be confirmed, and free now: it resolves here.
        existing.resolves, existing.is_pending = item.spec.row.is_unique, False
        existing.is_verified = existing.is_verified or is_verified
        Identifier.objects.filter(pk=existing.pk).update(
            resolves=existing.resolves, is_pending=False, is_verified=existing.is_verified, last_seen_at=Now()
        )
        row = existing
    else:
        row = insert_identifiers(identifiers, profile_id=via_id or root.pk, source=source)[0]
        if is_verified:
            row.is_verified = True
            row.save(update_fields=["is_verified"])
    filled = _fill_contact(root, row)
    fields = {"identifiers": [[], [str(row)]], **filled}
    _record(root, fields, via_id=via_id, actor=actor, source=source, cause=cause)
    return Attached(row, is_new=True)


def _fill_contact(root: Profile, row: Identifier) -> dict[str, list[Any]]:
    """The e-mail or phone on the profile's row, where it had none, saved; ``{field: [old, new]}``."""
    name = row.type.name
    if name not in CONTACTS or getattr(root, name):
        return {}
    old = getattr(root, name)
    setattr(root, name, row.value)
    root.save(update_fields=[name])
    return {name: [old, row.value]}


@retried
@transaction.atomic
def detach_identifier(
    *,
    profile_id: int,
    type_name: str,
    raw: str,
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
) -> Identifier:
    """Take an identifier away from the profile; the journal keeps it, so it can be given back.

    Raises NotFound when it does not have it, RuleForbids for its last browser id.
    """
    identifiers, _ = clean_identifiers([(type_name, raw)], identifier_types())
    root = lock_root(profile_id)
    held_by_profile = Identifier.objects.of_profiles(root.pk).select_related("type")
    row = (
        held_by_profile.filter(type__name=type_name, value=identifiers[0].value).first()
        if identifiers
        else None
    )
    if row is None:
        raise NotFound(f"Profile #{root.pk} has no {type_name} “{raw}”.")
    if row.type.name == "anonymous_id" and held_by_profile.filter(type=row.type).count() == 1:
        raise RuleForbids("Every profile keeps at least one browser id; this is the last.")
    removed = str(row)
    row.delete()
    fields: dict[str, list[Any]] = {"identifiers": [[removed], []]}
    _record(root, fields, via_id=None, actor=actor, source=source, cause=cause)
    return row


def _record(
    root: Profile,
    fields: dict[str, list[Any]],
    *,
    via_id: int | None,
    actor: Actor,
    source: Source,
    cause: Cause,
) -> None:
    refresh_recognized([root.pk])
    touch(root)
    entry = Entry(root.pk, Change.Kind.UPDATED, fields, via_id=via_id)
    record(entry=entry, actor=actor, source=source, cause=cause)
    audit.record(
        "profile.identifiers",
        actor=actor,
        subject=f"profile:{root.pk}",
        detail={"came": len(fields["identifiers"][1]), "left": len(fields["identifiers"][0])},
    )
    publish_updated([root.pk], fields)
