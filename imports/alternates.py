"""Cells that lose to the value their person keeps → found in the plan, listed with their line.

A row's ``kept`` holds them: ``{field: value}``. ``match`` finds those that do not fill or overwrite a profile's value;
here are those of rows that are about one person. Applying the plan writes them as alternates of the profile.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from imports.columns import OVERWRITE
from imports.models import Import
from imports.plan_spec import AttributeColumn, PlanSpec
from profiles.values.attributes import attribute_specs, label_of

# The code of the plan's warning about them.
ALTERNATE = "kept_as_alternates"
LISTED = 100


def collect_own_cells(cursor: Any, import_: Import, spec: PlanSpec) -> None:
    """``import_own``: what each row of a group says itself, before its head takes the values of all."""
    names = "".join(f", r.{name}" for name, _ in spec.fields)
    cursor.execute("DROP TABLE IF EXISTS import_own")
    cursor.execute(
        f"""
        CREATE TEMP TABLE import_own ON COMMIT DROP AS
        SELECT r.line, g.head, r.attributes, r.tags{names}
        FROM import_group g JOIN {import_.partition} r ON r.line = g.line
        WHERE g.head IN (SELECT head FROM import_group GROUP BY 1 HAVING count(*) > 1)
        """
    )


def keep_lost_cells(cursor: Any, import_: Import, spec: PlanSpec) -> None:
    """``kept`` of every row of a group, after the heads were written anew: its cells that the profile will not have."""
    params: dict[str, Any] = {}
    pieces = [_field_piece(name) for name, _ in spec.fields]
    pieces += [_attribute_piece(index, column, params) for index, column in enumerate(spec.attributes)]
    if spec.tags == OVERWRITE:
        pieces.append(
            "(SELECT '\"tags\":' || jsonb_agg(w ORDER BY n)::text FROM unnest(o.tags) WITH ORDINALITY AS t (w, n)"
            " WHERE lower(w) <> ALL (SELECT lower(f) FROM unnest(hr.tags) f))"
        )
    if not pieces:
        return
    cursor.execute(
        f"""
        UPDATE {import_.partition} r SET kept = ('{{' || nullif(concat_ws(',', {", ".join(pieces)}), '') || '}}')::jsonb
        FROM import_own o JOIN {import_.partition} hr ON hr.line = o.head
            LEFT JOIN profiles_profile p ON p.id = hr.profile_id
        WHERE r.line = o.line AND r.outcome IN ('created', 'updated', 'unchanged', 'duplicate_in_file')
        """,
        params,
    )


def _field_piece(name: str) -> str:
    final = (
        f"CASE WHEN hr.diff ? '{name}' THEN hr.diff #>> '{{{name},1}}'"
        f" WHEN hr.profile_id IS NULL THEN hr.{name}::text ELSE p.{name}::text END"
    )
    return (
        f"CASE WHEN o.{name} IS NOT NULL AND o.{name}::text IS DISTINCT FROM ({final})"
        f" THEN '\"{name}\":' || to_json(o.{name})::text END"
    )


def _attribute_piece(index: int, column: AttributeColumn, params: dict[str, Any]) -> str:
    params |= {f"n{index}": column.name, f"k{index}": f"attributes.{column.name}"}
    params[f"t{index}"] = f'"attributes.{column.name}":'
    own = f"(o.attributes -> %(n{index})s)"
    final = (
        f"CASE WHEN hr.diff ? %(k{index})s THEN hr.diff -> %(k{index})s -> 1"
        f" WHEN hr.profile_id IS NULL THEN hr.attributes -> %(n{index})s ELSE p.attributes -> %(n{index})s END"
    )
    # Every entry of an appended list is in the final one.
    differs = (
        f"NOT coalesce({final}, '[]') @> {own}" if column.is_list else f"{own} IS DISTINCT FROM ({final})"
    )
    return f"CASE WHEN {own} IS NOT NULL AND {differs} THEN %(t{index})s || {own}::text END"


# --- What the plan says of them -----------------------------------------------------------------------


def alternates_warning(import_: Import) -> dict[str, Any] | None:
    """How many cells lose, by field; None for none."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT key, count(*), min(line) FROM (
                SELECT line, jsonb_object_keys(kept) AS key FROM {import_.partition} WHERE kept IS NOT NULL
            ) k GROUP BY 1 ORDER BY 2 DESC, 1
            """
        )
        by_field = cursor.fetchall()
    if not by_field:
        return None
    count, line_no = sum(cells for _, cells, _ in by_field), min(line for _, _, line in by_field)
    cells = "1 cell differs" if count == 1 else f"{count:,} cells differ"
    specs = attribute_specs()
    fields = ", ".join(f"{label_of(key, specs)} {cells:,}" for key, cells, _ in by_field[:8])
    message = (
        f"{cells} from the value that the person keeps ({fields}), the first in line {line_no:,}. They are kept as"
        " alternates on the person's card. Choose “Overwrite” for a column whose values should replace them."
    )
    return {"code": ALTERNATE, "column": None, "message": message, "count": count, "line": line_no}


def alternates_count(import_: Import) -> int:
    """How many cells the plan keeps as alternates. No query."""
    return sum(warning["count"] for warning in import_.warnings if warning.get("code") == ALTERNATE)


def alternates(import_: Import, *, limit: int = LISTED) -> list[dict[str, Any]]:
    """The first of these cells: line, same_person_as_line, field, value. The rows must be there; one query if any."""
    if not alternates_count(import_):
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT r.line, coalesce(r.head, r.line), k.key, k.value #>> '{{}}'
            FROM {import_.partition} r, jsonb_each(r.kept) k
            WHERE r.kept IS NOT NULL ORDER BY r.line, k.key LIMIT %s
            """,
            [limit],
        )
        return [
            {"line": line_no, "same_person_as_line": head, "field": field, "value": value}
            for line_no, head, field, value in cursor
        ]
