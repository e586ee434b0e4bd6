"""Settings of Python's garbage collector for processes that live long."""

from __future__ import annotations

import gc


def settle() -> None:
    """The application is loaded and stays: the collector need not look through it again and again.

    Each time it did, a call or a comparison waited for 25 to 80 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
