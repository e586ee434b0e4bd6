"""Carrying a batch out: some hundred pairs in one transaction, together with the job's cursor.

The pairs of a chunk are joined in memory in their order, chains too, and written by a fixed number of statements:
exactly the rows the single merge writes, one after another. What surprises is skipped with a reason; the rest goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict
from cdp.job_steps import Chunk, actor_of, handler
from cdp.jobs import start_job
from cdp.models import Job
from profiles.journal import Cause
from profiles.merging.batches.batch_state import Crowd, Skip, load
from profiles.merging.batches.freeze import PERMISSION, check_may, find_batch
from profiles.merging.batches.save import Turn, write_turns
from profiles.models import Change, DuplicatePolicy, MergeBatch, MergeBatchRow

KIND = "merges.apply"
# The graph is held while a chunk is written; so many take about a quarter of a second.
CHUNK = 250
SMALLER = 10

State, Outcome = MergeBatch.State, MergeBatchRow.Outcome


@transaction.atomic
def start_batch(*, batch_id: int, actor: Actor, unseen: bool = False) -> MergeBatch:
    """Merge the pairs of a batch that was looked at, in the background.

    ``unseen`` takes one nobody looked at, whose people may have changed since it was made. Raises NotFound,
    Forbidden; Conflict for a batch that was started, discarded or is still being checked.
    """
    check_may(actor)
    batch = find_batch(batch_id, is_locked=True)
    if batch.state != State.READY and not (unseen and batch.state == State.CHECKING and batch.job is None):
        raise Conflict(f"“{batch}” is {batch.get_state_display().lower()}; it cannot be started.")
    job = start_job(
        kind=KIND,
        actor=actor,
        title=batch.title,
        params={"batch": batch.pk},
        permission=PERMISSION if actor.user_id or actor.key_id else "",
        total=batch.rows.filter(outcome=Outcome.WAITING).count(),
        unit="pairs",
    )
    batch.job, batch.state, batch.counts = job, State.MERGING, {}
    MergeBatch.objects.filter(pk=batch.pk).update(job=job, state=batch.state, counts={}, started_at=Now())
    audit.record("merge.batch.start", actor=actor, subject=f"merge_batch:{batch.pk}", detail={"job": job.pk})
    return batch


@transaction.atomic
def discard_batch(*, batch_id: int, actor: Actor) -> MergeBatch:
    """Give a batch up before anything is merged. Raises NotFound, Forbidden, Conflict."""
    check_may(actor)
    batch = find_batch(batch_id, is_locked=True)
    if batch.state != State.READY:
        raise Conflict(f"“{batch}” is {batch.get_state_display().lower()}; only one that waits is discarded.")
    batch.state = State.DISCARDED
    MergeBatch.objects.filter(pk=batch.pk).update(state=State.DISCARDED, finished_at=Now())
    audit.record("merge.batch.discard", actor=actor, subject=f"merge_batch:{batch.pk}")
    return batch


def _end(job: Job) -> None:
    """Said by the state of the batch: everything was tried, or it stopped half way."""
    state = State.DONE if job.state == Job.State.DONE else State.STOPPED
    MergeBatch.objects.filter(job=job).update(state=state, finished_at=Now())


def _place(job: Job) -> str:
    return f"pair {job.cursor.get('after', 0) + 1:,}"


@handler(KIND, on_end=_end, position=_place)
def step(chunk: Chunk) -> bool:
    """The next pairs, merged or skipped in the transaction that moves the cursor."""
    size = CHUNK if chunk.tries == 1 else SMALLER
    batch = MergeBatch.objects.select_related("source").get(pk=chunk.params["batch"])
    waiting = batch.rows.filter(outcome=Outcome.WAITING, position__gt=chunk.cursor.get("after", 0))
    rows = list(waiting.order_by("position")[:size])
    if not rows:
        return False
    with chunk.commit(cursor={"after": rows[-1].position}, done=len(rows)) as progress:
        if batch.origin == MergeBatch.Origin.RULE and not DuplicatePolicy.current().auto_merge:
            skip = Skip("off", "Automatic merging was switched off before its turn came.")
            turns = [Turn(row, skip) for row in rows]
            write_turns(turns, Crowd(), **_by(chunk, batch))
        else:
            turns = _merge(rows, chunk, batch)
        merged = sum(not isinstance(turn.outcome, Skip) for turn in turns)
        before = chunk.job.result
        counts = {
            "merged": before.get("merged", 0) + merged,
            "skipped": before.get("skipped", 0) + len(turns) - merged,
        }
        progress.result = counts
        MergeBatch.objects.filter(pk=batch.pk).update(state=State.MERGING, counts=counts)
    return len(rows) == size


def _merge(rows: Sequence[MergeBatchRow], chunk: Chunk, batch: MergeBatch) -> list[Turn]:
    crowd = load(rows, is_locked=True, job_id=chunk.job.pk)
    turns = [Turn(row, crowd.play(row)) for row in rows]
    write_turns(turns, crowd, **_by(chunk, batch))
    return turns


def _by(chunk: Chunk, batch: MergeBatch) -> dict[str, Any]:
    job = chunk.job
    cause = Cause(Change.Cause.JOB, job.pk)
    return {"actor": actor_of(job), "source": batch.source, "cause": cause, "job_id": job.pk}
