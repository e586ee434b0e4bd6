"""SQL of one call's events and receipts: which messages are stored already, and the rows to write. Set-based."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.db import transaction

from cdp.sql import Answer, ask, run
from cdp.ttl_cache import Recent
from profiles.tracking.ingest.identifiers import SentIdentifier
from profiles.tracking.parse.item_types import BatchEntry, Item, ItemResult
from profiles.tracking.parse.message_ids import column_text


class Collision(Exception):
    """Somebody else changed the same profiles at the same time; the whole call is to be done again."""


def as_json(value: Any) -> str:
    return orjson.dumps(value, default=_plain).decode()


def _plain(value: Any) -> Any:
    """Integers beyond 64 bit, which JSON allows."""
    if isinstance(value, int):
        return float(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


# --- Events ---------------------------------------------------------------------------------------------


def stored_messages(source_id: int, items: Iterable[Item]) -> Answer[set[Any]]:
    """Which of these messages are there already. One query."""
    ids = [item.message_id for item in items]
    if not ids:
        return Answer.of(set())
    # Looked up one by one: of a source that is new the planner believes that it has next to no events, and
    # would rather read all of them than look for some.
    return ask(
        "SELECT w.message_id FROM unnest(%b::uuid[]) AS w (message_id) CROSS JOIN LATERAL (SELECT FROM profiles_event e"
        " WHERE e.source_id = %s AND e.message_id = w.message_id LIMIT 1) AS found",
        [ids, source_id],
        read=lambda rows: {message_id for (message_id,) in rows},
    )


def waiting_messages(source_id: int, texts: Iterable[str]) -> set[str]:
    """Which of these refused messages are in the inbox already. One query."""
    wanted = {column_text(text): text for text in texts if text}
    if not wanted:
        return set()
    rows = run(
        "SELECT message_id FROM profiles_receipt WHERE source_id = %s AND message_id = ANY(%b::text[])"
        " AND outcome <> 'applied' AND payload IS NOT NULL",
        [source_id, sorted(wanted)],
    )
    return {wanted[text] for (text,) in rows}


_SEEN_AFTER = """
    SELECT EXISTS (
        SELECT FROM profiles_event e
        WHERE e.profile_id IN (SELECT id FROM profiles_profile WHERE canonical_id = %s) AND e.occurred_at > %s
            AND (e.envelope ->> 'anonymous_id' = ANY(%b::text[]) OR e.context -> 'externalIds' @> ANY(%b::jsonb[]))
    )
"""


def soft_value_seen_after(root_id: int, identifier: SentIdentifier, at: datetime.datetime) -> bool:
    """Whether a profile has an event with this soft value that happened later. One query.

    The identifier's own row says so to the hour only: a row for every call would cost more than the event.
    """
    values = sorted({identifier.value, identifier.raw})
    external = [as_json([{"type": identifier.spec.name, "id": value}]) for value in values]
    ((seen,),) = run(_SEEN_AFTER, [root_id, at, values, external])
    return bool(seen)


def event_name(item: Item) -> str:
    """The name an item is filed under: events by their own, the rest by their kind."""
    return item.name if item.kind == "track" else item.kind


# A name's id never changes once it is committed.
_known_names: Recent[dict[str, int]] = Recent(dict)


def name_ids(names: Iterable[str]) -> dict[str, int]:
    """The ids of event names, new ones made. No query for names seen lately, two for new ones."""
    known = _known_names()
    wanted = set(names)
    unknown = sorted(wanted - known.keys())
    ids: dict[str, int] = {}
    if unknown:
        ids = dict(run("SELECT name, id FROM profiles_eventname WHERE name = ANY(%b::text[])", [unknown]))
        # Not before the transaction ends: it may have made the name itself, and be undone.
        transaction.on_commit(lambda: known.update(ids))
    missing = [name for name in unknown if name not in ids]
    if missing:
        # DO UPDATE so that a name somebody else is just making is given back, too.
        ids |= dict(
            run(
                "INSERT INTO profiles_eventname (name) SELECT unnest(%b::text[])"
                " ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING name, id",
                [missing],
            )
        )
    return {name: ids.get(name) or known[name] for name in wanted}


_EVENTS = """
    INSERT INTO profiles_event (profile_id, name_id, kind, occurred_at, received_at, message_id, source_id,
        properties, context, envelope)
    SELECT profile_id, name_id, kind, occurred_at, received_at, message_id, %(source)s,
        properties::jsonb, context::jsonb, envelope::jsonb
    FROM unnest(%(profile_id)b::bigint[], %(name_id)b::bigint[], %(kind)b::text[],
        %(occurred_at)b::timestamptz[], %(received_at)b::timestamptz[], %(message_id)b::uuid[],
        %(properties)b::text[], %(context)b::text[], %(envelope)b::text[])
        AS e (profile_id, name_id, kind, occurred_at, received_at, message_id, properties, context, envelope)
    RETURNING message_id, id
"""


def insert_events(source_id: int, rows: Sequence[tuple[Item, int]]) -> Answer[dict[Any, int]]:
    """Write (item, member id) as events; ``{message id: event id}``.

    IntegrityError when another call stored one of these messages since this one looked: this one was decided on
    what is no longer so.
    """
    if not rows:
        return Answer.of({})
    names = name_ids(event_name(item) for item, _ in rows)
    items = [item for item, _ in rows]
    return ask(
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
        read=dict,
    )


# --- Receipts -------------------------------------------------------------------------------------------

_RECEIPTS = """
    INSERT INTO profiles_receipt (source_id, received_at, kind, name, message_id, outcome, code, message,
        profile_id, payload, problems, replay_of_id, resolution)
    SELECT %(source)s, %(at)s::timestamptz, kind, name, message_id, outcome, code, message, profile_id, payload::jsonb,
        problems::jsonb, %(replay_of)s::bigint, ''
    FROM unnest(%(kind)b::text[], %(name)b::text[], %(message_id)b::text[], %(outcome)b::text[], %(code)b::text[],
        %(message)b::text[], %(profile_id)b::bigint[], %(payload)b::text[], %(problems)b::text[])
        AS r (kind, name, message_id, outcome, code, message, profile_id, payload, problems)
"""


def insert_receipts(
    rows: Sequence[tuple[BatchEntry, ItemResult, Sequence[Any]]],
    *,
    source_id: int,
    received_at: datetime.datetime,
    replay_of: int | None,
) -> None:
    """One receipt per item; what was refused is kept whole. One query."""
    ask(
        _RECEIPTS,
        {
            "source": source_id,
            "at": received_at,
            "replay_of": replay_of,
            "kind": [entry.kind[:20] for entry, _, _ in rows],
            "name": [entry.name[:255] for entry, _, _ in rows],
            "message_id": [column_text(result.message_id) for _, result, _ in rows],
            "outcome": [result.outcome for _, result, _ in rows],
            "code": [result.code for _, result, _ in rows],
            "message": [result.message for _, result, _ in rows],
            "profile_id": [result.profile_id for _, result, _ in rows],
            "payload": [as_json(entry.raw) if result.is_rejected else None for entry, result, _ in rows],
            "problems": [as_json(list(problems)) if problems else None for _, _, problems in rows],
        },
    )
