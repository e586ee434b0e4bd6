"""Many pairs → a batch of exactly these: what is confirmed and merged, whatever the queue shows later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Forbidden, Invalid, NotFound
from cdp.plurals import counted
from profiles.merging.suggest_winner import suggest_winners
from profiles.models import DuplicatePair, MergeBatch, Source

PERMISSION = "profiles.bulk_merge"
# So many are previewed in some seconds, and merged in some minutes.
LIMIT = 50_000
_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class BatchPair:
    """``pair_id`` is the row of the duplicates queue, ``line_no`` that of a file, where it came from one."""

    winner_id: int
    loser_id: int
    pair_id: int | None = None
    line_no: int | None = None


def check_may(actor: Actor) -> None:
    if not actor.can(PERMISSION):
        raise Forbidden(f"{actor.name} may not merge many people at once.")


@transaction.atomic
def make_batch(
    pairs: Iterable[BatchPair] | QuerySet[DuplicatePair],
    *,
    title: str = "",
    origin: str = MergeBatch.Origin.QUEUE,
    actor: Actor,
    source: Source,
) -> MergeBatch:
    """Freeze pairs, in their order; nothing is merged yet. A pair named twice is taken once.

    Of a queue's pairs the suggested profile wins, chosen a few thousand at a time. Raises Forbidden; Invalid
    for none or more than ``LIMIT``.
    """
    check_may(actor)
    chosen = list(_unique(_suggested(pairs) if isinstance(pairs, QuerySet) else pairs))
    if not chosen:
        raise _invalid("Choose at least one pair to merge.")
    batch = MergeBatch.objects.create(
        title=(title or f"Merge {counted(len(chosen), 'pairs')}")[:200],
        origin=origin,
        size=len(chosen),
        source=source,
        user_id=actor.user_id,
        key_id=actor.key_id,
    )
    _copy(batch.pk, chosen)
    audit.record(
        "merge.batch.make",
        actor=actor,
        subject=f"merge_batch:{batch.pk}",
        detail={"origin": origin, "pairs": len(chosen)},
    )
    batch.refresh_from_db(fields=["created_at"])
    return batch


def _unique(pairs: Iterable[BatchPair]) -> Iterator[BatchPair]:
    seen: set[tuple[int, int]] = set()
    for pair in pairs:
        if (key := (pair.winner_id, pair.loser_id)) in seen:
            continue
        seen.add(key)
        if len(seen) > LIMIT:
            raise _invalid(f"These are more than {LIMIT:,} pairs. Narrow the choice, or split the file.")
        yield pair


def _suggested(queue: QuerySet[DuplicatePair]) -> Iterator[BatchPair]:
    """Each pair with the suggested winner. One query, and one per 5,000."""
    rows = list(queue.values_list("pk", "a_id", "b_id")[: LIMIT + 1])
    for start in range(0, len(rows), _PAGE):
        page = rows[start : start + _PAGE]
        chosen = suggest_winners([(a, b) for _, a, b in page])
        for (pk, _, _), (winner, loser) in zip(page, chosen, strict=True):
            yield BatchPair(winner, loser, pk)


def _copy(batch_id: int, pairs: Sequence[BatchPair]) -> None:
    columns = "batch_id, position, winner_id, loser_id, pair_id, line, outcome, code, reason"
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY profiles_mergebatchrow ({columns}) FROM STDIN") as copy,
    ):
        for position, pair in enumerate(pairs, 1):
            values = (batch_id, position, pair.winner_id, pair.loser_id, pair.pair_id, pair.line_no)
            copy.write_row((*values, "waiting", "", ""))


def _invalid(message: str) -> Invalid:
    return Invalid([{"field": "pairs", "value": None, "message": message}])


def find_batch(batch_id: int, *, is_locked: bool = False) -> MergeBatch:
    """The batch with its jobs and who made it; NotFound. ``is_locked`` locks its row until the transaction ends."""
    rows: Any = MergeBatch.objects.select_related("job", "undo_job", "user", "key", "source")
    if is_locked:
        rows = rows.select_for_update(no_key=True, of=("self",))
    batch = rows.filter(pk=batch_id).first()
    if batch is None:
        raise NotFound(f"There is no batch {batch_id} of merges.")
    assert isinstance(batch, MergeBatch)  # noqa: S101
    return batch
