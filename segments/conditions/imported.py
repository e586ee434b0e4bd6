"""``{"import": 88, "how": "created"}``: an import created somebody, or changed them. The journal knows; imports are above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from profiles.models import Change
from segments.conditions.base import Condition, register
from segments.moments import Moment
from segments.nodes import Node
from segments.person import Person, Reads, loaders
from segments.query import RuleQuery, Sql, both, fragment
from segments.vocabulary import Vocabulary

_LOADER = "imports"
_MOST = 2**63 - 1
_HOW = {"any": "was created or changed by import {}", "created": "was created by import {}"}


def _load(people: dict[int, Person], owner: dict[int, int]) -> None:
    """``{import: whether it created the surviving profile}`` of each import that touched a person."""
    for person in people.values():
        person.extra[_LOADER] = {}
    rows = Change.objects.filter(profile__in=owner, cause=Change.Cause.IMPORT, cause_id__isnull=False)
    for profile_id, import_id, kind in rows.values_list("profile_id", "cause_id", "kind"):
        found = people[owner[profile_id]].extra[_LOADER]
        is_own = kind == Change.Kind.CREATED and profile_id == owner[profile_id]
        found[import_id] = found.get(import_id, False) or is_own


loaders.register(_LOADER, _load)


@register
@dataclass(frozen=True)
class ImportCondition(Condition):
    """``created``: the surviving profile was; ``any``: it or one merged into it was created or changed.

    A number no import has yet means nobody: a segment may wait for its import, and outlive it.
    """

    number: int
    how: str

    key = "import"
    label = "Import"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("import", "how")
        number = node.raw.get("import")
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _MOST:
            node.refuse("import", "Write the number of an import.")
        return cls(number, node.choice("how", tuple(_HOW), default="any"))

    @property
    def json(self) -> dict[str, Any]:
        return {"import": self.number, "how": self.how}

    @property
    def words(self) -> str:
        return _HOW[self.how].format(f"#{self.number}")

    @property
    def reads(self) -> Reads:
        return Reads(tokens=frozenset({f"import:{self.number}"}), loads=frozenset({_LOADER}))

    def holds(self, person: Person, moment: Moment) -> bool:
        found = person.extra[_LOADER]
        return self.number in found and (self.how == "any" or found[self.number])

    def actual(self, person: Person, moment: Moment) -> str:
        found = person.extra[_LOADER]
        if self.number not in found:
            return "it did not touch them"
        return "it created them" if found[self.number] else "it changed them, or created a merged profile"

    def sql(self, query: RuleQuery) -> Sql:
        rows, root = query.rows_of_members("profiles_change", "c")
        conditions = [
            fragment(
                "c.cause = 'import' AND c.cause_id = {number}", number=query.value(self.number, "bigint")
            ),
            query.scope,
        ]
        if self.how == "created":
            conditions.append(fragment(f"c.kind = 'created' AND c.profile_id = {root}"))
        select = fragment(f"SELECT {root} AS id FROM {rows} WHERE {{all}}", all=both(conditions))
        return query.among(query.subquery(select))
