"""A job's chunk, as its kind's registered step gets it → one transaction, applied once or not at all.

``cdp.jobs`` runs the steps.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.expressions import RawSQL

from cdp.actors import Actor, Block
from cdp.models import Job

LEASE_SECONDS = settings.CDP_JOB_LEASE_SECONDS
# How long a worker may be silent before another one takes the job.
LEASE = RawSQL("clock_timestamp() + %s * interval '1 second'", [LEASE_SECONDS])
NOW = RawSQL("clock_timestamp()", [])


# What has to be joined in to ask who a job works for.
STARTER = ("user", "key", "key__owner")


class LeaseLost(Exception):
    """Another worker has the lease now, or the job ended; whatever this chunk did is rolled back."""


class Stopped(Exception):
    """The job was paused, canceled or forbidden between two chunks."""


class JobFailed(Exception):
    """Raised by a step: the job ends as failed, with this sentence as its problem."""


class NotAllowed(JobFailed):
    """Whoever started the job may not do this any more. Goes into the audit log, with ``code`` as the reason."""

    def __init__(self, problem: Block) -> None:
        super().__init__(f"{problem.text} Stopped before the next step; what was done stays done.")
        self.code = problem.code


@dataclass(frozen=True, slots=True)
class Handler:
    """``step(chunk)`` does one chunk and returns whether there is more; ``on_end(job)`` runs once, whatever the end.

    ``position(job)`` describes how far the job is ("line 17"), for the problem of one that cannot get past it.
    ``is_housekeeping``: nobody waits for its end, so it goes behind people's jobs even where a person started it.
    """

    kind: str
    step: Callable[[Chunk], bool]
    on_end: Callable[[Job], None] | None = None
    position: Callable[[Job], str] | None = None
    is_housekeeping: bool = False


handlers: dict[str, Handler] = {}


def handler(
    kind: str,
    *,
    on_end: Callable[[Job], None] | None = None,
    position: Callable[[Job], str] | None = None,
    is_housekeeping: bool = False,
) -> Callable[[Callable[[Chunk], bool]], Callable[[Chunk], bool]]:
    """Register the function that does one chunk of a kind of job.

    ``on_end`` runs inside the transaction that ends the job (done, failed or canceled).
    """

    def register(step: Callable[[Chunk], bool]) -> Callable[[Chunk], bool]:
        handlers[kind] = Handler(kind, step, on_end, position, is_housekeeping)
        return step

    return register


@dataclass(slots=True)
class Chunk:
    """What a step works with: the job as last committed, and ``commit``.

    ``tries``: how often a worker began the chunk this take began with. More than 1 means that a worker was killed or
    interrupted in it; then work in smaller chunks until the next take.
    """

    job: Job
    token: uuid.UUID
    tries: int = 1
    started: float = field(default_factory=time.monotonic)

    @property
    def params(self) -> dict[str, Any]:
        params: dict[str, Any] = self.job.params
        return params

    @property
    def cursor(self) -> dict[str, Any]:
        cursor: dict[str, Any] = self.job.cursor
        return cursor

    @contextmanager
    def commit(
        self,
        *,
        cursor: dict[str, Any] | None = None,
        done: int = 0,
        total: int | None = None,
        result: dict[str, Any] | None = None,
        errors: list[Any] | None = None,
    ) -> Iterator[Progress]:
        """One transaction: check the lease, run the body, move the cursor.

        ``done`` is added to the progress; ``result`` is merged into the job's result. The body may set the
        same through the yielded ``Progress`` when it only knows them afterwards.
        Raises LeaseLost or Stopped before the body runs; then nothing was written.
        """
        progress = Progress(cursor, done, total, result or {}, errors or [])
        with transaction.atomic():
            job = locked_job(self.job.pk, self.token)
            _check_wishes(job)
            yield progress
            now = time.monotonic()
            job.cursor = job.cursor if progress.cursor is None else progress.cursor
            job.total = job.total if progress.total is None else progress.total
            job.result = {**job.result, **progress.result}
            job.errors = [*job.errors, *progress.errors][:1000]
            job.done += progress.done
            job.busy_seconds += now - self.started
            job.attempts = 1  # the next chunk is begun by this very take
            _write_progress(job)
        self.started = now
        self.job = job

    def keep_alive(self) -> None:
        """Push the lease out during a chunk that takes long outside a transaction."""
        taken = Job.objects.filter(pk=self.job.pk, lease_token=self.token, state=Job.State.RUNNING)
        if not taken.update(lease_until=LEASE):
            raise LeaseLost(self.job.pk)


@dataclass(slots=True)
class Progress:
    """What a chunk's body reports; written to the job row in the same transaction."""

    cursor: dict[str, Any] | None
    done: int
    total: int | None
    result: dict[str, Any]
    errors: list[Any]


def locked_job(job_id: int, token: uuid.UUID) -> Job:
    """The job's row, locked. Raises LeaseLost unless ``token`` is the lease it runs under."""
    locked = Job.objects.select_for_update(no_key=True, of=("self",)).select_related(*STARTER)
    try:
        return locked.get(pk=job_id, lease_token=token, state=Job.State.RUNNING)
    except Job.DoesNotExist:
        raise LeaseLost(job_id) from None


def _write_progress(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(
        cursor=job.cursor,
        total=job.total,
        result=job.result,
        errors=job.errors,
        done=job.done,
        busy_seconds=job.busy_seconds,
        attempts=job.attempts,
        progress_at=NOW,
        lease_until=LEASE,
    )


def actor_of(job: Job) -> Actor:
    """Who the job works for: the login or key that started it, as they are now."""
    if job.user is not None:
        return Actor.of_user(job.user)
    if job.key is not None:
        return Actor.of_key(job.key)
    return Actor.system() if job.is_system else Actor.nobody()


def problem_of(job: Job) -> Block | None:
    """Why the job may not go on: whoever started it is gone or deactivated, or may no longer do this; None if it may."""
    actor = actor_of(job)
    if problem := actor.block:
        return problem
    if job.permission and not actor.can(job.permission):
        return Block("permission_lost", f"{actor.name} may no longer do this.")
    return None


def check_may_go_on(job: Job) -> None:
    """Raises NotAllowed."""
    if problem := problem_of(job):
        raise NotAllowed(problem)


def _check_wishes(job: Job) -> None:
    if job.wish == Job.Wish.CANCEL:
        raise Stopped(Job.State.CANCELED)
    if job.wish == Job.Wish.PAUSE:
        raise Stopped(Job.State.PAUSED)
    check_may_go_on(job)
