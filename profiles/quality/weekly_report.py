"""A week's pairs, sources, imports and alarms → the duplicate report, sent by e-mail and compared with the
week before.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.db.models import Count
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from cdp import audit
from cdp.actors import Actor
from cdp.mail import queue_mail
from profiles.models import DuplicatePair, DuplicatePolicy, SourceAlarm
from profiles.quality import alarms, scorecard, trend
from profiles.quality.import_figures import DuplicateRate, import_rates

WEEK = datetime.timedelta(days=7)
# Mondays at seven in the site's time zone.
WEEKDAY, HOUR = 0, 7
WORST = 5


@dataclass(frozen=True, slots=True)
class WeekFigure:
    """A count of this week and of the week before."""

    label: str
    count: int
    before: int

    @property
    def change(self) -> str:
        """“+12”, “−3”, “as before”."""
        step = self.count - self.before
        return "as before" if step == 0 else f"{step:+,}".replace("-", "−")


@dataclass(frozen=True, slots=True)
class Report:
    """``open_`` is (label, pairs) by tier, the surest first."""

    start: datetime.datetime
    end: datetime.datetime
    open_: list[tuple[str, int]]
    found: list[WeekFigure]
    decided: list[WeekFigure]
    sources: list[DuplicateRate]
    imports: list[DuplicateRate]
    alarms: list[SourceAlarm]

    @property
    def waiting(self) -> int:
        return sum(count for _, count in self.open_)

    @property
    def subject(self) -> str:
        new = sum(figure.count for figure in self.found)
        return f"Duplicates: {new:,} found this week, {self.waiting:,} wait for a decision"


def due(policy: DuplicatePolicy, now: datetime.datetime) -> bool:
    """Whether a report is to be sent: none was since Monday at seven, or ever."""
    if not policy.report_to:
        return False
    local = timezone.localtime(now)
    monday = local - datetime.timedelta(days=(local.weekday() - WEEKDAY) % 7)
    last = monday.replace(hour=HOUR, minute=0, second=0, microsecond=0)
    if last > local:
        last -= WEEK
    return policy.reported_at is None or policy.reported_at < last


@transaction.atomic
def send_due(*, now: datetime.datetime | None = None) -> int:
    """Queue the report when it is due; to how many addresses. Once a week, however many workers run it."""
    now = now or timezone.now()
    policy = DuplicatePolicy.objects.select_for_update(skip_locked=True).filter(pk=1).first()
    if policy is None or not due(policy, now):
        return 0
    report = compile_report(now)
    context = {
        "report": report,
        "queue_url": mail_url("admin:profiles_duplicatepair_changelist"),
        "scorecard_url": mail_url("admin:profiles_scorecard"),
        "policy_url": mail_url("admin:profiles_duplicatepolicy_changelist"),
        "days": f"{date_format(timezone.localtime(report.start), 'j M')} to"
        f" {date_format(timezone.localtime(report.end), 'j M Y')}",
    }
    queue_mail(
        to=policy.report_to,
        subject=report.subject,
        text=render_to_string("email/duplicate_report.txt", context),
        html=render_to_string("email/duplicate_report.html", context),
    )
    policy.reported_at = now
    policy.save(update_fields=["reported_at"])
    audit.record("duplicate.report", actor=Actor.system(), detail={"addresses": len(policy.report_to)})
    return len(policy.report_to)


def compile_report(now: datetime.datetime) -> Report:
    """The week up to now. Nine queries, each over an index by time."""
    start = now - WEEK
    tiers = trend.open_by_tier()
    return Report(
        start=start,
        end=now,
        open_=[(name, tiers.get(tier, 0)) for tier, name in trend.FOUND],
        found=_pairs_found(start, now),
        decided=_decided(start, now),
        sources=_sources(),
        imports=worst(import_rates(start)),
        alarms=list(alarms.unread()[:WORST]),
    )


def _pairs_found(start: datetime.datetime, end: datetime.datetime) -> list[WeekFigure]:
    now, before = (_tiers(since, since + WEEK) for since in (start, start - WEEK))
    return [WeekFigure(name, now.get(tier, 0), before.get(tier, 0)) for tier, name in trend.FOUND]


def _tiers(start: datetime.datetime, end: datetime.datetime) -> dict[str, int]:
    pairs = DuplicatePair.objects.filter(created_at__gte=start, created_at__lt=end)
    return dict(pairs.order_by().values_list("tier").annotate(Count("pk")))


def _decided(start: datetime.datetime, end: datetime.datetime) -> list[WeekFigure]:
    now, before = (_decisions(since, since + WEEK) for since in (start, start - WEEK))
    return [WeekFigure(name, now.get(name, 0), before.get(name, 0)) for name in trend.DECIDED]


def _decisions(start: datetime.datetime, end: datetime.datetime) -> dict[str, int]:
    pairs = DuplicatePair.objects.filter(decided_at__gte=start, decided_at__lt=end)
    return dict(trend.decisions(pairs).order_by().values_list("decision").annotate(Count("pk")))


def _sources() -> list[DuplicateRate]:
    """Of the last seven days, without those with too few new profiles."""
    rates = [
        DuplicateRate(
            card.source.name,
            card.figures.new_profiles,
            card.figures.duplicates,
            mail_url("admin:profiles_duplicatepair_changelist", source=card.source.name),
        )
        for card in scorecard.cards(7)
    ]
    return worst(rates)


def worst(rates: Sequence[DuplicateRate]) -> list[DuplicateRate]:
    """Those with duplicates, the highest share first, without those with too few new profiles."""
    large_enough = [rate for rate in rates if rate.duplicates and rate.created >= scorecard.MIN_PROFILES]
    return sorted(large_enough, key=lambda rate: (-rate.per_1000, rate.name))[:WORST]


def mail_url(name: str, *args: int, **query: str) -> str:
    """The absolute address of an admin page, for a mail."""
    path = reverse(name, args=args)
    return settings.CDP_URL.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
