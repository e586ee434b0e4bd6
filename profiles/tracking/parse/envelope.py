"""An item as it was sent → the parts of it that its kind of call has no field for, kept with the event. Pure."""

from __future__ import annotations

import uuid
from typing import Any

from profiles.tracking.parse.clock import ItemTime
from profiles.tracking.parse.item_text import MAX_TEXT, NOTHING, name_text

# Read into fields of the Item, or given by the call as a whole. Everything else goes into the item's envelope.
_COMMON = frozenset(
    "type userId anonymousId messageId context timestamp originalTimestamp sentAt receivedAt writeKey _metadata"
    " version".split()
)
FIELDS = {
    kind: _COMMON | set(names.split())
    for kind, names in {
        "track": "event properties",
        "page": "name category properties",
        "screen": "name category properties",
        "identify": "traits",
        "update": "traits",
        "group": "groupId traits",
        "alias": "previousId properties",
        "consent": "properties channel purpose state wording reason proof",
    }.items()
}


def envelope_of(
    raw: dict[str, Any],
    kind: str,
    text: str,
    message_id: uuid.UUID,
    ids: dict[str, str | None],
    timestamp: Any,
    sent: Any,
    moment: ItemTime,
) -> dict[str, Any] | None:
    """The rest of the item as it was sent; the client's times only where another one was kept.

    A page's or screen's name and category are there where its properties have others.
    """
    envelope: dict[str, Any] = {key: value for key, value in ids.items() if value is not None}
    if text != str(message_id):
        envelope["message_id"] = text
    marks = [*moment.marks, "retry"] if "_metadata" in raw and _is_retry(raw["_metadata"]) else moment.marks
    if marks:
        envelope["marks"] = list(marks)
    if timestamp is not None and (moment.bad or moment.marks):
        envelope["timestamp"] = timestamp
        if sent is not None:
            envelope["sent_at"] = sent
    if not raw.keys() <= FIELDS[kind]:
        _add_rest(envelope, {key: raw[key] for key in raw.keys() - FIELDS[kind] if raw[key] not in NOTHING})
    if kind in ("page", "screen"):
        properties = raw.get("properties")
        inner = properties if isinstance(properties, dict) else {}
        for key in ("name", "category"):
            own = raw.get(key)
            if own not in NOTHING and inner.get(key, own) != own:
                envelope[key] = own
    return envelope or None


def _add_rest(envelope: dict[str, Any], rest: dict[str, Any]) -> None:
    """What the kind of call has no use for: the channel and the group under their names, the others as sent."""
    for name, key in (("channel", "channel"), ("groupId", "group_id")):
        text = name_text(rest.get(name))
        if 0 < len(text) <= MAX_TEXT:
            envelope[key] = text
            del rest[name]
    if rest:
        envelope["rest"] = rest


def with_misplaced_parts(
    envelope: dict[str, Any] | None, raw: dict[str, Any], kind: str, properties: dict[str, Any]
) -> dict[str, Any] | None:
    """Also what stands where an object belongs and is none, and what a consent's properties say beside the consent."""
    rest = {
        name: raw[name]
        for name in ("properties", "traits", "context")
        if name in FIELDS[kind] and raw.get(name) not in NOTHING and not isinstance(raw[name], dict)
    }
    if kind == "consent" and isinstance(inner := raw.get("properties"), dict):
        beside = {
            name: value
            for name, value in inner.items()
            if value not in NOTHING and properties.get(name) != value
        }
        if beside:
            rest["properties"] = beside
    if not rest:
        return envelope
    kept = envelope or {}
    return {**kept, "rest": {**kept.get("rest", {}), **rest}}


def _is_retry(metadata: Any) -> bool:
    """analytics-next counts how often it has sent an item; it fills ids in anew each time."""
    count = metadata.get("retryCount") if isinstance(metadata, dict) else None
    return isinstance(count, int) and not isinstance(count, bool) and count > 0
