"""A rule as JSON and a person's rows → whether they are in, in the plainest way: what SQL and the conditions are held against.

Nothing here uses the code under test: values are read and compared as SEGMENTS says, one person at a time.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from profiles.models import Cart, Event, Identifier, Profile, ProfileTag

ZONE = ZoneInfo("UTC")


@dataclass
class Facts:
    """Everything about one person, from the tables."""

    root: Profile
    tags: set[str] = field(default_factory=set)
    identifiers: list[Any] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    segments: set[int] = field(default_factory=set)
    members: list[int] = field(default_factory=list)
    carts: list[Any] = field(default_factory=list)


def read_facts(root_id: int) -> Facts:
    members = list(Profile.objects.filter(canonical_id=root_id).values_list("pk", flat=True))
    return Facts(
        Profile.objects.get(pk=root_id),
        set(ProfileTag.objects.filter(profile__in=members).values_list("tag__name", flat=True)),
        list(Identifier.objects.filter(profile__in=members).select_related("type")),
        list(Event.objects.filter(profile__in=members).select_related("name").order_by("occurred_at", "pk")),
        members=members,
        carts=list(Cart.objects.filter(profile__in=members)),
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


# --- Values -------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    kept = "".join(char for char in unicodedata.normalize("NFKD", text) if not "\u0300" <= char <= "\u036f")
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in kept)


def number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", value, re.ASCII):
        return None
    if not isinstance(value, (str, int, float)):
        return None
    return Decimal(str(value)).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def text_of(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{Decimal(str(value)):f}"
    return value if isinstance(value, str) else None


def compare(
    kind: str, op: str, have: Any, wanted: Any, now: datetime.datetime, exactly: bool = False
) -> bool:
    """False where the value is unknown or does not fit the type."""
    if kind == "text":
        text = text_of(have)
        if text is None:
            return False
        fold: Callable[[str], str] = (lambda value: value) if exactly else plain
        wishes = [fold(one) for one in (wanted if isinstance(wanted, list) else [wanted])]
        mine = fold(text)
        return {
            "eq": mine in wishes,
            "in": mine in wishes,
            "ne": mine not in wishes,
            "not_in": mine not in wishes,
            "contains": wishes[0] in mine,
            "not_contains": wishes[0] not in mine,
            "starts": mine.startswith(wishes[0]),
            "ends": mine.endswith(wishes[0]),
        }[op]
    if kind == "boolean":
        return isinstance(have, bool) and have == wanted
    if kind == "number":
        mine_number = number(have)
        return mine_number is not None and order(op, mine_number, wanted, number)
    if have is None:
        return False
    if kind == "date":
        day = day_of(have)
        if day is None:
            return False
        return compare_day(op, day, wanted, now)
    moment = moment_of(have)
    if moment is None:
        return False
    if op in ("in_last", "in_next"):
        delta = span(wanted)
        return now - delta < moment <= now if op == "in_last" else now < moment <= now + delta
    return order(op, moment, wanted, datetime.datetime.fromisoformat)


def moment_of(value: Any) -> datetime.datetime | None:
    if isinstance(value, datetime.datetime) or not isinstance(value, str):
        return value if isinstance(value, datetime.datetime) else None
    for written in ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M%z"):
        try:
            return datetime.datetime.strptime(value, written)
        except ValueError:
            continue
    return None


def day_of(value: Any) -> datetime.date | None:
    if isinstance(value, datetime.date) or not isinstance(value, str):
        return value if isinstance(value, datetime.date) else None
    try:
        return datetime.datetime.strptime(value, "%Y-%m-%d").date()
    except ValueError:
        return None


def order(op: str, mine: Any, wanted: Any, read: Callable[[Any], Any]) -> bool:
    wishes = [read(one) for one in (wanted if isinstance(wanted, list) else [wanted])]
    first = wishes[0]
    return bool(
        {
            "eq": mine == first,
            "ne": mine != first,
            "in": mine in wishes,
            "not_in": mine not in wishes,
            "gt": mine > first,
            "after": mine > first,
            "gte": mine >= first,
            "lt": mine < first,
            "before": mine < first,
            "lte": mine <= first,
            "between": first <= mine <= wishes[-1],
        }[op]
    )


def compare_day(op: str, day: datetime.date, wanted: Any, now: datetime.datetime) -> bool:
    today = now.astimezone(ZONE).date()
    if op == "anniversary":
        for ahead in range(wanted["days"] + 1):
            then = today + datetime.timedelta(days=ahead)
            if (then.month, then.day) == (day.month, day.day):
                return True
            is_common = (then + datetime.timedelta(days=1)).day == 1
            if (day.month, day.day) == (2, 29) and (then.month, then.day) == (2, 28) and is_common:
                return True
        return False
    if op in ("in_last", "in_next"):
        ago = (today - day).days
        return 0 <= ago < wanted["days"] if op == "in_last" else 0 <= -ago <= wanted["days"]
    return order(op, day, wanted, datetime.date.fromisoformat)


def span(written: dict[str, int]) -> datetime.timedelta:
    return datetime.timedelta(**written)


# --- Conditions ---------------------------------------------------------------------------------------------

_DEFAULTS = {"birth_date": "date"}


def by_attribute(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> bool:
    from tests.segments.world import ATTRIBUTES

    name = node["attribute"]
    kind = ATTRIBUTES.get(name) or _DEFAULTS.get(name, "text")
    have = facts.root.attributes.get(name) if name in ATTRIBUTES else getattr(facts.root, name)
    have = None if have == "" else have
    op = node.get("op", "eq")
    if op == "exists":
        return have is not None
    if kind != "list":
        return compare(kind, op, have, node["value"], now, node.get("exactly", False))
    items = have or []
    if op in ("ne", "not_in", "not_contains"):
        positive = {"ne": "eq", "not_in": "in", "not_contains": "contains"}[op]
        return bool(items) and not any(compare("text", positive, item, node["value"], now) for item in items)
    return any(compare("text", op, item, node["value"], now) for item in items)


def by_identifier(node: dict[str, Any], facts: Facts, now: datetime.datetime) -> bool:
    mine = [one for one in facts.identifiers if one.type.name == node["identifier"]]
    test = {
        "exists": lambda one: True,
        "verified": lambda one: one.is_verified,
        "identifies": lambda one: one.resolves,
    }
    return any(test[node.get("op", "exists")](one) for one in mine)


def in_window(at: datetime.datetime, within: dict[str, Any] | None, now: datetime.datetime) -> bool:
    if at > now:
        return False
    if not within:
        return True
    if "after" in within or "before" in within:
        after, before = within.get("after"), within.get("before")
        if after and at < datetime.datetime.fromisoformat(after):
            return False
        return not (before and at >= datetime.datetime.fromisoformat(before))
    ((unit, amount),) = within.items()
    if isinstance(amount, list):
        return now - span({unit: amount[1]}) < at <= now - span({unit: amount[0]})
    return now - span({unit: amount}) < at


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
    "segment": lambda node, facts, now: node["segment"] in facts.segments,
    "event": by_event,
    "sequence": by_sequence,
    "cart": by_cart,
    "visits": by_visits,
    "split": by_split,
    "ids": by_ids,
}
