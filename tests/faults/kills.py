"""kill -9 at random moments of imports and other jobs, and how long until somebody went on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from threading import Event
from typing import Any, TypeAlias

from django.db import OperationalError, connection, transaction

from cdp.jobs import MAX_ATTEMPTS
from cdp.models import Job
from imports.models import Import
from tests.faults import stories
from tests.faults.harness import RESUMED_WITHIN, Bench, wait_until

# An import stands for the two jobs it has, planning and applying.
Works: TypeAlias = Sequence[Import] | Sequence[Job]
_BELONGS: dict[type, str] = {Import: "(params ->> 'import')::bigint = ANY(%s)", Job: "id = ANY(%s)"}


def have_ended(works: Works) -> bool:
    imports = [work for work in works if isinstance(work, Import)]
    jobs = Job.objects.open().filter(pk__in=[work.pk for work in works if isinstance(work, Job)])
    return stories.have_ended(imports) and not jobs.exists()


@dataclass(frozen=True, slots=True)
class Lease:
    """A job's lease, and the worker process that has it."""

    job_id: int
    token: Any
    attempts: int
    pid: int


@dataclass
class Gate:
    """Keeps the applying of an import of this name from going past a line, so that kills meet it under way.

    A scan for duplicates has a gate before the end of each step (``worker_app.SCAN_GATES``), at line 0.
    """

    bench: Bench
    name: str

    def close_at(self, line: int) -> None:
        self.bench.sql(
            "INSERT INTO faults_gate (name, line) VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET line = excluded.line",
            [self.name, line],
        )

    def is_reached(self) -> bool:
        """Whether a worker waits there: its connection's last question was about this gate."""
        asked = f"SELECT FROM faults_gate WHERE name = '{self.name}'%"
        return bool(
            self.bench.sql(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE %s AND datname = 'cdp'", [asked]
            )
        )

    def lift(self) -> None:
        self.bench.sql("DELETE FROM faults_gate WHERE name = %s", [self.name])


@dataclass
class Kills:
    """``seconds``: from each hit of a job to the moment somebody held it again, or it had ended."""

    count: int = 0
    of_workers: int = 0
    hits: list[tuple[Lease, datetime]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def slowest(self) -> float:
        return max(self.seconds, default=0.0)

    def __str__(self) -> str:
        if not self.seconds:
            return "no kills"
        middle = sorted(self.seconds)[len(self.seconds) // 2]
        return (
            f"{self.count} kills ({self.of_workers} of whole workers) under {len(self.hits)} running jobs,"
            f" resumed after {middle:.1f} s (median), {self.slowest:.1f} s at most"
        )


def kill_at_random(
    bench: Bench,
    works: Works,
    *,
    kills: int,
    random: Random,
    longest: float,
    at_most_each: int = 1000,
    aims: Iterable[Callable[[], bool]] = (),
    after_each: Callable[[int], None] = lambda count: None,
) -> Kills:
    """Kill workers that hold these works, or their pools, ``kills`` times: each up to ``longest`` seconds
    after there was somebody to kill, the first ones as soon as ``aims`` say so.

    A job that was hit ``at_most_each`` times is left in peace, and nobody dies on the last try of a chunk, after
    which a job rightly gives up. Returns once all works have ended;
    there may have been fewer kills by then. AssertionError when somebody was not back in time.
    """
    done = Kills()
    moments = iter(aims)
    while done.count < kills:
        wait_until(
            lambda: _targets(bench, works, done, at_most_each) or have_ended(works),
            600,
            what="somebody to kill, or the end",
            every=0.1,
        )
        if have_ended(works):
            break
        if moment := next(moments, None):
            wait_until(moment, what=f"the moment of kill {done.count + 1}")
        else:
            Event().wait(random.uniform(0, longest))
        with _nobody_takes(works):
            if targets := _targets(bench, works, done, at_most_each):
                name = random.choice(sorted(targets))
                _kill(bench, name, done, is_worker=random.random() < 0.5)
                done.hits += [(lease, _now()) for lease in targets[name]]
                after_each(done.count)
    wait_until(lambda: have_ended(works), 1200, what="the end of them all", every=0.1)
    done.seconds = [_resumed_after(lease, at) for lease, at in done.hits]
    assert done.slowest <= RESUMED_WITHIN, str(done)
    return done


@contextmanager
def _nobody_takes(works: Works) -> Iterator[None]:
    """While this lasts, no worker takes one of their jobs, so that a kill hits what was looked at, no more."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        try:
            with transaction.atomic():
                cursor.execute(
                    "SELECT id FROM cdp_job WHERE state IN (%s, %s)"
                    " AND (lease_until IS NULL OR lease_until < clock_timestamp())"
                    f" AND {_BELONGS[type(works[0])]} FOR NO KEY UPDATE",
                    [Job.State.QUEUED, Job.State.RUNNING, [work.pk for work in works]],
                )
        except OperationalError:
            pass  # somebody has been in a chunk for longer than their lease; that job cannot be taken either
        yield


def _targets(bench: Bench, works: Works, done: Kills, at_most_each: int) -> dict[str, list[Lease]]:
    """By worker what it holds of them; without workers that had better live on."""
    hits = Counter(lease.job_id for lease, _ in done.hits)
    by_worker: dict[str, list[Lease]] = defaultdict(list)
    for lease in leases_of(works):
        if name := bench.holder_of(lease.pid):
            by_worker[name].append(lease)
    return {
        name: leases
        for name, leases in by_worker.items()
        if all(lease.attempts < MAX_ATTEMPTS and hits[lease.job_id] < at_most_each for lease in leases)
    }


def leases_of(works: Works) -> list[Lease]:
    """Their jobs that are held by a lease, and the process that took it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT j.id, j.lease_token, j.attempts, t.pid"
            " FROM cdp_job j JOIN faults_taken t ON t.token = j.lease_token"
            f" WHERE j.state = %s AND {_BELONGS[type(works[0])]} ORDER BY 1",
            [Job.State.RUNNING, [work.pk for work in works]],
        )
        return [Lease(*row) for row in cursor]


def _kill(bench: Bench, name: str, done: Kills, *, is_worker: bool) -> None:
    """The whole worker, which is started anew, or all of its pool."""
    if is_worker:
        bench.kill_worker(name)
        bench.start_worker(name)
    else:
        bench.kill_children(name)
    done.count += 1
    done.of_workers += is_worker


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime)
    return now


def _resumed_after(lease: Lease, killed_at: datetime) -> float:
    """Seconds until the job was taken again; 0 when its end was committed with the killed one's last breath."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce((SELECT min(at) FROM faults_taken WHERE job_id = %(job)s AND at >= %(at)s),"
            " (SELECT finished_at FROM cdp_job WHERE id = %(job)s))",
            {"job": lease.job_id, "at": killed_at},
        )
        (at,) = cursor.fetchone()
    assert at is not None, f"nobody went on with job {lease.job_id}"
    return max(0.0, float((at - killed_at).total_seconds()))
