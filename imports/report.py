"""The staged rows of an import → what it will do or did: counts by outcome, warnings, problems of rejected rows."""

from __future__ import annotations

from typing import Any

from django.db import connection

from imports.alternates import ALTERNATE, KEPT_OUT, lost_warnings
from imports.cells import cell_account, differing_warning
from imports.mappings import advice_for
from imports.models import Import, Row
from imports.shared_identifiers import SHARED
from imports.stage import READ_AS_EMPTY
from profiles.models import IdentifierType

# Counted where there are any: lines above the header and empty rows.
OUTCOMES = tuple(value for value in Row.Outcome.values if value != Row.Outcome.SKIPPED)
# Rows people have to look at; they are what rejected.csv contains.
REJECTED = (Row.Outcome.FAILED, Row.Outcome.CONFLICT, Row.Outcome.HELD)
# Fields of a diff that are [[removed], [added]] of what a person may have several of, not [old, new].
MANY_VALUED = ("tags", "identifiers", "consents")


def added_and_removed(removed: Any, added: Any) -> str:
    """“added vip, new; removed old”: what a person has besides is in no diff. Masked values stay what they are."""
    parts = [("added", added), ("removed", removed)]
    return "; ".join(
        f"{verb} {', '.join(map(str, values)) if isinstance(values, list) else values}"
        for verb, values in parts
        if values
    )


def count_rows(import_: Import, *, upto: int | None = None) -> dict[str, int]:
    """Rows by outcome; their sum is ``rows``. With ``upto``, planned rows behind that line are *not_applied*.

    Lines above the header and empty rows are *skipped*.
    """
    outcome = "outcome"
    if upto is not None:
        outcome = f"CASE WHEN line > {int(upto)} AND outcome IN ('created', 'updated') THEN 'not_applied' ELSE outcome END"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {outcome}, count(*) FROM {import_.partition} GROUP BY 1")
        by_outcome = dict(cursor.fetchall())
    if empty_rows := import_.empty_rows:
        by_outcome["skipped"] = by_outcome.get("skipped", 0) + empty_rows
    counts = {"rows": sum(by_outcome.values()), **{name: by_outcome.get(name, 0) for name in OUTCOMES}}
    for name in ("skipped", "not_applied"):
        if name in by_outcome:
            counts[name] = by_outcome[name]
    return counts


def row_problems(import_: Import, *, limit: int = 100, after: int = 0) -> list[dict[str, Any]]:
    """What is wrong with rejected rows, one entry per cell: line, column, value, message, outcome."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT r.line, r.outcome, p.e ->> 'column', p.e ->> 'value', p.e ->> 'message'
            FROM (
                SELECT line, outcome, problems FROM {import_.partition}
                WHERE line > %s AND outcome IN ('failed', 'conflict', 'held') ORDER BY line LIMIT %s
            ) r, jsonb_array_elements(coalesce(r.problems, '[]')) WITH ORDINALITY AS p (e, n)
            ORDER BY r.line, p.n LIMIT %s
            """,
            [after, limit, limit],
        )
        return [
            {"line": line_no, "column": column, "value": value, "message": message, "outcome": outcome}
            for line_no, outcome, column, value, message in cursor
        ]


# --- Warnings -----------------------------------------------------------------------------------------


def plan_warnings(import_: Import) -> list[dict[str, Any]]:
    """What people should know before they apply: advice about the mapping, and what the rows showed."""
    warnings = [warning for warning in advice_for(import_) if warning["code"] != "no_identifier"]
    warnings += [
        warning
        for warning in (
            _above_header(import_),
            _without_identifier(import_),
            _clashes(import_),
        )
        if warning
    ]
    account = cell_account(import_)
    if account and (differing := differing_warning(account)):
        warnings.insert(0, differing)
    return warnings + lost_warnings(import_) + _doubts(import_) + _notices(import_)


def _above_header(import_: Import) -> dict[str, Any] | None:
    """Lines that were taken for a title, and are no rows."""
    above = import_.dialect.get("above", [])
    if not above:
        return None
    count = Row.objects.filter(import_id=import_.pk, outcome=Row.Outcome.SKIPPED).count()
    text = " / ".join(text for _, text in above[:3])
    lines = "1 line is" if count == 1 else f"{count:,} lines are"
    message = f"{lines} above the header and not imported: {text[:300]}"
    return {"code": "above_header", "column": None, "message": message, "count": count, "line": above[0][0]}


def _doubts(import_: Import) -> list[dict[str, Any]]:
    """Guesses about the file that nobody confirmed; *auto_apply* waits for somebody who does."""
    doubts = import_.doubts
    warnings = [{"code": doubt["code"], "column": None, "message": doubt["message"]} for doubt in doubts]
    if doubts and import_.options.get("auto_apply"):
        message = "The plan was not applied by itself, because something about the file is uncertain. Look at it, then apply it."
        warnings.append({"code": "not_auto_applied", "column": None, "message": message})
    return warnings


def in_order(warnings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """About the file and whole rows first, then about identifiers, then about single cells."""
    later = {SHARED: 1, ALTERNATE: 2, KEPT_OUT: 2, READ_AS_EMPTY: 2, "value": 2}
    return sorted(warnings, key=lambda warning: later.get(warning["code"], 0))


def _without_identifier(import_: Import) -> dict[str, Any] | None:
    """Rows without any identifier make profiles that no later row can match."""
    unique = list(IdentifierType.objects.filter(is_unique=True).values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*), min(line) FROM {import_.partition} r WHERE outcome = 'created' AND (
                keys IS NULL OR NOT EXISTS (
                    SELECT FROM unnest(types, keys, clashes) AS u (type_id, value, clash)
                    WHERE type_id = ANY(%s) AND value IS NOT NULL AND clash IS NULL))
            """,
            [unique],
        )
        count, line_no = cursor.fetchone()
    if not count:
        return None
    rows = "1 row has" if count == 1 else f"{count:,} rows have"
    message = f"{rows} no identifier: every such row creates a new person, and another one when the file is imported again."
    return {"code": "no_identifier", "column": None, "message": message, "count": count, "line": line_no}


def _clashes(import_: Import) -> dict[str, Any] | None:
    """Rows whose identifiers belong to several profiles."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*), min(line) FROM {import_.partition} WHERE clashes IS NOT NULL"
            " AND outcome IN ('created', 'updated', 'unchanged') AND EXISTS ("
            "SELECT FROM unnest(clashes) AS c WHERE c <> 0 AND c IS DISTINCT FROM profile_id)"
        )
        count, line_no = cursor.fetchone()
    if not count:
        return None
    rows = "1 row has" if count == 1 else f"{count:,} rows have"
    message = (
        f"{rows} identifiers of more than one person, the first in line {line_no:,}. Each row goes to the person of"
        " its strongest identifier; the other value is kept there for contact only, and the pair is suggested as a"
        " duplicate."
    )
    return {"code": "two_people", "column": None, "message": message, "count": count, "line": line_no}


def _notices(import_: Import) -> list[dict[str, Any]]:
    """The most frequent warnings about single cells. Those of shared identifiers have a warning of their own."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT n.e ->> 'column', n.e ->> 'message', count(*), min(r.line)
            FROM {import_.partition} r, jsonb_array_elements(r.notices) AS n (e)
            WHERE r.notices IS NOT NULL AND n.e ->> 'code' IS DISTINCT FROM '{SHARED}' GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20
            """
        )
        return [
            {"code": "value", "column": column, "message": message, "count": count, "line": line_no}
            for column, message, count, line_no in cursor
        ]


# --- Rejected rows by reason --------------------------------------------------------------------------


def problem_groups(import_: Import, *, rows: int = 10_000, limit: int = 50) -> list[dict[str, Any]]:
    """Problems of rejected rows by column and message, the most frequent first, from the first ``rows`` of them.

    Each: column, message, outcome, count, line (the first), values (up to three different ones), different (how many).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT p.e ->> 'column', p.e ->> 'message', r.outcome, count(*), min(r.line),
                array_agg(DISTINCT p.e ->> 'value'), count(DISTINCT p.e ->> 'value')
            FROM (
                SELECT line, outcome, problems FROM {import_.partition}
                WHERE outcome IN ('failed', 'conflict', 'held') ORDER BY line LIMIT %s
            ) r, jsonb_array_elements(coalesce(r.problems, '[]')) AS p (e)
            GROUP BY 1, 2, 3 ORDER BY 4 DESC, 5 LIMIT %s
            """,
            [rows, limit],
        )
        return [
            {
                "column": column,
                "message": message,
                "outcome": outcome,
                "count": count,
                "line": line_no,
                "values": [value for value in values if value][:3],
                "different": different,
            }
            for column, message, outcome, count, line_no, values, different in cursor
        ]
