"""Receipts → how events break their schema: counts by property and source, a trend by day, the newest receipts."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.formats import date_format

from cdp.admin.charts import Chart, Series
from cdp.limits import TooSlow, time_limit
from profiles.looks import saw_receipts
from profiles.masking import mask_at
from profiles.models import Receipt
from profiles.tracking.schemas.validator import CODE

# The newest receipts with problems that the counts by property are taken from.
READ = 10_000
DAYS = 14
_MILLISECONDS = 1_500
_BREAKS = '[{"code": "%s"}]' % CODE  # noqa: UP031


@dataclass(frozen=True, slots=True)
class PropertyViolations:
    """How often one property of an event broke its schema at one source, and the newest sentence."""

    property: str
    source: str
    events: int
    sentence: str
    last_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class ReceiptViolations:
    """One receipt with what broke the schema: (property, value, sentence)."""

    receipt: Receipt
    problems: list[tuple[str, Any, str]]


def violating_receipts(name: str) -> QuerySet[Receipt]:
    """Receipts of events of the name that broke their schema, newest first."""
    receipts = Receipt.objects.filter(name=name, problems__isnull=False, problems__contains=[{"code": CODE}])
    return receipts.order_by("-pk")


def counts(names: Iterable[str]) -> dict[str, int] | None:
    """``{event name: events that broke its schema in the last 7 days}``. One query; None when it takes too long."""
    sql = """
        SELECT name, count(*) FROM profiles_receipt
        WHERE name = ANY(%s) AND problems IS NOT NULL AND problems @> %s::jsonb
            AND received_at >= now() - interval '7 days'
        GROUP BY name
    """
    value: dict[str, int] | None = _within(sql, [list(names), _BREAKS], dict)
    return value


def by_property(name: str, *, can_view_pii: bool) -> list[PropertyViolations] | None:
    """What breaks most, of the newest receipts with problems. One query; None when it takes too long."""
    sql = """
        SELECT regexp_replace(problem ->> 'pointer', '^(/properties/[^/]+)/[0-9]+', '\\1'), source.name, count(DISTINCT newest.id),
            (array_agg(problem ORDER BY newest.id DESC))[1], max(newest.received_at)
        FROM (
            SELECT id, source_id, problems, received_at FROM profiles_receipt
            WHERE name = %s AND problems IS NOT NULL ORDER BY id DESC LIMIT %s
        ) newest
        JOIN profiles_source source ON source.id = newest.source_id
        CROSS JOIN LATERAL jsonb_array_elements(newest.problems) problem
        WHERE problem ->> 'code' = %s
        GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 100
    """
    rows = _within(sql, [name, READ, CODE], list)
    if rows is None:
        return None
    return [
        PropertyViolations(
            property_of(pointer), source, events, _describe(_loaded(problem), can_view_pii)[1], last_at
        )
        for pointer, source, events, problem, last_at in rows
    ]


def _loaded(problem: Any) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(problem) if isinstance(problem, str) else problem
    return value


def trend(name: str) -> Chart | None:
    """Events per day that broke the schema, carried out and held back. One query; None when it takes too long."""
    today = timezone.localdate()
    days = [today - datetime.timedelta(days=back) for back in reversed(range(DAYS))]
    sql = """
        SELECT (received_at AT TIME ZONE %s)::date,
            count(*) FILTER (WHERE outcome <> ALL(%s)), count(*) FILTER (WHERE outcome = ANY(%s))
        FROM profiles_receipt
        WHERE name = %s AND problems IS NOT NULL AND problems @> %s::jsonb AND received_at >= %s
        GROUP BY 1
    """
    waiting = list(Receipt.WAITING)
    start = timezone.make_aware(datetime.datetime.combine(days[0], datetime.time()))
    zone = timezone.get_current_timezone_name()
    rows = _within(sql, [zone, waiting, waiting, name, _BREAKS, start], list)
    if rows is None:
        return None
    by_day = {day: (kept, held_back) for day, kept, held_back in rows}
    return Chart(
        f"Events that broke their schema, last {DAYS} days",
        [date_format(day, "j M") for day in days],
        [
            Series("Stored", [by_day.get(day, (0, 0))[0] for day in days]),
            Series("Not stored", [by_day.get(day, (0, 0))[1] for day in days]),
        ],
    )


def violations_of(rows: Sequence[Receipt], *, can_view_pii: bool) -> list[ReceiptViolations]:
    """Receipts with what is wrong with them, masked for those who may not see. No query."""
    saw_receipts(rows)
    return [ReceiptViolations(row, list(_problems(row, can_view_pii))) for row in rows]


def _problems(row: Receipt, can_view_pii: bool) -> Iterable[tuple[str, Any, str]]:
    for problem in row.problems or ():
        if problem.get("code") == CODE:
            yield (property_of(problem.get("pointer", "")), *_describe(problem, can_view_pii))


def _describe(problem: dict[str, Any], can_view_pii: bool) -> tuple[Any, str]:
    """The value and the sentence; a sentence quotes its value, so both are hidden or none."""
    value, sentence = problem.get("value"), problem.get("message", "")
    if can_view_pii:
        return value, sentence
    pointer = problem.get("pointer", "")
    property_name, masked = property_of(pointer), mask_at(pointer, value)
    return (
        (value, sentence)
        if masked == value
        else (masked, f"“{property_name}” is {masked}, which breaks the schema.")
    )


def property_of(pointer: str) -> str:
    """``/properties/products/0/sku`` as ``products.sku``: entries of lists count as one."""
    name, *rest = pointer.removeprefix("/properties/").split("/")
    inner = rest[1:] if rest and rest[0].isdigit() else rest
    return ".".join(part.replace("~1", "/").replace("~0", "~") for part in (name, *inner))


def _within(sql: str, params: list[Any], make: Any) -> Any:
    try:
        with time_limit(_MILLISECONDS), connection.cursor() as cursor:
            cursor.execute(sql, params)
            return make(cursor.fetchall())
    except TooSlow:
        return None
