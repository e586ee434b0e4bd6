"""The limit: the rows a tracking run left behind, written again by nothing but psycopg and unnest."""

from __future__ import annotations

import time
import uuid
from typing import Any

import psycopg
from django.db import connection

from profiles.models import Profile

_PROFILE = ("id", "canonical_id", "status", "source_id", "is_recognized", "first_seen_at", "last_seen_at")
_EVENT = (
    "profile_id",
    "name_id",
    "kind",
    "occurred_at",
    "received_at",
    "message_id",
    "source_id",
    "properties",
    "context",
    "envelope",
)
_IDENTIFIER = (
    "type_id",
    "value",
    "raw",
    "profile_id",
    "source_id",
    "resolves",
    "is_verified",
    "is_pending",
    "first_seen_at",
    "last_seen_at",
)
_RECEIPT = (
    "source_id",
    "received_at",
    "kind",
    "name",
    "message_id",
    "outcome",
    "code",
    "message",
    "profile_id",
    "payload",
    "problems",
    "resolution",
)
TABLES: dict[str, tuple[str, ...]] = {
    "profiles_profile": (*_PROFILE, *Profile.FIELDS, "attributes"),
    "profiles_identifier": _IDENTIFIER,
    "profiles_event": _EVENT,
    "profiles_receipt": _RECEIPT,
}


def own_connection(**options: Any) -> psycopg.Connection[Any]:
    """Plain psycopg on the test database, without Django around it."""
    return psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}, **options)


def insert_seconds(source_id: int, *, size: int) -> float:
    """Seconds to write a run's events, receipts, identifiers and profiles once more, in batches of ``size`` events.

    Each batch is one transaction of four inserts; only they are timed. The same content gets new keys.
    """
    with own_connection() as own:
        rows = {table: _read(own, table, columns, source_id) for table, columns in TABLES.items()}
        _give_new_keys(own, rows)
        statements = {table: _insert(own, table, columns) for table, columns in TABLES.items()}
        own.commit()
        work = [
            [
                (statements[table], list(map(list, zip(*them, strict=True))))
                for table, them in batch.items()
                if them
            ]
            for batch in _batches(rows, size)
        ]
        started = time.perf_counter()
        for batch in work:
            for statement, columns in batch:
                own.execute(statement, columns)
            own.commit()
        return time.perf_counter() - started


def _batches(rows: dict[str, list[list[Any]]], size: int) -> list[dict[str, list[list[Any]]]]:
    """Events in their order; people and their identifiers with the first event of theirs."""
    index_of = {
        table: columns.index("profile_id") for table, columns in TABLES.items() if "profile_id" in columns
    }
    index_of["profiles_profile"] = 0
    batches: list[dict[str, list[list[Any]]]] = []
    first: dict[int, int] = {}
    for number, row in enumerate(rows["profiles_event"]):
        if number % size == 0:
            batches.append({table: [] for table in TABLES})
        batches[-1]["profiles_event"].append(row)
        first.setdefault(row[index_of["profiles_event"]], len(batches) - 1)
    for table in ("profiles_profile", "profiles_identifier"):
        for row in rows[table]:
            batches[first.get(row[index_of[table]], 0)][table].append(row)
    for number, row in enumerate(rows["profiles_receipt"]):
        batches[min(number // size, len(batches) - 1)]["profiles_receipt"].append(row)
    return batches


def _read(own: Any, table: str, columns: tuple[str, ...], source_id: int) -> list[list[Any]]:
    json = {"properties", "context", "envelope", "payload", "problems", "attributes"}
    selected = ", ".join(f"{name}::text" if name in json else name for name in columns)
    rows = own.execute(
        f"SELECT {selected} FROM {table} WHERE source_id = %s ORDER BY id", [source_id]
    ).fetchall()
    return [list(row) for row in rows]


def _give_new_keys(own: Any, rows: dict[str, list[list[Any]]]) -> None:
    """New people get new ids, events new message ids, identifiers new values."""
    people = rows["profiles_profile"]
    taken = own.execute(
        "SELECT nextval(pg_get_serial_sequence('profiles_profile', 'id')) FROM generate_series(1, %s)",
        [len(people)],
    ).fetchall()
    ids = {row[0]: pk for row, (pk,) in zip(people, taken, strict=True)}
    for row in people:
        row[0] = row[1] = ids[row[0]]
    for table, columns in TABLES.items():
        index_of = {name: number for number, name in enumerate(columns)}
        for row in rows[table]:
            if table != "profiles_profile":
                row[index_of["profile_id"]] = ids.get(
                    row[index_of["profile_id"]], row[index_of["profile_id"]]
                )
            if table == "profiles_event":
                row[index_of["message_id"]] = uuid.uuid4()
            if table == "profiles_identifier":
                row[index_of["value"]] = f"{uuid.uuid4()}{row[index_of['value']]}"[:255]


def _insert(own: Any, table: str, columns: tuple[str, ...]) -> str:
    types = dict(
        own.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass",
            [table],
        ).fetchall()
    )
    as_text = {"jsonb": "text", "character varying": "text"}
    arrays = ", ".join(f"%b::{as_text.get(types[name], types[name])}[]" for name in columns)
    selected = ", ".join(f"{name}::jsonb" if types[name] == "jsonb" else name for name in columns)
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) SELECT {selected} FROM unnest({arrays}) AS r ({names})"
