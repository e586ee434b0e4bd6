"""Scores with reviewers' decisions → slope and offset of ``probability = 1 / (1 + 2 ** -(slope * score +
offset))``. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

MIN_DECISIONS, MIN_OF_EACH_KIND = 200, 20
# Limits: a higher score never makes a pair less likely, and no run of decisions reverses the shipped model.
SLOPES, OFFSETS = (0.25, 4.0), (-8.0, 8.0)
# How many decisions the shipped calibration counts for; keeps the fit finite where a score separates all decisions.
PRIOR = 2.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Slope and offset, and the number of ``decisions`` they were fitted on."""

    slope: float
    offset: float
    decisions: int


def fit(decided: Sequence[tuple[float, bool]]) -> Calibration | None:
    """Fit to ``(score in bits, is one person)``. None for fewer than 200 decisions, or fewer than 20 of
    either kind.
    """
    merged = sum(same for _, same in decided)
    if len(decided) < MIN_DECISIONS or min(merged, len(decided) - merged) < MIN_OF_EACH_KIND:
        return None
    slope, offset = 1.0, 0.0
    for _ in range(100):
        step = _newton_step(decided, slope, offset)
        updated = (_clamp(slope - step[0], SLOPES), _clamp(offset - step[1], OFFSETS))
        change = max(abs(updated[0] - slope), abs(updated[1] - offset))
        slope, offset = updated
        if change < 1e-7:
            break
    return Calibration(round(slope, 4), round(offset, 4), len(decided))


def _newton_step(decided: Sequence[tuple[float, bool]], slope: float, offset: float) -> tuple[float, float]:
    """How much to subtract from slope and offset: the gradient of the loss divided by its curvature."""
    gradient = [PRIOR * (slope - 1.0), PRIOR * offset]
    slope_slope, slope_offset, offset_offset = PRIOR, 0.0, PRIOR
    for score, same in decided:
        probability = 1 / (1 + exp(-log(2) * _clamp(slope * score + offset, (-500.0, 500.0))))
        error = (probability - same) * log(2)
        curvature = max(probability * (1 - probability), 1e-4) * log(2) ** 2
        gradient[0] += error * score
        gradient[1] += error
        slope_slope, slope_offset, offset_offset = (
            slope_slope + curvature * score * score,
            slope_offset + curvature * score,
            offset_offset + curvature,
        )
    determinant = slope_slope * offset_offset - slope_offset * slope_offset
    # At most one bit a step: far from the optimum the curvature is no guide.
    steps = (
        (offset_offset * gradient[0] - slope_offset * gradient[1]) / determinant,
        (slope_slope * gradient[1] - slope_offset * gradient[0]) / determinant,
    )
    return _clamp(steps[0], (-0.5, 0.5)), _clamp(steps[1], (-1.0, 1.0))


def _clamp(value: float, limits: tuple[float, float]) -> float:
    return max(limits[0], min(limits[1], value))
