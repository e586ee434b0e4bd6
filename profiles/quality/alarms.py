"""Receipts of the last hour and hourly counts → alarms about sources that began to send something else.

Checked every five minutes. A change is one alarm until it ends: sent once by webhook and mail, listed until
it is acknowledged. A change that was acknowledged and continues counts as usual after ``DAYS``.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from cdp import audit, webhooks
from cdp.actors import Actor
from cdp.errors import NotFound
from cdp.locks import Lock, try_take
from cdp.mail import queue_mail
from profiles.models import DuplicatePolicy, Source, SourceAlarm, SourceHour
from profiles.quality import change_detection
from profiles.quality.change_detection import CallCounts, Signal
from profiles.quality.hourly_counts import CALL_COUNTS_SQL, EVENT_KINDS

TOPIC = "source.changed"
WINDOW = datetime.timedelta(hours=1)
# How far back an alarm's beginning is searched: small sources need time to show a change.
LOOK_BACK = datetime.timedelta(hours=6)
DAYS = 14
_FIELDS = tuple(CallCounts.__dataclass_fields__)

Minutes = list[tuple[datetime.datetime, CallCounts]]


@dataclass(frozen=True, slots=True)
class _DetectedChange:
    """A change to raise an alarm for: ``usual`` before it, ``recent`` the last hour."""

    source_id: int
    signal: Signal
    usual: change_detection.Usual
    recent: CallCounts


@transaction.atomic
def watch(*, now: datetime.datetime | None = None) -> list[SourceAlarm]:
    """Compare every source's last hour with what it usually sends; the new alarms.

    Four queries while nothing changes. One worker at a time; a second one returns at once.
    """
    if not _try_lock():
        return []
    now = now or timezone.now()
    _end_old(now)
    recent = {source_id: _sum(minutes) for source_id, minutes in _minutes(now - WINDOW, now).items()}
    open_ = {(alarm.source_id, alarm.signal): alarm for alarm in SourceAlarm.objects.filter(ended_at=None)}
    wanted = {source_id for source_id, counts in recent.items() if counts.items >= change_detection.MIN_CALLS}
    usual = _usual(wanted, now)
    changes = []
    for source_id in sorted(wanted):
        open_here = {signal for pk, signal in open_ if pk == source_id}
        for signal, before in _unusual(recent[source_id], usual[source_id], open_here):
            changes.append(_DetectedChange(source_id, signal, before, recent[source_id]))
    _follow(open_, recent, now)
    return _raise(changes, now) if changes else []


def _try_lock() -> bool:
    return try_take(Lock.SOURCE_ALARMS)


def _end_old(now: datetime.datetime) -> None:
    """End alarms that were acknowledged long ago: the change is usual by now."""
    read = SourceAlarm.objects.filter(ended_at=None, acknowledged_at__lt=now - datetime.timedelta(days=DAYS))
    read.update(ended_at=now)


# --- What was sent --------------------------------------------------------------------------------------


def _minutes(start: datetime.datetime, end: datetime.datetime) -> dict[int, Minutes]:
    """``{source: [(minute, counts)]}`` in order of time. One query."""
    params: dict[str, Any] = {"unit": "minute", "start": start, "end": end, "events": list(EVENT_KINDS)}
    by_source: dict[int, Minutes] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({CALL_COUNTS_SQL}) AS counted ORDER BY 1, 2", params)
        for source_id, at, *counts in cursor.fetchall():
            by_source[source_id].append((at, CallCounts(*counts)))
    return by_source


def _sum(minutes: Minutes) -> CallCounts:
    return CallCounts(*(sum(getattr(counts, name) for _, counts in minutes) for name in _FIELDS))


def _usual(sources: set[int], now: datetime.datetime) -> dict[int, list[CallCounts]]:
    """The hours of the last days before the last one, in order of time. One query."""
    before = (now - WINDOW).replace(minute=0, second=0, microsecond=0)
    rows = SourceHour.objects.filter(
        source_id__in=sources,
        hour__gte=before - datetime.timedelta(days=DAYS),
        hour__lt=before,
    )
    by_source: dict[int, list[CallCounts]] = {source_id: [] for source_id in sources}
    for source_id, *counts in rows.order_by("hour").values_list("source_id", *_FIELDS):
        by_source[source_id].append(CallCounts(*counts))
    return by_source


def _unusual(
    recent: CallCounts, hours: list[CallCounts], open_here: set[str]
) -> list[tuple[Signal, change_detection.Usual]]:
    """The signals to raise, with what was usual; not those the source has an open alarm for."""
    unusual = []
    for signal in change_detection.SIGNALS:
        usual = change_detection.usual_of(signal.part(hour) for hour in hours)
        if signal.code in open_here or usual is None:
            continue
        if change_detection.is_unusual(signal, usual, signal.part(recent)):
            unusual.append((signal, usual))
    # One mistake, one alarm: where update is sent instead, identify is missing as well.
    if SourceAlarm.Signal.UPDATE in {signal.code for signal, _ in unusual} | open_here:
        unusual = [item for item in unusual if item[0].code != SourceAlarm.Signal.NO_IDENTIFY]
    return unusual


def _follow(
    open_: dict[tuple[int, str], SourceAlarm], recent: dict[int, CallCounts], now: datetime.datetime
) -> None:
    """Update open alarms, and end those whose share is usual again. One query."""
    updated = []
    for (source_id, code), alarm in open_.items():
        signal = change_detection.BY_CODE[code]
        hits, calls = signal.part(recent.get(source_id, CallCounts()))
        if calls < change_detection.MIN_CALLS:
            continue
        alarm.share, alarm.calls = hits / calls, calls
        alarm.ended_at = now if change_detection.is_back(signal, alarm.bound, (hits, calls)) else None
        updated.append(alarm)
    if updated:
        SourceAlarm.objects.bulk_update(updated, ["share", "calls", "ended_at"])


# --- Raising --------------------------------------------------------------------------------------------


def _raise(changes: list[_DetectedChange], now: datetime.datetime) -> list[SourceAlarm]:
    minutes = _minutes(now - LOOK_BACK, now)
    names = dict(
        Source.objects.filter(pk__in=[change.source_id for change in changes]).values_list("pk", "name")
    )
    alarms = [_alarm(change, names[change.source_id], minutes[change.source_id], now) for change in changes]
    created = SourceAlarm.objects.bulk_create(alarms)
    _notify(created)
    return created


def _alarm(change: _DetectedChange, name: str, minutes: Minutes, now: datetime.datetime) -> SourceAlarm:
    signal, usual = change.signal, change.usual
    parts = [(at, *signal.part(counts)) for at, counts in minutes]
    since = change_detection.began(signal, usual, parts) or now
    # Of the calls since the beginning, which the sentence is about, not of the whole hour.
    hits, calls = _since(parts, since) or signal.part(change.recent)
    sentence = change_detection.sentence(
        signal, source=name, since=_clock(since, now), share=hits / calls, usual=usual.share, calls=calls
    )
    return SourceAlarm(
        source_id=change.source_id,
        signal=signal.code,
        began_at=since,
        usual=usual.share,
        bound=change_detection.bound_of(signal, usual),
        share=hits / calls,
        calls=calls,
        sentence=sentence[:500],
    )


def _since(parts: list[change_detection.Minute], since: datetime.datetime) -> change_detection.Part | None:
    hits = sum(k for at, k, _ in parts if at >= since)
    calls = sum(n for at, _, n in parts if at >= since)
    return (hits, calls) if calls else None


def _clock(at: datetime.datetime, now: datetime.datetime) -> str:
    """“14:05”; with the day when it is not today."""
    local = timezone.localtime(at)
    same = local.date() == timezone.localtime(now).date()
    return date_format(local, "H:i" if same else "j M, H:i")


def _notify(alarms: list[SourceAlarm]) -> None:
    """Webhook, mail and audit log, in the transaction that raised the alarms."""
    webhooks.publish_many(TOPIC, items=[(None, payload(alarm)) for alarm in alarms])
    subjects = [f"sourcealarm:{alarm.pk}" for alarm in alarms]
    audit.record_many("source.alarm", actor=Actor.system(), subjects=subjects)
    to = DuplicatePolicy.current().report_to
    if to:
        context = {"alarms": [(alarm, fix_of(alarm)) for alarm in alarms], "url": page_url()}
        queue_mail(
            to=to,
            subject=alarms[0].sentence
            if len(alarms) == 1
            else f"{len(alarms)} sources changed what they send",
            text=render_to_string("email/source_alarm.txt", context),
            html=render_to_string("email/source_alarm.html", context),
        )


def payload(alarm: SourceAlarm) -> dict[str, Any]:
    """The webhook's payload."""
    return {
        "alarm_id": alarm.pk,
        "source_id": alarm.source_id,
        "signal": alarm.signal,
        "began_at": alarm.began_at.isoformat(),
        "share": alarm.share,
        "usual": alarm.usual,
        "sentence": alarm.sentence,
    }


def fix_of(alarm: SourceAlarm) -> str:
    """What to do about it."""
    return change_detection.BY_CODE[alarm.signal].fix


def page_url() -> str:
    """The scorecard's address, for a mail."""
    return settings.CDP_URL.rstrip("/") + reverse("admin:profiles_scorecard")


# --- Reading and acknowledging --------------------------------------------------------------------------


def unread(*, source_id: int | None = None) -> QuerySet[SourceAlarm]:
    """Alarms that were not acknowledged, newest first, ended ones included."""
    alarms = SourceAlarm.objects.filter(acknowledged_at__isnull=True).select_related("source")
    return alarms if source_id is None else alarms.filter(source_id=source_id)


@transaction.atomic
def acknowledge(*, alarm_id: int, actor: Actor) -> SourceAlarm:
    """Mark an alarm as read: it leaves the dashboard. Acknowledging twice changes nothing.

    Raises NotFound.
    """
    alarm = (
        SourceAlarm.objects.select_for_update(of=("self",))
        .select_related("source")
        .filter(pk=alarm_id)
        .first()
    )
    if alarm is None:
        raise NotFound(f"There is no alarm #{alarm_id}.")
    if alarm.acknowledged_at is None:
        SourceAlarm.objects.filter(pk=alarm.pk).update(
            acknowledged_at=Now(), user_id=actor.user_id, key_id=actor.key_id
        )
        alarm.refresh_from_db()
        audit.record("source.alarm_read", actor=actor, subject=f"sourcealarm:{alarm.pk}")
    return alarm
