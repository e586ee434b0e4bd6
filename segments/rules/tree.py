"""Groups of conditions → words, SQL, verdicts and breakpoints of the whole rule. Pure but for what its conditions do."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

from segments.conditions.base import Condition, Finding
from segments.moments import Moment
from segments.person import NOTHING, Person, Reads
from segments.query import RuleQuery, Sql, both, either, fragment

VERSION = 1
GROUPS = {"all": "all of these", "any": "any of these", "none": "none of these"}


@dataclass(frozen=True)
class Leaf:
    """One condition; ``is_off`` is kept in the rule and counts for nothing."""

    condition: Condition
    pointer: str
    is_off: bool = False

    @property
    def json(self) -> dict[str, Any]:
        return {**self.condition.json, **({"off": True} if self.is_off else {})}

    @property
    def words(self) -> str:
        return self.condition.words

    def leaves(self) -> Iterator[Leaf]:
        if not self.is_off:
            yield self

    def sql(self, query: RuleQuery) -> Sql:
        return self.condition.sql(query)

    def holds(self, person: Person, moment: Moment) -> bool:
        return self.condition.holds(person, moment)


@dataclass(frozen=True)
class Negation:
    """Whoever is not in the part: the complement, with those of whom it is unknown."""

    part: Part
    pointer: str
    is_switched_off: bool = False

    @property
    def is_off(self) -> bool:
        return self.is_switched_off or self.part.is_off

    @property
    def json(self) -> dict[str, Any]:
        return {"not": self.part.json, **({"off": True} if self.is_switched_off else {})}

    @property
    def words(self) -> str:
        return f"not ({self.part.words})"

    def leaves(self) -> Iterator[Leaf]:
        if not self.is_off:
            yield from self.part.leaves()

    def sql(self, query: RuleQuery) -> Sql:
        return fragment("NOT {part}", part=self.part.sql(query))

    def holds(self, person: Person, moment: Moment) -> bool:
        return not self.part.holds(person, moment)


@dataclass(frozen=True)
class Group:
    """``kind`` is all, any or none. Parts that are switched off count for nothing; without any other, neither does the group."""

    kind: str
    parts: tuple[Part, ...]
    pointer: str
    is_switched_off: bool = False

    @property
    def is_off(self) -> bool:
        return self.is_switched_off or all(part.is_off for part in self.parts)

    @property
    def live_parts(self) -> list[Part]:
        return [part for part in self.parts if not part.is_off]

    @property
    def json(self) -> dict[str, Any]:
        return {
            self.kind: [part.json for part in self.parts],
            **({"off": True} if self.is_switched_off else {}),
        }

    @property
    def words(self) -> str:
        glue = " and " if self.kind == "all" else " or "
        said = [f"({part.words})" if isinstance(part, Group) else part.words for part in self.live_parts]
        return glue.join(said) if self.kind != "none" else f"none of: {', '.join(said)}"

    def leaves(self) -> Iterator[Leaf]:
        if not self.is_off:
            for part in self.parts:
                yield from part.leaves()

    def sql(self, query: RuleQuery) -> Sql:
        parts = [part.sql(query) for part in self.live_parts]
        if self.kind == "all":
            return both(parts)
        found = either(parts)
        return found if self.kind == "any" else fragment("NOT {found}", found=found)

    def holds(self, person: Person, moment: Moment) -> bool:
        verdicts = (part.holds(person, moment) for part in self.live_parts)
        if self.kind == "all":
            return all(verdicts)
        return any(verdicts) == (self.kind == "any")


Part = Leaf | Negation | Group


@dataclass(frozen=True)
class Rule:
    """A whole rule: its outermost group."""

    group: Group

    @property
    def json(self) -> dict[str, Any]:
        return {"version": VERSION, **self.group.json}

    @property
    def words(self) -> str:
        return f"People who meet {GROUPS[self.group.kind]}: {self.group.words}"

    @property
    def leaves(self) -> list[Leaf]:
        return list(self.group.leaves())

    @property
    def reads(self) -> Reads:
        return reduce(lambda one, leaf: one | leaf.condition.reads, self.leaves, NOTHING)

    def holds(self, person: Person, moment: Moment) -> bool:
        return self.group.holds(person, moment)

    def breakpoints(self, person: Person, moment: Moment) -> list[datetime.datetime]:
        """Every moment at which time alone may change a condition, in order."""
        return sorted({at for leaf in self.leaves for at in leaf.condition.breakpoints(person, moment)})

    def next_breakpoint(self, person: Person, moment: Moment) -> datetime.datetime | None:
        return next((at for at in self.breakpoints(person, moment) if at > moment.now), None)

    def findings(self, person: Person, moment: Moment) -> list[tuple[str, Finding]]:
        """Each condition's place in the rule, and what it says of the person."""
        return [(leaf.pointer, leaf.condition.explain(person, moment)) for leaf in self.leaves]

    def sql(self, query: RuleQuery) -> Sql:
        return self.group.sql(query)
