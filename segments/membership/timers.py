"""Profiles whose verdict time alone may change, now due → compared again, as of when it was due.

A timer means *look again*, never *flip*. After a pause of the workers every breakpoint that was missed is walked, so
that a stay which began and ended meanwhile is written with both its times.
"""

from __future__ import annotations

import datetime
from collections import defaultdict

from django.db import connection, transaction

from cdp.locks import Lock, try_take
from segments.evaluate.moment import current_moment
from segments.membership.batches import SLICE_SECONDS, repeat
from segments.membership.live_rules import LiveSegment, live_segments
from segments.membership.write import Reason, Turnover, follow, write_some
from segments.models import Cause, Membership, NextCheck
from segments.moments import Moment
from segments.person import Person, load_people
from segments.rules.tree import Rule

BATCH = 1_000
# Later than this, breakpoints may have been missed; before, one look as of now says the same.
MISSED = datetime.timedelta(seconds=30)

# profile → when it was due
Due = dict[int, datetime.datetime]


def work_off(*, seconds: float = SLICE_SECONDS) -> int:
    """Take what is due, a batch per transaction, for this long; how many were looked at."""
    return repeat(_batch, seconds)


@transaction.atomic
def _batch() -> int:
    if not try_take(Lock.SEGMENTS):
        return 0
    moment = current_moment()
    rows = list(NextCheck.objects.filter(due_at__lte=moment.now).order_by("due_at", "id")[:BATCH])
    by_segment: dict[int, Due] = defaultdict(dict)
    for row in rows:
        by_segment[row.segment_id][row.profile_id] = row.due_at
    segments = {segment.id: segment for segment in live_segments(by_segment)}
    for segment_id, due in by_segment.items():
        if segment_id in segments:
            _look(segments[segment_id], due, moment)
    # Timers of a segment that is broken or archived, and of profiles that are gone.
    stale = [row.pk for row in rows]
    NextCheck.objects.filter(pk__in=stale, due_at__lte=moment.now).delete()
    return len(rows)


def _look(segment: LiveSegment, due: Due, moment: Moment) -> None:
    missed = {pk: at for pk, at in due.items() if moment.now - at > MISSED}
    if missed:
        walk(segment, missed, moment)
    write_some(segment, {pk: Reason(Cause.TIME, None, at) for pk, at in due.items()}, moment)


def walk(segment: LiveSegment, due: Due, moment: Moment) -> None:
    """Write each stay that began or ended since it was due, at its time; what holds now is written by the caller."""
    if segment.rule is None:
        return
    people = load_people(due, segment.reads)
    is_in = set(
        Membership.objects.current()
        .filter(segment=segment.id, profile__in=people)
        .values_list("profile_id", flat=True)
    )
    for pk, person in people.items():
        flips = _flips(segment.rule, person, due[pk], moment, is_in=pk in is_in)
        for at, comes_in in flips:
            _write(segment, pk, at, comes_in=comes_in)


def _flips(
    rule: Rule, person: Person, since: datetime.datetime, moment: Moment, *, is_in: bool
) -> list[tuple[datetime.datetime, bool]]:
    """``(when, whether they came in)`` of each change since then, in order."""
    found = []
    for at in rule.breakpoints(person, moment):
        if not since <= at <= moment.now:
            continue
        holds = rule.holds(person, moment.at(at))
        if holds != is_in:
            found.append((at, holds))
            is_in = holds
    return found


def _write(segment: LiveSegment, profile_id: int, at: datetime.datetime, *, comes_in: bool) -> None:
    reason = Reason(Cause.TIME, None, at)
    if comes_in:
        Membership.objects.create(
            segment_id=segment.id, profile_id=profile_id, entered_at=at, entered_by=Cause.TIME
        )
        follow(segment, Turnover(entered=(profile_id,)), {profile_id: reason})
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE segments_membership SET left_at = greatest(%s, entered_at), left_by = %s,"
            " left_recorded_at = clock_timestamp()"
            " WHERE segment_id = %s AND profile_id = %s AND left_at IS NULL AND absorbed_by IS NULL",
            [at, Cause.TIME, segment.id, profile_id],
        )
    follow(segment, Turnover(left=(profile_id,)), {profile_id: reason})
