"""``{"changed": "plan", "within": {"days": 7}}``: an attribute got another value, as the journal says."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from profiles.models import Change
from profiles.values.attributes import AttributeSpec
from segments import window_sql
from segments.conditions.attribute import read_attribute
from segments.conditions.base import Condition, register
from segments.journal import LOADER, entries_of
from segments.moments import EVER, Moment, Window, read_optional_window
from segments.nodes import Node
from segments.person import Person, Reads
from segments.query import RuleQuery, Sql, fragment
from segments.vocabulary import Vocabulary


@register
@dataclass(frozen=True)
class AttributeChangedCondition(Condition):
    """On the profile or one merged into it; the values a profile was created with are no change, one that came later is."""

    spec: AttributeSpec
    window: Window

    key = "changed"
    label = "Attribute changed"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("changed", "within")
        return cls(read_attribute(node, "changed", vocabulary), read_optional_window(node))

    @property
    def json(self) -> dict[str, Any]:
        return {
            "changed": self.spec.name,
            **({"within": self.window.json} if self.window != EVER else {}),
        }

    @property
    def words(self) -> str:
        return f"{self.spec.label} changed {self.window.words}".strip()

    @property
    def reads(self) -> Reads:
        return Reads(
            fields=frozenset({self.spec.field}),
            calendar=self.window.is_calendar,
            loads=frozenset({LOADER}),
        )

    def _times(self, person: Person) -> list[datetime.datetime]:
        return [
            entry.at
            for entry, _, _ in entries_of(person, self.spec.field)
            if entry.kind != Change.Kind.CREATED
        ]

    def holds(self, person: Person, moment: Moment) -> bool:
        bounds = self.window.bounds(moment)
        return any(bounds.hold(at) for at in self._times(person))

    def actual(self, person: Person, moment: Moment) -> str:
        times = [at for at in self._times(person) if at <= moment.now]
        return f"the last time on {times[-1]:%Y-%m-%d %H:%M} UTC" if times else "never"

    def breakpoints(self, person: Person, moment: Moment) -> Iterable[datetime.datetime]:
        return [at for happened in self._times(person) for at in self.window.breakpoints(happened)]

    def sql(self, query: RuleQuery) -> Sql:
        name = query.value(self.spec.field, "text")
        is_meant = fragment("c.kind <> 'created' AND NOT (c.fields -> {name}) IS NULL", name=name)
        rows = query.rows_of_members("profiles_change", "c")
        return window_sql.happened(query, rows, [is_meant], self.window, "c.at")
