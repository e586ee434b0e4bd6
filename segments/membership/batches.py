"""A function that works on one batch → called again and again, until nothing is left or other tasks shall get their turn."""

from __future__ import annotations

import time
from collections.abc import Callable

SLICE_SECONDS = 10.0


def repeat(batch: Callable[[], int], seconds: float) -> int:
    """The sum of what the batches did; the one that gives 0 is the last."""
    done, deadline = 0, time.monotonic() + seconds
    while count := batch():
        done += count
        if time.monotonic() > deadline:
            break
    return done
