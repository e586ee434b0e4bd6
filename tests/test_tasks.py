"""The beat's tasks: all of them exist, run with nothing to do, and one that fails keeps no other from its work."""

from __future__ import annotations

from typing import Any

import pytest
from celery import current_app
from django.db import OperationalError

from cdp import tasks
from cdp.celery import beat_schedule
from cdp.jobs import start_job
from cdp.models import AuditEntry, Job
from cdp.retention import expiry

pytestmark = pytest.mark.django_db
SCHEDULED = sorted(entry["task"] for entry in beat_schedule().values())


@pytest.mark.parametrize("name", SCHEDULED)
def test_every_scheduled_task_exists_and_rests_when_there_is_nothing_to_do(name: str) -> None:
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


def test_beat_runs_the_schedule_of_every_app_and_lets_ticks_expire() -> None:
    assert current_app.conf.beat_schedule == beat_schedule()
    assert {"cdp.tasks.sweep_jobs", "profiles.tasks.compare_changed"} <= set(SCHEDULED)
    assert all(entry["options"]["expires"] for entry in beat_schedule().values())


def test_a_job_that_wants_more_is_woken_again(
    monkeypatch: pytest.MonkeyPatch, by_system: dict[str, Any]
) -> None:
    job = start_job(kind="nobody knows this kind", actor=by_system["actor"])
    woken: list[int] = []
    monkeypatch.setattr("cdp.jobs.wake", woken.append)
    monkeypatch.setattr("cdp.jobs.run", lambda job_id: True)
    tasks.run_job(job.pk)
    assert woken == [job.pk]
