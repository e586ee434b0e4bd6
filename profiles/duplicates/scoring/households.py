"""Profiles that share e-mails and phones → which of these a household shares; once in Python for a few,
once in DuckDB.

A value is a household's when profiles with unlike first names have it. Two of one name that share such a
value may be two people (two Anns and a Robert at one e-mail).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from profiles.duplicates.scoring.features import Features
from profiles.duplicates.scoring.levels import BY_FIELD
from profiles.duplicates.scoring.similarity import DIFFERS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# A value of more profiles is a frequent value, which counts for nothing anyway.
MAX_HOLDERS = 20
_FIRST_NAME = BY_FIELD["first_name"]
_UNLIKE = _FIRST_NAME.names.index(DIFFERS)


def with_household_values(profiles: Mapping[int, Features]) -> dict[int, Features]:
    """The same profiles with ``household_values`` set.

    Right for those given together with every profile that shares a value with them.
    """
    holders: dict[str, list[int]] = defaultdict(list)
    for profile_id, features in profiles.items():
        for value in _values(features):
            holders[value].append(profile_id)
    shared_values: dict[int, list[str]] = defaultdict(list)
    for value, ids in holders.items():
        if 2 < len(ids) <= MAX_HOLDERS and any(
            _is_unlike(profiles[a], profiles[b]) for a, b in combinations(ids, 2)
        ):
            for profile_id in ids:
                shared_values[profile_id].append(value)
    return {
        profile_id: features
        if features.household_values == (values := tuple(shared_values.get(profile_id, ())))
        else replace(features, household_values=values)
        for profile_id, features in profiles.items()
    }


def _values(features: Features) -> set[str]:
    return {features.email, features.phone, *features.emails, *features.phones} - {None}  # type: ignore[return-value]


def _is_unlike(left: Features, right: Features) -> bool:
    return _FIRST_NAME.level_of(left, right) == _UNLIKE and (left.first or "")[:1] != (right.first or "")[:1]


def find_household_values(db: DuckDBPyConnection) -> None:
    """Set the column ``household_values`` of the table ``profiles``."""
    db.execute("ALTER TABLE profiles ADD COLUMN IF NOT EXISTS household_values VARCHAR[] DEFAULT []")
    db.execute("UPDATE profiles SET household_values = [] WHERE len(household_values) > 0")
    every = " UNION ALL ".join(
        f"SELECT id, {name} AS value FROM profiles WHERE {name} IS NOT NULL"
        f" UNION ALL SELECT id, unnest({name}s) AS value FROM profiles WHERE len({name}s) > 0"
        for name in ("email", "phone")
    )
    # Hardly any value has three holders; only those are compared.
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE holder AS WITH every AS ({every}) SELECT DISTINCT id, value FROM every"
        " SEMI JOIN (SELECT value FROM every GROUP BY value HAVING count(*) >= 3) USING (value)"
    )
    db.execute(
        "DELETE FROM holder WHERE value IN (SELECT value FROM holder GROUP BY value"
        f" HAVING count(*) NOT BETWEEN 3 AND {MAX_HOLDERS})"
    )
    db.execute(
        "CREATE OR REPLACE TEMP TABLE household_value AS SELECT DISTINCT a.value FROM holder a JOIN holder b"
        " ON a.value = b.value AND a.id < b.id JOIN profiles l ON l.id = a.id JOIN profiles r ON r.id = b.id"
        f" WHERE ({_FIRST_NAME.sql}) = {_UNLIKE} AND left(l.first, 1) <> left(r.first, 1)"
    )
    db.execute(
        "UPDATE profiles SET household_values = shared.household_values FROM (SELECT id, list_sort(list(value)) AS household_values"
        " FROM holder SEMI JOIN household_value USING (value) GROUP BY id) shared WHERE profiles.id = shared.id"
    )
    db.execute("DROP TABLE holder")
    db.execute("DROP TABLE household_value")
