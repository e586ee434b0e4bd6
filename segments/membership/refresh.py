"""The queue of changed profiles, which triggers fill → the memberships of every segment that reads what changed.

The triggers are in migration ``segments/0002_queue``. A batch is one transaction; one worker at a time. Each segment is one
statement over the batch's profiles, within a savepoint: a rule that fails is broken and stops no other.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DataError, connection, transaction

from cdp.locks import Lock, try_take
from profiles.models import Profile
from segments.evaluate.moment import current_moment
from segments.membership.address_holders import with_address_holders
from segments.membership.batches import SLICE_SECONDS, repeat
from segments.membership.live_rules import LiveSegment, live_segments, mark_broken, unanswerable
from segments.membership.merged import give_back, inheriting, settle_gone
from segments.membership.write import Reason, Turnover, follow, write_some
from segments.models import QueueEntry
from segments.moments import Moment

BATCH = 1_000


@dataclass(slots=True)
class Batch:
    """What was taken off the queue. ``reasons``: profile → token → the latest reason of it; ``since``: the earliest."""

    reasons: dict[int, dict[str, Reason]] = field(default_factory=lambda: defaultdict(dict))
    roots: dict[int, int] = field(default_factory=dict)
    gone: frozenset[int] = frozenset()
    entries: int = 0
    since: datetime | None = None


def work_off(*, seconds: float = SLICE_SECONDS) -> int:
    """Empty the queue, a batch per transaction, for this long; how many entries were taken. A second worker returns at once."""
    return repeat(_batch, seconds)


@transaction.atomic
def _batch() -> int:
    if not try_take(Lock.SEGMENTS):
        return 0
    batch = _claim()
    if batch.entries:
        segments = live_segments()
        with_address_holders(batch.reasons, segments, batch.since)
        _find_roots(batch)
        moment = current_moment()
        for segment in segments:
            refresh(segment, batch, moment)
    return batch.entries


def _claim() -> Batch:
    """Take entries off the queue; they come back if this transaction fails."""
    batch = Batch()
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH taken AS MATERIALIZED (SELECT id FROM segments_queueentry ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)"
            " DELETE FROM segments_queueentry q USING taken WHERE q.id = taken.id"
            " RETURNING q.id, q.profile_id, q.reads, q.cause, q.cause_id, coalesce(q.at, q.queued_at)",
            [BATCH],
        )
        rows = sorted(cursor.fetchall())
    for _, profile_id, reads, cause, cause_id, at in rows:
        for token in reads:
            batch.reasons[profile_id][token] = Reason(cause, cause_id, at)
    batch.entries = len(rows)
    batch.since = min((at for *_, at in rows), default=None)
    return batch


def _find_roots(batch: Batch) -> None:
    """Where each profile of the batch belongs now, and which of them are no surviving ones any more. One query."""
    rows = Profile.objects.filter(pk__in=batch.reasons).values_list("pk", "canonical_id", "status")
    known = {pk: (root, status) for pk, root, status in rows}
    batch.roots = {pk: root for pk, (root, _) in known.items()}
    batch.gone = frozenset(pk for pk, (_, status) in known.items() if status != Profile.Status.LIVE)


def refresh(segment: LiveSegment, batch: Batch, moment: Moment) -> None:
    """Compare the batch's profiles that changed in what this segment reads."""
    reasons: dict[int, Reason] = {}
    gone: dict[int, Reason] = {}
    for profile_id, by_token in batch.reasons.items():
        relevant = [reason for token, reason in by_token.items() if segment.is_concerned(token)]
        if not relevant or profile_id not in batch.roots:
            continue
        latest = max(relevant, key=_when)
        root_id = batch.roots[profile_id]
        if profile_id in batch.gone:
            gone[profile_id] = latest
        if root_id not in reasons or _when(reasons[root_id]) <= _when(latest):
            reasons[root_id] = latest
    if not reasons:
        return
    try:
        with transaction.atomic():
            give_back(segment, list(reasons))
            heirs = inheriting(segment, gone, batch.roots)
            write_some(segment, reasons, moment, heirs=heirs)
            ended = settle_gone(segment, gone, batch.roots)
            follow(segment, Turnover(left=tuple(ended)), gone)
    except DataError as error:
        mark_broken(segment.row, unanswerable(error))


def _when(reason: Reason) -> datetime:
    return reason.at


def queue_length() -> int:
    """How many entries the queue has."""
    return QueueEntry.objects.count()
