"""Cells that lose to the value their person keeps → found in the plan, listed with their line.

A row's ``kept`` holds them: ``{field: value}``. ``match`` finds those that do not fill or overwrite a profile's value;
here are those of rows that are about one person. Applying the plan writes them as alternates of the profile; tags and
consents are no values beside others, and are listed only.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from cdp.plurals import counted
from imports.cell_counts import known_sql
from imports.cells import NO_ALTERNATES
from imports.columns import APPEND, OVERWRITE
from imports.group_news import IS_FINAL_CONSENT
from imports.match_consents import KEPT_NO
from imports.models import Import
from imports.plan_spec import AttributeColumn, PlanSpec
from profiles.values.attributes import attribute_specs, label_of

# The codes of the plan's warnings about them.
ALTERNATE, KEPT_OUT = "kept_as_alternates", "kept_out"
LISTED = 100


def keep_lost_cells(cursor: Any, import_: Import, spec: PlanSpec) -> None:
    """``kept`` of every row of a group, after the heads were written anew: its cells that the profile will not have.

    And ``news``: what the row is the first to bring (``group_news``).
    """
    params: dict[str, Any] = {}
    pieces = [_field_piece(name) for name, _ in spec.fields]
    pieces += [_attribute_piece(index, column, params) for index, column in enumerate(spec.attributes)]
    if spec.tags:
        pieces.append(_tags_piece(spec.tags))
    if spec.has_consents:
        pieces.append(_CONSENTS_PIECE)
    lost = f"'{{' || nullif(concat_ws(',', {', '.join(pieces)}), '') || '}}'" if pieces else "NULL"
    cursor.execute(
        f"""
        UPDATE {import_.partition} r SET kept = ({lost})::jsonb, news = coalesce(n.keys, '{{}}')
        FROM import_own o JOIN import_final f ON f.line = o.head
            LEFT JOIN profiles_profile p ON p.id = f.profile_id LEFT JOIN import_news n ON n.line = o.line
        WHERE r.line = o.line AND r.outcome IN ('created', 'updated', 'unchanged', 'duplicate_in_file')
        """,
        params,
    )


def _tags_piece(policy: str) -> str:
    """With *overwrite* the tags of other rows, with *append* none, else those the person does not get."""
    if policy == APPEND:
        return "NULL"
    lost = (
        "lower(w.name) <> ALL (SELECT lower(t) FROM unnest(f.tags) t)"
        if policy == OVERWRITE
        else "lower(w.name) IN (SELECT lower(t) FROM jsonb_array_elements_text(f.kept -> 'tags') t)"
    )
    return (
        "(SELECT '\"tags\":' || jsonb_agg(w.name ORDER BY w.n)::text"
        f" FROM unnest(o.tags) WITH ORDINALITY AS w (name, n) WHERE {lost})"
    )


# Decisions of the row that another row of the person decides otherwise, or that the person's own “no” forbids.
_CONSENTS_PIECE = f"""
    (SELECT '"consents":' || jsonb_agg((w.e ->> 0) || '/' || (w.e ->> 1) || '=' || (w.e ->> 2))::text
    FROM jsonb_array_elements(o.consents) AS w (e) WHERE NOT {IS_FINAL_CONSENT} OR (w.e ->> 2 = 'granted' AND EXISTS (
        SELECT FROM jsonb_array_elements(f.notices) AS m
        WHERE m ->> 'code' = '{KEPT_NO}' AND m ->> 'column' = (w.e ->> 0) || '/' || (w.e ->> 1))))"""


def _field_piece(name: str) -> str:
    final = (
        f"CASE WHEN f.diff ? '{name}' THEN f.diff #>> '{{{name},1}}'"
        f" WHEN f.profile_id IS NULL THEN f.{name}::text ELSE p.{name}::text END"
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
        f"CASE WHEN f.diff ? %(k{index})s THEN f.diff -> %(k{index})s -> 1"
        f" WHEN f.profile_id IS NULL THEN f.attributes -> %(n{index})s ELSE p.attributes -> %(n{index})s END"
    )
    # Every entry of an appended list is in the final one.
    differs = (
        f"NOT coalesce({final}, '[]') @> {own}" if column.is_list else f"{own} IS DISTINCT FROM ({final})"
    )
    return f"CASE WHEN {own} IS NOT NULL AND {differs} THEN %(t{index})s || {own}::text END"


# --- What the plan says of them -----------------------------------------------------------------------


def lost_warnings(import_: Import) -> list[dict[str, Any]]:
    """How many cells lose, by field: those kept as alternates that are none yet, and those kept out."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT k.key, count(*), min(r.line) FROM {import_.partition} r, jsonb_each(r.kept) AS k
            WHERE r.kept IS NOT NULL AND NOT {known_sql(import_, "k.value")} GROUP BY 1 ORDER BY 2 DESC, 1
            """
        )
        by_field = cursor.fetchall()
    specs = attribute_specs()
    alternates = [row for row in by_field if row[0] not in NO_ALTERNATES]
    kept_out = [row for row in by_field if row[0] in NO_ALTERNATES]
    warnings = []
    if alternates:
        warnings.append(_alternates_warning(alternates, specs))
    if kept_out:
        warnings.append(_kept_out_warning(kept_out, specs))
    return warnings


def _alternates_warning(by_field: list[tuple[str, int, int]], specs: dict[str, Any]) -> dict[str, Any]:
    count, line_no = sum(cells for _, cells, _ in by_field), min(line for _, _, line in by_field)
    cells = "1 cell differs" if count == 1 else f"{count:,} cells differ"
    message = (
        f"{cells} from the value that the person keeps ({_fields(by_field, specs)}), the first in line {line_no:,}. They"
        " are kept as alternates on the person's card. Choose “Overwrite” for a column whose values should replace"
        " them."
    )
    return {"code": ALTERNATE, "column": None, "message": message, "count": count, "line": line_no}


def _kept_out_warning(by_field: list[tuple[str, int, int]], specs: dict[str, Any]) -> dict[str, Any]:
    count, line_no = sum(cells for _, cells, _ in by_field), min(line for _, _, line in by_field)
    rows = counted(count, "rows")
    message = (
        f"Tags or consents of {rows} were kept out ({_fields(by_field, specs)}), the first in line {line_no:,}: the person"
        " keeps what they have. The plan as CSV lists them."
    )
    return {"code": KEPT_OUT, "column": None, "message": message, "count": count, "line": line_no}


def _fields(by_field: list[tuple[str, int, int]], specs: dict[str, Any]) -> str:
    return ", ".join(f"{label_of(key, specs)} {cells:,}" for key, cells, _ in by_field[:8])


def alternates_count(import_: Import) -> int:
    """How many cells the plan keeps as alternates. No query."""
    return sum(warning["count"] for warning in import_.warnings if warning.get("code") == ALTERNATE)


def alternates(import_: Import, *, limit: int = LISTED) -> list[dict[str, Any]]:
    """The first of the cells that lose: line, same_person_as_line, field, value. The rows must be there; one query if any."""
    if not any(warning.get("code") in (ALTERNATE, KEPT_OUT) for warning in import_.warnings):
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT r.line, coalesce(r.head, r.line), k.key, k.value #>> '{{}}'
            FROM {import_.partition} r, jsonb_each(r.kept) AS k
            WHERE r.kept IS NOT NULL AND NOT {known_sql(import_, "k.value")} ORDER BY r.line, k.key LIMIT %s
            """,
            [limit],
        )
        return [
            {"line": line_no, "same_person_as_line": head, "field": field, "value": value}
            for line_no, head, field, value in cursor
        ]
