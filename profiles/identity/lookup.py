"""Identifiers → the profiles they resolve to, one lookup for the API, imports, tracking and staff."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cdp.actors import Actor
from cdp.errors import NotFound
from profiles.identity.normalize import BadValue
from profiles.identity.types import Blocked, TypeSpec, find_type, identifier_types
from profiles.models import Identifier, Profile

IdentifierPair = tuple[str, str]
VIEW_DELETED = "profiles.view_deleted"
_GONE = (Profile.Status.DELETED, Profile.Status.ERASED)


@dataclass(frozen=True, slots=True)
class ResolvedIdentifier:
    """What a value resolves to: ``member_id`` has it; ``root_id`` is the surviving profile."""

    type: str
    value: str
    member_id: int
    root_id: int


@dataclass(frozen=True, slots=True)
class FoundProfile:
    """The profile behind a reference; ``via_id`` is the member it named (the root itself, or a merged one)."""

    root: Profile
    via_id: int


def resolve(pairs: Iterable[IdentifierPair]) -> dict[IdentifierPair, ResolvedIdentifier]:
    """Which profiles the (type name, normalized value) pairs resolve to; unknown pairs are left out.

    One query for any number of pairs. Contact-only, pending and released values do not
    resolve.
    """
    asked = set(pairs)
    if not asked:
        return {}
    rows = (
        Identifier.objects.resolving()
        .filter(value__in={value for _, value in asked}, type__name__in={name for name, _ in asked})
        .values_list("type__name", "value", "profile_id", "profile__canonical_id")
    )
    return {
        (name, value): ResolvedIdentifier(name, value, member, root)
        for name, value, member, root in rows
        if (name, value) in asked
    }


def find_profile(ref: str | int, *, live_only: bool = True) -> FoundProfile:
    """The surviving profile behind an id it has or ever had, or behind ``type:value`` in any format.

    Raises NotFound. With ``live_only=False`` deleted profiles are found by id as well. At most 3 queries.
    """
    member_id = _member_of(str(ref))
    row = (
        Profile.objects.filter(pk=member_id).select_related("canonical").first()
        if member_id is not None
        else None
    )
    if row is None or (live_only and row.canonical.status != Profile.Status.LIVE):
        raise NotFound(f"No profile “{ref}”.")
    return FoundProfile(row.canonical, row.pk)


def may_open(actor: Actor, root: Profile) -> bool:
    """Whether an actor may see this surviving profile at all: deleted people are for those with *See deleted people*.

    The list of deleted people, cards, the API and exports all ask this.
    """
    return root.status not in _GONE or actor.can(VIEW_DELETED)


def find_visible(ref: str | int, *, actor: Actor) -> FoundProfile:
    """``find_profile`` with deleted people, for those who may see them. Raises NotFound, also for everybody else."""
    found = find_profile(ref, live_only=False)
    if not may_open(actor, found.root):
        raise NotFound(f"No profile “{ref}”.")
    return found


def _member_of(ref: str) -> int | None:
    plain = ref.removeprefix("#")
    if plain.isascii() and plain.isdigit():
        return int(plain) if len(plain) < 19 else None
    name, separator, raw = ref.partition(":")
    spec = find_type(identifier_types(), name) if separator else None
    if spec is None:
        return None
    pair = clean_pair(spec, raw)
    resolved = resolve([pair]).get(pair) if pair else None
    return resolved.member_id if resolved else None


def clean_pair(spec: TypeSpec, raw: str) -> IdentifierPair | None:
    """The pair to look up, or None when the value is blocked or malformed and so resolves to nothing."""
    try:
        return (spec.name, spec.clean(raw))
    except (BadValue, Blocked):
        return None
