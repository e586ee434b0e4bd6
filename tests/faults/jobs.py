"""Jobs of small steps that write down what they did, to see what faults do to them."""

from __future__ import annotations

from typing import Any

from cdp.actors import Actor
from cdp.jobs import start_job
from cdp.models import Job
from tests.faults.harness import Bench, wait_until
from tests.faults.worker_app import STEPS


def start(n: int = 8, pause: float = 0.15, **params: Any) -> Job:
    return start_job(kind=STEPS, params={"n": n, "pause": pause, **params}, actor=Actor.system(), total=n)


def at_step(job: Job, step: int) -> Job:
    """The job once it has come so far; its worker is then in the middle of the next chunk."""

    def came() -> bool:
        job.refresh_from_db()
        return job.done >= step

    wait_until(came, what=f"job {job.pk} at step {step}")
    return job


def ended(job: Job) -> Job:
    def has_ended() -> bool:
        job.refresh_from_db()
        return not job.is_open

    wait_until(has_ended, what=f"the end of job {job.pk}")
    return job


def assert_done_once(bench: Bench, job: Job) -> None:
    ended(job)
    assert (job.state, job.problem, job.done) == ("done", "", job.params["n"])
    assert bench.steps_of(job.pk) == list(range(job.params["n"]))
    assert (job.lease_token, job.lease_until) == (None, None)
