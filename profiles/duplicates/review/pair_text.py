"""A pair → the one message about it, the same on every page and in the API: the tier in words, then what the number says."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.duplicates.review.explain import probability
from profiles.duplicates.scoring.tiers import tier_reason
from profiles.models import DuplicatePair, DuplicatePolicy, Tier

_ANSWERS = {
    Tier.CERTAIN: "Almost certainly one person",
    Tier.PROBABLE: "Probably one person",
    Tier.POSSIBLE: "Possibly one person",
    Tier.RELATED: "Two people of one household or company",
}


# Two that no search would suggest.
_ANSWER_OF_NONE = "Probably two people"


def percent(pair: DuplicatePair, policy: DuplicatePolicy) -> int:
    """How likely the two are one, in whole percent; never 0 or 100, which nobody knows."""
    return max(1, min(99, round(100 * probability(pair.score, policy))))


@dataclass(frozen=True, slots=True)
class PairText:
    """``answer`` is the tier as a sentence, ``share`` what the number means ("" where it means nothing), ``because``
    why it is asked, as the rest of a sentence; ``rule`` is the sentence of the rule that decided, or ""."""

    answer: str
    share: str
    because: str
    rule: str

    def __str__(self) -> str:
        return f"{self.answer}: {self._rest}." if self._rest else f"{self.answer}."

    @property
    def detail(self) -> str:
        """All but the answer, as a sentence of its own."""
        return f"{self._rest[:1].upper()}{self._rest[1:]}." if self._rest else ""

    @property
    def _rest(self) -> str:
        return "; ".join(part for part in (self.share, self.because) if part)


def pair_text(pair: DuplicatePair, policy: DuplicatePolicy) -> PairText:
    """What is said about a pair, in one sentence. The number of a household would mislead, so it has none."""
    rule = tier_reason(pair.rule, pair.veto)
    reason = rule[:1].lower() + rule[1:].rstrip(".")
    if not pair.tier:
        # What speaks for one person does not count against a veto, and its number would mislead.
        share = "" if pair.veto else _share(pair, policy)
        return PairText(_ANSWER_OF_NONE, share, reason, rule)
    tier = Tier(pair.tier)
    if tier == Tier.RELATED:
        return PairText(_ANSWERS[tier], "", reason, rule)
    share = _share(pair, policy)
    if tier == Tier.CERTAIN:
        return PairText(_ANSWERS[tier], share, reason, rule)
    asked = reason or ("nothing proves it" if share else "")
    return PairText(_ANSWERS[tier], share, asked and f"you are asked because {asked}", rule)


def _share(pair: DuplicatePair, policy: DuplicatePolicy) -> str:
    # Without evidence somebody suggested it, and nothing was measured.
    return f"{percent(pair, policy)} of 100 such pairs are one person" if pair.evidence else ""
