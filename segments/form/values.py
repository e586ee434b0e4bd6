"""A value of a rule ↔ the text in an input. Text that is none of its type stays text, for ``parse`` to say so. Pure."""

from __future__ import annotations

import datetime
import math
import re
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from segments.comparison import BOOLEAN, DATETIME, NUMBER


def typed(text: str, kind: str) -> Any:
    """What was typed, as the JSON of the type."""
    text = text.strip()
    if kind == NUMBER:
        return _number(text)
    if kind == BOOLEAN:
        return {"true": True, "false": False}.get(text, text)
    return _moment(text) if kind == DATETIME else text


# 1,204 and 12,000.50 are thousands; 1,5 and 0,204 are decimals.
_THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?", re.ASCII)


def _number(text: str) -> Any:
    plain = text.replace(",", "" if _THOUSANDS.fullmatch(text) else ".")
    try:
        return int(plain)
    except ValueError:
        pass
    try:
        number = float(plain)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _moment(text: str) -> Any:
    """A time of the workspace's zone → as rules have it, in UTC."""
    try:
        local = datetime.datetime.fromisoformat(text)
    except ValueError:
        return text
    aware = local if local.tzinfo else local.replace(tzinfo=ZoneInfo(settings.TIME_ZONE))
    return aware.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")


def as_input(value: Any, kind: str) -> str:
    if value is None or isinstance(value, dict):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind == DATETIME and isinstance(value, str):
        try:
            moment = datetime.datetime.fromisoformat(value)
        except ValueError:
            return value
        if moment.tzinfo:
            moment = moment.astimezone(ZoneInfo(settings.TIME_ZONE))
        return moment.strftime("%Y-%m-%dT%H:%M" if not moment.second else "%Y-%m-%dT%H:%M:%S")
    return str(value)


def lines(text: str) -> list[str]:
    """The lines that are not empty."""
    return [stripped for line in text.splitlines() if (stripped := line.strip())]
