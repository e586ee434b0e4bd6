"""Who changed is compared anew: the queue the triggers write, emptied by workers within seconds."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from profiles.duplicates import candidates, cases, pairs, rows
from profiles.models import DuplicatePair, MatchQueue

BATCH = 200
# A queue this long comes from an import: its people are compared by the scan it ends with, all at once.
CROWDED = 20_000


def work_off(*, batches: int = 50) -> int:
    """Empty the queue, a batch in a transaction; how many people were looked at. Safe beside other workers."""
    done = 0
    for _ in range(batches):
        count = _batch()
        if count == 0:
            break
        done += count
    wake_later()
    return done


@transaction.atomic
def _batch() -> int:
    ids = _claim(BATCH)
    return len(refresh(ids)) if ids else 0


def _claim(most: int) -> list[int]:
    """Take entries off the queue; another worker's are passed over, and come back if this transaction fails."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM profiles_matchqueue WHERE id IN (SELECT id FROM profiles_matchqueue ORDER BY id LIMIT %s"
            " FOR UPDATE SKIP LOCKED) RETURNING profile_id",
            [most],
        )
        return sorted({profile_id for (profile_id,) in cursor.fetchall()})


def refresh(ids: Sequence[int]) -> list[int]:
    """Bring rows, pairs and cases of these people up to date, in the caller's transaction. Their surviving ids.

    A fixed number of queries for any number of people.
    """
    roots = rows.roots_of(ids)
    built = rows.build(roots)
    rows.store(roots, built)
    pairs.stage(candidates.find(built, also=_suggested(roots)))
    pairs.take_over(DuplicatePair.FoundBy.CHANGE, people=roots)
    cases.refresh(roots)
    return roots


def _suggested(roots: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs doors and people suggested, which are compared whether they share a key or not."""
    found = DuplicatePair.objects.filter(
        Q(a_id__in=roots) | Q(b_id__in=roots),
        verdict__in=[DuplicatePair.Verdict.OPEN, DuplicatePair.Verdict.LATER],
    ).exclude(found_by__in=[DuplicatePair.FoundBy.SCAN, DuplicatePair.FoundBy.CHANGE])
    return list(found.values_list("a_id", "b_id"))


def wake_later() -> int:
    """Pairs put off until now come back into the queue. One statement."""
    due = DuplicatePair.objects.filter(verdict=DuplicatePair.Verdict.LATER, later_until__lte=Now())
    return due.update(verdict=DuplicatePair.Verdict.OPEN, later_until=None)


def waiting() -> int:
    """How many entries the queue holds."""
    return MatchQueue.objects.count()
