"""``{"event": "Added to Cart", "count": {"op": "gte", "value": 1}, "within": {"days": 1}}``: how often something happened.

``since`` counts only what came after the latest event of another kind; who has none of those does not meet the condition.
Equal times are in the order of arrival.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from cdp.plurals import counted
from segments.conditions.base import Condition, Start, register
from segments.event_filter import KEYS, EventFilter, read_event
from segments.form.events import EVENT, FiltersField
from segments.form.fields import Nested
from segments.form.times import CountField, WindowField
from segments.moments import Moment
from segments.nodes import Node
from segments.person import Person, PersonEvent, Reads
from segments.query import RuleQuery, Sql, both, fragment
from segments.vocabulary import Vocabulary

# Operator → words for one number.
COUNT_WORDS = {
    "gte": "at least {}",
    "gt": "more than {}",
    "lte": "at most {}",
    "lt": "fewer than {}",
    "eq": "exactly {}",
    "ne": "not exactly {}",
}
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class CountTest:
    """An operator and one or two whole numbers; somebody without any event has zero."""

    op: str = "gte"
    values: tuple[int, ...] = (1,)

    def holds(self, count: int) -> bool:
        first = self.values[0]
        return {
            "gte": count >= first,
            "gt": count > first,
            "lte": count <= first,
            "lt": count < first,
            "eq": count == first,
            "ne": count != first,
            "between": first <= count <= self.values[-1],
        }[self.op]

    def sql(self, query: RuleQuery, left: str) -> Sql:
        numbers = [query.value(value, "bigint") for value in self.values]
        signs = {"gte": ">=", "gt": ">", "lte": "<=", "lt": "<", "eq": "=", "ne": "<>"}
        if self.op == "between":
            return fragment(f"{left} BETWEEN {{low}} AND {{high}}", low=numbers[0], high=numbers[1])
        return fragment(f"{left} {signs[self.op]} {{number}}", number=numbers[0])

    def among(self, query: RuleQuery, name: str) -> Sql:
        """Whether the profile's number ``n`` in this subquery fits; whoever is in no row has zero."""
        fits = self.sql(query, f"{name}.n")
        if not self.holds(0):
            return query.among(name, fits)
        return fragment("NOT {out}", out=query.among(name, fragment("NOT {fits}", fits=fits)))

    @property
    def json(self) -> dict[str, Any]:
        return {"op": self.op, "value": list(self.values) if self.op == "between" else self.values[0]}

    @property
    def words(self) -> str:
        """“at least once”, “between 2 and 5 times”."""
        if self.op == "between":
            return f"between {self.values[0]:,} and {counted(self.values[1], 'times')}"
        number = self.values[0]
        return COUNT_WORDS[self.op].format("once" if number == 1 else f"{number:,} times")


def read_count(node: Node) -> CountTest:
    """``{"op": "gte", "value": 3}``. Raises Invalid."""
    node.only("op", "value")
    op = node.choice("op", (*COUNT_WORDS, "between"), default="gte")
    if op != "between":
        return CountTest(op, (node.whole("value", most=_MOST),))
    raw = node.raw.get("value")
    if not isinstance(raw, list) or len(raw) != 2:
        node.refuse("value", "Write two numbers, the smaller one first.")
    pair = Node({"0": raw[0], "1": raw[1]}, f"{node.pointer}/value")
    low, high = pair.whole("0", most=_MOST), pair.whole("1", most=_MOST)
    if low > high:
        node.refuse("value", "Write two numbers, the smaller one first.")
    return CountTest(op, (low, high))


@register
@dataclass(frozen=True)
class EventCondition(Condition):
    events: EventFilter
    count: CountTest = CountTest()
    since: EventFilter | None = None

    key = "event"
    label = "Event"
    form = (
        *EVENT,
        CountField("count", "How often"),
        WindowField("within", "When"),
        FiltersField("where", "Where"),
        Nested(
            "since",
            "Since",
            (*EVENT, WindowField("within", "When"), FiltersField("where", "Where")),
            "only since the latest …",
        ),
    )
    starts = (
        Start("Event", {"event": "", "within": {"days": 1}}, 10),
        Start("No event", {"event": "", "count": {"op": "eq", "value": 0}, "within": {"days": 1}}, 11),
    )

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only(*KEYS, "count", "since")
        events = read_event(node, vocabulary)
        count = read_count(node.child("count")) if "count" in node else CountTest()
        since = None
        if "since" in node:
            child = node.child("since")
            child.only(*KEYS)
            since = read_event(child, vocabulary)
        return cls(events, count, since)

    @property
    def json(self) -> dict[str, Any]:
        rest = self.events.json
        if self.count != CountTest():
            rest["count"] = self.count.json
        if self.since is not None:
            rest["since"] = self.since.json
        return rest

    @property
    def words(self) -> str:
        if self.count == CountTest("eq", (0,)):
            text = f"did not do {self.events.words}"
        else:
            text = f"did {self.events.words} {self.count.words}"
        return f"{text}, counted since the latest {self.since.words}" if self.since else text

    @property
    def is_personal(self) -> bool:
        return False

    @property
    def reads(self) -> Reads:
        return self.events.reads | (self.since.reads if self.since else Reads())

    @property
    def event_filters(self) -> Sequence[EventFilter]:
        return (self.events, self.since) if self.since else (self.events,)

    # --- Python -------------------------------------------------------------------------------------------

    def _counted(self, person: Person, moment: Moment) -> list[PersonEvent] | None:
        """The events that count; None where the event to count from never happened."""
        events = self.events.counted(person, moment)
        if self.since is None:
            return events
        earlier = self.since.counted(person, moment)
        if not earlier:
            return None
        last = (earlier[-1].at, earlier[-1].id)
        return [event for event in events if (event.at, event.id) > last]

    def holds(self, person: Person, moment: Moment) -> bool:
        counted = self._counted(person, moment)
        return counted is not None and self.count.holds(len(counted))

    def actual(self, person: Person, moment: Moment) -> str:
        counted = self._counted(person, moment)
        if counted is None:
            return f"never did {self.since.words}" if self.since else ""
        if not counted:
            return "never"
        times = "once" if len(counted) == 1 else f"{len(counted):,} times"
        return f"{times}, the last on {counted[-1].at:%Y-%m-%d %H:%M} UTC"

    def breakpoints(self, person: Person, moment: Moment) -> Iterable[datetime.datetime]:
        found = self.events.breakpoints(person, moment)
        return found + (self.since.breakpoints(person, moment) if self.since else [])

    # --- SQL ----------------------------------------------------------------------------------------------

    def sql(self, query: RuleQuery) -> Sql:
        if self.since is not None:
            return self._since_sql(query, self.since)
        if self._is_about_any and not query.with_next:
            rows, root, where = self.events.rows_sql(query)
            some = query.among(
                query.subquery(fragment(f"SELECT {root} AS id FROM {rows} WHERE {{where}}", where=where))
            )
            return some if self.count.holds(1) else fragment("NOT {some}", some=some)
        return self.count.among(query, self._counts(query))

    def _counts(self, query: RuleQuery) -> str:
        rows, root, where = self.events.rows_sql(query)
        if not query.with_next:
            text = f"SELECT {root} AS id, count(*) AS n FROM {rows} WHERE {{where}} GROUP BY 1"
            return query.subquery(fragment(text, where=where))
        text = (
            f"SELECT {root} AS id, count(*) FILTER (WHERE {{counts}}) AS n, min({{next}}) AS next"
            f" FROM {rows} WHERE {{where}} GROUP BY 1"
        )
        counts = both([self.events.counts_sql(query), *self.events.timed_sql(query)])
        following = self.events.next_sql(query)
        name = query.subquery(fragment(text, where=where, counts=counts, next=following))
        query.may_change(name)
        return name

    @property
    def _is_about_any(self) -> bool:
        """At least once, or never: nothing has to be counted."""
        return self.count in (
            CountTest("gte", (1,)),
            CountTest("gt", (0,)),
            CountTest("eq", (0,)),
            CountTest("lt", (1,)),
            CountTest("lte", (0,)),
            CountTest("ne", (0,)),
        )

    def _since_sql(self, query: RuleQuery, since: EventFilter) -> Sql:
        """Of each event to count from the latest; what came after it, counted."""
        last = self._latest(query, since)
        rows, root = query.rows_of_members("profiles_event", "e")
        counts = both([self.events.is_meant_sql(query), self.events.counts_sql(query), query.scope])
        text = (
            f"SELECT l.id AS id, count(e.id) AS n FROM {last} l LEFT JOIN"
            f" (SELECT {root} AS root, e.id AS id, e.occurred_at AS at FROM {rows} WHERE {{counts}}) e"
            " ON e.root = l.id AND (e.at, e.id) > (l.at, l.event) GROUP BY 1"
        )
        name = query.subquery(fragment(text, counts=counts))
        if query.with_next:
            # Every breakpoint of either kind of event; the numbers are not needed.
            EventCondition(self.events)._counts(query)
            EventCondition(since)._counts(query)
        return query.among(name, self.count.sql(query, f"{name}.n"))

    def _latest(self, query: RuleQuery, since: EventFilter) -> str:
        rows, root = query.rows_of_members("profiles_event", "e")
        where = both([since.is_meant_sql(query), since.counts_sql(query), query.scope])
        text = (
            f"SELECT DISTINCT ON ({root}) {root} AS id, e.occurred_at AS at, e.id AS event"
            f" FROM {rows} WHERE {{where}} ORDER BY {root}, e.occurred_at DESC, e.id DESC"
        )
        return query.subquery(fragment(text, where=where))
