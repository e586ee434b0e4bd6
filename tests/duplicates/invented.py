"""Synthetic people → profiles, as an import of contact values leaves them: two or three rows of some, none
merged yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from django.db import connection

from profiles.builtin_sources import builtin_source
from profiles.duplicates.training.vocabulary import FIELDS


def fill_profiles(rows: Iterable[Mapping[str, str]]) -> None:
    """One profile each, numbered from 1. Dates there are not are left out, as an import would."""
    columns = ", ".join(FIELDS)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE told (id serial, {', '.join(f'{name} text' for name in FIELDS)})")
        with cursor.copy(f"COPY told ({columns}) FROM STDIN") as copy:
            for row in rows:
                values = {**row, "birth_date": _day(row["birth_date"])}
                copy.write_row([values[name] or None for name in FIELDS])
        cursor.execute(
            f"INSERT INTO profiles_profile (id, canonical_id, source_id, {columns})"
            f" SELECT id, id, %s, {columns.replace('birth_date', 'birth_date::date')} FROM told",
            [builtin_source("import").pk],
        )
        cursor.execute(
            "INSERT INTO profiles_change (profile_id, kind, source_id, cause, fields)"
            " SELECT id, 'created', %s, 'import', '{}' FROM told",
            [builtin_source("import").pk],
        )
        # Whoever is made next must not get a number that is taken.
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('profiles_profile', 'id'), (SELECT max(id) FROM profiles_profile))"
        )
        cursor.execute("DROP TABLE told")


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return ""
