"""A function that reads a small table → its result, read again at most every few seconds by each process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

SECONDS = 5.0

T = TypeVar("T")
_all: list[Recent] = []


class Recent(Generic[T]):
    """What ``read`` returned within the last ``seconds``: after that time a change by staff is effective in every process."""

    def __init__(self, read: Callable[[], T], *, seconds: float = SECONDS) -> None:
        self._read = read
        self._seconds = seconds
        self._kept: tuple[float, T] | None = None
        _all.append(self)

    def __call__(self) -> T:
        now = time.monotonic()
        if self._kept is None or now - self._kept[0] > self._seconds:
            self._kept = (now, self._read())
        return self._kept[1]

    def keep(self, value: T) -> None:
        """As if it had just been read."""
        self._kept = (time.monotonic(), value)

    def forget(self) -> None:
        self._kept = None


def forget_all() -> None:
    """Read everything anew: after a change in this process, and between tests."""
    for cache in _all:
        cache.forget()
