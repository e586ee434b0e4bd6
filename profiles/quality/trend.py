"""Pairs → how many were found and decided each day, for the charts of the dashboard and the weekly report."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from django.db.models import Case, CharField, Count, F, Q, QuerySet, Value, When
from django.db.models.functions import TruncDate
from django.utils import timezone

from cdp.admin.charts import Chart, Series
from profiles.models import DuplicatePair, Tier

DAYS = 30
FOUND = ((Tier.CERTAIN, "Certain"), (Tier.PROBABLE, "Probable"), (Tier.POSSIBLE, "Possible"))
MERGED, AUTOMATIC, DIFFERENT = "Merged by people", "Merged by rule", "Not duplicates"
DECIDED = (MERGED, AUTOMATIC, DIFFERENT)


def found_by_day() -> Chart:
    """Pairs by the day they were found and their tier. One query over an index by time."""
    days, start = _days()
    rows = (
        DuplicatePair.objects.filter(created_at__gte=start, tier__in=[tier for tier, _ in FOUND])
        .order_by()
        .values_list(TruncDate("created_at"), "tier")
        .annotate(Count("pk"))
    )
    return _chart(f"Duplicates found in {DAYS} days", days, rows, FOUND)


def decided_by_day() -> Chart:
    """Pairs by the day and kind of their decision. One query over an index by time."""
    days, start = _days()
    rows = (
        decisions(DuplicatePair.objects.filter(decided_at__gte=start))
        .order_by()
        .values_list(TruncDate("decided_at"), "decision")
        .annotate(Count("pk"))
    )
    return _chart(f"Duplicates decided in {DAYS} days", days, rows, [(name, name) for name in DECIDED])


def decisions(pairs: QuerySet[DuplicatePair]) -> QuerySet[Any]:
    """Decided pairs with ``decision``, one of ``DECIDED``."""
    verdict = DuplicatePair.Verdict
    by_person = Q(user__isnull=False) | Q(key__isnull=False)
    return pairs.filter(verdict__in=[verdict.MERGED, verdict.NOT_DUPLICATE]).annotate(
        decision=Case(
            When(verdict=verdict.NOT_DUPLICATE, then=Value(DIFFERENT)),
            When(by_person, then=Value(MERGED)),
            default=Value(AUTOMATIC),
            output_field=CharField(),
        )
    )


def open_by_tier() -> dict[str, int]:
    """``{tier: undecided pairs}``, related ones included. One query over the queue's index."""
    rows = (
        DuplicatePair.objects.filter(verdict__in=[DuplicatePair.Verdict.OPEN, DuplicatePair.Verdict.LATER])
        .order_by()
        .values_list(F("tier"))
        .annotate(Count("pk"))
    )
    return dict(rows)


def _days() -> tuple[list[datetime.date], datetime.datetime]:
    today = timezone.localdate()
    days = [today - datetime.timedelta(days=back) for back in reversed(range(DAYS))]
    return days, timezone.make_aware(datetime.datetime.combine(days[0], datetime.time.min))


def _chart(title: str, days: list[datetime.date], rows: Any, series: Sequence[tuple[str, str]]) -> Chart:
    counts = {(day, kind): count for day, kind, count in rows}
    return Chart(
        title=title,
        labels=[f"{day.day} {day:%b}" for day in days],
        series=[Series(name, [counts.get((day, kind), 0) for day in days]) for kind, name in series],
    )
