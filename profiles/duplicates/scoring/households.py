"""Addresses and numbers of a home: held by people whose first names are unlike, so that two of one name who share
one may be two as well (two Anns and a Robert at one e-mail). Once in Python for a few, once in DuckDB for all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from profiles.duplicates.scoring.features import Traits
from profiles.duplicates.scoring.levels import BY_FIELD
from profiles.duplicates.scoring.similarity import DIFFERS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# More than so many are a crowd, whose values say nothing anyway.
LARGEST = 20
_FIRST = BY_FIELD["first_name"]
_UNLIKE = _FIRST.names.index(DIFFERS)


def with_homes(people: Mapping[int, Traits]) -> dict[int, Traits]:
    """The same people with ``homes`` filled; right for who is here together with all who share something with them."""
    holders: dict[str, list[int]] = defaultdict(list)
    for one, traits in people.items():
        for value in _values(traits):
            holders[value].append(one)
    homes: dict[int, list[str]] = defaultdict(list)
    for value, ids in holders.items():
        if 2 < len(ids) <= LARGEST and any(_is_unlike(people[a], people[b]) for a, b in combinations(ids, 2)):
            for one in ids:
                homes[one].append(value)
    return {
        one: traits if traits.homes == (found := tuple(homes.get(one, ()))) else replace(traits, homes=found)
        for one, traits in people.items()
    }


def _values(traits: Traits) -> set[str]:
    return {traits.email, traits.phone, *traits.emails, *traits.phones} - {None}  # type: ignore[return-value]


def _is_unlike(one: Traits, other: Traits) -> bool:
    return _FIRST.level_of(one, other) == _UNLIKE and (one.first or "")[:1] != (other.first or "")[:1]


def find_homes(db: DuckDBPyConnection) -> None:
    """Fill the column ``homes`` of ``people``."""
    db.execute("ALTER TABLE people ADD COLUMN IF NOT EXISTS homes VARCHAR[] DEFAULT []")
    db.execute("UPDATE people SET homes = [] WHERE len(homes) > 0")
    every = " UNION ALL ".join(
        f"SELECT id, {name} AS value FROM people WHERE {name} IS NOT NULL"
        f" UNION ALL SELECT id, unnest({name}s) AS value FROM people WHERE len({name}s) > 0"
        for name in ("email", "phone")
    )
    # Hardly any value is held by three: only those are looked at closely.
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE holds AS WITH every AS ({every}) SELECT DISTINCT id, value FROM every"
        " SEMI JOIN (SELECT value FROM every GROUP BY value HAVING count(*) >= 3) USING (value)"
    )
    db.execute(
        "DELETE FROM holds WHERE value IN (SELECT value FROM holds GROUP BY value"
        f" HAVING count(*) NOT BETWEEN 3 AND {LARGEST})"
    )
    db.execute(
        "CREATE OR REPLACE TEMP TABLE home AS SELECT DISTINCT a.value FROM holds a JOIN holds b"
        " ON a.value = b.value AND a.id < b.id JOIN people l ON l.id = a.id JOIN people r ON r.id = b.id"
        f" WHERE ({_FIRST.sql}) = {_UNLIKE} AND left(l.first, 1) <> left(r.first, 1)"
    )
    db.execute(
        "UPDATE people SET homes = found.homes FROM (SELECT id, list_sort(list(value)) AS homes"
        " FROM holds SEMI JOIN home USING (value) GROUP BY id) found WHERE people.id = found.id"
    )
    db.execute("DROP TABLE holds")
    db.execute("DROP TABLE home")
