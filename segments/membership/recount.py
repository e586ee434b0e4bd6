"""Every live segment → compared with a full count of its rule; what differs is corrected, and reported as a fault."""

from __future__ import annotations

from collections.abc import Iterator

from segments.membership import refresh, timers
from segments.membership.fill import fill
from segments.membership.live_rules import live_segments
from segments.models import Cause, Segment


def compare_all() -> Iterator[tuple[Segment, int, int]]:
    """``(segment, came in, went out)`` of each that differed, once what is queued and due has been worked off."""
    refresh.work_off()
    timers.work_off()
    for segment in live_segments():
        entered, left = fill(segment.id, segment.row.version, cause=Cause.RECOUNT, ref=None)
        if entered or left:
            yield segment.row, entered, left
