"""What must hold of memberships at any moment → the violations that ``doctor`` prints."""

from __future__ import annotations

from cdp.invariants import Violation, invariants
from cdp.sql import run

_ONLY_SURVIVING = """
    SELECT count(*), (array_agg(m.id ORDER BY m.id))[1:10] FROM segments_membership m
    JOIN profiles_profile p ON p.id = m.profile_id
    WHERE m.left_at IS NULL AND m.absorbed_by IS NULL AND p.status <> 'live'
      AND NOT EXISTS (SELECT FROM segments_queueentry q WHERE q.profile_id = m.profile_id)
      AND EXISTS (SELECT FROM segments_segment s WHERE s.id = m.segment_id AND s.state = 'live')
"""


def members_survive() -> Violation | None:
    """Nobody who was merged away or deleted is in a live segment, but for those that wait in the queue."""
    ((count, ids),) = run(_ONLY_SURVIVING, {})
    if not count:
        return None
    return Violation(
        "segment members that are no surviving profiles",
        count,
        "Run manage.py shell -c 'from segments.tasks import *; compare_memberships()'.",
        ids,
    )


def register() -> None:
    invariants.register("segment members survive", members_survive)
