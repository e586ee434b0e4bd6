"""A rule as JSON and a person's rows → whether they are in, in the plainest way: what SQL and the conditions are held against.

Nothing here uses the code under test: values are read and compared as SEGMENTS says, one person at a time.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from profiles.models import Cart, Event, Identifier, Profile, ProfileTag
from tests.segments import naive_records
from tests.segments.naive_records import Records
from tests.segments.naive_values import compare, in_window, order, span


class Facts:
    """Everything about one person, from the tables. No dataclass: Hypothesis would print all of it."""

    def __init__(
        self,
        root: Profile,
        tags: set[str],
        identifiers: list[Any],
        events: list[Any],
        records: Records,
        members: list[int],
        carts: list[Any],
    ) -> None:
        self.root = root
        self.tags = tags
        self.identifiers = identifiers
        self.events = events
        self.records = records
        self.members = members
        self.carts = carts

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
        members,
        list(Cart.objects.filter(profile__in=members)),
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
        kind = one.get("type") or type_of(sample)
        if not any(compare(kind, one.get("op", "eq"), item, wanted, now) for item in items):
            return False
    return True


def type_of(sample: Any) -> str:
    if isinstance(sample, bool):
        return "boolean"
    if isinstance(sample, dict):
        return "datetime"
    return "number" if isinstance(sample, (int, float)) else "text"


def page_called(event: Any) -> str:
    envelope = event.envelope or {}
    for place in (envelope.get("name"), event.properties.get("name"), envelope.get("rest", {}).get("name")):
        if isinstance(place, str) and place != "":
            return place
    return ""


def is_named(event: Any, node: dict[str, Any]) -> bool:
    kind = node.get("kind", "track")
    if event.kind != kind:
        return False
    mine = event.name.name if kind == "track" else page_called(event)
    return node["event"] in ("*", mine)


def counted(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> list[Any]:
    return [
        event
        for event in facts.events
        if is_named(event, node)
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


def by_sequence(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> bool:
    """Every way to take one event per step is tried."""
    *steps, last = node["sequence"]
    limit = span(node["no_longer_than"])
    if not last.get("not"):
        steps.append(last)
    for chain in chains(steps, limit, facts, now):
        if not in_window(chain[0].occurred_at, node.get("within"), now):
            continue
        if not last.get("not"):
            return True
        is_over = chain[0].occurred_at + limit <= now
        if is_over and not any(True for _ in followers(chain, last, limit, facts, now)):
            return True
    return False


def chains(
    steps: list[dict[str, Any]], limit: datetime.timedelta, facts: Facts, now: datetime.datetime
) -> Iterator[list[Any]]:
    if len(steps) == 1:
        yield from ([event] for event in counted(steps[0], facts, now))
        return
    for chain in chains(steps[:-1], limit, facts, now):
        for event in followers(chain, steps[-1], limit, facts, now):
            yield [*chain, event]


def followers(
    chain: list[Any],
    step: dict[str, Any],
    limit: datetime.timedelta,
    facts: Facts,
    now: datetime.datetime,
) -> Iterator[Any]:
    """Events of the step after the chain's last, and not too long after its first."""
    for event in facts.events:
        is_later = (event.occurred_at, event.pk) > (chain[-1].occurred_at, chain[-1].pk)
        if (
            is_later
            and event.occurred_at - chain[0].occurred_at <= limit
            and event in counted(step, facts, now)
        ):
            yield event


def by_cart(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> bool:
    for cart in facts.carts:
        if node["cart"] not in ("any", cart.state) or not in_window(
            cart.started_at, node.get("started"), now
        ):
            continue
        if "idle" in node and now - cart.last_event_at < span(node["idle"]):
            continue
        if "contains" not in node or any(
            cart.started_at <= event.occurred_at <= min(cart.last_event_at, now)
            and event.kind == "track"
            and event.profile_id == cart.profile_id
            and (text_of(event.properties.get("cart_id")) or "").strip(" ") == cart.cart_id
            and meets(event, node["contains"], now)
            for event in facts.events
        ):
            return True
    return False


def by_visits(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> bool:
    times = [
        event.occurred_at
        for event in facts.events
        if event.kind in ("track", "page", "screen") and event.occurred_at <= now
    ]
    half_an_hour = datetime.timedelta(minutes=30)
    found = 0
    for index, began in enumerate(times):
        if index and began - times[index - 1] < half_an_hour:
            continue
        end = began
        for at in times[index:]:
            end = at if at - end < half_an_hour else end
        is_long = "longer_than" not in node or end - began > span(node["longer_than"])
        found += is_long and in_window(began, node.get("within"), now)
    return order(node["visits"]["op"], found, node["visits"]["value"], int)


def by_split(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> bool:
    split = node["split"]
    digest = hashlib.sha256(split["salt"].encode()).hexdigest()
    prime = 2147483647
    x = facts.root.pk % prime
    for turn in range(3):
        a, b = (int(digest[at : at + 8], 16) % prime for at in (16 * turn, 16 * turn + 8))
        x = (x * x + a * x + b) % prime
    return bool(split["from"] <= x % split["of"] < split["to"])


# How each type is written in the lists that are pasted → how it is stored.
_SPELLINGS: dict[str, Callable[[str], str]] = {
    "email": lambda text: text.strip().lower(),
    "phone": lambda text: "+" + re.sub("[^0-9]", "", text.strip().removeprefix("00")),
    "customer_id": lambda text: text.strip(),
}


def by_ids(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> bool:
    if node["ids"] == "id":
        return any(
            str(value).strip().removeprefix("#") in map(str, facts.members) for value in node["values"]
        )
    wanted = [_SPELLINGS[node["ids"]](str(value)) for value in node["values"]]
    mine = [one.value for one in facts.identifiers if one.type.name == node["ids"] and not one.is_pending]
    return any(value in wanted for value in mine)


DECIDE: dict[str, Callable[[dict[str, Any], Facts, datetime.datetime], bool]] = {
    "attribute": by_attribute,
    "tag": lambda node, facts, now: node["tag"] in facts.tags,
    "type": lambda node, facts, now: facts.root.is_recognized == (node["type"] == "recognized"),
    "identifier": by_identifier,
    "event": by_event,
    "sequence": by_sequence,
    "cart": by_cart,
    "visits": by_visits,
    "split": by_split,
    "ids": by_ids,
    **naive_records.DECIDE,
}
