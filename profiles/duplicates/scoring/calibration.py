"""The line from score to probability, fitted to what people decided: ``1 / (1 + 2 ** -(slope * score + offset))``. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

FEWEST, FEWEST_OF_EACH = 200, 20
# A higher score never makes a pair less likely, and no run of decisions turns the shipped model upside down.
SLOPES, OFFSETS = (0.25, 4.0), (-8.0, 8.0)
# How many decisions the shipped line is worth; keeps the fit finite where a score parts all decisions.
PRIOR = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """``decisions``: how many it was fitted on."""

    slope: float
    offset: float
    decisions: int


def fit_line(decided: Sequence[tuple[float, bool]]) -> Line | None:
    """From ``(score in bits, is one person)``; None for fewer than 200, or than 20 of either kind."""
    merged = sum(same for _, same in decided)
    if len(decided) < FEWEST or min(merged, len(decided) - merged) < FEWEST_OF_EACH:
        return None
    slope, offset = 1.0, 0.0
    for _ in range(100):
        step = _newton(decided, slope, offset)
        new = (_within(slope - step[0], SLOPES), _within(offset - step[1], OFFSETS))
        moved = max(abs(new[0] - slope), abs(new[1] - offset))
        slope, offset = new
        if moved < 1e-7:
            break
    return Line(round(slope, 4), round(offset, 4), len(decided))


def _newton(decided: Sequence[tuple[float, bool]], slope: float, offset: float) -> tuple[float, float]:
    """What to take from slope and offset: the gradient of the loss over its curvature."""
    gradient = [PRIOR * (slope - 1.0), PRIOR * offset]
    a, b, c = PRIOR, 0.0, PRIOR
    for score, same in decided:
        chance = 1 / (1 + exp(-log(2) * _within(slope * score + offset, (-500.0, 500.0))))
        error = (chance - same) * log(2)
        bend = max(chance * (1 - chance), 1e-4) * log(2) ** 2
        gradient[0] += error * score
        gradient[1] += error
        a, b, c = a + bend * score * score, b + bend * score, c + bend
    whole = a * c - b * b
    # At most one bit a step: far from the answer the curvature says little.
    steps = ((c * gradient[0] - b * gradient[1]) / whole, (a * gradient[1] - b * gradient[0]) / whole)
    return _within(steps[0], (-0.5, 0.5)), _within(steps[1], (-1.0, 1.0))


def _within(value: float, limits: tuple[float, float]) -> float:
    return max(limits[0], min(limits[1], value))
