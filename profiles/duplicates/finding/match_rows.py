"""Ids of profiles → match rows: their features, identifiers and keys, ready to compare, stored in one
table. Set-based.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.conf import settings

from cdp.sql import run
from profiles.duplicates.scoring.features import COLUMNS, Features, key_hash, match_keys, read_features
from profiles.duplicates.scoring.tiers import ComparedProfile, single_of
from profiles.identity.normalize import BadValue
from profiles.identity.types import Blocked, TypeSpec, identifier_types
from profiles.models import IdentifierType

READ = (*COLUMNS, "ids", "singles")
STORED = (*READ, "keys")
_LIST_INDEXES = [READ.index(name) for name in ("first_groups", "emails", "phones")]
_FIELDS = ("first_name", "last_name", "email", "phone", "birth_date", "city", "street", "postcode")
# Raise it when features, folding, nicknames or keys change: the next scan then builds every row anew.
ALGORITHM = 3
# A profile with more keys than this has hundreds of addresses: a shared account, not a person to compare.
MAX_KEYS = 400
# Identifiers of all member profiles, and the root's attributes. Identifiers waiting for confirmation do not count yet.
_PROFILES_SQL = f"""
    SELECT p.id, own.types, own.values, own.resolves,
        CASE WHEN attributes ?| %(names)b::text[] THEN attributes::text END, {", ".join(_FIELDS)}
    FROM profiles_profile p CROSS JOIN LATERAL (
        SELECT array_agg(type_id) AS types, array_agg(value) AS values, array_agg(resolves) AS resolves FROM (
            SELECT i.type_id, i.value, i.resolves FROM profiles_profile m JOIN profiles_identifier i
            ON i.profile_id = m.id AND NOT i.is_pending
            WHERE m.canonical_id = p.id AND i.type_id = ANY(%(types)b::bigint[]) ORDER BY i.id) identifier) own
    WHERE p.id = ANY(%(people)b::bigint[]) AND p.status = 'live' ORDER BY p.id"""
_WRITTEN = ("profile_id", *STORED, "version")
_STORE_SQL = f"""
    INSERT INTO profiles_matchrow AS m ({", ".join(_WRITTEN)})
    SELECT {", ".join(_WRITTEN)} FROM json_populate_recordset(NULL::profiles_matchrow, %s)
    ON CONFLICT (profile_id) DO UPDATE
    SET {", ".join(f"{name} = excluded.{name}" for name in _WRITTEN)}, built_at = excluded.built_at
    -- What is as it was is not written: the index of keys is what costs here.
    WHERE ({", ".join(f"m.{name}" for name in _WRITTEN)})
        IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _WRITTEN)})"""


@dataclass(frozen=True, slots=True)
class BuiltMatchRow:
    """The match row of one live profile, ready to compare and to store."""

    id: int
    profile: ComparedProfile
    keys: tuple[int, ...]
    version: int

    @property
    def stored(self) -> list[Any]:
        """The values of the table's columns, the profile's id first."""
        values = (getattr(self.profile.features, name) for name in COLUMNS)
        plain = [list(value) if isinstance(value, tuple) else value for value in values]
        return [self.id, *plain, sorted(self.profile.ids), sorted(self.profile.singles), list(self.keys)]


@dataclass(slots=True)
class _ProfileIdentifiers:
    """The identifiers of one profile and its members."""

    emails: list[str] = field(default_factory=list)
    phones: list[str] = field(default_factory=list)
    ids: set[int] = field(default_factory=set)
    singles: set[int] = field(default_factory=set)


def version() -> int:
    """A number for what rows are built with: the algorithm, and the settings and identifier types it
    depends on. One query.
    """
    return _version_of(identifier_types())


def _version_of(types: dict[str, TypeSpec]) -> int:
    relevant = [
        (spec.id, spec.name, spec.row.strength, spec.row.normalizer, spec.row.proves_two_people)
        for spec in sorted(types.values(), key=lambda spec: spec.id)
    ]
    return key_hash(f"{ALGORITHM} {settings.CDP_PHONE_REGION} {relevant}") & 0x7FFFFFFF


def build(roots: Sequence[int]) -> list[BuiltMatchRow]:
    """The rows of these profiles as they are now; none for profiles that are not live or have no features.
    Two queries.
    """
    if not roots:
        return []
    types = identifier_types()
    by_id = {spec.id: spec for spec in types.values() if _is_compared(spec)}
    built_with, rows = _version_of(types), []
    params = {"types": list(by_id), "names": list(types), "people": list(roots)}
    for profile_id, type_ids, identifier_values, resolves_flags, attributes, *values in run(
        _PROFILES_SQL, params
    ):
        identifiers = _ProfileIdentifiers()
        for type_id, value, resolves in zip(
            type_ids or (), identifier_values or (), resolves_flags or (), strict=True
        ):
            _add(identifiers, by_id[type_id], value, resolves=resolves)
        if attributes:
            _add_attributes(identifiers, orjson.loads(attributes), types)
        features = read_features(
            dict(zip(_FIELDS, values, strict=True)),
            region=settings.CDP_PHONE_REGION,
            emails=identifiers.emails,
            phones=identifiers.phones,
        )
        if features.is_empty and not identifiers.ids:
            continue
        keys = match_keys(features, identifiers.ids)[:MAX_KEYS]
        profile = ComparedProfile(features, frozenset(identifiers.ids), frozenset(identifiers.singles))
        rows.append(BuiltMatchRow(profile_id, profile, tuple(keys), built_with))
    return rows


def _is_compared(spec: TypeSpec) -> bool:
    """Whether values of this type identify a person: hard ones do, browsers do not."""
    return spec.row.strength == IdentifierType.Strength.HARD


def _add(identifiers: _ProfileIdentifiers, spec: TypeSpec, value: str, *, resolves: bool) -> None:
    if spec.row.normalizer == IdentifierType.Normalizer.EMAIL:
        identifiers.emails.append(value)
    elif spec.row.normalizer == IdentifierType.Normalizer.PHONE:
        identifiers.phones.append(value)
    else:
        number = key_hash(f"id:{spec.name}:{value}")
        identifiers.ids.add(number)
        if spec.row.proves_two_people and resolves:
            identifiers.singles.add(single_of(spec.id, number))


def _add_attributes(
    identifiers: _ProfileIdentifiers, attributes: dict[str, Any], types: dict[str, TypeSpec]
) -> None:
    """Values of attributes named like an identifier type: an id that was sent in the wrong place."""
    for name in attributes.keys() & types.keys():
        spec, value = types[name], attributes[name]
        if not _is_compared(spec) or not isinstance(value, (str, int)):
            continue
        try:
            _add(identifiers, spec, spec.clean(str(value)), resolves=False)
        except (Blocked, BadValue):
            continue  # blocked or not a value of this type: ignored


def roots_of(ids: Iterable[int]) -> list[int]:
    """The surviving profiles of these, and these themselves, whether they exist or not. One query."""
    wanted = list(set(ids))
    known: dict[int, int] = dict(
        run("SELECT id, canonical_id FROM profiles_profile WHERE id = ANY(%b::bigint[])", [wanted])
    )
    return sorted({known.get(profile_id, profile_id) for profile_id in wanted} | set(wanted))


def store(roots: Sequence[int], rows: Sequence[BuiltMatchRow]) -> None:
    """Replace the rows of ``roots`` by ``rows``, in the caller's transaction. One statement; two when rows
    are removed.
    """
    kept = {row.id for row in rows}
    removed = [root for root in roots if root not in kept]
    if removed:
        run("DELETE FROM profiles_matchrow WHERE profile_id = ANY(%b::bigint[])", [removed])
    if rows:
        records = [dict(zip(_WRITTEN, (*row.stored, row.version), strict=True)) for row in rows]
        run(_STORE_SQL, [orjson.dumps(records).decode()])


def compared_profile(stored: Sequence[Any]) -> ComparedProfile:
    """The columns ``READ`` → what is compared."""
    columns = list(stored)
    for index in _LIST_INDEXES:
        columns[index] = tuple(columns[index])
    *features, ids, singles = columns
    return ComparedProfile(Features(*features), frozenset(ids), frozenset(singles))
