"""The one model: weights in bits for every level of every field, what two fields say together, and thresholds. Pure.

Shipped as ``model.json``, fitted by ``training/fit.py``; nothing is trained at run time, so that a score means the
same next week. To a base adapt only its size, how rare its names are, and (after some hundreds of decisions) the
line from score to probability.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import floor, log2
from pathlib import Path
from typing import Any, NamedTuple

from profiles.duplicates.scoring.features import Features
from profiles.duplicates.scoring.interaction_terms import INTERACTIONS
from profiles.duplicates.scoring.interactions import (
    DOUBLED,
    OFTEN_SHARED,
    PER_DOUBLING,
    SHARED,
    SHARING_TERMS,
)
from profiles.duplicates.scoring.levels import BY_FIELD, COMPARISONS, Levels
from profiles.duplicates.scoring.similarity import Comparison

# In a small base hardly anybody is like another by chance: fewer people than this change nothing any more.
MIN_PROFILES = 40_000
FILE = Path(__file__).with_name("model.json")


class Evidence(NamedTuple):
    """One line of an explanation: a field's level, or (``field`` empty) an adjustment, and its weight in bits."""

    field: str
    level: str
    weight: float


# Not frozen, as ``Traits`` and ``tiers.Side`` are not: that makes each several times as expensive, and a changed
# person has hundreds.
@dataclass(slots=True)
class PairScore:
    """``score`` in bits: 0 is as likely as not, one more doubles the odds. ``levels``: those of all fields."""

    score: float
    levels: Levels
    terms: list[tuple[str, str, float]]

    @property
    def evidence(self) -> list[Evidence]:
        """The explanation; of most pairs nobody asks for it."""
        return [Evidence(*term) for term in self.terms]

    @property
    def probability(self) -> float:
        return 1 / (1 + 2 ** -max(-500.0, min(500.0, self.score)))


@dataclass(frozen=True)
class Rarity:
    """What is common in a base: bits an equal name adds or takes, by field and folded name ("" stands for all names
    that are not there); under the field "shared" bits two who share an address get, by the name of one of
    ``together.SHARINGS``.
    """

    bits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def bits_of(self, field_name: str, value: str | None) -> float:
        known = self.bits.get(field_name, {})
        return known.get(value or "", known.get("", 0.0))

    @cached_property
    def often_shared(self) -> frozenset[str]:
        """Those of ``together.OFTEN`` that are so in this base."""
        return frozenset(name for name in OFTEN_SHARED if self.bits_of("shared", name) > 0)


@dataclass(frozen=True)
class Model:
    """``weights``: by field, one per level; ``rarity`` and ``shared``: how much of
    a name's bits and of sharing's counts; ``base``: bits every pair
    begins with in a base of ``people``; ``thresholds``: the score from which a pair is *probable* and *possible*.
    """

    version: str
    weights: Mapping[str, tuple[float, ...]]
    interactions: Mapping[str, float]
    shared: Mapping[str, float]
    rarity: Mapping[str, float]
    base: float
    profile_count: int
    bits_per_doubling: float
    thresholds: Mapping[str, float]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Model:
        weights = {
            comparison.field: tuple(
                data["fields"][comparison.field]["levels"][name]["weight"] for name in comparison.names
            )
            for comparison in COMPARISONS
        }
        return cls(
            version=data["version"],
            weights=weights,
            interactions={term.name: data["adjustments"][term.name]["weight"] for term in INTERACTIONS},
            shared={name: data["shared"][name]["weight"] for name in SHARED},
            rarity={name: term["rarity"] for name, term in data["fields"].items() if "rarity" in term},
            base=data["prior"]["bits"],
            profile_count=data["prior"]["people"],
            bits_per_doubling=data["prior"]["bits_per_doubling"],
            thresholds=data["thresholds"],
        )

    def prior(self, profile_count: int) -> float:
        """Bits a pair begins with: the more people, the more of them look alike by chance."""
        return self.base - self.bits_per_doubling * self.doublings(profile_count)

    def doublings(self, profile_count: int) -> float:
        """How often the people the model was fitted on have doubled in a base of so many."""
        return doublings(profile_count, self.profile_count)

    def score(
        self,
        left: Features,
        right: Features,
        *,
        profile_count: int,
        rarity: Rarity,
        levels: Levels | None = None,
    ) -> PairScore:
        """How likely two are one person, and why. What ``bulk`` computes for many.

        ``levels``: those of the two, where somebody looked at some already.
        """
        levels = Levels(left, right) if levels is None else levels
        terms: list[tuple[str, str, float]] = []
        remaining = (1 << len(_TERMS)) - 1
        for comparison, weights, rarity_levels, masks in self._fields:
            level = levels[comparison.field]
            remaining &= masks[level]
            if level < 0:
                continue
            weight = weights[level]
            if level in rarity_levels:
                weight += self.rarity[comparison.field] * _commoner_bits(comparison, left, right, rarity)
            terms.append((comparison.field, comparison.names[level], weight))
        while remaining:
            lowest = remaining & -remaining
            remaining ^= lowest
            interaction = _TERMS[lowest.bit_length() - 1]
            weight = self._interaction_weight(interaction.name, rarity)
            if interaction.by == PER_DOUBLING:
                weight *= self.doublings(profile_count)
            elif interaction.by:
                weight *= _commoner_bits(BY_FIELD[interaction.by], left, right, rarity)
            terms.append(("", interaction.name, weight))
        prior = self.prior(profile_count) + self._interaction_weight(DOUBLED, rarity)
        return PairScore(prior + sum([weight for _, _, weight in terms]), levels, terms)

    def _interaction_weight(self, name: str, rarity: Rarity) -> float:
        if name in self.shared:
            return self.shared[name] * rarity.bits_of("shared", name)
        return self.interactions[name]

    @cached_property
    def _fields(self) -> list[tuple[Comparison, tuple[float, ...], frozenset[int], list[int]]]:
        """Each comparison, its weights, the levels at which rarity counts, and by level (-1, unknown, at the end)
        which of _TOGETHER may still hold, as bits."""
        return [
            (
                comparison,
                self.weights[comparison.field],
                frozenset(map(comparison.names.index, comparison.rarity_levels)),
                [_possible_terms(comparison.field, level) for level in (*range(len(comparison.names)), -1)],
            )
            for comparison in COMPARISONS
        ]


_TERMS = (*INTERACTIONS, *SHARING_TERMS)


def _possible_terms(field_name: str, level: int) -> int:
    is_possible = (field_name not in term.when or level in term.level_numbers(field_name) for term in _TERMS)
    return sum(1 << index for index, possible in enumerate(is_possible) if possible)


def doublings(profile_count: int, reference_count: int) -> float:
    """How often ``since`` people have doubled in a base of ``people``."""
    return log2(max(profile_count, MIN_PROFILES) / reference_count)


def _commoner_bits(comparison: Comparison, left: Features, right: Features, rarity: Rarity) -> float:
    """Bits of the commoner of two names."""
    feature, field_name = comparison.feature, comparison.field
    return min(
        rarity.bits_of(field_name, getattr(left, feature)),
        rarity.bits_of(field_name, getattr(right, feature)),
    )


def rounded(bits: float) -> float:
    """To hundredths, halves up, as ``bulk`` rounds."""
    return floor(bits * 100 + 0.5) / 100


@lru_cache(maxsize=1)
def shipped() -> Model:
    """The model this version of the product scores with."""
    return Model.from_json(json.loads(FILE.read_text()))
