"""Plain functions that take CSV text through an import."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile

from cdp.actors import Actor
from cdp.jobs import run_to_end
from cdp.models import User
from imports.apply import apply_import
from imports.models import Import, Row
from imports.plan import plan_import
from imports.upload import upload_import
from profiles.builtin import builtin_source


def as_file(text: str | bytes, name: str = "people.csv") -> TemporaryUploadedFile:
    data = text.encode() if isinstance(text, str) else text
    file = TemporaryUploadedFile(name, "text/csv", len(data), None)
    file.write(data)
    file.seek(0)
    return file


def upload(text: str | bytes, *, user: User | None = None, name: str = "people.csv", **kwargs: Any) -> Import:
    actor = Actor.of_user(user) if user else Actor.system()
    file = as_file(text, name)
    try:
        return upload_import(
            file=file, actor=actor, source=builtin_source("staff" if user else "api"), **kwargs
        ).job
    finally:
        file.close()


def planned(text: str | bytes, *, user: User | None = None, **kwargs: Any) -> Import:
    """Upload and plan."""
    job = upload(text, user=user, **kwargs)
    return plan(job, user=user)


def plan(job: Import, *, user: User | None = None) -> Import:
    actor = Actor.of_user(user) if user else Actor.system()
    run_to_end(plan_import(import_id=job.pk, actor=actor))
    job.refresh_from_db()
    return job


def applied(text: str | bytes, *, user: User | None = None, **kwargs: Any) -> Import:
    """Upload, plan and apply."""
    return apply(planned(text, user=user, **kwargs), user=user)


def apply(job: Import, *, user: User | None = None) -> Import:
    actor = Actor.of_user(user) if user else Actor.system()
    assert job.state == "planned", (job.state, job.problem)
    run_to_end(apply_import(import_id=job.pk, actor=actor))
    job.refresh_from_db()
    return job


def outcomes(job: Import) -> dict[int, str]:
    """``{line: outcome}``."""
    return dict(Row.objects.filter(import_id=job.pk).order_by("line").values_list("line", "outcome"))


def some(job: Import) -> dict[str, int]:
    """The outcomes that are not zero, without ``rows``."""
    return {name: count for name, count in job.counts.items() if count and name != "rows"}


def summed(job: Import) -> bool:
    return sum(count for name, count in job.counts.items() if name != "rows") == job.counts["rows"]
