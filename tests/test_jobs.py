"""Jobs: applied once or not at all, whatever happens between two chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.db import DatabaseError
from kombu.exceptions import OperationalError

from cdp import job_steps, jobs
from cdp.actors import Actor
from cdp.job_steps import Chunk, JobFailed, LeaseLost
from cdp.jobs import cancel_job, pause_job, resume_job, run_to_end, start_job
from cdp.models import Job
from profiles.models import Tag


@pytest.fixture
def counting() -> Iterator[dict[str, Any]]:
    """A kind of job that makes one tag per chunk; the test may set what happens before a chunk."""
    script: dict[str, Any] = {"before": lambda chunk: None, "ended": []}

    @job_steps.handler("test.count", on_end=lambda job: script["ended"].append(job.state))
    def step(chunk: Chunk) -> bool:
        at = chunk.cursor.get("at", 0)
        script["before"](chunk)
        with chunk.commit(cursor={"at": at + 1}, done=1) as progress:
            Tag.objects.create(name=f"tag {at}")
            progress.result = {"last": at}
        return at + 1 < chunk.params["n"]

    yield script
    del job_steps.handlers["test.count"]


def start(n: int = 3, **kwargs: Any) -> Job:
    return start_job(kind="test.count", actor=Actor.system(), params={"n": n}, total=n, **kwargs)


def expire_lease(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(lease_until="2000-01-01T00:00:00Z")


def test_runs_to_the_end_and_tells_how_far(db: None, counting: dict[str, Any]) -> None:
    job = run_to_end(start(3))
    assert (job.state, job.done, job.total, job.percent) == ("done", 3, 3, 100)
    assert job.result == {"last": 2}
    assert Tag.objects.count() == 3
    assert counting["ended"] == ["done"]
    assert jobs.run(job.pk) is False  # a stale message of a finished job does nothing
    assert Tag.objects.count() == 3


def test_a_second_worker_is_refused_while_the_lease_holds(db: None, counting: dict[str, Any]) -> None:
    job = start(3)
    first = jobs.take(job.pk)
    assert first is not None
    assert jobs.take(job.pk) is None
    expire_lease(job)
    second = jobs.take(job.pk)
    assert second is not None
    assert second.job.resumes == 1
    # The one that lost its lease can write nothing any more.
    with pytest.raises(LeaseLost), first.commit(cursor={"at": 9}, done=9):
        Tag.objects.create(name="never")
    assert not Tag.objects.exists()


def test_a_chunk_that_fails_leaves_nothing_and_is_tried_again(db: None, counting: dict[str, Any]) -> None:
    failures = iter([True, False, False, False])

    def fail_once(chunk: Chunk) -> None:
        if next(failures):
            raise DatabaseError("the server closed the connection")

    counting["before"] = fail_once
    job = run_to_end(start(3))
    assert job.state == "queued"
    assert job.done == 0
    Job.objects.update(wake_at="2000-01-01T00:00:00Z")
    job = run_to_end(job)
    assert (job.state, job.done, Tag.objects.count()) == ("done", 3, 3)


def test_three_tries_without_progress_end_with_a_reason(db: None, counting: dict[str, Any]) -> None:
    def die(chunk: Chunk) -> None:
        raise SystemExit  # what a kill looks like from inside: nothing after it runs

    counting["before"] = die
    job = start(3)
    for _ in range(jobs.MAX_ATTEMPTS):
        with pytest.raises(SystemExit):
            jobs.run(job.pk)
        expire_lease(job)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert job.state == "failed"
    assert job.problem == (
        "Stopped after 3 tries without progress at 0 rows. Every try was interrupted; see the worker's log, then resume."
    )
    counting["before"] = lambda chunk: None
    assert run_to_end(resume_job(job_id=job.pk, actor=Actor.system())).state == "done"


def test_an_unexpected_error_ends_the_job_and_shows_no_data(
    db: None, counting: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def burst(chunk: Chunk) -> None:
        raise ValueError("ann@example.com")

    counting["before"] = burst
    job = run_to_end(start())
    assert job.state == "failed"
    assert job.problem == "An unexpected error stopped this job (ValueError)."

    def refuse(chunk: Chunk) -> None:
        raise JobFailed("The file is gone.")

    counting["before"] = refuse
    assert run_to_end(start()).problem == "The file is gone."


def test_pause_resume_cancel(db: None, counting: dict[str, Any]) -> None:
    job = start(3)

    def pause_after_first(chunk: Chunk) -> None:
        if chunk.cursor.get("at") == 1:
            pause_job(job_id=job.pk, actor=Actor.system())

    counting["before"] = pause_after_first
    job = run_to_end(job)
    assert (job.state, job.done) == ("paused", 1)
    counting["before"] = lambda chunk: None
    job = run_to_end(resume_job(job_id=job.pk, actor=Actor.system()))
    assert (job.state, job.done) == ("done", 3)
    second = start(2)
    assert cancel_job(job_id=second.pk, actor=Actor.system()).state == "canceled"
    assert counting["ended"] == ["done", "canceled"]
    assert jobs.run(second.pk) is False


def test_a_job_stops_when_its_starter_loses_the_right(db: None, counting: dict[str, Any], mira: Any) -> None:
    job = start_job(
        kind="test.count",
        actor=Actor.of_user(mira),
        params={"n": 3},
        permission="profiles.view_profile",
    )

    def dismiss(chunk: Chunk) -> None:
        if chunk.cursor.get("at") == 1:
            type(mira).objects.filter(pk=mira.pk).update(is_active=False)

    counting["before"] = dismiss
    job = run_to_end(job)
    assert (job.state, job.done) == ("failed", 1)
    assert job.problem == (
        "The login “mira” is deactivated. Stopped before the next step; what was done stays done."
    )


def test_a_broker_that_is_down_does_not_fail_the_request(
    transactional_db: None, counting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*args: object, **kwargs: object) -> None:
        raise OperationalError("Connection refused")

    monkeypatch.setattr(current_app, "send_task", down)
    job = start(1)
    assert job.state == "queued"
    assert jobs.sweep() == 0
    sent: list[Any] = []
    monkeypatch.setattr(current_app, "send_task", lambda *args, queue: sent.append((*args, queue)))
    assert jobs.sweep() == 1
    assert sent == [("cdp.tasks.run_job", [job.pk], "housekeeping")]


def test_what_people_start_has_a_queue_of_its_own(
    transactional_db: None, counting: dict[str, Any], mira: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda *args, queue: queues.append(queue))
    start_job(kind="test.count", actor=Actor.of_user(mira), params={"n": 1})
    start_job(kind="test.count", actor=Actor.system(), params={"n": 1})
    assert jobs.sweep() == 2
    assert queues == ["jobs", "housekeeping"] * 2


def test_five_messages_at_once_do_the_work_once(two_connections: Any, counting: dict[str, Any]) -> None:
    job = start(1)
    two_connections(*[lambda: jobs.run(job.pk)] * 5)
    job.refresh_from_db()
    assert (job.state, job.done, Tag.objects.count()) == ("done", 1, 1)


def test_a_job_nobody_knows_fails_by_name(db: None) -> None:
    job = run_to_end(start_job(kind="test.unknown", actor=Actor.system()))
    assert job.problem == "No worker here knows the job kind “test.unknown”."
    assert jobs.run(0) is False
    assert jobs.take(0) is None
