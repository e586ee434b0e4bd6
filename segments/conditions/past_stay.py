"""What conditions about past stays in another segment have in common: ``{"left": 7, "within": {"days": 30}}``."""

from __future__ import annotations

import datetime
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from segments.conditions.base import Condition
from segments.conditions.member import read_segment
from segments.moments import EVER, Moment, Window, read_optional_window
from segments.nodes import Node
from segments.person import Person, Reads
from segments.stays import LOADER, Stay, stays_in
from segments.vocabulary import Vocabulary


@dataclass(frozen=True)
class PastStayCondition(Condition):
    """Over the stays of a profile and of those merged into it."""

    id: int
    name: str
    window: Window

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only(cls.key, "within")
        segment = read_segment(node, cls.key, vocabulary)
        return cls(segment.pk, segment.name, read_optional_window(node))

    @property
    def json(self) -> dict[str, Any]:
        return {self.key: self.id, **({"within": self.window.json} if self.window != EVER else {})}

    @property
    def reads(self) -> Reads:
        return Reads(
            segments=frozenset({self.id}), calendar=self.window.is_calendar, loads=frozenset({LOADER})
        )

    def _stays(self, person: Person) -> list[Stay]:
        return stays_in(person, self.id)


@dataclass(frozen=True)
class TurnCondition(PastStayCondition):
    """Of when stays began, or when they ended."""

    @abstractmethod
    def times(self, person: Person) -> list[datetime.datetime]:
        """When it happened."""

    def holds(self, person: Person, moment: Moment) -> bool:
        bounds = self.window.bounds(moment)
        return any(bounds.hold(at) for at in self.times(person))

    def actual(self, person: Person, moment: Moment) -> str:
        times = self.times(person)
        return f"the last time on {max(times):%Y-%m-%d %H:%M} UTC" if times else "never"

    def breakpoints(self, person: Person, moment: Moment) -> Iterable[datetime.datetime]:
        return [at for happened in self.times(person) for at in self.window.breakpoints(happened)]
