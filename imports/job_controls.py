"""An import and its newest job → queued, paused, resumed or canceled; whatever phase the job is in."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict, NotFound, Stale
from cdp.job_steps import Chunk, JobFailed
from cdp.jobs import cancel_job, check_may_control, pause_job, resume_job, start_job
from cdp.models import Job
from imports.models import Import
from imports.partitions import has_rows

PLAN, APPLY = "import.plan", "import.apply"
PERMISSION = "imports.add_import"
# The state of an import while one of its jobs works.
STATES = {PLAN: Import.State.PLANNING, APPLY: Import.State.APPLYING}

# A chunk whose worker died is tried again in smaller pieces, the third time row by row: so a row that kills
# workers is found within a few deaths, and named.
RETRY_DIVISOR = 150


def locked(import_id: int) -> Import:
    """The import, locked for the rest of the transaction, with its job. Raises NotFound."""
    rows = Import.objects.select_for_update(no_key=True, of=("self",)).select_related("job", "user", "key")
    import_ = rows.filter(pk=import_id).first()
    if import_ is None:
        raise NotFound(f"There is no import #{import_id}.")
    return import_


def changeable(import_id: int, revision: int | None) -> Import:
    """The import when it may still be read or mapped differently, not locked. Raises NotFound, Stale."""
    import_ = Import.objects.filter(pk=import_id).first()
    if import_ is None:
        raise NotFound(f"There is no import #{import_id}.")
    return _checked(import_, revision)


def locked_for_change(import_id: int, revision: int | None) -> Import:
    """The same, locked for the rest of the transaction."""
    return _checked(locked(import_id), revision)


def _checked(import_: Import, revision: int | None) -> Import:
    if revision is not None and revision != import_.revision:
        raise Stale("Somebody else changed the import in the meantime. Reload the page.")
    if not import_.can_change:
        raise Stale(f"The import is {import_.state_label.lower()} and cannot be changed now.")
    return import_


# --- Jobs ---------------------------------------------------------------------------------------------


def start_planning(import_: Import, *, actor: Actor) -> Job:
    """Queue the job that plans a locked import; the caller has checked that it may be planned. Saves it."""
    import_.state = Import.State.PLANNING
    import_.discard_plan()
    import_.job = start_job(
        kind=PLAN,
        actor=actor,
        params={"import": import_.pk, "revision": import_.revision},
        title=f"Plan of import #{import_.pk}",
        permission=PERMISSION,
    )
    import_.save()
    audit.record("import.plan", actor=actor, subject=f"import:{import_.pk}")
    return import_.job


def start_applying(import_: Import, *, actor: Actor) -> Job:
    """Queue the job that applies a locked, planned import. Saves it."""
    rows = import_.counts["rows"]
    import_.state = Import.State.APPLYING
    import_.applied_at = timezone.now()
    import_.job = start_job(
        kind=APPLY,
        actor=actor,
        params={"import": import_.pk},
        title=f"Import #{import_.pk}",
        permission=PERMISSION,
        total=rows - import_.empty_rows,
    )
    import_.save()
    detail = {"rows": rows}
    if reason := import_.options.get("regrant_reason"):
        detail["regrant_reason"] = reason
    audit.record("import.apply", actor=actor, subject=f"import:{import_.pk}", detail=detail)
    return import_.job


def import_of(chunk: Chunk) -> Import:
    """The import a chunk works on, in the state its job's kind needs; a failed one goes on when it is resumed.

    Raises JobFailed when the import was given another job or removed.
    """
    state = STATES[chunk.job.kind]
    rows = Import.objects.filter(pk=chunk.params["import"], job_id=chunk.job.pk)
    rows.filter(state=Import.State.FAILED).update(state=state, problem="", finished_at=None)
    import_ = rows.filter(state=state).first()
    if import_ is None:
        raise JobFailed("The import was changed or removed in the meantime.")
    return import_


def chunk_size(size: int, chunk: Chunk) -> int:
    """How many rows to work on: ``size``, and fewer each time a worker died of the same chunk."""
    return int(max(size // RETRY_DIVISOR ** (chunk.tries - 1), 1))


# --- Pause, resume, cancel ----------------------------------------------------------------------------


def pause_import(*, import_id: int, actor: Actor) -> Import:
    """Pause before the next chunk. Raises Conflict when nothing is running, Forbidden."""
    with transaction.atomic():
        import_ = _running(import_id)
        pause_job(job_id=import_.job_id or 0, actor=actor)
        return _record("import.pause", import_, actor)


def resume_import(*, import_id: int, actor: Actor) -> Import:
    """Go on behind the last chunk, after a pause or a failure. Raises Conflict, Forbidden, or Stale when the plan is gone."""
    with transaction.atomic():
        import_ = locked(import_id)
        job = import_.job
        if job is None or job.state not in (Job.State.PAUSED, Job.State.FAILED, Job.State.RUNNING):
            raise Conflict(f"This import is {import_.state_label.lower()}; there is nothing to resume.")
        if job.state == Job.State.FAILED:
            if not has_rows(import_) and job.kind == APPLY:
                raise Stale("The plan has expired. Upload the file again.")
            import_.state = STATES[job.kind]
            import_.problem, import_.finished_at = "", None
            import_.save(update_fields=["state", "problem", "finished_at"])
        resume_job(job_id=job.pk, actor=actor)
        return _record("import.resume", import_, actor)


def cancel_import(*, import_id: int, actor: Actor) -> Import:
    """Stop for good (or discard a plan); what was written stays, the rest is not written.

    One rule whatever the state: whoever uploaded the file or started the job, or somebody who may change everybody's
    jobs, and only while they may import. Raises Conflict, Forbidden.
    """
    with transaction.atomic():
        import_ = locked(import_id)
        if import_.state in (Import.State.UPLOADED, Import.State.PLANNED):
            _check_may_discard(import_, actor)
            import_.state, import_.finished_at = Import.State.CANCELED, timezone.now()
            import_.save()
            return _record("import.cancel", import_, actor)
    import_ = _running(import_id)
    cancel_job(job_id=import_.job_id or 0, actor=actor)
    return _record("import.cancel", import_, actor)


def _check_may_discard(import_: Import, actor: Actor) -> None:
    """The rule of jobs, for an import that has none at work: it is its uploader's. One of nobody is anybody's."""
    if import_.user_id or import_.key_id:
        job = Job(user_id=import_.user_id, key_id=import_.key_id, permission=PERMISSION)
        check_may_control(job, actor)


def _running(import_id: int) -> Import:
    import_ = Import.objects.select_related("job").filter(pk=import_id).first()
    if import_ is None:
        raise NotFound(f"There is no import #{import_id}.")
    if import_.job is None or not import_.job.is_open:
        raise Conflict(f"This import is {import_.state_label.lower()}; nothing is running.")
    return import_


def _record(action: str, import_: Import, actor: Actor) -> Import:
    audit.record(action, actor=actor, subject=f"import:{import_.pk}")
    import_.refresh_from_db()
    return import_
