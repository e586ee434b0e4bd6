"""``{"visits": {"op": "gte", "value": 3}, "within": {"days": 30}, "longer_than": {"minutes": 5}}``: how often somebody came.

A visit is a person's events, page and screen views of any name without a pause of 30 minutes; after such a pause, to the
second, the next one begins. It counts by when it began. ``longer_than``: from its first to its last event more time
passed than that.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from segments import window_sql
from segments.conditions.base import Condition, register
from segments.conditions.event import CountTest, read_count
from segments.event_filter import KINDS
from segments.moments import EVER, Duration, Moment, Window, read_duration, read_window
from segments.nodes import Node, all_problems
from segments.person import Person, PersonEvent, Reads, events_of
from segments.query import RuleQuery, Sql, both, fragment
from segments.vocabulary import Vocabulary

PAUSE = datetime.timedelta(minutes=30)


@dataclass(slots=True)
class Visit:
    began_at: datetime.datetime
    last_at: datetime.datetime


@register
@dataclass(frozen=True)
class VisitsCondition(Condition):
    count: CountTest
    window: Window = EVER
    longer_than: Duration | None = None

    key = "visits"
    label = "Visits"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("visits", "within", "longer_than")
        parts = all_problems(
            [
                lambda: read_count(node.child("visits")),
                lambda: read_window(node.child("within")) if node.raw.get("within") is not None else EVER,
                lambda: read_duration(node.child("longer_than")) if "longer_than" in node else None,
            ]
        )
        return cls(*parts)

    @property
    def json(self) -> dict[str, Any]:
        rest: dict[str, Any] = {"visits": self.count.json}
        if self.window != EVER:
            rest["within"] = self.window.json
        if self.longer_than:
            rest["longer_than"] = self.longer_than.json
        return rest

    @property
    def words(self) -> str:
        """“came at least 3 times in the last 30 days, each time for more than 5 minutes”."""
        times = "never came" if self.count == CountTest("eq", (0,)) else f"came {self.count.words}"
        text = " ".join(part for part in (times, self.window.words) if part)
        return f"{text}, for more than {self.longer_than.words}" if self.longer_than else text

    @property
    def reads(self) -> Reads:
        return Reads(all_events=True, calendar=self.window.is_calendar)

    # --- Python -------------------------------------------------------------------------------------------

    @staticmethod
    def _events(person: Person) -> list[PersonEvent]:
        return [event for event in events_of(person, list(person.events)) if event.kind in KINDS]

    def _counted(self, person: Person, moment: Moment) -> list[Visit]:
        happened = [event.at for event in self._events(person) if event.at <= moment.now]
        bounds = self.window.bounds(moment)
        return [visit for visit in visits(happened) if bounds.hold(visit.began_at) and self._is_long(visit)]

    def _is_long(self, visit: Visit) -> bool:
        return self.longer_than is None or visit.last_at - visit.began_at > self.longer_than.delta

    def holds(self, person: Person, moment: Moment) -> bool:
        return self.count.holds(len(self._counted(person, moment)))

    def actual(self, person: Person, moment: Moment) -> str:
        counted = self._counted(person, moment)
        if not counted:
            return "never"
        times = "once" if len(counted) == 1 else f"{len(counted):,} times"
        minutes = (counted[-1].last_at - counted[-1].began_at) // datetime.timedelta(minutes=1)
        return f"{times}, the last on {counted[-1].began_at:%Y-%m-%d %H:%M} UTC for {minutes:,} min"

    def breakpoints(self, person: Person, moment: Moment) -> Iterable[datetime.datetime]:
        # Whether an event begins a visit depends on earlier ones alone; later ones only make it longer.
        moments = [event.at for event in self._events(person)]
        for visit in visits(moments):
            yield from (visit.began_at + delta for delta in window_sql.changes(self.window))
        if self.longer_than:
            yield from moments

    # --- SQL ----------------------------------------------------------------------------------------------

    def sql(self, query: RuleQuery) -> Sql:
        if query.with_next:
            query.may_change(query.subquery(self._next(query)))
        is_now = fragment("e.occurred_at <= {now}", now=query.now)
        begun = self._begun(query, [is_now])
        # Numbered by how many began until then.
        numbered = query.subquery(
            fragment(
                "SELECT e.id AS id, e.occurred_at AS occurred_at, sum(CASE WHEN e.begins THEN 1 ELSE 0 END) OVER"
                f" (PARTITION BY e.id ORDER BY e.occurred_at, e.event) AS visit FROM {begun} e"
            )
        )
        of_visits = query.subquery(
            fragment(
                "SELECT e.id AS id, min(e.occurred_at) AS occurred_at, max(e.occurred_at) AS last_at"
                f" FROM {numbered} e GROUP BY e.id, e.visit"
            )
        )
        where = [window_sql.counts(query, self.window, "e.occurred_at")]
        if self.longer_than:
            length = query.value(self.longer_than.delta, "interval")
            where.append(fragment("e.last_at - e.occurred_at > {length}", length=length))
        text = f"SELECT e.id AS id, count(*) AS n FROM {of_visits} e WHERE {{where}} GROUP BY 1"
        return self.count.among(query, query.subquery(fragment(text, where=both(where))))

    def _begun(self, query: RuleQuery, conditions: list[Sql]) -> str:
        """Each event, and whether a visit begins with it. What happened before the window counts for the pause before its
        first event.
        """
        rows, root = query.rows_of_members("profiles_event", "e")
        kinds = fragment("e.kind = ANY({kinds})", kinds=query.value(list(KINDS), "text[]"))
        in_time = window_sql.may_count(query, self.window, "e.occurred_at", earlier=PAUSE)
        where = both([kinds, in_time, *conditions, query.scope])
        before = f"lag(e.occurred_at) OVER (PARTITION BY {root} ORDER BY e.occurred_at, e.id)"
        text = (
            f"SELECT {root} AS id, e.id AS event, e.occurred_at AS occurred_at,"
            f" COALESCE(e.occurred_at - {before} >= {{pause}}, TRUE) AS begins FROM {rows} WHERE {{where}}"
        )
        return query.subquery(fragment(text, pause=query.value(PAUSE, "interval"), where=where))

    def _next(self, query: RuleQuery) -> Sql:
        begun = self._begun(query, [])
        at = "e.occurred_at"
        moments = [window_sql.upcoming(query, at, delta) for delta in window_sql.changes(self.window)]
        following = fragment("CASE WHEN e.begins THEN {next} END", next=window_sql.earliest(moments))
        if self.longer_than:
            following = window_sql.earliest([following, window_sql.upcoming(query, at)])
        return fragment(f"SELECT e.id AS id, min({{next}}) AS next FROM {begun} e GROUP BY 1", next=following)


def visits(moments: Iterable[datetime.datetime]) -> list[Visit]:
    """The visits of events at these times, in order."""
    found: list[Visit] = []
    for at in moments:
        if found and at - found[-1].last_at < PAUSE:
            found[-1].last_at = at
        else:
            found.append(Visit(at, at))
    return found
