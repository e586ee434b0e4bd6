"""A profile → the browsers and apps it was seen with, read from the user agents of its latest events."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db import connection

from cdp.user_agents import describe
from profiles import sql

# Latest events looked at per member; enough to see every device in use without reading a long history.
EVENTS = 300


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
