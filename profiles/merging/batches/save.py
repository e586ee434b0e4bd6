"""What a playing changed, written: a fixed number of statements for any number of merges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cdp import audit, webhooks
from cdp.actors import Actor
from cdp.sql import run
from profiles.identity import graph
from profiles.journal import Cause, record_many
from profiles.merging.batches.batch_state import Crowd, Skip
from profiles.merging.merge_plan import Joined, audited, entries, merge_row, published
from profiles.merging.save_rows import save_rows
from profiles.models import DuplicatePair, Merge, MergeBatchRow, Source


@dataclass(frozen=True, slots=True)
class Turn:
    """One pair of a batch and what the playing said."""

    row: MergeBatchRow
    outcome: Joined | Skip


def write_turns(
    turns: Sequence[Turn], crowd: Crowd, *, actor: Actor, source: Source, cause: Cause, job_id: int
) -> None:
    """Everything the merges do, as the single merge does it, and what became of each pair of the batch."""
    done = [turn.outcome for turn in turns if isinstance(turn.outcome, Joined)]
    merges: list[Merge] = []
    if done:
        _overrule(crowd, done, actor)
        # Each row once, whatever number of people it took in.
        save_rows([crowd.rows[pk] for pk in sorted({one.winner_id for one in done})])
        # Whom chains merged away points at who survives in the end.
        graph.absorb({one.loser_id: crowd.top(one.loser_id) for one in done})
        merges = Merge.objects.bulk_create(
            [merge_row(one, actor=actor, source=source, cause=cause, job_id=job_id) for one in done]
        )
        _tell([(merge.pk, one) for merge, one in zip(merges, done, strict=True)], actor, source)
    _note_outcomes(turns, [merge.pk for merge in merges])


def _overrule(crowd: Crowd, done: Sequence[Joined], actor: Actor) -> None:
    """Every pair between people who become one is answered."""
    touched = {crowd.top(one.winner_id) for one in done}
    members = [(pk, crowd.start[pk], root) for root in touched for pk in set(crowd.members[root])]
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


def _tell(made: Sequence[tuple[int, Joined]], actor: Actor, source: Source) -> None:
    """Journal, audit and outbox, in the order of the merges."""
    told = [entry for merge_id, one in made for entry in entries(merge_id, one)]
    record_many(entries=told, actor=actor, source=source)
    audit.record_many(
        "profile.merge",
        actor=actor,
        subjects=[f"profile:{one.winner_id}" for _, one in made],
        details=[audited(merge_id, one) for merge_id, one in made],
    )
    messages = [(one.winner_id, published(merge_id, one)) for merge_id, one in made]
    webhooks.publish_many("profile.merged", items=messages)


def _note_outcomes(turns: Sequence[Turn], merge_ids: Sequence[int]) -> None:
    made = iter(merge_ids)
    outcome = MergeBatchRow.Outcome
    rows: list[tuple[int, str, str, str, int | None]] = []
    for turn in turns:
        if isinstance(turn.outcome, Skip):
            rows.append((turn.row.pk, outcome.SKIPPED, turn.outcome.code, turn.outcome.reason[:500], None))
        else:
            rows.append((turn.row.pk, outcome.MERGED, "", "", next(made)))
    note(rows)


def note(rows: Sequence[tuple[int, str, str, str, int | None]]) -> None:
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
