"""The same person more than once in one file: found in SQL, decided in Python, folded into the first row in SQL.

Rows that share an identifier nobody has yet, or lead to the same profile, are linked; links spread until
each component has one label (its first line). Per component ``grouping`` decides who is who. The rows of one
person then become one: the head line carries what they say together (by each column's policy) and is planned
anew; the others are *duplicate in file*.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from django.db import connection

from imports.grouping import Grouping, Key, Member, Verdict
from imports.match import SEPARATOR, create_chunk, insert_rows
from imports.models import Import
from imports.partitions import links_table
from imports.plan_spec import APPEND, OVERWRITE, Shape

# How many rows one pass over the partition looks at for repeats; more rows take more passes, not more memory.
ROWS_PER_PASS = 4_000_000
FOLD_ROWS = 20_000

_PLANNED = "('created', 'updated', 'unchanged')"


def passes_for(rows: int) -> int:
    return 1 + rows // ROWS_PER_PASS


def find_links(job: Import, shape: Shape, *, part: int, parts: int) -> int:
    """Link rows by what they share, in pass ``part`` of ``parts``. The number of links found."""
    unique = sorted({slot.type_id for slot in shape.slots if slot.is_unique})
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '128MB'")
        if part == 0:
            cursor.execute(f"DROP TABLE IF EXISTS {links_table(job)}")
            cursor.execute(
                f"CREATE TABLE {links_table(job)} (line bigint NOT NULL, key bigint NOT NULL, label bigint)"
            )
        cursor.execute(
            f"""
            WITH shared AS MATERIALIZED (
                SELECT line, profile_id AS key FROM {job.partition}
                WHERE profile_id IS NOT NULL AND outcome IN {_PLANNED} AND profile_id %% %(parts)s = %(part)s
                UNION ALL
                SELECT r.line, hashtextextended(u.value, u.type_id)
                FROM {job.partition} r, unnest(r.types, r.keys, r.clashes) AS u (type_id, value, clash)
                WHERE r.keys IS NOT NULL AND r.outcome IN {_PLANNED} AND u.value IS NOT NULL AND u.clash IS NULL
                  AND u.type_id = ANY(%(unique)s)
                  AND abs(hashtextextended(u.value, u.type_id) %% %(parts)s) = %(part)s
            )
            INSERT INTO {links_table(job)} (line, key)
            SELECT line, key FROM shared
            WHERE key IN (SELECT key FROM shared GROUP BY key HAVING count(*) > 1)
            """,
            {"parts": parts, "part": part, "unique": unique},
        )
        return int(cursor.rowcount)


def label_components(job: Import) -> int:
    """Give every linked row the first line of its component. The number of linked rows."""
    links = links_table(job)
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


def fold_next(job: Import, shape: Shape, *, after: int) -> int | None:
    """Decide and fold the components labelled above ``after``; the last label done, None when there is none."""
    links = links_table(job)
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
            "DROP TABLE IF EXISTS import_group, import_conflict, import_head, import_chunk, import_hit"
        )
        cursor.execute(
            "CREATE TEMP TABLE import_group"
            " (line bigint PRIMARY KEY, head bigint, root bigint, clashes bigint[]) ON COMMIT DROP"
        )
        cursor.execute("CREATE TEMP TABLE import_conflict (line bigint PRIMARY KEY) ON COMMIT DROP")
        _write_verdicts(cursor, _verdicts(job, shape, after, last))
        cursor.execute("CREATE INDEX ON import_group (head)")
        cursor.execute("ANALYZE import_group")
        _fold(cursor, job, shape)
    return int(last)


def _verdicts(job: Import, shape: Shape, after: int, last: int) -> Iterator[tuple[Verdict, list[Any]]]:
    """Verdicts with the row's (types, clashes), component by component."""
    limits = {slot.type_id: slot.limit for slot in shape.slots if slot.limit is not None}
    unique = {slot.type_id for slot in shape.slots if slot.is_unique}
    held = _held_values(job, list(limits), after, last) if limits else {}
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            f"""
            SELECT l.label, r.line, r.profile_id, r.types, r.keys, r.clashes
            FROM {links_table(job)} l JOIN {job.partition} r ON r.line = l.line
            WHERE l.label > %s AND l.label <= %s ORDER BY l.label, l.line
            """,
            [after, last],
        )
        for _, rows in groupby(iter(cursor), key=lambda row: row[0]):
            grouping = Grouping(
                limits, lambda root, kind: held.get((root, kind), 0), is_strict=shape.is_strict
            )
            clashes: dict[int, tuple[int | None, list[int], list[int | None]]] = {}
            for _, line, root, types, values, clash in rows:
                whose = list(clash or [None] * len(types or []))
                clashes[line] = (root, types or [], whose)
                grouping.add(Member(line, root, _keys(types, values, clash, unique), _root_at(root, whose)))
            for verdict in grouping.verdicts():
                root, types, whose = clashes[verdict.line]
                if root is not None and verdict.root != root:
                    # Not theirs after all: their own contact values go with the row.
                    whose = [
                        None if mark == root and kind not in unique else mark
                        for mark, kind in zip(whose, types, strict=False)
                    ]
                yield verdict, whose


def _keys(
    types: list[int] | None,
    values: list[str | None] | None,
    clashes: list[int | None] | None,
    unique: set[int],
) -> list[Key]:
    return [
        Key(position, kind, value)
        for position, (kind, value) in enumerate(zip(types or (), values or (), strict=True))
        if value is not None and kind in unique and (clashes is None or clashes[position] is None)
    ]


def _root_at(root: int | None, clashes: list[int | None]) -> int:
    """The position of the row's strongest identifier that leads to its profile; -1: nothing is new in it."""
    return clashes.index(root) if root is not None and root in clashes else -1


def _held_values(job: Import, types: list[int], after: int, last: int) -> dict[tuple[int, int], int]:
    """How many values of the limited types the profiles in question have. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT m.canonical_id, i.type_id, count(*)
            FROM profiles_profile m JOIN profiles_identifier i ON i.profile_id = m.id
            WHERE i.resolves AND i.type_id = ANY(%s) AND m.canonical_id IN (
                SELECT r.profile_id FROM {links_table(job)} l JOIN {job.partition} r ON r.line = l.line
                WHERE l.label > %s AND l.label <= %s AND r.profile_id IS NOT NULL)
            GROUP BY 1, 2
            """,
            [types, after, last],
        )
        return {(root, kind): count for root, kind, count in cursor}


def _write_verdicts(cursor: Any, verdicts: Iterator[tuple[Verdict, list[Any]]]) -> None:
    groups: list[tuple[int, int, int | None, list[Any] | None]] = []
    conflicts: list[int] = []
    for verdict, clashes in verdicts:
        if verdict.is_conflict:
            conflicts.append(verdict.line)
            continue
        for position, whose in verdict.clashes.items():
            clashes[position] = whose
        marks = clashes if any(mark is not None for mark in clashes) else None
        groups.append((verdict.line, verdict.head, verdict.root, marks))
    with cursor.copy("COPY import_group (line, head, root, clashes) FROM STDIN") as copy:
        for group in groups:
            copy.write_row(group)
    cursor.execute("INSERT INTO import_conflict SELECT unnest(%s::bigint[])", [conflicts])


# --- Folding -------------------------------------------------------------------------------------------


def _pick(expression: str, policy: str) -> str:
    """Of several rows' values the first, or with *overwrite* the last: as if they came one after another."""
    order = "DESC" if policy == OVERWRITE else "ASC"
    return f"(array_agg({expression} ORDER BY r.line {order}) FILTER (WHERE {expression} IS NOT NULL))[1]"


def _fold(cursor: Any, job: Import, shape: Shape) -> None:
    part = job.partition
    message = "This row leads to more than one person of this file. It was left out."
    cursor.execute(
        f"""
        UPDATE {part} r SET outcome = 'conflict', diff = NULL,
            problems = jsonb_build_array(jsonb_build_object('column', NULL, 'value', '', 'message', %s::text))
        FROM import_conflict c WHERE c.line = r.line
        """,
        [message],
    )
    # People named once need nothing but the clashes that were found.
    cursor.execute(
        "CREATE TEMP TABLE import_head ON COMMIT DROP AS"
        " SELECT head AS line FROM import_group GROUP BY 1 HAVING count(*) > 1 OR bool_or(clashes IS NOT NULL)"
    )
    cursor.execute(create_chunk(shape))
    cursor.execute(*_fold_values(job, shape))
    cursor.execute(*_fold_hits(job))
    cursor.execute(f"DELETE FROM {part} r USING import_head h WHERE r.line = h.line")
    statement = insert_rows(shape, import_id=job.pk, partition=part)
    cursor.execute(statement.sql, statement.params)
    cursor.execute(
        f"""
        UPDATE {part} r SET outcome = 'duplicate_in_file', head = g.head, diff = NULL, profile_id = NULL
        FROM import_group g WHERE g.line = r.line AND g.head <> g.line
        """
    )


def _fold_values(job: Import, shape: Shape) -> tuple[str, dict[str, Any]]:
    """One ``import_chunk`` row per head, with what all its rows say."""
    params: dict[str, Any] = {"separator": SEPARATOR}
    policies = dict(shape.fields)
    fields = [_pick(f"r.{name}", policy) for name, policy in shape.fields]
    names = "".join(f"{name}, " for name in policies)
    sql = f"""
        INSERT INTO import_chunk (line, {names}attributes, tags, consents, clears, notices)
        SELECT g.head, {"".join(f"{field}, " for field in fields)}{_fold_attributes(job, shape, params)}, {_fold_tags(job, shape)},
            {_fold_consents(job)}, {_fold_clears(job)}, {_fold_notices(job)}
        FROM import_group g JOIN import_head h ON h.line = g.head JOIN {job.partition} r ON r.line = g.line
        GROUP BY g.head
    """
    return sql, params


def _union(job: Import, name: str) -> str:
    """Every entry the rows' lists have, once, in the order they come."""
    return (
        "(SELECT jsonb_agg(e ORDER BY line, n) FROM ("
        f"SELECT DISTINCT ON (w.e) w.e, r2.line, w.n FROM import_group g2 JOIN {job.partition} r2 ON r2.line = g2.line"
        f" CROSS JOIN jsonb_array_elements(r2.attributes -> {name}) WITH ORDINALITY AS w (e, n)"
        " WHERE g2.head = g.head ORDER BY w.e, r2.line, w.n) x)"
    )


def _fold_attributes(job: Import, shape: Shape, params: dict[str, Any]) -> str:
    if not shape.customs:
        return "NULL"
    pairs = []
    for index, custom in enumerate(shape.customs):
        params[f"a{index}"] = custom.name
        value = f"r.attributes -> %(a{index})s"
        if custom.policy == APPEND and custom.is_list:
            pairs.append(f"%(a{index})s::text, {_union(job, f'%(a{index})s')}")
        else:
            pairs.append(f"%(a{index})s::text, {_pick(value, custom.policy)}")
    return f"nullif(jsonb_strip_nulls(jsonb_build_object({', '.join(pairs)})), '{{}}')"


def _fold_tags(job: Import, shape: Shape) -> str:
    if shape.tags == OVERWRITE:
        return _pick("array_to_string(r.tags, %(separator)s)", OVERWRITE)
    return (
        "(SELECT string_agg(name, %(separator)s ORDER BY line, n) FROM ("
        "SELECT DISTINCT ON (lower(w.name)) w.name, r2.line, w.n"
        f" FROM import_group g2 JOIN {job.partition} r2 ON r2.line = g2.line"
        " CROSS JOIN unnest(r2.tags) WITH ORDINALITY AS w (name, n) WHERE g2.head = g.head"
        " ORDER BY lower(w.name), r2.line, w.n) x)"
    )


def _fold_consents(job: Import) -> str:
    """Per channel and purpose the last word, but a *no* beats a *yes* of the same file without times."""
    return (
        "(SELECT jsonb_agg(e) FROM ("
        "SELECT DISTINCT ON (w.e ->> 0, w.e ->> 1) w.e"
        f" FROM import_group g2 JOIN {job.partition} r2 ON r2.line = g2.line"
        " CROSS JOIN jsonb_array_elements(r2.consents) AS w (e) WHERE g2.head = g.head"
        " ORDER BY w.e ->> 0, w.e ->> 1, (w.e ->> 3) DESC NULLS FIRST, w.e ->> 2 DESC, r2.line DESC) x)"
    )


def _fold_clears(job: Import) -> str:
    return (
        "(SELECT string_agg(DISTINCT w.name, %(separator)s)"
        f" FROM import_group g2 JOIN {job.partition} r2 ON r2.line = g2.line"
        " CROSS JOIN unnest(r2.clears) AS w (name) WHERE g2.head = g.head)"
    )


def _fold_notices(job: Import) -> str:
    return (
        "(SELECT jsonb_agg(w.e ORDER BY r2.line)"
        f" FROM import_group g2 JOIN {job.partition} r2 ON r2.line = g2.line"
        " CROSS JOIN jsonb_array_elements(r2.notices) AS w (e) WHERE g2.head = g.head)"
    )


def _fold_hits(job: Import) -> tuple[str]:
    """``import_hit`` for the heads: the one profile of the group, and each identifier once."""
    return (
        f"""
        CREATE TEMP TABLE import_hit ON COMMIT DROP AS
        WITH roots AS (
            SELECT g.head AS line, max(g.root) AS target,
                (array_agg(r.via_id ORDER BY r.line) FILTER (WHERE r.profile_id = g.root))[1] AS via
            FROM import_group g JOIN import_head h ON h.line = g.head JOIN {job.partition} r ON r.line = g.line
            GROUP BY 1
        ), people AS MATERIALIZED (
            SELECT *, CASE WHEN target IS NOT NULL THEN target || ARRAY(
                SELECT m.id FROM profiles_profile m WHERE m.canonical_id = target AND m.canonical_id <> m.id
            ) END AS members FROM roots
        ), keys AS (
            SELECT DISTINCT ON (p.line, u.type_id, u.value) p.line, u.type_id, u.value, u.raw, u.clash, r.line AS at, u.n
            FROM people p JOIN import_group g ON g.head = p.line JOIN {job.partition} r ON r.line = g.line
            CROSS JOIN unnest(r.types, r.keys, r.raws, g.clashes)
                WITH ORDINALITY AS u (type_id, value, raw, clash, n)
            WHERE u.value IS NOT NULL AND u.clash IS DISTINCT FROM coalesce(p.target, -2)
              AND (p.target IS NULL OR NOT EXISTS (
                SELECT FROM profiles_identifier x
                WHERE x.profile_id = ANY(p.members) AND x.type_id = u.type_id AND x.value = u.value))
            ORDER BY p.line, u.type_id, u.value, (u.clash IS NOT NULL), r.line, u.n
        ), gathered AS (
            SELECT line, array_agg(type_id ORDER BY at, n) AS types, array_agg(value ORDER BY at, n) AS keys,
                array_agg(raw ORDER BY at, n) AS raws, array_agg(clash ORDER BY at, n) AS clashes
            FROM keys GROUP BY line
        )
        SELECT p.line, p.target, p.via, p.members, k.types, k.keys,
            CASE WHEN array_remove(k.raws, NULL) <> '{{}}' THEN k.raws END AS raws,
            CASE WHEN array_remove(k.clashes, NULL) <> '{{}}' THEN k.clashes END AS clashes, false AS is_clash, '' AS led_to
        FROM people p LEFT JOIN gathered k ON k.line = p.line
        """,
    )
