"""Calls with API keys → how often each key called each address, what failed, and the last error, in PostgreSQL.

Counted in memory and written every quarter of a minute by one statement, so that a call costs none. A process that ends
loses what it counted since; the figures are for people who look whether an integration is complete.
"""

from __future__ import annotations

import datetime
import logging
import re
import threading
import time
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connection
from django.utils import timezone
from rest_framework.request import Request

from cdp.models import ApiKey, ApiKeyUse

log = logging.getLogger("cdp.api")

WRITE_EVERY = 15.0
# More addresses than this has no key; the API has fewer.
_MAX_COUNTED = 5_000
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
# Sentences quote what was sent, and may name people by it.
_QUOTED = re.compile(r"“[^”]*(?:”|\Z)|(?<![^\s”])[^\s“”]*@[^\s“”]*")

_SQL = """
    INSERT INTO cdp_apikeyuse AS u (key_id, method, address, calls, errors, last_at, last_error_at, last_status, last_error)
    SELECT n.* FROM unnest(%(key)s::bigint[], %(method)s::text[], %(address)s::text[], %(calls)s::bigint[],
            %(errors)s::bigint[], %(last)s::timestamptz[], %(failed)s::timestamptz[], %(status)s::int[], %(error)s::text[])
        AS n (key_id, method, address, calls, errors, last_at, last_error_at, last_status, last_error)
    JOIN cdp_apikey k ON k.id = n.key_id
    ON CONFLICT (key_id, method, address) DO UPDATE SET
        calls = u.calls + excluded.calls, errors = u.errors + excluded.errors,
        last_at = greatest(u.last_at, excluded.last_at),
        last_error_at = coalesce(excluded.last_error_at, u.last_error_at),
        last_status = coalesce(excluded.last_status, u.last_status),
        last_error = CASE WHEN excluded.last_error_at IS NULL THEN u.last_error ELSE excluded.last_error END
"""


@dataclass(slots=True)
class _Count:
    """Calls of one key at one address that are not written yet."""

    calls: int = 0
    errors: int = 0
    last_at: datetime.datetime | None = None
    failed_at: datetime.datetime | None = None
    status: int | None = None
    error: str = ""


_counts: dict[tuple[int, str, str], _Count] = {}
_lock = threading.Lock()
_next_write = 0.0


def note(request: Request, status: int, data: Any) -> None:
    """Count one answered call; of staff and strangers nothing is counted. One query every ``WRITE_EVERY`` seconds."""
    key, match = request.auth, request._request.resolver_match
    if not isinstance(key, ApiKey) or match is None:
        return
    counted = (key.pk, str(request.method), address_of(match.route))
    now = timezone.now()
    with _lock:
        if len(_counts) < _MAX_COUNTED or counted in _counts:
            count = _counts.setdefault(counted, _Count())
            count.calls += 1
            count.last_at = now
            if status >= 400:
                count.errors += 1
                count.failed_at, count.status, count.error = now, status, _sentence(data)
    if _is_due():
        write()


def address_of(route: str) -> str:
    """``/api/v1/profiles/{ref}/merge/``: the address as it is described, without anybody's id."""
    return "/" + _PARAMETER.sub(r"{\1}", route).lstrip("^/").rstrip("$")


def _sentence(data: Any) -> str:
    detail = data.get("detail", "") if isinstance(data, dict) else ""
    return _QUOTED.sub(lambda found: "“…”" if found[0].startswith("“") else "…", str(detail))[:300]


def _is_due() -> bool:
    return time.monotonic() >= _next_write


def write() -> None:
    """Add what was counted to the table. What cannot be written is lost: a call does not fail for its statistics."""
    global _next_write
    with _lock:
        _next_write = time.monotonic() + WRITE_EVERY
        counts = sorted(_counts.items(), key=lambda item: item[0])
        _counts.clear()
    if not counts or connection.needs_rollback:
        return
    params: dict[str, Any] = {
        "key": [key for (key, _, _), _ in counts],
        "method": [method for (_, method, _), _ in counts],
        "address": [address[:200] for (_, _, address), _ in counts],
        "calls": [count.calls for _, count in counts],
        "errors": [count.errors for _, count in counts],
        "last": [count.last_at for _, count in counts],
        "failed": [count.failed_at for _, count in counts],
        "status": [count.status for _, count in counts],
        "error": [count.error for _, count in counts],
    }
    try:
        with connection.cursor() as cursor:
            cursor.execute(_SQL, params)
    except DatabaseError as error:
        log.warning("counts of calls with API keys are lost: %s", type(error).__name__)


def uses_of(key: ApiKey) -> list[ApiKeyUse]:
    """What a key called, the most often called address first, as far as it is written. One query."""
    return list(ApiKeyUse.objects.filter(key=key).order_by("-calls", "address"))
