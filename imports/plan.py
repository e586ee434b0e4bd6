"""An import with a mapping → its plan: for every row what would happen to which profile, with no profile changed.

One job in phases, each made of chunks that are committed with the job's cursor: *read* (``stage``: the file's
rows, matched, into the import's partition), *links*, *shared*, *label* and *fold* (``group``: rows about the same
profile), *finish* (counts and warnings). Killed anywhere, it goes on behind the last chunk.
"""

from __future__ import annotations

from django.db import connection, transaction
from django.utils import timezone

from cdp.actors import Actor
from cdp.errors import Conflict, Stale
from cdp.job_steps import Chunk, actor_of
from cdp.models import Job
from imports.cell_counts import count_cells
from imports.columns import Cleaner
from imports.group import group_rows
from imports.job_controls import import_of, locked, start_applying, start_planning
from imports.mappings import check_mapping, load_context, read_mapping, unconfirmed_consents
from imports.models import Import
from imports.options import check_regrant
from imports.plan_spec import build_plan_spec
from imports.report import count_rows, in_order, plan_warnings
from imports.stage import stage_rows


@transaction.atomic
def plan_import(*, import_id: int, revision: int | None = None, actor: Actor) -> Job:
    """Start planning. Raises Invalid when the mapping is not complete, Forbidden, Stale or Conflict when it cannot be now."""
    import_ = locked(import_id)
    if revision is not None and revision != import_.revision:
        raise Stale("The mapping was changed in the meantime. Reload the page.")
    if not import_.can_change:
        raise Conflict(f"This import is {import_.state_label.lower()}; it cannot be planned now.")
    check_regrant(import_.options, actor=actor)
    check_mapping(import_, load_context(import_.options))
    return start_planning(import_, actor=actor)


def plan_chunk(chunk: Chunk) -> bool:
    """The next chunk of a plan job; whether there are more."""
    import_ = import_of(chunk)
    context = load_context(import_.options)
    mapping = read_mapping(import_, context)
    spec = build_plan_spec(import_, mapping, context)
    phase = chunk.cursor.get("phase", "read")
    if phase == "read":
        stage_rows(chunk, import_, Cleaner(mapping, context), spec)
    elif phase == "finish":
        _finish_plan(chunk, import_)
        return False
    else:
        group_rows(chunk, import_, spec)
    return True


def plan_position(job: Job) -> str:
    """Where the next chunk begins, for a job that cannot get past it."""
    if job.cursor.get("phase", "read") != "read":
        return f"the {job.cursor['phase']} phase"
    return f"line {job.cursor['at']['line']:,}" if "at" in job.cursor else "the first line"


def end_plan(job: Job) -> None:
    """A plan that failed or was canceled leaves the import with the reason, ready to be changed."""
    if job.state == Job.State.DONE:
        return
    state = Import.State.FAILED if job.state == Job.State.FAILED else Import.State.CANCELED
    Import.objects.filter(pk=job.params["import"], state=Import.State.PLANNING).update(
        state=state, problem=job.problem, finished_at=timezone.now()
    )


def _finish_plan(chunk: Chunk, import_: Import) -> None:
    """Counts and warnings; with *auto_apply*, and no doubt about the file, the job that applies the plan is queued in the same transaction."""
    with chunk.commit(cursor={"phase": "finish"}) as progress:
        _index_rows(import_)
        import_ = Import.objects.select_for_update(no_key=True).get(pk=import_.pk)
        import_.counts = count_rows(import_)
        import_.cells = count_cells(import_)
        import_.warnings = in_order([*import_.warnings, *plan_warnings(import_)])
        import_.state = Import.State.PLANNED
        import_.planned_at = timezone.now()
        progress.result = import_.counts
        progress.total = import_.counts["rows"]
        is_settled = not import_.doubts and not unconfirmed_consents(import_)
        if import_.options.get("auto_apply") and is_settled:
            start_applying(import_, actor=actor_of(chunk.job))
        else:
            import_.save()


def _index_rows(import_: Import) -> None:
    """For the pages: rows of the outcomes people look at, few among many."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE INDEX ON {import_.partition} (outcome, line) WHERE outcome NOT IN ('created', 'unchanged')"
        )
        cursor.execute(f"ANALYZE {import_.partition} (line, outcome)")
