"""``{"was_in": 7, "within": {"days": 30}}``: a person was in another segment at some time; who is in it now was, too."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from segments import window_sql
from segments.conditions.base import register
from segments.conditions.past_stay import PastStayCondition
from segments.moments import Moment
from segments.person import Person
from segments.query import RuleQuery, Sql, both, either, fragment
from segments.stays import UNTIL, rows_with_merges


@register
@dataclass(frozen=True)
class WasInCondition(PastStayCondition):
    """A stay of theirs, or of a profile merged into theirs, has a moment in the window."""

    key = "was_in"
    label = "Was in a segment"

    @property
    def words(self) -> str:
        return f"was in the segment “{self.name}” {self.window.words or 'at some time'}"

    def holds(self, person: Person, moment: Moment) -> bool:
        bounds = self.window.bounds(moment)
        return any(bounds.overlap(stay.entered_at, stay.until) for stay in self._stays(person))

    def actual(self, person: Person, moment: Moment) -> str:
        stays = self._stays(person)
        if not stays:
            return "never in it"
        last = max(stays, key=lambda stay: (stay.until is None, stay.until or stay.entered_at))
        if last.until is None:
            return f"in it since {last.entered_at:%Y-%m-%d %H:%M} UTC"
        return f"in it until {last.until:%Y-%m-%d %H:%M} UTC"

    def breakpoints(self, person: Person, moment: Moment) -> Iterable[datetime.datetime]:
        begins, ends = self.window.offsets
        for stay in self._stays(person):
            yield stay.entered_at + begins
            if ends is not None and stay.until is not None:
                yield stay.until + ends

    def sql(self, query: RuleQuery) -> Sql:
        window = self.window
        rows, root = rows_with_merges(query)
        where = [fragment("s.segment_id = {id}", id=query.value(self.id, "bigint")), query.scope]
        if window.last or window.after or window.calendar:
            start = query.moment(lambda moment: window.bounds(moment).start)
            where.append(
                either([fragment(f"{UNTIL} IS NULL"), fragment(f"{UNTIL} > {{start}}", start=start)])
            )
        counts = window_sql.is_not_after(query, window, "s.entered_at")
        if not query.with_next:
            select = fragment(f"SELECT {root} AS id FROM {rows} WHERE {{all}}", all=both([*where, counts]))
            return query.among(query.subquery(select))
        select = fragment(
            f"SELECT {root} AS id, count(*) FILTER (WHERE {{counts}}) AS n, min({{next}}) AS next"
            f" FROM {rows} WHERE {{all}} GROUP BY 1",
            counts=counts,
            next=window_sql.next_change(query, window, "s.entered_at", UNTIL),
            all=both(where),
        )
        name = query.subquery(select)
        query.may_change(name)
        return query.among(name, fragment(f"{name}.n > 0"))
