"""``{"was": "plan", "op": "eq", "value": "pro"}``: what an attribute is, or ever was, as far as the journal goes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from profiles.values.attributes import display
from segments.conditions.attribute import AttributeCondition, list_sql, typed_sql, value_holds
from segments.conditions.base import Condition, register
from segments.journal import LOADER, entries_of
from segments.moments import Moment
from segments.nodes import Node
from segments.person import Person, Reads
from segments.query import RuleQuery, Sql, both, either, fragment, surely
from segments.vocabulary import Vocabulary

_LISTED = 5
# They would ask what was true of a time when it was another day.
_SPANS = ("in_last", "in_next", "anniversary")


@register
@dataclass(frozen=True)
class AttributeWasCondition(Condition):
    """Any value the attribute has, or had on the profile or one merged into it. ``now`` asks it of today's value."""

    now: AttributeCondition

    key = "was"
    label = "Attribute was ever"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        if node.raw.get("op") in _SPANS:
            node.refuse(
                "op", "What an attribute once was is compared with fixed values, not with a span of time."
            )
        return cls(AttributeCondition.of(node, "was", vocabulary))

    @property
    def json(self) -> dict[str, Any]:
        rest = self.now.json
        return {"was": rest.pop("attribute"), **rest}

    @property
    def words(self) -> str:
        comparison = self.now.comparison
        return f"{self.now.spec.label} at some time {'had any value' if comparison is None else comparison.words}"

    @property
    def reads(self) -> Reads:
        return self.now.reads | Reads(loads=frozenset({LOADER}))

    def holds(self, person: Person, moment: Moment) -> bool:
        return self.now.holds(person, moment) or any(
            self._was(value, moment)
            for _, old, new in entries_of(person, self.now.spec.field)
            for value in (old, new)
        )

    def _was(self, value: Any, moment: Moment) -> bool:
        if self.now.comparison is None:
            return value not in (None, "")
        return value_holds(self.now.comparison, value, moment)

    def actual(self, person: Person, moment: Moment) -> str:
        field = self.now.spec.field
        past = [value for _, old, new in entries_of(person, field) for value in (old, new)]
        texts = dict.fromkeys(display(field, value) for value in past if value not in (None, "", []))
        now = self.now.actual(person, moment)
        texts.pop(now, None)
        earlier = list(texts)[-_LISTED:]
        return f"{now}, earlier {', '.join(earlier)}" if earlier else now

    def sql(self, query: RuleQuery) -> Sql:
        spec, comparison = self.now.spec, self.now.comparison
        value = fragment("v.value")
        if comparison is None:
            was = fragment("v.value <> 'null'::jsonb AND v.value <> '\"\"'::jsonb")
        elif spec.type == "list":
            was = list_sql(query, comparison, value)
        else:
            was = surely(comparison.sql(query, typed_sql(comparison.kind, value)))
        rows, root = query.rows_of_members("profiles_change", "c")
        # [old, new]; of a list each of them is one.
        values = "CROSS JOIN LATERAL jsonb_path_query(c.fields -> {name}, '$[*]') AS v(value)"
        select = fragment(
            f"SELECT {root} AS id FROM {rows} {values} WHERE {{all}}",
            name=query.value(spec.field, "text"),
            all=both([was, query.scope]),
        )
        return either([self.now.sql(query), query.among(query.subquery(select))])
