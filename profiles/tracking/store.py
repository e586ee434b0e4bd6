"""The SQL of one call's events and receipts, set-based."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.db import connection

from profiles.tracking.shapes import Entry, Item, Result


class Collision(Exception):
    """Somebody else wrote about the same people at the same time; do the whole call again."""


def as_json(value: Any) -> str:
    return orjson.dumps(value, default=_plain).decode()


def _plain(value: Any) -> Any:
    """Integers beyond 64 bit, which JSON allows."""
    if isinstance(value, int):
        return float(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def run(sql: str, params: dict[str, Any] | Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


# --- Events ---------------------------------------------------------------------------------------------


def stored_messages(source_id: int, items: Iterable[Item]) -> set[Any]:
    """Which of these messages are there already. One query."""
    ids = [item.message_id for item in items]
    if not ids:
        return set()
    rows = run(
        "SELECT message_id FROM profiles_event WHERE source_id = %s AND message_id = ANY(%s)",
        [source_id, ids],
    )
    return {message_id for (message_id,) in rows}


def held_messages(source_id: int, texts: Iterable[str]) -> set[str]:
    """Which of these refused messages are in the inbox already. One query."""
    wanted = sorted({text for text in texts if text})
    if not wanted:
        return set()
    rows = run(
        "SELECT message_id FROM profiles_receipt WHERE source_id = %s AND message_id = ANY(%s)"
        " AND outcome <> 'applied' AND payload IS NOT NULL",
        [source_id, wanted],
    )
    return {text for (text,) in rows}


# Which name an item is filed under: events by their own, the rest by their kind.
def event_name(item: Item) -> str:
    return item.name if item.kind == "track" else item.kind


def name_ids(names: Iterable[str]) -> dict[str, int]:
    """The ids of event names, new ones made. One query, a second one for new names."""
    wanted = sorted(set(names))
    found = dict(run("SELECT name, id FROM profiles_eventname WHERE name = ANY(%s)", [wanted]))
    missing = [name for name in wanted if name not in found]
    if missing:
        # DO UPDATE so that a name somebody else is just making is given back, too.
        found |= dict(
            run(
                "INSERT INTO profiles_eventname (name) SELECT unnest(%s::text[])"
                " ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING name, id",
                [missing],
            )
        )
    return found


_EVENTS = """
    INSERT INTO profiles_event (profile_id, name_id, kind, occurred_at, received_at, message_id, source_id,
        properties, context, envelope)
    SELECT profile_id, name_id, kind, occurred_at, received_at, message_id, %(source)s,
        properties::jsonb, context::jsonb, envelope::jsonb
    FROM unnest(%(profile_id)s::bigint[], %(name_id)s::bigint[], %(kind)s::text[],
        %(occurred_at)s::timestamptz[], %(received_at)s::timestamptz[], %(message_id)s::uuid[],
        %(properties)s::text[], %(context)s::text[], %(envelope)s::text[])
        AS e (profile_id, name_id, kind, occurred_at, received_at, message_id, properties, context, envelope)
    ON CONFLICT (source_id, message_id) DO NOTHING
    RETURNING message_id, id
"""


def insert_events(source_id: int, rows: Sequence[tuple[Item, int]]) -> dict[Any, int]:
    """Write (item, member id) as events; ``{message id: event id}`` of those that were not there."""
    if not rows:
        return {}
    names = name_ids(event_name(item) for item, _ in rows)
    items = [item for item, _ in rows]
    return dict(
        run(
            _EVENTS,
            {
                "source": source_id,
                "profile_id": [member for _, member in rows],
                "name_id": [names[event_name(item)] for item in items],
                "kind": [item.kind for item in items],
                "occurred_at": [item.occurred_at for item in items],
                "received_at": [item.received_at for item in items],
                "message_id": [item.message_id for item in items],
                "properties": [as_json(item.properties) for item in items],
                "context": [as_json(item.context) for item in items],
                "envelope": [None if item.envelope is None else as_json(item.envelope) for item in items],
            },
        )
    )


# --- Receipts -------------------------------------------------------------------------------------------

_RECEIPTS = """
    INSERT INTO profiles_receipt (source_id, received_at, kind, name, message_id, outcome, code, message,
        profile_id, payload, problems, replay_of_id, resolution)
    SELECT %(source)s, %(at)s, kind, name, message_id, outcome, code, message, profile_id, payload::jsonb,
        problems::jsonb, %(replay_of)s, ''
    FROM unnest(%(kind)s::text[], %(name)s::text[], %(message_id)s::text[], %(outcome)s::text[], %(code)s::text[],
        %(message)s::text[], %(profile_id)s::bigint[], %(payload)s::text[], %(problems)s::text[])
        AS r (kind, name, message_id, outcome, code, message, profile_id, payload, problems)
"""


def insert_receipts(
    rows: Sequence[tuple[Entry, Result, Sequence[Any]]],
    *,
    source_id: int,
    received_at: datetime.datetime,
    replay_of: int | None,
) -> None:
    """One receipt per item; what was refused is kept whole. One query."""
    run(
        _RECEIPTS,
        {
            "source": source_id,
            "at": received_at,
            "replay_of": replay_of,
            "kind": [entry.kind[:20] for entry, _, _ in rows],
            "name": [entry.name[:255] for entry, _, _ in rows],
            "message_id": [result.message_id[:255] for _, result, _ in rows],
            "outcome": [result.outcome for _, result, _ in rows],
            "code": [result.code for _, result, _ in rows],
            "message": [result.message for _, result, _ in rows],
            "profile_id": [result.profile_id for _, result, _ in rows],
            "payload": [as_json(entry.raw) if result.is_rejected else None for entry, result, _ in rows],
            "problems": [as_json(list(problems)) if problems else None for _, _, problems in rows],
        },
    )
