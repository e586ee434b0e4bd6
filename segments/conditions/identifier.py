"""``{"identifier": "email", "op": "exists"}``: a person has an identifier of a type, perhaps a confirmed one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from profiles.identity.types import find_type
from segments.conditions.base import Condition, Start, register
from segments.form.fields import Choice
from segments.moments import Moment
from segments.nodes import Node
from segments.person import Person, PersonIdentifier, Reads
from segments.query import RuleQuery, Sql, both, fragment
from segments.vocabulary import Vocabulary

# Operator → its words after “has an identifier of the type …”, and the condition on the row i.
_OPS = {
    "exists": ("", "TRUE"),
    "verified": (" that is confirmed", "i.is_verified"),
    "pending": (" that waits for confirmation", "i.is_pending"),
    "identifies": (" that identifies them", "i.resolves"),
}


@register
@dataclass(frozen=True)
class IdentifierCondition(Condition):
    """On any merged profile. ``identifies``: one by which they are found, and not a contact value only."""

    type_id: int
    type_name: str
    type_label: str
    op: str

    key = "identifier"
    label = "Identifier"
    form = (
        Choice(
            "identifier", "Identifier", lambda raw, suggestions: suggestions.identifier_types, before="has"
        ),
        Choice(
            "op",
            "What holds for it",
            (
                ("exists", "at all"),
                ("verified", "that is confirmed"),
                ("pending", "that waits for confirmation"),
                ("identifies", "that identifies them"),
            ),
            default="exists",
        ),
    )
    starts = (Start("Identifier", {"identifier": "email", "op": "exists"}, 70),)

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("identifier", "op")
        name = node.text("identifier")
        spec = find_type(vocabulary.identifier_types, name)
        if spec is None:
            node.refuse("identifier", f"There is no identifier type “{name[:60]}”.")
        return cls(spec.id, spec.name, str(spec.row), node.choice("op", tuple(_OPS), default="exists"))

    @property
    def json(self) -> dict[str, Any]:
        return {"identifier": self.type_name, "op": self.op}

    @property
    def words(self) -> str:
        return f"has an identifier of the type {self.type_label}{_OPS[self.op][0]}"

    @property
    def reads(self) -> Reads:
        return Reads(fields=frozenset({"identifiers"}))

    def _matches(self, identifier: PersonIdentifier) -> bool:
        if identifier.type != self.type_name:
            return False
        return {
            "exists": True,
            "verified": identifier.is_verified,
            "pending": identifier.is_pending,
            "identifies": identifier.resolves,
        }[self.op]

    def holds(self, person: Person, moment: Moment) -> bool:
        return any(self._matches(identifier) for identifier in person.identifiers)

    def actual(self, person: Person, moment: Moment) -> str:
        values = [identifier.value for identifier in person.identifiers if identifier.type == self.type_name]
        return (
            ", ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "") or "has none"
        )

    def sql(self, query: RuleQuery) -> Sql:
        rows, root = query.rows_of_members("profiles_identifier", "i")
        is_type = fragment("i.type_id = {id}", id=query.value(self.type_id, "smallint"))
        conditions = [is_type, fragment(_OPS[self.op][1]), query.scope]
        return query.among(
            query.subquery(fragment(f"SELECT {root} AS id FROM {rows} WHERE {{all}}", all=both(conditions)))
        )
