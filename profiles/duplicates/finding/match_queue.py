"""The queue of changed profiles, which triggers fill → their match rows, pairs and cases, updated within
seconds.

The triggers are in migration ``profiles/0002_match_queue``. The few rows of an edit or a call never wait
behind the thousands of an import. Rows of imports are left alone while one is being applied (they would be
compared several times, and slow it down); when there are many, one scan compares all of them. None waits
longer than ``MAX_WAIT``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from cdp.actors import Actor
from cdp.models import Job
from profiles.duplicates.finding import clusters, full_scan, incremental, match_rows, store
from profiles.identity import graph
from profiles.models import DuplicatePair, MatchBase, MatchQueue, Tier

BATCH = 200
# A queue this long, or with this share of all profiles, comes from an import: one scan is faster than batches.
SCAN_FROM, SCAN_FROM_SHARE = 20_000, 0.05
# A transaction with at most this many entries is an edit, with more an import's chunk.
MAX_EDIT_ENTRIES = 50
MAX_WAIT = timedelta(minutes=10)
# How long a worker empties the queue before other tasks get their turn: half of the time between two runs.
SLICE_SECONDS = 5.0
IMPORT_KIND = "import.apply"


def work_off(*, seconds: float = SLICE_SECONDS) -> int:
    """Empty the queue, a batch per transaction, for this long; how many profiles were compared.

    One worker at a time: a second one returns at once.
    """
    reopen_postponed()
    bulk_too = _is_bulk_due()
    done, deadline = 0, time.monotonic() + seconds
    while count := _batch(few_only=True) or (_batch(few_only=False) if bulk_too else 0):
        done += count
        if time.monotonic() > deadline:
            break
    return done


@graph.retried
@transaction.atomic
def _batch(*, few_only: bool) -> int:
    if not store.lock_comparison(wait=False):
        return 0
    ids = _claim(BATCH, few_only=few_only)
    if ids:
        refresh(ids)
    return len(ids)


def _claim(limit: int, *, few_only: bool) -> list[int]:
    """Take entries off the queue; they come back if this transaction fails."""
    of_edits = (
        "SELECT q.id FROM profiles_matchqueue q JOIN (SELECT xact FROM profiles_matchqueue"
        f" GROUP BY xact HAVING count(*) <= {MAX_EDIT_ENTRIES}) few USING (xact) ORDER BY q.id LIMIT %s"
        " FOR UPDATE OF q SKIP LOCKED"
    )
    of_all = "SELECT id FROM profiles_matchqueue ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"
    with connection.cursor() as cursor:
        cursor.execute(
            # Materialized: a plan that evaluates the subquery once per row would take more than the limit.
            f"WITH taken AS MATERIALIZED ({of_edits if few_only else of_all}) DELETE FROM profiles_matchqueue q"
            " USING taken WHERE q.id = taken.id RETURNING q.profile_id",
            [limit],
        )
        return sorted({profile_id for (profile_id,) in cursor.fetchall()})


def _is_bulk_due() -> bool:
    """Whether the rows of imports are to be compared in batches now; starts a scan where that is better. A
    few queries.
    """
    limit = max(SCAN_FROM, int(MatchBase.current().people * SCAN_FROM_SHARE))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), clock_timestamp() - min(queued_at) FROM"
            " (SELECT queued_at FROM profiles_matchqueue ORDER BY id LIMIT %s) q",
            [limit + 1],
        )
        count, age = cursor.fetchone()
    if count <= MAX_EDIT_ENTRIES:
        return True
    if age < MAX_WAIT and Job.objects.filter(kind=IMPORT_KIND, state=Job.State.RUNNING).exists():
        return False
    if count <= limit or not _may_scan():
        return True
    full_scan.start_scan(actor=Actor.system())
    return False


def _may_scan() -> bool:
    """Not while the last scan is paused, nor within an hour after one that failed or was canceled."""
    last = Job.objects.filter(kind=full_scan.KIND).order_by("-pk").first()
    if last is None or last.state == Job.State.DONE:
        return True
    if last.finished_at is not None:
        return last.finished_at < timezone.now() - timedelta(hours=1)
    return last.state != Job.State.PAUSED


def refresh(ids: Sequence[int]) -> list[int]:
    """Update match rows, pairs and cases of these profiles, in the caller's transaction. Their surviving
    ids.

    A fixed number of queries for any number of profiles; fewer where none has pairs.
    """
    roots = match_rows.roots_of(ids)
    rows = match_rows.build(roots)
    match_rows.store(roots, rows)
    pairs = incremental.find_pairs(rows)
    counts = store.store_changed(pairs, roots=roots)
    # Most profiles have no pairs before and after, so nothing follows from them.
    if counts.before or any(pair.classified.tier != Tier.RELATED for pair in pairs):
        clusters.refresh_derived(roots)
    return roots


def reopen_postponed() -> int:
    """Reopen pairs whose postponement has ended. One statement."""
    due = DuplicatePair.objects.filter(verdict=DuplicatePair.Verdict.LATER, later_until__lte=Now())
    return due.update(verdict=DuplicatePair.Verdict.OPEN, later_until=None)


def queue_length() -> int:
    """How many entries the queue has."""
    return MatchQueue.objects.count()
