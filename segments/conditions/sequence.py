"""``{"sequence": [{"event": "Added to Cart"}, {"event": "Order Completed", "not": true}], "no_longer_than": {"hours": 1}}``.

One event after another. ``sequence`` has two to five steps, each an event as everywhere (``event``, ``kind``, ``where``), each
after the one before; equal times are in the order of arrival. ``no_longer_than``: how long after the first step the last
one may happen, to the second. ``within``: when the first step must have happened, as of all events.

The last step may be ``"not": true``: it did not happen after the one before and within that time. Then somebody is in only
once the time is over, and leaves if such an event arrives late. Any event that fits the first step may begin.
"""

from __future__ import annotations

import datetime
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from segments import window_sql
from segments.conditions.base import Condition, register
from segments.event_filter import EventFilter, read_event
from segments.moments import EVER, Duration, Moment, Window, read_duration, read_window
from segments.nodes import Node, all_problems
from segments.person import Person, PersonEvent, Reads
from segments.query import RuleQuery, Sql, both, either, fragment
from segments.vocabulary import Vocabulary

MOST_STEPS = 5
_STEP_KEYS = ("event", "kind", "where")


@register
@dataclass(frozen=True)
class SequenceCondition(Condition):
    """``steps`` are those that must happen, ``missing`` the one after them that must not. ``window`` is of the first."""

    steps: tuple[EventFilter, ...]
    missing: EventFilter | None
    limit: Duration
    window: Window = EVER

    key = "sequence"
    label = "Events in order"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("sequence", "no_longer_than", "within")
        steps, limit, window = all_problems(
            [
                lambda: _read_steps(node, vocabulary),
                lambda: _read_limit(node),
                lambda: read_window(node.child("within")) if node.raw.get("within") is not None else EVER,
            ]
        )
        missing = steps.pop()[0] if steps[-1][1] else None
        return cls(tuple(events for events, _ in steps), missing, limit, window)

    @property
    def _all_steps(self) -> tuple[EventFilter, ...]:
        return (*self.steps, self.missing) if self.missing else self.steps

    @property
    def json(self) -> dict[str, Any]:
        steps = [events.json for events in self._all_steps]
        if self.missing:
            steps[-1] = {**steps[-1], "not": True}
        rest = {"within": self.window.json} if self.window != EVER else {}
        return {"sequence": steps, "no_longer_than": self.limit.json, **rest}

    @property
    def words(self) -> str:
        """“did Added to Cart, then not Order Completed within 1 hour, beginning in the last 7 days”."""
        text = f"did {', then '.join(events.words for events in self.steps)}"
        if self.missing:
            text += f", then not {self.missing.words}"
        text += f" within {self.limit.words}"
        return f"{text}, beginning {self.window.words}" if self.window.words else text

    @property
    def reads(self) -> Reads:
        found = Reads(calendar=self.window.is_calendar)
        for events in self._all_steps:
            found |= events.reads
        return found

    @property
    def event_filters(self) -> Sequence[EventFilter]:
        return self._all_steps

    # --- Python -------------------------------------------------------------------------------------------

    def _found(self, person: Person, moment: Moment) -> list[PersonEvent] | None:
        """The latest sequence there is, without the missing step; None where there is none."""
        by_step = [events.counted(person, moment) for events in self._all_steps]
        bounds = self.window.bounds(moment)
        for first in reversed(by_step[0]):
            if bounds.hold(first.at) and (found := self._from(first, by_step, moment)):
                return found
        return None

    def _from(
        self, first: PersonEvent, by_step: list[list[PersonEvent]], moment: Moment
    ) -> list[PersonEvent] | None:
        """The earliest sequence that begins with this event; where a step must be missing, with the latest step before it."""
        until = first.at + self.limit.delta
        if self.missing and until > moment.now:
            return None
        found = [first]
        positives = by_step[1 : len(self.steps)]
        for index, events in enumerate(positives):
            is_last = bool(self.missing) and index == len(positives) - 1
            step = _last_until(events, until) if is_last else _next_after(events, found[-1])
            if step is None or step.at > until or _place(step) <= _place(found[-1]):
                return None
            found.append(step)
        if self.missing:
            late = _last_until(by_step[-1], until)
            if late is not None and _place(late) > _place(found[-1]):
                return None
        return found

    def holds(self, person: Person, moment: Moment) -> bool:
        return self._found(person, moment) is not None

    def actual(self, person: Person, moment: Moment) -> str:
        found = self._found(person, moment)
        if found is not None:
            times = [f"{event.at:%Y-%m-%d %H:%M:%S}" for event in found]
            return f"{' then '.join(times)} UTC"
        began = self.steps[0].counted(person, moment)
        if not began:
            return f"never did {self.steps[0].words}"
        return f"began last on {began[-1].at:%Y-%m-%d %H:%M:%S} UTC"

    def breakpoints(self, person: Person, moment: Moment) -> Iterable[datetime.datetime]:
        for index, events in enumerate(self._all_steps):
            for event in events.candidates(person, moment):
                yield event.at
                yield from events.property_breakpoints(event)
                if index == 0:
                    yield from (event.at + delta for delta in self._deltas)

    @property
    def _deltas(self) -> list[datetime.timedelta]:
        """How long after a first step time alone changes something, beside when it happens."""
        deltas = [delta for delta in window_sql.changes(self.window) if delta]
        return [*deltas, self.limit.delta] if self.missing else deltas

    # --- SQL ----------------------------------------------------------------------------------------------

    def sql(self, query: RuleQuery) -> Sql:
        if query.with_next:
            query.may_change(query.subquery(self._next(query)))
        limit = query.value(self.limit.delta, "interval")
        name, holds = self._numbered(query, limit), fragment("e.c0 <= e.reach")
        if self.missing is None:
            name = _from_the_end(query, name, len(self.steps) - 1)
        else:
            name, holds = self._followed_by_nothing(query, name, limit)
        where = both([fragment("e.m0"), window_sql.counts(query, self.window, "e.occurred_at"), holds])
        found = fragment(f"SELECT DISTINCT e.id AS id FROM {name} e WHERE {{where}}", where=where)
        return query.among(query.subquery(found))

    def _numbered(self, query: RuleQuery, limit: Sql) -> str:
        """The events that fit a step (``m0``, ``m1`` …), each with its number in the person's order, and that of the last
        one within the time after it (``reach``).
        """
        rows, root = query.rows_of_members("profiles_event", "e")
        order = f"PARTITION BY {root} ORDER BY e.occurred_at"
        matches = {f"m{number}": one.is_meant_sql(query) for number, one in enumerate(self._all_steps)}
        columns = "".join(f", {{{name}}} AS {name}" for name in matches)
        # Nothing before the first step counts, nor what is still to come.
        in_time = [
            fragment("e.occurred_at <= {now}", now=query.now),
            window_sql.may_count(query, self.window, "e.occurred_at"),
        ]
        text = (
            f"SELECT {root} AS id, e.occurred_at AS occurred_at, row_number() OVER ({order}, e.id) AS rn,"
            f" count(*) OVER ({order} RANGE BETWEEN UNBOUNDED PRECEDING AND {{limit}} FOLLOWING) AS reach{columns}"
            f" FROM {rows} WHERE {{where}}"
        )
        where = both([either(list(matches.values())), *in_time, query.scope])
        return query.subquery(fragment(text, limit=limit, where=where, **matches))

    def _followed_by_nothing(self, query: RuleQuery, name: str, limit: Sql) -> tuple[str, Sql]:
        """The last step that must happen is taken as late as it may be: then the least can follow."""
        last = len(self.steps) - 1
        within = (
            "OVER (PARTITION BY e.id ORDER BY e.occurred_at"
            " RANGE BETWEEN UNBOUNDED PRECEDING AND {limit} FOLLOWING)"
        )
        text = (
            f"SELECT e.*, max(CASE WHEN e.m{last} THEN e.rn END) {within} AS latest,"
            f" max(CASE WHEN e.m{last + 1} THEN e.rn END) {within} AS missing FROM {name} e"
        )
        name = query.subquery(fragment(text, limit=limit))
        is_over = fragment("e.occurred_at + {limit} <= {now}", limit=limit, now=query.now)
        if not last:
            return name, both([is_over, fragment("COALESCE(e.missing, 0) <= e.rn")])
        name = _from_the_end(query, name, last - 1)
        return name, both([is_over, fragment("e.c0 < e.latest AND COALESCE(e.missing, 0) <= e.latest")])

    def _next(self, query: RuleQuery) -> Sql:
        """When each profile has to be looked at again: events still to come, and what follows from those that began."""
        rows, root = query.rows_of_members("profiles_event", "e")
        at, nexts, wheres = "e.occurred_at", [], []
        for index, events in enumerate(self._all_steps):
            deltas = [window_sql.NO_TIME, *(self._deltas if index == 0 else ())]
            own = [window_sql.upcoming(query, at, delta) for delta in deltas]
            of_properties = events.property_next_sql(query)
            meant = events.may_be_meant_sql(query)
            following = window_sql.earliest(own + of_properties)
            nexts.append(fragment("CASE WHEN {meant} THEN {next} END", meant=meant, next=following))
            if not of_properties:
                meant = both([meant, window_sql.is_upcoming(query, at, max(deltas))])
            wheres.append(meant)
        text = f"SELECT {root} AS id, min({{next}}) AS next FROM {rows} WHERE {{where}} GROUP BY 1"
        return fragment(text, next=window_sql.earliest(nexts), where=both([either(wheres), query.scope]))


def _from_the_end(query: RuleQuery, name: str, last: int) -> str:
    """``c0`` of each event that fits the first step: the number of the earliest event that ends the steps up to ``last``."""
    name = query.subquery(fragment(f"SELECT e.*, CASE WHEN e.m{last} THEN e.rn END AS c{last} FROM {name} e"))
    later = "OVER (PARTITION BY e.id ORDER BY e.rn ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)"
    for step in reversed(range(last)):
        column = f"CASE WHEN e.m{step} THEN min(e.c{step + 1}) {later} END AS c{step}"
        name = query.subquery(fragment(f"SELECT e.*, {column} FROM {name} e"))
    return name


def _place(event: PersonEvent) -> tuple[datetime.datetime, int]:
    return (event.at, event.id)


def _next_after(events: list[PersonEvent], before: PersonEvent) -> PersonEvent | None:
    index = bisect_right(events, _place(before), key=_place)
    return events[index] if index < len(events) else None


def _last_until(events: list[PersonEvent], until: datetime.datetime) -> PersonEvent | None:
    index = bisect_right(events, until, key=lambda event: event.at)
    return events[index - 1] if index else None


# --- Reading ------------------------------------------------------------------------------------------------


def _read_steps(node: Node, vocabulary: Vocabulary) -> list[tuple[EventFilter, bool]]:
    """Each step, and whether it must not happen."""
    steps = node.children("sequence", most=MOST_STEPS)
    if len(steps) < 2:
        node.refuse("sequence", "Write at least two steps, the first to happen first.")
    return all_problems(
        [
            lambda step=step, index=index: _read_step(step, vocabulary, index == len(steps) - 1)
            for index, step in enumerate(steps)
        ]
    )


def _read_step(step: Node, vocabulary: Vocabulary, is_last: bool) -> tuple[EventFilter, bool]:
    step.only(*_STEP_KEYS, "not")
    is_missing = step.flag("not")
    if is_missing and not is_last:
        step.refuse("not", "Only the last step can be one that did not happen.")
    return read_event(step, vocabulary), is_missing


def _read_limit(node: Node) -> Duration:
    if "no_longer_than" not in node:
        node.refuse("no_longer_than", "Say how long after the first step the last one may happen.")
    return read_duration(node.child("no_longer_than"))
