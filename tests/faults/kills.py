"""kill -9 at random moments of an import, and how long until somebody went on."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from threading import Event
from time import monotonic
from typing import Any

from cdp.jobs import MAX_ATTEMPTS
from cdp.models import Job
from imports.models import Import
from tests.faults.harness import Bench, wait_until
from tests.faults.stories import has_ended

Lease = tuple[Any, int]


@dataclass
class Kills:
    """``seconds``: from each kill to the moment another worker held the job, or the import had ended."""

    seconds: list[float] = field(default_factory=list)
    of_workers: int = 0

    @property
    def count(self) -> int:
        return len(self.seconds)

    def __str__(self) -> str:
        if not self.seconds:
            return "no kills"
        middle = sorted(self.seconds)[self.count // 2]
        return (
            f"{self.count} kills ({self.of_workers} of whole workers),"
            f" resumed after {middle:.1f} s (median), {max(self.seconds):.1f} s at most"
        )


def kill_at_random(
    bench: Bench, job: Import, *, kills: int, random: Random, longest: float, kind: str = "import."
) -> Kills:
    """Kill the only worker, or its pool, up to ``kills`` times, each up to ``longest`` seconds after it took the job.

    Returns once the import has ended. Hits jobs whose kind begins with ``kind``, but not the last try of a
    chunk, after which a job rightly gives up (P7). AssertionError when nobody went on in time (V7).
    """
    done = Kills()
    while done.count < kills and not has_ended(job):
        lease = wait_until(lambda: lease_on(job, kind) or has_ended(job), what="somebody to kill, or the end")
        Event().wait(random.uniform(0, longest))
        if lease is True or not may_be_killed(job, kind):
            continue
        killed_at = monotonic()
        done.of_workers += _kill(bench, random)
        await_another(job, lease, f"another worker after kill {done.count + 1}")
        done.seconds.append(monotonic() - killed_at)
    wait_until(lambda: has_ended(job), 600, what="the import's end")
    return done


def may_be_killed(job: Import, kind: str) -> bool:
    held = Job.objects.filter(state=Job.State.RUNNING, params__import=job.pk, kind__startswith=kind)
    return held.exclude(lease_token=None).filter(attempts__lt=MAX_ATTEMPTS).exists()


def await_another(job: Import, lease: Lease, what: str) -> None:
    def went_on() -> bool:
        now = lease_on(job)
        return has_ended(job) or (now is not None and now != lease)

    wait_until(went_on, what=what)


def lease_on(job: Import, kind: str = "import.") -> Lease | None:
    """The lease somebody works under on a job of the import, or None."""
    work = Job.objects.filter(state=Job.State.RUNNING, params__import=job.pk, kind__startswith=kind)
    return work.exclude(lease_token=None).values_list("lease_token", "pk").first()


def _kill(bench: Bench, random: Random) -> bool:
    """The whole worker, which is started anew, or all of its pool; whether it was the worker."""
    (name,) = bench.workers
    is_worker = random.random() < 0.5
    if is_worker:
        bench.kill_worker(name)
        bench.start_worker(name)
    else:
        bench.kill_children(name)
    return is_worker
