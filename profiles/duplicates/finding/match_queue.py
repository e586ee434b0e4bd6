"""Who changed is compared anew: the queue the triggers write, emptied by workers within seconds.

The few rows of an edit or a call never wait behind the thousands of an import. Those are left alone while imports
are applied (they would be compared several times, and slow the import down), and when they have become many, one
scan compares all of them at once. None waits longer than ``PATIENCE``.
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
# A queue this long, or of this share of all people, comes from an import: a scan is faster than batches.
SCAN_FROM, SCAN_FROM_SHARE = 20_000, 0.05
# Entries of one transaction up to which it is somebody's edit, not an import's chunk.
MAX_EDIT_ENTRIES = 50
MAX_WAIT = timedelta(minutes=10)
# How long a worker stays at it before others' jobs have their turn; half of the time between two calls.
SLICE_SECONDS = 5.0
IMPORT_KIND = "import.apply"


def work_off(*, seconds: float = SLICE_SECONDS) -> int:
    """Empty the queue, a batch in a transaction, for so long; how many people were looked at.

    One worker at a time: of two, the second goes home.
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
            # Materialized: a plan that looks for the rows once for each would take more than so many.
            f"WITH taken AS MATERIALIZED ({of_edits if few_only else of_all}) DELETE FROM profiles_matchqueue q"
            " USING taken WHERE q.id = taken.id RETURNING q.profile_id",
            [limit],
        )
        return sorted({profile_id for (profile_id,) in cursor.fetchall()})


def _is_bulk_due() -> bool:
    """Whether what imports changed is for batches, now; starts a scan when it is for that. Some queries."""
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
    """Not while somebody paused the last scan, nor right after one that failed or was called off."""
    last = Job.objects.filter(kind=full_scan.KIND).order_by("-pk").first()
    if last is None or last.state == Job.State.DONE:
        return True
    if last.finished_at is not None:
        return last.finished_at < timezone.now() - timedelta(hours=1)
    return last.state != Job.State.PAUSED


def refresh(ids: Sequence[int]) -> list[int]:
    """Bring rows, pairs and cases of these people up to date, in the caller's transaction. Their surviving ids.

    A fixed number of queries for any number of people; fewer where nobody is linked to anybody.
    """
    roots = match_rows.roots_of(ids)
    rows = match_rows.build(roots)
    match_rows.store(roots, rows)
    pairs = incremental.find_pairs(rows)
    counts = store.store_changed(pairs, roots=roots)
    # Most people are linked to nobody, and were not: nothing follows from them.
    if counts.before or any(pair.classified.tier != Tier.RELATED for pair in pairs):
        clusters.refresh_derived(roots)
    return roots


def reopen_postponed() -> int:
    """Pairs put off until now come back into the queue. One statement."""
    due = DuplicatePair.objects.filter(verdict=DuplicatePair.Verdict.LATER, later_until__lte=Now())
    return due.update(verdict=DuplicatePair.Verdict.OPEN, later_until=None)


def queue_length() -> int:
    """How many entries the queue holds."""
    return MatchQueue.objects.count()
