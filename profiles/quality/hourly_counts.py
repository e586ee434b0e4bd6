"""Receipts, events and profiles → counts per source and hour, each counted once, in order of arrival.

A run reads only what arrived since the last one (ranges of BRIN indexes by time) and moves its mark in the
transaction that adds the counts: a worker that dies has counted nothing, and two at once count nothing
twice. Duplicates are found long after their profile was created: hours of new and decided pairs are counted
again, and once a day all hours, for pairs that were withdrawn or changed their tier.
"""

from __future__ import annotations

import datetime
import time
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from profiles.models import ScorecardState, SourceHour
from profiles.tracking.monitor.shop_events import ORDER

# Younger rows are counted next time: they have the time their call began, and appear when it commits.
MARGIN = datetime.timedelta(minutes=5)
# The scorecard goes back 90 days; a week more, so that the first day is whole in every time zone.
KEPT = datetime.timedelta(days=97)
SLICE = datetime.timedelta(days=1)
SECONDS = 45.0
# Whoever is identified within so many days placed the order; later it may be another person at the browser.
ORDER_DAYS = 7

# Beat counts this often, so an hour's figures are there some minutes after it ends.
COUNT_SECONDS = 600.0

EVENT_KINDS = ("track", "page", "screen")
_BY_HOUR = "date_trunc('hour', {}, 'UTC')"

# One row per source and time (``unit``: hour, minute): calls by kind, and those with a problem. Unknown events were
# rejected for having no id, or are of a profile that is still anonymous when they are counted.
CALL_COUNTS_SQL = """
    WITH new AS MATERIALIZED (
        SELECT source_id, date_trunc(%(unit)s, received_at, 'UTC') AS at, kind, code, profile_id, problems
        FROM profiles_receipt
        WHERE received_at >= %(start)s AND received_at < %(end)s AND outcome <> 'duplicate' AND replay_of_id IS NULL
    ), nobody AS (
        SELECT p.id FROM (SELECT DISTINCT profile_id FROM new WHERE kind = ANY(%(events)s)) n
        JOIN profiles_profile p ON p.id = n.profile_id JOIN profiles_profile r ON r.id = p.canonical_id
        WHERE NOT r.is_recognized
    )
    SELECT new.source_id, new.at, count(*) AS items,
        count(*) FILTER (WHERE kind = ANY(%(events)s)) AS events,
        count(*) FILTER (WHERE kind = 'identify') AS identifies,
        count(*) FILTER (WHERE kind = 'update') AS updates,
        count(*) FILTER (WHERE kind = ANY(%(events)s) AND (nobody.id IS NOT NULL OR code = 'missing_identifier'))
            AS unknown_events,
        count(*) FILTER (WHERE problems IS NOT NULL AND problems @> '[{"code": "identifier_as_attribute"}]')
            AS attribute_ids,
        count(*) FILTER (WHERE problems IS NOT NULL AND problems @> '[{"code": "schema_violation"}]') AS violations
    FROM new LEFT JOIN nobody ON nobody.id = new.profile_id
    GROUP BY 1, 2
"""
_CALL_COUNT_COLUMNS = (
    "items",
    "events",
    "identifies",
    "updates",
    "unknown_events",
    "attribute_ids",
    "violations",
)

_PROFILES = f"""
    SELECT source_id, {_BY_HOUR.format("created_at")} AS at, count(*) AS new_profiles FROM profiles_profile
    WHERE created_at >= %(start)s AND created_at < %(end)s GROUP BY 1, 2
"""

# Counted for the source of the order, in the hour its buyer was identified: by the first identify after it, when
# the profile of the order had no main identifier by then and had not been merged into one that had.
# LIMIT keeps the planner on the profile's own events; it would else read all identify calls of those days.
_LATE = f"""
    SELECT o.source_id, {_BY_HOUR.format("t.received_at")} AS at, count(*) AS late_identifies
    FROM profiles_event t
    JOIN profiles_profile p ON p.id = t.profile_id
    JOIN profiles_profile r ON r.id = p.canonical_id AND r.is_recognized
    CROSS JOIN LATERAL (
        SELECT r.id UNION ALL
        SELECT m.id FROM profiles_profile m WHERE m.canonical_id = r.id AND m.canonical_id <> m.id
    ) m
    JOIN profiles_event o ON o.profile_id = m.id AND o.name_id = ANY(%(orders)s) AND o.kind = 'track'
        AND o.occurred_at < t.occurred_at AND o.occurred_at >= t.occurred_at - %(days)s * interval '1 day'
    WHERE t.received_at >= %(start)s AND t.received_at < %(end)s AND t.kind = 'identify'
        AND NOT EXISTS (
            SELECT FROM profiles_identifier i JOIN profiles_identifiertype k ON k.id = i.type_id AND k.is_main
            WHERE i.profile_id = o.profile_id AND i.first_seen_at <= o.occurred_at)
        AND NOT EXISTS (
            SELECT FROM profiles_merge g WHERE g.loser_id = o.profile_id AND g.undone_at IS NULL
                AND g.created_at <= o.received_at)
        AND NOT EXISTS (
            SELECT FROM (
                SELECT r.id UNION ALL
                SELECT x.id FROM profiles_profile x WHERE x.canonical_id = r.id AND x.canonical_id <> x.id
            ) member CROSS JOIN LATERAL (
                SELECT FROM profiles_event e
                WHERE e.profile_id = member.id AND e.name_id = %(identify)s AND e.kind = 'identify'
                    AND e.occurred_at > o.occurred_at AND (e.occurred_at, e.id) < (t.occurred_at, t.id)
                LIMIT 1) AS earlier)
    GROUP BY 1, 2
"""


def is_duplicate(pair: str = "d") -> str:
    """The SQL condition that a pair's newer profile is of a person known before: sure enough, or merged."""
    return f"({pair}.verdict = 'merged' OR ({pair}.verdict IN ('open', 'later') AND {pair}.tier IN ('certain', 'probable')))"


_DUPLICATES = f"""
    WITH found AS (
        SELECT p.source_id, {_BY_HOUR.format("p.created_at")} AS hour, count(DISTINCT p.id) AS duplicates
        FROM profiles_duplicatepair d JOIN profiles_profile p ON p.id = d.b_id
        WHERE {is_duplicate()} AND p.created_at >= %(start)s AND p.created_at < %(end)s
            AND (%(hours)s::timestamptz[] IS NULL OR {_BY_HOUR.format("p.created_at")} = ANY(%(hours)s))
        GROUP BY 1, 2
    ), gone AS (
        UPDATE profiles_sourcehour s SET duplicates = 0
        WHERE s.duplicates > 0 AND s.hour >= %(start)s AND s.hour < %(end)s
            AND (%(hours)s::timestamptz[] IS NULL OR s.hour = ANY(%(hours)s))
            AND NOT EXISTS (SELECT FROM found f WHERE f.source_id = s.source_id AND f.hour = s.hour)
    )
    INSERT INTO profiles_sourcehour AS s (source_id, hour, duplicates) SELECT source_id, hour, duplicates FROM found
    ON CONFLICT (source_id, hour) DO UPDATE SET duplicates = excluded.duplicates
        WHERE s.duplicates <> excluded.duplicates
"""


def count_new(*, now: datetime.datetime | None = None, seconds: float = SECONDS) -> int:
    """Count what arrived since the last time, at most a day per transaction, until all is counted or time
    is up.

    The number of slices counted; the rest is counted next time. Safe to run concurrently.
    """
    now = now or timezone.now()
    until, slices = time.monotonic() + seconds, 0
    while _count_slice(now):
        slices += 1
        if time.monotonic() >= until:
            break
    return slices


@transaction.atomic
def _count_slice(now: datetime.datetime) -> bool:
    ScorecardState.objects.get_or_create(pk=1)
    state = ScorecardState.objects.select_for_update().get(pk=1)
    start = state.counted_to or (now - KEPT).replace(minute=0, second=0, microsecond=0)
    end = min(start + SLICE, now - MARGIN)
    if end <= start:
        return False
    _add(start, end)
    if end == now - MARGIN:
        _recount_some(state, start, now)
    state.counted_to = end
    state.save(update_fields=["counted_to", "recounted_at"])
    return True


def _add(start: datetime.datetime, end: datetime.datetime) -> None:
    span: dict[str, Any] = {"start": start, "end": end}
    params = {**span, "unit": "hour", "events": list(EVENT_KINDS)}
    with connection.cursor() as cursor:
        _upsert(cursor, CALL_COUNTS_SQL, _CALL_COUNT_COLUMNS, params)
        _upsert(cursor, _PROFILES, ("new_profiles",), span)
        cursor.execute("SELECT id FROM profiles_eventname WHERE lower(name) = %s", [ORDER])
        orders = [pk for (pk,) in cursor.fetchall()]
        cursor.execute("SELECT id FROM profiles_eventname WHERE name = 'identify'")
        identify = cursor.fetchone()
        if orders and identify:
            late = {**span, "orders": orders, "identify": identify[0], "days": ORDER_DAYS}
            _upsert(cursor, _LATE, ("late_identifies",), late)


def _upsert(cursor: Any, select: str, columns: tuple[str, ...], params: dict[str, Any]) -> None:
    """Add a query's counts (source, time, columns) to the hours' rows."""
    names = ", ".join(columns)
    sums = ", ".join(f"{name} = s.{name} + excluded.{name}" for name in columns)
    cursor.execute(
        f"INSERT INTO profiles_sourcehour AS s (source_id, hour, {names})"
        f" SELECT source_id, at, {names} FROM ({select}) AS counted"
        f" ON CONFLICT (source_id, hour) DO UPDATE SET {sums}",
        params,
    )


# --- Duplicates -----------------------------------------------------------------------------------------


def _recount_some(state: ScorecardState, since: datetime.datetime, now: datetime.datetime) -> None:
    """Recount hours of pairs found or decided since; all hours once a day."""
    if state.recounted_at is None or now - state.recounted_at >= datetime.timedelta(days=1):
        recount_duplicates(now=now)
        state.recounted_at = now
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT {_BY_HOUR.format('p.created_at')} FROM profiles_duplicatepair d"
            " JOIN profiles_profile p ON p.id = d.b_id WHERE d.created_at >= %s OR d.decided_at >= %s",
            [since, since],
        )
        hours = sorted(hour for (hour,) in cursor.fetchall())
    if hours:
        recount_duplicates(now=now, hours=hours)


def recount_duplicates(*, now: datetime.datetime, hours: list[datetime.datetime] | None = None) -> None:
    """Count duplicates among the profiles created in these hours (None: in all that are kept). One
    statement.
    """
    oldest = (now - KEPT).replace(minute=0, second=0, microsecond=0)
    start = max(oldest, hours[0]) if hours else oldest
    end = hours[-1] + datetime.timedelta(hours=1) if hours else now
    if end > start:
        with connection.cursor() as cursor:
            cursor.execute(_DUPLICATES, {"start": start, "end": end, "hours": hours})


def forget_hours() -> int:
    """Delete hours that no page goes back to; how many."""
    return SourceHour.objects.filter(hour__lt=timezone.now() - KEPT - SLICE).delete()[0]


def receipts_kept() -> int:
    """For how many days calls can be counted from receipts (the counts themselves are kept longer)."""
    return int(settings.CDP_RECEIPT_KEEP_DAYS)
