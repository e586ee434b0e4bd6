"""The small forms of the card → one write each. All are POST and lead back to the card."""

from __future__ import annotations

import datetime
import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from cdp.actors import Actor
from cdp.errors import Invalid, NotFound
from profiles.admin.staff_views import by, root_of, to_card, visible_root, write
from profiles.consent.ledger import record_consent
from profiles.consent.messaging import send_message
from profiles.duplicates.review.decide import decide_many
from profiles.editing import (
    add_address,
    add_event,
    add_note,
    attach_identifier,
    detach_identifier,
    promote_alternate,
    remove_address,
    set_lock,
)
from profiles.models import DuplicatePair
from profiles.privacy.gdpr_export import file_name, stream_profile
from profiles.tagging import tag_profiles, untag_profiles
from profiles.tracking.pending.double_opt_in import CONFLICT, confirm_identifier
from profiles.values.alternates import alternates

_MAX_PROPERTIES = 32_000
_MAX_PROOF = 1_000


@write("profiles.view_profile", "profiles.add_note")
def note(request: HttpRequest, profile_id: int) -> HttpResponse:
    add_note(profile_id=profile_id, text=request.POST.get("text", ""), **by(request))
    messages.success(request, "The note was added.")
    return to_card(profile_id, "activity")


@write("profiles.view_profile", "profiles.add_event")
def event(request: HttpRequest, profile_id: int) -> HttpResponse:
    added = add_event(
        profile_id=profile_id,
        name=request.POST.get("name", ""),
        occurred_at=_moment(request, "occurred_at"),
        properties=_properties(request.POST.get("properties", "")),
        **by(request),
    )
    messages.success(request, f"The event “{added.name.name}” was added.")
    return to_card(profile_id, "activity")


@write("profiles.view_profile", "profiles.message_profile")
def message(request: HttpRequest, profile_id: int) -> HttpResponse:
    sent = send_message(
        profile_id=profile_id,
        subject=request.POST.get("subject", ""),
        text=request.POST.get("text", ""),
        purpose=request.POST.get("purpose", ""),
        **by(request),
    )
    messages.success(request, f"The e-mail “{sent.subject}” is on its way.")
    return to_card(profile_id, "activity")


@write("profiles.view_profile", "profiles.add_profiletag")
def tag(request: HttpRequest, profile_id: int) -> HttpResponse:
    names = [name for name in request.POST.get("tags", "").split(",") if name.strip()]
    if not names:
        raise _invalid("tags", "Name at least one tag.")
    done = tag_profiles(profile_ids=[root_of(profile_id).pk], tag_names=names, **by(request))
    messages.success(request, "The tag was added." if done.changed else "They have that tag already.")
    return to_card(profile_id, "tags")


@write("profiles.view_profile", "profiles.delete_profiletag")
def untag(request: HttpRequest, profile_id: int) -> HttpResponse:
    done = untag_profiles(
        profile_ids=[root_of(profile_id).pk], tag_names=[request.POST.get("tag", "")], **by(request)
    )
    messages.success(request, "The tag was removed." if done.changed else "They do not have that tag.")
    return to_card(profile_id, "tags")


@write("profiles.view_profile", "profiles.add_consent")
def consent(request: HttpRequest, profile_id: int) -> HttpResponse:
    """A yes of somebody who had said no needs the reason and the proof that the form asks for then."""
    knows_time = request.POST.get("when") != "unknown"
    proof = request.POST.get("proof", "").strip()[:_MAX_PROOF]
    done = record_consent(
        profile_id=profile_id,
        channel=request.POST.get("channel", ""),
        purpose=request.POST.get("purpose", ""),
        state=request.POST.get("state", ""),
        at=(_moment(request, "at") or timezone.now()) if knows_time else None,
        wording=request.POST.get("wording", "").strip(),
        reason=request.POST.get("reason", ""),
        proof={"proof": proof} if proof else {},
        origin={"how": "recorded by staff"},
        **by(request),
    )
    kind, now = f"{done.consent.channel} / {done.consent.purpose}", done.current.state
    messages.success(request, f"The decision was recorded. {kind} is {now} now.")
    return to_card(profile_id, "consents")


@write("profiles.view_profile", "profiles.add_identifier")
def identifier(request: HttpRequest, profile_id: int) -> HttpResponse:
    done = attach_identifier(
        profile_id=profile_id,
        type_name=request.POST.get("type", ""),
        raw=request.POST.get("value", "").strip(),
        **by(request),
    )
    text = "The identifier was added." if done.is_new else "They have that identifier already."
    messages.success(request, text)
    return to_card(profile_id, "identifiers")


@write("profiles.view_profile", "profiles.view_pii", "profiles.add_identifier")
def confirm(request: HttpRequest, profile_id: int) -> HttpResponse:
    """Its owner has confirmed it in another way. Where that merges two profiles, the right to merge is needed, too."""
    done = confirm_identifier(
        profile_id=profile_id,
        type_name=request.POST.get("type", ""),
        raw=request.POST.get("value", ""),
        may_merge=request.user.has_perm("profiles.merge_profile"),
        **by(request),
    )
    notify = messages.warning if done.outcome == CONFLICT else messages.success
    notify(request, done.message)
    return to_card(done.profile.pk, "identifiers")


@write("profiles.view_profile", "profiles.view_pii", "profiles.delete_identifier")
def remove_identifier(request: HttpRequest, profile_id: int) -> HttpResponse:
    detach_identifier(
        profile_id=profile_id,
        type_name=request.POST.get("type", ""),
        raw=request.POST.get("value", ""),
        **by(request),
    )
    messages.success(request, "The identifier was removed. The timeline keeps it.")
    return to_card(profile_id, "identifiers")


@write("profiles.view_profile", "profiles.change_profile")
def lock(request: HttpRequest, profile_id: int) -> HttpResponse:
    done = set_lock(profile_id=profile_id, is_locked=request.POST.get("locked") == "1", **by(request))
    messages.success(
        request, "Locked against merging." if done.is_locked else "Unlocked: this person can be merged again."
    )
    return to_card(profile_id)


@write("profiles.view_profile", "profiles.add_address")
def address(request: HttpRequest, profile_id: int) -> HttpResponse:
    names = ("label", "street", "postcode", "city", "state", "country")
    values = {name: request.POST.get(name, "") for name in names}
    add_address(profile_id=profile_id, values=values, **by(request))
    messages.success(request, "The address was added.")
    return to_card(profile_id, "contact")


@write("profiles.view_profile", "profiles.delete_address")
def address_remove(request: HttpRequest, profile_id: int, address_id: int) -> HttpResponse:
    remove_address(profile_id=profile_id, address_id=address_id, **by(request))
    messages.success(request, "The address was removed. The timeline keeps it.")
    return to_card(profile_id, "contact")


@write("profiles.view_profile", "profiles.change_profile")
def promote(request: HttpRequest, profile_id: int) -> HttpResponse:
    """Make a value that lost in a merge the person's value. ``index`` and ``field`` name it, not the value:
    the form then carries no personal data, and typed values (numbers, dates) stay what they are."""
    root = root_of(profile_id)
    others = alternates([root.pk]).get(root.pk, [])
    index = request.POST.get("index", "")
    chosen = others[int(index)] if index.isdecimal() and int(index) < len(others) else None
    if chosen is None or chosen["field"] != request.POST.get("field"):
        raise NotFound("That value is no longer there. Reload the card.")
    version = request.POST.get("version", "")
    promote_alternate(
        profile_id=root.pk,
        field=chosen["field"],
        value=chosen["value"],
        expected_version=int(version) if version.isdecimal() else None,
        **by(request),
    )
    messages.success(request, "The person now has the other value; the previous one is kept as an alternate.")
    return to_card(profile_id)


@write("profiles.view_profile", "profiles.change_duplicatepair")
def verdict(request: HttpRequest, profile_id: int, pair_id: int) -> HttpResponse:
    """Remember a decision about a suggested duplicate."""
    many = decide_many(
        pair_ids=[pair_id], verdict=request.POST.get("verdict", ""), actor=Actor.of_request(request)
    )
    for problem in many.problems:
        messages.error(request, problem)
    for decided in many.decided:
        label = DuplicatePair.Verdict(decided.verdict).label.lower()
        messages.success(request, f"Saved: {label}.")
    return to_card(profile_id)


@write("profiles.view_profile", "profiles.export_profile", is_confirmed=True)
def gdpr_export(request: HttpRequest, profile_id: int) -> StreamingHttpResponse:
    """Everything known about one person as a JSON file."""
    root, actor = visible_root(request, profile_id), Actor.of_request(request)
    pieces = stream_profile(profile_id=root.pk, actor=actor)
    response = StreamingHttpResponse(pieces, content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{file_name(root.pk, actor)}"'
    return response


def _moment(request: HttpRequest, name: str) -> datetime.datetime | None:
    """A ``datetime-local`` field, read in the site's time zone; None when empty."""
    raw = request.POST.get(name, "").strip()
    if not raw:
        return None
    try:
        moment = parse_datetime(raw)
    except ValueError:
        moment = None
    if moment is None:
        raise _invalid(name, f"“{raw[:40]}” is not a date and time. Write it like 2026-03-01T14:30.")
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)


def _properties(text: str) -> dict[str, Any]:
    """Lines of ``name: value``; numbers, true and false are read as such. Or one JSON object."""
    text = text.replace("\x00", "").strip()
    if len(text) > _MAX_PROPERTIES:
        raise _invalid("properties", f"Properties have at most {_MAX_PROPERTIES:,} characters.")
    if text.startswith("{"):
        try:
            pasted: dict[str, Any] = json.loads(text, parse_constant=lambda name: None)
        except (ValueError, RecursionError) as error:
            raise _invalid("properties", "The properties are not valid JSON.") from error
        return pasted
    properties: dict[str, Any] = {}
    for number, entry in enumerate(filter(str.strip, text.splitlines()), 1):
        name, separator, value = entry.partition(":")
        if not separator or not name.strip():
            raise _invalid("properties", f"Line {number} of the properties is not “name: value”.")
        properties[name.strip()] = _typed(value.strip())
    return properties


def _typed(value: str) -> Any:
    try:
        typed = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return (
        typed
        if isinstance(typed, bool | int | float) and value.lower() not in ("nan", "infinity", "-infinity")
        else value
    )


def _invalid(field: str, message: str) -> Invalid:
    return Invalid([{"field": field, "value": None, "message": message}])
