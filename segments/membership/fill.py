"""A published rule → everybody compared with it once, as a job; and again whenever the day, a setting or a doubt asks for it.

What the rule reads is watched from the moment it is published. Then the job waits for the transactions that began before
(their changes may not have been noticed), fills in one transaction under the queue's lock, and the queue goes on.
"""

from __future__ import annotations

import time

from django.db import DataError, connection, transaction
from django.db.models.functions import Now

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.job_steps import Chunk, handler
from cdp.jobs import start_job
from cdp.locks import Lock, take
from cdp.models import Job
from segments.evaluate.moment import current_moment
from segments.evaluate.preview import WORK_MEM
from segments.membership.live_rules import mark_broken, read_segment, unanswerable, write_watched
from segments.membership.write import Reason, write_everybody
from segments.models import Cause, Segment, SegmentVersion

KIND = "segments.fill"
WAIT_SECONDS = 0.2


def start_filling(segment: Segment, *, cause: str = Cause.RULE, ref: int | None = None, actor: Actor) -> Job:
    """Watch what the segment reads, and compare everybody with it in the background."""
    write_watched()
    params = {"segment": segment.pk, "version": segment.version, "cause": cause, "ref": ref}
    return start_job(
        kind=KIND,
        actor=Actor.system(),
        params={**params, "for": actor.label},
        title=f"Fill the segment “{segment.name}”",
        unit="segments",
        total=1,
    )


@handler(KIND)
def step(chunk: Chunk) -> bool:
    """Wait for older transactions, then fill."""
    params, mark = chunk.job.params, chunk.job.cursor.get("wait_for")
    if mark is None:
        with chunk.commit(cursor={"wait_for": _next_transaction()}):
            return True
    if not _are_over(mark):
        with chunk.commit():
            time.sleep(WAIT_SECONDS)
        return True
    with chunk.commit(cursor={}, done=1):
        fill(params["segment"], params["version"], cause=params["cause"], ref=params["ref"])
    return False


def _next_transaction() -> str:
    """Every transaction that is writing now has a lower number. One query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        return str(cursor.fetchone()[0])


def _are_over(mark: str) -> bool:
    """Whether every transaction with a lower number has ended. One query, outside of any transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8", [mark])
        return bool(cursor.fetchone()[0])


@transaction.atomic
def fill(segment_id: int, version: int, *, cause: str, ref: int | None) -> tuple[int, int]:
    """Compare everybody with the rule; how many came in and went out. Nothing for a version that is not in force any more."""
    take(Lock.SEGMENTS)
    row = Segment.objects.select_for_update(no_key=True).filter(pk=segment_id).first()
    if row is None or row.version != version or row.state not in (Segment.State.FILLING, Segment.State.LIVE):
        return 0, 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('work_mem', %s, true), set_config('jit', 'off', true)", [WORK_MEM])
    moment = current_moment()
    reason = Reason(cause, version if cause == Cause.RULE else ref, moment.now)
    try:
        with transaction.atomic():
            entered, left = write_everybody(read_segment(row), reason, moment)
    except Invalid as error:
        # What it names was deleted since it was published.
        mark_broken(row, error.message)
        return 0, 0
    except DataError as error:
        mark_broken(row, unanswerable(error))
        return 0, 0
    Segment.objects.filter(pk=row.pk).update(state=Segment.State.LIVE, problem="", filled_at=Now())
    if cause == Cause.RULE:
        SegmentVersion.objects.filter(segment=row, version=version, entered__isnull=True).update(
            entered=entered, left=left
        )
    return entered, left
