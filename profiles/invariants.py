"""Whole tables → the rows that break what must hold of the data at any moment, as SQL for ``manage.py doctor``."""

from __future__ import annotations

from django.db import connection, transaction

from cdp.invariants import Invariant, Violation, invariants, register_invariants, repairs
from profiles import sql
from profiles.duplicates.finding import invariants as duplicate_invariants
from profiles.models import Receipt

_ROOT_FIX = (
    "Run manage.py doctor --fix, which points every profile where its active merges say. Merges in a circle have no"
    " such place: undo one of them on the merge history page."
)
_JOURNAL_FIX = (
    "Something wrote to the tables by hand. Restore the rows from a backup, or merge and undo again."
)
_TRACKED_FIX = "Something wrote to the tables by hand. Put these rows right, or restore them from a backup."
_MENDABLE = "Run manage.py doctor --fix: it is derived from other rows and can be derived again."
_INTERVAL_FIX = (
    "Run manage.py doctor --fix: the time a browser was somebody's then ends where the next one's begins, and no event"
    " moves."
)
_MAIN = (
    "SELECT p.canonical_id FROM profiles_identifier i"
    " JOIN profiles_identifiertype t ON t.id = i.type_id AND t.is_main AND t.is_unique AND t.strength = 'hard'"
    " JOIN profiles_profile p ON p.id = i.profile_id WHERE i.resolves"
)

INVARIANTS = (
    Invariant(
        "pointers point straight at a surviving profile",
        "SELECT p.id FROM profiles_profile p JOIN profiles_profile root ON root.id = p.canonical_id"
        " WHERE p.canonical_id <> p.id AND (root.canonical_id <> root.id OR root.status = 'merged')",
        _ROOT_FIX,
    ),
    Invariant(
        "only merged, deleted or erased profiles point elsewhere",
        "SELECT id FROM profiles_profile"
        " WHERE (status = 'merged') <> (canonical_id <> id) AND NOT (status IN ('deleted', 'erased'))",
        _ROOT_FIX,
    ),
    Invariant(
        "each merged profile has one active merge, and nobody else has",
        "SELECT p.id FROM profiles_profile p FULL JOIN"
        " (SELECT loser_id FROM profiles_merge WHERE undone_at IS NULL) m ON m.loser_id = p.id"
        " WHERE (p.canonical_id <> p.id) IS DISTINCT FROM (m.loser_id IS NOT NULL)",
        _ROOT_FIX,
    ),
    Invariant(
        "an active merge is of two profiles of one person",
        "SELECT m.id FROM profiles_merge m JOIN profiles_profile l ON l.id = m.loser_id"
        " JOIN profiles_profile w ON w.id = m.winner_id"
        " WHERE m.undone_at IS NULL AND l.canonical_id <> w.canonical_id",
        _ROOT_FIX,
    ),
    Invariant(
        "active merges end at the surviving profile, without a circle",
        "WITH RECURSIVE up AS (SELECT id AS pk, canonical_id AS root FROM profiles_profile WHERE canonical_id = id"
        " AND id IN (SELECT winner_id FROM profiles_merge WHERE undone_at IS NULL)"
        " UNION SELECT m.loser_id, up.root FROM profiles_merge m JOIN up ON up.pk = m.winner_id"
        " WHERE m.undone_at IS NULL)"
        " SELECT p.id FROM profiles_profile p LEFT JOIN up ON up.pk = p.id AND up.root = p.canonical_id"
        " WHERE p.canonical_id <> p.id AND up.pk IS NULL",
        _ROOT_FIX,
    ),
    Invariant(
        "recognized people have a main identifier, anonymous ones none",
        f"SELECT p.id FROM profiles_profile p LEFT JOIN (SELECT DISTINCT canonical_id FROM ({_MAIN}) held) main"
        " ON main.canonical_id = p.id"
        " WHERE p.status = 'live' AND p.is_recognized <> (main.canonical_id IS NOT NULL)",
        _MENDABLE,
    ),
    Invariant(
        "an identifier identifies one profile",
        "SELECT min(id) FROM profiles_identifier WHERE resolves GROUP BY type_id, value HAVING count(*) > 1",
        "The unique index identifier_leads_to_one_profile is missing or broken; REINDEX it.",
    ),
    Invariant(
        "identifiers of deleted and erased people identify nobody",
        f"SELECT i.id FROM profiles_identifier i {sql.join_root('i.profile_id')}"
        " WHERE i.resolves AND root.status IN ('deleted', 'erased', 'anonymized')",
        _MENDABLE,
    ),
    Invariant(
        "contact-only identifiers identify nobody",
        "SELECT i.id FROM profiles_identifier i JOIN profiles_identifiertype t ON t.id = i.type_id"
        " WHERE i.resolves AND NOT t.is_unique",
        _MENDABLE,
    ),
    Invariant(
        "every event counts for exactly one surviving profile",
        "SELECT e.id FROM profiles_event e LEFT JOIN profiles_profile p ON p.id = e.profile_id"
        " LEFT JOIN profiles_profile root ON root.id = p.canonical_id AND root.canonical_id = root.id"
        " WHERE root.id IS NULL",
        _ROOT_FIX,
    ),
    Invariant(
        "the journal has the origin of every profile",
        "SELECT p.id FROM profiles_profile p"
        " WHERE NOT EXISTS (SELECT FROM profiles_change c WHERE c.profile_id = p.id)",
        _JOURNAL_FIX,
    ),
    Invariant(
        "the journal has every active merge",
        "SELECT m.id FROM profiles_merge m WHERE m.undone_at IS NULL AND NOT EXISTS (SELECT FROM profiles_change c"
        " WHERE c.cause = 'merge' AND c.cause_id = m.id AND c.profile_id = m.winner_id AND c.kind = 'merged')",
        _JOURNAL_FIX,
    ),
    Invariant(
        "what waits for confirmation identifies nobody",
        "SELECT id FROM profiles_identifier WHERE resolves AND is_pending",
        _MENDABLE,
    ),
    Invariant(
        "a shared browser belonged to one person at a time",
        "SELECT DISTINCT b.id FROM profiles_linkinterval a JOIN profiles_linkinterval b"
        " ON b.type_id = a.type_id AND b.value = a.value AND b.id > a.id"
        " AND coalesce(a.started_at, '-infinity') < coalesce(b.ended_at, 'infinity')"
        " AND coalesce(b.started_at, '-infinity') < coalesce(a.ended_at, 'infinity')"
        " AND a.started_at IS DISTINCT FROM a.ended_at AND b.started_at IS DISTINCT FROM b.ended_at",
        _INTERVAL_FIX,
    ),
    Invariant(
        "the time a shared browser belonged to somebody ends after it began, and one time at most is open",
        "SELECT id FROM profiles_linkinterval WHERE ended_at < started_at UNION"
        " SELECT max(id) FROM profiles_linkinterval WHERE ended_at IS NULL"
        " GROUP BY type_id, value HAVING count(*) > 1",
        _INTERVAL_FIX,
    ),
    Invariant(
        "shared browsers and carts belong to people who were not erased",
        "SELECT p.id FROM profiles_profile p JOIN profiles_profile root ON root.id = p.canonical_id"
        " WHERE root.status IN ('erased', 'anonymized')"
        " AND (EXISTS (SELECT FROM profiles_linkinterval l WHERE l.profile_id = p.id)"
        " OR EXISTS (SELECT FROM profiles_cart c WHERE c.profile_id = p.id))",
        _MENDABLE,
    ),
    Invariant(
        "open carts gave way to no other, and none to itself",
        "SELECT id FROM profiles_cart WHERE superseded_by_id = id"
        " OR (state = 'open' AND superseded_by_id IS NOT NULL)",
        _MENDABLE,
    ),
    Invariant(
        "every event has a name and a source",
        "SELECT e.id FROM profiles_event e LEFT JOIN profiles_eventname n ON n.id = e.name_id"
        " LEFT JOIN profiles_source s ON s.id = e.source_id WHERE n.id IS NULL OR s.id IS NULL",
        _TRACKED_FIX,
    ),
    Invariant(
        "every identifier has a type and a source",
        "SELECT i.id FROM profiles_identifier i LEFT JOIN profiles_identifiertype t ON t.id = i.type_id"
        " LEFT JOIN profiles_source s ON s.id = i.source_id WHERE t.id IS NULL OR s.id IS NULL",
        _TRACKED_FIX,
    ),
    Invariant(
        "every receipt has an outcome there is",
        "SELECT id FROM profiles_receipt"
        f" WHERE outcome NOT IN ({', '.join(map(repr, Receipt.Outcome.values))})",
        _TRACKED_FIX,
    ),
    *(Invariant(*fields) for fields in duplicate_invariants.INVARIANTS),
)


# The times of each soft value, in order. Two that began at the beginning of time cannot both have.
_TIMES = """
    WITH times AS (
        SELECT id, started_at, lead(started_at) OVER value AS next_at, lead(id) OVER value AS next_id
        FROM profiles_linkinterval
        WINDOW value AS (PARTITION BY type_id, value ORDER BY started_at NULLS FIRST, ended_at NULLS LAST, id)
    )
"""
_ACTIVE = "(SELECT loser_id, winner_id FROM profiles_merge WHERE undone_at IS NULL)"
# Derived facts, derived again; each sets only rows that are wrong.
_MENDING = (
    # Where a profile points is what its active merges say; of a circle they say nothing.
    f"""
    WITH RECURSIVE up (id, root_id) AS (
        SELECT loser_id, winner_id FROM {_ACTIVE} m
        UNION SELECT up.id, m.winner_id FROM up JOIN {_ACTIVE} m ON m.loser_id = up.root_id
    )
    UPDATE profiles_profile p SET canonical_id = up.root_id,
        status = CASE p.status WHEN 'live' THEN 'merged' ELSE p.status END
    FROM up WHERE up.id = p.id AND up.root_id NOT IN (SELECT loser_id FROM {_ACTIVE} m)
        AND (p.canonical_id <> up.root_id OR p.status = 'live')
    """,
    f"""
    UPDATE profiles_profile SET canonical_id = id, status = CASE status WHEN 'merged' THEN 'live' ELSE status END
    WHERE (canonical_id <> id OR status = 'merged') AND id NOT IN (SELECT loser_id FROM {_ACTIVE} m)
    """,
    "UPDATE profiles_identifier i SET resolves = false"
    " FROM profiles_profile p JOIN profiles_profile root ON root.id = p.canonical_id"
    " WHERE p.id = i.profile_id AND i.resolves AND root.status IN ('deleted', 'erased', 'anonymized')",
    f"{_TIMES} DELETE FROM profiles_linkinterval WHERE id IN"
    " (SELECT id FROM times WHERE started_at IS NULL AND next_at IS NULL AND next_id IS NOT NULL)",
    f"{_TIMES} UPDATE profiles_linkinterval l SET ended_at = greatest(l.started_at, least(l.ended_at, times.next_at))"
    " FROM times WHERE times.id = l.id"
    " AND l.ended_at IS DISTINCT FROM greatest(l.started_at, least(l.ended_at, times.next_at))"
    " AND (l.ended_at < l.started_at OR times.next_at < coalesce(l.ended_at, 'infinity'))",
    "UPDATE profiles_cart SET state = CASE WHEN state = 'ordered' THEN state WHEN superseded_by_id = id THEN 'open'"
    " ELSE 'superseded' END, superseded_by_id = nullif(superseded_by_id, id)"
    " WHERE superseded_by_id = id OR (state = 'open' AND superseded_by_id IS NOT NULL)",
    *(
        f"DELETE FROM {table} t USING profiles_profile p JOIN profiles_profile root ON root.id = p.canonical_id"
        " WHERE p.id = t.profile_id AND root.status IN ('erased', 'anonymized')"
        for table in ("profiles_linkinterval", "profiles_cart")
    ),
    "UPDATE profiles_identifier i SET resolves = false FROM profiles_identifiertype t"
    " WHERE t.id = i.type_id AND i.resolves AND NOT t.is_unique",
    "UPDATE profiles_identifier SET resolves = false WHERE resolves AND is_pending",
    "UPDATE profiles_profile p SET is_recognized = NOT is_recognized"
    f" WHERE status = 'live' AND is_recognized <> (id IN ({_MAIN}))",
)


def mend() -> int:
    """Derive again what is derived from other rows; how many rows were wrong. Some statements."""
    with transaction.atomic(), connection.cursor() as cursor:
        repaired: int = sum(cursor.execute(statement).rowcount for statement in _MENDING)
        return repaired + duplicate_invariants.repair()


MATCH_ROWS = duplicate_invariants.MATCH_ROWS


def broken_match_rows() -> Violation | None:
    """A sample of match rows that differ when they are built anew."""
    differing = duplicate_invariants.differing_rows()
    return (
        Violation(MATCH_ROWS, len(differing), duplicate_invariants.MATCH_ROWS_FIX, differing[:10])
        if differing
        else None
    )


def register() -> None:
    """Offer all of them to the doctor."""
    register_invariants(*INVARIANTS)
    invariants.register(MATCH_ROWS, broken_match_rows)
    repairs.register("profiles", mend)
