"""A profile → the browsers and apps it was seen with, read from the user agents of its latest events."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import lru_cache

from django.db import connection
from ua_parser import parse

from profiles import sql

# Latest events looked at per member; enough to see every device in use without reading a long history.
EVENTS = 300

_MOBILE = {"iOS", "Android", "Windows Phone", "KaiOS"}


@dataclass(frozen=True, slots=True)
class Device:
    """``name`` as people say it: “Firefox on Linux”. ``events``: how many of the latest events came from it."""

    name: str
    is_mobile: bool
    last_seen_at: datetime.datetime
    events: int


def devices_of(root_id: int) -> list[Device]:
    """The profile's devices, the latest first. One query."""
    statement = f"""
        SELECT e.agent, max(e.occurred_at), count(*) FROM {sql.PROFILES} m
        CROSS JOIN LATERAL (
            SELECT left(context ->> 'userAgent', 500) AS agent, occurred_at FROM profiles_event
            WHERE profile_id = m.id ORDER BY occurred_at DESC, id DESC LIMIT %s
        ) e
        WHERE m.canonical_id = %s AND e.agent IS NOT NULL GROUP BY e.agent
    """
    devices: dict[str, Device] = {}
    with connection.cursor() as cursor:
        cursor.execute(statement, [EVENTS, root_id])
        for agent, seen_at, events in cursor.fetchall():
            name, is_mobile = describe(agent)
            known = devices.get(name)
            if known is not None:
                seen_at, events = max(seen_at, known.last_seen_at), events + known.events
            devices[name] = Device(name, is_mobile, seen_at, events)
    return sorted(devices.values(), key=lambda device: device.last_seen_at, reverse=True)


@lru_cache(maxsize=2048)
def describe(agent: str) -> tuple[str, bool]:
    """(“Chrome on Android”, is it a phone or tablet). A text that is no user agent is “an unknown device”."""
    result = parse(agent)
    browser = result.user_agent.family if result.user_agent else ""
    system = result.os.family if result.os else ""
    is_mobile = system in _MOBILE or "Mobile" in browser
    browser = browser.replace("Mobile ", "").removesuffix(" Mobile").replace("Mobile", "").strip()
    if system == "iOS" and result.device and result.device.family not in ("Other", "iOS-Device"):
        system = result.device.family
    system = {"Mac OS X": "Mac"}.get(system, system)
    if browser in ("", "Other"):
        return (f"an app on {system}" if system not in ("", "Other") else "an unknown device"), is_mobile
    return (f"{browser} on {system}" if system not in ("", "Other") else browser), is_mobile
