"""The staged rows → identifiers that unlike rows share; those that too many share are taken out of their rows.

A value that leads to people with this many names or e-mail addresses identifies nobody, whatever it looks like; an
address of a company's function identifies nobody as soon as two first names or birth dates come with it. Each such
row is matched again without the value and says so. Values with fewer unlike rows stay, with a warning in each row.

Only rows that are linked to another row are looked at, so a file without repeats costs nothing.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection

from imports.columns.cell_marks import SHARED as SHARED_MARK
from imports.match import (
    SEPARATOR,
    batch_columns,
    create_batch_table,
    create_matches,
    insert_rows,
)
from imports.match_consents import KEPT_NO
from imports.models import Import, Row
from imports.partitions import links_table
from imports.plan_spec import PlanSpec
from profiles.identity.emails import ROLES

# The code of these rows' notices and of the plan's warning about them.
SHARED = "shared_identifier"
LISTED = 100

_PLANNED = "('created', 'updated', 'unchanged')"
_TABLES = "import_entry, import_shared, import_shared_row, import_batch, import_match"


def hold_shared(import_: Import, spec: PlanSpec) -> bool:
    """Mark rows that share identifiers with unlike rows; whether any row lost one, so that links are to be found anew.

    Adds a warning with the values' counts to the import. In the caller's transaction.
    """
    unique = sorted(spec.unique_type_ids)
    if not unique:
        return False
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '128MB'")
        cursor.execute(f"DROP TABLE IF EXISTS {_TABLES}")
        _collect_entries(cursor, import_, unique)
        if not _count_unlike(cursor, spec):
            return False
        _mark_rows(cursor, import_, spec)
        has_held = _match_again(cursor, import_, spec)
        _warn(cursor, import_, spec)
    return has_held


def _collect_entries(cursor: Any, import_: Import, unique: list[int]) -> None:
    """``import_entry``: per row and identifier what it says of the person; lines 0 are what is stored of them."""
    email = "(SELECT id FROM profiles_identifiertype WHERE name = 'email')"
    cursor.execute(
        f"""
        CREATE TEMP TABLE import_entry ON COMMIT DROP AS
        WITH linked AS (SELECT DISTINCT line FROM {links_table(import_)})
        SELECT r.line, u.type_id, u.value, r.profile_id, lower(r.first_name) AS first_name,
            lower(r.last_name) AS last_name, r.birth_date, coalesce(r.email, (
                SELECT min(e.value) FROM unnest(r.types, r.keys) AS e (type_id, value) WHERE e.type_id = {email}
            )) AS email
        FROM linked l JOIN {import_.partition} r ON r.line = l.line
        CROSS JOIN unnest(r.types, r.keys, r.clashes) AS u (type_id, value, clash)
        WHERE r.outcome IN {_PLANNED} AND u.value IS NOT NULL AND u.type_id = ANY(%s)
            AND (u.clash IS NULL OR u.clash = r.profile_id)
        """,
        [unique],
    )
    cursor.execute(
        f"""
        WITH known AS (SELECT DISTINCT type_id, value, profile_id FROM import_entry WHERE profile_id IS NOT NULL)
        INSERT INTO import_entry (line, type_id, value, first_name, last_name, birth_date, email)
        SELECT 0, k.type_id, k.value, lower(p.first_name), lower(p.last_name), p.birth_date, p.email
        FROM known k JOIN profiles_profile p ON p.id = k.profile_id
        UNION ALL
        SELECT 0, k.type_id, k.value, NULL, NULL, NULL, i.value
        FROM known k JOIN profiles_profile m ON m.canonical_id = k.profile_id
        JOIN profiles_identifier i ON i.profile_id = m.id AND i.type_id = {email} AND i.resolves
        """
    )
    cursor.execute("ANALYZE import_entry")


def _folded(text: str) -> str:
    return f"nullif(regexp_replace(normalize({text}, NFKD), '[^[:alnum:]]+', '', 'g'), '')"


def _count_unlike(cursor: Any, spec: PlanSpec) -> int:
    """``import_shared``: values with unlike rows, counted; ``is_held`` when too many share it. How many."""
    # Different addresses say nothing about the owner of an address.
    email_types = [column.type_id for column in spec.identifiers if column.type_name == "email"]
    differ = " OR ".join(
        f"min({name}) <> max({name})" for name in ("first_name", "last_name", "email", "birth_date")
    )
    cursor.execute(
        f"""
        CREATE TEMP TABLE import_shared ON COMMIT DROP AS
        WITH candidates AS (
            SELECT type_id, value FROM import_entry GROUP BY type_id, value
            HAVING count(*) FILTER (WHERE line > 0) > 1 AND ({differ})
        ), entries AS (
            SELECT type_id, value, line, {_folded("first_name")} AS first_name, birth_date, email,
                nullif(concat_ws(' ', {_folded("first_name")}, {_folded("last_name")}), '') AS name,
                type_id = ANY(%(email_types)s) AS is_email
            FROM candidates JOIN import_entry USING (type_id, value)
        ), counted AS (
            SELECT type_id, value, count(*) FILTER (WHERE line > 0) AS row_count,
                min(line) FILTER (WHERE line > 0) AS line,
                count(DISTINCT name) AS names, count(DISTINCT first_name) AS first_names,
                count(DISTINCT birth_date) AS birth_dates,
                count(DISTINCT email) FILTER (WHERE NOT is_email) AS emails,
                bool_or(is_email) AND split_part(split_part(value, '@', 1), '+', 1) = ANY(%(roles)s) AS is_role
            FROM entries GROUP BY type_id, value
        )
        SELECT *, greatest(names, emails) >= %(limit)s OR (is_role AND greatest(first_names, birth_dates) > 1)
            AS is_held
        FROM counted WHERE greatest(names, emails, birth_dates) > 1
        """,
        {"limit": settings.CDP_BREAKER_PEOPLE, "email_types": email_types, "roles": sorted(ROLES)},
    )
    return int(cursor.rowcount)


def _mark_rows(cursor: Any, import_: Import, spec: PlanSpec) -> None:
    """A notice in each row, which names the value and what came with it."""
    names = " ".join(f"WHEN {column.type_id} THEN '{column.type_name}'" for column in spec.identifiers)
    counted = ", ".join(
        f"CASE WHEN s.{column} > 1 THEN s.{column} || ' {label}' END"
        for column, label in (
            ("names", "names"),
            ("emails", "e-mail addresses"),
            ("birth_dates", "birth dates"),
        )
    )
    cursor.execute(
        f"""
        CREATE TEMP TABLE import_shared_row ON COMMIT DROP AS
        SELECT e.line, bool_or(s.is_held) AS is_held, jsonb_agg(jsonb_build_object(
            'code', '{SHARED}', 'column', t.name, 'value', s.value, 'message',
            t.name || ' “' || s.value || '” is in ' || s.row_count || ' rows with ' || concat_ws(' and ', {counted})
            || CASE WHEN s.is_held THEN '. It identifies nobody, so this row goes in without it.'
                ELSE '. Check that they are about one person.' END) ORDER BY s.type_id, s.value) AS notices
        FROM import_entry e JOIN import_shared s ON s.type_id = e.type_id AND s.value = e.value
        CROSS JOIN LATERAL (SELECT CASE s.type_id {names} END AS name) t
        WHERE e.line > 0 GROUP BY e.line
        """
    )
    cursor.execute("CREATE INDEX ON import_shared_row (line)")
    cursor.execute("ANALYZE import_shared_row")
    cursor.execute(
        f"""
        UPDATE {import_.partition} r SET notices = coalesce(r.notices, '[]') || s.notices
        FROM import_shared_row s WHERE s.line = r.line
        """
    )


def _is_held(type_id: int, index: int) -> str:
    return (
        "EXISTS (SELECT FROM import_shared h WHERE h.is_held"
        f" AND h.type_id = {type_id} AND h.value = r.keys[{index + 1}])"
    )


def _marks_of_held(spec: PlanSpec) -> str:
    """The marks of a row's cells, with another one for cells whose identifiers all are held."""
    marked = "r.cells"
    by_cell: dict[int, list[int]] = {}
    for index, column in enumerate(spec.identifiers):
        if column.cell >= 0:
            by_cell.setdefault(column.cell, []).append(index)
    for cell, indexes in by_cell.items():
        values = [f"r.keys[{index + 1}]" for index in indexes]
        held = [
            f"{value} IS NULL OR {_is_held(spec.identifiers[index].type_id, index)}"
            for index, value in zip(indexes, values, strict=True)
        ]
        is_held = " AND ".join(f"({condition})" for condition in held)
        marked = (
            f"CASE WHEN coalesce({', '.join(values)}) IS NOT NULL AND {is_held}"
            f" THEN overlay({marked} PLACING '{SHARED_MARK}' FROM {cell + 1} FOR 1) ELSE {marked} END"
        )
    return marked


def _match_again(cursor: Any, import_: Import, spec: PlanSpec) -> bool:
    """Rows with a held value, without it: the steps of ``match`` once more. Whether there are any."""
    cursor.execute("CREATE INDEX ON import_shared (value, type_id) WHERE is_held")
    cursor.execute(create_batch_table(spec))
    columns: list[str] = []
    values: list[str] = []
    for index, column in enumerate(spec.identifiers):
        is_held = _is_held(column.type_id, index)
        for name, array in ((f"k{index}", "keys"), (f"r{index}", "raws")):
            columns.append(name)
            values.append(f"CASE WHEN NOT {is_held} THEN r.{array}[{index + 1}] END")
    lists = {"tags", "clears"}
    for name, _ in batch_columns(spec)[1 + 2 * len(spec.identifiers) :]:
        if name == "problems":
            continue
        columns.append(name)
        if name in lists:
            values.append(f"array_to_string(r.{name}, %(separator)s)")
        elif name == "cells":
            values.append(_marks_of_held(spec))
        elif name == "notices":  # said again where it still holds
            values.append(
                "(SELECT jsonb_agg(n.e ORDER BY n.n) FROM jsonb_array_elements(r.notices) WITH ORDINALITY AS n (e, n)"
                " WHERE n.e ->> 'code' IS DISTINCT FROM '" + KEPT_NO + "')"
            )
        else:
            values.append(f"r.{name}")
    cursor.execute(
        f"""
        INSERT INTO import_batch (line, {", ".join(columns)})
        SELECT r.line, {", ".join(values)}
        FROM import_shared_row s JOIN {import_.partition} r ON r.line = s.line WHERE s.is_held
        """,
        {"separator": SEPARATOR},
    )
    if not cursor.rowcount:
        return False
    cursor.execute("ANALYZE import_batch (line)")
    cursor.execute(create_matches(spec))
    cursor.execute(f"DELETE FROM {import_.partition} r USING import_batch b WHERE b.line = r.line")
    statement = insert_rows(spec, import_id=import_.pk, partition=import_.partition)
    cursor.execute(statement.sql, statement.params)
    return True


def _warn(cursor: Any, import_: Import, spec: PlanSpec) -> None:
    """The plan's warning. Without the values: they are in the rows, and go with them."""
    names = {column.type_id: column.type_name for column in spec.identifiers}
    cursor.execute(
        """
        SELECT type_id, line, row_count, names, emails, birth_dates, is_held, count(*) OVER (),
            count(*) FILTER (WHERE is_held) OVER (), min(line) OVER ()
        FROM import_shared ORDER BY row_count DESC, line LIMIT %s
        """,
        [LISTED],
    )
    rows = cursor.fetchall()
    count, held, line_no = rows[0][7:]
    shared = "1 identifier is" if count == 1 else f"{count:,} identifiers are"
    message = f"{shared} shared by unlike rows."
    if held:
        lead = "It leads" if count == 1 else "1 of them leads" if held == 1 else f"{held:,} of them lead"
        message += f" {lead} to too many people to identify one: the rows go in without it."
    if count > held:
        others = "Check that the rows of each other one are" if held else "Check that they are"
        message += f" {others} about one person."
    warning = {
        "code": SHARED,
        "column": None,
        "message": message,
        "count": count,
        "line": line_no,
        "identifiers": [
            {
                "type": names[type_id],
                "line": line,
                "rows": row_count,
                "names": name_count,
                "emails": email_count,
                "birth_dates": date_count,
                "is_held": is_held,
            }
            for type_id, line, row_count, name_count, email_count, date_count, is_held, *_ in rows
        ],
    }
    import_ = Import.objects.select_for_update(no_key=True).only("warnings").get(pk=import_.pk)
    import_.warnings = [*import_.warnings, warning]
    import_.save(update_fields=["warnings"])


def shared_identifiers(import_: Import) -> list[dict[str, Any]]:
    """The identifiers that unlike rows share, most repeated first, each with its ``value`` (None once rows are gone).

    At most ``LISTED``; one query if there are any. The rows must be there.
    """
    listed = [
        item
        for warning in import_.warnings
        if warning.get("code") == SHARED
        for item in warning.get("identifiers", ())
    ]
    if not listed:
        return []
    rows = Row.objects.filter(import_id=import_.pk, line__in={item["line"] for item in listed})
    values: dict[tuple[int, str], list[str]] = {}
    for line_no, notices in rows.values_list("line", "notices"):
        for notice in notices or ():
            if notice.get("code") == SHARED:
                values.setdefault((line_no, notice["column"]), []).append(notice["value"])
    shared = []
    for item in listed:
        named = values.get((item["line"], item["type"]), [])
        value = named.pop(0) if len(named) > 1 else named[0] if named else None
        shared.append({"value": value, **item})
    return shared
