"""Jobs seen and steered from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdp.actors import Actor
from cdp.jobs import start_job
from cdp.models import AuditEntry, Job
from tests.api.caller import Caller, refusal

pytestmark = pytest.mark.django_db


def _job(caller: Caller, **fields: Any) -> Job:
    assert caller.key is not None
    return start_job(kind="test.count", actor=Actor.of_key(caller.key.key), title="Count", total=10, **fields)


def test_job_has_the_fields_of_the_contract(api: Caller) -> None:
    job = _job(api)
    data = api.get(f"jobs/{job.pk}/").data
    assert data.keys() >= {"id", "kind", "state", "progress", "result", "errors"}
    assert (data["id"], data["kind"], data["state"], data["actor"]) == (
        job.pk,
        "test.count",
        "queued",
        "shop",
    )
    progress = {"done": 0, "total": 10, "unit": "rows", "rate": None, "eta_seconds": None}
    assert data["progress"] == progress
    assert [row["id"] for row in api.get("jobs/?state=queued&kind=test.count").data["results"]] == [job.pk]
    assert refusal(api.get("jobs/?state=lost"))[0] == 400
    assert refusal(api.get("jobs/999/")) == (404, "There is no job #999.")


def test_pause_resume_cancel(api: Caller) -> None:
    job = _job(api)
    states = [
        api.post(f"jobs/{job.pk}/{verb}/").data["state"] for verb in ("pause", "resume", "pause", "cancel")
    ]
    assert states == ["paused", "queued", "paused", "canceled"]
    assert AuditEntry.objects.filter(subject=f"job:{job.pk}").count() == 4
    running = _job(api)
    Job.objects.filter(pk=running.pk).update(state="running")
    rehearsed = api.post(f"jobs/{running.pk}/cancel/?dry_run=true").data
    assert (rehearsed["wish"], rehearsed["dry_run"]) == ("cancel", True)
    assert api.get(f"jobs/{running.pk}/").data["wish"] == ""
    assert api.post(f"jobs/{running.pk}/cancel/").data["wish"] == "cancel"


def test_a_key_reads_and_steers_its_own(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    mine, other = with_scopes("imports", name="importer"), with_scopes("imports", name="stranger")
    job = _job(mine)
    assert mine.get(f"jobs/{job.pk}/").status_code == 200
    assert refusal(other.get(f"jobs/{job.pk}/")) == (404, f"There is no job #{job.pk}.")
    assert other.get("jobs/").data["results"] == []
    assert refusal(other.post(f"jobs/{job.pk}/cancel/"))[0] == 404
    assert api.get(f"jobs/{job.pk}/").status_code == 200
    assert mine.post(f"jobs/{job.pk}/cancel/").data["state"] == "canceled"
