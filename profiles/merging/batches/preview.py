"""Looking at a whole batch: the same playing in memory as the merge's, nothing locked and nobody changed.

What cannot be merged is marked as skipped right away, with the reason; of everybody else the version is noted, so
that a change between the look and the merge shows.
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
from profiles.consent.ledger import Current, Decision, current_consents, decide
from profiles.merging.batches.batch_state import KINDS, Crowd, Skip, add
from profiles.merging.batches.freeze import PERMISSION, check_may, find_batch
from profiles.merging.merge_plan import Joined
from profiles.models import MergeBatch, MergeBatchRow, Profile
from profiles.values.merged_fields import is_empty

KIND = "merges.preview"
# Looked at within the request; more in the background.
INLINE = 200
PAGE = 1_000

State, Outcome = MergeBatch.State, MergeBatchRow.Outcome
Consents = Mapping[tuple[str, str], Current]


@dataclass(slots=True)
class Seen:
    """What the merges of a batch would do, added up.

    ``fields``: where both had a value and the winner's stays; ``filled``: where the winner had none;
    ``consents``: where the two had decided differently; ``moved``: what comes over, by kind.
    """

    merges: int = 0
    winners: set[int] = field(default_factory=set)
    skipped: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    filled: Counter[str] = field(default_factory=Counter)
    consents: int = 0
    moved: Counter[str] = field(default_factory=Counter)
    held: dict[int, Consents] = field(default_factory=dict)

    def note(self, joined: Joined) -> None:
        self.merges += 1
        self.winners.add(joined.winner_id)
        self.winners.discard(joined.loser_id)
        for key, outcome in joined.outcomes.items():
            if outcome.rule == "winner" and not is_empty(joined.other.get(key)):
                self.fields[key] += 1
            elif outcome.rule == "fill":
                self.filled[key] += 1
        self.moved.update(joined.moved)
        self._note_consents(joined)

    def _note_consents(self, joined: Joined) -> None:
        left, right = self.held.get(joined.winner_id, {}), self.held.pop(joined.loser_id, {})
        both = {key: (left[key], right[key]) for key in left.keys() & right.keys()}
        self.consents += sum(one.state != other.state for one, other in both.values())
        together = {key: _together(one, other) for key, (one, other) in both.items()}
        self.held[joined.winner_id] = {**right, **left, **together}

    def as_json(self) -> dict[str, Any]:
        return {
            "merges": self.merges,
            "people": len(self.winners),
            "skipped": dict(self.skipped.most_common()),
            "fields": dict(self.fields.most_common()),
            "filled": dict(self.filled.most_common()),
            "consents": self.consents,
            "moved": {kind: self.moved[kind] for kind in KINDS},
            # No segments yet to enter or leave; named so that readers need not change.
            "segments": {"entered": 0, "left": 0},
        }


def _together(*sides: Current) -> Current:
    now = timezone.now()
    return decide([Decision(side.state, side.at, side.at or now, side.source) for side in sides])


@transaction.atomic
def preview_batch(*, batch_id: int, actor: Actor) -> MergeBatch:
    """Look at every pair of a new batch: at once up to ``INLINE``, else as a job (``batch.job``).

    Raises NotFound, Forbidden; Conflict when it was looked at already.
    """
    check_may(actor)
    batch = find_batch(batch_id, is_locked=True)
    if batch.state != State.CHECKING or batch.job is not None:
        raise Conflict(f"“{batch}” is {batch.get_state_display().lower()}; it was looked at already.")
    if batch.size <= INLINE:
        _store(batch, _look(batch))
        return find_batch(batch_id)
    batch.job = start_job(
        kind=KIND,
        actor=actor,
        title=f"Check: {batch.title}"[:200],
        params={"batch": batch.pk},
        permission=PERMISSION if actor.user_id or actor.key_id else "",
        total=batch.size,
        unit="pairs",
    )
    MergeBatch.objects.filter(pk=batch.pk).update(job=batch.job)
    return batch


def preview_of(batch: MergeBatch) -> dict[str, Any]:
    """What a batch would do, added up, and nothing written down: for a rehearsal."""
    return _look(batch).seen.as_json()


@dataclass(frozen=True, slots=True)
class _Looked:
    seen: Seen
    skips: list[tuple[int, Skip]]
    versions: list[tuple[int, int | None, int | None]]


def _look(batch: MergeBatch, chunk: Chunk | None = None) -> _Looked:
    """Play all pairs, a page of them at a time; people no later page is about are forgotten on the way."""
    rows = list(batch.rows.order_by("position"))
    last = _last_use(rows)
    crowd, looked = Crowd(), _Looked(Seen(), [], [])
    for start in range(0, len(rows), PAGE):
        page = rows[start : start + PAGE]
        fresh = add(crowd, page)
        looked.seen.held.update(current_consents(fresh) if fresh else {})
        for row in page:
            looked.versions.append(
                (row.pk, crowd.versions.get(row.winner_id), crowd.versions.get(row.loser_id))
            )
            _play(row, crowd, looked, last)
        _forget(crowd, looked.seen, last, start + PAGE)
        if chunk is not None:
            chunk.keep_alive()
    return looked


def _play(row: MergeBatchRow, crowd: Crowd, looked: _Looked, last: dict[int, int]) -> None:
    outcome = crowd.play(row)
    if isinstance(outcome, Skip):
        looked.seen.skipped[outcome.code] += 1
        looked.skips.append((row.pk, outcome))
    else:
        looked.seen.note(outcome)
        last[outcome.winner_id] = max(last[outcome.winner_id], last[outcome.loser_id])


def _last_use(rows: Sequence[MergeBatchRow]) -> dict[int, int]:
    """``{root: position of the last pair about one of its profiles}``. One query."""
    ids = {pk for row in rows for pk in (row.winner_id, row.loser_id)}
    roots = dict(Profile.objects.filter(pk__in=ids).values_list("pk", "canonical_id"))
    last: dict[int, int] = {}
    for row in rows:
        for pk in (row.winner_id, row.loser_id):
            if pk in roots:
                last[roots[pk]] = row.position
    return last


def _forget(crowd: Crowd, seen: Seen, last: dict[int, int], position: int) -> None:
    for root in [root for root in crowd.rows if last.get(root, 0) <= position]:
        for known in (crowd.rows, crowd.members, crowd.counts, crowd.against, seen.held):
            known.pop(root, None)


def _store(batch: MergeBatch, looked: _Looked) -> None:
    """Three statements."""
    run(
        "UPDATE profiles_mergebatchrow r SET winner_version = v.winner, loser_version = v.loser"
        " FROM unnest(%b::bigint[], %b::int[], %b::int[]) AS v (id, winner, loser) WHERE r.id = v.id",
        [list(column) for column in zip(*looked.versions, strict=True)],
    )
    run(
        f"UPDATE profiles_mergebatchrow r SET outcome = '{Outcome.SKIPPED}', code = v.code, reason = v.reason"
        " FROM unnest(%b::bigint[], %b::text[], %b::text[]) AS v (id, code, reason) WHERE r.id = v.id",
        [
            [pk for pk, _ in looked.skips],
            [skip.code for _, skip in looked.skips],
            [skip.reason[:500] for _, skip in looked.skips],
        ],
    )
    preview = looked.seen.as_json()
    MergeBatch.objects.filter(pk=batch.pk).update(state=State.READY, preview=preview)


def _end(job: Job) -> None:
    """A look that failed leaves nothing to confirm."""
    if job.state != Job.State.DONE:
        MergeBatch.objects.filter(job=job, state=State.CHECKING).update(state=State.DISCARDED)


@handler(KIND, on_end=_end)
def step(chunk: Chunk) -> bool:
    """All of it in one step: a worker that dies begins anew, nothing was changed."""
    batch = MergeBatch.objects.get(pk=chunk.params["batch"])
    looked = _look(batch, chunk)
    with chunk.commit(done=batch.size, result={"merges": looked.seen.merges}):
        _store(batch, looked)
    return False
