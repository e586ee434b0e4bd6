"""Taking a whole batch back: every merge of it that is still in force, from the last to the first, as a job."""

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
from profiles.merging.batches.freeze import PERMISSION, check_may, find_batch
from profiles.merging.batches.save import note
from profiles.merging.unmerge import Unmerged, unmerge_many
from profiles.models import Change, Merge, MergeBatch, MergeBatchRow

KIND = "merges.undo"
# The graph is held while a chunk is written, as when it was merged.
CHUNK = 250
DEPTH = 25

State, Outcome = MergeBatch.State, MergeBatchRow.Outcome
# What an undo could not take back is tried again by the next.
_IN_FORCE = (Outcome.MERGED, Outcome.KEPT)


@transaction.atomic
def undo_batch(*, batch_id: int, actor: Actor) -> MergeBatch:
    """Undo the merges of a batch that has ended, in the background. What cannot be undone is reported and stays.

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
        permission=PERMISSION if actor.user_id or actor.key_id else "",
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


def _place(job: Job) -> str:
    return f"merge {job.done + 1:,} of {job.total or 0:,}"


@handler(KIND, on_end=_end, position=_place)
def step(chunk: Chunk) -> bool:
    """Some merges, the latest first, in the transaction that moves the cursor. What is refused does not keep the others."""
    size = CHUNK if chunk.tries == 1 else 1
    batch = MergeBatch.objects.select_related("source").get(pk=chunk.params["batch"])
    merged = batch.rows.filter(outcome__in=_IN_FORCE).select_related("merge")
    if (before := chunk.cursor.get("before")) is not None:
        merged = merged.filter(position__lt=before)
    found = list(merged.annotate(person=F("merge__loser__canonical_id")).order_by("-position")[:size])
    if not found:
        return False
    rows = _not_too_deep(found)
    with chunk.commit(cursor={"before": rows[-1].position}, done=len(rows)) as progress:
        told = _undo(rows, chunk, batch)
        note(told)
        undone = sum(outcome == Outcome.UNDONE for _, outcome, *_ in told)
        was = chunk.job.result
        counts = {
            "undone": was.get("undone", 0) + undone,
            "kept": was.get("kept", 0) + len(told) - undone,
        }
        progress.result = counts
        held = MergeBatch.objects.select_for_update(no_key=True).get(pk=batch.pk)
        held.counts, held.state = {**held.counts, **counts}, State.UNDOING
        held.save(update_fields=["counts", "state"])
    return len(found) == size or len(rows) < len(found)


def _not_too_deep(rows: Sequence[MergeBatchRow]) -> Sequence[MergeBatchRow]:
    """As far as nobody has more than ``DEPTH`` merges: one person's are undone one after another."""
    of_person: Counter[int | None] = Counter()
    for place, row in enumerate(rows):
        of_person[row.person] += 1  # type: ignore[attr-defined]
        if of_person[row.person] > DEPTH:  # type: ignore[attr-defined]
            return rows[:place]
    return rows


Told = tuple[int, str, str, str, int | None]


def _undo(rows: Sequence[MergeBatchRow], chunk: Chunk, batch: MergeBatch) -> list[Told]:
    """What became of each, in their order."""
    merges = {row.pk: row.merge for row in rows}
    due = [merge.pk for merge in merges.values() if merge is not None and merge.undone_at is None]
    cause = Cause(Change.Cause.JOB, chunk.job.pk)
    done = unmerge_many(merge_ids=due, actor=actor_of(chunk.job), source=batch.source, cause=cause)
    told: list[Told] = []
    for pk, merge in merges.items():
        outcome, code, reason = _said(merge, done.get(merge.pk) if merge else None)
        told.append((pk, outcome, code, reason[:500], None))
    return told


def _said(merge: Merge | None, done: Unmerged | Refused | None) -> tuple[str, str, str]:
    if merge is None:
        return Outcome.KEPT, "", "The merge is no longer on record."
    if done is None:
        return Outcome.UNDONE, "before", "It had been undone before."
    if isinstance(done, Refused):
        return Outcome.KEPT, "", done.message
    stays = ", ".join(f"{item['field']} ({item['reason']})" for item in done.kept)
    return (Outcome.UNDONE, "stays", f"Stays: {stays}") if stays else (Outcome.UNDONE, "", "")
