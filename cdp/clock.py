"""The time by the database's clock, as this process knows it: keys end, minutes are counted and confirmations grow old alike
on every machine, whatever their own clocks say.

One query every ten minutes; between them time passes by this process's monotonic clock, which nobody sets. (Jobs' leases
are compared inside the database and need none of it.)
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from django.core import signing
from django.db import DatabaseError, connection

ASK_AGAIN_AFTER = 600.0

# When this process last asked, by its monotonic clock, and what the answer was.
_asked: tuple[float, float] | None = None


def epoch() -> float:
    """Seconds since 1970 by the database's clock; by this machine's, as long as the database never answered."""
    global _asked
    passed = time.monotonic()
    if _asked is None or passed - _asked[0] > ASK_AGAIN_AFTER:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
                _asked = time.monotonic(), cursor.fetchone()[0]
        except DatabaseError:
            # The request will say so where it needs the database; until then the last answer is good enough.
            if _asked is None:
                return time.time()
    return _asked[1] + time.monotonic() - _asked[0]


def now() -> datetime:
    return datetime.fromtimestamp(epoch(), UTC)


def sign(value: Any, *, salt: str) -> str:
    """The value as signed text, with the time."""
    return signing.Signer(salt=salt).sign_object([int(epoch()), value])


def unsign(text: str, *, salt: str, max_age: float) -> Any:
    """The value of ``sign``. Raises django.core.signing.BadSignature, also for one older than ``max_age`` seconds."""
    at, value = signing.Signer(salt=salt).unsign_object(text)
    if epoch() - at > max_age:
        raise signing.SignatureExpired("The signed text is too old.")
    return value
