"""The beat's tasks: all of them exist, run with nothing to do, and one that fails keeps no other from its work."""

from __future__ import annotations

from typing import Any

import pytest
from celery import current_app
from django.db import OperationalError

from cdp import jobs, tasks
from cdp.actors import Actor
from cdp.celery import beat_schedule
from cdp.jobs import start_job
from cdp.models import AuditEntry, Job
from cdp.retention import expiry
from profiles.duplicates.finding import full_scan

pytestmark = pytest.mark.django_db
SCHEDULED = sorted(entry["task"] for entry in beat_schedule().values())


@pytest.mark.parametrize("name", SCHEDULED)
def test_every_scheduled_task_exists_and_does_nothing_when_there_is_nothing_to_do(name: str) -> None:
    current_app.loader.import_default_modules()
    current_app.tasks[name]()
    assert not AuditEntry.objects.exists()
    assert not Job.objects.exists()


def test_an_expiry_function_that_fails_does_not_keep_the_others() -> None:
    called: list[str] = []

    def fails() -> int:
        called.append("fails")
        raise OperationalError

    def works() -> int:
        called.append("works")
        return 1

    expiry.register("fails", fails, order=1)
    expiry.register("works", works, order=2)
    try:
        tasks.expire()
    finally:
        expiry.unregister("fails")
        expiry.unregister("works")
    assert called == ["fails", "works"]


def test_beat_runs_the_schedule_of_every_app() -> None:
    assert current_app.conf.beat_schedule == beat_schedule()
    assert {"cdp.tasks.sweep_jobs", "profiles.tasks.compare_changed"} <= set(SCHEDULED)


def test_ticks_go_to_housekeeping_and_expire_with_their_interval() -> None:
    for entry in beat_schedule().values():
        assert current_app.amqp.router.route({}, entry["task"])["queue"].name == "housekeeping"
        interval = entry["schedule"] if isinstance(entry["schedule"], float) else 3600
        assert entry["options"] == {"expires": interval}


def test_each_queue_gets_its_own_messages_only() -> None:
    """A queue without an exchange and key of its own gets those of the default queue, and a copy of its messages."""
    assert {
        name: (queue.exchange.name, queue.routing_key) for name, queue in current_app.amqp.queues.items()
    } == {
        "jobs": ("jobs", "jobs"),
        "housekeeping": ("housekeeping", "housekeeping"),
    }


def test_a_job_with_more_to_do_is_enqueued_again(
    monkeypatch: pytest.MonkeyPatch, by_system: dict[str, Any]
) -> None:
    job = start_job(kind="nobody knows this kind", actor=by_system["actor"])
    enqueued: list[Job] = []
    monkeypatch.setattr("cdp.jobs.enqueue", enqueued.append)
    monkeypatch.setattr("cdp.jobs.run", lambda job_id: True)
    tasks.run_job(job.pk)
    assert enqueued == [job]


def test_a_scan_goes_behind_peoples_jobs_whoever_starts_it(by_staff: dict[str, Any]) -> None:
    scan = full_scan.start_scan(actor=by_staff["actor"])
    assert jobs.queue_of(scan) == "housekeeping"
    assert jobs.queue_of(start_job(kind="import.plan", actor=by_staff["actor"])) == "jobs"
    assert jobs.queue_of(start_job(kind="import.plan", actor=Actor.system())) == "housekeeping"


def test_a_sweep_fills_no_queue_that_nobody_empties(
    by_staff: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both queues are looked at apart: people's jobs that wait for a worker keep no housekeeping from being sent."""
    theirs = [start_job(kind="import.plan", actor=by_staff["actor"]) for _ in range(5)]
    ours = start_job(kind="import.plan", actor=Actor.system())
    sent: list[int] = []

    def send(job: Job) -> bool:
        sent.append(job.pk)
        return True

    monkeypatch.setattr("cdp.jobs.enqueue", send)
    monkeypatch.setattr("cdp.jobs.waiting", {"jobs": 97, "housekeeping": 0}.__getitem__)
    assert jobs.sweep() == 4
    assert sent == [*[job.pk for job in theirs[:3]], ours.pk]

    sent.clear()
    monkeypatch.setattr("cdp.jobs.waiting", {"jobs": 5000, "housekeeping": 100}.__getitem__)
    assert jobs.sweep() == 0
    assert sent == []


def test_a_sweep_without_a_broker_sends_nothing_and_goes_on(
    by_system: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    start_job(kind="import.plan", actor=by_system["actor"])

    def is_away(queue: str) -> int:
        raise ConnectionError

    monkeypatch.setattr("cdp.jobs.waiting", is_away)
    assert jobs.sweep() == 0
