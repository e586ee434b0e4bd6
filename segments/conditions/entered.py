"""``{"entered": 7, "within": {"days": 7}}``: a person came into another segment, whether they are still in it or not."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from segments import window_sql
from segments.conditions.base import register
from segments.conditions.past_stay import TurnCondition
from segments.person import Person
from segments.query import RuleQuery, Sql, fragment
from segments.stays import is_entry, rows_of_stays


@register
@dataclass(frozen=True)
class EnteredCondition(TurnCondition):
    """They, or a profile merged into theirs. A merge with somebody who was in already is no entry."""

    key = "entered"
    label = "Entered a segment"

    @property
    def words(self) -> str:
        return f"entered the segment “{self.name}” {self.window.words}".strip()

    def times(self, person: Person) -> list[datetime.datetime]:
        return [stay.entered_at for stay in self._stays(person) if stay.is_entry]

    def sql(self, query: RuleQuery) -> Sql:
        rows = rows_of_stays(query)
        of_segment = fragment("s.segment_id = {id}", id=query.value(self.id, "bigint"))
        return window_sql.happened(
            query, rows, [of_segment, fragment(is_entry(rows[1]))], self.window, "s.entered_at"
        )
