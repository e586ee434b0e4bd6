"""One profile → its card: who it is, what happened, and who else it may be."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import F, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from profiles.admin.card_rows import (
    CONTACT,
    Suggestion,
    attribute_rows,
    consent_rows,
    identifier_rows,
    mailing_of,
    tag_rows,
)
from profiles.admin.duplicates.pair_rows import percent
from profiles.admin.event_text import EVENT_NAMES
from profiles.admin.staff_views import card_url, may_see, render, staff_view
from profiles.admin.timeline_text import Reader
from profiles.admin.visits import grouped
from profiles.duplicates.review.explain import explain
from profiles.duplicates.review.queue import with_profiles
from profiles.identity.lookup import find_profile
from profiles.masking import mask_profile, mask_view
from profiles.models import (
    DuplicatePair,
    DuplicatePolicy,
    IdentifierType,
    Merge,
    Profile,
    Source,
    Tag,
    Tier,
)
from profiles.reading.devices import devices_of
from profiles.reading.profiles import profile_view
from profiles.reading.provenance import provenance_of
from profiles.reading.timeline import TimelinePage, event_names, timeline
from profiles.values.attributes import AttributeSpec, attribute_specs

SUGGESTIONS = 5
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


@staff_view("profiles.view_profile")
def card(request: HttpRequest, profile_id: int) -> HttpResponse:
    """The card. The id of a merged profile leads to the survivor; a deleted profile is shown read-only."""
    root = find_profile(profile_id, live_only=False).root
    if root.pk != profile_id:
        messages.info(request, f"#{profile_id} was merged into this profile.")
        return redirect(card_url(root.pk))
    audit.record("profile.view", actor=Actor.of_request(request), subject=f"profile:{root.pk}")
    return render(request, "card.html", _context(request, root))


@staff_view("profiles.view_profile")
def by_id(request: HttpRequest, profile_id: int) -> HttpResponse:
    """The short address of a card, as people type it; ids of merged profiles lead to the survivor."""
    return redirect(card_url(find_profile(profile_id, live_only=False).root.pk))


@staff_view("profiles.view_profile")
def older(request: HttpRequest, profile_id: int) -> HttpResponse:
    """The next page of the timeline alone, for the “Show older” link."""
    root = find_profile(profile_id, live_only=False).root
    return render(request, "timeline_items.html", _activity(request, root, attribute_specs()))


def _context(request: HttpRequest, root: Profile) -> dict[str, Any]:
    can_view_pii, specs = may_see(request), attribute_specs()
    view, origins = profile_view(root), provenance_of(root.pk)
    display_view = view if can_view_pii else mask_view(view, specs)
    may = _rights(request, root)
    identifiers = identifier_rows(view, display_view, origins)
    attributes = attribute_rows(view, display_view, specs, origins, identifiers)
    contact_ids = {row.identifier.pk for value in attributes for row in value.identifiers}
    return {
        "title": display_view.profile.name,
        "root": root,
        "shown": display_view.profile,
        "view": display_view,
        "may": may,
        "mailing": mailing_of(view.profile.email, view.consents),
        "identifiers": [
            row for row in identifiers if not row.is_browser and row.identifier.pk not in contact_ids
        ],
        "browsers": [row for row in identifiers if row.is_browser],
        "contact": [value for value in attributes if value.spec.field in CONTACT],
        "attributes": [value for value in attributes if value.spec.field not in CONTACT],
        "consents": consent_rows(view),
        "tags": tag_rows(view, origins),
        "devices": devices_of(root.pk),
        "suggestions": suggestions_of(root, can_view_pii),
        "lineage": _lineage(root),
        "identifier_types": list(IdentifierType.objects.all()) if may["change"] else [],
        "tag_names": list(Tag.objects.values_list("name", flat=True)[:300]) if may["change"] else [],
        "now": timezone.localtime(),
        "deleted": root.status != Profile.Status.LIVE,
        "event_names": [(name, EVENT_LABELS.get(name, name)) for name in event_names(root.pk)],
        "source_names": list(Source.objects.values_list("name", flat=True)),
        **_activity(request, root, specs),
    }


def _rights(request: HttpRequest, root: Profile) -> dict[str, bool]:
    """What the user may do on this card. Nothing can be changed on a profile that is not live."""
    user, live = request.user, root.status == Profile.Status.LIVE
    needed = {
        "change": ("profiles.change_profile", "profiles.view_pii"),
        "note": ("profiles.add_note",),
        "event": ("profiles.add_event",),
        "consent": ("profiles.add_consent",),
        "tag": ("profiles.add_profiletag",),
        "untag": ("profiles.delete_profiletag",),
        "identify": ("profiles.add_identifier",),
        "unidentify": ("profiles.delete_identifier",),
        "address": ("profiles.add_address",),
        "message": ("profiles.message_profile",),
        "merge": ("profiles.merge_profile",),
        "unmerge": ("profiles.unmerge_profile",),
        "decide": ("profiles.change_duplicatepair",),
        "review": ("profiles.view_duplicatepair",),
        "delete": ("profiles.delete_profile",),
    }
    may = {name: live and user.has_perms(codes) for name, codes in needed.items()}
    may["lock"] = live and user.has_perm("profiles.change_profile")
    may["export"] = user.has_perm("profiles.export_profile") and root.status != Profile.Status.ERASED
    may["restore"] = root.status == Profile.Status.DELETED and user.has_perm("profiles.restore_profile")
    return may


# --- Activity ---------------------------------------------------------------------------------------------


def _activity(request: HttpRequest, root: Profile, specs: dict[str, AttributeSpec]) -> dict[str, Any]:
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
        "root": root,
        "rows": grouped(entries, has_more=bool(page.older)),
        "older_query": older_query.urlencode() if page.older else "",
        "kind": kind,
        "event_name": name,
        "event_source": source,
        "kinds": [(key, label, key == kind) for key, label in CHIPS],
        "may_unmerge": request.user.has_perm("profiles.unmerge_profile"),
        "may_see_imports": request.user.has_perm("imports.view_import"),
    }


# --- Possible duplicates and merges -----------------------------------------------------------------------


def suggestions_of(root: Profile, can_view_pii: bool) -> list[Suggestion]:
    """Profiles that may be the same person, the likeliest first; households are left out. Two queries."""
    of_root = Q(a__canonical_id=root.pk) | Q(b__canonical_id=root.pk)
    pairs = (
        with_profiles(DuplicatePair.objects.all())
        .filter(of_root, verdict__in=[DuplicatePair.Verdict.OPEN, DuplicatePair.Verdict.LATER])
        .exclude(a__canonical_id=F("b__canonical_id"))
        .exclude(tier=Tier.RELATED)
        .order_by("-score", "-id")
    )
    policy = DuplicatePolicy.current()
    suggestions: dict[int, Suggestion] = {}
    for pair in pairs[: SUGGESTIONS * 4]:
        match = pair.b.canonical if pair.a.canonical_id == root.pk else pair.a.canonical
        if match.status == Profile.Status.LIVE and match.pk not in suggestions:
            profile = match if can_view_pii else mask_profile(match)
            reasons = _reasons(pair, can_view_pii)
            suggestions[match.pk] = Suggestion(pair, profile, reasons, percent(pair, policy))
    return list(suggestions.values())[:SUGGESTIONS]


def _reasons(pair: DuplicatePair, can_view_pii: bool) -> list[str]:
    """Why the two may be one person, the weightiest first."""
    reasons = sorted(
        explain(pair, can_view_pii=can_view_pii),
        key=lambda reason: (not (reason.is_from_source or reason.is_transitive), -abs(reason.weight)),
    )
    texts = [
        reason.text if can_view_pii or not reason.is_from_source else f"{reason.text} {reason.a}".strip()
        for reason in reasons
        if reason.is_from_source or reason.is_transitive or (reason.field and reason.weight)
    ]
    return [text for text in texts if text]


def _lineage(root: Profile) -> list[Merge]:
    """The merges this profile is made of, newest first. One query."""
    merges = Merge.objects.active().filter(loser__canonical_id=root.pk)
    return list(merges.select_related("user", "key", "source").order_by("-created_at", "-pk")[:50])
