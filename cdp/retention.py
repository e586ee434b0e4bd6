"""Deleting what is past its time: the functions apps registered, each run on its own.

Every table and folder that grows names its function here; ``cdp.tasks.expire`` runs them every ten minutes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import DatabaseError

from cdp.registry import Registry

log = logging.getLogger(__name__)

# Each deletes what is past its time and gives the number of things deleted. Safe to run twice.
expiry: Registry[Callable[[], int]] = Registry("The expiry function")


def expire() -> None:
    """Run them all. One that fails is logged and tried again the next time; it does not keep the others."""
    for name, delete_expired in expiry.items():
        try:
            count = delete_expired()
        except DatabaseError:
            log.exception("%s failed, will be tried again", name)
        else:
            log.info("expired", extra={"kind": name, "count": count})
