"""One person → the panel of their timeline: what happened, filtered and in pages, and forms to add to it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from profiles.admin.card_panels import CardContext, CardPanel, panels
from profiles.admin.event_text import EVENT_NAMES
from profiles.admin.staff_views import may_see
from profiles.admin.timeline_text import Reader
from profiles.admin.visits import grouped
from profiles.models import Merge, Profile, Source
from profiles.reading.timeline import TimelinePage, event_names, timeline
from profiles.values.attributes import AttributeSpec

CHIPS = [
    ("", "All"),
    ("event", "Events"),
    ("change", "Changes"),
    ("merge", "Merges"),
    ("note", "Notes"),
    ("message", "Messages"),
]
# What the calls of tracking are named in the list of events; every other event has the name it was sent with.
EVENT_LABELS = {
    "page": "Page viewed",
    "screen": "Screen viewed",
    "identify": "Identified",
    "update": "Attributes updated",
    "group": "Joined a group",
    "alias": "Ids linked",
    **EVENT_NAMES,
}


def _activity(card: CardContext) -> dict[str, Any]:
    return {
        "event_names": [(name, EVENT_LABELS.get(name, name)) for name in event_names(card.root.pk)],
        "source_names": list(Source.objects.values_list("name", flat=True)),
        **timeline_context(card.request, card.root, card.specs),
    }


def timeline_context(request: HttpRequest, root: Profile, specs: dict[str, AttributeSpec]) -> dict[str, Any]:
    """One page of the timeline, by the filters in the address."""
    kind, name, source = (request.GET.get(key, "") for key in ("kind", "name", "source"))
    page: TimelinePage = timeline(
        root.pk, kind=kind, name=name, source=source, older_than=request.GET.get("older", "")
    )
    merges = {item.row.cause_id for item in page.items if item.kind == "change" and item.row.kind == "merged"}
    active = Merge.objects.active().filter(pk__in=[pk for pk in merges if pk])
    undoable = frozenset(active.values_list("pk", flat=True))
    entries = Reader(specs, may_see(request), undoable).entries(page.items)
    older_query = request.GET.copy()
    older_query.pop("older", None)
    if page.older:
        older_query["older"] = page.older
    return {
        "rows": grouped(entries, has_more=bool(page.older)),
        "older_query": older_query.urlencode() if page.older else "",
        "kind": kind,
        "event_name": name,
        "event_source": source,
        "kinds": [(key, label, key == kind) for key, label in CHIPS],
        "may_unmerge": request.user.has_perm("profiles.unmerge_profile"),
    }


panels.register("activity", CardPanel("activity", "admin/profiles/card_activity.html", _activity), order=10)
