"""A new batch → what its merges would do, added up: applied in memory as the merges are, nothing locked or changed.

What cannot be merged is marked as skipped right away, with the reason; of every other profile the version is noted,
so that a change between the preview and the merge is noticed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from cdp.actors import Actor
from cdp.errors import Conflict
from cdp.job_steps import Chunk, handler
from cdp.jobs import start_job
from cdp.models import Job
from cdp.sql import run
from profiles.consent.ledger import ConsentDecision, CurrentConsent, current_consents, decide
from profiles.merging.batches.batch_state import BatchState, Skip, load_more
from profiles.merging.batches.freeze import PERMISSION, check_may, find_batch
from profiles.merging.merge import MOVED_KINDS
from profiles.merging.merge_plan import MergePlan
from profiles.models import MergeBatch, MergeBatchRow, Profile
from profiles.values.merged_fields import OWN_RULES, is_empty

KIND = "merges.preview"
# So many are previewed within the request; more in the background.
INLINE = 200
PAGE = 1_000

State, Outcome = MergeBatch.State, MergeBatchRow.Outcome
Consents = Mapping[tuple[str, str], CurrentConsent]


@dataclass(slots=True)
class BatchPreview:
    """What the merges of a batch would do, added up.

    ``fields``: where both had a value and the winner's stays; ``filled``: where the winner had none; ``ruled``: where
    both had one and the attribute's own merge rule says what becomes of them;
    ``consents``: where the two had decided differently; ``moved``: what comes over, by kind.
    """

    merges: int = 0
    winners: set[int] = field(default_factory=set)
    skipped: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    filled: Counter[str] = field(default_factory=Counter)
    ruled: Counter[str] = field(default_factory=Counter)
    consents: int = 0
    moved: Counter[str] = field(default_factory=Counter)
    consents_of: dict[int, Consents] = field(default_factory=dict)

    def add_merge(self, plan: MergePlan) -> None:
        self.merges += 1
        self.winners.add(plan.winner_id)
        self.winners.discard(plan.loser_id)
        for key, outcome in plan.outcomes.items():
            if outcome.rule == "winner" and not is_empty(plan.loser_before.get(key)):
                self.fields[key] += 1
            elif outcome.rule == "fill":
                self.filled[key] += 1
            elif outcome.rule in OWN_RULES:
                self.ruled[key] += 1
        self.moved.update(plan.moved)
        self._add_consents(plan)

    def _add_consents(self, plan: MergePlan) -> None:
        left, right = self.consents_of.get(plan.winner_id, {}), self.consents_of.pop(plan.loser_id, {})
        both = {key: (left[key], right[key]) for key in left.keys() & right.keys()}
        self.consents += sum(ours.state != theirs.state for ours, theirs in both.values())
        combined = {key: _combined(*pair) for key, pair in both.items()}
        self.consents_of[plan.winner_id] = {**right, **left, **combined}

    def as_json(self) -> dict[str, Any]:
        return {
            "merges": self.merges,
            "people": len(self.winners),
            "skipped": dict(self.skipped.most_common()),
            "fields": dict(self.fields.most_common()),
            "filled": dict(self.filled.most_common()),
            "ruled": dict(self.ruled.most_common()),
            "consents": self.consents,
            "moved": {kind: self.moved[kind] for kind in MOVED_KINDS},
            # No segments yet to enter or leave; named so that readers need not change.
            "segments": {"entered": 0, "left": 0},
        }


def _combined(*sides: CurrentConsent) -> CurrentConsent:
    now = timezone.now()
    return decide([ConsentDecision(side.state, side.at, side.at or now, side.source) for side in sides])


@transaction.atomic
def preview_batch(*, batch_id: int, actor: Actor) -> MergeBatch:
    """Preview every pair of a new batch: at once up to ``INLINE``, else as a job (``batch.job``).

    Raises NotFound, Forbidden; Conflict when it was looked at already.
    """
    check_may(actor)
    batch = find_batch(batch_id, is_locked=True)
    if batch.state != State.CHECKING or batch.job is not None:
        raise Conflict(f"“{batch}” is {batch.get_state_display().lower()}; it was looked at already.")
    if batch.size <= INLINE:
        _store(batch, _examine(batch))
        return find_batch(batch_id)
    batch.job = start_job(
        kind=KIND,
        actor=actor,
        title=f"Check: {batch.title}"[:200],
        params={"batch": batch.pk},
        permission=PERMISSION,
        total=batch.size,
        unit="pairs",
    )
    MergeBatch.objects.filter(pk=batch.pk).update(job=batch.job)
    return batch


def preview_of(batch: MergeBatch) -> dict[str, Any]:
    """What a batch would do, added up, and nothing written: for a dry run."""
    return _examine(batch).preview.as_json()


@dataclass(frozen=True, slots=True)
class _Examined:
    preview: BatchPreview
    skips: list[tuple[int, Skip]]
    versions: list[tuple[int, int | None, int | None]]


def _examine(batch: MergeBatch, chunk: Chunk | None = None) -> _Examined:
    """Apply all pairs, a page at a time; profiles no later page is about are dropped on the way."""
    rows = list(batch.rows.order_by("position"))
    last_use = _last_use_of(rows)
    state, examined = BatchState(), _Examined(BatchPreview(), [], [])
    for start in range(0, len(rows), PAGE):
        page = rows[start : start + PAGE]
        new_roots = load_more(state, page)
        examined.preview.consents_of.update(current_consents(new_roots) if new_roots else {})
        for row in page:
            examined.versions.append(
                (row.pk, state.versions.get(row.winner_id), state.versions.get(row.loser_id))
            )
            _examine_row(row, state, examined, last_use)
        _drop_finished(state, examined.preview, last_use, start + PAGE)
        if chunk is not None:
            chunk.keep_alive()
    return examined


def _examine_row(
    row: MergeBatchRow, state: BatchState, examined: _Examined, last_use: dict[int, int]
) -> None:
    outcome = state.apply(row)
    if isinstance(outcome, Skip):
        examined.preview.skipped[outcome.code] += 1
        examined.skips.append((row.pk, outcome))
    else:
        examined.preview.add_merge(outcome)
        last_use[outcome.winner_id] = max(last_use[outcome.winner_id], last_use[outcome.loser_id])


def _last_use_of(rows: Sequence[MergeBatchRow]) -> dict[int, int]:
    """``{root: position of the last pair about one of its profiles}``. One query."""
    ids = {pk for row in rows for pk in (row.winner_id, row.loser_id)}
    roots = dict(Profile.objects.filter(pk__in=ids).values_list("pk", "canonical_id"))
    last_use: dict[int, int] = {}
    for row in rows:
        for pk in (row.winner_id, row.loser_id):
            if pk in roots:
                last_use[roots[pk]] = row.position
    return last_use


def _drop_finished(state: BatchState, preview: BatchPreview, last_use: dict[int, int], position: int) -> None:
    for root in [root for root in state.rows if last_use.get(root, 0) <= position]:
        for known in (state.rows, state.members, state.counts, state.objections, preview.consents_of):
            known.pop(root, None)


def _store(batch: MergeBatch, examined: _Examined) -> None:
    """Three statements."""
    run(
        "UPDATE profiles_mergebatchrow r SET winner_version = v.winner, loser_version = v.loser"
        " FROM unnest(%b::bigint[], %b::int[], %b::int[]) AS v (id, winner, loser) WHERE r.id = v.id",
        [list(column) for column in zip(*examined.versions, strict=True)],
    )
    run(
        f"UPDATE profiles_mergebatchrow r SET outcome = '{Outcome.SKIPPED}', code = v.code, reason = v.reason"
        " FROM unnest(%b::bigint[], %b::text[], %b::text[]) AS v (id, code, reason) WHERE r.id = v.id",
        [
            [pk for pk, _ in examined.skips],
            [skip.code for _, skip in examined.skips],
            [skip.reason[:500] for _, skip in examined.skips],
        ],
    )
    preview = examined.preview.as_json()
    MergeBatch.objects.filter(pk=batch.pk).update(state=State.READY, preview=preview)


def _end(job: Job) -> None:
    """A preview that failed leaves nothing to confirm."""
    if job.state != Job.State.DONE:
        MergeBatch.objects.filter(job=job, state=State.CHECKING).update(state=State.DISCARDED)


@handler(KIND, on_end=_end)
def step(chunk: Chunk) -> bool:
    """All of it in one step: after a worker died it begins anew, nothing was changed."""
    batch = MergeBatch.objects.get(pk=chunk.params["batch"])
    examined = _examine(batch, chunk)
    with chunk.commit(done=batch.size, result={"merges": examined.preview.merges}):
        _store(batch, examined)
    return False
