"""``{"source": "shop", "how": "any"}``: through which source somebody came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from segments.conditions.base import Condition, register
from segments.moments import Moment
from segments.nodes import Node
from segments.person import Person, Reads
from segments.query import RuleQuery, Sql, both, either, fragment
from segments.vocabulary import Vocabulary

_LISTED = 20
_HOW = {
    "any": "came through {}, with any of their merged profiles",
    "created": "was created through {}",
}


@register
@dataclass(frozen=True)
class SourceCondition(Condition):
    """``created``: the surviving profile was; ``any``: it or one that was merged into it, as the list of people filters.

    ``id`` is kept beside the name in a saved rule, so that renaming a source changes no rule.
    """

    id: int
    name: str
    how: str

    key = "source"
    label = "Source"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("source", "id", "how")
        name = node.text("source")
        source_id = node.raw.get("id")
        if not (isinstance(source_id, int) and source_id in vocabulary.sources):
            source_id = vocabulary.source_ids.get(name.lower())
        if source_id is None:
            names = sorted(vocabulary.sources.values())
            known = ", ".join(names[:_LISTED]) + (" …" if len(names) > _LISTED else "")
            node.refuse("source", f"There is no source “{name[:60]}”. There are: {known}.")
        how = node.choice("how", tuple(_HOW), default="any")
        return cls(source_id, vocabulary.sources[source_id], how)

    @property
    def json(self) -> dict[str, Any]:
        return {"source": self.name, "id": self.id, "how": self.how}

    @property
    def words(self) -> str:
        return _HOW[self.how].format(self.name)

    @property
    def reads(self) -> Reads:
        # New profiles and merges concern every segment, and a profile's source never changes.
        return Reads()

    def holds(self, person: Person, moment: Moment) -> bool:
        return person.source_id == self.id or (self.how == "any" and self.id in person.sources)

    def actual(self, person: Person, moment: Moment) -> str:
        if person.source_id == self.id:
            return f"was created through {self.name}"
        return "a merged profile was" if self.id in person.sources else "was created through another source"

    def sql(self, query: RuleQuery) -> Sql:
        source = query.value(self.id, "smallint")
        own = fragment("p.source_id = {source}", source=source)
        if self.how == "created":
            return own
        merged = fragment("m.canonical_id <> m.id AND m.source_id = {source}", source=source)
        select = fragment(
            "SELECT m.canonical_id AS id FROM profiles_profile m WHERE {all}", all=both([merged, query.scope])
        )
        return either([own, query.among(query.subquery(select))])
