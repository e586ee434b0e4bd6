"""What ``segments`` adds to the first page and to the menu's counts: segments that are broken, which nobody else mends."""

from __future__ import annotations

from django.db.models import QuerySet

from cdp.admin import needs_attention
from cdp.admin.needs_attention import Item, url
from segments.models import Segment


def _broken() -> QuerySet[Segment]:
    return Segment.objects.filter(state=Segment.State.BROKEN)


def _items() -> list[Item]:
    """One query."""
    return [
        Item(
            "bad",
            f"The segment “{segment.name}” is not kept up to date",
            segment.problem,
            "Change its rule",
            url("admin:segments_segment_rule", segment.pk),
            segment.updated_at,
        )
        for segment in _broken().order_by("-updated_at")[:3]
    ]


def register() -> None:
    needs_attention.providers.register(
        "broken segments",
        needs_attention.Provider(
            permission="segments.change_segment",
            task="segments",
            items=_items,
            count=lambda: _broken().order_by()[: needs_attention.MOST].count(),
        ),
    )
