"""Hourly counts of sources → what each sent over 7, 30 or 90 days, and how much of it makes duplicates."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

from django.db.models import Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from cdp.errors import Invalid
from profiles.models import ScorecardState, Source, SourceHour
from profiles.quality.change_detection import CallCounts
from profiles.quality.import_figures import per_1000

SPANS = (7, 30, 90)
# Lists of the worst leave out sources with fewer new profiles.
MIN_PROFILES = 20


@dataclass(frozen=True, slots=True)
class Figures(CallCounts):
    """Counts over some time. ``trouble`` is the sum of all problems."""

    late_identifies: int = 0
    new_profiles: int = 0
    duplicates: int = 0

    @property
    def duplicates_per_1000(self) -> float | None:
        """Of 1,000 new profiles, how many are of a person known before; None without new profiles."""
        return per_1000(self.duplicates, self.new_profiles)

    @property
    def unknown_share(self) -> float | None:
        """The share of events without a known person; None without events."""
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


FIGURE_NAMES = tuple(field_.name for field_ in fields(Figures))


@dataclass(frozen=True, slots=True)
class SourceCard:
    """One source. ``trend`` is ``Figures.trouble`` of each day, the last is today."""

    source: Source
    figures: Figures
    trend: list[int] = field(default_factory=list)


def days_of(raw: str | int | None) -> int:
    """7, 30 or 90 from a request; 30 for nothing. Raises Invalid."""
    text = "30" if raw in (None, "") else str(raw)
    if text not in map(str, SPANS):
        raise Invalid([{"field": "days", "value": raw, "message": "days is 7, 30 or 90."}])
    return int(text)


def counted_to() -> datetime.datetime | None:
    """Up to when everything is counted; None before the first run."""
    return ScorecardState.objects.filter(pk=1).values_list("counted_to", flat=True).first()


def cards(days: int, *, sources: Sequence[Source] | None = None) -> list[SourceCard]:
    """A card for each source (of these, or all), in the site's time zone, today included. At most two
    queries.
    """
    listed = list(Source.objects.all()) if sources is None else list(sources)
    today = timezone.localdate()
    dates = [today - datetime.timedelta(days=back) for back in reversed(range(days))]
    by_source = _by_day([source.pk for source in listed], dates[0])
    return [_card(source, by_source.get(source.pk, {}), dates) for source in listed]


def worst_first(source_cards: Iterable[SourceCard]) -> list[SourceCard]:
    """Sources that send first; of them those with most duplicates among new profiles, then with most
    trouble.
    """
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
