"""The scorecard: every source's figures, what changed, and where its duplicates are."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from cdp.actors import Actor
from cdp.admin.charts import sparkline
from cdp.errors import Invalid
from profiles.admin.profile_urls import OwnPages
from profiles.admin.staff_views import back, render, staff_view, write
from profiles.models import Source, SourceAlarm
from profiles.quality import alarms, scorecard
from profiles.quality.hourly_counts import COUNT_SECONDS, MARGIN
from profiles.quality.import_figures import ImportFigures, figures_of, recent_imports

PERMISSIONS = ("profiles.view_sourcealarm", "profiles.view_source")
# Read alarms stay in sight, a few of them: what happened last time.
_MAX_READ = 10
_MAX_IMPORTS = 20
_COUNT_EVERY = datetime.timedelta(seconds=COUNT_SECONDS)


@dataclass(frozen=True, slots=True)
class Row:
    """One source's figures with their drawing and the address of its duplicates."""

    card: scorecard.SourceCard
    spark: SafeString
    queue_url: str

    @property
    def is_bad(self) -> bool:
        """More than one new profile in twenty is of somebody known already."""
        return (self.card.figures.duplicates_per_1000 or 0) >= 50


def page_url() -> str:
    return reverse("admin:profiles_scorecard")


@staff_view(*PERMISSIONS)
def page(request: HttpRequest) -> HttpResponse:
    """Sources by how much is wrong with what they send, over 7, 30 or 90 days; the newest imports. Seven queries for any number."""
    try:
        days = scorecard.days_of(request.GET.get("days"))
    except Invalid as refusal:
        messages.error(request, refusal.message)
        return redirect(page_url())
    cards = scorecard.worst_first(scorecard.cards(days))
    active = [card for card in cards if not card.figures.is_empty]
    counted_to = scorecard.counted_to()
    context = {
        "title": "Scorecard",
        "days": days,
        "spans": scorecard.SPANS,
        "rows": [_row(card) for card in active],
        "silent": [card.source for card in cards if card.figures.is_empty],
        "total": scorecard.total_of(active),
        "counted_to": counted_to,
        "next_count_at": _next_count_at(counted_to),
        "imports": _imports(request, days),
        "alarms": with_fixes(alarms.unread()[:50]),
        "read": list(
            SourceAlarm.objects.filter(acknowledged_at__isnull=False).select_related("source", "user", "key")[
                :_MAX_READ
            ]
        ),
        "here": request.get_full_path(),
    }
    return render(request, "scorecard/page.html", context)


def _next_count_at(counted_to: datetime.datetime | None) -> datetime.datetime | None:
    """When the next count is due; None when it is due now, or there was none yet."""
    due = counted_to + MARGIN + _COUNT_EVERY if counted_to else None
    return due if due and due > timezone.now() else None


def _imports(request: HttpRequest, days: int) -> list[ImportFigures]:
    """Those of the newest imports, for who may see imports."""
    if not request.user.has_perm("imports.view_import"):
        return []
    return figures_of(list(recent_imports(days)[:_MAX_IMPORTS]))


def _row(card: scorecard.SourceCard) -> Row:
    label = f"Problems by day, {sum(card.trend):,} in all, {card.trend[-1]:,} today"
    return Row(card, sparkline(card.trend, label), queue_url(card.source))


def queue_url(source: Source) -> str:
    """Open duplicates whose newer side came from the source."""
    return f"{reverse('admin:profiles_duplicatepair_changelist')}?{urlencode({'source': source.name})}"


def with_fixes(rows: Iterable[SourceAlarm]) -> list[tuple[SourceAlarm, str]]:
    """Each alarm with what to do about it."""
    return [(row, alarms.fix_of(row)) for row in rows]


@write("profiles.view_sourcealarm", "profiles.change_sourcealarm")
def acknowledge(request: HttpRequest, sourcealarm_id: int) -> HttpResponseBase:
    done = alarms.acknowledge(alarm_id=sourcealarm_id, actor=Actor.of_request(request))
    messages.success(request, f"Acknowledged: the alarm about {done.source} is no longer on Today.")
    return redirect(back(request) or page_url())


class SourceAlarmAdmin(OwnPages):
    pages = (
        ("", page, "changelist"),
        ("<int:sourcealarm_id>/acknowledge/", acknowledge, "acknowledge"),
    )

    def get_urls(self) -> list[Any]:
        """The list page is the scorecard, under its own name as well."""
        return [*super().get_urls(), path("", self.admin_site.admin_view(page), name="profiles_scorecard")]


admin.site.register(SourceAlarm, SourceAlarmAdmin)
