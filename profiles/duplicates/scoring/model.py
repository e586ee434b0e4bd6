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

from profiles.duplicates.scoring.features import Traits
from profiles.duplicates.scoring.interaction_terms import ADJUSTMENTS
from profiles.duplicates.scoring.interactions import DOUBLED, OFTEN, PER_PEOPLE, SHARED, SHARINGS
from profiles.duplicates.scoring.levels import BY_FIELD, COMPARISONS, Levels
from profiles.duplicates.scoring.similarity import Comparison

# In a small base hardly anybody is like another by chance: fewer people than this change nothing any more.
LEAST_PEOPLE = 40_000
FILE = Path(__file__).with_name("model.json")


class Told(NamedTuple):
    """One line of an explanation: a field's level, or (``field`` empty) an adjustment, and its weight in bits."""

    field: str
    level: str
    weight: float


# Not frozen, as ``Traits`` and ``tiers.Side`` are not: that makes each several times as expensive, and a changed
# person has hundreds.
@dataclass(slots=True)
class Scored:
    """``score`` in bits: 0 is as likely as not, one more doubles the odds. ``levels``: those of all fields."""

    score: float
    levels: Levels
    lines: list[tuple[str, str, float]]

    @property
    def told(self) -> list[Told]:
        """The explanation; of most pairs nobody asks for it."""
        return [Told(*line) for line in self.lines]

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

    def of(self, field_name: str, value: str | None) -> float:
        known = self.bits.get(field_name, {})
        return known.get(value or "", known.get("", 0.0))

    @cached_property
    def often(self) -> frozenset[str]:
        """Those of ``together.OFTEN`` that are so in this base."""
        return frozenset(name for name in OFTEN if self.of("shared", name) > 0)


@dataclass(frozen=True)
class Model:
    """``weights``: by field, one per level; ``rarity`` and ``shared``: how much of
    a name's bits and of sharing's counts; ``base``: bits every pair
    begins with in a base of ``people``; ``thresholds``: the score from which a pair is *probable* and *possible*.
    """

    version: str
    weights: Mapping[str, tuple[float, ...]]
    adjustments: Mapping[str, float]
    shared: Mapping[str, float]
    rarity: Mapping[str, float]
    base: float
    people: int
    growth: float
    thresholds: Mapping[str, float]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Model:
        weights = {
            comparison.field: tuple(
                told["fields"][comparison.field]["levels"][name]["weight"] for name in comparison.names
            )
            for comparison in COMPARISONS
        }
        return cls(
            version=told["version"],
            weights=weights,
            adjustments={one.name: told["adjustments"][one.name]["weight"] for one in ADJUSTMENTS},
            shared={name: told["shared"][name]["weight"] for name in SHARED},
            rarity={name: one["rarity"] for name, one in told["fields"].items() if "rarity" in one},
            base=told["prior"]["bits"],
            people=told["prior"]["people"],
            growth=told["prior"]["bits_per_doubling"],
            thresholds=told["thresholds"],
        )

    def prior(self, people: int) -> float:
        """Bits a pair begins with: the more people, the more of them look alike by chance."""
        return self.base - self.growth * self.doublings(people)

    def doublings(self, people: int) -> float:
        """How often the people the model was fitted on have doubled in a base of so many."""
        return doublings(people, self.people)

    def score(
        self, one: Traits, other: Traits, *, people: int, rarity: Rarity, levels: Levels | None = None
    ) -> Scored:
        """How likely two are one person, and why. What ``bulk`` computes for many.

        ``levels``: those of the two, where somebody looked at some already.
        """
        levels = Levels(one, other) if levels is None else levels
        lines: list[tuple[str, str, float]] = []
        holding = (1 << len(_TOGETHER)) - 1
        for comparison, weights, rare_places, masks in self._fields:
            level = levels[comparison.field]
            holding &= masks[level]
            if level < 0:
                continue
            weight = weights[level]
            if level in rare_places:
                weight += self.rarity[comparison.field] * _commoner(comparison, one, other, rarity)
            lines.append((comparison.field, comparison.names[level], weight))
        while holding:
            lowest = holding & -holding
            holding ^= lowest
            adjustment = _TOGETHER[lowest.bit_length() - 1]
            weight = self._together(adjustment.name, rarity)
            if adjustment.by == PER_PEOPLE:
                weight *= self.doublings(people)
            elif adjustment.by:
                weight *= _commoner(BY_FIELD[adjustment.by], one, other, rarity)
            lines.append(("", adjustment.name, weight))
        prior = self.prior(people) + self._together(DOUBLED, rarity)
        return Scored(prior + sum([weight for _, _, weight in lines]), levels, lines)

    def _together(self, name: str, rarity: Rarity) -> float:
        if name in self.shared:
            return self.shared[name] * rarity.of("shared", name)
        return self.adjustments[name]

    @cached_property
    def _fields(self) -> list[tuple[Comparison, tuple[float, ...], frozenset[int], list[int]]]:
        """Each comparison, its weights, the levels at which rarity counts, and by level (-1, unknown, at the end)
        which of _TOGETHER may still hold, as bits."""
        return [
            (
                one,
                self.weights[one.field],
                frozenset(map(one.names.index, one.rarity_levels)),
                [_may_hold(one.field, level) for level in (*range(len(one.names)), -1)],
            )
            for one in COMPARISONS
        ]


_TOGETHER = (*ADJUSTMENTS, *SHARINGS)


def _may_hold(field_name: str, level: int) -> int:
    fitting = (field_name not in one.when or level in one.places(field_name) for one in _TOGETHER)
    return sum(1 << place for place, fits in enumerate(fitting) if fits)


def doublings(people: int, since: int) -> float:
    """How often ``since`` people have doubled in a base of ``people``."""
    return log2(max(people, LEAST_PEOPLE) / since)


def _commoner(comparison: Comparison, one: Traits, other: Traits, rarity: Rarity) -> float:
    """Bits of the commoner of two names."""
    trait, field_name = comparison.trait, comparison.field
    return min(rarity.of(field_name, getattr(one, trait)), rarity.of(field_name, getattr(other, trait)))


def rounded(bits: float) -> float:
    """To hundredths, halves up, as ``bulk`` rounds."""
    return floor(bits * 100 + 0.5) / 100


@lru_cache(maxsize=1)
def shipped() -> Model:
    """The model this version of the product scores with."""
    return Model.of(json.loads(FILE.read_text()))
