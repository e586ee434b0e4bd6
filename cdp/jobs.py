"""A kind of work and its parameters → a Job row that workers run chunk by chunk until it is done, failed or canceled.

The row is the truth; Celery's messages only start workers on it. Imports, bulk actions and exports all run by the same
rules:

- The row is committed before its message is sent; a broker that is down does not fail the request
  (``sweep`` enqueues the job later).
- One worker has a job by a lease with a fencing token and the database's clock. Any worker may take a job whose
  lease ran out.
- A chunk's transaction first checks the lease, whether to pause or cancel, and that whoever started the job may still
  do it, then writes its data and moves the cursor. So a chunk is applied once or not at all, whatever is killed.
- A job works with the rights of the login or key that started it, as they are now. Only jobs marked ``is_system`` work
  as the system. Pausing, resuming and canceling need the job's own right too (``check_may_control``).
- A worker works at most ``SLICE_SECONDS`` on one message and then enqueues the job anew, far below any broker's
  redelivery time.
- A worker that is stopping finishes its chunk and releases the lease.
- A chunk begun ``MAX_ATTEMPTS`` times without progress fails the job with a reason; it never loops for ever.
- While the database's disk is full a job waits, says so, and goes on once there is room; a full disk of CDP_DATA fails it,
  and it can be resumed.
"""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any

import psycopg
from celery import current_app
from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection, transaction
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from kombu.exceptions import ChannelError, OperationalError

from cdp.actors import Actor, right_in_words
from cdp.errors import Forbidden
from cdp.full_disk import full_disk
from cdp.job_steps import (
    LEASE_SECONDS,
    NOW,
    STARTER,
    Chunk,
    Handler,
    JobFailed,
    LeaseLost,
    NotAllowed,
    Stopped,
    actor_of,
    check_may_go_on,
    handlers,
    locked_job,
    problem_of,
)
from cdp.models import Job
from cdp.plurals import counted
from cdp.queues import HOUSEKEEPING, JOBS, waiting
from cdp.shutdown import is_stopping

log = logging.getLogger(__name__)

SLICE_SECONDS = settings.CDP_JOB_SLICE_SECONDS
MAX_ATTEMPTS = 3
# While the database's disk is full a job asks again as often as this. It is no try of its own: room comes when it comes.
FULL_DISK_SECONDS = 20
# Jobs that wait behind others are enqueued again at every sweep, but only as long as fewer messages than this wait in
# their queue: more would only fill it, and without a worker the broker's memory.
SWEPT_AT_ONCE = 100


# --- Starting, pausing, ending ------------------------------------------------------------------------


def start_job(
    *,
    kind: str,
    actor: Actor,
    params: dict[str, Any] | None = None,
    title: str = "",
    permission: str = "",
    total: int | None = None,
    unit: str = "rows",
) -> Job:
    """Create the job, and enqueue it once the transaction is committed."""
    job = Job.objects.create(
        kind=kind,
        params=params or {},
        title=title,
        permission=permission,
        total=total,
        unit=unit,
        user_id=actor.user_id,
        key_id=actor.key_id,
        is_system=actor.is_system,
    )
    enqueue_on_commit(job)
    return job


def enqueue_on_commit(job: Job) -> None:
    transaction.on_commit(lambda: enqueue(job), robust=True)


def queue_of(job: Job) -> str:
    """Where the job's messages go: those somebody waits for to one queue, scans and those of the system to the other."""
    known = handlers.get(job.kind)
    return HOUSEKEEPING if job.is_system or (known and known.is_housekeeping) else JOBS


def enqueue(job: Job) -> bool:
    """Send the job's message to a worker. A broker that is down or full is logged; the sweeper will enqueue the job."""
    try:
        current_app.send_task("cdp.tasks.run_job", [job.pk], queue=queue_of(job))
    except (OperationalError, ChannelError, OSError) as error:
        log.warning("job %s: not enqueued, the sweeper will do it (%s)", job.pk, type(error).__name__)
        return False
    return True


def may_control(job: Job, actor: Actor) -> bool:
    """Whether the actor may pause, resume and cancel the job."""
    return _refusal(job, actor) is None


def check_may_control(job: Job, actor: Actor) -> None:
    """Raises Forbidden, unless the actor may do what the job does, and started it or may change everybody's jobs."""
    if refusal := _refusal(job, actor):
        raise Forbidden(refusal)


def _refusal(job: Job, actor: Actor) -> str | None:
    if problem := actor.block:
        return problem.text
    is_own = not job.is_system and (job.user_id, job.key_id) == (actor.user_id, actor.key_id)
    if not (is_own or actor.can("cdp.change_job")):
        return "Only the person who started a job, or somebody with the right to change jobs, may do this."
    if job.permission and not actor.can(job.permission):
        return f"{actor.name} may not do this: the job needs the right {right_in_words(job.permission)}."
    return None


def pause_job(*, job_id: int, actor: Actor) -> Job:
    """Ask for a pause: takes effect before the next chunk, at once when nobody is working on it. Raises Forbidden."""
    return _wish(job_id, Job.Wish.PAUSE, Job.State.PAUSED, actor)


def cancel_job(*, job_id: int, actor: Actor) -> Job:
    """Ask to stop for good. What committed chunks wrote stays; the job's row has how far it came. Raises Forbidden."""
    return _wish(job_id, Job.Wish.CANCEL, Job.State.CANCELED, actor)


def resume_job(*, job_id: int, actor: Actor) -> Job:
    """Go on after a pause or a failure from the last committed chunk, still with the rights of whoever started it.

    Raises Forbidden where the actor may not, or where whoever started it no longer may.
    """
    with transaction.atomic():
        job = _locked(job_id)
        check_may_control(job, actor)
        if problem := problem_of(job):
            raise Forbidden(
                f"{problem.text} A job works with the rights of whoever started it, so this one cannot go on."
                " Start the work again with a login that may do it."
            )
        if job.state in (Job.State.PAUSED, Job.State.FAILED):
            Job.objects.filter(pk=job_id).update(
                state=Job.State.QUEUED,
                wish="",
                problem="",
                attempts=0,
                wake_at=NOW,
                finished_at=None,
                lease_token=None,
                lease_until=None,
            )
            enqueue_on_commit(job)
        elif job.state == Job.State.RUNNING:
            Job.objects.filter(pk=job_id).update(wish="")
        job.refresh_from_db()
    return job


def _locked(job_id: int) -> Job:
    return Job.objects.select_for_update(no_key=True, of=("self",)).select_related(*STARTER).get(pk=job_id)


def _wish(job_id: int, wish: str, state: str, actor: Actor) -> Job:
    with transaction.atomic():
        job = _locked(job_id)
        check_may_control(job, actor)
        if job.state == Job.State.RUNNING:
            Job.objects.filter(pk=job_id).update(wish=wish)
        elif job.state == Job.State.QUEUED or (job.state == Job.State.PAUSED and wish == Job.Wish.CANCEL):
            _end_or_pause(job, state)
        job.refresh_from_db()
    return job


def _end_or_pause(job: Job, state: str, problem: str = "") -> None:
    ended = state != Job.State.PAUSED
    Job.objects.filter(pk=job.pk).update(
        state=state,
        wish="",
        problem=problem,
        lease_token=None,
        lease_until=None,
        finished_at=NOW if ended else None,
    )
    job.refresh_from_db()
    known = handlers.get(job.kind)
    if ended and known and known.on_end:
        known.on_end(job)


# --- Working ------------------------------------------------------------------------------------------


def take(job_id: int) -> Chunk | None:
    """Take the lease when the job is due and nobody has it; None otherwise. One statement decides.

    Never waits: whoever has the row locked is in the middle of a chunk, or just taking it.
    """
    token = uuid.uuid4()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE cdp_job SET
                state = 'running',
                lease_token = %(token)s,
                lease_until = clock_timestamp() + %(lease)s * interval '1 second',
                started_at = coalesce(started_at, clock_timestamp()),
                resumes = resumes + CASE WHEN state = 'running' AND lease_token IS NOT NULL THEN 1 ELSE 0 END,
                attempts = attempts + 1,
                problem = ''
            WHERE id = (
                SELECT id FROM cdp_job WHERE id = %(id)s AND wake_at <= clock_timestamp()
                  AND (state = 'queued'
                       OR (state = 'running' AND (lease_until IS NULL OR lease_until < clock_timestamp())))
                FOR NO KEY UPDATE SKIP LOCKED)
            """,
            {"id": job_id, "token": token, "lease": LEASE_SECONDS},
        )
        if cursor.rowcount != 1:
            return None
    job = Job.objects.select_related(*STARTER).get(pk=job_id)
    return Chunk(job, token, job.attempts)


def run(job_id: int, *, slice_seconds: float = SLICE_SECONDS) -> bool:
    """Work on the job for one slice. True when it is to be enqueued again at once."""
    chunk = take(job_id)
    if chunk is None:
        log.info("job %s: not due, ended, or leased by another worker", job_id)
        return False
    known = handlers.get(chunk.job.kind)
    try:
        if known is None:
            raise JobFailed(f"No worker here knows the job kind “{chunk.job.kind}”.")
        if chunk.job.attempts > MAX_ATTEMPTS:
            position = (
                known.position(chunk.job) if known.position else counted(chunk.job.done, chunk.job.unit)
            )
            raise JobFailed(
                f"Stopped after {MAX_ATTEMPTS} tries without progress at {position}."
                " Every try was interrupted; see the worker's log, then resume."
            )
        check_may_go_on(chunk.job)
        return _work(chunk, known, slice_seconds)
    except LeaseLost:
        log.warning("job %s: lease lost, left to its new worker", job_id)
    except Stopped as stop:
        _finish(chunk, str(stop.args[0]))
    except NotAllowed as refusal:
        _finish(chunk, Job.State.FAILED, str(refusal), forbidden=refusal.code)
    except JobFailed as failure:
        _finish(chunk, Job.State.FAILED, str(failure))
    except (DatabaseTrouble, psycopg.Error) as error:  # COPY raises the driver's own
        _back_off(chunk, error)
    except Exception as error:
        if disk := full_disk(error):
            log.error("job %s: %s", job_id, disk)
            _finish(chunk, Job.State.FAILED, f"{disk} What was done stays done; make room, then resume.")
            return False
        # The boundary of unknown handlers: the job must end with a reason, and the bug must be seen.
        log.exception("job %s (%s) failed", job_id, chunk.job.kind)
        _finish(chunk, Job.State.FAILED, f"An unexpected error stopped this job ({type(error).__name__}).")
    return False


def _work(chunk: Chunk, known: Handler, slice_seconds: float) -> bool:
    until = time.monotonic() + slice_seconds
    while True:
        more = known.step(chunk)
        if not more:
            _finish(chunk, Job.State.DONE)
            return False
        if time.monotonic() >= until or is_stopping():
            _release(chunk)
            return True


def _release(chunk: Chunk) -> None:
    """Give the lease back between two slices; the next message takes it up."""
    Job.objects.filter(pk=chunk.job.pk, lease_token=chunk.token).update(
        state=Job.State.QUEUED, lease_token=None, lease_until=None, attempts=0
    )


def _finish(chunk: Chunk, state: str, problem: str = "", *, forbidden: str = "") -> None:
    """``forbidden``: why whoever started the job may not do it, for the audit log."""
    with transaction.atomic():
        try:
            job = locked_job(chunk.job.pk, chunk.token)
        except LeaseLost:
            log.warning("job %s: ended elsewhere", chunk.job.pk)
            return
        _end_or_pause(job, state, problem)
        if forbidden:
            _record_forbidden(job, forbidden)


def _record_forbidden(job: Job, reason: str) -> None:
    from cdp import audit

    detail = {"kind": job.kind, "permission": job.permission, "done": job.done, "reason": reason}
    audit.record("job.forbidden", actor=actor_of(job), subject=f"job:{job.pk}", detail=detail)


def _back_off(chunk: Chunk, error: Exception) -> None:
    """The database went away or refused the chunk: leave it queued and come back a little later."""
    log.warning("job %s: %s, will be tried again", chunk.job.pk, type(error).__name__)
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
    if disk := full_disk(error):
        _put_off(
            chunk, FULL_DISK_SECONDS, attempts=0, problem=f"{disk} This goes on by itself once there is room."
        )
        return
    if chunk.job.attempts >= MAX_ATTEMPTS:
        _finish(
            chunk,
            Job.State.FAILED,
            f"The database refused the same step {MAX_ATTEMPTS} times ({type(error).__name__})."
            " What was done stays done; resume to try again.",
        )
        return
    _put_off(chunk, 2**chunk.job.attempts)


def _put_off(chunk: Chunk, seconds: int, **columns: Any) -> None:
    Job.objects.filter(pk=chunk.job.pk, lease_token=chunk.token).update(
        state=Job.State.QUEUED,
        lease_token=None,
        lease_until=None,
        wake_at=RawSQL("clock_timestamp() + %s * interval '1 second'", [seconds]),
        **columns,
    )


def sweep() -> int:
    """Enqueue the jobs that are due and leased by nobody, the oldest first; how many were sent.

    Called by beat and by each starting worker. A queue in which ``SWEPT_AT_ONCE`` messages wait gets no more.
    """
    due = Job.objects.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING], wake_at__lte=Now())
    free = due.filter(lease_until__isnull=True) | due.filter(lease_until__lt=Now())
    by_queue: dict[str, list[Job]] = {}
    for job in free.order_by("id").only("pk", "kind", "is_system")[: 10 * SWEPT_AT_ONCE]:
        by_queue.setdefault(queue_of(job), []).append(job)
    sent = 0
    for queue, jobs in by_queue.items():
        for job in jobs[: _room_in(queue)]:
            if not enqueue(job):
                return sent  # a broker that is away is not waited for once per job
            sent += 1
    return sent


def _room_in(queue: str) -> int:
    """How many messages a sweep may send to the queue; none to a broker that is away."""
    away: tuple[type[BaseException], ...] = (
        OperationalError,
        ChannelError,
        OSError,
        *current_app.connection_for_write().connection_errors,
    )
    try:
        return max(0, SWEPT_AT_ONCE - waiting(queue))
    except away:
        log.warning("the broker does not answer: jobs that are due wait for the next sweep")
        return 0


def run_to_end(job: Job) -> Job:
    """Work the job off in this process (tests, commands). Stops where a worker would stop."""
    while run(job.pk):
        pass
    job.refresh_from_db()
    return job
