"""A batch → what became of its pairs: counts by reason, and the pairs left out, as rows or a CSV file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet

from cdp.spreadsheets import BOM, as_csv
from profiles.merging.batches.batch_state import CODES
from profiles.models import MergeBatch, MergeBatchRow

Outcome = MergeBatchRow.Outcome
# What somebody may have to look at: left out, not taken back, or taken back with something to say (a code).
LEFT = (Outcome.SKIPPED, Outcome.KEPT)
_HEADER = ("position", "line", "winner", "loser", "outcome", "code", "reason")
_BLOCK = 2_000


@dataclass(frozen=True, slots=True)
class Reason:
    """How many pairs were skipped, could not be undone or were with a reserve, for one reason; ``text`` for people."""

    code: str
    text: str
    count: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many pairs have each outcome, and why some were left out, the most frequent first."""

    by_outcome: dict[str, int]
    reasons: list[Reason]

    def count(self, outcome: str) -> int:
        return self.by_outcome.get(outcome, 0)


def tally(batch: MergeBatch) -> Tally:
    """One query."""
    groups = batch.rows.order_by().values_list("outcome", "code").annotate(count=Count("pk"))
    by_outcome: dict[str, int] = {}
    reasons = []
    for outcome, code, count in groups:
        by_outcome[outcome] = by_outcome.get(outcome, 0) + count
        if outcome in LEFT or code:
            reasons.append(Reason(code, CODES.get(code, "could not be undone"), count))
    return Tally(by_outcome, sorted(reasons, key=lambda reason: (-reason.count, reason.code)))


def left_rows(batch: MergeBatch) -> QuerySet[MergeBatchRow]:
    """The pairs that were left out, or are not back all the way, in their order."""
    return batch.rows.filter(Q(outcome__in=LEFT) | ~Q(code="")).order_by("position")


def left_csv(batch: MergeBatch) -> Iterator[bytes]:
    """``left_rows`` as a file, some thousand rows at a time. Winner and loser as a file of pairs takes them."""
    yield BOM + as_csv([_HEADER])
    after = 0
    while rows := list(left_rows(batch).filter(position__gt=after)[:_BLOCK]):
        after = rows[-1].position
        yield as_csv([_csv_row(row) for row in rows])


def _csv_row(row: MergeBatchRow) -> tuple[str, ...]:
    line = "" if row.line is None else str(row.line)
    sides = (f"#{row.winner_id}", f"#{row.loser_id}")
    return (str(row.position), line, *sides, row.outcome, row.code, row.reason)
