"""``{"left": 7, "within": {"days": 7}}``: a person went out of another segment, whether they came back or not."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from segments import window_sql
from segments.conditions.base import register
from segments.conditions.past_stay import TurnCondition
from segments.person import Person
from segments.query import RuleQuery, Sql, fragment
from segments.stays import rows_of_stays


@register
@dataclass(frozen=True)
class LeftCondition(TurnCondition):
    """They, or a profile merged into theirs."""

    key = "left"
    label = "Left a segment"

    @property
    def words(self) -> str:
        return f"left the segment “{self.name}” {self.window.words}".strip()

    def times(self, person: Person) -> list[datetime.datetime]:
        return [stay.left_at for stay in self._stays(person) if stay.left_at is not None]

    def sql(self, query: RuleQuery) -> Sql:
        ended = fragment("s.segment_id = {id} AND NOT s.left_at IS NULL", id=query.value(self.id, "bigint"))
        return window_sql.happened(query, rows_of_stays(query), [ended], self.window, "s.left_at")
