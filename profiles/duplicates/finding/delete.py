"""Ids of deleted or erased profiles → what finding duplicates stored about them is removed, in the caller's
transaction.

Names are stored only where several profiles have them (``duckdb_compare.MIN_NAME_HOLDERS``), results of
jobs are counts, and a scan removes its files, so nothing else has to be searched. Set-based.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from profiles.duplicates.finding import clusters, store
from profiles.duplicates.scoring import duckdb_compare
from profiles.models import DuplicatePair, MatchRow


def forget(member_ids: Sequence[int]) -> None:
    """These profiles are deleted: they are compared with nobody, and none of their pairs waits for a
    decision.

    Decided pairs stay. Restored profiles are compared anew. A fixed number of statements.
    """
    ids = list(member_ids)
    _leave_frequent_values(ids)
    store.remove_pairs(ids)
    MatchRow.objects.filter(pk__in=ids).delete()
    clusters.refresh_derived(ids)


def erase(member_ids: Sequence[int]) -> None:
    """These profiles are erased for good: decided pairs go as well, and closed cases no longer name them."""
    ids = list(member_ids)
    forget(ids)
    store.remove_pairs(ids, decided=True)
    DuplicatePair.objects.filter(through_id__in=ids).update(through=None)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE profiles_duplicatecase c SET updated_at = now(), anchor = CASE WHEN anchor = ANY(%(ids)s) THEN NULL"
            " ELSE anchor END, members = ARRAY(SELECT one FROM unnest(c.members) one WHERE one <> ALL(%(ids)s))"
            " WHERE members && %(ids)s::bigint[]",
            {"ids": ids},
        )


def _leave_frequent_values(ids: list[int]) -> None:
    """Reduce the holders of frequent values; a value that is no longer frequent is deleted."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH gone AS MATERIALIZED (
                SELECT field, value, count(*) AS n FROM (
                    SELECT 'email' AS field, unnest(emails || email) AS value, profile_id FROM profiles_matchrow
                    WHERE profile_id = ANY(%(ids)s)
                    UNION SELECT 'phone', unnest(phones || phone), profile_id FROM profiles_matchrow
                    WHERE profile_id = ANY(%(ids)s)) contact
                WHERE value IS NOT NULL GROUP BY 1, 2
            ), fewer AS (
                UPDATE profiles_frequentvalue c SET holders = c.holders - n FROM gone
                WHERE c.key IS NULL AND c.field = gone.field AND c.value = gone.value AND c.holders - n > %(few)s
            ), few AS (
                DELETE FROM profiles_frequentvalue c USING gone
                WHERE c.key IS NULL AND c.field = gone.field AND c.value = gone.value AND c.holders - n <= %(few)s
            )
            UPDATE profiles_duplicatecase c SET updated_at = now(), size = greatest(c.size - n, 0),
                state = CASE WHEN c.size - n > %(few)s THEN c.state ELSE 'gone' END,
                value = CASE WHEN c.size - n > %(few)s THEN c.value ELSE '' END,
                members = CASE WHEN c.size - n > %(few)s
                    THEN ARRAY(SELECT one FROM unnest(c.members) one WHERE one <> ALL(%(ids)s)) ELSE '{}' END
            FROM gone WHERE c.kind = 'shared_value' AND c.state IN ('open', 'shared') AND c.value = gone.value
            """,
            {"ids": ids, "few": duckdb_compare.MIN_FREQUENT},
        )
