"""The dry run over every row: what would happen to whom, without touching anybody (X5).

One job in phases, each made of chunks that are committed with the job's cursor: *read* (the file, into the
import's partition, with a match and a diff for each row), *repeats* (the same person twice in the file),
*finish* (counts and warnings). Killed anywhere, it goes on behind the last chunk.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict, Stale
from cdp.job_steps import Chunk, JobFailed, handler
from cdp.jobs import start_job
from cdp.models import Job
from cdp.shutdown import is_stopping
from imports import in_file_duplicates
from imports.columns import Cleaner
from imports.control import locked, take_up
from imports.copy_rows import BATCH_ROWS, Batch, read_batches
from imports.files import Checkpoint, FileRefused
from imports.installation import check_mapping, dialect_of, installed, read_mapping, shape_of
from imports.match import copy_chunk, create_chunk, create_hits, insert_rows
from imports.models import Import
from imports.options import HOLD
from imports.partitions import create_partition
from imports.plan_spec import Shape
from imports.upload import can_change

KIND = "import.plan"
PERMISSION = "imports.add_import"
# One step of the job reads on for so long before the job looks whether its time is up.
STEP_SECONDS = 15.0
# A batch whose worker died is tried again in smaller pieces, the third time row by row: a row that kills
# workers is found in few deaths, and named.
SMALLER = 150


@transaction.atomic
def plan_import(*, import_id: int, revision: int | None = None, actor: Actor) -> Job:
    """Start planning. Raises Invalid when the mapping is not complete, Stale or Conflict when it cannot be now."""
    job = locked(import_id)
    if revision is not None and revision != job.revision:
        raise Stale("The mapping was changed meanwhile. Look at it again.")
    if not can_change(job):
        raise Conflict(f"This import is {job.state_label.lower()}; it cannot be planned now.")
    context = installed(job.options)
    check_mapping(job, context)
    job.state = Import.State.PLANNING
    job.problem = ""
    job.counts = {}
    job.warnings = [warning for warning in job.warnings if warning.get("code") == "same_file"]
    job.job = start_job(
        kind=KIND,
        actor=actor,
        params={"import": job.pk, "revision": job.revision},
        title=f"Plan {job.name}"[:200],
        permission=PERMISSION,
    )
    job.save()
    audit.record("import.plan", actor=actor, subject=f"import:{job.pk}")
    return job.job


def ended(job: Job) -> None:
    """A plan that failed or was canceled leaves the import with the reason, ready to be changed."""
    if job.state == Job.State.DONE:
        return
    state = Import.State.FAILED if job.state == Job.State.FAILED else Import.State.CANCELED
    Import.objects.filter(pk=job.params["import"], state=Import.State.PLANNING).update(
        state=state, problem=job.problem, finished_at=timezone.now()
    )


def place(job: Job) -> str:
    """Where the next batch begins."""
    if job.cursor.get("phase", "read") != "read":
        return f"the {job.cursor['phase']} phase"
    return f"line {job.cursor['at']['line']:,}" if "at" in job.cursor else "the first line"


@handler(KIND, on_end=ended, position=place)
def plan_step(chunk: Chunk) -> bool:
    job = take_up(chunk, Import.State.PLANNING)
    context = installed(job.options)
    mapping = read_mapping(job, context)
    shape = shape_of(mapping, context, is_strict=job.options.get("on_conflict") == HOLD)
    phase = chunk.cursor.get("phase", "read")
    if phase == "read":
        _read(chunk, job, Cleaner(mapping, context), shape)
    elif phase == "links":
        _link(chunk, job, shape)
    elif phase == "label":
        with chunk.commit(cursor={"phase": "fold", "after": 0}):
            in_file_duplicates.label_components(job)
    elif phase == "fold":
        _fold(chunk, job, shape)
    else:
        _finish(chunk, job)
        return False
    return True


# --- Reading -------------------------------------------------------------------------------------------


def _read(chunk: Chunk, job: Import, cleaner: Cleaner, shape: Shape) -> None:
    until = time.monotonic() + STEP_SECONDS
    start = chunk.cursor.get("at")
    at = Checkpoint.from_json(start) if start else None
    if at is None:
        _check_file(job)
    try:
        with job.file.open("rb") as file:
            batches = read_batches(
                file.file,
                dialect=dialect_of(job),
                cleaner=cleaner,
                shape=shape,
                start=at,
                rows=max(BATCH_ROWS // SMALLER ** (chunk.tries - 1), 1),
            )
            for batch in batches:
                _write(chunk, job, shape, batch, is_first=at is None)
                at = batch.checkpoint
                if at is None or time.monotonic() >= until or is_stopping():
                    return
    except FileRefused as error:
        raise JobFailed(error.message) from error
    except FileNotFoundError as error:
        raise JobFailed("The uploaded file is gone. Upload it again.") from error


def _check_file(job: Import) -> None:
    """The very bytes that were uploaded, or nothing."""
    if not same_bytes(job):
        raise JobFailed("The stored file is not the one that was uploaded. Upload it again.")


def same_bytes(job: Import) -> bool:
    try:
        with job.file.open("rb") as file:
            return hashlib.file_digest(file.file, "sha256").hexdigest() == job.sha256
    except FileNotFoundError:
        return False


def _write(chunk: Chunk, job: Import, shape: Shape, batch: Batch, *, is_first: bool) -> None:
    rows = chunk.cursor.get("rows", 0) + batch.rows
    cursor: dict[str, Any] = {"phase": "links", "part": 0, "rows": rows}
    total = rows
    if batch.checkpoint is not None:
        cursor = {"phase": "read", "at": batch.checkpoint.as_json(), "rows": rows}
        total = max(rows, round(rows * job.size / max(batch.bytes_read, 1)))
    with chunk.commit(cursor=cursor, done=batch.rows, total=total):
        if is_first:
            create_partition(job)
        write_batch(job, shape, batch.data)


def write_batch(job: Import, shape: Shape, data: bytes) -> None:
    """COPY, match, diff, insert: the three steps of ``match``. Call inside a transaction."""
    statement = insert_rows(shape, import_id=job.pk, partition=job.partition)
    with connection.cursor() as cursor:
        # The plan can be made again; what it costs to lose its last moments is nothing.
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute("SET LOCAL jit = off")
        cursor.execute("DROP TABLE IF EXISTS import_chunk, import_hit")
        cursor.execute(create_chunk(shape))
        with cursor.copy(copy_chunk(shape)) as copy:
            copy.write(data)
        cursor.execute("ANALYZE import_chunk (line)")
        cursor.execute("SET LOCAL enable_hashjoin = off")
        cursor.execute("SET LOCAL enable_mergejoin = off")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(create_hits(shape))
        cursor.execute("ANALYZE import_hit (line, target)")
        cursor.execute("SET LOCAL enable_hashjoin = on")
        cursor.execute(statement.sql, statement.params)
        cursor.execute("SET LOCAL enable_mergejoin = on")
        cursor.execute("SET LOCAL enable_seqscan = on")
        cursor.execute("DROP TABLE import_chunk, import_hit")


# --- Repeats -------------------------------------------------------------------------------------------


def _link(chunk: Chunk, job: Import, shape: Shape) -> None:
    part = chunk.cursor["part"]
    parts = in_file_duplicates.passes_for(chunk.cursor["rows"])
    with chunk.commit() as progress:
        if part == 0:
            with connection.cursor() as cursor:
                cursor.execute(f"ANALYZE {job.partition} (line, outcome, profile_id, keys)")
        found = chunk.cursor.get("links", 0) + in_file_duplicates.find_links(
            job, shape, part=part, parts=parts
        )
        if part + 1 < parts:
            progress.cursor = {**chunk.cursor, "part": part + 1, "links": found}
        else:
            progress.cursor = {"phase": "label" if found else "finish"}


def _fold(chunk: Chunk, job: Import, shape: Shape) -> None:
    with chunk.commit() as progress:
        last = in_file_duplicates.fold_next(job, shape, after=chunk.cursor["after"])
        progress.cursor = {"phase": "finish"} if last is None else {"phase": "fold", "after": last}


# --- The end -------------------------------------------------------------------------------------------


def _finish(chunk: Chunk, job: Import) -> None:
    from imports.apply import start_apply
    from imports.report import count_rows, plan_warnings

    with chunk.commit(cursor={"phase": "finish"}) as progress:
        _index(job)
        done = Import.objects.select_for_update(no_key=True).get(pk=job.pk)
        done.counts = count_rows(done)
        done.warnings = [*done.warnings, *plan_warnings(done)]
        done.state = Import.State.PLANNED
        done.planned_at = timezone.now()
        progress.result = done.counts
        progress.total = done.counts["rows"]
        if done.options.get("auto_apply"):
            start_apply(done, actor=_actor(chunk))
        done.save()


def _index(job: Import) -> None:
    """For the pages: rows of the outcomes people look at, few among many."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE INDEX ON {job.partition} (outcome, line) WHERE outcome NOT IN ('created', 'unchanged')"
        )
        cursor.execute(f"ANALYZE {job.partition} (line, outcome)")


def _actor(chunk: Chunk) -> Actor:
    from cdp.job_steps import actor_of

    return actor_of(chunk.job)
