"""``{"reachable": {"channel": "email", "purpose": "newsletter"}}``: somebody agreed, and has the address it would go to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from segments.conditions.base import Condition, register
from segments.conditions.consent import READS, Asked, describe, read_asked
from segments.moments import Moment
from segments.nodes import Node
from segments.person import Person, Reads
from segments.query import RuleQuery, Sql
from segments.vocabulary import Vocabulary


@register
@dataclass(frozen=True)
class ReachableCondition(Condition):
    """The rule of profiles/consent/reachable.py; without a purpose, for any."""

    asked: Asked

    key = "reachable"
    label = "Reachable"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("reachable")
        return cls(read_asked(node.child("reachable"), vocabulary))

    @property
    def json(self) -> dict[str, Any]:
        return {"reachable": self.asked.json}

    @property
    def words(self) -> str:
        return f"is reachable by {self.asked.text}"

    @property
    def reads(self) -> Reads:
        return READS

    def holds(self, person: Person, moment: Moment) -> bool:
        return any(reach.is_reachable for reach in self.asked.of(person).values())

    def actual(self, person: Person, moment: Moment) -> str:
        return describe(self.asked, person)

    def sql(self, query: RuleQuery) -> Sql:
        return self.asked.consenting_sql(query, with_address=True)
