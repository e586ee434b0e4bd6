"""Rows about one person → what each of them is the first to bring: fields, identifiers, tags, consents.

The first row of a person takes the values of all its rows, so what a row had itself is kept aside before
(``import_own``) and compared with the first row as it became (``import_final``). ``import_news`` has the keys each row
brings, as ``Row.news`` and ``cells.RowFate.added`` have them. One pass over the rows for each kind of value, whatever
the number of rows a person has.
"""

from __future__ import annotations

from typing import Any

from imports.cells import CONSENT
from imports.models import Import
from imports.plan_spec import AttributeColumn, PlanSpec

_OWN = "FROM import_own o JOIN import_final f ON f.line = o.head"


def collect_own_cells(cursor: Any, import_: Import, spec: PlanSpec) -> None:
    """``import_own``: what each row of a group says itself, before its head takes the values of all."""
    names = "".join(f", r.{name}" for name, _ in spec.fields)
    cursor.execute(
        f"""
        CREATE TEMP TABLE import_own ON COMMIT DROP AS
        SELECT r.line, g.head, r.attributes, r.tags, r.consents, r.clears{names}
        FROM import_head h JOIN import_group g ON g.head = h.line JOIN {import_.partition} r ON r.line = g.line
        """
    )


def collect_finals(cursor: Any, import_: Import) -> None:
    """``import_final``: the first rows with the values of all, after they were matched anew."""
    cursor.execute(
        f"CREATE TEMP TABLE import_final ON COMMIT DROP AS"
        f" SELECT r.* FROM import_head h JOIN {import_.partition} r ON r.line = h.line"
    )
    cursor.execute("ANALYZE import_own")
    cursor.execute("ANALYZE import_final")


def collect_news(cursor: Any, spec: PlanSpec) -> None:
    """``import_news``: per row the keys it is the first to bring; rows that bring nothing are left out."""
    params: dict[str, Any] = {}
    parts = ["SELECT at AS line, 'k' || n AS key FROM import_key", _clears()]
    parts += _single_values(spec, params)
    parts += [_list_entries(index, column, params) for index, column in _lists(spec)]
    if spec.tags:
        parts.append(_tags())
    if spec.has_consents:
        parts.append(_consents())
    cursor.execute(
        f"""
        CREATE TEMP TABLE import_news ON COMMIT DROP AS
        SELECT line, array_agg(DISTINCT key ORDER BY key) AS keys FROM ({" UNION ALL ".join(parts)}) n GROUP BY line
        """,
        params,
    )
    cursor.execute("ANALYZE import_news")


def _lists(spec: PlanSpec) -> list[tuple[int, AttributeColumn]]:
    return [(index, column) for index, column in enumerate(spec.attributes) if column.is_list]


def _clears() -> str:
    """Every row that empties a field which had a value."""
    return (
        f"SELECT o.line, w.name {_OWN} CROSS JOIN unnest(o.clears) AS w (name) WHERE f.diff ? w.name AND"
        " CASE WHEN w.name = 'tags' THEN f.diff #> '{tags,0}' <> '[]' ELSE f.diff -> w.name -> 1 = 'null' END"
    )


def _single_values(spec: PlanSpec, params: dict[str, Any]) -> list[str]:
    """The first row with the value the person gets, of each field with one value."""
    firsts, pairs = [], []
    for name, _ in spec.fields:
        new = (
            f"CASE WHEN f.diff ? '{name}' THEN f.diff #>> '{{{name},1}}'"
            f" WHEN f.profile_id IS NULL THEN f.{name}::text END"
        )
        firsts.append(f"min(o.line) FILTER (WHERE o.{name}::text = {new}) AS f_{name}")
        pairs.append(f"(x.f_{name}, '{name}')")
    for index, column in enumerate(spec.attributes):
        if column.is_list:
            continue
        params |= {f"n{index}": column.name, f"k{index}": f"attributes.{column.name}"}
        new = (
            f"CASE WHEN f.diff ? %(k{index})s THEN f.diff -> %(k{index})s -> 1"
            f" WHEN f.profile_id IS NULL THEN f.attributes -> %(n{index})s END"
        )
        firsts.append(f"min(o.line) FILTER (WHERE o.attributes -> %(n{index})s = {new}) AS a_{index}")
        pairs.append(f"(x.a_{index}, %(k{index})s)")
    if not firsts:
        return []
    return [
        f"SELECT v.line, v.key FROM (SELECT o.head, {', '.join(firsts)} {_OWN} GROUP BY o.head) x"
        f" CROSS JOIN LATERAL (VALUES {', '.join(pairs)}) AS v (line, key) WHERE v.line IS NOT NULL"
    ]


def _list_entries(index: int, column: AttributeColumn, params: dict[str, Any]) -> str:
    """The first row with each entry that is new to the list."""
    params |= {f"n{index}": column.name, f"k{index}": f"attributes.{column.name}"}
    return f"""
        SELECT e.line, %(k{index})s FROM (
            SELECT DISTINCT ON (o.head, w.e) o.line {_OWN}
            CROSS JOIN jsonb_array_elements(o.attributes -> %(n{index})s) AS w (e)
            WHERE CASE WHEN f.profile_id IS NULL THEN f.attributes -> %(n{index})s @> jsonb_build_array(w.e)
                ELSE f.diff -> %(k{index})s -> 1 @> jsonb_build_array(w.e)
                    AND NOT coalesce(nullif(f.diff -> %(k{index})s -> 0, 'null'), '[]') @> jsonb_build_array(w.e) END
            ORDER BY o.head, w.e, o.line) e"""


def _tags() -> str:
    """The first row with each tag that is new to the person."""
    return f"""
        SELECT e.line, 'tags' FROM (
            SELECT DISTINCT ON (o.head, lower(w.name)) o.line {_OWN} CROSS JOIN unnest(o.tags) AS w (name)
            WHERE lower(w.name) IN (
                SELECT lower(t) FROM unnest(f.tags) t WHERE f.profile_id IS NULL
                UNION ALL SELECT lower(t) FROM jsonb_array_elements_text(f.diff #> '{{tags,1}}') t)
            ORDER BY o.head, lower(w.name), o.line) e"""


def _consents() -> str:
    """The first row with each decision that is written."""
    label = "(w.e ->> 0) || '/' || (w.e ->> 1)"
    return f"""
        SELECT e.line, '{CONSENT}' || e.label FROM (
            SELECT DISTINCT ON (o.head, {label}) o.line, {label} AS label {_OWN}
            CROSS JOIN jsonb_array_elements(o.consents) AS w (e)
            WHERE CASE WHEN f.profile_id IS NULL THEN {IS_FINAL_CONSENT}
                ELSE f.diff #> '{{consents,1}}' ? ({label} || '=' || (w.e ->> 2)) END
            ORDER BY o.head, {label}, o.line) e"""


# Whether the decision w.e of a row is the one that the rows of its person f have together.
IS_FINAL_CONSENT = (
    "EXISTS (SELECT FROM jsonb_array_elements(f.consents) AS c"
    " WHERE c ->> 0 = w.e ->> 0 AND c ->> 1 = w.e ->> 1 AND c ->> 2 = w.e ->> 2)"
)
