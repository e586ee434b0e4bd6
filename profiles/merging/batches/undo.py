"""A batch that has ended → its merges undone, from the last to the first, as a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict, Refused
from cdp.job_steps import Chunk, actor_of, handler
from cdp.jobs import start_job
from cdp.models import Job
from profiles.journal import Cause
from profiles.merging.batches.apply import save_row_outcomes
from profiles.merging.batches.freeze import PERMISSION, check_may, find_batch
from profiles.merging.unmerge import Unmerged, unmerge_many
from profiles.models import Change, Merge, MergeBatch, MergeBatchRow

KIND = "merges.undo"
# The graph is locked while a chunk is written, as when it was merged.
CHUNK = 250
DEPTH = 25

State, Outcome = MergeBatch.State, MergeBatchRow.Outcome
# What an undo could not take back is tried again by the next.
_IN_FORCE = (Outcome.MERGED, Outcome.KEPT)


@transaction.atomic
def undo_batch(*, batch_id: int, actor: Actor) -> MergeBatch:
    """Undo the merges of a batch that has ended, in the background. What cannot be undone is reported and stays.

    Its pairs are open again: that a batch was a mistake does not say that each of its pairs are two people.

    Raises NotFound, Forbidden; Conflict for a batch that is under way, or of which nothing is merged.
    """
    check_may(actor)
    batch = find_batch(batch_id, is_locked=True)
    if batch.is_busy:
        raise Conflict(f"“{batch}” is {batch.get_state_display().lower()}. Wait for its end, or cancel it.")
    total = batch.rows.filter(outcome__in=_IN_FORCE).count()
    if not total:
        raise Conflict(f"Nothing of “{batch}” is merged, so there is nothing to undo.")
    job = start_job(
        kind=KIND,
        actor=actor,
        title=f"Undo: {batch.title}"[:200],
        params={"batch": batch.pk},
        permission=PERMISSION,
        total=total,
        unit="merges",
    )
    batch.undo_job, batch.state = job, State.UNDOING
    MergeBatch.objects.filter(pk=batch.pk).update(undo_job=job, state=State.UNDOING)
    audit.record("merge.batch.undo", actor=actor, subject=f"merge_batch:{batch.pk}", detail={"job": job.pk})
    return batch


def _end(job: Job) -> None:
    """Undone when every merge was tried; canceled half way, the rest can be undone by another try."""
    batch = MergeBatch.objects.filter(undo_job=job)
    if job.state == Job.State.DONE:
        batch.update(state=State.UNDONE, undone_at=Now())
    else:
        batch.update(state=State.STOPPED)


def _position_text(job: Job) -> str:
    return f"merge {job.done + 1:,} of {job.total or 0:,}"


@handler(KIND, on_end=_end, position=_position_text)
def step(chunk: Chunk) -> bool:
    """Some merges, the latest first, in the transaction that moves the cursor. What is refused does not stop the others."""
    size = CHUNK if chunk.tries == 1 else 1
    batch = MergeBatch.objects.select_related("source").get(pk=chunk.params["batch"])
    merged = batch.rows.filter(outcome__in=_IN_FORCE).select_related("merge")
    if (before := chunk.cursor.get("before")) is not None:
        merged = merged.filter(position__lt=before)
    rows_due = list(merged.annotate(root_id=F("merge__loser__canonical_id")).order_by("-position")[:size])
    if not rows_due:
        return False
    rows = _not_too_deep(rows_due)
    with chunk.commit(cursor={"before": rows[-1].position}, done=len(rows)) as progress:
        results = _undo(rows, chunk, batch)
        save_row_outcomes(results)
        undone = sum(outcome == Outcome.UNDONE for _, outcome, *_ in results)
        counted = chunk.job.result
        counts = {
            "undone": counted.get("undone", 0) + undone,
            "kept": counted.get("kept", 0) + len(results) - undone,
        }
        progress.result = counts
        locked = MergeBatch.objects.select_for_update(no_key=True).get(pk=batch.pk)
        locked.counts, locked.state = {**locked.counts, **counts}, State.UNDOING
        locked.save(update_fields=["counts", "state"])
    return len(rows_due) == size or len(rows) < len(rows_due)


def _not_too_deep(rows: Sequence[MergeBatchRow]) -> Sequence[MergeBatchRow]:
    """As far as no profile has more than ``DEPTH`` merges: those of one profile are undone one after another."""
    merges_of: Counter[int | None] = Counter()
    for index, row in enumerate(rows):
        merges_of[row.root_id] += 1  # type: ignore[attr-defined]
        if merges_of[row.root_id] > DEPTH:  # type: ignore[attr-defined]
            return rows[:index]
    return rows


RowOutcome = tuple[int, str, str, str, int | None]


def _undo(rows: Sequence[MergeBatchRow], chunk: Chunk, batch: MergeBatch) -> list[RowOutcome]:
    """What became of each, in their order."""
    merges = {row.pk: row.merge for row in rows}
    due = [merge.pk for merge in merges.values() if merge is not None and merge.undone_at is None]
    cause = Cause(Change.Cause.JOB, chunk.job.pk)
    undone = unmerge_many(
        merge_ids=due, actor=actor_of(chunk.job), source=batch.source, cause=cause, is_verdict=False
    )
    results: list[RowOutcome] = []
    for pk, merge in merges.items():
        outcome, code, reason = _outcome_of(merge, undone.get(merge.pk) if merge else None)
        results.append((pk, outcome, code, reason[:500], None))
    return results


def _outcome_of(merge: Merge | None, done: Unmerged | Refused | None) -> tuple[str, str, str]:
    if merge is None:
        return Outcome.KEPT, "", "The merge is no longer recorded."
    if done is None:
        return Outcome.UNDONE, "before", "It had been undone before."
    if isinstance(done, Refused):
        return Outcome.KEPT, "", done.message
    stays = ", ".join(f"{item['field']} ({item['reason']})" for item in done.kept)
    return (Outcome.UNDONE, "stays", f"Stays: {stays}") if stays else (Outcome.UNDONE, "", "")
