"""Surviving profiles → the segments each is in now, and who was put in or kept out by hand."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdp.sql import run
from cdp.times import iso
from profiles.reading.view_parts import ViewPart
from segments.models import HandPick

# Somebody is in by an open stay of their own; they came in when the first of their merged profiles did.
_SEGMENTS = """
    SELECT p.canonical_id, s.id, s.name, min(m.entered_at),
        (array_agg(m.entered_by ORDER BY m.entered_at, m.id))[1]
    FROM segments_membership m JOIN profiles_profile p ON p.id = m.profile_id JOIN segments_segment s ON s.id = m.segment_id
    WHERE p.canonical_id = ANY(%(ids)b::bigint[]) AND m.left_at IS NULL AND (%(archived)s OR s.state <> 'archived')
    GROUP BY 1, 2 HAVING bool_or(m.profile_id = p.canonical_id AND m.absorbed_by IS NULL) ORDER BY lower(s.name), 2
"""


@dataclass(frozen=True, slots=True)
class InSegment:
    """Somebody in a segment; ``entered_at`` and ``cause`` are those of whoever of their merged profiles was in first."""

    id: int
    name: str
    entered_at: datetime.datetime
    cause: str


def current_segments(root_ids: Sequence[int], *, archived: bool = False) -> Mapping[int, list[InSegment]]:
    """``{root: segments}`` by name; without archived ones unless they are asked for. One query."""
    found: dict[int, list[InSegment]] = defaultdict(list)
    for root_id, *values in run(_SEGMENTS, {"ids": list(root_ids), "archived": archived}):
        found[root_id].append(InSegment(*values))
    return found


def segments_of(root_ids: Sequence[int], *, archived: bool = False) -> Mapping[int, list[dict[str, Any]]]:
    """The same as ``[{"id", "name", "entered_at"}]``, as a profile of the API has it."""
    current = current_segments(root_ids, archived=archived)
    return {
        root_id: [{"id": one.id, "name": one.name, "entered_at": iso(one.entered_at)} for one in ones]
        for root_id, ones in current.items()
    }


def pick_of(segment_id: int, root_id: int) -> HandPick | None:
    """The choice by hand that counts for a surviving profile: the latest of its members. One query."""
    picks = HandPick.objects.filter(segment=segment_id, profile__canonical=root_id)
    return picks.order_by("-created_at", "-id").first()


PART = ViewPart(segments_of, list)
