"""The beat's tasks: all of them exist, run with nothing to do, and one that fails keeps no other from its work."""

from __future__ import annotations

from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.db import OperationalError

from cdp import tasks, webhooks
from cdp.jobs import start_job
from cdp.models import AuditEntry, Job

pytestmark = pytest.mark.django_db
SCHEDULED = sorted(entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values())


@pytest.mark.parametrize("name", SCHEDULED)
def test_every_scheduled_task_exists_and_rests_when_there_is_nothing_to_do(name: str) -> None:
    current_app.loader.import_default_modules()
    current_app.tasks[name]()
    assert not AuditEntry.objects.exists()
    assert not Job.objects.exists()


def test_forgetting_goes_on_when_one_kind_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def fails() -> int:
        called.append("keys")
        raise OperationalError

    def forget_old() -> int:
        called.append("webhooks")
        return 0

    monkeypatch.setattr("cdp.api.idempotency.expire_idempotency_keys", fails)
    monkeypatch.setattr(webhooks, "forget_old", forget_old)
    tasks.expire()
    assert called == ["keys", "webhooks"]


def test_a_job_that_wants_more_is_woken_again(
    monkeypatch: pytest.MonkeyPatch, by_system: dict[str, Any]
) -> None:
    job = start_job(kind="nobody knows this kind", actor=by_system["actor"])
    woken: list[int] = []
    monkeypatch.setattr("cdp.jobs.wake", woken.append)
    monkeypatch.setattr("cdp.jobs.run", lambda job_id: True)
    tasks.run_job(job.pk)
    assert woken == [job.pk]
