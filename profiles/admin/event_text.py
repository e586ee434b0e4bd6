"""Events and other calls in words: what happened, on which page and device, by which ids, and what is odd about its time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cdp.templatetags.cdp import duration
from profiles.masking import mask_identifier, mask_json, mask_text
from profiles.models import Event
from profiles.reading.devices import describe

# Event properties worth a place in the sentence, in this order.
_SUMMARY = ("name", "product", "title", "sku", "order_id", "url", "path", "form", "plan")
_AMOUNTS = ("total", "revenue", "value", "price")
_TRAITS_NAMED = 5
_ID_LABELS = {
    "user_id": "userId",
    "anonymous_id": "anonymousId",
    "previous_id": "previousId",
    "group_id": "groupId",
}
# Parts of the context that are told in words; the rest stands below as it was sent.
_TOLD = frozenset({"userAgent", "page", "campaign", "library", "screen"})


@dataclass(frozen=True, slots=True)
class Told:
    """``before strong after`` is the sentence, ``where`` its small print, ``facts`` what stands behind “Details”."""

    icon: str
    before: str
    strong: str
    after: str
    where: list[str]
    facts: list[tuple[str, str]]


def tell(event: Event, *, sees: bool) -> Told:
    """An event as its card shows it, masked without the right to see personal data. No query."""
    properties = event.properties if sees else mask_json(event.properties)
    context = event.context if sees else mask_json(event.context)
    envelope = event.envelope or {}
    before, strong, after = _SENTENCES.get(event.kind, _track)(event, properties, envelope, sees)
    return Told(
        icon=event.kind,
        before=before,
        strong=strong,
        after=after,
        where=list(_where(event, context, envelope)),
        facts=[
            *_times(event, envelope),
            *_ids(envelope, sees),
            *_surroundings(event, context),
            *facts_of(properties),
            *facts_of({name: value for name, value in context.items() if name not in _TOLD}, "context."),
        ],
    )


# --- The sentence ---------------------------------------------------------------------------------------

_Sentence = tuple[str, str, str]


def _track(event: Event, properties: Any, envelope: dict[str, Any], sees: bool) -> _Sentence:
    return "", event.name.name, summary(properties)


def _page(event: Event, properties: Any, envelope: dict[str, Any], sees: bool) -> _Sentence:
    page = event.context.get("page") if isinstance(event.context.get("page"), dict) else {}
    said = [properties.get("title"), properties.get("name"), page.get("title"), page.get("path")]
    name = next((str(one) for one in said if isinstance(one, str) and one), "a page")
    return "Viewed", name if sees else mask_text(name), ""


def _screen(event: Event, properties: Any, envelope: dict[str, Any], sees: bool) -> _Sentence:
    name = properties.get("name") if isinstance(properties.get("name"), str) else ""
    return "Opened", name or "a screen", ""


def _identify(event: Event, properties: Any, envelope: dict[str, Any], sees: bool) -> _Sentence:
    user_id = str(envelope.get("user_id") or "")
    who = (user_id if sees else mask_identifier("user_id", user_id)) if user_id else ""
    return ("Identified as", who, _named(properties)) if who else ("Identified", "", _named(properties))


def _update(event: Event, properties: Any, envelope: dict[str, Any], sees: bool) -> _Sentence:
    return "Attributes sent", "", _named(properties)


def _group(event: Event, properties: Any, envelope: dict[str, Any], sees: bool) -> _Sentence:
    name = properties.get("name") if isinstance(properties.get("name"), str) else ""
    return "Joined the group", name or str(envelope.get("group_id") or ""), ""


def _alias(event: Event, properties: Any, envelope: dict[str, Any], sees: bool) -> _Sentence:
    previous = str(envelope.get("previous_id") or "")
    shown = previous if sees or not previous else mask_identifier("previous_id", previous)
    return "Ids joined:", shown, "is the same person" if shown else ""


def _consent(event: Event, properties: Any, envelope: dict[str, Any], sees: bool) -> _Sentence:
    what = " ".join(str(properties[key]) for key in ("channel", "purpose") if properties.get(key))
    return "Consent to", what, str(properties.get("state", ""))


_SENTENCES: dict[str, Callable[..., _Sentence]] = {
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
    """The two or three properties that tell one such event from another."""
    if not isinstance(properties, dict):
        return ""
    said = [str(properties[key]) for key in _SUMMARY if isinstance(properties.get(key), str | int)][:2]
    products = properties.get("products")
    if isinstance(products, list) and products:
        said.append(f"{len(products):,} item{'' if len(products) == 1 else 's'}")
    for key in _AMOUNTS:
        amount = properties.get(key)
        if isinstance(amount, int | float) and not isinstance(amount, bool):
            said.append(f"{amount:,.2f} {properties.get('currency', '')}".strip())
            break
    text = ", ".join(said)
    return f"· {text[:140]}" if text else ""


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
        yield "Arrived late", f"It came in {duration(late)} after it happened, and stands where it happened."
    if "skewed" in marks:
        yield (
            "Clock corrected",
            "The device's clock was wrong. The time was reckoned back from when it came in.",
        )
    if "future" in marks:
        yield (
            "Time in the future",
            "It named a time that was still to come; when it came in was taken instead.",
        )
    if named := envelope.get("timestamp"):
        yield "The device said", str(named)


def _ids(envelope: dict[str, Any], sees: bool) -> Iterator[tuple[str, str]]:
    for name, label in _ID_LABELS.items():
        if value := envelope.get(name):
            yield label, str(value) if sees else mask_identifier(name, str(value))


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
