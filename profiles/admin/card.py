"""The card: who somebody is, everything that happened, and who else they may be (P6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.db.models import F, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from profiles.admin.door import card_url, door, may_see, render
from profiles.admin.duplicates.listing import percent
from profiles.admin.timeline_text import Entry, Reader
from profiles.duplicates.review.explain import explain
from profiles.duplicates.review.queue import with_profiles
from profiles.identity.resolve import find_profile
from profiles.masking import DOTS, mask_profile, mask_view
from profiles.models import (
    DuplicatePair,
    DuplicatePolicy,
    Identifier,
    IdentifierType,
    Merge,
    Profile,
    Source,
    Tag,
    Tier,
)
from profiles.reading.devices import devices_of
from profiles.reading.profiles import ProfileView, profile_view
from profiles.reading.provenance import Provenance, provenance_of
from profiles.reading.timeline import TimelinePage, event_names, timeline
from profiles.values.attributes import CUSTOM, AttributeSpec, attribute_specs, display, label_of

# Attributes shown as contact details; the others stand in their own panel.
CONTACT = ("email", "phone", "street", "postcode", "city", "state", "country")
BROWSERS_SHOWN = 8
PAIRS_SHOWN = 5
CHIPS = [
    ("", "All"),
    ("event", "Events"),
    ("change", "Changes"),
    ("merge", "Merges"),
    ("note", "Notes"),
    ("message", "Messages"),
]


@dataclass(slots=True)
class Held:
    """One identifier as the card shows it."""

    row: Identifier
    label: str
    from_id: int | None
    said: str
    import_id: int | None


@dataclass(slots=True)
class Value:
    """One attribute with where it came from and what else was said; ``others`` as (index, text, from id)."""

    spec: AttributeSpec
    text: str
    said: Provenance | None
    others: list[tuple[int, str, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Suspect:
    """Somebody who may be the same person, and why."""

    pair: DuplicatePair
    profile: Profile
    reasons: list[str]
    percent: int


@door("profiles.view_profile")
def card(request: HttpRequest, profile_id: int) -> HttpResponse:
    """One person. A merged-away id leads to the survivor; a deleted person is shown read-only."""
    found = find_profile(profile_id, live_only=False)
    root = found.root
    if root.pk != profile_id:
        messages.info(request, f"#{profile_id} was merged into this profile.")
        return redirect(card_url(root.pk))
    audit.record("profile.view", actor=Actor.of_request(request), subject=f"profile:{root.pk}")
    return render(request, "card.html", _context(request, root))


@door("profiles.view_profile")
def older(request: HttpRequest, profile_id: int) -> HttpResponse:
    """The next page of the timeline alone, for the “older” link."""
    root = find_profile(profile_id, live_only=False).root
    return render(request, "timeline_items.html", _activity(request, root, attribute_specs()))


def _context(request: HttpRequest, root: Profile) -> dict[str, Any]:
    sees, specs = may_see(request), attribute_specs()
    view, said = profile_view(root), provenance_of(root.pk)
    shown = view if sees else mask_view(view, specs)
    may = _rights(request, root)
    values = _values(view, shown, specs, said)
    return {
        "title": shown.profile.name,
        "root": root,
        "shown": shown.profile,
        "view": shown,
        "may": may,
        "identifiers": [
            held for held in _identifiers(view, shown, said) if held.row.type.name != "anonymous_id"
        ],
        "browsers": [
            held for held in _identifiers(view, shown, said) if held.row.type.name == "anonymous_id"
        ],
        "browsers_shown": BROWSERS_SHOWN,
        "contact": [value for value in values if value.spec.field in CONTACT],
        "attributes": [value for value in values if value.spec.field not in CONTACT],
        "tag_said": {tag.pk: said.get(f"tags:{tag.name}") for tag in view.tags},
        "devices": devices_of(root.pk),
        "suspects": _suspects(root, sees),
        "lineage": _lineage(root),
        "identifier_types": list(IdentifierType.objects.all()) if may["change"] else [],
        "tag_names": list(Tag.objects.values_list("name", flat=True)[:300]) if may["change"] else [],
        "now": timezone.localtime(),
        "deleted": root.status != Profile.Status.LIVE,
        "event_names": event_names(root.pk),
        "source_names": list(Source.objects.values_list("name", flat=True)),
        **_activity(request, root, specs),
    }


def _rights(request: HttpRequest, root: Profile) -> dict[str, bool]:
    """What this person may do on this card; nothing is changed on somebody who is not live."""
    user, live = request.user, root.status == Profile.Status.LIVE
    wanted = {
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
    may = {name: live and user.has_perms(codes) for name, codes in wanted.items()}
    may["lock"] = live and user.has_perm("profiles.change_profile")
    may["export"] = user.has_perm("profiles.export_profile") and root.status != Profile.Status.ERASED
    may["restore"] = root.status == Profile.Status.DELETED and user.has_perm("profiles.restore_profile")
    return may


# --- Left: who they are -----------------------------------------------------------------------------------


def _identifiers(view: ProfileView, shown: ProfileView, said: dict[str, Provenance]) -> list[Held]:
    held = []
    for row, masked in zip(view.identifiers, shown.identifiers, strict=True):
        told = said.get(f"identifiers:{row}")
        from_id = row.profile_id if row.profile_id != view.profile.pk else None
        text, import_id = (told.text, told.import_id) if told else (row.source.name, None)
        held.append(Held(masked, str(row.type), from_id, text, import_id))
    return held


def _values(
    view: ProfileView, shown: ProfileView, specs: dict[str, AttributeSpec], said: dict[str, Provenance]
) -> list[Value]:
    """Every attribute that is set or has an alternate, in the card's order."""
    others: dict[str, list[tuple[int, str, int]]] = {}
    for index, (real, other) in enumerate(zip(view.alternates, shown.alternates, strict=True)):
        text = DOTS if other["value"] == DOTS else display(real["field"], other["value"])
        others.setdefault(real["field"], []).append((index, text, real["from_id"]))
    keys = dict.fromkeys([*specs, *(CUSTOM + name for name in view.profile.attributes)])
    values = []
    for key in keys:
        spec = specs.get(key) or AttributeSpec(key, label_of(key, specs), "text", is_custom=True)
        value = _value(shown.profile, key)
        if value not in (None, "", []) or key in others:
            text = DOTS if value == DOTS else display(key, value)
            values.append(Value(spec, text, said.get(key), others.get(key, [])))
    return values


def _value(profile: Profile, key: str) -> Any:
    """A value of a shown profile, which may be masked: a masked date is text."""
    return (
        profile.attributes.get(key.removeprefix(CUSTOM)) if key.startswith(CUSTOM) else getattr(profile, key)
    )


# --- Middle: what happened ----------------------------------------------------------------------------------


def _activity(request: HttpRequest, root: Profile, specs: dict[str, AttributeSpec]) -> dict[str, Any]:
    kind, name, source = (request.GET.get(key, "") for key in ("kind", "name", "source"))
    page: TimelinePage = timeline(
        root.pk, kind=kind, name=name, source=source, older_than=request.GET.get("older", "")
    )
    merges = {item.row.cause_id for item in page.items if item.kind == "change" and item.row.kind == "merged"}
    active = Merge.objects.active().filter(pk__in=[pk for pk in merges if pk])
    undoable = frozenset(active.values_list("pk", flat=True))
    reader = Reader(specs, may_see(request), undoable)
    entries: list[Entry] = reader.entries(page.items)
    query = request.GET.copy()
    query.pop("older", None)
    older_query = query.copy()
    if page.older:
        older_query["older"] = page.older
    return {
        "root": root,
        "entries": entries,
        "older_query": older_query.urlencode() if page.older else "",
        "is_older": bool(request.GET.get("older")),
        "kind": kind,
        "event_name": name,
        "event_source": source,
        "kinds": [(key, label, key == kind) for key, label in CHIPS],
        "may_unmerge": request.user.has_perm("profiles.unmerge_profile"),
        "may_see_imports": request.user.has_perm("imports.view_import"),
    }


# --- Right: who else ------------------------------------------------------------------------------------------


def _suspects(root: Profile, sees: bool) -> list[Suspect]:
    """Who this person may be as well, the surest first; households are none. Two queries."""
    mine = Q(a__canonical_id=root.pk) | Q(b__canonical_id=root.pk)
    pairs = (
        with_profiles(DuplicatePair.objects.all())
        .filter(mine, verdict__in=[DuplicatePair.Verdict.OPEN, DuplicatePair.Verdict.LATER])
        .exclude(a__canonical_id=F("b__canonical_id"))
        .exclude(tier=Tier.RELATED)
        .order_by("-score", "-id")
    )
    policy, found = DuplicatePolicy.current(), {}
    for pair in pairs[: PAIRS_SHOWN * 4]:
        other = pair.b.canonical if pair.a.canonical_id == root.pk else pair.a.canonical
        if other.status == Profile.Status.LIVE and other.pk not in found:
            reasons = sorted(
                explain(pair, can_view_pii=sees),
                key=lambda one: (not (one.is_from_source or one.is_transitive), -abs(one.weight)),
            )
            told = [
                one
                for one in reasons
                if one.is_from_source or one.is_transitive or (one.field and one.weight)
            ]
            said = [
                one.text if sees or not one.is_from_source else f"{one.text} {one.a}".strip() for one in told
            ]
            found[other.pk] = Suspect(
                pair,
                other if sees else mask_profile(other),
                [text for text in said if text],
                percent(pair, policy),
            )
    return list(found.values())[:PAIRS_SHOWN]


def _lineage(root: Profile) -> list[Merge]:
    """The merges this person is made of, newest first. One query."""
    merges = Merge.objects.active().filter(loser__canonical_id=root.pk)
    return list(merges.select_related("user", "key", "source").order_by("-created_at", "-pk")[:50])
