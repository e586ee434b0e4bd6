"""An event's name, span of time and property filters of a rule → the events that count, in SQL and in Python, and words.

Every condition about events (how often, in which order, sums) reads them here, so they all mean the same.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from segments.comparison import BOOLEAN, DATE, DATETIME, NUMBER, TEXT, Comparison, read_comparison
from segments.moments import EVER, Moment, Window, read_window
from segments.nodes import Node, all_problems
from segments.person import Person, PersonEvent, Reads
from segments.query import RuleQuery, Sql, both, compare, either, fragment, surely
from segments.values import clean_path, items_at, json_path
from segments.vocabulary import Vocabulary

MAX_FILTERS = 20
MAX_NAMES = 20
KINDS = {"track": "", "page": "page", "screen": "screen"}
KEYS = ("event", "kind", "within", "where")
_EXISTS = "exists"
_FUNCTIONS = {
    TEXT: "segments_text({value})",
    NUMBER: "segments_number({value})",
    BOOLEAN: "segments_boolean({value})",
    DATE: "segments_date({value})",
    DATETIME: "segments_time({value})",
}


@dataclass(frozen=True, slots=True)
class PropertyFilter:
    """One property of an event. A list matches when any item does; ``comparison`` None: the property is there."""

    path: tuple[str, ...]
    comparison: Comparison | None

    @property
    def words(self) -> str:
        rest = "is there" if self.comparison is None else self.comparison.words
        return f"{'.'.join(self.path)} {rest}"

    @property
    def json(self) -> dict[str, Any]:
        if self.comparison is None:
            return {"property": ".".join(self.path), "op": _EXISTS}
        typed = {} if self.comparison.kind in (TEXT, NUMBER, BOOLEAN) else {"type": self.comparison.kind}
        return {"property": ".".join(self.path), **typed, **self.comparison.json}

    def holds(self, properties: Any, moment: Moment) -> bool:
        items = items_at(properties, self.path)
        if self.comparison is None:
            return any(item is not None for item in items)
        return any(self.comparison.holds(item, moment) for item in items)

    def sql(self, query: RuleQuery, alias: str) -> Sql:
        path = query.value(json_path(self.path), "jsonpath")
        if self.comparison is None:
            holds = fragment("item.value <> 'null'::jsonb")
        else:
            value = fragment(_FUNCTIONS[self.comparison.kind], value=fragment("item.value"))
            holds = self.comparison.sql(query, value)
        items = f"jsonb_path_query({alias}.properties, {{path}}) AS item(value)"
        return fragment(f"EXISTS (SELECT 1 FROM {items} WHERE {{holds}})", path=path, holds=surely(holds))


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Events of one name (None: any), of one kind, in a window, whose properties meet every filter.

    ``name_id`` is None as well for a name that no event has had yet: then ``is_unseen``.
    """

    name: str
    name_id: int | None
    kind: str = "track"
    window: Window = EVER
    where: tuple[PropertyFilter, ...] = ()

    @property
    def is_any(self) -> bool:
        return self.name == "*"

    @property
    def reads(self) -> Reads:
        own = Reads(all_events=True) if self.name_id is None and self.is_any else NO_EVENTS
        if self.name_id is not None:
            own = Reads(events=frozenset({self.name_id}))
        return own | Reads(calendar=self.window.is_calendar)

    @property
    def words(self) -> str:
        """“Added to Cart in the last 1 day where price is more than 20”."""
        what = "any event" if self.is_any else self.name
        if self.kind != "track":
            what = f"any {self.kind}" if self.is_any else f"the {self.kind} {self.name}"
        parts = [what, self.window.words]
        if self.where:
            parts.append("where " + " and ".join(one.words for one in self.where))
        return " ".join(part for part in parts if part)

    @property
    def json(self) -> dict[str, Any]:
        rest: dict[str, Any] = {"event": self.name}
        if self.kind != "track":
            rest["kind"] = self.kind
        if self.window != EVER:
            rest["within"] = self.window.json
        if self.where:
            rest["where"] = [one.json for one in self.where]
        return rest

    # --- Python -------------------------------------------------------------------------------------------

    def matching(self, person: Person, moment: Moment) -> list[PersonEvent]:
        """The person's events that meet name, kind and filters, whenever they happened, in their order."""
        if self.is_any:
            events = sorted(
                (event for of_name in person.events.values() for event in of_name),
                key=lambda event: (event.at, event.id),
            )
        else:
            events = person.events.get(self.name_id, []) if self.name_id is not None else []
        return [event for event in events if self._is_meant(event, moment)]

    def _is_meant(self, event: PersonEvent, moment: Moment) -> bool:
        if self.is_any or self.kind == "track":
            if event.kind != self.kind:
                return False
        elif not (event.kind == self.kind and event.properties.get("name") == self.name):
            return False
        return all(one.holds(event.properties, moment) for one in self.where)

    def counted(self, person: Person, moment: Moment) -> list[PersonEvent]:
        """Those of them that count as of the moment."""
        bounds = self.window.bounds(moment)
        return [event for event in self.matching(person, moment) if bounds.hold(event.at)]

    def breakpoints(self, person: Person, moment: Moment) -> list[datetime.datetime]:
        return [at for event in self.matching(person, moment) for at in self.window.breakpoints(event.at)]

    # --- SQL ----------------------------------------------------------------------------------------------

    def is_meant_sql(self, query: RuleQuery, alias: str = "e") -> Sql:
        """Name, kind and filters, whenever it happened."""
        conditions = [fragment(f"{alias}.kind = {{kind}}", kind=query.value(self.kind, "text"))]
        if self.name_id is not None or not self.is_any:
            # An unseen name has no id, and no event has the id 0.
            conditions.append(
                fragment(f"{alias}.name_id = {{id}}", id=query.value(self.name_id or 0, "bigint"))
            )
            if self.kind != "track" and not self.is_any:
                page = query.value(self.name, "text")
                conditions.append(fragment(f"{alias}.properties ->> 'name' = {{page}}", page=page))
        conditions += [one.sql(query, alias) for one in self.where]
        return both(conditions)

    def counts_sql(self, query: RuleQuery, alias: str = "e") -> Sql:
        """Whether it happened in the window, as of the moment."""
        at = fragment(f"{alias}.occurred_at")
        window = self.window
        parts = []
        if window.last or window.after or window.calendar:
            start = query.moment(lambda moment: window.bounds(moment).start)
            parts.append(compare(at, "gt" if window.last else "gte", start))
        end = query.moment(lambda moment: window.bounds(moment).end)
        ends_open = query.moment(lambda moment: window.bounds(moment).before_end, "boolean")
        if window.before or window.calendar:
            inclusive = both([fragment("NOT {open}", open=ends_open), compare(at.copy(), "lte", end)])
            parts.append(either([compare(at.copy(), "lt", end.copy()), inclusive]))
        else:
            parts.append(compare(at.copy(), "lte", end))
        return both(parts)

    def may_count_sql(self, query: RuleQuery, alias: str = "e") -> Sql:
        """In the window, or still to come into it: what a subquery with ``next`` reads."""
        window = self.window
        if window.last is None:
            return (
                fragment("TRUE") if not (window.after or window.calendar) else self._since_start(query, alias)
            )
        start = query.moment(lambda moment: window.bounds(moment).start)
        return compare(fragment(f"{alias}.occurred_at"), "gt", start)

    def _since_start(self, query: RuleQuery, alias: str) -> Sql:
        start = query.moment(lambda moment: self.window.bounds(moment).start)
        return compare(fragment(f"{alias}.occurred_at"), "gte", start)

    def next_sql(self, query: RuleQuery, alias: str = "e") -> Sql:
        """The next moment at which time changes whether the event counts; null where none is to come."""
        begins, ends = self.window.offsets
        at = f"{alias}.occurred_at"
        start = (
            fragment(f"{at} + {{delta}}", delta=query.value(begins, "interval")) if begins else fragment(at)
        )
        if ends is None:
            return fragment("CASE WHEN {start} > {now} THEN {start} END", start=start, now=query.now)
        return fragment(
            f"CASE WHEN {{start}} > {{now}} THEN {{start}} ELSE {at} + {{ends}} END",
            start=start,
            now=query.now,
            ends=query.value(ends, "interval"),
        )

    def rows_sql(self, query: RuleQuery) -> tuple[str, str, Sql]:
        """``(FROM, root column, WHERE)`` of the events that count; with ``next`` also of those still to come."""
        rows, root = query.rows_of_members("profiles_event", "e")
        in_time = self.may_count_sql(query) if query.with_next else self.counts_sql(query)
        return rows, root, both([self.is_meant_sql(query), in_time, query.scope])


NO_EVENTS = Reads()


def read_event(node: Node, vocabulary: Vocabulary) -> EventFilter:
    """The keys ``KEYS`` of a node. Raises Invalid with every problem."""
    kind = node.choice("kind", tuple(KINDS), default="track")
    name = node.text("event", most=255)
    # Pages and screens have the name of their kind; what they are called is a property.
    name_id = (
        None if name == "*" and kind == "track" else vocabulary.event_id(name if kind == "track" else kind)
    )
    window = read_window(node.child("within")) if node.raw.get("within") is not None else EVER
    where: list[PropertyFilter] = []
    if "where" in node:
        filters = node.children("where", most=MAX_FILTERS)
        where = all_problems([lambda one=one: read_filter(one, vocabulary, name) for one in filters])
    return EventFilter(name, name_id, kind, window, tuple(where))


def read_filter(node: Node, vocabulary: Vocabulary, event: str) -> PropertyFilter:
    """``{"property": "price", "op": "gt", "value": 10}``; ``type`` says how a text is meant: date or datetime."""
    node.only("property", "op", "value", "exactly", "type")
    raw = node.text("property", most=600)
    path = clean_path(raw)
    if path is None:
        node.refuse("property", "Write a name, or a path like products.*.sku of at most six names.")
    if node.raw.get("op") == _EXISTS:
        node.only("property", "op")
        return PropertyFilter(path, None)
    kind = node.choice("type", (TEXT, NUMBER, BOOLEAN, DATE, DATETIME), default=_kind_of(node))
    return PropertyFilter(path, read_comparison(node, kind))


def _kind_of(node: Node) -> str:
    """The type that the value to compare with has."""
    value, op = node.raw.get("value"), node.raw.get("op", "eq")
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, dict) or op in ("before", "after"):
        return DATETIME
    return NUMBER if isinstance(value, (int, float)) else TEXT
