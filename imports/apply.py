"""A planned import → its staged rows written to profiles, exactly: in chunks, each a transaction with the job's cursor.

The uploaded file is not read again. A row the database refuses is found by halving its chunk and rejected with its
line; all other rows are written. Rows whose profile changed since the plan, or whose identifier another profile
got, are left out as *held*.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import psycopg
from django.db import DatabaseError, IntegrityError, connection, transaction

from cdp import webhooks
from cdp.actors import Actor
from cdp.errors import Conflict, Stale
from cdp.job_steps import Chunk, JobFailed, actor_of
from cdp.models import Job
from imports.apply_sql import IDENTIFIER_TAKEN, IdentifiersTaken, RowWriter
from imports.finish import mail_milestones
from imports.job_controls import chunk_size, import_of, locked, start_applying
from imports.mappings import check_consents, load_context, read_mapping
from imports.models import Import
from imports.options import check_regrant
from imports.partitions import has_rows
from imports.plan_spec import build_plan_spec

log = logging.getLogger(__name__)

CHUNK_ROWS = 20_000

# SQLSTATE classes that blame a row: bad data, a constraint, a limit, a trigger's own error.
_ROW_ERRORS = ("22", "23", "54", "P0", "0A", "XX")


@transaction.atomic
def apply_import(*, import_id: int, revision: int | None = None, actor: Actor) -> Job:
    """Queue the job that applies a plan. Raises Stale or Conflict when it is not the plan that was looked at.

    Raises Forbidden when it turns a no into a yes and the actor may not.
    """
    import_ = locked(import_id)
    if import_.state != Import.State.PLANNED:
        raise Conflict(f"This import is {import_.state_label.lower()}; only a planned one can be applied.")
    if revision is not None and revision != import_.revision:
        raise Stale("The mapping was changed after this plan was shown. Look at the new plan.")
    if not has_rows(import_):
        raise Stale("The plan has expired. Plan the import again.")
    check_consents(import_)
    check_regrant(import_.options, actor=actor)
    return start_applying(import_, actor=actor)


# --- The job ------------------------------------------------------------------------------------------


def apply_chunk(chunk: Chunk) -> bool:
    """The next chunk of an apply job; whether there are more."""
    import_ = import_of(chunk)
    if not has_rows(import_):
        raise JobFailed("The plan has expired. Upload the file again.")
    after = chunk.cursor.get("line", 0)
    last, rows, is_last = _next_range(import_, after, chunk_size(CHUNK_ROWS, chunk))
    if rows == 0:
        return False
    writer = _writer(chunk, import_)
    before = chunk.cursor.get("people", 0)
    with chunk.commit(done=rows) as progress:
        profiles = before + write_rows(writer, after + 1, last)
        progress.cursor = {"line": last, "people": profiles}
        mail_milestones(import_, before, profiles)
    return not is_last


def apply_position(job: Job) -> str:
    """The line the next chunk begins with, for a job that cannot get past it."""
    import_ = Import.objects.filter(pk=job.params["import"]).first()
    if import_ is None or not has_rows(import_):
        return "a plan that is gone"
    return f"line {_next_range(import_, job.cursor.get('line', 0), 1)[0]:,}"


def _next_range(import_: Import, after: int, size: int) -> tuple[int, int, bool]:
    """The last line of the next chunk, how many rows it has, and whether it is the last chunk."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT max(line), count(*) FROM (SELECT line FROM {import_.partition} WHERE line > %s"
            " ORDER BY line LIMIT %s) x",
            [after, size],
        )
        last, rows = cursor.fetchone()
    return last or after, rows, rows < size


def _writer(chunk: Chunk, import_: Import) -> RowWriter:
    context = load_context(import_.options)
    spec = build_plan_spec(import_, read_mapping(import_, context), context)
    actor = actor_of(chunk.job)
    return RowWriter(import_, spec, actor.user_id, actor.key_id)


# --- Writing ------------------------------------------------------------------------------------------


def write_rows(writer: RowWriter, first: int, last: int) -> int:
    """Write the planned rows of a range of lines, whatever single rows do; how many profiles were written.

    Rows that cannot be written are marked (*held*, *failed*) in the same transaction.
    """
    while True:
        try:
            with transaction.atomic():
                profiles = writer.write(first, last)
                _publish(writer)
                return profiles
        except IdentifiersTaken as taken:
            writer.leave_out(taken.line_nos, IDENTIFIER_TAKEN)
        except IntegrityError as error:
            if writer.is_careful:
                return _write_halves(writer, first, last, error)
            writer = replace(writer, is_careful=True)
        except DatabaseError as error:
            if not _blames_a_row(error):
                raise
            return _write_halves(writer, first, last, error)


def _write_halves(writer: RowWriter, first: int, last: int, error: DatabaseError) -> int:
    line_nos = writer.planned_line_nos(first, last)
    if len(line_nos) <= 1:
        log.warning(
            "import %s: the database refused line %s (%s)", writer.import_.pk, line_nos, _sqlstate(error)
        )
        writer.leave_out(line_nos, _refusal(error), outcome="failed")
        return 0
    middle = line_nos[len(line_nos) // 2]
    return write_rows(writer, first, middle - 1) + write_rows(writer, middle, last)


def _sqlstate(error: DatabaseError) -> str:
    cause = error.__cause__
    return (cause.sqlstate or "") if isinstance(cause, psycopg.Error) else ""


def _blames_a_row(error: DatabaseError) -> bool:
    """Whether trying without some row may help; not so for a lost connection, a deadlock, a full disk."""
    return _sqlstate(error)[:2] in _ROW_ERRORS


def _refusal(error: DatabaseError) -> str:
    """The kind of the error alone: the database's own message about a row quotes its values."""
    name = type(error.__cause__).__name__
    kind = "".join(f" {char.lower()}" if char.isupper() else char for char in name).strip()
    return f"The database refused this row ({kind})."


def _publish(writer: RowWriter) -> None:
    """A webhook message per written profile; nothing is queried for topics without a subscriber."""
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
