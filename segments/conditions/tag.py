"""``{"tag": "vip"}``: a person has the tag, on any of their merged profiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from segments.conditions.base import Condition, Start, register
from segments.form.fields import Choice
from segments.moments import Moment
from segments.nodes import Node
from segments.person import Person, Reads
from segments.query import RuleQuery, Sql, both, fragment
from segments.vocabulary import Vocabulary


@register
@dataclass(frozen=True)
class TagCondition(Condition):
    """``id`` is kept beside the name in a saved rule, so that renaming a tag changes no rule."""

    id: int
    name: str

    key = "tag"
    label = "Tag"
    form = (Choice("tag", "Tag", lambda raw, suggestions: suggestions.tags),)
    starts = (Start("Tag", {"tag": ""}, 30),)

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("tag", "id")
        name = node.text("tag")
        tag_id = node.raw.get("id")
        if isinstance(tag_id, bool) or not (isinstance(tag_id, int) and tag_id in vocabulary.tags):
            tag_id = vocabulary.tag_ids.get(name.lower())
        if tag_id is None:
            node.refuse("tag", f"There is no tag “{name[:60]}”.")
        return cls(tag_id, vocabulary.tags[tag_id])

    @property
    def json(self) -> dict[str, Any]:
        return {"tag": self.name, "id": self.id}

    @property
    def words(self) -> str:
        return f"is tagged {self.name}"

    @property
    def is_personal(self) -> bool:
        return False

    @property
    def reads(self) -> Reads:
        return Reads(fields=frozenset({"tags"}))

    def holds(self, person: Person, moment: Moment) -> bool:
        return self.id in person.tags

    def actual(self, person: Person, moment: Moment) -> str:
        return "has the tag" if self.id in person.tags else "does not have the tag"

    def sql(self, query: RuleQuery) -> Sql:
        rows, root = query.rows_of_members("profiles_profiletag", "t")
        is_tag = fragment("t.tag_id = {id}", id=query.value(self.id, "bigint"))
        select = fragment(f"SELECT {root} AS id FROM {rows} WHERE {{all}}", all=both([is_tag, query.scope]))
        return query.among(query.subquery(select))
