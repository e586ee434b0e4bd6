"""A confirmed batch → its merges, some hundred pairs in one transaction together with the job's cursor.

The pairs of a chunk are merged in memory in their order, chains too, and written by a fixed number of statements:
exactly the rows the single merge writes, one after another. A pair that cannot be merged is skipped with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from cdp import audit, webhooks
from cdp.actors import Actor
from cdp.errors import Conflict
from cdp.job_steps import Chunk, actor_of, handler
from cdp.jobs import start_job
from cdp.models import Job
from cdp.sql import run
from profiles.identity import graph
from profiles.journal import Cause, record_many
from profiles.merging.batches.batch_state import BatchState, Skip, load
from profiles.merging.batches.freeze import PERMISSION, check_may, find_batch
from profiles.merging.merge import save_rows
from profiles.merging.merge_plan import MergePlan
from profiles.models import Change, DuplicatePair, DuplicatePolicy, Merge, MergeBatch, MergeBatchRow, Source

KIND = "merges.apply"
# The graph is locked while a chunk is written; so many take about a quarter of a second.
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
        permission=PERMISSION,
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
    """The state of the batch says whether every pair was tried or it stopped half way."""
    state = State.DONE if job.state == Job.State.DONE else State.STOPPED
    MergeBatch.objects.filter(job=job).update(state=state, finished_at=Now())


def _position_text(job: Job) -> str:
    return f"pair {job.cursor.get('after', 0) + 1:,}"


@handler(KIND, on_end=_end, position=_position_text)
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
            outcomes = [PairOutcome(row, skip) for row in rows]
            save_outcomes(outcomes, BatchState(), **_by(chunk, batch))
        else:
            outcomes = _merge(rows, chunk, batch)
        merged = sum(not isinstance(pair.outcome, Skip) for pair in outcomes)
        before = chunk.job.result
        counts = {
            "merged": before.get("merged", 0) + merged,
            "skipped": before.get("skipped", 0) + len(outcomes) - merged,
        }
        progress.result = counts
        MergeBatch.objects.filter(pk=batch.pk).update(state=State.MERGING, counts=counts)
    return len(rows) == size


def _merge(rows: Sequence[MergeBatchRow], chunk: Chunk, batch: MergeBatch) -> list[PairOutcome]:
    state = load(rows, is_locked=True, job_id=chunk.job.pk)
    outcomes = [PairOutcome(row, state.apply(row)) for row in rows]
    save_outcomes(outcomes, state, **_by(chunk, batch))
    return outcomes


def _by(chunk: Chunk, batch: MergeBatch) -> dict[str, Any]:
    job = chunk.job
    cause = Cause(Change.Cause.JOB, job.pk)
    return {"actor": actor_of(job), "source": batch.source, "cause": cause, "job_id": job.pk}


# --- Writing a chunk ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PairOutcome:
    """One pair of a batch and what became of it in memory."""

    row: MergeBatchRow
    outcome: MergePlan | Skip


def save_outcomes(
    outcomes: Sequence[PairOutcome],
    state: BatchState,
    *,
    actor: Actor,
    source: Source,
    cause: Cause,
    job_id: int,
) -> None:
    """Write everything the merges do, as the single merge does, and what became of each pair. A fixed number of statements."""
    plans = [pair.outcome for pair in outcomes if isinstance(pair.outcome, MergePlan)]
    merges: list[Merge] = []
    if plans:
        _overrule(state, plans, actor)
        # Each row once, however many losers it took in.
        save_rows([state.rows[pk] for pk in sorted({plan.winner_id for plan in plans})])
        # Along a chain every loser points at the profile that survives in the end.
        graph.absorb({plan.loser_id: state.current_root(plan.loser_id) for plan in plans})
        merges = Merge.objects.bulk_create(
            [plan.merge_row(actor=actor, source=source, cause=cause, job_id=job_id) for plan in plans]
        )
        _record([(merge.pk, plan) for merge, plan in zip(merges, plans, strict=True)], actor, source)
    _save_row_outcomes(outcomes, [merge.pk for merge in merges])


def _overrule(state: BatchState, plans: Sequence[MergePlan], actor: Actor) -> None:
    """Every duplicate pair within a profile that was merged is decided. One statement."""
    touched = {state.current_root(plan.winner_id) for plan in plans}
    members = [(pk, state.root_of[pk], root) for root in touched for pk in set(state.members[root])]
    run(
        f"""
        UPDATE profiles_duplicatepair d
        SET verdict = '{DuplicatePair.Verdict.MERGED}', user_id = %(user)s::bigint, key_id = %(key)s::bigint,
            decided_at = now()
        FROM unnest(%(id)b::bigint[], %(was)b::bigint[], %(root)b::bigint[]) AS a (id, was, root)
        JOIN unnest(%(id)b::bigint[], %(was)b::bigint[], %(root)b::bigint[]) AS b (id, was, root)
            ON a.root = b.root AND a.was <> b.was
        WHERE d.a_id = a.id AND d.b_id = b.id AND d.verdict <> '{DuplicatePair.Verdict.MERGED}'
        """,
        {
            "user": actor.user_id,
            "key": actor.key_id,
            "id": [pk for pk, _, _ in members],
            "was": [was for _, was, _ in members],
            "root": [root for _, _, root in members],
        },
    )


def _record(merges: Sequence[tuple[int, MergePlan]], actor: Actor, source: Source) -> None:
    """Journal, audit and outbox, in the order of the merges."""
    entries = [entry for merge_id, plan in merges for entry in plan.journal_entries(merge_id)]
    record_many(entries=entries, actor=actor, source=source)
    audit.record_many(
        "profile.merge",
        actor=actor,
        subjects=[f"profile:{plan.winner_id}" for _, plan in merges],
        details=[plan.audit_detail(merge_id) for merge_id, plan in merges],
    )
    messages = [(plan.winner_id, plan.webhook_payload(merge_id)) for merge_id, plan in merges]
    webhooks.publish_many("profile.merged", items=messages, other_ids=[plan.loser_id for _, plan in merges])


def _save_row_outcomes(outcomes: Sequence[PairOutcome], merge_ids: Sequence[int]) -> None:
    merges = iter(merge_ids)
    Outcome = MergeBatchRow.Outcome
    rows: list[tuple[int, str, str, str, int | None]] = []
    for pair in outcomes:
        if isinstance(pair.outcome, Skip):
            rows.append((pair.row.pk, Outcome.SKIPPED, pair.outcome.code, pair.outcome.reason[:500], None))
        else:
            rows.append((pair.row.pk, Outcome.MERGED, "", "", next(merges)))
    save_row_outcomes(rows)


def save_row_outcomes(rows: Sequence[tuple[int, str, str, str, int | None]]) -> None:
    """Write ``(id, outcome, code, reason, merge id)`` of rows of a batch; no merge id leaves the one there is."""
    run(
        """
        UPDATE profiles_mergebatchrow r
        SET outcome = v.outcome, code = v.code, reason = v.reason, merge_id = coalesce(v.merge_id, r.merge_id)
        FROM unnest(%(id)b::bigint[], %(outcome)b::text[], %(code)b::text[], %(reason)b::text[], %(merge)b::bigint[])
            AS v (id, outcome, code, reason, merge_id)
        WHERE r.id = v.id
        """,
        {
            "id": [pk for pk, *_ in rows],
            "outcome": [str(outcome) for _, outcome, *_ in rows],
            "code": [code for _, _, code, *_ in rows],
            "reason": [reason for *_, reason, _ in rows],
            "merge": [merge_id for *_, merge_id in rows],
        },
    )
