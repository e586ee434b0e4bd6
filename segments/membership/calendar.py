"""Segments whose rule speaks of days (*today*, *birthday*) → filled anew once the day has begun in the workspace's zone.

One statement a day and segment: a million timers at midnight would say the same.
"""

from __future__ import annotations

from cdp.actors import Actor
from cdp.models import Job
from segments.evaluate.moment import current_moment
from segments.membership.fill import KIND, start_filling
from segments.membership.live_rules import LiveSegment, live_segments
from segments.models import Cause


def start_due() -> int:
    """How many fills were started: of live segments with a calendar word that were last compared before today."""
    moment = current_moment()
    midnight = moment.midnight(moment.today)
    due = [
        segment
        for segment in live_segments()
        if segment.reads.calendar and (segment.row.filled_at is None or segment.row.filled_at < midnight)
    ]
    waiting = _segments_being_filled() if due else set()
    started = [segment for segment in due if segment.id not in waiting]
    for segment in started:
        _start(segment)
    return len(started)


def _start(segment: LiveSegment) -> None:
    start_filling(segment.row, cause=Cause.TIME, actor=Actor.system())


def _segments_being_filled() -> set[int]:
    jobs = Job.objects.open().filter(kind=KIND).values_list("params__segment", flat=True)
    return set(jobs)
