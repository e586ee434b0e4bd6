"""The staged rows → one row per profile: rows about the same profile are folded into the first of them.

Rows that share an identifier no profile has yet, or match the same profile, are linked; identifiers that too many
unlike rows share are taken out (``shared_identifiers``), and the rest is linked anew; labels spread along the
links until each component has one (its first line). Per component ``group_rules`` decides which rows are about the
same profile. The head row then gets the values of all its rows (by each column's policy) and is matched again;
the others become *duplicate_in_file*.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from django.db import connection

from cdp.job_steps import Chunk
from imports.alternates import keep_lost_cells
from imports.columns import APPEND, OVERWRITE
from imports.group_news import collect_finals, collect_news, collect_own_cells
from imports.group_rules import GroupedRow, LinkedRow, RowGrouping, RowIdentifier
from imports.match import SEPARATOR, create_batch_table, insert_rows
from imports.models import Import
from imports.partitions import links_table
from imports.plan_spec import PlanSpec
from imports.shared_identifiers import hold_shared

# How many rows one pass over the partition searches for links; more rows take more passes, not more memory.
ROWS_PER_PASS = 4_000_000
FOLD_ROWS = 20_000

CONFLICT = "This row matches more than one profile of this file. It was left out."

_PLANNED = "('created', 'updated', 'unchanged')"


def group_rows(chunk: Chunk, import_: Import, spec: PlanSpec) -> None:
    """The next chunk of the phases *links*, *shared*, *label* and *fold*, in a transaction with the job's cursor."""
    with chunk.commit() as progress:
        phase = chunk.cursor["phase"]
        if phase == "links":
            progress.cursor = _link_next(chunk.cursor, import_, spec)
        elif phase == "shared":
            again = {"phase": "links", "part": 0, "rows": chunk.cursor["rows"], "is_checked": True}
            progress.cursor = again if hold_shared(import_, spec) else {"phase": "label"}
        elif phase == "label":
            label_components(import_)
            progress.cursor = {"phase": "fold", "after": 0}
        else:
            last = fold_next(import_, spec, after=chunk.cursor["after"])
            progress.cursor = {"phase": "finish"} if last is None else {"phase": "fold", "after": last}


def _link_next(cursor: dict[str, Any], import_: Import, spec: PlanSpec) -> dict[str, Any]:
    """One pass of linking; the cursor behind it."""
    part, parts = cursor["part"], 1 + cursor["rows"] // ROWS_PER_PASS
    if part == 0:
        _analyze_rows(import_)
    links = cursor.get("links", 0) + find_links(import_, spec, part=part, parts=parts)
    if part + 1 < parts:
        return {**cursor, "part": part + 1, "links": links}
    if links and not cursor.get("is_checked"):
        return {"phase": "shared", "rows": cursor["rows"]}
    return {"phase": "label" if links else "finish"}


def _analyze_rows(import_: Import) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {import_.partition} (line, outcome, profile_id, keys)")


# --- Links --------------------------------------------------------------------------------------------


def find_links(import_: Import, spec: PlanSpec, *, part: int, parts: int) -> int:
    """Link rows by what they share, in pass ``part`` of ``parts``. The number of new links."""
    unique = sorted(spec.unique_type_ids)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '128MB'")
        if part == 0:
            cursor.execute(f"DROP TABLE IF EXISTS {links_table(import_)}")
            cursor.execute(
                f"CREATE TABLE {links_table(import_)} (line bigint NOT NULL, key bigint NOT NULL, label bigint)"
            )
        cursor.execute(
            f"""
            WITH shared AS MATERIALIZED (
                SELECT line, profile_id AS key FROM {import_.partition}
                WHERE profile_id IS NOT NULL AND outcome IN {_PLANNED} AND profile_id %% %(parts)s = %(part)s
                UNION ALL
                SELECT r.line, hashtextextended(u.value, u.type_id)
                FROM {import_.partition} r, unnest(r.types, r.keys, r.clashes) AS u (type_id, value, clash)
                WHERE r.keys IS NOT NULL AND r.outcome IN {_PLANNED} AND u.value IS NOT NULL AND u.clash IS NULL
                  AND u.type_id = ANY(%(unique)s)
                  AND abs(hashtextextended(u.value, u.type_id) %% %(parts)s) = %(part)s
            )
            INSERT INTO {links_table(import_)} (line, key)
            SELECT line, key FROM shared
            WHERE key IN (SELECT key FROM shared GROUP BY key HAVING count(*) > 1)
            """,
            {"parts": parts, "part": part, "unique": unique},
        )
        return int(cursor.rowcount)


def label_components(import_: Import) -> int:
    """Give every linked row the first line of its component. The number of linked rows."""
    links = links_table(import_)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '128MB'")
        cursor.execute("DROP TABLE IF EXISTS import_label")
        cursor.execute(
            f"CREATE TEMP TABLE import_label ON COMMIT DROP AS SELECT line, min(line) AS label FROM {links} GROUP BY 1"
        )
        rows = int(cursor.rowcount)
        changed = rows
        while changed:
            cursor.execute(
                f"""
                WITH lowest AS (
                    SELECT k.key, min(l.label) AS label FROM {links} k JOIN import_label l USING (line) GROUP BY 1
                ), better AS (
                    SELECT k.line, min(w.label) AS label FROM {links} k JOIN lowest w USING (key) GROUP BY 1
                )
                UPDATE import_label l SET label = b.label FROM better b WHERE b.line = l.line AND b.label < l.label
                """
            )
            changed = int(cursor.rowcount)
        # From here on the table holds one row per linked row.
        cursor.execute(f"TRUNCATE {links}")
        cursor.execute(
            f"INSERT INTO {links} (line, key, label) SELECT line, 0, label FROM import_label ORDER BY label, line"
        )
        cursor.execute(f"CREATE INDEX ON {links} (label, line)")
        cursor.execute(f"ANALYZE {links}")
    return rows


# --- Groups -------------------------------------------------------------------------------------------


def fold_next(import_: Import, spec: PlanSpec, *, after: int) -> int | None:
    """Group and fold the components labelled above ``after``; the last label done, None when there is none."""
    links = links_table(import_)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT max(label) FROM (SELECT label FROM {links} WHERE label > %s ORDER BY label, line LIMIT %s) x",
            [after, FOLD_ROWS],
        )
        last = cursor.fetchone()[0]
        if last is None:
            cursor.execute(f"DROP TABLE {links}")
            return None
        cursor.execute(
            "DROP TABLE IF EXISTS import_group, import_conflict, import_head, import_batch, import_match, import_root,"
            " import_key, import_own, import_final, import_news"
        )
        cursor.execute(
            "CREATE TEMP TABLE import_group"
            " (line bigint PRIMARY KEY, head bigint, root bigint, clashes bigint[]) ON COMMIT DROP"
        )
        cursor.execute("CREATE TEMP TABLE import_conflict (line bigint PRIMARY KEY) ON COMMIT DROP")
        _copy_groups(cursor, _grouped_rows(import_, spec, after, last))
        cursor.execute("CREATE INDEX ON import_group (head)")
        cursor.execute("ANALYZE import_group")
        _fold(cursor, import_, spec)
    return int(last)


def _grouped_rows(
    import_: Import, spec: PlanSpec, after: int, last: int
) -> Iterator[tuple[GroupedRow, list[int | None]]]:
    """Each linked row with the clashes it had, component by component."""
    limits, unique = spec.limits, spec.unique_type_ids
    stored = _stored_values(import_, list(limits), after, last) if limits else {}
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            f"""
            SELECT l.label, r.line, r.profile_id, r.types, r.keys, r.clashes
            FROM {links_table(import_)} l JOIN {import_.partition} r ON r.line = l.line
            WHERE l.label > %s AND l.label <= %s ORDER BY l.label, l.line
            """,
            [after, last],
        )
        for _, rows in groupby(iter(cursor), key=lambda row: row[0]):
            grouping = RowGrouping(
                limits, lambda root, type_id: stored.get((root, type_id), 0), is_strict=spec.is_strict
            )
            matched: dict[int, tuple[int | None, list[int], list[int | None]]] = {}
            for _, line_no, root, types, values, stored_clashes in rows:
                types, values = types or [], values or []
                clashes = stored_clashes or [None] * len(types)
                matched[line_no] = (root, types, clashes)
                identifiers = _new_identifiers(types, values, clashes, unique)
                # The strongest identifier that matches the profile; without one nothing is new in it.
                root_position = clashes.index(root) if root is not None and root in clashes else -1
                grouping.add(LinkedRow(line_no, root, identifiers, root_position))
            for row in grouping.grouped_rows():
                root, types, clashes = matched[row.line_no]
                if root is not None and row.root != root:
                    # About another profile after all: the contact values it has itself go with the row.
                    clashes = [
                        None if clash == root and type_id not in unique else clash
                        for clash, type_id in zip(clashes, types, strict=False)
                    ]
                yield row, clashes


def _new_identifiers(
    types: list[int], values: list[str | None], clashes: list[int | None], unique: set[int]
) -> list[RowIdentifier]:
    """Those of the row that could match it to a profile, had any profile got them."""
    return [
        RowIdentifier(position, type_id, value)
        for position, (type_id, value) in enumerate(zip(types, values, strict=True))
        if value is not None and type_id in unique and clashes[position] is None
    ]


def _stored_values(import_: Import, types: list[int], after: int, last: int) -> dict[tuple[int, int], int]:
    """``{(root, type id): how many values}`` of types with a limit, for the profiles in question. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT m.canonical_id, i.type_id, count(*)
            FROM profiles_profile m JOIN profiles_identifier i ON i.profile_id = m.id
            WHERE i.resolves AND i.type_id = ANY(%s) AND m.canonical_id IN (
                SELECT r.profile_id FROM {links_table(import_)} l JOIN {import_.partition} r ON r.line = l.line
                WHERE l.label > %s AND l.label <= %s AND r.profile_id IS NOT NULL)
            GROUP BY 1, 2
            """,
            [types, after, last],
        )
        return {(root, type_id): count for root, type_id, count in cursor}


def _copy_groups(cursor: Any, rows: Iterator[tuple[GroupedRow, list[int | None]]]) -> None:
    """Into ``import_group`` and ``import_conflict``. Reads all before it writes: both use the same connection."""
    groups: list[tuple[int, int, int | None, list[int | None] | None]] = []
    conflicts: list[int] = []
    for row, clashes in rows:
        if row.is_conflict:
            conflicts.append(row.line_no)
            continue
        for position, owner_id in row.clashes.items():
            clashes[position] = owner_id
        has_clash = any(clash is not None for clash in clashes)
        groups.append((row.line_no, row.head, row.root, clashes if has_clash else None))
    with cursor.copy("COPY import_group (line, head, root, clashes) FROM STDIN") as copy:
        for group in groups:
            copy.write_row(group)
    cursor.execute("INSERT INTO import_conflict SELECT unnest(%s::bigint[])", [conflicts])


# --- Folding ------------------------------------------------------------------------------------------


def _pick(expression: str, policy: str) -> str:
    """Of several rows' values the first, or with *overwrite* the last: as if they came one after another."""
    order = "DESC" if policy == OVERWRITE else "ASC"
    return f"(array_agg({expression} ORDER BY r.line {order}) FILTER (WHERE {expression} IS NOT NULL))[1]"


def _fold(cursor: Any, import_: Import, spec: PlanSpec) -> None:
    partition = import_.partition
    cursor.execute(
        f"""
        UPDATE {partition} r SET outcome = 'conflict', diff = NULL,
            problems = jsonb_build_array(jsonb_build_object('column', NULL, 'value', '', 'message', %s::text))
        FROM import_conflict c WHERE c.line = r.line
        """,
        [CONFLICT],
    )
    # Groups of a single row need nothing but their clashes.
    cursor.execute(
        "CREATE TEMP TABLE import_head ON COMMIT DROP AS"
        " SELECT head AS line FROM import_group GROUP BY 1 HAVING count(*) > 1 OR bool_or(clashes IS NOT NULL)"
    )
    cursor.execute(create_batch_table(spec))
    cursor.execute(*_fold_values(import_, spec))
    _fold_matches(cursor, import_)
    collect_own_cells(cursor, import_, spec)
    cursor.execute(f"DELETE FROM {partition} r USING import_head h WHERE r.line = h.line")
    statement = insert_rows(spec, import_id=import_.pk, partition=partition)
    cursor.execute(statement.sql, statement.params)
    cursor.execute(
        f"""
        UPDATE {partition} r SET outcome = 'duplicate_in_file', head = g.head, diff = NULL, profile_id = NULL
        FROM import_group g WHERE g.line = r.line AND g.head <> g.line
        """
    )
    collect_finals(cursor, import_)
    collect_news(cursor, spec)
    keep_lost_cells(cursor, import_, spec)


def _fold_values(import_: Import, spec: PlanSpec) -> tuple[str, dict[str, Any]]:
    """``import_batch`` for the heads: the values all rows of the group have together."""
    params: dict[str, Any] = {"separator": SEPARATOR}
    policies = dict(spec.fields)
    fields = [_pick(f"r.{name}", policy) for name, policy in spec.fields]
    names = "".join(f"{name}, " for name in policies)
    sql = f"""
        INSERT INTO import_batch (line, {names}attributes, tags, consents, clears, notices, cells)
        SELECT g.head, {"".join(f"{field}, " for field in fields)}{_fold_attributes(import_, spec, params)}, {_fold_tags(import_, spec)},
            {_fold_consents(import_)}, {_fold_clears(import_)}, {_fold_notices(import_)},
            max(r.cells) FILTER (WHERE r.line = g.head)
        FROM import_group g JOIN import_head h ON h.line = g.head JOIN {import_.partition} r ON r.line = g.line
        GROUP BY g.head
    """
    return sql, params


def _union(import_: Import, name: str) -> str:
    """Every entry of the rows' lists, once, in the order of the file."""
    return (
        "(SELECT jsonb_agg(e ORDER BY line, n) FROM ("
        f"SELECT DISTINCT ON (w.e) w.e, r2.line, w.n FROM import_group g2 JOIN {import_.partition} r2 ON r2.line = g2.line"
        f" CROSS JOIN jsonb_array_elements(r2.attributes -> {name}) WITH ORDINALITY AS w (e, n)"
        " WHERE g2.head = g.head ORDER BY w.e, r2.line, w.n) x)"
    )


def _fold_attributes(import_: Import, spec: PlanSpec, params: dict[str, Any]) -> str:
    if not spec.attributes:
        return "NULL"
    pairs = []
    for index, column in enumerate(spec.attributes):
        params[f"a{index}"] = column.name
        value = f"r.attributes -> %(a{index})s"
        if column.policy == APPEND and column.is_list:
            pairs.append(f"%(a{index})s::text, {_union(import_, f'%(a{index})s')}")
        else:
            pairs.append(f"%(a{index})s::text, {_pick(value, column.policy)}")
    return f"nullif(jsonb_strip_nulls(jsonb_build_object({', '.join(pairs)})), '{{}}')"


def _fold_tags(import_: Import, spec: PlanSpec) -> str:
    if spec.tags == OVERWRITE:
        return _pick("array_to_string(r.tags, %(separator)s)", OVERWRITE)
    return (
        "(SELECT string_agg(name, %(separator)s ORDER BY line, n) FROM ("
        "SELECT DISTINCT ON (lower(w.name)) w.name, r2.line, w.n"
        f" FROM import_group g2 JOIN {import_.partition} r2 ON r2.line = g2.line"
        " CROSS JOIN unnest(r2.tags) WITH ORDINALITY AS w (name, n) WHERE g2.head = g.head"
        " ORDER BY lower(w.name), r2.line, w.n) x)"
    )


def _fold_consents(import_: Import) -> str:
    """Per channel and purpose the latest decision; of those without a time a *no* beats a *yes*."""
    return (
        "(SELECT jsonb_agg(e) FROM ("
        "SELECT DISTINCT ON (w.e ->> 0, w.e ->> 1) w.e"
        f" FROM import_group g2 JOIN {import_.partition} r2 ON r2.line = g2.line"
        " CROSS JOIN jsonb_array_elements(r2.consents) AS w (e) WHERE g2.head = g.head"
        " ORDER BY w.e ->> 0, w.e ->> 1, (w.e ->> 3) DESC NULLS FIRST, w.e ->> 2 DESC, r2.line DESC) x)"
    )


def _fold_clears(import_: Import) -> str:
    return (
        "(SELECT string_agg(DISTINCT w.name, %(separator)s)"
        f" FROM import_group g2 JOIN {import_.partition} r2 ON r2.line = g2.line"
        " CROSS JOIN unnest(r2.clears) AS w (name) WHERE g2.head = g.head)"
    )


def _fold_notices(import_: Import) -> str:
    """Each once: rows that share an identifier say the same of it."""
    return (
        "(SELECT jsonb_agg(x.e ORDER BY x.line) FROM ("
        f"SELECT w.e, min(r2.line) AS line FROM import_group g2 JOIN {import_.partition} r2 ON r2.line = g2.line"
        " CROSS JOIN jsonb_array_elements(r2.notices) AS w (e) WHERE g2.head = g.head GROUP BY w.e) x)"
    )


def _fold_matches(cursor: Any, import_: Import) -> None:
    """``import_match`` for the heads: the profile of the group, and each identifier once.

    ``import_key`` are these identifiers, with the first row that has each and its place there.
    """
    cursor.execute(
        f"""
        CREATE TEMP TABLE import_root ON COMMIT DROP AS
        WITH roots AS (
            SELECT g.head AS line, max(g.root) AS target,
                (array_agg(r.via_id ORDER BY r.line) FILTER (WHERE r.profile_id = g.root))[1] AS via
            FROM import_group g JOIN import_head h ON h.line = g.head JOIN {import_.partition} r ON r.line = g.line
            GROUP BY 1
        )
        SELECT *, CASE WHEN target IS NOT NULL THEN target || ARRAY(
            SELECT m.id FROM profiles_profile m WHERE m.canonical_id = target AND m.canonical_id <> m.id
        ) END AS members FROM roots
        """
    )
    cursor.execute(
        f"""
        CREATE TEMP TABLE import_key ON COMMIT DROP AS
            SELECT DISTINCT ON (p.line, u.type_id, u.value) p.line, u.type_id, u.value, u.raw, u.clash, r.line AS at, u.n
            FROM import_root p JOIN import_group g ON g.head = p.line JOIN {import_.partition} r ON r.line = g.line
            CROSS JOIN unnest(r.types, r.keys, r.raws, g.clashes)
                WITH ORDINALITY AS u (type_id, value, raw, clash, n)
            WHERE u.value IS NOT NULL AND u.clash IS DISTINCT FROM coalesce(p.target, -2)
              AND (p.target IS NULL OR NOT EXISTS (
                SELECT FROM profiles_identifier x
                WHERE x.profile_id = ANY(p.members) AND x.type_id = u.type_id AND x.value = u.value))
            ORDER BY p.line, u.type_id, u.value, (u.clash IS NOT NULL), r.line, u.n
        """
    )
    cursor.execute(
        """
        CREATE TEMP TABLE import_match ON COMMIT DROP AS
        WITH gathered AS (
            SELECT line, array_agg(type_id ORDER BY at, n) AS types, array_agg(value ORDER BY at, n) AS keys,
                array_agg(raw ORDER BY at, n) AS raws, array_agg(clash ORDER BY at, n) AS clashes
            FROM import_key GROUP BY line
        )
        SELECT p.line, p.target, p.via, p.members, k.types, k.keys, k.keys IS NOT NULL AS has_news,
            false AS has_other_clash,
            CASE WHEN array_remove(k.raws, NULL) <> '{}' THEN k.raws END AS raws,
            CASE WHEN array_remove(k.clashes, NULL) <> '{}' THEN k.clashes END AS clashes, false AS is_clash, '' AS owners
        FROM import_root p LEFT JOIN gathered k ON k.line = p.line
        """
    )
