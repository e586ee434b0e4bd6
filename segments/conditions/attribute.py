"""``{"attribute": "country", "op": "in", "value": ["PL", "DE"]}``: what a person's attribute is."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from cdp.errors import Invalid
from profiles.identity.normalize import BadValue
from profiles.masking import UNMASKED_FIELDS
from profiles.values.attributes import AttributeSpec, clean_value, display
from segments.comparison import BOOLEAN, DATE, DATETIME, NUMBER, TEXT, Comparison, read_comparison
from segments.conditions.base import Condition, Start, register
from segments.form.comparisons import ComparisonField
from segments.form.fields import Choice, Option, Raw
from segments.moments import Moment
from segments.nodes import Node, problem
from segments.person import Person, Reads
from segments.query import RuleQuery, Sql, fragment, surely
from segments.vocabulary import Vocabulary

if TYPE_CHECKING:
    from segments.form.suggestions import Suggestions

EXISTS = "exists"
_KINDS = {
    "number": NUMBER,
    "boolean": BOOLEAN,
    "date": DATE,
    "birth_date": DATE,
    "datetime": DATETIME,
}
# Kept in one spelling: what a rule says is brought into it, and compared as it is.
_NORMALIZED = ("country", "email", "phone", "language")


def kind_of_attribute(spec: AttributeSpec) -> str:
    """The type that its values are compared as."""
    return _KINDS.get(spec.type, TEXT)


def _spec_in_form(raw: Raw, suggestions: Suggestions) -> AttributeSpec | None:
    return suggestions.vocabulary.attributes.get(str(raw.get("attribute")))


def _kind_in_form(raw: Raw, suggestions: Suggestions) -> str:
    spec = _spec_in_form(raw, suggestions)
    return kind_of_attribute(spec) if spec else TEXT


def _values_in_form(raw: Raw, suggestions: Suggestions) -> list[Option]:
    return suggestions.attribute_values(_spec_in_form(raw, suggestions))


@register
@dataclass(frozen=True)
class AttributeCondition(Condition):
    """A default or registered attribute. ``comparison`` is None for “has any value”."""

    spec: AttributeSpec
    comparison: Comparison | None

    key = "attribute"
    label = "Attribute"
    form = (
        Choice("attribute", "Attribute", lambda raw, suggestions: suggestions.attributes, reshapes=True),
        ComparisonField("", "", _kind_in_form, _values_in_form),
    )
    starts = (Start("Attribute", {"attribute": "country", "op": "eq", "value": ""}, 20),)

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        return cls.of(node, "attribute", vocabulary)

    @classmethod
    def of(cls, node: Node, key: str, vocabulary: Vocabulary) -> Self:
        """The same where the name of the attribute stands under another key. Raises Invalid."""
        node.only(key, "op", "value", "exactly")
        spec = read_attribute(node, key, vocabulary)
        if node.raw.get("op") == EXISTS:
            node.only(key, "op")
            return cls(spec, None)
        return cls(spec, read_comparison(_in_stored_spelling(node, spec), _KINDS.get(spec.type, TEXT)))

    @property
    def json(self) -> dict[str, Any]:
        rest = {"op": EXISTS} if self.comparison is None else self.comparison.json
        return {"attribute": self.spec.name, **rest}

    @property
    def words(self) -> str:
        return f"{self.spec.label} {'has any value' if self.comparison is None else self.comparison.words}"

    @property
    def is_personal(self) -> bool:
        if self.spec.is_custom:
            return self.spec.sensitivity != "none"
        return self.spec.field not in UNMASKED_FIELDS

    @property
    def reads(self) -> Reads:
        is_calendar = self.comparison is not None and self.comparison.is_calendar
        return Reads(fields=frozenset({self.spec.field}), calendar=is_calendar)

    # --- Python -------------------------------------------------------------------------------------------

    def _stored(self, person: Person) -> Any:
        value = (
            person.attributes.get(self.spec.name) if self.spec.is_custom else person.columns[self.spec.name]
        )
        return None if value == "" else value

    def holds(self, person: Person, moment: Moment) -> bool:
        value = self._stored(person)
        if self.comparison is None:
            return value is not None
        return value_holds(self.comparison, value, moment)

    def actual(self, person: Person, moment: Moment) -> str:
        value = self._stored(person)
        return "unknown" if value is None else display(self.spec.field, value)

    def breakpoints(self, person: Person, moment: Moment) -> Iterable[datetime.datetime]:
        return () if self.comparison is None else self.comparison.breakpoints(self._stored(person))

    # --- SQL ----------------------------------------------------------------------------------------------

    def sql(self, query: RuleQuery) -> Sql:
        comparison = self.comparison
        if comparison is None:
            return self._exists(query)
        if self.spec.type == "list":
            return list_sql(query, comparison, self._json_value(query))
        return comparison.of_profile_sql(query, self._left(query, comparison.kind))

    def _exists(self, query: RuleQuery) -> Sql:
        if self.spec.is_custom:
            name = query.value(self.spec.name, "text")
            return surely(
                fragment(
                    "(p.attributes -> {name}) <> '\"\"'::jsonb AND (p.attributes -> {name}) <> 'null'::jsonb",
                    name=name,
                )
            )
        if self.spec.type == "birth_date":
            return fragment(f"NOT p.{self.spec.name} IS NULL")
        return fragment(f"COALESCE(p.{self.spec.name}, '') <> ''")

    def _left(self, query: RuleQuery, kind: str) -> Sql:
        """The value, of the type of the comparison; null where it does not fit."""
        if not self.spec.is_custom:
            name = self.spec.name
            return fragment(f"p.{name}" if self.spec.type == "birth_date" else f"NULLIF(p.{name}, '')")
        if kind == TEXT:
            # Registered texts are stored as texts.
            name_value = query.value(self.spec.name, "text")
            return fragment("NULLIF(p.attributes ->> {name}, '')", name=name_value)
        return typed_sql(kind, self._json_value(query))

    def _json_value(self, query: RuleQuery) -> Sql:
        return fragment("p.attributes -> {name}", name=query.value(self.spec.name, "text"))


def read_attribute(node: Node, key: str, vocabulary: Vocabulary) -> AttributeSpec:
    """Raises Invalid."""
    name = node.text(key)
    spec = vocabulary.attributes.get(name)
    if spec is None:
        node.refuse(key, f"There is no attribute “{name[:60]}”.")
    return spec


_FUNCTIONS = {
    TEXT: "NULLIF(segments_text({value}), '')",
    NUMBER: "segments_number({value})",
    BOOLEAN: "segments_boolean({value})",
    DATE: "segments_date({value})",
    DATETIME: "segments_time({value})",
}


def typed_sql(kind: str, value: Sql) -> Sql:
    """A JSON value as the type of a comparison; null where it does not fit."""
    return fragment(_FUNCTIONS[kind], value=value)


def list_sql(query: RuleQuery, comparison: Comparison, value: Sql) -> Sql:
    """Any item of a JSON list; *is not* and its kind mean that there are items, and none of them is it."""
    positive, is_negative = _positive(comparison)
    items = "jsonb_path_query({value}, '$[*]') AS item(value)"
    holds = surely(positive.sql(query, fragment("segments_text(item.value)")))
    found = fragment(f"EXISTS (SELECT 1 FROM {items} WHERE {{holds}})", value=value, holds=holds)
    if not is_negative:
        return found
    has_items = fragment(
        f"EXISTS (SELECT 1 FROM {items} WHERE NOT segments_text(item.value) IS NULL)", value=value
    )
    return fragment("{has_items} AND NOT {found}", has_items=has_items, found=found)


_NEGATIVE = {"ne": "eq", "not_in": "in", "not_contains": "contains"}


def _positive(comparison: Comparison) -> tuple[Comparison, bool]:
    op = _NEGATIVE.get(comparison.op)
    if op is None:
        return comparison, False
    return Comparison(comparison.kind, op, comparison.values, comparison.exactly), True


def value_holds(comparison: Comparison, value: Any, moment: Moment) -> bool:
    """The twin of ``typed_sql`` and ``list_sql``; a text without letters is no value."""
    if not isinstance(value, list):
        return value != "" and comparison.holds(value, moment)
    positive, is_negative = _positive(comparison)
    found = any(positive.holds(item, moment) for item in value)
    if not is_negative:
        return found
    return bool(value) and not found


def _in_stored_spelling(node: Node, spec: AttributeSpec) -> Node:
    """The node with values as they are stored: “Poland” as PL, a phone with its country code."""
    raw = node.raw.get("value")
    if (
        spec.is_custom
        or spec.type not in _NORMALIZED
        or node.raw.get("op", "eq") not in ("eq", "ne", "in", "not_in")
    ):
        return node
    values = raw if isinstance(raw, list) else [raw]
    cleaned = []
    for index, value in enumerate(values):
        try:
            cleaned.append(clean_value(spec, value) if isinstance(value, str) and value.strip() else value)
        except BadValue as error:
            place = f"{node.pointer}/value/{index}" if isinstance(raw, list) else f"{node.pointer}/value"
            raise Invalid([problem(place, value, str(error))]) from error
    return Node({**node.raw, "value": cleaned if isinstance(raw, list) else cleaned[0]}, node.pointer)
