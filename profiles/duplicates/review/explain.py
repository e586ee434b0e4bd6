"""A pair → sentences: what the model says about each field, with the present values, and how likely it is
one person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, log2

from profiles.duplicates.scoring.interaction_terms import LABELS
from profiles.duplicates.scoring.levels import BY_FIELD
from profiles.duplicates.scoring.similarity import DIFFERS, NOTHING
from profiles.duplicates.scoring.tiers import TRANSITIVE
from profiles.masking import mask, mask_text
from profiles.models import DuplicatePair, DuplicatePolicy, Profile

# Words of conclusions that speak for two people.
_AGAINST = ("household", "namesake", "relative", "twins", "chance", "says less")
# Beyond the score of any pair.
NO_SCORE = 1_000.0


@dataclass(frozen=True, slots=True)
class Reason:
    """One part of an explanation. ``weight`` in bits: above 0 speaks for one person.

    ``field`` is "" for interactions. ``tone`` is good, near or bad (same, alike, different), or "" for
    none. ``is_from_source``: said by the source that suggested the pair, without weight. ``is_transitive``:
    names the third profile both are likely to be.
    """

    field: str
    label: str
    a: str
    b: str
    weight: float
    text: str
    tone: str
    is_from_source: bool = False
    is_transitive: bool = False


def explain(pair: DuplicatePair, *, can_view_pii: bool = True) -> list[Reason]:
    """What speaks for and against, in the order of the fields. No query when ``pair.a`` and ``pair.b`` are
    loaded.

    Without ``can_view_pii`` values are masked, also in what a source said.
    """
    model_reasons = [
        _transitive_reason(pair.through_id, term[2])
        if term[1] == TRANSITIVE
        else _model_reason(pair.a, pair.b, *term, can_view_pii=can_view_pii)
        for term in pair.evidence
    ]
    return [*model_reasons, *(_source_reason(reason, can_view_pii=can_view_pii) for reason in pair.reasons)]


def _display(field: str, value: object, *, can_view_pii: bool) -> str:
    return "" if value in (None, "") else str(value if can_view_pii else mask(field, value))


def _model_reason(
    a: Profile, b: Profile, field: str, level: str, weight: float, *, can_view_pii: bool
) -> Reason:
    if not field:
        text = interaction_text(level, weight)
        return Reason("", "Combined", "", "", weight, text, "good" if weight > 0 else "bad")
    comparison = BY_FIELD[field]
    label = next((known.label for known in comparison.levels if known.name == level), level)
    tone = "good" if level == "equal" else "bad" if level == DIFFERS else "near"
    display_field = comparison.display_field or field
    left_value, right_value = (
        ""
        if display_field == NOTHING
        else _display(display_field, getattr(profile, display_field), can_view_pii=can_view_pii)
        for profile in (a, b)
    )
    return Reason(
        field,
        comparison.label.capitalize(),
        left_value,
        right_value,
        weight,
        f"{comparison.label} {label}".capitalize(),
        tone,
    )


def interaction_text(name: str, weight: float) -> str:
    """What holds of the two, and what follows from it where the weight says so, too.

    Weights correct one another: two of one name may weigh for one person here, because their parts weigh less together.
    """
    fact, _, conclusion = LABELS.get(name, name).partition(": ")
    if not conclusion:
        return fact
    if "chance" in conclusion and weight > 0:
        return f"{fact}: among so few people hardly any are alike by chance"
    is_against = any(word in conclusion for word in _AGAINST)
    return fact if is_against == (weight > 0) else f"{fact}: {conclusion}"


def _transitive_reason(through_id: int | None, weight: float) -> Reason:
    return Reason(
        "",
        "Through a third profile",
        "",
        "",
        weight,
        f"Both are probably the same person as #{through_id}",
        "good",
        is_transitive=True,
    )


def _source_reason(reason: dict[str, str], *, can_view_pii: bool) -> Reason:
    """The source's sentence names the value both have; without ``can_view_pii`` only its type is named."""
    kind, text = reason.get("type", ""), reason.get("text", "")
    value = _display(kind or "value", reason.get("value"), can_view_pii=can_view_pii)
    if not can_view_pii:
        text = f"Same {kind or 'value'}" if value else mask_text(text)
    return Reason(kind, "Reported by a source", value, value, 0.0, text, "", is_from_source=True)


def probability(score: float, policy: DuplicatePolicy) -> float:
    """How likely a pair with this score is one person, by this base's calibration."""
    bits = policy.calibration_slope * score + policy.calibration_offset
    return 1 / (1 + exp(-log(2) * max(-500.0, min(500.0, bits))))


def score_for(target: float, policy: DuplicatePolicy) -> float:
    """The score from which pairs are at least this likely (``target`` between 0 and 1, exclusive).

    ``NO_SCORE`` or its negative where the score says nothing here: no pair is so likely, or every one.
    """
    if policy.calibration_slope <= 0:
        return -NO_SCORE if probability(0.0, policy) >= target else NO_SCORE
    return (log2(target / (1 - target)) - policy.calibration_offset) / policy.calibration_slope


def summarize(reasons: Sequence[Reason]) -> str:
    """The reasons as one line: "First names are equal +5.0 · Birth dates differ −7.5"."""
    return " · ".join(f"{reason.text} {reason.weight:+.1f}".replace("-", "−") for reason in reasons)
