"""One person → the panel of their card with the segments they are in, since when and by what."""

from __future__ import annotations

from typing import Any

from profiles.admin.card_panels import CardContext, CardPanel, panels
from segments.admin.figures import cause_words
from segments.membership.of_profiles import current_segments
from segments.models import Segment

MOST = 100
MOST_OFFERED = 300


def _segments(card: CardContext) -> dict[str, Any]:
    """Two queries."""
    current = current_segments([card.root.pk]).get(card.root.pk, [])
    newest_first = sorted(current, key=lambda one: one.entered_at, reverse=True)
    inside = {one.id for one in current}
    every = Segment.objects.in_use().order_by("name").values_list("pk", "name")[:MOST_OFFERED]
    return {
        "card_segments": [(one, cause_words(one.cause)) for one in newest_first[:MOST]],
        "other_segments": [(pk, name) for pk, name in every if pk not in inside],
    }


panels.register(
    "segments",
    CardPanel("about", "admin/segments/card_segments.html", _segments, "segments.view_segment"),
    order=25,
)
