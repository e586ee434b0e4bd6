"""Scores with reviewers' decisions → slope and offset of ``probability = 1 / (1 + 2 ** -(slope * score +
offset))``. Pure.

The best line within limits, found for both at once: where one of them stands at its limit, the other is the best for
that. A line that says less than the share of merged pairs alone about decisions it was not fitted on gives way to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, log1p, log2

MIN_DECISIONS, MIN_OF_EACH_KIND = 200, 20
# Limits: a higher score never makes a pair less likely, and no run of decisions reverses the shipped model.
SLOPES, OFFSETS = (0.0, 4.0), (-8.0, 8.0)
# How many decisions the shipped calibration counts for; keeps the fit finite where a score separates all decisions.
PRIOR = 2.0
FOLDS = 5
# Scores are counted in steps of a twentieth of a bit: thousands of decisions are some hundred numbers.
_STEPS = 20
_STEPS_OF_NEWTON = 60
_SHRINKS = tuple(0.5**power for power in range(12))
_LN2 = log(2)

# (score, whether the two are one person) → how many decisions
_Counts = Counter[tuple[float, bool]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Slope and offset, and the number of ``decisions`` they were fitted on."""

    slope: float
    offset: float
    decisions: int


def fit(decided: Sequence[tuple[float, bool]]) -> Calibration | None:
    """Fit to ``(score in bits, is one person)``. None for fewer than 200 decisions, or fewer than 20 of either kind."""
    merged = sum(same for _, same in decided)
    if len(decided) < MIN_DECISIONS or min(merged, len(decided) - merged) < MIN_OF_EACH_KIND:
        return None
    counts = _counted(decided)
    slope, offset = _line(counts) if _line_says_more(decided) else (0.0, _constant(counts))
    return Calibration(round(slope, 4), round(offset, 4), len(decided))


def _counted(decided: Sequence[tuple[float, bool]]) -> _Counts:
    return Counter((round(score * _STEPS) / _STEPS, same) for score, same in decided)


def _line_says_more(decided: Sequence[tuple[float, bool]]) -> bool:
    """Whether the line is better than the share of merged pairs at decisions neither was fitted on."""
    line_loss = constant_loss = 0.0
    for fold in range(FOLDS):
        rest = _counted([decision for index, decision in enumerate(decided) if index % FOLDS != fold])
        held_out = _counted(decided[fold::FOLDS])
        line_loss += _loss(held_out, *_line(rest))
        constant_loss += _loss(held_out, 0.0, _constant(rest))
    return line_loss < constant_loss


def _constant(counts: _Counts) -> float:
    """The share of merged pairs in bits."""
    merged = sum(count for (_, same), count in counts.items() if same)
    return _clamp(log2((merged + 1) / (counts.total() - merged + 1)), OFFSETS)


def _line(counts: _Counts) -> tuple[float, float]:
    """The slope and offset with the smallest loss within the limits, by Newton's method.

    What stands at its limit and would leave it stays there, and the other is moved alone: a step of both, cut off at
    the limit of one, would be wrong for the other.
    """
    line = (1.0, 0.0)
    loss = _loss_with_prior(counts, *line)
    for _ in range(_STEPS_OF_NEWTON):
        step = _newton_step(counts, *line)
        for shrink in _SHRINKS:
            tried = (
                _clamp(line[0] - shrink * step[0], SLOPES),
                _clamp(line[1] - shrink * step[1], OFFSETS),
            )
            tried_loss = _loss_with_prior(counts, *tried)
            if tried_loss < loss:
                break
        if tried_loss >= loss - 1e-9:
            break
        line, loss = tried, tried_loss
    return line


def _newton_step(counts: _Counts, slope: float, offset: float) -> tuple[float, float]:
    """What to subtract from slope and offset: the gradient of the loss divided by its curvature."""
    by_slope, by_offset = PRIOR * (slope - 1.0), PRIOR * offset
    slope_slope, slope_offset, offset_offset = PRIOR, 0.0, PRIOR
    for (score, same), count in counts.items():
        probability = _probability(slope * score + offset)
        error = count * _LN2 * (probability - same)
        curvature = count * _LN2**2 * max(probability * (1 - probability), 1e-4)
        by_slope += error * score
        by_offset += error
        slope_slope += curvature * score * score
        slope_offset += curvature * score
        offset_offset += curvature
    if _is_at_limit(slope, by_slope, SLOPES):
        return 0.0, by_offset / offset_offset
    if _is_at_limit(offset, by_offset, OFFSETS):
        return by_slope / slope_slope, 0.0
    determinant = slope_slope * offset_offset - slope_offset * slope_offset
    return (
        (offset_offset * by_slope - slope_offset * by_offset) / determinant,
        (slope_slope * by_offset - slope_offset * by_slope) / determinant,
    )


def _is_at_limit(value: float, rise: float, limits: tuple[float, float]) -> bool:
    """Whether a value stands at a limit beyond which the loss would go on falling."""
    return (value <= limits[0] and rise > 0) or (value >= limits[1] and rise < 0)


def _loss_with_prior(counts: _Counts, slope: float, offset: float) -> float:
    return _loss(counts, slope, offset) + PRIOR / 2 * ((slope - 1.0) ** 2 + offset**2)


def _loss(counts: _Counts, slope: float, offset: float) -> float:
    """How surprising the decisions are, in nats."""
    return sum(
        count * _surprise(slope * score + offset if same else -slope * score - offset)
        for (score, same), count in counts.items()
    )


def _surprise(bits: float) -> float:
    """``-log`` of the probability of what came true with these bits for it."""
    nats = bits * _LN2
    return log1p(exp(-nats)) if nats > 0 else log1p(exp(max(nats, -700.0))) - nats


def _probability(bits: float) -> float:
    return 1 / (1 + exp(-_LN2 * _clamp(bits, (-500.0, 500.0))))


def _clamp(value: float, limits: tuple[float, float]) -> float:
    return max(limits[0], min(limits[1], value))
