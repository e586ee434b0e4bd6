"""What was sent beside what is stored."""

from __future__ import annotations

import datetime
from typing import Any

from profiles.models import Event, Receipt
from profiles.tracking.parse.clock import parse_time
from tests.sdk.relay import Relay

KINDS = ("identify", "track", "page", "screen", "group", "alias")


def story(size: int = 24) -> list[dict[str, Any]]:
    """Calls of every kind about two people, as an SDK of a server is given them; each has a number ``n``.

    With odd text, numbers, nested values and times of their own.
    """
    now = datetime.datetime.now(datetime.UTC)
    user, visitor = "u-1", "b7d2f9a0-5d6c-4f0e-9b3a-2f1f3c1e8a11"
    calls: list[dict[str, Any]] = [
        {"type": "track", "anonymousId": visitor, "event": "Product Viewed", "properties": {"sku": "A-1"}},
        {
            "type": "identify",
            "userId": user,
            "anonymousId": visitor,
            "traits": {"firstName": "Zoë", "lastName": "Ångström", "email": "zoe@example.com"},
            "context": {"ip": "192.0.2.7", "device": {"type": "phone"}},
        },
        {"type": "page", "userId": user, "name": "Cart", "category": "Shop", "properties": {"url": "/cart"}},
        {"type": "screen", "userId": user, "name": "Settings", "properties": {"depth": 0.25}},
        {"type": "group", "userId": user, "groupId": "g-1", "traits": {"plan": "team"}},
        {"type": "alias", "userId": user, "previousId": "old-1"},
    ]
    for number in range(size - len(calls)):
        at = now - datetime.timedelta(minutes=number, milliseconds=number)
        calls.append(
            {
                "type": "track",
                "userId": user if number % 3 else "u-2",
                "event": "Order Completed" if number % 2 else "Näme mit \u2028 und 🙂",
                "properties": {
                    "price": 19.9 + number,
                    "count": number,
                    "paid": True,
                    "nothing": None,
                    "lines": [{"sku": f"S-{number}", "tags": ["a", "b"]}],
                },
                "timestamp": at.isoformat(timespec="milliseconds"),
            }
        )
    for number, call in enumerate(calls):
        place = "traits" if call["type"] in ("identify", "group") else "properties"
        if call["type"] != "alias":
            call[place]["n"] = number
    return calls


def stored(source_id: int) -> dict[str, Event]:
    """Events by the message id as it was sent."""
    rows = Event.objects.filter(source_id=source_id).select_related("name")
    return {(row.envelope or {}).get("message_id", str(row.message_id)): row for row in rows}


def check_arrival(relay: Relay, source_id: int, *, by_clock: bool = True) -> dict[str, Event]:
    """Every item that went over the wire is one event with the same content, and was told as such.

    ``by_clock``: the client's clock is right, so events are at its times to the millisecond.
    """
    sent, events = relay.sent(), stored(source_id)
    assert events.keys() == sent.keys()
    assert Event.objects.filter(source_id=source_id).count() == len(sent)
    for message_id, item in sent.items():
        _check_item(item, events[message_id])
        if by_clock:
            # With both, what the SDK was told is the earlier one.
            said = min(
                parse_time(item[name]) for name in ("originalTimestamp", "timestamp") if item.get(name)
            )
            assert abs(said - events[message_id].occurred_at) < datetime.timedelta(milliseconds=1)
    _check_answers(relay, source_id)
    return events


def _check_item(item: dict[str, Any], event: Event) -> None:
    kind = item["type"]
    assert event.kind == kind
    if kind == "track":
        assert event.name.name == item["event"]
    # What identify is told in the context alone belongs to it.
    told = item["context"].get("traits", {}) if kind == "identify" else {}
    said = (
        {**told, **item.get("traits", {})} if kind in ("identify", "group") else item.get("properties") or {}
    )
    left_out = {"category", "name"} if kind in ("page", "screen") else set()
    kept_properties = {
        name: value for name, value in event.properties.items() if name not in left_out - said.keys()
    }
    assert kept_properties == said
    for name in left_out:
        if item.get(name):
            assert event.properties[name] == item[name]
    assert event.context == item["context"]
    assert event.context["library"]["name"]
    assert event.context["library"]["version"]
    for name, kept in {
        "userId": "user_id",
        "anonymousId": "anonymous_id",
        "groupId": "group_id" if kind == "group" else "",
        "previousId": "previous_id" if kind == "alias" else "",
    }.items():
        if kept:
            assert (event.envelope or {}).get(kept) == (item.get(name) or None), name


def _check_answers(relay: Relay, source_id: int) -> None:
    """The sum of outcomes is what the product was sent, call by call and in the receipts."""
    for one in relay.passed:
        if one.answer:
            assert one.answer["received"] == len(one.items)
            assert one.answer["rejected"] == 0, one.answer["errors"]
    reached = len(relay.reached())
    assert Receipt.objects.filter(source_id=source_id).count() == reached
    repeated = Receipt.objects.filter(source_id=source_id, outcome="duplicate").count()
    assert repeated == reached - len(relay.sent())


def check_story(calls: list[dict[str, Any]], events: dict[str, Event]) -> None:
    """The calls that were made are the events there are, each with what it was given."""
    by_number = {row.properties["n"]: row for row in events.values() if "n" in row.properties}
    assert len(events) == len(calls)
    for number, call in enumerate(calls):
        if call["type"] == "alias":
            continue
        row = by_number[number]
        assert row.kind == call["type"]
        given = call.get("traits") or call["properties"]
        assert given.items() <= row.properties.items()
        assert row.context.items() >= call.get("context", {}).items()
        if at := call.get("timestamp"):
            assert abs(row.occurred_at - datetime.datetime.fromisoformat(at)) < datetime.timedelta(
                seconds=0.001
            )
