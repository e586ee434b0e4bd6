"""A filter → the pairs to review, in order, page by page, with counts. Keyset pagination over indexes."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.db import connection
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from cdp.errors import Invalid
from profiles.models import DuplicatePair, Source, Tier

OPEN, LATER, DECIDED = "open", "later", "decided"
STATES = {OPEN: "To review", LATER: "Later", DECIDED: "Decided"}
# The surest first; tiers are never mixed.
TIERS = (Tier.CERTAIN, Tier.PROBABLE, Tier.POSSIBLE, Tier.RELATED)
# A tab counts no further.
MAX_COUNTED = 10_000
PAGE = 50
_DECIDED = (DuplicatePair.Verdict.MERGED, DuplicatePair.Verdict.NOT_DUPLICATE)


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """A filter of the queue. ``tier`` "" is every tier; ``source`` the name or id of the source of the
    later profile.

    ``score`` is a lower limit in bits, ``days`` how long a pair has been known at least, ``assignee`` a
    user's id or 0 for none, ``profile`` a surviving profile.
    """

    state: str = OPEN
    tier: str = ""
    source: str = ""
    score: float | None = None
    days: int = 0
    assignee: int | None = None
    profile: int | None = None


def pairs(queue_filter: QueueFilter) -> QuerySet[DuplicatePair]:
    """The filtered pairs whose profiles are live and not merged. Raises Invalid for an unknown word."""
    queryset = _rows(queue_filter)
    if queue_filter.state == DECIDED:
        return queryset
    live = queryset.filter(a__canonical__status="live", b__canonical__status="live")
    return live.exclude(a__canonical=F("b__canonical"))


def _rows(queue_filter: QueueFilter) -> QuerySet[DuplicatePair]:
    _check(queue_filter)
    if queue_filter.state == DECIDED:
        queryset = DuplicatePair.objects.filter(verdict__in=_DECIDED, decided_at__isnull=False)
    else:
        # The first condition is that of the partial index.
        queryset = DuplicatePair.objects.filter(Q(verdict__in=[OPEN, LATER]), verdict=queue_filter.state)
    if queue_filter.tier:
        queryset = queryset.filter(tier=queue_filter.tier)
    if queue_filter.source:
        queryset = queryset.filter(b__source__in=sources_named(queue_filter.source))
    if queue_filter.score is not None:
        queryset = queryset.filter(score__gte=queue_filter.score)
    if queue_filter.days:
        queryset = queryset.filter(
            created_at__lte=timezone.now() - datetime.timedelta(days=queue_filter.days)
        )
    if queue_filter.assignee is not None:
        queryset = queryset.filter(assignee=queue_filter.assignee or None)
    if queue_filter.profile is not None:
        queryset = queryset.filter(
            Q(a__canonical=queue_filter.profile) | Q(b__canonical=queue_filter.profile)
        )
    return queryset


def _check(queue_filter: QueueFilter) -> None:
    problems = []
    if queue_filter.state not in STATES:
        problems.append(_problem("state", queue_filter.state, f"The state is {', '.join(STATES)}."))
    if queue_filter.tier and queue_filter.tier not in Tier.values:
        problems.append(_problem("tier", queue_filter.tier, f"The tier is {', '.join(TIERS)}."))
    if queue_filter.source and not sources_named(queue_filter.source).exists():
        problems.append(
            _problem("source", queue_filter.source, f"There is no source “{queue_filter.source}”.")
        )
    if problems:
        raise Invalid(problems)


def sources_named(text: str) -> QuerySet[Source]:
    """The source with this name or id, or none."""
    is_id = text.isascii() and text.isdigit() and len(text) < 10
    return Source.objects.filter(Q(name__iexact=text) | Q(pk=int(text)) if is_id else Q(name__iexact=text))


def _problem(field: str, value: object, message: str) -> dict[str, object]:
    return {"field": field, "value": value, "message": message}


# --- Pages --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PairPage:
    """One page. ``before`` and ``after`` are cursors, empty where the list ends."""

    rows: list[DuplicatePair]
    before: str = ""
    after: str = ""


def page_of(queue_filter: QueueFilter, *, after: str = "", before: str = "", size: int = PAGE) -> PairPage:
    """One page of one tier (or of all), the surest pairs first; decided ones latest first.

    An invalid cursor is ignored. One query; ``a``, ``b`` and their surviving profiles are loaded.
    """
    is_back, position = bool(before), _parse_cursor(before or after, queue_filter)
    queryset = with_profiles(pairs(queue_filter))
    if position is not None:
        queryset = queryset.filter(_beyond(queue_filter, position, is_back=is_back))
    rows = list(queryset.order_by(*_order(queue_filter, is_back=is_back))[: size + 1])
    has_more, rows = len(rows) > size, rows[:size]
    if is_back:
        rows.reverse()
    if not rows:
        return PairPage([])
    first = cursor_of(rows[0], queue_filter) if (has_more if is_back else position) else ""
    last = cursor_of(rows[-1], queue_filter) if (has_more or is_back) else ""
    return PairPage(rows, first, last)


def with_profiles(queryset: QuerySet[DuplicatePair]) -> QuerySet[DuplicatePair]:
    deferred = [f"{side}__{path}search" for side in "ab" for path in ("", "canonical__")]
    return queryset.select_related("a__canonical", "b__canonical", "assignee", "user", "key").defer(*deferred)


def next_pair(queue_filter: QueueFilter, pair: DuplicatePair | None) -> DuplicatePair | None:
    """The pair to review after ``pair``; the first one after the last, or when ``pair`` is None."""
    if pair is not None and (rows := page_of(queue_filter, after=cursor_of(pair, queue_filter), size=1).rows):
        return rows[0]
    rows = [row for row in page_of(queue_filter, size=2).rows if pair is None or row.pk != pair.pk]
    return rows[0] if rows else None


def previous_pair(queue_filter: QueueFilter, pair: DuplicatePair) -> DuplicatePair | None:
    rows = page_of(queue_filter, before=cursor_of(pair, queue_filter), size=1).rows
    return rows[0] if rows else None


def cursor_of(pair: DuplicatePair, queue_filter: QueueFilter) -> str:
    if queue_filter.state == DECIDED:
        return f"{pair.decided_at.timestamp() if pair.decided_at else 0:.6f}_{pair.pk}"
    return f"{pair.score!r}_{pair.pk}"


def _parse_cursor(text: str, queue_filter: QueueFilter) -> tuple[object, int] | None:
    first, _, last = text.rpartition("_")
    try:
        number, pk = float(first), min(int(last), 2**63 - 1)
        if queue_filter.state != DECIDED:
            return number, pk
        return datetime.datetime.fromtimestamp(number, tz=datetime.UTC), pk
    except (ValueError, OverflowError, OSError):
        return None


def _field(queue_filter: QueueFilter) -> str:
    return "decided_at" if queue_filter.state == DECIDED else "score"


def _order(queue_filter: QueueFilter, *, is_back: bool) -> tuple[str, str]:
    field = _field(queue_filter)
    return (field, "pk") if is_back else (f"-{field}", "-pk")


def _beyond(queue_filter: QueueFilter, position: tuple[object, int], *, is_back: bool) -> Q:
    field, side, (value, pk) = _field(queue_filter), "gt" if is_back else "lt", position
    # The first condition selects by index; the rest decides between equal scores.
    tie = Q(**{f"{field}__{side}": value}) | Q(**{f"pk__{side}": pk})
    return Q(**{f"{field}__{side}e": value}) & tie


# --- Figures ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TierCount:
    """``is_more``: there are more than were counted."""

    tier: str
    label: str
    count: int
    is_more: bool


def tier_counts(queue_filter: QueueFilter) -> list[TierCount]:
    """How many pairs of each tier the filter selects, at most ``MAX_COUNTED``. One query for each tier.

    Counted in the index alone: pairs of profiles deleted a moment ago are included.
    """
    counts = []
    for tier in TIERS:
        count = _rows(replace(queue_filter, tier=tier)).order_by()[: MAX_COUNTED + 1].count()
        counts.append(TierCount(tier, tier.label, min(count, MAX_COUNTED), count > MAX_COUNTED))
    return counts


def first_tier(counts: Sequence[TierCount]) -> str:
    """The surest tier that has pairs."""
    return next((tier_count.tier for tier_count in counts if tier_count.count), TIERS[0])


def decided_per_day(days: int = 14) -> list[tuple[datetime.date, int, int]]:
    """``(day, merged, not duplicates)`` of the last days, oldest first, days without decisions included.
    One query.
    """
    today = timezone.localdate()
    since = today - datetime.timedelta(days=days - 1)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (decided_at AT TIME ZONE %s)::date, count(*) FILTER (WHERE verdict = 'merged'),"
            " count(*) FILTER (WHERE verdict = 'not_duplicate') FROM profiles_duplicatepair"
            " WHERE decided_at >= %s GROUP BY 1",
            [timezone.get_current_timezone_name(), timezone.make_aware(_midnight(since))],
        )
        by_day = {day: (merged, not_duplicates) for day, merged, not_duplicates in cursor.fetchall()}
    return [
        (day, *by_day.get(day, (0, 0)))
        for day in (since + datetime.timedelta(days=offset) for offset in range(days))
    ]


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time.min)


def decided_today(user_id: int) -> tuple[int, int]:
    """How many pairs were decided today, by all and by this user. One query."""
    start = timezone.make_aware(_midnight(timezone.localdate()))
    counts = DuplicatePair.objects.filter(decided_at__gte=start, verdict__in=_DECIDED).aggregate(
        everybody=Count("pk"), mine=Count("pk", filter=Q(user=user_id))
    )
    return counts["everybody"], counts["mine"]
