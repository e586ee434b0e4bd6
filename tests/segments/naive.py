"""A rule as JSON and a person's rows → whether they are in, in the plainest way: what SQL and the conditions are held against.

Nothing here uses the code under test: values are read and compared as SEGMENTS says, one person at a time.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from profiles.models import Event, Identifier, Profile, ProfileTag
from tests.segments import naive_records
from tests.segments.naive_records import Records
from tests.segments.naive_values import compare, in_window, order


class Facts:
    """Everything about one person, from the tables. No dataclass: Hypothesis would print all of it."""

    def __init__(
        self, root: Profile, tags: set[str], identifiers: list[Any], events: list[Any], records: Records
    ) -> None:
        self.root = root
        self.tags = tags
        self.identifiers = identifiers
        self.events = events
        self.records = records

    def __repr__(self) -> str:
        return f"Facts(#{self.root.pk})"


def read_facts(root_id: int, others: dict[int, naive_records.Other] | None = None) -> Facts:
    """``others`` as ``naive_records.read_others`` gives them, where many people are read."""
    members = list(Profile.objects.filter(canonical_id=root_id).values_list("pk", flat=True))
    return Facts(
        Profile.objects.select_related("source").get(pk=root_id),
        set(ProfileTag.objects.filter(profile__in=members).values_list("tag__name", flat=True)),
        list(Identifier.objects.filter(profile__in=members).select_related("type")),
        list(Event.objects.filter(profile__in=members).select_related("name").order_by("occurred_at", "pk")),
        naive_records.read_records(root_id, members, others),
    )


def is_in(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> bool:
    """The whole rule, or a part of it that is switched on."""
    for kind in ("all", "any", "none"):
        if kind in node:
            verdicts = [is_in(part, facts, now) for part in node[kind] if not is_off(part)]
            return {"all": all(verdicts), "any": any(verdicts), "none": not any(verdicts)}[kind]
    if "not" in node:
        return not is_in(node["not"], facts, now)
    for key, decide in DECIDE.items():
        if key in node:
            return decide(node, facts, now)
    raise ValueError(node)


def is_off(node: dict[str, Any]) -> bool:
    if node.get("off"):
        return True
    for kind in ("all", "any", "none"):
        if kind in node:
            return all(is_off(part) for part in node[kind])
    return "not" in node and is_off(node["not"])


# --- Conditions ---------------------------------------------------------------------------------------------


def by_attribute(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> bool:
    name = node["attribute"]
    return naive_records.attribute_fits(node, name, naive_records.value_now(facts.root, name), now)


def by_identifier(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> bool:
    mine = [one for one in facts.identifiers if one.type.name == node["identifier"]]
    test = {
        "exists": lambda one: True,
        "verified": lambda one: one.is_verified,
        "identifies": lambda one: one.resolves,
    }
    return any(test[node.get("op", "exists")](one) for one in mine)


def items_at(value: Any, path: list[str]) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if not path:
        return values
    if path[0] == "*":
        return [found for item in values for found in items_at(item, path[1:])]
    return [
        found
        for item in values
        if isinstance(item, dict) and path[0] in item
        for found in items_at(item[path[0]], path[1:])
    ]


def meets(event: Any, filters: list[dict[str, Any]], now: datetime.datetime) -> bool:
    for one in filters:
        items = items_at(event.properties, one["property"].split("."))
        if one.get("op") == "exists":
            if not any(item is not None for item in items):
                return False
            continue
        wanted = one["value"]
        sample = wanted[0] if isinstance(wanted, list) else wanted
        kind = (
            "boolean"
            if isinstance(sample, bool)
            else "number"
            if isinstance(sample, (int, float))
            else "text"
        )
        if not any(compare(kind, one.get("op", "eq"), item, wanted, now) for item in items):
            return False
    return True


def counted(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> list[Any]:
    return [
        event
        for event in facts.events
        if event.kind == "track"
        and (node["event"] == "*" or event.name.name == node["event"])
        and in_window(event.occurred_at, node.get("within"), now)
        and meets(event, node.get("where", []), now)
    ]


def by_event(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> bool:
    events = counted(node, facts, now)
    if "since" in node:
        earlier = counted(node["since"], facts, now)
        if not earlier:
            return False
        last = (earlier[-1].occurred_at, earlier[-1].pk)
        events = [event for event in events if (event.occurred_at, event.pk) > last]
    count = node.get("count", {"op": "gte", "value": 1})
    return order(count["op"], len(events), count["value"], int)


DECIDE: dict[str, Callable[[dict[str, Any], Facts, datetime.datetime], bool]] = {
    "attribute": by_attribute,
    "tag": lambda node, facts, now: node["tag"] in facts.tags,
    "type": lambda node, facts, now: facts.root.is_recognized == (node["type"] == "recognized"),
    "identifier": by_identifier,
    "event": by_event,
    **naive_records.DECIDE,
}
