"""``{"profile": "last_seen_at", "op": "in_last", "value": {"days": 7}}``: when a profile was created, first or last seen."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from segments.comparison import DATETIME, Comparison, read_comparison
from segments.conditions.base import Condition, register
from segments.moments import Moment
from segments.nodes import Node
from segments.person import Person, Reads
from segments.query import RuleQuery, Sql, fragment
from segments.vocabulary import Vocabulary

_CREATED = "created_at"
_NAMES = {_CREATED: "creation", "first_seen_at": "first visit", "last_seen_at": "last visit"}
_EXISTS = "exists"


@register
@dataclass(frozen=True)
class ProfileTimeCondition(Condition):
    """Of the surviving profile, whose first and last visit are those of all its members. Who never visited meets nothing.

    ``comparison`` is None for “is known”, of visits alone.
    """

    name: str
    comparison: Comparison | None

    key = "profile"
    label = "Created, first or last seen"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("profile", "op", "value")
        name = node.choice("profile", tuple(_NAMES))
        if node.raw.get("op") != _EXISTS:
            return cls(name, read_comparison(node, DATETIME))
        node.only("profile", "op")
        if name == _CREATED:
            node.refuse("op", "Every profile was created some time. Compare with a time instead.")
        return cls(name, None)

    @property
    def json(self) -> dict[str, Any]:
        rest = {"op": _EXISTS} if self.comparison is None else self.comparison.json
        return {"profile": self.name, **rest}

    @property
    def words(self) -> str:
        rest = "is known" if self.comparison is None else self.comparison.words
        return f"{_NAMES[self.name]} {rest}"

    @property
    def reads(self) -> Reads:
        return Reads(seen=self.name != _CREATED)

    def _value(self, person: Person) -> datetime.datetime | None:
        value: datetime.datetime | None = getattr(person, self.name)
        return value

    def holds(self, person: Person, moment: Moment) -> bool:
        value = self._value(person)
        if self.comparison is None:
            return value is not None
        return self.comparison.holds(value, moment)

    def actual(self, person: Person, moment: Moment) -> str:
        value = self._value(person)
        return f"{value:%Y-%m-%d %H:%M} UTC" if value else "unknown"

    def breakpoints(self, person: Person, moment: Moment) -> Iterable[datetime.datetime]:
        return () if self.comparison is None else self.comparison.breakpoints(self._value(person))

    def sql(self, query: RuleQuery) -> Sql:
        left = fragment(f"p.{self.name}")
        if self.comparison is None:
            return fragment("NOT {left} IS NULL", left=left)
        return self.comparison.of_profile_sql(query, left)
