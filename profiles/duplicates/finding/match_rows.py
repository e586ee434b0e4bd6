"""Match rows: people as the comparison sees them, built from the tables and kept beside them. Set-based."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.conf import settings

from cdp.sql import run
from profiles.duplicates.scoring.features import COLUMNS, Traits, hashed, match_keys, read_traits
from profiles.duplicates.scoring.tiers import Side, single_of
from profiles.identity.normalize import BadValue
from profiles.identity.types import Blocked, TypeSpec, identifier_types
from profiles.models import IdentifierType

READ = (*COLUMNS, "ids", "singles")
STORED = (*READ, "keys")
_LISTS = [READ.index(name) for name in ("first_groups", "emails", "phones")]
_FIELDS = ("first_name", "last_name", "email", "phone", "birth_date", "city", "street", "postcode")
# Raise it when traits, folding, nicknames or keys change: the next scan then builds every row anew.
ALGORITHM = 2
# A person with more keys than this holds hundreds of addresses: a shared account, not somebody to compare.
MOST_KEYS = 400
# What people hold, by all their profiles, and say. What waits for its owner to confirm it is nobody's yet.
_PEOPLE = f"""
    SELECT p.id, held.types, held.values, held.resolves,
        CASE WHEN attributes ?| %(names)b::text[] THEN attributes::text END, {", ".join(_FIELDS)}
    FROM profiles_profile p CROSS JOIN LATERAL (
        SELECT array_agg(type_id) AS types, array_agg(value) AS values, array_agg(resolves) AS resolves FROM (
            SELECT i.type_id, i.value, i.resolves FROM profiles_profile m JOIN profiles_identifier i
            ON i.profile_id = m.id AND NOT i.is_pending
            WHERE m.canonical_id = p.id AND i.type_id = ANY(%(types)b::bigint[]) ORDER BY i.id) one) held
    WHERE p.id = ANY(%(people)b::bigint[]) AND p.status = 'live' ORDER BY p.id"""
_WRITTEN = ("profile_id", *STORED, "version")
_STORE = f"""
    INSERT INTO profiles_matchrow AS m ({", ".join(_WRITTEN)})
    SELECT {", ".join(_WRITTEN)} FROM json_populate_recordset(NULL::profiles_matchrow, %s)
    ON CONFLICT (profile_id) DO UPDATE
    SET {", ".join(f"{name} = excluded.{name}" for name in _WRITTEN)}, built_at = excluded.built_at
    -- What is as it was is not written: the index of keys is what costs here.
    WHERE ({", ".join(f"m.{name}" for name in _WRITTEN)})
        IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _WRITTEN)})"""


@dataclass(frozen=True, slots=True)
class Row:
    """One live person, ready to compare and to store."""

    id: int
    side: Side
    keys: tuple[int, ...]
    version: int

    @property
    def stored(self) -> list[Any]:
        """The values of the table's columns, the profile's id first."""
        told = (getattr(self.side.traits, name) for name in COLUMNS)
        plain = [list(value) if isinstance(value, tuple) else value for value in told]
        return [self.id, *plain, sorted(self.side.ids), sorted(self.side.singles), list(self.keys)]


@dataclass(slots=True)
class _Held:
    """The identifiers of one person, by all their profiles."""

    emails: list[str] = field(default_factory=list)
    phones: list[str] = field(default_factory=list)
    ids: set[int] = field(default_factory=set)
    singles: set[int] = field(default_factory=set)


def version() -> int:
    """What rows are built with, as a number: the algorithm, and the settings and identifier types it heeds. One query."""
    return _version_of(identifier_types())


def _version_of(types: dict[str, TypeSpec]) -> int:
    heeded = [
        (spec.id, spec.name, spec.row.strength, spec.row.normalizer, spec.row.max_per_profile)
        for spec in sorted(types.values(), key=lambda spec: spec.id)
    ]
    return hashed(f"{ALGORITHM} {settings.CDP_PHONE_REGION} {heeded}") & 0x7FFFFFFF


def build(roots: Sequence[int]) -> list[Row]:
    """The rows of these people as they are now; none for who is not live or says nothing. Two queries."""
    if not roots:
        return []
    types = identifier_types()
    by_id = {spec.id: spec for spec in types.values() if _tells(spec)}
    built_with, rows = _version_of(types), []
    asked = {"types": list(by_id), "names": list(types), "people": list(roots)}
    for profile_id, type_ids, held, resolving, attributes, *values in run(_PEOPLE, asked):
        own = _Held()
        for type_id, value, resolves in zip(type_ids or (), held or (), resolving or (), strict=True):
            _add(own, by_id[type_id], value, resolves=resolves)
        if attributes:
            _add_attributes(own, orjson.loads(attributes), types)
        traits = read_traits(
            dict(zip(_FIELDS, values, strict=True)),
            region=settings.CDP_PHONE_REGION,
            emails=own.emails,
            phones=own.phones,
        )
        if traits.is_empty and not own.ids:
            continue
        keys = match_keys(traits, own.ids)[:MOST_KEYS]
        side = Side(traits, frozenset(own.ids), frozenset(own.singles))
        rows.append(Row(profile_id, side, tuple(keys), built_with))
    return rows


def _tells(spec: TypeSpec) -> bool:
    """Whether values of this type say who somebody is: hard ones do, browsers do not."""
    return spec.row.strength == IdentifierType.Strength.HARD


def _add(own: _Held, spec: TypeSpec, value: str, *, resolves: bool) -> None:
    if spec.row.normalizer == IdentifierType.Normalizer.EMAIL:
        own.emails.append(value)
    elif spec.row.normalizer == IdentifierType.Normalizer.PHONE:
        own.phones.append(value)
    else:
        number = hashed(f"id:{spec.name}:{value}")
        own.ids.add(number)
        if spec.row.max_per_profile == 1 and resolves:
            own.singles.add(single_of(spec.id, number))


def _add_attributes(own: _Held, attributes: dict[str, Any], types: dict[str, TypeSpec]) -> None:
    """Values under an attribute named like an identifier's type: somebody sent an id in the wrong place."""
    for name in attributes.keys() & types.keys():
        spec, value = types[name], attributes[name]
        if not _tells(spec) or not isinstance(value, (str, int)):
            continue
        try:
            _add(own, spec, spec.clean(str(value)), resolves=False)
        except (Blocked, BadValue):
            continue  # names nobody, or no such value: as if it were not there


def roots_of(ids: Iterable[int]) -> list[int]:
    """The surviving profiles of these, those that are gone included. One query."""
    wanted = list(set(ids))
    known: dict[int, int] = dict(
        run("SELECT id, canonical_id FROM profiles_profile WHERE id = ANY(%b::bigint[])", [wanted])
    )
    return sorted({known.get(one, one) for one in wanted} | set(wanted))


def store(roots: Sequence[int], rows: Sequence[Row]) -> None:
    """Make the table say ``rows`` about ``roots``. One statement, in the caller's transaction; two when people go."""
    kept = {row.id for row in rows}
    gone = [root for root in roots if root not in kept]
    if gone:
        run("DELETE FROM profiles_matchrow WHERE profile_id = ANY(%b::bigint[])", [gone])
    if rows:
        told = [dict(zip(_WRITTEN, (*row.stored, row.version), strict=True)) for row in rows]
        run(_STORE, [orjson.dumps(told).decode()])


def side_of(stored: Sequence[Any]) -> Side:
    """What ``READ`` selects, as the comparison takes it."""
    told = list(stored)
    for place in _LISTS:
        told[place] = tuple(told[place])
    *traits, ids, singles = told
    return Side(Traits(*traits), frozenset(ids), frozenset(singles))
