"""What ``profiles`` adds to the first page and to the menu's counts: waiting work, figures, charts, what can be undone."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from cdp.admin import needs_attention, today
from cdp.admin.charts import Chart, Series
from cdp.admin.needs_attention import Item, url
from cdp.admin.today import Figure, Kpi, Part, Population, Undoable
from cdp.looks import saw
from cdp.plurals import counted
from profiles.models import (
    DuplicatePair,
    HeldMerge,
    Merge,
    MergeBatch,
    Profile,
    Receipt,
    SourceHour,
    Tier,
)
from profiles.quality import alarms, trend
from profiles.tracking.pending import held_merges
from profiles.tracking.rejected import receipts

DAYS = 30
SERIES_SHOWN = 4
_LIKELY = (Tier.CERTAIN, Tier.PROBABLE)


def _bounded(rows: QuerySet[Any]) -> int:
    return rows.order_by()[: needs_attention.MOST].count()


def _count(waiting: Callable[[], QuerySet[Any]]) -> int:
    return _bounded(waiting())


# --- Needs attention ---------------------------------------------------------------------------------------


def _alarm_items() -> list[Item]:
    return [
        Item(
            "bad",
            alarm.sentence,
            alarms.fix_of(alarm),
            "See the fix",
            url("admin:profiles_scorecard"),
            alarm.began_at,
        )
        for alarm in alarms.unread()[:3]
    ]


def _open_held() -> QuerySet[HeldMerge]:
    return held_merges.unanswered(HeldMerge.objects.filter(state=HeldMerge.State.OPEN))


def _held_items() -> list[Item]:
    newest = _open_held().order_by("-id").first()
    if newest is None:
        return []
    count = _bounded(_open_held())
    title = "1 merge waits for a decision" if count == 1 else f"{_at_least(count)} merges wait for a decision"
    detail = "Nobody was merged yet: many people share the browser or address"
    return [Item("warn", title, detail, "Decide", url("admin:profiles_heldmerge_changelist"), newest.last_at)]


def _ready_batches() -> QuerySet[MergeBatch]:
    return MergeBatch.objects.filter(state=MergeBatch.State.READY)


def _batch_items() -> list[Item]:
    return [
        Item(
            "warn",
            f"{batch.title} waits for your confirmation",
            f"{counted(batch.size, 'pairs')}; nothing has been merged yet",
            "Review",
            url("admin:profiles_mergebatch_change", batch.pk),
            batch.created_at,
        )
        for batch in _ready_batches()[:2]
    ]


def _likely_pairs() -> QuerySet[DuplicatePair]:
    return DuplicatePair.objects.filter(verdict=DuplicatePair.Verdict.OPEN, tier__in=_LIKELY)


def _duplicate_items() -> list[Item]:
    tiers = trend.open_by_tier()
    certain, probable = (tiers.get(tier, 0) for tier in _LIKELY)
    if not certain + probable:
        return []
    both = certain + probable
    title = "1 duplicate is easy to decide" if both == 1 else f"{both:,} duplicates are easy to decide"
    detail = f"{certain:,} certain, {probable:,} probable"
    return [Item("info", title, detail, "Review", url("admin:profiles_duplicatepair_changelist"))]


def _receipt_items() -> list[Item]:
    waiting = receipts.waiting()
    count = _bounded(waiting)
    if not count:
        return []
    codes = Counter(waiting.order_by("-id").values_list("outcome", flat=True)[: needs_attention.MOST])
    detail = ", ".join(
        f"{number} {str(Receipt.Outcome(code).label).lower()}" for code, number in codes.most_common(3)
    )
    title = (
        "1 rejected item can be repaired"
        if count == 1
        else f"{_at_least(count)} rejected items can be repaired"
    )
    newest = waiting.order_by("-id").values_list("received_at", flat=True).first()
    return [Item("info", title, detail, "Repair", url("admin:profiles_receipt_changelist"), newest)]


def _at_least(count: int) -> str:
    return f"{count:,} or more" if count >= needs_attention.MOST else f"{count:,}"


# --- Figures and charts -----------------------------------------------------------------------------------


def _population(user: Any) -> Population:
    """Counts over the partial indexes of live people. Four queries."""
    live = Profile.objects.live().order_by()
    recognized, anonymous = live.recognized().count(), live.anonymous().count()
    total = recognized + anonymous
    now = timezone.now()
    new = live.filter(created_at__gte=now - datetime.timedelta(days=7)).count()
    active = live.filter(last_seen_at__gte=now - datetime.timedelta(days=DAYS)).count()
    return Population(
        total=total,
        note=f"+{new:,} in 7 days",
        split=(
            Figure("Recognized", recognized, _share(recognized, total)),
            Figure("Anonymous", anonymous, _share(anonymous, total)),
        ),
        figures=(Figure(f"Active in {DAYS} days", active, _share(active, total)),),
        url=url("admin:profiles_profile_changelist"),
    )


def _share(part: int, total: int) -> float | None:
    return part / total if total else None


def _new_people(user: Any) -> Kpi:
    """People by the day they were made and the source that made them, in the site's time zone."""
    days = _last_days(DAYS)
    start = timezone.make_aware(datetime.datetime.combine(days[0], datetime.time.min))
    live = Profile.objects.live().order_by()
    rows = (
        live.filter(created_at__gte=start)
        .values_list(TruncDate("created_at"), "source__name")
        .annotate(Count("pk"))
    )
    before = live.filter(created_at__gte=start - datetime.timedelta(days=DAYS), created_at__lt=start).count()
    chart = _chart(f"New people in {DAYS} days", days, rows)
    note, tone = _compared(chart.total, before, f"the {DAYS} days before")
    return Kpi(f"{chart.total:,}", chart, note, tone)


def _events(user: Any) -> Kpi:
    """Events of the last 24 hours by hour and source, from the hourly counts. One query."""
    this_hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    hours = [this_hour - datetime.timedelta(hours=back) for back in reversed(range(24))]
    rows = (
        SourceHour.objects.filter(hour__gte=hours[0], events__gt=0)
        .order_by()
        .values_list("hour", "source__name")
        .annotate(Sum("events"))
    )
    chart = _chart("Events in 24 hours", hours, rows, unit="Hour")
    return Kpi(f"{chart.total:,}", chart, footer="Counted every ten minutes")


def _duplicates(user: Any) -> Kpi:
    tiers = trend.open_by_tier()
    names = ((Tier.CERTAIN, "certain"), (Tier.PROBABLE, "probable"), (Tier.POSSIBLE, "possible"))
    footer = " · ".join(f"{tiers.get(tier, 0):,} {name}" for tier, name in names)
    total = sum(tiers.get(tier, 0) for tier, _ in names)
    found, decided = trend.found_by_day(), trend.decided_by_day()
    note = f"{found.total:,} found, {decided.total:,} decided in {DAYS} days"
    return Kpi(f"{total:,}", found, note, footer=footer, url=url("admin:profiles_duplicatepair_changelist"))


def _rejected(user: Any) -> Kpi:
    """Rejected items that wait, by the day they came. One query over the index of waiting receipts."""
    days = _last_days(DAYS)
    start = timezone.make_aware(datetime.datetime.combine(days[0], datetime.time.min))
    rows = (
        receipts.waiting()
        .filter(received_at__gte=start)
        .order_by()
        .values_list(TruncDate("received_at"), "outcome")
        .annotate(Count("pk"))
    )
    named = [(day, str(Receipt.Outcome(outcome).label), count) for day, outcome, count in rows]
    chart = _chart(f"Rejected items in {DAYS} days", days, named)
    return Kpi(f"{chart.total:,}", chart, "wait for repair", "", "", url("admin:profiles_receipt_changelist"))


def _last_days(days: int) -> list[datetime.date]:
    today_ = timezone.localdate()
    return [today_ - datetime.timedelta(days=back) for back in reversed(range(days))]


def _compared(now: int, before: int, what: str) -> tuple[str, str]:
    if not before:
        return "", ""
    change = round(100 * (now - before) / before)
    return f"{change:+,} % to {what}".replace("-", "−"), "ok" if change > 0 else ""


def _chart(title: str, moments: list[Any], rows: Iterable[tuple[Any, ...]], *, unit: str = "Day") -> Chart:
    """A series for each of the names that count most, the rest together."""
    counts: dict[str, dict[Any, int]] = {}
    for moment, name, count in rows:
        counts.setdefault(name, {})[moment] = count
    biggest = sorted(counts, key=lambda name: -sum(counts[name].values()))
    series = [
        Series(name, [counts[name].get(moment, 0) for moment in moments])
        for name in sorted(biggest[:SERIES_SHOWN])
    ]
    if rest := biggest[SERIES_SHOWN:]:
        series.append(
            Series("Others", [sum(counts[name].get(moment, 0) for name in rest) for moment in moments])
        )
    return Chart(title=title, labels=[_label(moment) for moment in moments], series=series, unit=unit)


def _label(moment: datetime.date) -> str:
    if isinstance(moment, datetime.datetime):
        return f"{timezone.localtime(moment):%H:%M}"
    return f"{moment.day} {moment:%b}"


# --- Can be taken back ------------------------------------------------------------------------------------


def _merges(user: Any) -> list[Undoable]:
    can_view_pii = user.has_perm("profiles.view_pii")
    active = Merge.objects.filter(undone_at__isnull=True).select_related("winner", "user", "key")
    merges = list(active[: today.UNDOABLE])
    if can_view_pii:
        saw(merge.winner_id for merge in merges)
    deleted = Profile.Status.DELETED
    return [
        Undoable(
            text=f"#{merge.loser_id} into {f'{merge.winner.name} ' if can_view_pii and merge.winner.status != deleted else ''}#{merge.winner_id}",
            by=str(merge.user or merge.key or "system"),
            at=merge.created_at,
            url=url("admin:profiles_merge_undo", merge.pk),
            page_url=url("admin:profiles_profile_change", merge.winner_id),
        )
        for merge in merges
    ]


def _batches(user: Any) -> list[Undoable]:
    done = MergeBatch.objects.filter(state=MergeBatch.State.DONE).select_related("user", "key")
    return [
        Undoable(
            text=f"{counted(batch.counts.get('merged', 0), 'merges')}: {batch.title}",
            by=str(batch.user or batch.key or "rule"),
            at=batch.finished_at or batch.created_at,
            url=url("admin:profiles_mergebatch_undo", batch.pk),
            page_url=url("admin:profiles_mergebatch_change", batch.pk),
        )
        for batch in done[:2]
    ]


# Name → permission, task of the menu, items, and the rows that are counted.
_NEEDS: dict[str, tuple[str, str, Callable[[], list[Item]], Callable[[], QuerySet[Any]]]] = {
    "alarms": ("view_sourcealarm", "sources", _alarm_items, alarms.unread),
    "waiting merges": ("change_heldmerge", "duplicates", _held_items, _open_held),
    "merge batches": ("bulk_merge", "duplicates", _batch_items, _ready_batches),
    "duplicates": ("change_duplicatepair", "duplicates", _duplicate_items, _likely_pairs),
    "rejected": ("replay_receipt", "sources", _receipt_items, receipts.waiting),
}


def register() -> None:
    for name, (permission, task, items, waiting) in _NEEDS.items():
        provider = needs_attention.Provider(
            permission=f"profiles.{permission}",
            task=task,
            items=items,
            count=partial(_count, waiting),
        )
        needs_attention.providers.register(name, provider)
    today.populations.register("people", Part("People", "profiles.view_profile", _population))
    for order, (name, permission, load) in enumerate(
        (
            ("New people, 30 days", "profiles.view_profile", _new_people),
            ("Events, last 24 hours", "profiles.view_event", _events),
            ("Duplicates to review", "profiles.view_duplicatepair", _duplicates),
            ("Rejected items", "profiles.view_receipt", _rejected),
        )
    ):
        today.kpis.register(name, Part(name, permission, load), order=order)
    today.undoables.register("merges", Part("Merges", "profiles.unmerge_profile", _merges))
    today.undoables.register("batches", Part("Merges in bulk", "profiles.bulk_merge", _batches))
