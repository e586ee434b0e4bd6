"""Old receipts → deleted; what waits in the inbox much later. Events stay."""

from __future__ import annotations

import time

from django.conf import settings
from django.db import connection

CHUNK = 20_000
SECONDS = 20.0

# Oldest first by id: receipts are numbered as they come, so this reads little beyond what it removes.
_DELETE = """
    DELETE FROM profiles_receipt WHERE id IN (
        SELECT id FROM profiles_receipt
        WHERE received_at < now() - make_interval(days => %s)
            AND (payload IS NULL OR resolved_at IS NOT NULL OR received_at < now() - make_interval(days => %s))
        ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
"""


def delete_old_receipts(*, seconds: float = SECONDS) -> int:
    """Remove receipts older than CDP_RECEIPT_KEEP_DAYS, those that nobody dealt with after CDP_REJECTED_KEEP_DAYS; how many.

    In chunks, each on its own, until none is left or the time is up: what remains goes next time.
    """
    days = settings.CDP_RECEIPT_KEEP_DAYS
    waiting_days = max(days, settings.CDP_REJECTED_KEEP_DAYS)
    until, count = time.monotonic() + seconds, 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_DELETE, [days, waiting_days, CHUNK])
            removed = cursor.rowcount
        count += removed
        if removed < CHUNK or time.monotonic() >= until:
            return int(count)
