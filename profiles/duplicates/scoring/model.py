"""Two profiles' features → their score in bits, with the evidence it is made of, by the shipped weights.
Pure.

``model.json`` is fitted by ``training/fit.py``. Nothing is trained at run time, so a score means the same
next week. Only three things adapt to a base: its size, how rare its names are, and (after some hundreds of
decisions) the calibration from score to probability.
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
from profiles.duplicates.scoring.interaction_kinds import (
    DOUBLED,
    OFTEN_SHARED,
    PER_DOUBLING,
    SHARED,
    SHARING_TERMS,
)
from profiles.duplicates.scoring.interaction_terms import INTERACTIONS
from profiles.duplicates.scoring.levels import BY_FIELD, COMPARISONS, Levels
from profiles.duplicates.scoring.similarity import Comparison

# In a small base hardly any two are alike by chance: below this size nothing changes any more.
MIN_PROFILES = 40_000
FILE = Path(__file__).with_name("model.json")


class Evidence(NamedTuple):
    """One weight of a score in bits: that of a field's level, or (``field`` empty) of an interaction."""

    field: str
    level: str
    weight: float


# Not frozen, nor are ``Features`` and ``tiers.ComparedProfile``: frozen ones take several times as long to make, and a
# changed profile has hundreds.
@dataclass(slots=True)
class PairScore:
    """``score`` in bits: 0 is as likely as not, one more doubles the odds. ``levels`` are those of all
    fields.
    """

    score: float
    levels: Levels
    terms: list[tuple[str, str, float]]

    @property
    def evidence(self) -> list[Evidence]:
        """What the score is made of, besides the prior; computed on demand, as most pairs need none."""
        return [Evidence(*term) for term in self.terms]

    @property
    def probability(self) -> float:
        return 1 / (1 + 2 ** -max(-500.0, min(500.0, self.score)))


@dataclass(frozen=True)
class Rarity:
    """What is common in a base, in bits.

    By field and folded name, what an equal name adds or takes ("" stands for all names not listed); under
    the field "shared", what two that share an address get, by the name of one of ``SHARING_TERMS``.
    """

    bits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def bits_of(self, field_name: str, value: str | None) -> float:
        known = self.bits.get(field_name, {})
        return known.get(value or "", known.get("", 0.0))

    @cached_property
    def often_shared(self) -> frozenset[str]:
        """Those of ``OFTEN_SHARED`` that hold in this base."""
        return frozenset(name for name in OFTEN_SHARED if self.bits_of("shared", name) > 0)


@dataclass(frozen=True)
class Model:
    """The weights, by field one per level.

    ``rarity`` and ``shared``: how much of a name's bits and of sharing's counts. ``base``: the bits every
    pair begins with in a base of ``profile_count``. ``thresholds``: the scores from which a pair is
    *probable* and *possible*.
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
        """Bits a pair begins with: the more profiles, the more of them look alike by chance."""
        return self.base - self.bits_per_doubling * self.doublings(profile_count)

    def doublings(self, profile_count: int) -> float:
        """How often ``reference_count`` profiles have doubled in a base of ``profile_count``."""
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
        """How likely two profiles are one person, and why. ``duckdb_compare`` computes the same for many.

        ``levels``: those of the two, where some were computed before.
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
        """Each comparison, its weights, the levels at which rarity counts, and by level (-1, unknown, last)
        which of _TERMS may still hold, as bits.
        """
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
    """Rarity in bits of the commoner of two names."""
    feature, field_name = comparison.feature, comparison.field
    return min(
        rarity.bits_of(field_name, getattr(left, feature)),
        rarity.bits_of(field_name, getattr(right, feature)),
    )


def rounded(bits: float) -> float:
    """To hundredths, halves up, as ``duckdb_compare`` rounds."""
    return floor(bits * 100 + 0.5) / 100


@lru_cache(maxsize=1)
def shipped() -> Model:
    """The model this version of the product scores with."""
    return Model.from_json(json.loads(FILE.read_text()))
