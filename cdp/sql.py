"""Statements whose parameters travel beside them, arrays in binary: for what is written many rows at a time.

Django writes parameters into the statement as text; for the arrays of a tracking call's rows that costs twenty
times what sending them as they are does. Write ``%b`` (``%(name)b``) for arrays, with their type: ``%b::text[]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg.types.datetime import TimestamptzLoader

Row = tuple[Any, ...]
# Typed for all databases; these are PostgreSQL's.
_wrapper: Any = connection
_Cursor: Any = ServerBindingCursor


def run(sql: str, params: dict[str, Any] | Sequence[Any]) -> list[Row]:
    """The rows a statement gives, none for one that gives none. Errors are Django's, and it is counted as a query."""
    if isinstance(params, dict):
        params = {name: _written(value) for name, value in params.items()}
    else:
        params = [_written(value) for value in params]
    connection.ensure_connection()
    # What connection.cursor() does, around the other kind of cursor.
    plain = _Cursor(connection.connection)
    # Django's own reads times in Python; connections speak UTC, so there is nothing for it to do.
    plain.adapters.register_loader("timestamptz", TimestamptzLoader)
    with _wrapper._prepare_cursor(plain) as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


# An escape of JSON other than \\" and \\\\, which PostgreSQL's arrays write in another way.
_FOREIGN = re.compile(rb'\\[^"\\]')


def _written(value: Any) -> Any:
    """A list as PostgreSQL writes arrays, made at once rather than element by element; others as they are."""
    if type(value) is not list or not value:
        return value
    kinds = set(map(type, value))
    kinds.discard(type(None))
    if len(kinds) != 1:
        return value
    kind = kinds.pop()
    if kind is str:
        # JSON's way of quoting is PostgreSQL's, but for control characters.
        told = orjson.dumps(value)
        return value if _FOREIGN.search(told) else f"{{{told[1:-1].decode()}}}"
    write = _WRITERS.get(kind)
    return f"{{{','.join(['NULL' if one is None else write(one) for one in value])}}}" if write else value


_WRITERS: dict[type, Callable[[Any], str]] = {
    int: str,
    datetime: datetime.isoformat,
    UUID: lambda one: one.hex,
    bool: lambda one: "t" if one else "f",
}
