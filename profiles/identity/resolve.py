"""Identifiers → profile: the one way every door finds out who somebody is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cdp.errors import NotFound
from profiles.identity.normalize import BadValue
from profiles.identity.types import Blocked, TypeSpec, identifier_types
from profiles.models import Identifier, Profile

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a value leads. ``member_id`` holds it; ``root_id`` is the surviving profile."""

    type: str
    value: str
    member_id: int
    root_id: int


@dataclass(frozen=True, slots=True)
class Found:
    """A person behind a reference; ``via_id`` is the member it named (the root itself, or a merged one)."""

    root: Profile
    via_id: int


def resolve(pairs: Iterable[Pair]) -> dict[Pair, Hit]:
    """Which profiles the (type name, normalized value) pairs lead to; unknown pairs are left out.

    One query for any number of pairs. Values that resolve nothing (contact-only, pending, released)
    lead nowhere.
    """
    wanted = set(pairs)
    if not wanted:
        return {}
    rows = (
        Identifier.objects.resolving()
        .filter(value__in={value for _, value in wanted}, type__name__in={name for name, _ in wanted})
        .values_list("type__name", "value", "profile_id", "profile__canonical_id")
    )
    return {
        (name, value): Hit(name, value, member, root)
        for name, value, member, root in rows
        if (name, value) in wanted
    }


def find_profile(ref: str | int, *, live_only: bool = True) -> Found:
    """The surviving profile behind an id it has or ever had, or behind ``type:value`` in any format.

    Raises NotFound. With ``live_only=False`` deleted people are found by id as well. At most 3 queries.
    """
    member_id = _member_of(str(ref))
    row = (
        Profile.objects.filter(pk=member_id).select_related("canonical").first()
        if member_id is not None
        else None
    )
    if row is None or (live_only and row.canonical.status != Profile.Status.LIVE):
        raise NotFound(f"No profile “{ref}”.")
    return Found(row.canonical, row.pk)


def _member_of(ref: str) -> int | None:
    plain = ref.removeprefix("#")
    if plain.isascii() and plain.isdigit():
        return int(plain) if len(plain) < 19 else None
    name, separator, raw = ref.partition(":")
    types = identifier_types()
    if not separator or name not in types:
        return None
    pair = clean_pair(types[name], raw)
    hit = resolve([pair]).get(pair) if pair else None
    return hit.member_id if hit else None


def clean_pair(spec: TypeSpec, raw: str) -> Pair | None:
    """The pair to look up, or None when the value is blocked or malformed and so leads nowhere."""
    try:
        return (spec.name, spec.clean(raw))
    except (BadValue, Blocked):
        return None
