"""Event → its sentence, source and details as the card lists them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cdp.plurals import counted
from cdp.templatetags.cdp import duration
from cdp.user_agents import describe
from profiles.consent.lists import consent_lists
from profiles.masking import DOTS, mask_event, mask_identifier, mask_json, mask_text
from profiles.models import Consent, Event

# Event properties that belong in the sentence, in this order.
_SUMMARY = ("name", "product", "title", "sku", "order_id", "url", "path", "form", "plan")
_AMOUNTS = ("total", "revenue", "value", "price")
_TRAITS_NAMED = 5
_ID_LABELS = {
    "user_id": "User id",
    "anonymous_id": "Browser id",
    "previous_id": "Previous id",
    "group_id": "Group id",
}
# Events that our snippet sends by itself, as people call them.
EVENT_NAMES = {"form.submit": "Form submitted"}
_CONTEXT_LABELS = {
    "ip": "IP address",
    "locale": "Language of the device",
    "timezone": "Time zone",
    "groupId": "Group",
    "traits": "Traits",
    "externalIds": "Other ids",
    "app": "App",
    "os": "Operating system",
    "device": "Device details",
    "network": "Network",
    "location": "Location",
    "active": "Sent while in use",
    "referrer": "Referrer",
}
# Parts of the context described in words; the rest is listed as it was sent.
_DESCRIBED = frozenset({"userAgent", "page", "campaign", "library", "screen"})


@dataclass(frozen=True, slots=True)
class EventText:
    """``before strong after`` is the sentence, ``where`` its small print, ``facts`` the list of details."""

    icon: str
    before: str
    strong: str
    after: str
    where: list[str]
    facts: list[tuple[str, str]]


def describe_event(event: Event, *, can_view_pii: bool) -> EventText:
    """An event as the card lists it, masked for staff who may not see personal data. No query."""
    properties = event.properties if can_view_pii else mask_event(event.kind, event.properties)
    context = event.context if can_view_pii else mask_json(event.context)
    envelope = event.envelope or {}
    before, strong, after = _SENTENCES.get(event.kind, _track)(event, properties, envelope, can_view_pii)
    return EventText(
        icon=event.kind,
        before=before,
        strong=strong,
        after=after,
        where=list(_where(event, context, envelope)),
        facts=[
            *_times(event, envelope),
            *_ids(envelope, can_view_pii),
            *_rest(event, envelope, can_view_pii),
            *_surroundings(event, context),
            *facts_of(properties),
            *_more_context(context),
        ],
    )


# --- The sentence ---------------------------------------------------------------------------------------

_Sentence = tuple[str, str, str]


def _track(event: Event, properties: Any, envelope: dict[str, Any], can_view_pii: bool) -> _Sentence:
    return "", EVENT_NAMES.get(event.name.name, event.name.name), summary(properties)


def _page(event: Event, properties: Any, envelope: dict[str, Any], can_view_pii: bool) -> _Sentence:
    context = event.context if can_view_pii else mask_json(event.context)
    page = context.get("page") if isinstance(context.get("page"), dict) else {}
    named = event.page_name if can_view_pii else mask_text(event.page_name)
    names = [named, properties.get("title"), page.get("title"), page.get("path")]
    # A masked title says nothing: rather the path.
    name = next((text for text in names if isinstance(text, str) and text not in ("", DOTS)), "a page")
    return "Viewed", name, ""


def _screen(event: Event, properties: Any, envelope: dict[str, Any], can_view_pii: bool) -> _Sentence:
    name = event.page_name or "a screen"
    return "Opened", name if can_view_pii else mask_text(name), ""


def _identify(event: Event, properties: Any, envelope: dict[str, Any], can_view_pii: bool) -> _Sentence:
    user_id = str(envelope.get("user_id") or "")
    who = (user_id if can_view_pii else mask_identifier("user_id", user_id)) if user_id else ""
    return ("Identified as", who, _named(properties)) if who else ("Identified", "", _named(properties))


def _update(event: Event, properties: Any, envelope: dict[str, Any], can_view_pii: bool) -> _Sentence:
    return "Attributes updated", "", _named(properties)


def _group(event: Event, properties: Any, envelope: dict[str, Any], can_view_pii: bool) -> _Sentence:
    name = properties.get("name") if isinstance(properties.get("name"), str) else ""
    return "Joined the group", name or str(envelope.get("group_id") or ""), ""


def _alias(event: Event, properties: Any, envelope: dict[str, Any], can_view_pii: bool) -> _Sentence:
    previous = str(envelope.get("previous_id") or "")
    masked = previous if can_view_pii or not previous else mask_identifier("previous_id", previous)
    return "Same person as", masked or "another id", ""


def _consent(event: Event, properties: Any, envelope: dict[str, Any], can_view_pii: bool) -> _Sentence:
    # Not the masked properties: these are words of the ledger, and nobody's.
    channel, purpose, state = (
        str(event.properties.get(key) or "") for key in ("channel", "purpose", "state")
    )
    return *consent_sentence(channel, purpose, state), ""


def consent_sentence(channel: str, purpose: str, state: str) -> tuple[str, str]:
    """“Agreed to **e-mail newsletter**” of a decision about a channel and a purpose."""
    what = consent_lists().text(channel, purpose)
    return ("Agreed to" if state == Consent.State.GRANTED else "Withdrew consent to"), what


_SENTENCES: dict[str, Callable[[Event, Any, dict[str, Any], bool], _Sentence]] = {
    Event.Kind.PAGE: _page,
    Event.Kind.SCREEN: _screen,
    Event.Kind.IDENTIFY: _identify,
    Event.Kind.UPDATE: _update,
    Event.Kind.GROUP: _group,
    Event.Kind.ALIAS: _alias,
    Event.Kind.CONSENT: _consent,
}


def _named(properties: Any) -> str:
    """“· email, plan and 3 more”: which traits came, not their values."""
    names = list(properties) if isinstance(properties, dict) else []
    if not names:
        return ""
    more = len(names) - _TRAITS_NAMED
    text = ", ".join(names[:_TRAITS_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"· {text[:140]}"


def summary(properties: Any) -> str:
    """The two or three properties that distinguish one such event from another."""
    if not isinstance(properties, dict):
        return ""
    parts = [str(properties[key]) for key in _SUMMARY if isinstance(properties.get(key), str | int)][:2]
    products = properties.get("products")
    if isinstance(products, list) and products:
        parts.append(counted(len(products), "items"))
    if amount := amount_of(properties):
        parts.append(amount)
    text = ", ".join(parts)
    return f"· {text[:140]}" if text else ""


def amount_of(properties: Any) -> str:
    """“411.00 EUR”: what the event is worth, as its sender put it; empty without an amount."""
    if not isinstance(properties, dict):
        return ""
    for key in _AMOUNTS:
        amount = properties.get(key)
        if isinstance(amount, int | float) and not isinstance(amount, bool):
            return f"{amount:,.2f} {properties.get('currency', '')}".strip()
    return ""


# --- Where and when -------------------------------------------------------------------------------------


def _where(event: Event, context: dict[str, Any], envelope: dict[str, Any]) -> Iterator[str]:
    yield event.source.name
    if agent := event.context.get("userAgent"):
        yield describe(str(agent)[:500])[0]
    if event.kind != Event.Kind.PAGE and (path := _part(context, "page", "path")):
        yield path[:80]
    if campaign := _part(context, "campaign", "name") or _part(context, "campaign", "source"):
        yield f"campaign {campaign[:60]}"
    marks = envelope.get("marks") or []
    late = (event.received_at - event.occurred_at).total_seconds()
    if "late" in marks or (not marks and abs(late) > 3600):
        yield "arrived late"
    if "skewed" in marks or "future" in marks:
        yield "clock corrected"


def _times(event: Event, envelope: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the marks mean, and the times the client named where others were kept."""
    marks = envelope.get("marks") or []
    late = (event.received_at - event.occurred_at).total_seconds()
    if "late" in marks:
        yield (
            "Arrived late",
            f"It arrived {duration(late)} after it happened and is listed at the time it happened.",
        )
    if "skewed" in marks:
        yield (
            "Clock corrected",
            "The device's clock was wrong. The time was worked out from when the event arrived.",
        )
    if "future" in marks:
        yield (
            "Time in the future",
            "The event was dated in the future, so the time it arrived is used instead.",
        )
    if named := envelope.get("timestamp"):
        yield "Time on the device", str(named)


def _ids(envelope: dict[str, Any], can_view_pii: bool) -> Iterator[tuple[str, str]]:
    for name, label in _ID_LABELS.items():
        if value := envelope.get(name):
            yield label, str(value) if can_view_pii else mask_identifier(name, str(value))


def _rest(event: Event, envelope: dict[str, Any], can_view_pii: bool) -> Iterator[tuple[str, str]]:
    """What the kind of call has no place for, as it was sent."""
    if channel := envelope.get("channel"):
        yield "Channel", str(channel)
    if event.kind in (Event.Kind.PAGE, Event.Kind.SCREEN) and (category := event.category):
        yield "Category", category
    # Which of an SDK's own integrations were to get the call says nothing about the person.
    rest = {key: value for key, value in (envelope.get("rest") or {}).items() if key != "integrations"}
    yield from facts_of(rest if can_view_pii else mask_json(rest), prefix="Sent beside: ")


def _surroundings(event: Event, context: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Page, device and campaign in words."""
    for label, part, name in (
        ("Page", "page", "title"),
        ("Address", "page", "url"),
        ("Came from", "page", "referrer"),
        ("Screen", "screen", "name"),
    ):
        if value := _part(context, part, name):
            yield label, value
    campaign = context.get("campaign")
    if isinstance(campaign, dict) and campaign:
        yield "Campaign", ", ".join(f"{name} {value}" for name, value in campaign.items())
    if agent := event.context.get("userAgent"):
        yield "Device", describe(str(agent)[:500])[0]
    if library := _part(context, "library", "name"):
        yield "Sent by", f"{library} {_part(context, 'library', 'version')}".strip()


def _more_context(context: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The rest of the context, under its common name where it has one."""
    for name, value in facts_of({key: part for key, part in context.items() if key not in _DESCRIBED}):
        yield _CONTEXT_LABELS.get(name, f"Context: {name}"), value


def _part(context: dict[str, Any], part: str, name: str) -> str:
    inner = context.get(part)
    value = inner.get(name) if isinstance(inner, dict) else None
    return value if isinstance(value, str) else ""


def facts_of(data: Any, prefix: str = "") -> list[tuple[str, str]]:
    """A flat list of what an event carries; nested things as JSON."""
    if not isinstance(data, dict):
        return []
    return [
        (prefix + str(key), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for key, value in data.items()
    ]
