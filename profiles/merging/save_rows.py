"""Rows of people as a playing made them, written at once."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cdp.sql import run
from profiles.models import Profile

_COLUMNS = dict.fromkeys(Profile.FIELDS, "text") | {
    "birth_date": "date",
    "first_seen_at": "timestamptz",
    "last_seen_at": "timestamptz",
    "updated_at": "timestamptz",
    "is_recognized": "boolean",
    "version": "int",
    "attributes": "jsonb",
}
_SAVE = (
    f"UPDATE profiles_profile p SET {', '.join(f'{name} = v.{name}' for name in _COLUMNS)}"
    " FROM json_to_recordset(%(rows)s::json)"
    f" AS v (id bigint, {', '.join(f'{name} {kind}' for name, kind in _COLUMNS.items())}) WHERE p.id = v.id"
)


def save_rows(rows: Sequence[Profile]) -> None:
    """Everything a merge or its undo changes on these rows, which are locked; not where they point. One statement."""
    values = [{"id": row.pk} | {name: getattr(row, name) for name in _COLUMNS} for row in rows]
    # Not orjson: an attribute may hold a number of more than 64 bits.
    run(_SAVE, {"rows": json.dumps(values, default=str)})
