"""Visits, written by tracking calls → first and last seen times of profiles, within seconds.

A call adds a narrow row (``profile_sql.insert_visits``) and locks no profile; a worker takes many over at a time.
"""

from __future__ import annotations

from django.db import connection, transaction

from profiles.identity import graph

BATCH = 500

_TAKE_OVER = """
    WITH taken AS (
        DELETE FROM profiles_visit WHERE id IN (SELECT id FROM profiles_visit ORDER BY id LIMIT %s)
        RETURNING profile_id, since, until
    ), seen AS (
        SELECT m.canonical_id AS id, min(taken.since) AS since, max(taken.until) AS until
        FROM taken JOIN profiles_profile m ON m.id = taken.profile_id GROUP BY 1
    ), stale AS (
        SELECT p.id, seen.since, seen.until FROM profiles_profile p JOIN seen ON seen.id = p.id
        WHERE p.first_seen_at IS NULL OR p.last_seen_at IS NULL
            OR seen.since < p.first_seen_at OR seen.until > p.last_seen_at
        ORDER BY p.id FOR NO KEY UPDATE OF p
    ), written AS (
        UPDATE profiles_profile p SET first_seen_at = least(p.first_seen_at, stale.since),
            last_seen_at = greatest(p.last_seen_at, stale.until)
        FROM stale WHERE stale.id = p.id
    )
    SELECT count(*) FROM taken
"""


def apply_visits(*, batches: int = 1_000) -> int:
    """Take over the visits, a batch in a transaction; how many there were. Safe beside other workers."""
    done = 0
    for _ in range(batches):
        count = _batch()
        done += count
        if count < BATCH:
            break
    return done


@graph.retried
@transaction.atomic
def _batch() -> int:
    # Whom a visit belongs to must not change while it is taken over; merges wait for some milliseconds.
    graph.lock_graph()
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_OVER, [BATCH])
        return int(cursor.fetchone()[0])
