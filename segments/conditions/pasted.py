"""``{"ids": "customer_id", "values": ["C-1", "C-2"]}``: whoever has one of up to 10,000 pasted values.

``ids`` is an identifier type, by the name other systems have for it too, or ``id`` for profile numbers, those of profiles
merged away included. Values are cleaned as everywhere; what cannot be one of the type is kept in the rule, finds nobody,
and is counted in its words. Values that wait for confirmation find nobody either: anybody may have typed them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from cdp.ids import row_id
from cdp.plurals import counted
from profiles.identity.lookup import clean_pair
from profiles.identity.types import TypeSpec, find_type
from profiles.sql import PROFILES
from segments.conditions.base import Condition, register
from segments.moments import Moment
from segments.nodes import Node
from segments.person import NOTHING, Person, Reads
from segments.query import RuleQuery, Sql, both, fragment
from segments.vocabulary import Vocabulary

ID = "id"
MOST_VALUES = 10_000
MOST_TEXT = 320
_LARGEST = 10**30


@register
@dataclass(frozen=True)
class PastedCondition(Condition):
    """``spec`` is None for profile numbers. ``values`` are cleaned, ``unknown`` what could not be."""

    spec: TypeSpec | None
    values: tuple[str, ...]
    unknown: tuple[str, ...] = ()

    key = "ids"
    label = "Pasted list"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("ids", "values")
        name = node.text("ids")
        spec = None if name == ID else find_type(vocabulary.identifier_types, name)
        if spec is None and name != ID:
            known = ", ".join([ID, *vocabulary.identifier_types])
            node.refuse("ids", f"There is no identifier type “{name[:60]}”. Known: {known}.")
        values, unknown = _clean(spec, _read_values(node))
        if not values:
            what = "the number of a profile" if spec is None else f"a value of the type {spec.row}"
            node.refuse("values", f"None of these is {what}.")
        return cls(spec, values, unknown)

    @property
    def json(self) -> dict[str, Any]:
        return {"ids": self.spec.name if self.spec else ID, "values": [*self.values, *self.unknown]}

    @property
    def words(self) -> str:
        """“is on a list of 3 values of Customer id (1 more was not understood)”."""
        count = len(self.values)
        what = (
            f"{counted(count, 'values')} of {self.spec.row}"
            if self.spec
            else counted(count, "profile numbers")
        )
        text = f"is on a list of {what}"
        if not self.unknown:
            return text
        was = "was" if len(self.unknown) == 1 else "were"
        return f"{text} ({len(self.unknown):,} more {was} not understood)"

    @property
    def reads(self) -> Reads:
        return Reads(fields=frozenset({"identifiers"})) if self.spec else NOTHING

    # --- Python -------------------------------------------------------------------------------------------

    def _found(self, person: Person) -> list[str]:
        wanted = set(self.values)
        if self.spec is None:
            return [str(pk) for pk in person.members if str(pk) in wanted]
        return [
            one.value
            for one in person.identifiers
            if one.type == self.spec.name and not one.is_pending and one.value in wanted
        ]

    def holds(self, person: Person, moment: Moment) -> bool:
        return bool(self._found(person))

    def actual(self, person: Person, moment: Moment) -> str:
        return ", ".join(self._found(person)[:3]) or "not on the list"

    # --- SQL ----------------------------------------------------------------------------------------------

    def sql(self, query: RuleQuery) -> Sql:
        if self.spec is None:
            ids = query.value([int(value) for value in self.values], "bigint[]")
            text = f"SELECT m.canonical_id AS id FROM {PROFILES} m WHERE m.id = ANY({{ids}}) AND {{scope}}"
            return query.among(query.subquery(fragment(text, ids=ids, scope=query.scope)))
        rows, root = query.rows_of_members("profiles_identifier", "i")
        conditions = [
            fragment("i.type_id = {id}", id=query.value(self.spec.id, "smallint")),
            fragment("i.value = ANY({values})", values=query.value(list(self.values), "text[]")),
            fragment("NOT i.is_pending"),
            query.scope,
        ]
        select = fragment(f"SELECT {root} AS id FROM {rows} WHERE {{all}}", all=both(conditions))
        return query.among(query.subquery(select))


def _read_values(node: Node) -> tuple[str, ...]:
    """The values as texts, each once, without empty ones."""
    raw = node.raw.get("values")
    if not isinstance(raw, list) or not raw:
        node.refuse("values", "Write a list with at least one value.")
    if len(raw) > MOST_VALUES:
        node.refuse("values", f"At most {MOST_VALUES:,} values; this has {len(raw):,}.")
    listed = Node({str(index): value for index, value in enumerate(raw)}, f"{node.pointer}/values")
    texts = (_as_text(listed, key, value) for key, value in listed.raw.items())
    return tuple(dict.fromkeys(text for text in texts if text))


def _as_text(listed: Node, key: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return str(value)
    if not isinstance(value, str):
        listed.refuse(key, "Write texts and whole numbers.")
    return listed.text(key, most=MOST_TEXT).strip() if value.strip() else ""


# A rule is read at every evaluation; cleaning 10,000 phone numbers takes a second.
@lru_cache(maxsize=50)
def _clean(spec: TypeSpec | None, texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The values of the type, and what is none."""
    found: dict[str, None] = {}
    unknown = []
    for text in texts:
        value = _as_number(text) if spec is None else (clean_pair(spec, text) or ("", ""))[1]
        if value:
            found[value] = None
        else:
            unknown.append(text)
    return tuple(found), tuple(unknown)


def _as_number(text: str) -> str:
    """“#12” and “12” are profile 12; empty for what is no number."""
    number = row_id(text.removeprefix("#"))
    return str(number) if number else ""
