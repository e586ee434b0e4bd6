"""What the app that imports files registers → the imports' rows of the scorecard and of the weekly report.

Data quality is below imports and never asks for one by name; who imports registers an ``ImportProvider`` in
``AppConfig.ready()``. Without one the scorecard and the report have no imports.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from cdp.limits import TooSlow, time_limit
from cdp.registry import Registry
from profiles.models import SourceHour
from profiles.quality.hourly_counts import is_duplicate

# A page does not wait longer for the duplicates of its imports.
PAGE_MILLISECONDS = 1_500


def per_1000(part: int, whole: int) -> float | None:
    return round(1000 * part / whole, 1) if whole else None


@dataclass(frozen=True, slots=True)
class ImportFigures:
    """What one applied import created. ``duplicates`` None: counting took too long.

    ``attribute_columns`` look like identifiers and were mapped to attributes; ``without_identifier`` are rows that
    no later call or file can find again, ``conflicts`` rows that name two profiles.
    """

    import_id: int
    name: str
    applied_at: datetime.datetime | None
    created: int
    duplicates: int | None
    attribute_columns: list[str]
    without_identifier: int
    conflicts: int

    @property
    def duplicates_per_1000(self) -> float | None:
        return None if self.duplicates is None else per_1000(self.duplicates, self.created)


@dataclass(frozen=True, slots=True)
class DuplicateRate:
    """A source or import of the weekly report, and how many of 1,000 profiles it created are duplicates."""

    name: str
    created: int
    duplicates: int
    url: str

    @property
    def per_1000(self) -> float:
        return per_1000(self.duplicates, self.created) or 0.0


@dataclass(frozen=True, slots=True)
class ImportProvider:
    """What an app that imports files offers to data quality.

    ``recent(days)`` are imports of people applied in these days, the newest first; ``figures`` those of some of
    them, in their order; ``rates(since)`` those of the imports finished since, for the weekly report.
    """

    recent: Callable[[int], QuerySet[Any]]
    figures: Callable[[Sequence[Any]], list[ImportFigures]]
    rates: Callable[[datetime.datetime], list[DuplicateRate]]


providers: Registry[ImportProvider] = Registry("The provider of imports' figures")


def recent_imports(days: int) -> QuerySet[Any]:
    """Imports of people that were applied in these days, the newest first; none without a provider."""
    for provider in providers:
        return provider.recent(days)
    return SourceHour.objects.none()


def figures_of(imports: Sequence[Any]) -> list[ImportFigures]:
    """The figures of some of ``recent_imports``, in their order. One query for any number of them."""
    return [figures for provider in providers for figures in provider.figures(imports)] if imports else []


def import_rates(since: datetime.datetime) -> list[DuplicateRate]:
    """The duplicate rates of every import finished since."""
    return [rate for provider in providers for rate in provider.rates(since)]


def duplicates_by_import(
    import_ids: Sequence[int], *, milliseconds: int | None = None
) -> dict[int, int] | None:
    """``{import: how many of the profiles it created are duplicates}``; None when it takes too long. One query.

    From the journal: what an import created stands together there (index by cause).
    """
    sql = f"""
        SELECT c.cause_id, count(DISTINCT c.profile_id)
        FROM profiles_change c JOIN profiles_duplicatepair d ON d.b_id = c.profile_id
        WHERE c.cause = 'import' AND c.cause_id = ANY(%s) AND c.kind = 'created' AND {is_duplicate()}
        GROUP BY 1
    """
    if milliseconds is None:
        return _counts(sql, import_ids)
    try:
        with time_limit(milliseconds):
            return _counts(sql, import_ids)
    except TooSlow:
        return None


def _counts(sql: str, import_ids: Sequence[int]) -> dict[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(import_ids)])
        return dict(cursor.fetchall())
