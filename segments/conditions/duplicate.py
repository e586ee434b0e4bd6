"""``{"duplicate": true, "tier": "probable"}``: somebody may be the same person as somebody else, and nobody has decided yet."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Self

from django.db.models import Q
from sqlglot import exp

from profiles.models import DuplicatePair, Profile, Tier
from segments.conditions.base import Condition, register
from segments.moments import Moment
from segments.nodes import Node
from segments.person import Person, Reads, loaders
from segments.query import RuleQuery, Sql, both, fragment
from segments.vocabulary import Vocabulary

_READ = "duplicate"
_LOADER = "duplicates"
_LIVE = Profile.Status.LIVE
_OPEN = DuplicatePair.Verdict.OPEN
_LISTED = 3


def _load(people: dict[int, Person], owner: dict[int, int]) -> None:
    """``{the other surviving profile: tiers of the pairs}`` of each person."""
    found: dict[int, dict[int, set[str]]] = {pk: defaultdict(set) for pk in people}
    pairs = DuplicatePair.objects.filter(
        Q(a__in=owner) | Q(b__in=owner),
        verdict=_OPEN,
        a__canonical__status=_LIVE,
        b__canonical__status=_LIVE,
    )
    for one, other, tier in pairs.values_list("a__canonical_id", "b__canonical_id", "tier"):
        for root_id, other_id in ((one, other), (other, one)):
            if one != other and root_id in found:
                found[root_id][other_id].add(tier)
    for pk, person in people.items():
        person.extra[_LOADER] = dict(found[pk])


loaders.register(_LOADER, _load)


@register
@dataclass(frozen=True)
class DuplicateCondition(Condition):
    """A suggested pair of members of two surviving profiles that is open, as the list of people filters. ``tier`` "" is any."""

    tier: str

    key = "duplicate"
    label = "Likely duplicate"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("duplicate", "tier")
        if node.raw["duplicate"] is not True:
            node.refuse("duplicate", "Write true. For people without duplicates, put “not” around it.")
        return cls(node.choice("tier", tuple(Tier.values)) if "tier" in node else "")

    @property
    def json(self) -> dict[str, Any]:
        return {"duplicate": True, **({"tier": self.tier} if self.tier else {})}

    @property
    def words(self) -> str:
        kind = f"{Tier(self.tier).label.lower()} " if self.tier else ""
        return f"is in a {kind}pair of duplicates that nobody has decided"

    @property
    def reads(self) -> Reads:
        return Reads(tokens=frozenset({_READ}), loads=frozenset({_LOADER}))

    def _others(self, person: Person) -> list[int]:
        found: dict[int, set[str]] = person.extra[_LOADER]
        return sorted(pk for pk, tiers in found.items() if not self.tier or self.tier in tiers)

    def holds(self, person: Person, moment: Moment) -> bool:
        return bool(self._others(person))

    def actual(self, person: Person, moment: Moment) -> str:
        others = self._others(person)
        more = f" and {len(others) - _LISTED} more" if len(others) > _LISTED else ""
        listed = ", ".join(f"#{pk}" for pk in others[:_LISTED])
        return f"may be the same person as {listed}{more}" if others else "is in no such pair"

    def sql(self, query: RuleQuery) -> Sql:
        sides = (self._side(query, "a_id", "b_id"), self._side(query, "b_id", "a_id"))
        return query.among(query.subquery(exp.union(*sides, distinct=False)))

    def _side(self, query: RuleQuery, own: str, other: str) -> Sql:
        conditions = [
            fragment("d.verdict = 'open' AND o.status = 'live' AND m.canonical_id <> o.id"),
            query.scope,
        ]
        if self.tier:
            conditions.append(fragment("d.tier = {tier}", tier=query.value(self.tier, "text")))
        return fragment(
            "SELECT m.canonical_id AS id FROM profiles_duplicatepair d"
            f" JOIN profiles_profile m ON m.id = d.{own} JOIN profiles_profile n ON n.id = d.{other}"
            " JOIN profiles_profile o ON o.id = n.canonical_id WHERE {all}",
            all=both(conditions),
        )
