"""Giving a person an identifier, and taking one away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from cdp import audit
from cdp.actors import Actor
from cdp.errors import IdentifierTaken, Invalid, NotFound, RuleForbids
from profiles.editing.locking import lock_root, touch
from profiles.identity.graph import retried
from profiles.identity.normalize import BadValue
from profiles.identity.resolve import Pair, resolve
from profiles.identity.types import Blocked, TypeSpec, get_type, identifier_types
from profiles.journal import REQUEST, Cause, Entry, record
from profiles.models import Change, Identifier, IdentifierType, Profile, Source


@dataclass(frozen=True, slots=True)
class Attached:
    """``identifier`` is the row; ``is_new`` is False when the person had it already."""

    identifier: Identifier
    is_new: bool


@dataclass(frozen=True, slots=True)
class CleanIdentifier:
    spec: TypeSpec
    value: str
    raw: str

    @property
    def pair(self) -> Pair:
        return (self.spec.name, self.value)


def clean_identifiers(
    pairs: Iterable[tuple[str, str]], types: dict[str, TypeSpec]
) -> tuple[list[CleanIdentifier], list[str]]:
    """Normalized, distinct, blocked ones dropped with a warning each; Invalid names every bad one."""
    clean: dict[Pair, CleanIdentifier] = {}
    warnings: list[str] = []
    problems = []
    for name, raw in pairs:
        spec = get_type(types, name)
        try:
            found = CleanIdentifier(spec, spec.clean(raw), raw)
        except Blocked as warning:
            warnings.append(str(warning))
        except BadValue as error:
            problems.append({"field": name, "value": raw, "message": str(error)})
        else:
            clean.setdefault(found.pair, found)
    if problems:
        raise Invalid(problems)
    return list(clean.values()), warnings


def check_free(found: Iterable[CleanIdentifier], *, root_id: int | None) -> None:
    """Raises IdentifierTaken when one of them already leads to somebody else. One query."""
    hits = resolve(item.pair for item in found if item.spec.row.is_unique)
    for hit in hits.values():
        if hit.root_id != root_id:
            raise IdentifierTaken(hit.type, hit.value, hit.root_id)


def check_limits(found: Iterable[CleanIdentifier], *, root_id: int | None) -> None:
    """Raises RuleForbids when a person would hold more values of a type than it allows. One query."""
    limited: dict[str, set[str]] = {}
    specs = {}
    for item in found:
        if item.spec.row.max_per_profile is not None:
            limited.setdefault(item.spec.name, set()).add(item.value)
            specs[item.spec.name] = item.spec
    if limited and root_id is not None:
        held = Identifier.objects.of_people(root_id).filter(type__name__in=limited, resolves=True)
        for name, value in held.values_list("type__name", "value"):
            limited[name].add(value)
    for name, values in limited.items():
        limit = specs[name].row.max_per_profile or 0
        if len(values) > limit:
            shown = ", ".join(sorted(values))
            raise RuleForbids(
                f"One person has at most {limit} {name}; this would make {len(values)}: {shown}."
            )


def insert_identifiers(found: list[CleanIdentifier], *, profile_id: int, source: Source) -> list[Identifier]:
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
        for item in found
    ]
    try:
        with transaction.atomic():
            return Identifier.objects.bulk_create(rows)
    except IntegrityError:
        check_free(found, root_id=profile_id)
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
    """Give the person one more identifier; has no effect but ``last_seen_at`` when they have it already.

    ``via_id`` is the member whose identifier led here; the new one is kept there, so that an unmerge returns it.

    Raises IdentifierTaken (it leads to somebody else), RuleForbids (too many of a type), Invalid.
    """
    found, blocked = clean_identifiers([(type_name, raw)], identifier_types())
    if blocked:
        raise Invalid([{"field": type_name, "value": raw, "message": blocked[0]}])
    root = lock_root(profile_id)
    item = found[0]
    held = Identifier.objects.of_people(root.pk).filter(type=item.spec.row, value=item.value)
    had = held.order_by("-resolves", "is_pending", "pk").first()
    if had is not None and not had.is_pending and (had.resolves or not item.spec.row.is_unique):
        had.is_verified = had.is_verified or is_verified
        Identifier.objects.filter(pk=had.pk).update(last_seen_at=Now(), is_verified=had.is_verified)
        return Attached(had, is_new=False)
    check_free(found, root_id=root.pk)
    check_limits(found, root_id=root.pk)
    if had is not None:
        # Released by a deletion, lost in a clash once or waiting to be confirmed, and free now: it leads here.
        had.resolves, had.is_pending = item.spec.row.is_unique, False
        had.is_verified = had.is_verified or is_verified
        Identifier.objects.filter(pk=had.pk).update(
            resolves=had.resolves, is_pending=False, is_verified=had.is_verified, last_seen_at=Now()
        )
        row = had
    else:
        row = insert_identifiers(found, profile_id=via_id or root.pk, source=source)[0]
        if is_verified:
            row.is_verified = True
            row.save(update_fields=["is_verified"])
    _tell(root, came=[str(row)], left=[], via_id=via_id, actor=actor, source=source, cause=cause)
    return Attached(row, is_new=True)


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
    """Take an identifier away from the person; the journal keeps it, so it can be given back.

    Raises NotFound when they do not have it, RuleForbids for their last browser id (I3).
    """
    found, _ = clean_identifiers([(type_name, raw)], identifier_types())
    root = lock_root(profile_id)
    held = Identifier.objects.of_people(root.pk).select_related("type")
    row = held.filter(type__name=type_name, value=found[0].value).first() if found else None
    if row is None:
        raise NotFound(f"Profile #{root.pk} has no {type_name} “{raw}”.")
    if row.type.name == "anonymous_id" and held.filter(type=row.type).count() == 1:
        raise RuleForbids("Every profile keeps at least one browser id; this is the last.")
    gone = str(row)
    row.delete()
    _tell(root, came=[], left=[gone], via_id=None, actor=actor, source=source, cause=cause)
    return row


def _tell(
    root: Profile,
    *,
    came: list[str],
    left: list[str],
    via_id: int | None,
    actor: Actor,
    source: Source,
    cause: Cause,
) -> None:
    refresh_recognized([root.pk])
    touch(root)
    entry = Entry(root.pk, Change.Kind.UPDATED, {"identifiers": [left, came]}, via_id=via_id)
    record(entry=entry, actor=actor, source=source, cause=cause)
    audit.record(
        "profile.identifiers",
        actor=actor,
        subject=f"profile:{root.pk}",
        detail={"came": len(came), "left": len(left)},
    )


def refresh_recognized(root_ids: Iterable[int]) -> None:
    """Set ``is_recognized`` of these roots from what their members hold. One statement; only real changes."""
    holds = Identifier.objects.filter(
        profile__canonical_id=OuterRef("pk"),
        resolves=True,
        type__is_main=True,
        type__is_unique=True,
        type__strength=IdentifierType.Strength.HARD,
    )
    wrong = Profile.objects.filter(~Q(is_recognized=Exists(holds)), pk__in=list(root_ids))
    wrong.update(is_recognized=Exists(holds))
