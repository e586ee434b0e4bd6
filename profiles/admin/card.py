"""One profile → its card: the frame, what the user may do there, and the panels that apps registered."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from profiles.admin.card_activity import timeline_context
from profiles.admin.card_panels import CardContext, with_panels
from profiles.admin.card_rows import attribute_rows, identifier_rows, mailing_of
from profiles.admin.staff_views import card_url, may_see, render, staff_view, visible_root
from profiles.consent.ledger import REGRANT
from profiles.consent.lists import consent_lists
from profiles.masking import displayed_view
from profiles.models import Profile
from profiles.reading.profiles import profile_view
from profiles.reading.provenance import provenance_of
from profiles.values.attributes import attribute_specs


@staff_view("profiles.view_profile")
def card(request: HttpRequest, profile_id: int) -> HttpResponse:
    """The card. The id of a merged profile leads to the survivor; a deleted profile is shown read-only."""
    root = visible_root(request, profile_id)
    if root.pk != profile_id:
        return _to_survivor(request, profile_id, root)
    return render(request, "card.html", _context(_read(request, root)))


@staff_view("profiles.view_profile")
def by_id(request: HttpRequest, profile_id: int) -> HttpResponse:
    """The short address of a card, as people type it; ids of merged profiles lead to the survivor."""
    return _to_survivor(request, profile_id, visible_root(request, profile_id))


def _to_survivor(request: HttpRequest, profile_id: int, root: Profile) -> HttpResponse:
    """To the card, with a note where the id in the address is that of a merged profile."""
    if root.pk != profile_id:
        messages.info(request, f"#{profile_id} was merged into this profile.")
    return redirect(card_url(root.pk))


@staff_view("profiles.view_profile")
def older(request: HttpRequest, profile_id: int) -> HttpResponse:
    """The next page of the timeline alone, for the “Show older” link."""
    root = visible_root(request, profile_id)
    context = {"root": root, "may_see_imports": _may_see_imports(request)}
    return render(
        request, "timeline_items.html", context | timeline_context(request, root, attribute_specs())
    )


def _read(request: HttpRequest, root: Profile) -> CardContext:
    """What all panels share, read once."""
    can_view_pii, specs = may_see(request), attribute_specs()
    view, origins = profile_view(root), provenance_of(root.pk)
    display_view = displayed_view(view, can_view_pii=can_view_pii, specs=specs)
    identifiers = identifier_rows(view, display_view, origins)
    return CardContext(
        request=request,
        root=root,
        view=view,
        display_view=display_view,
        specs=specs,
        origins=origins,
        can_view_pii=can_view_pii,
        may=_rights(request, root),
        identifiers=identifiers,
        attributes=attribute_rows(view, display_view, specs, origins, identifiers),
    )


def _context(card: CardContext) -> dict[str, Any]:
    """What the frame and every panel's template may use, and what each panel adds."""
    own = {
        "title": card.display_view.profile.name,
        "root": card.root,
        "shown": card.display_view.profile,
        "view": card.display_view,
        "may": card.may,
        "may_see": card.can_view_pii,
        "may_see_imports": _may_see_imports(card.request),
        "mailing": mailing_of(card.view.profile.email, card.view.reach),
        "mail_purposes": _mail_purposes(card),
        "now": timezone.localtime(),
        "deleted": card.root.status != Profile.Status.LIVE,
    }
    return with_panels(card, own)


def _mail_purposes(card: CardContext) -> list[tuple[str, str, bool]]:
    """(name, label, whether the person can be e-mailed for it) of what an e-mail may be for."""
    return [
        (
            word.name,
            word.label,
            (reach := card.view.reach.get(("email", word.name))) is not None and reach.is_reachable,
        )
        for word in consent_lists().purposes.active
    ]


def _may_see_imports(request: HttpRequest) -> bool:
    return request.user.has_perm("imports.view_import")


def _rights(request: HttpRequest, root: Profile) -> dict[str, bool]:
    """What the user may do on this card. Nothing can be changed on a profile that is not live."""
    user, live = request.user, root.status == Profile.Status.LIVE
    needed = {
        "change": ("profiles.change_profile", "profiles.view_pii"),
        "note": ("profiles.add_note",),
        "event": ("profiles.add_event",),
        "consent": ("profiles.add_consent",),
        "regrant": ("profiles.add_consent", REGRANT),
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
    may["looks"] = user.has_perm("cdp.view_look")
    may["lock"] = live and user.has_perm("profiles.change_profile")
    may["export"] = user.has_perm("profiles.export_profile") and root.status != Profile.Status.ERASED
    may["restore"] = root.status == Profile.Status.DELETED and user.has_perm("profiles.restore_profile")
    return may
