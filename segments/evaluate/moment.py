"""The database's clock and the workspace's zone → as of when a rule is evaluated."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

from segments.moments import Moment


def current_moment() -> Moment:
    """Now, by the database's clock. One query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return Moment(cursor.fetchone()[0], ZoneInfo(settings.TIME_ZONE))
