"""One person → the panel of their card with the segments they are in, since when and by what."""

from __future__ import annotations

from typing import Any

from profiles.admin.card_panels import CardContext, CardPanel, panels
from segments.admin.figures import cause_words
from segments.models import Membership, Segment

MOST = 100
MOST_OFFERED = 300


def _segments(card: CardContext) -> dict[str, Any]:
    """Two queries."""
    current = Membership.objects.current().filter(profile=card.root).exclude(segment__state="archived")
    stays = list(current.select_related("segment").order_by("-entered_at", "-pk")[: MOST + 1])
    inside = {stay.segment_id for stay in stays}
    every = Segment.objects.in_use().order_by("name").values_list("pk", "name")[:MOST_OFFERED]
    return {
        "card_segments": [(stay, cause_words(stay.entered_by)) for stay in stays[:MOST]],
        "other_segments": [(pk, name) for pk, name in every if pk not in inside],
    }


panels.register(
    "segments",
    CardPanel("about", "admin/segments/card_segments.html", _segments, "segments.view_segment"),
    order=25,
)
