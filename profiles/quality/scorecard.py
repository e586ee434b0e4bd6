"""The scorecard (D4): what each source sent over some days and how much of it makes duplicates; the same of an import."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from cdp.errors import Invalid
from cdp.limits import TooSlow, time_limit
from imports.models import Import
from profiles.models import ScorecardState, Source, SourceHour
from profiles.quality.change_detection import CallCounts
from profiles.quality.hourly_counts import is_duplicate

SPANS = (7, 30, 90)
# Worst lists leave out what is too small to say anything about.
MIN_PROFILES = 20
_MILLISECONDS = 1_500


@dataclass(frozen=True, slots=True)
class Figures(CallCounts):
    """Counts over some time. ``trouble`` is the sum of what is wrong."""

    late_identifies: int = 0
    new_profiles: int = 0
    duplicates: int = 0

    @property
    def duplicates_per_1000(self) -> float | None:
        """Of 1,000 new profiles, how many are of somebody known already; None without new profiles."""
        return per_1000(self.duplicates, self.new_profiles)

    @property
    def unknown_share(self) -> float | None:
        """Events of nobody known, as a share of all; None without events."""
        return self.unknown_events / self.events if self.events else None

    @property
    def unknown_share_text(self) -> str:
        """“63 %”; empty without events."""
        return "" if self.unknown_share is None else f"{self.unknown_share * 100:.0f} %"

    @property
    def trouble(self) -> int:
        return self.attribute_ids + self.violations + self.late_identifies + self.duplicates

    @property
    def is_empty(self) -> bool:
        return not (self.items or self.new_profiles or self.duplicates)


FIGURE_NAMES = tuple(one.name for one in fields(Figures))


@dataclass(frozen=True, slots=True)
class SourceCard:
    """One source's line. ``trend`` is what was wrong (``Figures.trouble``) on each of the days, the last is today."""

    source: Source
    figures: Figures
    trend: list[int] = field(default_factory=list)


def per_1000(part: int, whole: int) -> float | None:
    return round(1000 * part / whole, 1) if whole else None


def days_of(raw: str | int | None) -> int:
    """7, 30 or 90 as somebody wrote it; 30 for nothing. Raises Invalid."""
    text = "30" if raw in (None, "") else str(raw)
    if text not in map(str, SPANS):
        raise Invalid([{"field": "days", "value": raw, "message": "days is 7, 30 or 90."}])
    return int(text)


def counted_to() -> datetime.datetime | None:
    """Up to when everything is counted; None before the first time."""
    return ScorecardState.objects.filter(pk=1).values_list("counted_to", flat=True).first()


def cards(days: int, *, sources: Sequence[Source] | None = None) -> list[SourceCard]:
    """A card for each source (of these, or all), in the site's time zone, today included. Two queries at most."""
    listed = list(Source.objects.all()) if sources is None else list(sources)
    today = timezone.localdate()
    dates = [today - datetime.timedelta(days=back) for back in reversed(range(days))]
    by_source = _by_day([source.pk for source in listed], dates[0])
    return [_card(source, by_source.get(source.pk, {}), dates) for source in listed]


def worst_first(source_cards: Iterable[SourceCard]) -> list[SourceCard]:
    """Those that send first; of them the ones most of whose new profiles are duplicates, then most trouble."""
    return sorted(
        source_cards,
        key=lambda card: (
            card.figures.is_empty,
            -(card.figures.duplicates_per_1000 or 0),
            -card.figures.trouble,
            card.source.name.lower(),
        ),
    )


def total_of(source_cards: Iterable[SourceCard]) -> Figures:
    return _sum(card.figures for card in source_cards)


def _card(source: Source, by_day: dict[datetime.date, Figures], dates: list[datetime.date]) -> SourceCard:
    return SourceCard(source, _sum(by_day.values()), [by_day.get(day, Figures()).trouble for day in dates])


def _sum(figures: Iterable[Figures]) -> Figures:
    listed = list(figures)
    return Figures(*(sum(getattr(figure, name) for figure in listed) for name in FIGURE_NAMES))


def _by_day(sources: list[int], first: datetime.date) -> dict[int, dict[datetime.date, Figures]]:
    start = timezone.make_aware(datetime.datetime.combine(first, datetime.time.min))
    rows = (
        SourceHour.objects.filter(source_id__in=sources, hour__gte=start)
        .order_by()
        .values_list("source_id", TruncDate("hour"))
        .annotate(*(Sum(name) for name in FIGURE_NAMES))
    )
    by_source: dict[int, dict[datetime.date, Figures]] = defaultdict(dict)
    for source_id, day, *counts in rows:
        by_source[source_id][day] = Figures(*counts)
    return by_source


# --- Imports --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ImportCard:
    """What an import brought. ``duplicates`` None: counting took too long.

    ``hidden`` are columns that look like identifiers and went to attributes; ``without_identifier`` are rows
    that nothing leads back to, ``conflicts`` rows that lead to two people.
    """

    job: Import
    created: int
    duplicates: int | None
    hidden: list[str]
    without_identifier: int
    conflicts: int

    @property
    def duplicates_per_1000(self) -> float | None:
        return None if self.duplicates is None else per_1000(self.duplicates, self.created)


def recent_imports(days: int) -> QuerySet[Import]:
    """Imports of people that were applied in these days, the newest first."""
    start = timezone.now() - datetime.timedelta(days=days)
    return Import.objects.filter(kind=Import.Kind.PROFILES, applied_at__gte=start).order_by("-pk")


def import_cards(jobs: Sequence[Import]) -> list[ImportCard]:
    """The figures of imports that were applied. One query for any number of them."""
    made = [job.pk for job in jobs if job.counts.get("created")]
    found = import_duplicates(made, milliseconds=_MILLISECONDS) if made else {}
    return [_import_card(job, None if found is None else found.get(job.pk, 0)) for job in jobs]


def _import_card(job: Import, duplicates: int | None) -> ImportCard:
    warnings: list[dict[str, Any]] = job.warnings
    return ImportCard(
        job=job,
        created=job.counts.get("created", 0),
        duplicates=duplicates if job.counts.get("created") else 0,
        hidden=[one["column"] for one in warnings if one.get("code") == "looks_like_identifier"],
        without_identifier=sum(one.get("count", 0) for one in warnings if one.get("code") == "no_identifier"),
        conflicts=job.counts.get("conflict", 0),
    )


def import_duplicates(import_ids: Sequence[int], *, milliseconds: int | None = None) -> dict[int, int] | None:
    """``{import: how many of the profiles it made are duplicates}``; None when it takes too long. One query.

    From the journal: what an import made stands together there (index by cause).
    """
    sql = f"""
        SELECT c.cause_id, count(DISTINCT c.profile_id)
        FROM profiles_change c JOIN profiles_duplicatepair d ON d.b_id = c.profile_id
        WHERE c.cause = 'import' AND c.cause_id = ANY(%s) AND c.kind = 'created' AND {is_duplicate()}
        GROUP BY 1
    """
    if milliseconds is None:
        return _counted(sql, import_ids)
    try:
        with time_limit(milliseconds):
            return _counted(sql, import_ids)
    except TooSlow:
        return None


def _counted(sql: str, import_ids: Sequence[int]) -> dict[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(import_ids)])
        return dict(cursor.fetchall())
