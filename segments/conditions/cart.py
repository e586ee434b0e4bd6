"""``{"cart": "open", "idle": {"hours": 24}, "contains": [{"property": "sku", "value": "A-1"}]}``: a person has such a cart.

``cart`` is the cart's state: open, superseded (by a newer one), ordered, or any. ``idle``: the time since the last event of
the cart is at least so long. ``started``: a window, as ``within`` of events, in which the cart's first event happened.
``contains``: one event of the cart meets all of these property filters.

There is no value of a cart here: only checkouts and orders carry all articles, an “Added to Cart” one of them, and nothing
says what was taken out again. A sum over those events is an aggregate.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import orjson
from django.db import connection
from sqlglot import exp

from profiles.models import Cart
from segments import window_sql
from segments.conditions.base import Condition, register
from segments.event_filter import PropertyFilter, read_filters
from segments.moments import EVER, Duration, Moment, Window, read_duration, read_window
from segments.nodes import Node, all_problems
from segments.person import Person, Reads, loaders
from segments.query import RuleQuery, Sql, both, either, fragment
from segments.vocabulary import Vocabulary

ANY = "any"
TOKEN = "cart"  # noqa: S105
STATES = {"open": "an open", "superseded": "a superseded", "ordered": "an ordered", ANY: "a"}
# The events of the cart c, as profiles/reading/carts.py finds them.
_EVENTS = (
    "profiles_event e WHERE e.profile_id = c.profile_id AND e.kind = 'track'"
    " AND e.occurred_at BETWEEN c.started_at AND c.last_event_at AND btrim(e.properties ->> 'cart_id') = c.cart_id"
)


@dataclass(slots=True)
class PersonCart:
    """A cart; ``events`` are the times and properties of its events, where the rule reads them."""

    id: int
    state: str
    started_at: datetime.datetime
    last_event_at: datetime.datetime
    events: list[tuple[datetime.datetime, dict[str, Any]]]


@register
@dataclass(frozen=True)
class CartCondition(Condition):
    state: str
    idle: Duration | None = None
    started: Window = EVER
    contains: tuple[PropertyFilter, ...] = ()

    key = "cart"
    label = "Cart"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("cart", "idle", "started", "contains")
        parts = all_problems(
            [
                lambda: node.choice("cart", tuple(STATES)),
                lambda: read_duration(node.child("idle")) if "idle" in node else None,
                lambda: read_window(node.child("started")) if "started" in node else EVER,
                lambda: read_filters(node, "contains", vocabulary),
            ]
        )
        return cls(*parts)

    @property
    def json(self) -> dict[str, Any]:
        rest: dict[str, Any] = {"cart": self.state}
        if self.idle:
            rest["idle"] = self.idle.json
        if self.started != EVER:
            rest["started"] = self.started.json
        if self.contains:
            rest["contains"] = [one.json for one in self.contains]
        return rest

    @property
    def words(self) -> str:
        """“has an open cart, idle for at least 24 hours, with an article whose sku is “A-1””."""
        parts = [f"has {STATES[self.state]} cart"]
        if self.idle:
            parts.append(f"idle for at least {self.idle.words}")
        if self.started.words:
            parts.append(f"started {self.started.words}")
        if self.contains:
            parts.append(f"with an event whose {' and '.join(one.words for one in self.contains)}")
        return ", ".join(parts)

    @property
    def reads(self) -> Reads:
        is_calendar = self.started.is_calendar or any(one.is_calendar for one in self.contains)
        loads = {"carts", "carts, with events"} if self.contains else {"carts"}
        return Reads(tokens=frozenset({TOKEN}), loads=frozenset(loads), calendar=is_calendar)

    # --- Python -------------------------------------------------------------------------------------------

    def _carts(self, person: Person) -> list[PersonCart]:
        """Those of this state, by the time of their last event."""
        carts: Iterable[PersonCart] = person.extra.get("carts", {}).values()
        return [cart for cart in carts if self.state in (ANY, cart.state)]

    def _fits(self, cart: PersonCart, moment: Moment) -> bool:
        if not self.started.bounds(moment).hold(cart.started_at):
            return False
        if self.idle and cart.last_event_at + self.idle.delta > moment.now:
            return False
        return not self.contains or any(
            at <= moment.now and all(one.holds(properties, moment) for one in self.contains)
            for at, properties in cart.events
        )

    def holds(self, person: Person, moment: Moment) -> bool:
        return any(self._fits(cart, moment) for cart in self._carts(person))

    def actual(self, person: Person, moment: Moment) -> str:
        carts = self._carts(person)
        if not carts:
            return "has no such cart"
        cart = next((cart for cart in reversed(carts) if self._fits(cart, moment)), carts[-1])
        return f"{cart.state}, last event on {cart.last_event_at:%Y-%m-%d %H:%M} UTC"

    def breakpoints(self, person: Person, moment: Moment) -> Iterable[datetime.datetime]:
        for cart in self._carts(person):
            yield from (cart.started_at + delta for delta in window_sql.changes(self.started))
            if self.idle:
                yield cart.last_event_at + self.idle.delta
            for at, properties in cart.events if self.contains else ():
                yield at
                for one in self.contains:
                    yield from one.breakpoints(properties)

    # --- SQL ----------------------------------------------------------------------------------------------

    def sql(self, query: RuleQuery) -> Sql:
        if query.with_next:
            query.may_change(query.subquery(self._next(query)))
        rows, root = query.rows_of_members("profiles_cart", "c")
        conditions = [
            *self._of_state(query),
            window_sql.counts(query, self.started, "c.started_at"),
            query.scope,
        ]
        if self.idle:
            idle = query.value(self.idle.delta, "interval")
            conditions.append(fragment("c.last_event_at + {idle} <= {now}", idle=idle, now=query.now))
        if self.contains:
            meant = both([one.sql(query, "e") for one in self.contains])
            text = f"EXISTS (SELECT 1 FROM {_EVENTS} AND e.occurred_at <= {{now}} AND {{meant}})"
            conditions.append(fragment(text, now=query.now, meant=meant))
        select = fragment(f"SELECT {root} AS id FROM {rows} WHERE {{all}}", all=both(conditions))
        return query.among(query.subquery(select))

    def _of_state(self, query: RuleQuery) -> list[Sql]:
        if self.state == ANY:
            return []
        return [fragment("c.state = {state}", state=query.value(self.state, "text"))]

    def _next(self, query: RuleQuery) -> Sql:
        rows, root = query.rows_of_members("profiles_cart", "c")
        moments = [
            (at, delta)
            for at, deltas in (
                ("c.started_at", window_sql.changes(self.started)),
                ("c.last_event_at", [self.idle.delta] if self.idle else []),
            )
            for delta in deltas
        ]
        nexts = [window_sql.upcoming(query, at, delta) for at, delta in moments]
        coming = either([window_sql.is_upcoming(query, at, delta) for at, delta in moments])
        if self.contains:
            nexts.append(self._next_of_events(query))
            of_properties = any(one.is_timed for one in self.contains)
            coming = (
                exp.true()
                if of_properties
                else either([coming, window_sql.is_upcoming(query, "c.last_event_at", window_sql.NO_TIME)])
            )
        where = both([*self._of_state(query), coming, query.scope])
        text = f"SELECT {root} AS id, min({{next}}) AS next FROM {rows} WHERE {{where}} GROUP BY 1"
        return fragment(text, next=window_sql.earliest(nexts), where=where)

    def _next_of_events(self, query: RuleQuery) -> Sql:
        moments = [window_sql.upcoming(query, "e.occurred_at")]
        moments += [following for one in self.contains for following in one.next_sql(query, "e")]
        return fragment(f"(SELECT min({{next}}) FROM {_EVENTS})", next=window_sql.earliest(moments))


# --- Loading ------------------------------------------------------------------------------------------------


def _load_carts(people: dict[int, Person], owner: dict[int, int]) -> None:
    """``Person.extra["carts"]``: their carts by id, by the time of the last event. One query."""
    for person in people.values():
        person.extra["carts"] = {}
    rows = Cart.objects.filter(profile__in=owner).order_by("last_event_at", "pk")
    for pk, profile_id, state, started_at, last_event_at in rows.values_list(
        "pk", "profile_id", "state", "started_at", "last_event_at"
    ):
        people[owner[profile_id]].extra["carts"][pk] = PersonCart(pk, state, started_at, last_event_at, [])


def _load_cart_events(people: dict[int, Person], owner: dict[int, int]) -> None:
    """The events of their carts, which are loaded before. One query."""
    carts: dict[int, PersonCart] = {}
    for person in people.values():
        carts |= person.extra["carts"]
    if not carts:
        return
    text = f"SELECT c.id, e.occurred_at, e.properties::text FROM profiles_cart c CROSS JOIN {_EVENTS} AND c.id = ANY(%s)"
    with connection.cursor() as cursor:
        cursor.execute(text, [list(carts)])
        for pk, at, properties in cursor.fetchall():
            carts[pk].events.append((at, orjson.loads(properties)))


loaders.register("carts", _load_carts)
# After the carts: loaders run in the order of their names.
loaders.register("carts, with events", _load_cart_events)
