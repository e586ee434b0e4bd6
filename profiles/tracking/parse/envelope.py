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
    name: str,
    text: str,
    message_id: uuid.UUID,
    ids: dict[str, str | None],
    timestamp: Any,
    sent: Any,
    moment: ItemTime,
) -> dict[str, Any] | None:
    """The rest of the item as it was sent; the client's times only where another one was kept.

    ``name`` is there where a page's or screen's properties have another one.
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
        if name and inner.get("name", name) != name:
            envelope["name"] = name
        if raw.get("category") not in NOTHING and inner.get("category", raw["category"]) != raw["category"]:
            envelope["category"] = raw["category"]
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


def _is_retry(metadata: Any) -> bool:
    """analytics-next counts how often it has sent an item; it fills ids in anew each time."""
    count = metadata.get("retryCount") if isinstance(metadata, dict) else None
    return isinstance(count, int) and not isinstance(count, bool) and count > 0
