"""An event's name, span of time and property filters of a rule → the events that count, in SQL and in Python, and words.

Every condition about events (how often, in which order, sums) reads them here, so they all mean the same.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from segments import window_sql
from segments.comparison import BOOLEAN, DATE, DATETIME, NUMBER, TEXT, Comparison, read_comparison, read_value
from segments.moments import EVER, Moment, Window, read_optional_window
from segments.nodes import Node, all_problems
from segments.person import Person, PersonEvent, Reads, events_of
from segments.query import RuleQuery, Sql, both, fragment, surely
from segments.values import clean_path, items_at, json_path
from segments.vocabulary import Vocabulary

MAX_FILTERS = 20
KINDS = {"track": "", "page": "page", "screen": "screen"}
KEYS = ("event", "kind", "within", "where")
_EXISTS = "exists"
_ITEMS = "jsonb_path_query({}.properties, {{path}}) AS item(value)"
# The types of a schema that a comparison has.
_SCHEMA_TYPES = {
    "string": TEXT,
    "number": NUMBER,
    "integer": NUMBER,
    "boolean": BOOLEAN,
    "datetime": DATETIME,
}
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
        # With its type, so that another schema of the event does not change the rule.
        return {"property": ".".join(self.path), "type": self.comparison.kind, **self.comparison.json}

    @property
    def is_timed(self) -> bool:
        """Whether time alone changes the answer: “leaves in the next 3 days”."""
        return self.comparison is not None and self.comparison.is_timed

    @property
    def is_calendar(self) -> bool:
        return self.comparison is not None and self.comparison.is_calendar

    def holds(self, properties: Any, moment: Moment) -> bool:
        items = items_at(properties, self.path)
        if self.comparison is None:
            return any(item is not None for item in items)
        return any(self.comparison.holds(item, moment) for item in items)

    def breakpoints(self, properties: Any) -> Iterator[datetime.datetime]:
        if self.comparison is not None:
            for item in items_at(properties, self.path):
                yield from self.comparison.breakpoints(item)

    def sql(self, query: RuleQuery, alias: str) -> Sql:
        holds = fragment("item.value <> 'null'::jsonb")
        if self.comparison is not None:
            holds = self.comparison.sql(query, self._value(self.comparison))
        text = f"EXISTS (SELECT 1 FROM {_ITEMS.format(alias)} WHERE {{holds}})"
        return fragment(text, path=self._path(query), holds=surely(holds))

    def next_sql(self, query: RuleQuery, alias: str) -> list[Sql]:
        """When time changes the answer next, null where it does not; nothing for a filter that never does."""
        if self.comparison is None or not self.is_timed:
            return []
        following = self.comparison.next_sql(query, self._value(self.comparison))
        text = f"(SELECT min({{next}}) FROM {_ITEMS.format(alias)})"
        return [fragment(text, path=self._path(query), next=following)]

    def _path(self, query: RuleQuery) -> Sql:
        return query.value(json_path(self.path), "jsonpath")

    @staticmethod
    def _value(comparison: Comparison) -> Sql:
        return fragment(_FUNCTIONS[comparison.kind], value=fragment("item.value"))


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Events of one name, or of any (``*``), of one kind, in a window, whose properties meet every filter.

    Pages and screens have the name of their kind; what one is called is compared with ``Event.page_name``.
    ``name_id`` is None for any event, and for a name that no event has had yet.
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
    def stored_name(self) -> str | None:
        """The name such events are kept under; None where they have several."""
        if self.kind != "track":
            return self.kind
        return None if self.is_any else self.name

    @property
    def reads(self) -> Reads:
        is_calendar = self.window.is_calendar or any(one.is_calendar for one in self.where)
        return Reads(
            events=frozenset() if self.name_id is None else frozenset({self.name_id}),
            all_events=self.stored_name is None,
            calendar=is_calendar,
        )

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
        return [
            event
            for event in self._named(person)
            if all(one.holds(event.properties, moment) for one in self.where)
        ]

    def _named(self, person: Person) -> list[PersonEvent]:
        if self.stored_name is None:
            named = events_of(person, list(person.events))
        else:
            named = person.events.get(self.name_id, []) if self.name_id is not None else []
        if self.kind != "track" and not self.is_any:
            named = [event for event in named if event.page_name == self.name]
        return [event for event in named if event.kind == self.kind]

    def counted(self, person: Person, moment: Moment) -> list[PersonEvent]:
        """Those of them that count as of the moment."""
        bounds = self.window.bounds(moment)
        return [event for event in self.matching(person, moment) if bounds.hold(event.at)]

    def candidates(self, person: Person, moment: Moment) -> list[PersonEvent]:
        """The events that time may make match, or does already."""
        lasting = [one for one in self.where if not one.is_timed]
        return [
            event
            for event in self._named(person)
            if all(one.holds(event.properties, moment) for one in lasting)
        ]

    def breakpoints(self, person: Person, moment: Moment) -> list[datetime.datetime]:
        """The moments at which time alone changes which events count."""
        found: list[datetime.datetime] = []
        for event in self.candidates(person, moment):
            found += self.window.breakpoints(event.at)
            found += self.property_breakpoints(event)
        return found

    def property_breakpoints(self, event: PersonEvent) -> list[datetime.datetime]:
        return [at for one in self.where for at in one.breakpoints(event.properties)]

    # --- SQL ----------------------------------------------------------------------------------------------

    def is_meant_sql(self, query: RuleQuery, alias: str = "e") -> Sql:
        """Name, kind and filters, whenever it happened."""
        return both([self._is_named(query, alias), *(one.sql(query, alias) for one in self.where)])

    def may_be_meant_sql(self, query: RuleQuery, alias: str = "e") -> Sql:
        """The same without the filters that time alone changes."""
        lasting = [one.sql(query, alias) for one in self.where if not one.is_timed]
        return both([self._is_named(query, alias), *lasting])

    def timed_sql(self, query: RuleQuery, alias: str = "e") -> list[Sql]:
        """The filters that time alone changes."""
        return [one.sql(query, alias) for one in self.where if one.is_timed]

    def _is_named(self, query: RuleQuery, alias: str) -> Sql:
        conditions = [fragment(f"{alias}.kind = {{kind}}", kind=query.value(self.kind, "text"))]
        if self.stored_name is not None:
            # An unseen name has no id, and no event has the id 0.
            name_id = query.value(self.name_id or 0, "bigint")
            conditions.append(fragment(f"{alias}.name_id = {{id}}", id=name_id))
        if self.kind != "track" and not self.is_any:
            called = f"segments_page_name({alias}.properties, {alias}.envelope) = {{page}}"
            conditions.append(fragment(called, page=query.value(self.name, "text")))
        return both(conditions)

    def counts_sql(self, query: RuleQuery, alias: str = "e") -> Sql:
        """Whether it happened in the window, as of the moment."""
        return window_sql.counts(query, self.window, f"{alias}.occurred_at")

    def may_count_sql(self, query: RuleQuery, alias: str = "e") -> Sql:
        """In the window, or still to come into it: what a subquery with ``next`` reads."""
        return window_sql.may_count(query, self.window, f"{alias}.occurred_at")

    def next_sql(self, query: RuleQuery, alias: str = "e") -> Sql:
        """The next moment at which time changes whether the event counts; null where none is to come."""
        at = f"{alias}.occurred_at"
        moments = [window_sql.upcoming(query, at, delta) for delta in window_sql.changes(self.window)]
        return window_sql.earliest(moments + self.property_next_sql(query, alias))

    def property_next_sql(self, query: RuleQuery, alias: str = "e") -> list[Sql]:
        return [following for one in self.where for following in one.next_sql(query, alias)]

    def rows_sql(self, query: RuleQuery) -> tuple[str, str, Sql]:
        """``(FROM, root column, WHERE)`` of the events that count; with ``next`` also of those that still may."""
        rows, root = query.rows_of_members("profiles_event", "e")
        if query.with_next:
            return rows, root, both([self.may_be_meant_sql(query), self.may_count_sql(query), query.scope])
        return rows, root, both([self.is_meant_sql(query), self.counts_sql(query), query.scope])


def read_event(node: Node, vocabulary: Vocabulary) -> EventFilter:
    """The keys ``KEYS`` of a node. Raises Invalid with every problem."""
    kind = node.choice("kind", tuple(KINDS), default="track")
    name = node.text("event", most=255)
    named = EventFilter(name, None, kind)
    name_id = None if named.stored_name is None else vocabulary.event_id(named.stored_name)
    window, where = all_problems(
        [
            lambda: read_optional_window(node),
            lambda: read_filters(node, "where", vocabulary, name if kind == "track" else ""),
        ]
    )
    return EventFilter(name, name_id, kind, window, where)


def read_filters(node: Node, key: str, vocabulary: Vocabulary, event: str = "") -> tuple[PropertyFilter, ...]:
    """The list of property filters under the key; none where it is missing. Raises Invalid with every problem."""
    if key not in node:
        return ()
    filters = node.children(key, most=MAX_FILTERS)
    return tuple(all_problems([lambda one=one: read_filter(one, vocabulary, event) for one in filters]))


def read_filter(node: Node, vocabulary: Vocabulary, event: str) -> PropertyFilter:
    """``{"property": "price", "op": "gt", "value": 10}`` of the event of this name.

    ``type`` says how the property is meant: else the schema of the event does, else the value it is compared with.
    """
    node.only("property", "op", "value", "exactly", "type")
    raw = node.text("property", most=600)
    path = clean_path(raw)
    if path is None:
        node.refuse("property", "Write a name, or a path like products.*.sku of at most six names.")
    if node.raw.get("op") == _EXISTS:
        node.only("property", "op")
        return PropertyFilter(path, None)
    by_schema = _SCHEMA_TYPES.get(vocabulary.property_type(event, path))
    default = by_schema or _kind_of(node.raw.get("value"), node.raw.get("op", "eq"))
    kind = node.choice("type", (TEXT, NUMBER, BOOLEAN, DATE, DATETIME), default=default)
    return PropertyFilter(path, read_comparison(node, kind))


def _kind_of(value: Any, op: Any) -> str:
    """The type that the value to compare with has."""
    if op == "anniversary":
        return DATE
    if isinstance(value, dict) or op in ("in_last", "in_next"):
        return DATETIME
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, (int, float)):
        return NUMBER
    if op in ("before", "after"):
        return DATE if read_value(DATE, value) else DATETIME
    if op in ("gt", "gte", "lt", "lte", "between"):
        return next((kind for kind in (DATE, DATETIME) if read_value(kind, value)), NUMBER)
    return TEXT
