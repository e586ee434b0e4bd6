"""Match rows: people as the comparison sees them, built from the tables and kept beside them. Set-based."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.conf import settings
from django.db import connection

from profiles.duplicates.keys import hashed, match_keys
from profiles.duplicates.tiers import Side, single_of
from profiles.duplicates.traits import COLUMNS, Traits, read_traits
from profiles.identity.normalize import BadValue
from profiles.identity.types import Blocked, TypeSpec, identifier_types
from profiles.models import IdentifierType, MatchRow

STORED = (*COLUMNS, "ids", "singles", "keys")
_FIELDS = ("first_name", "last_name", "email", "phone", "birth_date", "city", "street", "postcode")
# Raise it when traits, folding, nicknames or keys change: the next scan then builds every row anew.
ALGORITHM = 2
# So many are written by one statement; more through a table of their own.
FEW = 10
# A person with more keys than this holds hundreds of addresses: a shared account, not somebody to compare.
MOST_KEYS = 400


@dataclass(frozen=True, slots=True)
class Row:
    """One live person, ready to compare and to store."""

    id: int
    side: Side
    keys: tuple[int, ...]

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
    types = [
        (row.pk, row.name, row.strength, row.normalizer, row.max_per_profile)
        for row in IdentifierType.objects.order_by("pk")
    ]
    return hashed(f"{ALGORITHM} {settings.CDP_PHONE_REGION} {types}") & 0x7FFFFFFF


def build(roots: Sequence[int]) -> list[Row]:
    """The rows of these people as they are now; none for who is not live or says nothing. Three queries."""
    if not roots:
        return []
    types = identifier_types()
    held = _held(roots, types)
    rows = []
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, CASE WHEN attributes ?| %s THEN attributes::text END, {', '.join(_FIELDS)}"
            " FROM profiles_profile WHERE id = ANY(%s) AND status = 'live' ORDER BY id",
            [list(types), list(roots)],
        )
        for profile_id, attributes, *values in cursor.fetchall():
            own = held[profile_id]
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
            rows.append(
                Row(profile_id, Side(traits, frozenset(own.ids), frozenset(own.singles)), tuple(keys))
            )
    return rows


def _held(roots: Sequence[int], types: dict[str, TypeSpec]) -> dict[int, _Held]:
    by_id = {spec.id: spec for spec in types.values()}
    found: dict[int, _Held] = defaultdict(_Held)
    with connection.cursor() as cursor:
        cursor.execute(
            # What waits for its owner to confirm it is nobody's yet.
            "SELECT m.canonical_id, i.type_id, i.value, i.resolves FROM profiles_profile m"
            " JOIN profiles_identifier i ON i.profile_id = m.id AND NOT i.is_pending"
            " WHERE m.canonical_id = ANY(%s) AND i.type_id = ANY(%s) ORDER BY i.id",
            [list(roots), [pk for pk, spec in by_id.items() if _tells(spec)]],
        )
        for root, type_id, value, resolves in cursor.fetchall():
            _add(found[root], by_id[type_id], value, resolves=resolves)
    return found


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
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, canonical_id FROM profiles_profile WHERE id = ANY(%s)", [wanted])
        known = dict(cursor.fetchall())
    return sorted({known.get(one, one) for one in wanted} | set(wanted))


def store(roots: Sequence[int], rows: Sequence[Row]) -> None:
    """Make the table say ``rows`` about ``roots``. Some statements, in the caller's transaction."""
    kept = {row.id for row in rows}
    gone = [root for root in roots if root not in kept]
    written = (*STORED, "version")
    columns, built_with = ", ".join(written), version()
    with connection.cursor() as cursor:
        if gone:
            cursor.execute("DELETE FROM profiles_matchrow WHERE profile_id = ANY(%s)", [gone])
        if not rows:
            return
        updates = ", ".join(f"{name} = excluded.{name}" for name in written)
        was = ", ".join(f"profiles_matchrow.{name}" for name in written)
        now = ", ".join(f"excluded.{name}" for name in written)
        # What is as it was is not written: the index of keys is what costs here.
        conflict = (
            f" ON CONFLICT (profile_id) DO UPDATE SET {updates}, built_at = excluded.built_at"
            f" WHERE ({was}) IS DISTINCT FROM ({now})"
        )
        into = f"INSERT INTO profiles_matchrow (profile_id, {columns})"
        if len(rows) <= FEW:
            places = f"({', '.join(['%s'] * (len(written) + 1))})"
            values = [value for row in rows for value in (*row.stored, built_with)]
            cursor.execute(f"{into} VALUES {', '.join([places] * len(rows))}{conflict}", values)
            return
        cursor.execute(
            "CREATE TEMP TABLE IF NOT EXISTS match_new (LIKE profiles_matchrow INCLUDING DEFAULTS)"
            " ON COMMIT DELETE ROWS"
        )
        cursor.execute("DELETE FROM match_new")
        with cursor.copy(f"COPY match_new (profile_id, {columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([*row.stored, built_with])
        cursor.execute(f"{into} SELECT profile_id, {columns} FROM match_new{conflict}")


def side_of(row: MatchRow) -> Side:
    """A stored row as the comparison takes it."""
    told: dict[str, Any] = {name: getattr(row, name) for name in COLUMNS}
    plain: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
    }
    return Side(Traits(**plain), frozenset(row.ids), frozenset(row.singles))
