"""The Celery tasks of ``segments`` and when beat runs them. No arguments; running twice or never does no harm."""

from __future__ import annotations

import logging

from celery import shared_task
from celery.schedules import crontab

from segments.membership import calendar, recount, refresh, timers

log = logging.getLogger(__name__)


@shared_task
def refresh_memberships() -> None:
    """Whoever changed, and whoever time alone may have changed. Two seconds apart: an event counts within five."""
    refresh.work_off()
    timers.work_off()


@shared_task
def follow_the_calendar() -> None:
    """Rules about days, once a day when it begins where the workspace is; asked every minute."""
    calendar.start_due()


@shared_task
def compare_memberships() -> None:
    """Every segment against a full count; a difference is a fault, and is logged."""
    for segment, entered, left in recount.compare_all():
        log.error("memberships differed", extra={"segment": segment.pk, "entered": entered, "left": left})


BEAT_SCHEDULE = {
    "refresh segments": {"task": "segments.tasks.refresh_memberships", "schedule": 2.0},
    "follow the calendar": {"task": "segments.tasks.follow_the_calendar", "schedule": 60.0},
    "compare segments with a full count": {
        "task": "segments.tasks.compare_memberships",
        "schedule": crontab(hour=4, minute=40),
    },
}
