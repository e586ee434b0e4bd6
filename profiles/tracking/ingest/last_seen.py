"""When people were last active: noted by the door, taken over into their profiles within seconds.

The door adds a narrow row (``note``); a worker takes them over many at a time (``work_off``), once for each person.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from django.db import connection, transaction

from cdp.sql import ask
from profiles.identity import graph
from profiles.tracking.ingest.candidates import Person

BATCH = 500
_FRESH = datetime.timedelta(minutes=5)

_TAKE_OVER = """
    WITH taken AS (
        DELETE FROM profiles_visit WHERE id IN (SELECT id FROM profiles_visit ORDER BY id LIMIT %s)
        RETURNING profile_id, since, until
    ), seen AS (
        SELECT m.canonical_id AS id, min(taken.since) AS since, max(taken.until) AS until
        FROM taken JOIN profiles_profile m ON m.id = taken.profile_id GROUP BY 1
    ), held AS (
        SELECT p.id, seen.since, seen.until FROM profiles_profile p JOIN seen ON seen.id = p.id
        WHERE p.first_seen_at IS NULL OR p.last_seen_at IS NULL
            OR seen.since < p.first_seen_at OR seen.until > p.last_seen_at
        ORDER BY p.id FOR NO KEY UPDATE OF p
    ), written AS (
        UPDATE profiles_profile p SET first_seen_at = least(p.first_seen_at, held.since),
            last_seen_at = greatest(p.last_seen_at, held.until)
        FROM held WHERE held.id = p.id
    )
    SELECT count(*) FROM taken
"""


def note(visits: Iterable[tuple[Person, int]]) -> None:
    """``(person, member)``: when people were active in a call, to five minutes. One statement, or none."""
    stale = {
        person.id: (member or person.id, person.since, person.until)
        for person, member in visits
        if not person.is_new
        and person.since is not None
        and person.until is not None
        and (
            person.last_seen_at is None
            or person.first_seen_at is None
            or person.until - person.last_seen_at > _FRESH
            or person.since < person.first_seen_at
        )
    }
    if stale:
        ask(
            "INSERT INTO profiles_visit (profile_id, since, until)"
            " SELECT * FROM unnest(%b::bigint[], %b::timestamptz[], %b::timestamptz[])",
            [list(column) for column in zip(*stale.values(), strict=True)],
        )


def work_off(*, batches: int = 1_000) -> int:
    """Take over what the door noted, a batch in a transaction; how many visits. Safe beside other workers."""
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
