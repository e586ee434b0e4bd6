"""A pair in words: what the model said about each field, with the values as they stand now, and how likely it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, log2

from profiles.duplicates.scoring.interaction_terms import LABELS
from profiles.duplicates.scoring.levels import BY_FIELD
from profiles.duplicates.scoring.similarity import DIFFERS, NOTHING
from profiles.duplicates.scoring.tiers import THROUGH
from profiles.masking import mask, mask_text
from profiles.models import DuplicatePair, DuplicatePolicy, Profile


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of an explanation. ``weight`` in bits: above 0 speaks for one person. ``field`` is "" for what two
    fields say together; ``tone`` is good, near or bad (same, alike, different), or "" where there is none.
    ``is_told`` is what a door said when it suggested the pair: it weighs nothing; ``is_third`` names whom both are
    likely to be.
    """

    field: str
    label: str
    a: str
    b: str
    weight: float
    text: str
    tone: str
    is_told: bool = False
    is_third: bool = False


def explain(pair: DuplicatePair, *, sees: bool = True) -> list[Reason]:
    """What speaks for and against, in the order of the fields. No query when ``pair.a`` and ``pair.b`` are loaded.

    Values are masked, also in what a door said, unless somebody ``sees`` personal data.
    """
    told = [
        _of_third(pair.through_id, line[2])
        if line[1] == THROUGH
        else _of_model(pair.a, pair.b, *line, sees=sees)
        for line in pair.evidence
    ]
    return [*told, *(_of_door(reason, sees=sees) for reason in pair.reasons)]


def _shown(field: str, value: object, *, sees: bool) -> str:
    return "" if value in (None, "") else str(value if sees else mask(field, value))


def _of_model(a: Profile, b: Profile, field: str, level: str, weight: float, *, sees: bool) -> Reason:
    if not field:
        return Reason(
            "", "Together", "", "", weight, LABELS.get(level, level), "good" if weight > 0 else "bad"
        )
    comparison = BY_FIELD[field]
    label = next((one.label for one in comparison.levels if one.name == level), level)
    tone = "good" if level == "equal" else "bad" if level == DIFFERS else "near"
    shown = comparison.shows or field
    one, other = (
        "" if shown == NOTHING else _shown(shown, getattr(side, shown), sees=sees) for side in (a, b)
    )
    return Reason(
        field,
        comparison.label.capitalize(),
        one,
        other,
        weight,
        f"{comparison.label} {label}".capitalize(),
        tone,
    )


def _of_third(through_id: int | None, weight: float) -> Reason:
    return Reason("", "By a third", "", "", weight, f"Both are likely #{through_id}", "good", is_third=True)


def _of_door(reason: dict[str, str], *, sees: bool) -> Reason:
    """Its sentence names the value both have; who may not see it is told which kind of value it is."""
    kind, text = reason.get("type", ""), reason.get("text", "")
    value = _shown(kind or "value", reason.get("value"), sees=sees)
    if not sees:
        text = f"Same {kind or 'value'}" if value else mask_text(text)
    return Reason(kind, "Seen at a door", value, value, 0.0, text, "", is_told=True)


def probability(score: float, policy: DuplicatePolicy) -> float:
    """How likely a pair of this score is one person, by the line fitted to this base's decisions."""
    bits = policy.line_slope * score + policy.line_offset
    return 1 / (1 + exp(-log(2) * max(-500.0, min(500.0, bits))))


def score_of(wanted: float, policy: DuplicatePolicy) -> float:
    """The score from which pairs are at least so likely (``wanted`` between 0 and 1, exclusive)."""
    return (log2(wanted / (1 - wanted)) - policy.line_offset) / policy.line_slope


def in_words(reasons: Sequence[Reason]) -> str:
    """One line: "First names are equal +5.0 · Birth dates differ −7.5"."""
    return " · ".join(f"{one.text} {one.weight:+.1f}".replace("-", "−") for one in reasons)
