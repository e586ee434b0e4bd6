"""SIGTERM to a Celery worker → `is_stopping()` in its pool processes, so that long work returns at the next chunk."""

import mmap
from typing import Any

from celery.signals import worker_shutting_down

# One byte that the worker's main process shares with its pool, which gets no SIGTERM: 1 once the worker is stopping.
_stopping = mmap.mmap(-1, 1)


def is_stopping() -> bool:
    return _stopping[0] == 1


@worker_shutting_down.connect
def set_stopping(**kwargs: Any) -> None:
    _stopping[0] = 1
