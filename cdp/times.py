"""A moment → text, as every answer of the API writes it."""

import datetime


def iso(moment: datetime.datetime | None) -> str | None:
    """ISO 8601 in UTC, as every answer of the API writes times."""
    if moment is None:
        return None
    return moment.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
