"""Statements whose parameters travel beside them, arrays in binary: for what is written many rows at a time.

Django writes parameters into the statement as text; for the arrays of a tracking call's rows that costs twenty
times what sending them as they are does. Write ``%b`` (``%(name)b``) for arrays, with their type: ``%b::text[]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor

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
    with _wrapper._prepare_cursor(_Cursor(connection.connection)) as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


def _written(value: Any) -> Any:
    """A list of numbers or times as PostgreSQL writes arrays: joined at once, rather than one by one in binary."""
    if type(value) is not list or not value:
        return value
    kinds = set(map(type, value))
    kinds.discard(type(None))
    if kinds == {int}:
        return f"{{{','.join(['NULL' if one is None else str(one) for one in value])}}}"
    if kinds == {datetime}:
        return f"{{{','.join(['NULL' if one is None else one.isoformat() for one in value])}}}"
    return value
