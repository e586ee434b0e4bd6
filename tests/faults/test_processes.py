"""Workers and beat killed, stopped, gone and doubled: each job is done once."""

from __future__ import annotations

import os
import signal

import pytest

from cdp.actors import Actor
from cdp.jobs import start_job
from cdp.models import AuditEntry, Job
from cdp.tasks import run_job
from tests.faults.harness import Bench, wait_until
from tests.faults.jobs import assert_done_once, at_step, ended, start
from tests.faults.stories import staff
from tests.faults.worker_app import STEPS

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]


def test_a_killed_pool_child_is_followed_by_another(bench: Bench) -> None:
    bench.ready("one")
    job = at_step(start(), 2)
    os.kill(job.result["pid"], signal.SIGKILL)
    assert_done_once(bench, job)
    assert job.resumes == 1


def test_another_worker_takes_over_from_a_killed_one(bench: Bench) -> None:
    bench.ready("one", "two")
    job = at_step(start(), 2)
    bench.kill_worker(bench.holder_of(job.result["pid"]))
    assert_done_once(bench, job)
    assert job.resumes == 1


def test_without_workers_and_clock_a_starting_worker_finds_the_work(bench: Bench) -> None:
    bench.ready("one", beat=False)
    job = at_step(start(), 2)
    bench.kill_workers()
    never_sent = Job.objects.create(kind=STEPS, is_system=True, params={"n": 2}, total=2)
    wait_until(lambda: bench.sql("SELECT lease_until < now() FROM cdp_job WHERE id = %s", [job.pk])[0][0])
    job.refresh_from_db()
    assert job.state == "running"  # nobody is there to say otherwise; readiness and the page tell it waits
    bench.start_worker("one")
    assert_done_once(bench, job)
    assert_done_once(bench, never_sent)


def test_a_stopping_worker_ends_its_chunk_and_releases_the_job(bench: Bench) -> None:
    bench.ready("one", "two")
    job = at_step(start(n=20), 2)
    process = bench.workers.pop(bench.holder_of(job.result["pid"]))
    process.terminate()
    assert process.wait(30) == 0
    assert_done_once(bench, job)
    assert job.resumes == 0  # handed over, not found lying
    assert bench.holder_of(job.result["pid"])  # whoever ended it is still here


def test_a_job_the_broker_never_heard_of_starts(bench: Bench) -> None:
    bench.ready("one")
    job = Job.objects.create(kind=STEPS, is_system=True, params={"n": 3}, total=3)
    assert_done_once(bench, job)


def test_a_step_that_kills_workers_ends_its_job_and_no_other(bench: Bench) -> None:
    bench.ready("one")
    before = sum(bench.log_of(name).count("exited prematurely") for name in bench.workers)
    poisoned = start(n=5, pause=0, poison=2)
    others = [start(n=3, pause=0) for _ in range(10)]
    for job in others:
        assert_done_once(bench, job)
    ended(poisoned)
    assert (poisoned.state, poisoned.done) == ("failed", 2)
    assert poisoned.problem == (
        "Stopped after 3 tries without progress at 2 rows. Every try was interrupted; see the worker's log, then resume."
    )
    assert bench.workers["one"].poll() is None
    deaths = sum(bench.log_of(name).count("exited prematurely") for name in bench.workers)
    # Three of them, each told twice, and perhaps late news of what a test before this one killed; not a loop.
    assert deaths - before <= 10


def test_two_clocks_do_no_double_work(bench: Bench) -> None:
    bench.ready("one", "two")
    bench.start_beat()
    jobs = [start(n=4, pause=0.05) for _ in range(6)]
    for job in jobs:
        assert_done_once(bench, job)
        assert job.resumes == 0


def test_the_same_message_many_times_is_one_run(bench: Bench) -> None:
    bench.ready("one", "two")
    job = start(n=6)
    for _ in range(5):
        run_job.delay(job.pk)
    assert_done_once(bench, job)
    assert job.resumes == 0
    gone = Job.objects.create(kind=STEPS, is_system=True, params={"n": 1}, state="done")
    Job.objects.filter(pk=gone.pk).delete()
    logged = {name: len(bench.log_of(name)) for name in bench.workers}
    run_job.delay(job.pk)
    run_job.delay(gone.pk)

    def are_logged() -> bool:
        new = "".join(bench.log_of(name)[logged[name] :] for name in bench.workers)
        return all(
            f"job {pk}: not due, ended, or leased by another worker" in new for pk in (job.pk, gone.pk)
        )

    wait_until(are_logged, what="a line for each stale message")
    assert bench.steps_of(job.pk) == list(range(6))
    assert bench.steps_of(gone.pk) == []


def test_who_is_deactivated_stops_before_the_next_chunk(bench: Bench) -> None:
    bench.ready("one")
    mira = staff("mira")
    job = start_job(
        kind=STEPS,
        params={"n": 20, "pause": 0.1},
        actor=Actor.of_user(mira),
        permission="profiles.change_profile",
    )
    at_step(job, 2)
    staff("mira", is_active=False)
    ended(job)
    assert (job.state, job.done < 20) == ("failed", True)
    assert job.problem == (
        "The login “mira” is deactivated. Stopped before the next step; what was done stays done."
    )
    assert bench.steps_of(job.pk) == list(range(job.done))
    entry = AuditEntry.objects.get(action="job.forbidden", subject=f"job:{job.pk}")
    assert entry.detail == {
        "kind": STEPS,
        "permission": "profiles.change_profile",
        "done": job.done,
        "reason": "login_inactive",
    }
