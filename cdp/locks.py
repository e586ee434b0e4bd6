"""The name of a lock → PostgreSQL's advisory lock of it, taken until the transaction (or savepoint) ends.

Every advisory lock of the product is here, so that no two share a number. All are transaction locks: PostgreSQL
gives them back at commit, at rollback, and when the process dies. A tracking call takes ``TRACKING_CALLS`` first and
``MERGE_GRAPH`` after it; rows are locked when the locks are held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import IntEnum

from cdp.sql import ask, run


class Lock(IntEnum):
    """What each lock protects. The numbers are seen in ``pg_locks.objid`` and never used for something else."""

    #: Tracking calls share it; the call that lost several races takes it alone, when nobody else writes.
    TRACKING_CALLS = 7_302_003
    #: Who is merged into whom: every merge, unmerge and deletion, one at a time.
    MERGE_GRAPH = 7_302_002
    #: Starting a scan of everybody for duplicates: one is under way at most.
    DUPLICATE_SCAN = 7_302_004
    #: Comparing changed profiles and storing the pairs: one worker at a time, none while a scan stores its own.
    MATCH_QUEUE = 7_302_005
    #: Choosing the certain pairs that are merged automatically, within the hourly limit.
    CERTAIN_MERGES = 7_302_006
    #: Looking for sources that changed what they send, so that nobody is alarmed twice.
    SOURCE_ALARMS = 7_302_110
    #: Comparing changed profiles with the rules of segments, and filling one: one worker at a time.
    SEGMENTS = 7_302_007
    #: Sealing the audit log: its chain of digests grows in one place.
    AUDIT_SEAL = 7_302_101
    #: Making webhook deliveries, so that they are numbered in the order of the messages.
    WEBHOOK_FAN_OUT = 7_302_102
    #: Class of the two-part locks by which calls about one cart come one after the other ("CART").
    CARTS = 0x43415254


def take(lock: Lock, *, is_shared: bool = False) -> None:
    """Wait for the lock, and hold it. Shared: with others who share it. One query, sent without waiting for the
    answer within ``cdp.sql.together``.
    """
    function = "pg_advisory_xact_lock_shared" if is_shared else "pg_advisory_xact_lock"
    ask(f"SELECT {function}(%s)", [int(lock)])


def try_take(lock: Lock) -> bool:
    """Hold the lock if nobody else does; False at once otherwise. One query."""
    return _try_number(int(lock))


def try_take_name(name: str) -> bool:
    """Hold the lock of a name of any length (an idempotency key); False at once when somebody else does. One query.

    Its number is a hash of 64 bits: two names share a lock about never, and then the second is told to try again.
    """
    digest = hashlib.sha256(name.encode()).digest()
    return _try_number(int.from_bytes(digest[:8], "big", signed=True))


def take_slots(lock: Lock, names: Sequence[str], *, slots: int) -> None:
    """Wait for the locks of these names, in a fixed order. Names are spread over so many ``slots``. One query.

    Names in one slot wait for each other. ``hashtext`` is signed, so fewer than twice as many locks are taken,
    whatever a caller names.
    """
    ask(
        "SELECT pg_advisory_xact_lock(%s, key) FROM"
        " (SELECT DISTINCT hashtext(name) %% %s AS key FROM unnest(%b::text[]) AS n (name) ORDER BY key) AS keys",
        [int(lock), slots, list(names)],
    )


def _try_number(number: int) -> bool:
    ((is_taken,),) = run("SELECT pg_try_advisory_xact_lock(%s)", [number])
    return bool(is_taken)
