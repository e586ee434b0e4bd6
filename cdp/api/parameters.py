"""Query parameters and conditional headers → values; a 400 that names the parameter where it cannot be read."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from cdp.api.problems import BadParameter

if TYPE_CHECKING:
    from rest_framework.request import Request

_YES = frozenset({"true", "1", "yes"})
_NO = frozenset({"false", "0", "no", ""})
_ETAG = re.compile(r'(?:W/)?"(\d{1,10})"')
BIGGEST_ID = 2**63 - 1


def flag(request: Request, name: str) -> bool:
    """``?name=true``; absent is false."""
    raw = request.query_params.get(name, "")
    if raw.lower() in _YES:
        return True
    if raw.lower() in _NO:
        return False
    raise BadParameter(name, f"{name} is true or false.", raw)


def choice(request: Request, name: str, values: Sequence[str], *, default: str = "") -> str:
    """``?name=open``, one of ``values``; ``default`` when absent."""
    raw: str = request.query_params.get(name) or default
    if raw and raw not in values:
        raise BadParameter(name, f"{name} is one of {', '.join(values)}.", raw)
    return raw


def number(request: Request, name: str) -> int | None:
    """``?name=42``; None when absent."""
    raw = request.query_params.get(name)
    if raw is None or raw == "":
        return None
    if not (raw.isascii() and raw.isdigit() and len(raw) < 20 and int(raw) <= BIGGEST_ID):
        raise BadParameter(name, f"{name} is a whole number.", raw)
    return int(raw)


def moment(request: Request, name: str) -> datetime.datetime | None:
    """``?name=2024-05-01T12:00:00Z`` or a plain date (its first moment in UTC); None when absent."""
    raw = request.query_params.get(name)
    if raw is None or raw == "":
        return None
    # An unescaped "+" in an address reads as a space.
    value = read_moment(raw.replace(" ", "+"))
    if value is None:
        raise BadParameter(name, f"{name} is a time such as 2024-05-01T12:00:00Z.", raw)
    return value


def read_moment(raw: str) -> datetime.datetime | None:
    """An aware time, or None when the text is not one."""
    try:
        value = parse_datetime(raw)
        if value is None:
            day = parse_date(raw)
            value = datetime.datetime.combine(day, datetime.time()) if day else None
    except ValueError:
        return None
    if value is None:
        return None
    return value if timezone.is_aware(value) else value.replace(tzinfo=datetime.UTC)


def expected_version(request: Request, given: int | None = None) -> int | None:
    """The version the caller looked at: ``If-Match: "7"``, or the body's own ``version``."""
    header = request.headers.get("If-Match", "").strip()
    if header in ("", "*"):
        return given
    match = _ETAG.fullmatch(header)
    if match is None:
        raise BadParameter("If-Match", 'If-Match must be the version in quotes, for example "7".', header)
    return int(match[1])
