"""The newest receipts → how much each source sends and how much of it is rejected. Every read is bounded."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils import timezone

from cdp.admin.charts import Chart, Series
from cdp.limits import Count, TooSlow, time_limit
from profiles.models import Receipt, Source

# The newest receipts of a source that its rates are taken from: some 2 ms for each source.
READ = 2_000
HOURS = 24
_MILLISECONDS = 1_500
_HOUR, _DAY = 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class SourceRate:
    """What a source sends: items in the last hour and day (estimated beyond ``READ``), and the share rejected."""

    last_hour: Count
    last_day: Count
    rejected: float | None
    last_seen_at: datetime.datetime | None

    @property
    def rejected_text(self) -> str:
        """“0.4 %”; empty without any item in the last day."""
        if self.rejected is None:
            return ""
        share = self.rejected * 100
        if 0 < share < 0.1:
            return "< 0.1 %"
        return f"{share:.0f} %" if share >= 10 or share == int(share) else f"{share:.1f} %"

    @property
    def rejected_class(self) -> str:
        if not self.rejected:
            return "ok"
        return "bad" if self.rejected >= 0.05 else "warn"


NOTHING = SourceRate(Count(0), Count(0), None, None)


def rates() -> dict[int, SourceRate]:
    """``{source id: rate}`` of every source that ever sent something. One query."""
    sql = """
        SELECT s.id, count(*), max(r.received_at), extract(epoch FROM now() - min(r.received_at)),
               count(*) FILTER (WHERE r.received_at >= now() - interval '1 hour'),
               count(*) FILTER (WHERE r.received_at >= now() - interval '1 day'),
               count(*) FILTER (WHERE r.received_at >= now() - interval '1 day' AND r.outcome = ANY(%(waiting)s))
        FROM profiles_source s CROSS JOIN LATERAL (
            SELECT received_at, outcome FROM profiles_receipt
            WHERE source_id = s.id ORDER BY id DESC LIMIT %(read)s
        ) r GROUP BY s.id
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, {"read": READ, "waiting": list(Receipt.WAITING)})
        return {pk: _rate(*row) for pk, *row in cursor.fetchall()}


def _rate(
    read: int, last: datetime.datetime, span: float, in_hour: int, in_day: int, rejected: int
) -> SourceRate:
    return SourceRate(
        _per(_HOUR, in_hour, read, float(span)),
        _per(_DAY, in_day, read, float(span)),
        rejected / in_day if in_day else None,
        last,
    )


def _per(seconds: float, counted: int, read: int, span: float) -> Count:
    """Exact unless all that was read fits into the time: then as many as its pace makes of it."""
    if read < READ or span > seconds:
        return Count(counted)
    guess = round(read * seconds / max(span, 1.0))
    scale: int = 10 ** max(0, len(str(guess)) - 2)
    return Count(max(read, round(guess / scale) * scale), is_exact=False)


def hours(source: Source) -> Chart | None:
    """Items received and rejected by the hour, the last 24 hours; None where that takes too long."""
    now = timezone.localtime().replace(minute=0, second=0, microsecond=0)
    starts = [now - datetime.timedelta(hours=back) for back in reversed(range(HOURS))]
    sql = """
        SELECT date_trunc('hour', received_at, %(zone)s), outcome = ANY(%(waiting)s), count(*) FROM profiles_receipt
        WHERE source_id = %(source)s AND received_at >= %(start)s GROUP BY 1, 2
    """
    params: dict[str, Any] = {"waiting": list(Receipt.WAITING), "source": source.pk, "start": starts[0]}
    params["zone"] = timezone.get_current_timezone_name()
    try:
        with time_limit(_MILLISECONDS), connection.cursor() as cursor:
            cursor.execute(sql, params)
            counts = {(at, is_rejected): count for at, is_rejected, count in cursor.fetchall()}
    except TooSlow:
        return None
    return Chart(
        title="Items in the last 24 hours",
        unit="Hour",
        labels=[f"{start:%H}:00" for start in starts],
        series=[
            Series(name, [counts.get((start, is_rejected), 0) for start in starts])
            for name, is_rejected in (("Accepted", False), ("Rejected", True))
        ],
    )
