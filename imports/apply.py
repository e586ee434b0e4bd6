"""Carrying out a plan, exactly: in chunks, each one transaction with the job's cursor (X5, X6).

A row the database refuses is found by halving its chunk, rejected with its line, and everything else goes in
(F19). Rows whose person changed since the plan, or whose identifier somebody else was given, are *held*.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import psycopg
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from cdp import audit, webhooks
from cdp.actors import Actor
from cdp.errors import Conflict, Stale
from cdp.job_steps import Chunk, JobFailed, actor_of, handler
from cdp.jobs import start_job
from cdp.models import Job
from imports.apply_sql import TAKEN, Taken, Writer
from imports.control import locked, take_up
from imports.installation import installed, read_mapping, shape_of
from imports.models import Import
from imports.options import HOLD
from imports.partitions import has_rows
from imports.plan import SMALLER, same_bytes

log = logging.getLogger(__name__)

KIND = "import.apply"
PERMISSION = "imports.add_import"
CHUNK_ROWS = 20_000

# SQLSTATE classes that blame a row: bad data, a constraint, a limit, a trigger's own error.
_ROW_ERRORS = ("22", "23", "54", "P0", "0A", "XX")


@transaction.atomic
def apply_import(*, import_id: int, revision: int | None = None, actor: Actor) -> Job:
    """Start carrying out the plan people looked at. Raises Stale or Conflict (409) when it is not that one."""
    job = locked(import_id)
    if job.state != Import.State.PLANNED:
        raise Conflict(f"This import is {job.state_label.lower()}; only a planned one can be applied.")
    if revision is not None and revision != job.revision:
        raise Stale("The mapping was changed after this plan was shown. Look at the new plan.")
    if not has_rows(job):
        raise Stale("The plan is gone, its time was up. Plan the import again.")
    if not same_bytes(job):
        raise Stale("The stored file is not the one that was planned. Upload it again.")
    work = start_apply(job, actor=actor)
    job.save()
    return work


def start_apply(job: Import, *, actor: Actor) -> Job:
    """The part of ``apply_import`` behind the checks; the caller holds the lock and saves."""
    job.state = Import.State.APPLYING
    job.applied_at = timezone.now()
    job.job = work = start_job(
        kind=KIND,
        actor=actor,
        params={"import": job.pk},
        title=f"Import {job.name}"[:200],
        permission=PERMISSION,
        total=job.counts["rows"],
    )
    audit.record("import.apply", actor=actor, subject=f"import:{job.pk}", detail={"rows": job.counts["rows"]})
    return work


# --- The job -------------------------------------------------------------------------------------------


def ended(job: Job) -> None:
    """Whatever the end: counts of what happened, the summary by mail, and outside systems told."""
    from imports.report import finish

    finish(job)


def place(job: Job) -> str:
    """The line the next chunk begins with."""
    applied = Import.objects.filter(pk=job.params["import"]).first()
    if applied is None or not has_rows(applied):
        return "a plan that is gone"
    return f"line {_bounds(applied, job.cursor.get('line', 0), 1)[0]:,}"


@handler(KIND, on_end=ended, position=place)
def apply_step(chunk: Chunk) -> bool:
    job = take_up(chunk, Import.State.APPLYING)
    if not has_rows(job):
        raise JobFailed("The plan is gone, its time was up. Upload the file again.")
    after = chunk.cursor.get("line", 0)
    size = CHUNK_ROWS // SMALLER ** (chunk.tries - 1)
    upto, rows, is_last = _bounds(job, after, max(size, 1))
    if rows == 0:
        return False
    writer = _writer(chunk, job)
    people = chunk.cursor.get("people", 0)
    with chunk.commit(done=rows) as progress:
        # Inside the body: the transaction must wait for its own disk write, whatever the session says.
        people += write_lines(writer, after + 1, upto)
        progress.cursor = {"line": upto, "people": people}
        _mail_milestones(job, chunk.cursor.get("people", 0), people)
    return not is_last


def _bounds(job: Import, after: int, size: int) -> tuple[int, int, bool]:
    """The last line of the next chunk, how many rows it has, and whether it is the last chunk."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT max(line), count(*) FROM (SELECT line FROM {job.partition} WHERE line > %s"
            " ORDER BY line LIMIT %s) x",
            [after, size],
        )
        upto, rows = cursor.fetchone()
    return upto or after, rows, rows < size


def _writer(chunk: Chunk, job: Import) -> Writer:
    context = installed(job.options)
    shape = shape_of(read_mapping(job, context), context, is_strict=job.options.get("on_conflict") == HOLD)
    actor = actor_of(chunk.job)
    return Writer(job, shape, actor.user_id, actor.key_id)


def write_lines(writer: Writer, first: int, last: int) -> int:
    """Write a range of planned lines whatever single rows do; how many people were touched.

    Rows that cannot be written are marked (*held*, *failed*) in the same transaction.
    """
    while True:
        try:
            with transaction.atomic():
                people = writer.write(first, last)
                _publish(writer)
                return people
        except Taken as taken:
            writer.hold(taken.lines, TAKEN)
        except IntegrityError as error:
            if writer.is_careful:
                return _write_halves(writer, first, last, error)
            writer = replace(writer, is_careful=True)
        except DatabaseError as error:
            if not blames_a_row(error):
                raise
            return _write_halves(writer, first, last, error)


def _write_halves(writer: Writer, first: int, last: int, error: DatabaseError) -> int:
    lines = writer.lines(first, last)
    if len(lines) <= 1:
        log.warning("import %s: the database refused line %s (%s)", writer.job.pk, lines, sqlstate(error))
        writer.hold(lines, refusal(error), outcome="failed")
        return 0
    middle = lines[len(lines) // 2]
    return write_lines(writer, first, middle - 1) + write_lines(writer, middle, last)


def sqlstate(error: DatabaseError) -> str:
    cause = error.__cause__
    return (cause.sqlstate or "") if isinstance(cause, psycopg.Error) else ""


def blames_a_row(error: DatabaseError) -> bool:
    """Whether trying without some row may help; a lost connection, a deadlock, a full disk are not rows' fault."""
    return sqlstate(error)[:2] in _ROW_ERRORS


def refusal(error: DatabaseError) -> str:
    """The database's own words about a row quote its values; only the kind of the error is told."""
    name = type(error.__cause__).__name__
    words = "".join(f" {char.lower()}" if char.isupper() else char for char in name).strip()
    return f"The database refused this row ({words})."


def _publish(writer: Writer) -> None:
    """Who listens for people hears of each; nothing is collected when nobody does."""
    for topic, is_new in (("profile.created", True), ("profile.updated", False)):
        if not webhooks.is_heard(topic):
            continue
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT s.profile_id, ARRAY(SELECT jsonb_object_keys(r.diff))"
                f" FROM {writer.rows()} WHERE s.is_new = %s ORDER BY s.line",
                [is_new],
            )
            items = [
                (pk, {"profile_id": pk} if is_new else {"profile_id": pk, "fields": sorted(fields)})
                for pk, fields in cursor
            ]
        webhooks.publish_many(topic, items=items)


def _mail_milestones(job: Import, before: int, after: int) -> None:
    from imports.report import mail_milestone

    mail_milestone(job, before, after)
