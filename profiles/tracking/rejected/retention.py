"""Old receipts that nobody has to look at → deleted. Events stay, and so does what waits in the inbox."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

CHUNK = 20_000
SECONDS = 20.0

# Oldest first by id: receipts are numbered as they come, so this reads little beyond what it removes.
_DELETE = """
    DELETE FROM profiles_receipt WHERE id IN (
        SELECT id FROM profiles_receipt
        WHERE received_at < %s AND (payload IS NULL OR resolved_at IS NOT NULL)
        ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
"""


def delete_old_receipts(*, seconds: float = SECONDS) -> int:
    """Remove receipts older than CDP_RECEIPT_KEEP_DAYS that nobody has to look at; how many.

    In chunks, each on its own, until none is left or the time is up: what remains goes next time.
    """
    before = timezone.now() - timedelta(days=settings.CDP_RECEIPT_KEEP_DAYS)
    until, count = time.monotonic() + seconds, 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_DELETE, [before, CHUNK])
            removed = cursor.rowcount
        count += removed
        if removed < CHUNK or time.monotonic() >= until:
            return int(count)
