"""A request → whether its caller may send it within ``API_RATE_PER_MINUTE``.

The count lives in PostgreSQL, because several web processes on several machines answer for one key and
the product needs no second store. To not write a row per request, each process reserves a block of one
hundredth of the limit at a time and hands it out from memory: the limit is never exceeded, a caller
may at worst lose what other processes have reserved (1 % each), and a hundred writes a minute is all a
key can cause. Callers without a valid key or login are counted in memory alone, by address: a flood of
them must not reach the database.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from rest_framework.throttling import BaseThrottle

from cdp.actors import Actor
from cdp.models import RateWindow

if TYPE_CHECKING:
    from rest_framework.request import Request

WINDOW_SECONDS = 60
STRANGERS_PER_MINUTE = 600
# Beyond this many callers in one window the oldest entries are dropped and read anew.
_MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """What the caller has left: ``remaining`` of ``limit`` requests until ``reset`` seconds from now."""

    limit: int
    remaining: int
    reset: int
    is_over: bool = False

    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


@dataclass(slots=True)
class _Share:
    """What this process may still hand out to one caller in one window."""

    window: int
    limit: int
    left: int = 0
    taken: int = 0


_shares: dict[str, _Share] = {}
_lock = threading.Lock()


class KeyThrottle(BaseThrottle):
    """DRF's throttle: notes the caller's ``Rate`` on the request for the headers, refuses beyond the limit."""

    def allow_request(self, request: Request, view: Any) -> bool:
        self.rate = rate_of(request)
        request.rate = self.rate  # type: ignore[attr-defined]
        return not self.rate.is_over

    def wait(self) -> float:
        return self.rate.reset


def rate_of(request: Request) -> Rate:
    """Count this request against whoever sends it."""
    if request.auth is not None or request.user.is_authenticated:
        return count(Actor.of_request(request).label, settings.API_RATE_PER_MINUTE)
    return count_stranger(str(request.META.get("REMOTE_ADDR", "")))


def count(owner: str, limit: int) -> Rate:
    """One request of ``owner``. One statement per block of requests, none in between."""
    window, reset = _now()
    with _lock:
        share = _share(owner, window, limit)
        if share.left == 0 and share.taken < limit:
            _reserve(owner, share)
        return _hand_out(share, reset)


def count_stranger(address: str) -> Rate:
    """One request of an unknown caller, in this process's memory only."""
    window, reset = _now()
    with _lock:
        share = _share(f"address:{address}", window, STRANGERS_PER_MINUTE)
        if share.taken == 0:
            share.left, share.taken = STRANGERS_PER_MINUTE, STRANGERS_PER_MINUTE
        return _hand_out(share, reset)


def forget_old_windows() -> int:
    """Delete the counts of minutes that are over, of callers who do not come any more; how many."""
    window, _ = _now()
    return RateWindow.objects.filter(window__lt=window - 60).delete()[0]


def _now() -> tuple[int, int]:
    window, past = divmod(time.time(), WINDOW_SECONDS)
    return int(window), WINDOW_SECONDS - int(past)


def _share(owner: str, window: int, limit: int) -> _Share:
    share = _shares.get(owner)
    if share is None or share.window != window or share.limit != limit:
        if len(_shares) >= _MAX_REMEMBERED:
            _shares.clear()
        share = _shares[owner] = _Share(window, limit)
    return share


def _hand_out(share: _Share, reset: int) -> Rate:
    if share.left == 0:
        return Rate(share.limit, 0, reset, is_over=True)
    share.left -= 1
    return Rate(share.limit, max(0, share.limit - share.taken) + share.left, reset)


def _reserve(owner: str, share: _Share) -> None:
    """Take one block out of the common count; whatever lies above the limit is not handed out."""
    block = max(1, share.limit // 100)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO cdp_ratewindow AS r (owner, "window", granted) VALUES (%s, %s, %s)
            ON CONFLICT (owner) DO UPDATE SET
                granted = excluded.granted + CASE WHEN r."window" = excluded."window" THEN r.granted ELSE 0 END,
                "window" = excluded."window"
            RETURNING granted
            """,
            [owner, share.window, block],
        )
        granted: int = cursor.fetchone()[0]
    share.left = max(0, min(block, share.limit - (granted - block)))
    share.taken = min(share.limit, granted)
