"""The demo database → some segments a shop would have, filled, so that the pages have content."""

from __future__ import annotations

from typing import Any

from cdp.actors import Actor
from cdp.plurals import counted
from segments.editing import create_segment
from segments.membership.fill import fill
from segments.models import Cause, Membership, Segment

_CART, _ORDER, _VIEW = "Added to Cart", "Order Completed", "Product Viewed"
_NEVER = {"op": "eq", "value": 0}
SEGMENTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "Left a cart, bought nothing",
        "Put something into a cart in the last 30 days and did not order since.",
        {
            "all": [
                {"event": _CART, "within": {"days": 30}},
                {"event": _ORDER, "count": _NEVER, "since": {"event": _CART}},
            ]
        },
    ),
    (
        "Looked three times",
        "Came back to products in the last 14 days.",
        {"all": [{"event": _VIEW, "count": {"op": "gte", "value": 3}, "within": {"days": 14}}]},
    ),
    (
        "Customers of the last quarter",
        "Ordered in the last 90 days.",
        {"all": [{"event": _ORDER, "within": {"days": 90}}]},
    ),
    (
        "Ordered before, not lately",
        "Ordered at least once, and not in the last 90 days.",
        {"all": [{"event": _ORDER}, {"event": _ORDER, "count": _NEVER, "within": {"days": 90}}]},
    ),
    (
        "Birthday within a week",
        "For a greeting card; the day counts where the shop is.",
        {"all": [{"attribute": "birth_date", "op": "anniversary", "value": {"days": 7}}]},
    ),
)


def make_segments() -> str:
    """Make and fill them in this process. Returns the sentence ``manage.py demo`` prints."""
    actor = Actor.system()
    for name, description, rules in SEGMENTS:
        segment = create_segment(
            name=name, description=description, rules={"version": 1, **rules}, actor=actor
        )
        fill(segment.pk, segment.version, cause=Cause.RULE, ref=None)
    people = counted(Membership.objects.current().values("profile_id").distinct().count(), "people")
    return f"Made {counted(Segment.objects.count(), 'segments')} with {people} in them."
