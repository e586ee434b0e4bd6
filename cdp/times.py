"""A moment → text: as every answer of the API writes it, and as sentences say a day."""

import datetime

from django.utils import timezone


def iso(moment: datetime.datetime | None) -> str | None:
    """ISO 8601 in UTC, as every answer of the API writes times."""
    if moment is None:
        return None
    return moment.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")


def day(moment: datetime.datetime) -> str:
    """``3 May`` in the site's time zone, with the year when it is another one."""
    local = timezone.localtime(moment)
    text = f"{local.day} {local:%B}"
    return text if local.year == timezone.localtime().year else f"{text} {local.year}"
