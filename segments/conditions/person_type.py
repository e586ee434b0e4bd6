"""``{"type": "recognized"}``: whether it is known who somebody is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from segments.conditions.base import Condition, Start, register
from segments.form.fields import Choice
from segments.moments import Moment
from segments.nodes import Node
from segments.person import Person, Reads
from segments.query import RuleQuery, Sql, fragment
from segments.vocabulary import Vocabulary

_TYPES = ("recognized", "anonymous")


@register
@dataclass(frozen=True)
class TypeCondition(Condition):
    is_recognized: bool

    key = "type"
    label = "Recognized or anonymous"
    form = (
        Choice(
            "type",
            "Recognized or anonymous",
            (("recognized", "is recognized"), ("anonymous", "is anonymous")),
        ),
    )
    starts = (Start("Recognized or anonymous", {"type": "recognized"}, 60),)

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("type")
        return cls(node.choice("type", _TYPES) == "recognized")

    @property
    def json(self) -> dict[str, Any]:
        return {"type": _TYPES[0] if self.is_recognized else _TYPES[1]}

    @property
    def words(self) -> str:
        return "is recognized" if self.is_recognized else "is anonymous"

    @property
    def is_personal(self) -> bool:
        return False

    @property
    def reads(self) -> Reads:
        return Reads(fields=frozenset({"identifiers"}))

    def holds(self, person: Person, moment: Moment) -> bool:
        return person.is_recognized == self.is_recognized

    def actual(self, person: Person, moment: Moment) -> str:
        return "recognized" if person.is_recognized else "anonymous"

    def sql(self, query: RuleQuery) -> Sql:
        return fragment("p.is_recognized" if self.is_recognized else "NOT p.is_recognized")
