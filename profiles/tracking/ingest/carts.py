"""Cart events → which of them repeat another, and the carts as stored; a profile's newest cart supersedes older ones."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from cdp.locks import Lock, take_slots
from cdp.sql import ask, run
from profiles.identity.field_names import fold_name
from profiles.tracking.parse.item_types import Item

# A browser that sends twice does so at once; a person who clicks twice takes longer.
WINDOW = datetime.timedelta(seconds=2)
ORDERED = "ordercompleted"
# What makes two events of one cart the same, where they are about an article; without one, everything does.
_KEY = ("sku", "variant", "quantity", "price")
# Carts share this many locks, so that no call, however long, fills the server's table of locks.
_SLOTS = 1024

CartEvent = tuple[Item, int]


@dataclass(frozen=True, slots=True)
class _CartTouch:
    index: int
    profile_id: int
    name: str
    cart_id: str
    same: str
    at: datetime.datetime


def cart_id_of(item: Item) -> str:
    """The cart an event is about; empty for none."""
    raw = item.properties.get("cart_id") if item.kind == "track" else None
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        return ""
    text = str(raw).strip()
    return text if len(text) <= 255 else ""


def _same(properties: dict[str, Any]) -> str:
    has_article = properties.get("sku") not in (None, "")
    key = {name: _plain(properties.get(name)) for name in _KEY} if has_article else properties
    return orjson.dumps(key, option=orjson.OPT_SORT_KEYS).decode()


def _plain(value: Any) -> Any:
    """9 and 9.0 are one price."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _touches(events: Sequence[CartEvent]) -> list[_CartTouch]:
    return [
        _CartTouch(item.index, profile_id, item.name, cart_id, _same(item.properties), item.occurred_at)
        for item, profile_id in events
        if (cart_id := cart_id_of(item))
    ]


# Everything stored about the carts around these times, on any member of the same profile.
_STORED = """
    WITH asked AS (
        SELECT * FROM unnest(%(index)b::int[], %(profile)b::bigint[], %(name)b::text[], %(cart)b::text[],
            %(at)b::timestamptz[]) AS a (index, profile_id, name, cart_id, at)
    )
    SELECT asked.index, event.properties
    FROM asked
    JOIN profiles_profile me ON me.id = asked.profile_id
    JOIN profiles_eventname named ON named.name = asked.name
    CROSS JOIN LATERAL (
        SELECT me.canonical_id AS id
        UNION ALL
        SELECT p.id FROM profiles_profile p WHERE p.canonical_id = me.canonical_id AND p.canonical_id <> p.id
    ) member
    JOIN profiles_event event ON event.profile_id = member.id AND event.name_id = named.id
        AND event.occurred_at BETWEEN asked.at - %(window)s AND asked.at + %(window)s
    WHERE event.source_id = %(source)s AND event.kind = 'track'
        AND btrim(event.properties ->> 'cart_id') = asked.cart_id
"""


def find_repeats(events: Sequence[CartEvent], *, source_id: int) -> set[int]:
    """The indexes of events that repeat one of the same cart: same profile, source and name, the same article,
    variant, quantity and price (without an article: the same properties), within two seconds.

    Looks among the rows and in what is stored; calls about one cart wait for each other until they commit.
    Two queries, however many rows; none without a cart.
    """
    touches = _touches(events)
    if not touches:
        return set()
    _queue_up(touches, source_id)
    repeats = _repeats_stored(touches, source_id)
    kept: dict[tuple[int, str, str, str], list[datetime.datetime]] = {}
    for touch in touches:
        if touch.index in repeats:
            continue
        times = kept.setdefault((touch.profile_id, touch.name, touch.cart_id, touch.same), [])
        if any(abs(touch.at - at) <= WINDOW for at in times):
            repeats.add(touch.index)
        else:
            times.append(touch.at)
    return repeats


def _queue_up(touches: list[_CartTouch], source_id: int) -> None:
    carts = sorted({f"{source_id}:{touch.cart_id}" for touch in touches})
    take_slots(Lock.CARTS, carts, slots=_SLOTS)


def _repeats_stored(touches: list[_CartTouch], source_id: int) -> set[int]:
    same = {touch.index: touch.same for touch in touches}
    params: dict[str, Any] = {
        "index": list(same),
        "profile": [touch.profile_id for touch in touches],
        "name": [touch.name for touch in touches],
        "cart": [touch.cart_id for touch in touches],
        "at": [touch.at for touch in touches],
        "window": WINDOW,
        "source": source_id,
    }
    return {index for index, stored in run(_STORED, params) if _same(_loaded(stored)) == same[index]}


def _loaded(stored: Any) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(stored) if isinstance(stored, (str, bytes)) else stored
    return value


_UPSERT = """
    INSERT INTO profiles_cart (profile_id, source_id, cart_id, state, started_at, last_event_at)
    SELECT profile_id, %(source)s, cart_id, state, started_at, last_event_at
    FROM unnest(%(profile)b::bigint[], %(cart)b::text[], %(state)b::text[], %(first)b::timestamptz[],
        %(last)b::timestamptz[]) AS c (profile_id, cart_id, state, started_at, last_event_at)
    ORDER BY profile_id, cart_id
    ON CONFLICT (profile_id, cart_id) DO UPDATE SET
        started_at = least(profiles_cart.started_at, excluded.started_at),
        last_event_at = greatest(profiles_cart.last_event_at, excluded.last_event_at),
        state = CASE WHEN excluded.state = 'ordered' THEN 'ordered' ELSE profiles_cart.state END
"""
# The profile's cart that was started last supersedes the others; what was ordered stays ordered.
_SUPERSEDE = """
    WITH root AS (
        SELECT DISTINCT canonical_id AS id FROM profiles_profile WHERE id = ANY(%(profile)b::bigint[])
    ), member AS (
        SELECT root.id AS root_id, root.id FROM root
        UNION ALL
        SELECT root.id, p.id FROM root
        JOIN profiles_profile p ON p.canonical_id = root.id AND p.canonical_id <> p.id
    ), newest AS (
        SELECT DISTINCT ON (member.root_id) member.root_id, cart.id, cart.started_at
        FROM member JOIN profiles_cart cart ON cart.profile_id = member.id
        ORDER BY member.root_id, cart.started_at DESC, cart.id DESC
    ), older AS (
        SELECT cart.id, newest.id AS newest_id
        FROM newest
        JOIN member ON member.root_id = newest.root_id
        JOIN profiles_cart cart ON cart.profile_id = member.id
        WHERE cart.state = 'open' AND (cart.started_at, cart.id) < (newest.started_at, newest.id)
        ORDER BY cart.id
        FOR NO KEY UPDATE OF cart
    )
    UPDATE profiles_cart SET state = 'superseded', superseded_by_id = older.newest_id
    FROM older WHERE profiles_cart.id = older.id
"""


def write_carts(events: Sequence[CartEvent], *, source_id: int) -> None:
    """Store the carts of these events (item, id of its profile).

    A profile's newest cart supersedes its older open ones, in whatever order the events came; Order Completed
    makes a cart ordered for good. Two queries, however many rows; none without a cart.
    """
    carts: dict[tuple[int, str], list[Any]] = {}
    for item, profile_id in events:
        cart_id = cart_id_of(item)
        if not cart_id:
            continue
        state = "ordered" if fold_name(item.name) == ORDERED else "open"
        at = item.occurred_at
        cart = carts.setdefault((profile_id, cart_id), [state, at, at])
        cart[0] = "ordered" if "ordered" in (cart[0], state) else "open"
        cart[1], cart[2] = min(cart[1], at), max(cart[2], at)
    if not carts:
        return
    values = list(carts.values())
    params: dict[str, Any] = {
        "source": source_id,
        "profile": [profile_id for profile_id, _ in carts],
        "cart": [cart_id for _, cart_id in carts],
        "state": [state for state, _, _ in values],
        "first": [first for _, first, _ in values],
        "last": [last for _, _, last in values],
    }
    ask(_UPSERT, params)
    ask(_SUPERSEDE, {"profile": params["profile"]})
