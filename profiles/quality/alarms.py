"""The change alarm (D4): watches the last hour of every source, says since when it sends something else, and tells.

Looked at every five minutes. A change is one alarm until it is over: told once by webhook and mail, shown until
somebody has read it. What somebody has read and left as it is becomes the usual after ``DAYS``.
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
from cdp.mail import queue_mail
from profiles.models import DuplicatePolicy, Source, SourceAlarm, SourceHour
from profiles.quality import change_detection
from profiles.quality.change_detection import Shape, Signal
from profiles.quality.hourly_counts import EVENT_KINDS, SHAPES

TOPIC = "source.changed"
WINDOW = datetime.timedelta(hours=1)
# How far back the beginning is looked for once there is an alarm: thin sources need time to show a change.
LOOK_BACK = datetime.timedelta(hours=6)
DAYS = 14
_LOCK = 7_302_110
_FIELDS = tuple(Shape.__dataclass_fields__)

Minutes = list[tuple[datetime.datetime, Shape]]


@dataclass(frozen=True, slots=True)
class _Found:
    """A change to raise: ``usual`` before it, ``recent`` the last hour."""

    source_id: int
    signal: Signal
    usual: change_detection.Usual
    recent: Shape


@transaction.atomic
def watch(*, now: datetime.datetime | None = None) -> list[SourceAlarm]:
    """Compare every source's last hour with what it usually sends; the alarms that are new.

    Four queries while nothing changes. One worker at a time; a second one leaves at once.
    """
    if not _only_one():
        return []
    now = now or timezone.now()
    _end_old(now)
    recent = {source_id: _sum(minutes) for source_id, minutes in _minutes(now - WINDOW, now).items()}
    open_ = {(alarm.source_id, alarm.signal): alarm for alarm in SourceAlarm.objects.filter(ended_at=None)}
    wanted = {source_id for source_id, seen in recent.items() if seen.items >= change_detection.MIN_CALLS}
    usual = _usual(wanted, now)
    found = []
    for source_id in sorted(wanted):
        open_here = {signal for pk, signal in open_ if pk == source_id}
        for signal, before in _unusual(recent[source_id], usual[source_id], open_here):
            found.append(_Found(source_id, signal, before, recent[source_id]))
    _follow(open_, recent, now)
    return _raise(found, now) if found else []


def _only_one() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def _end_old(now: datetime.datetime) -> None:
    """What was read and stayed as it is, is what is usual now."""
    read = SourceAlarm.objects.filter(ended_at=None, acknowledged_at__lt=now - datetime.timedelta(days=DAYS))
    read.update(ended_at=now)


# --- What was sent --------------------------------------------------------------------------------------


def _minutes(start: datetime.datetime, end: datetime.datetime) -> dict[int, Minutes]:
    """``{source: [(minute, shape)]}`` in order of time. One query."""
    params: dict[str, Any] = {"unit": "minute", "start": start, "end": end, "events": list(EVENT_KINDS)}
    found: dict[int, Minutes] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({SHAPES}) AS counted ORDER BY 1, 2", params)
        for source_id, at, *counts in cursor.fetchall():
            found[source_id].append((at, Shape(*counts)))
    return found


def _sum(minutes: Minutes) -> Shape:
    return Shape(*(sum(getattr(seen, name) for _, seen in minutes) for name in _FIELDS))


def _usual(sources: set[int], now: datetime.datetime) -> dict[int, list[Shape]]:
    """The hours before the last one, of the last days, in order of time. One query."""
    before = (now - WINDOW).replace(minute=0, second=0, microsecond=0)
    rows = SourceHour.objects.filter(
        source_id__in=sources,
        hour__gte=before - datetime.timedelta(days=DAYS),
        hour__lt=before,
    )
    found: dict[int, list[Shape]] = {source_id: [] for source_id in sources}
    for source_id, *counts in rows.order_by("hour").values_list("source_id", *_FIELDS):
        found[source_id].append(Shape(*counts))
    return found


def _unusual(
    recent: Shape, hours: list[Shape], open_here: set[str]
) -> list[tuple[Signal, change_detection.Usual]]:
    """The signals to raise, with what was usual; those the source has an alarm of already are left out."""
    found = []
    for signal in change_detection.SIGNALS:
        usual = change_detection.usual_of(signal.part(hour) for hour in hours)
        if signal.code in open_here or usual is None:
            continue
        if change_detection.is_unusual(signal, usual, signal.part(recent)):
            found.append((signal, usual))
    # One mistake, one alarm: where update took its place, identify is missing as well.
    if SourceAlarm.Signal.UPDATE in {signal.code for signal, _ in found} | open_here:
        found = [one for one in found if one[0].code != SourceAlarm.Signal.NO_IDENTIFY]
    return found


def _follow(
    open_: dict[tuple[int, str], SourceAlarm], recent: dict[int, Shape], now: datetime.datetime
) -> None:
    """Bring alarms there are up to date, and end those whose share is usual again. One query."""
    seen = []
    for (source_id, code), alarm in open_.items():
        signal = change_detection.BY_CODE[code]
        hits, calls = signal.part(recent.get(source_id, Shape()))
        if calls < change_detection.MIN_CALLS:
            continue
        alarm.share, alarm.calls = hits / calls, calls
        alarm.ended_at = now if change_detection.is_back(signal, alarm.bound, (hits, calls)) else None
        seen.append(alarm)
    if seen:
        SourceAlarm.objects.bulk_update(seen, ["share", "calls", "ended_at"])


# --- Raising --------------------------------------------------------------------------------------------


def _raise(found: list[_Found], now: datetime.datetime) -> list[SourceAlarm]:
    minutes = _minutes(now - LOOK_BACK, now)
    names = dict(Source.objects.filter(pk__in=[one.source_id for one in found]).values_list("pk", "name"))
    alarms = [_alarm(one, names[one.source_id], minutes[one.source_id], now) for one in found]
    made = SourceAlarm.objects.bulk_create(alarms)
    _tell(made)
    return made


def _alarm(found: _Found, name: str, minutes: Minutes, now: datetime.datetime) -> SourceAlarm:
    signal, usual = found.signal, found.usual
    parts = [(at, *signal.part(seen)) for at, seen in minutes]
    since = change_detection.began(signal, usual, parts) or now
    # Of the calls since then, which is what the sentence is about; not of the whole hour.
    hits, calls = _since(parts, since) or signal.part(found.recent)
    said = change_detection.sentence(
        signal, source=name, since=_clock(since, now), share=hits / calls, usual=usual.share, calls=calls
    )
    return SourceAlarm(
        source_id=found.source_id,
        signal=signal.code,
        began_at=since,
        usual=usual.share,
        bound=change_detection.bound_of(signal, usual),
        share=hits / calls,
        calls=calls,
        sentence=said[:500],
    )


def _since(parts: list[change_detection.Minute], since: datetime.datetime) -> change_detection.Part | None:
    hits = sum(k for at, k, _ in parts if at >= since)
    calls = sum(n for at, _, n in parts if at >= since)
    return (hits, calls) if calls else None


def _clock(at: datetime.datetime, now: datetime.datetime) -> str:
    """“14:05”; with the day when that is another one."""
    local = timezone.localtime(at)
    same = local.date() == timezone.localtime(now).date()
    return date_format(local, "H:i" if same else "j M, H:i")


def _tell(alarms: list[SourceAlarm]) -> None:
    """Webhook, mail and audit log, in the transaction that raised them."""
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
    """What the webhook says."""
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


# --- For people -----------------------------------------------------------------------------------------


def unread(*, source_id: int | None = None) -> QuerySet[SourceAlarm]:
    """Alarms nobody has acknowledged, newest first; also those that are over by now."""
    found = SourceAlarm.objects.filter(acknowledged_at__isnull=True).select_related("source")
    return found if source_id is None else found.filter(source_id=source_id)


@transaction.atomic
def acknowledge(*, alarm_id: int, actor: Actor) -> SourceAlarm:
    """Mark it as read: it leaves the dashboard, and the same change is not told again. A second time changes nothing.

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
