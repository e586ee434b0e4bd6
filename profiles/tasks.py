"""The Celery tasks of ``profiles`` and when beat runs them. No arguments; running twice or never does no harm."""

from __future__ import annotations

import logging

from celery import shared_task
from celery.schedules import crontab

from cdp.actors import Actor
from profiles.duplicates import merge_certain
from profiles.duplicates.finding import full_scan, match_queue
from profiles.duplicates.review import fit_calibration
from profiles.models import Profile
from profiles.quality import alarms, hourly_counts, weekly_report
from profiles.tracking.ingest import last_seen

log = logging.getLogger(__name__)


@shared_task
def update_last_seen() -> None:
    """When profiles were last active, from what tracking calls noted."""
    last_seen.apply_visits()


@shared_task
def compare_changed() -> None:
    """Compare the profiles that changed. Ten seconds apart, so nobody waits a minute."""
    match_queue.work_off()


@shared_task
def scan_duplicates() -> None:
    """Compare all profiles once a day: how rare names are and what too many share changes with every profile."""
    if Profile.objects.live().exists():
        full_scan.start_scan(actor=Actor.system())


@shared_task
def calibrate_duplicates() -> None:
    """Learn from people's decisions how likely a score is."""
    if line := fit_calibration.refit():
        extra = {"slope": line.slope, "offset": line.offset, "count": line.decisions}
        log.info("calibration fitted", extra=extra)


@shared_task
def count_sources() -> None:
    """What sources sent since the last time, into the scorecard's figures."""
    hourly_counts.count_new()


@shared_task
def watch_sources() -> None:
    """Raise the alarm where a source began to send something else."""
    for raised in alarms.watch():
        log.warning("a source changed", extra={"source": raised.source_id, "kind": raised.signal})


@shared_task
def send_duplicate_report() -> None:
    """The weekly report; asked every quarter of an hour, sent once a week."""
    weekly_report.send_due()


@shared_task
def merge_certain_pairs() -> None:
    """Start what the rule for certain pairs allows this hour; nothing while it is off."""
    if batch := merge_certain.merge_certain():
        log.info("merging certain pairs", extra={"batch": batch.pk, "pairs": batch.size})


BEAT_SCHEDULE = {
    "update when profiles were last seen": {"task": "profiles.tasks.update_last_seen", "schedule": 10.0},
    "compare changed profiles": {"task": "profiles.tasks.compare_changed", "schedule": 10.0},
    "compare all profiles": {
        "task": "profiles.tasks.scan_duplicates",
        "schedule": crontab(hour=3, minute=20),
    },
    "learn from decisions": {"task": "profiles.tasks.calibrate_duplicates", "schedule": 86_400.0},
    # An hour's figures are there some minutes after it ends; a run with nothing new costs a millisecond.
    "count what sources send": {
        "task": "profiles.tasks.count_sources",
        "schedule": hourly_counts.COUNT_SECONDS,
    },
    "watch what sources send": {"task": "profiles.tasks.watch_sources", "schedule": 300.0},
    "report duplicates": {"task": "profiles.tasks.send_duplicate_report", "schedule": 900.0},
    "merge certain pairs": {"task": "profiles.tasks.merge_certain_pairs", "schedule": 60.0},
}
