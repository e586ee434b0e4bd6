"""Pausing, resuming and stopping the work on an import, whichever of its jobs is at it."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict, NotFound, Stale
from cdp.job_steps import Chunk, JobFailed
from cdp.jobs import cancel_job, pause_job, resume_job
from cdp.models import Job
from imports.models import Import
from imports.partitions import has_rows

APPLY = "import.apply"

# What an import does while one of its jobs works.
WORKING = {"import.plan": Import.State.PLANNING, APPLY: Import.State.APPLYING}


def pause_import(*, import_id: int, actor: Actor) -> Import:
    """Pause before the next chunk. Raises Conflict when nothing is running."""
    job = _running(import_id)
    pause_job(job_id=job.job_id or 0, actor=actor)
    return _tell("import.pause", job, actor)


def resume_import(*, import_id: int, actor: Actor) -> Import:
    """Go on behind the last chunk, after a pause or a failure. Raises Conflict."""
    with transaction.atomic():
        job = locked(import_id)
        work = job.job
        if work is None or work.state not in (Job.State.PAUSED, Job.State.FAILED, Job.State.RUNNING):
            raise Conflict(f"This import is {job.state_label.lower()}; there is nothing to resume.")
        if work.state == Job.State.FAILED:
            if not has_rows(job) and work.kind == APPLY:
                raise Stale("The plan is gone, its time was up. Upload the file again.")
            job.state = WORKING[work.kind]
            job.problem, job.finished_at = "", None
            job.save(update_fields=["state", "problem", "finished_at"])
        resume_job(job_id=work.pk, actor=actor)
        return _tell("import.resume", job, actor)


def cancel_import(*, import_id: int, actor: Actor) -> Import:
    """Stop for good (or discard a plan); what was written stays, the rest is not. Raises Conflict."""
    with transaction.atomic():
        job = locked(import_id)
        if job.state in (Import.State.UPLOADED, Import.State.PLANNED):
            job.state, job.finished_at = Import.State.CANCELED, timezone.now()
            job.save()
            return _tell("import.cancel", job, actor)
    job = _running(import_id)
    cancel_job(job_id=job.job_id or 0, actor=actor)
    return _tell("import.cancel", job, actor)


def _running(import_id: int) -> Import:
    job = Import.objects.select_related("job").filter(pk=import_id).first()
    if job is None:
        raise NotFound(f"There is no import #{import_id}.")
    if job.job is None or not job.job.is_open:
        raise Conflict(f"This import is {job.state_label.lower()}; nothing is running.")
    return job


def _tell(action: str, job: Import, actor: Actor) -> Import:
    audit.record(action, actor=actor, subject=f"import:{job.pk}")
    job.refresh_from_db()
    return job


def locked(import_id: int) -> Import:
    """The import, locked for the rest of the transaction, its job beside it. Raises NotFound."""
    rows = Import.objects.select_for_update(no_key=True, of=("self",)).select_related("job", "user", "key")
    job = rows.filter(pk=import_id).first()
    if job is None:
        raise NotFound(f"There is no import #{import_id}.")
    return job


def take_up(chunk: Chunk, state: str) -> Import:
    """The job's import in the state its work needs; a failed one goes on, wherever it was resumed."""
    found = Import.objects.filter(pk=chunk.params["import"], job_id=chunk.job.pk)
    found.filter(state=Import.State.FAILED).update(state=state, problem="", finished_at=None)
    job = found.filter(state=state).first()
    if job is None:
        raise JobFailed("The import was changed or removed meanwhile.")
    return job
