"""A question that may hang → its answer, or TimeoutError: asked in a thread of its own, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Question(Generic[T]):
    """While one thread still waits for its answer, whoever asks waits for the same one: hanging costs one thread."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._answer: Future[T] | None = None

    def begin(self) -> Future[T]:
        """The answer to come: ``result(timeout)`` gives it, or raises what asking raised, or TimeoutError."""
        with self._lock:
            if self._answer is None or self._answer.done():
                self._answer = Future()
                threading.Thread(target=self._work, args=[self._answer], name="question", daemon=True).start()
            return self._answer

    def _work(self, answer: Future[T]) -> None:
        try:
            answer.set_result(self._ask())
        except BaseException as error:  # noqa: BLE001  (whoever asked gets it)
            answer.set_exception(error)
