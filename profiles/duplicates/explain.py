"""A pair in words: what the model said about each field, with the values as they stand now, and how likely it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log, log2

from profiles.duplicates.levels import BY_FIELD, DIFFERS, NOTHING
from profiles.duplicates.together import LABELS
from profiles.models import DuplicatePair, DuplicatePolicy, Profile


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of an explanation. ``weight`` in bits: above 0 speaks for one person. ``field`` is "" for what two
    fields say together; ``tone`` is good, near or bad (same, alike, different), or "" where there is none.
    """

    field: str
    label: str
    a: str
    b: str
    weight: float
    text: str
    tone: str


def explain(pair: DuplicatePair, *, show: Callable[[str, object], str] | None = None) -> list[Reason]:
    """What speaks for and against, in the order of the fields. No query when ``pair.a`` and ``pair.b`` are loaded.

    ``show(field, value)`` turns a value into text (masks it for who may not see personal data).
    """
    told = [_of_model(pair.a, pair.b, *line, show=show or _plain) for line in pair.evidence]
    return [*told, *(_of_door(reason) for reason in pair.reasons)]


def _plain(_field: str, value: object) -> str:
    return "" if value is None else str(value)


def _of_model(
    a: Profile, b: Profile, field: str, level: str, weight: float, *, show: Callable[[str, object], str]
) -> Reason:
    if not field:
        return Reason(
            "", "Together", "", "", weight, LABELS.get(level, level), "good" if weight > 0 else "bad"
        )
    comparison = BY_FIELD[field]
    label = next((one.label for one in comparison.levels if one.name == level), level)
    tone = "good" if level == "equal" else "bad" if level == DIFFERS else "near"
    shown = comparison.shows or field
    one, other = ("" if shown == NOTHING else show(shown, getattr(side, shown)) for side in (a, b))
    return Reason(
        field,
        comparison.label.capitalize(),
        one,
        other,
        weight,
        f"{comparison.label} {label}".capitalize(),
        tone,
    )


def _of_door(reason: dict[str, str]) -> Reason:
    return Reason(reason.get("type", ""), "Seen at a door", "", "", 0.0, reason.get("text", ""), "")


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
