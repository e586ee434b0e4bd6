"""The schedule → ticks to the broker, but none while so many wait that nobody can be taking them.

Ticks expire with their interval, yet an expired message stays in the broker until a worker throws it away. Without this,
days without a worker would fill Redis, which then refuses the messages of people's jobs too.
"""

from __future__ import annotations

import logging
from typing import Any

from celery.beat import PersistentScheduler

from cdp.queues import HOUSEKEEPING, waiting

log = logging.getLogger("cdp.beat")

# Some minutes' worth of ticks, and more than a sweep sends at once (cdp.jobs).
MOST_WAITING = 200


class BoundedScheduler(PersistentScheduler):
    """Celery's own clock; a tick that is left out comes again after its interval."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        if self._is_backed_up():
            log.warning("tick left out: no worker takes housekeeping", extra={"tick": entry.name})
            return
        super().apply_entry(entry, producer=producer)

    def _is_backed_up(self) -> bool:
        connection = self.connection
        try:
            return waiting(HOUSEKEEPING, connection) >= MOST_WAITING
        except (*connection.connection_errors, *connection.channel_errors):
            return False  # sending fails in the same way, and Celery says so and goes on
