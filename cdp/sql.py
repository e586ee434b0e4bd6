"""Statements whose parameters travel beside them, arrays in binary: for what is written many rows at a time.

Django writes parameters into the statement as text; for the arrays of a tracking call's rows that costs twenty
times what sending them as they are does. Write ``%b`` (``%(name)b``) for arrays, with their type: ``%b::text[]``.

Statements that need nothing of each other go out ``together``: waiting for the database once costs a fraction of
waiting for each, above all while others keep the machine busy.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Generic, TypeVar, overload
from uuid import UUID

import orjson
from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg.types.datetime import TimestamptzLoader

Row = tuple[Any, ...]
Params = dict[str, Any] | Sequence[Any]
T = TypeVar("T")
# Typed for all databases; these are PostgreSQL's.
_wrapper: Any = connection
_Cursor: Any = ServerBindingCursor
_local = threading.local()


class Answer(Generic[T]):
    """What a statement gives, waited for when ``value`` is asked for."""

    __slots__ = ("_cursor", "_read", "_value")

    def __init__(self, cursor: Any, read: Callable[[list[Row]], T]) -> None:
        self._cursor, self._read = cursor, read

    @classmethod
    def of(cls, value: T) -> Answer[T]:
        """Known without asking."""
        answer = cls(None, lambda rows: value)
        answer._value = value
        return answer

    @property
    def value(self) -> T:
        """Raises what the statement, or one sent before it, raised: Django's errors."""
        if not hasattr(self, "_value"):
            # Not again for what came with the answer to another one.
            if (pipeline := getattr(_local, "pipeline", None)) and self._cursor.pgresult is None:
                with _wrapper.wrap_database_errors:
                    pipeline.sync()
            with self._cursor as cursor:
                self._value = self._read(cursor.fetchall() if cursor.description else [])
        return self._value


@contextmanager
def together() -> Iterator[None]:
    """Within, statements of this module are sent without waiting for the one before; answers in any order.

    What one of them raises is raised by the next answer asked for, or at the end. Not for the ORM: it would take
    every UPDATE for one of no rows.
    """
    connection.ensure_connection()
    with _wrapper.wrap_database_errors, _wrapper.connection.pipeline() as pipeline:
        _local.pipeline = pipeline
        try:
            yield
        finally:
            _local.pipeline = None


def commit_with_these() -> None:
    """Within ``together``: COMMIT goes out behind the statements sent before, and is skipped when one of them fails.

    Call it when nothing is left to write: waiting for the commit alone costs as much as all of them. Django's own
    commit then finds it done, and runs what is to be run ``on_commit``. Within a savepoint nothing is sent.
    """
    if not _wrapper.savepoint_ids:
        with _wrapper.wrap_database_errors:
            _wrapper.connection.execute("COMMIT", prepare=False)


@overload
def ask(sql: str, params: Params) -> Answer[list[Row]]: ...
@overload
def ask(sql: str, params: Params, *, read: Callable[[list[Row]], T]) -> Answer[T]: ...
def ask(sql: str, params: Params, *, read: Callable[[list[Row]], Any] = list) -> Answer[Any]:
    """Send a statement; its rows, as ``read`` makes them, when they are asked for. It is counted as a query."""
    if isinstance(params, dict):
        params = {name: _written(value) for name, value in params.items()}
    else:
        params = [_written(value) for value in params]
    connection.ensure_connection()
    # What connection.cursor() does, around the other kind of cursor.
    plain = _Cursor(connection.connection)
    # Django's own reads times in Python; connections speak UTC, so there is nothing for it to do.
    plain.adapters.register_loader("timestamptz", TimestamptzLoader)
    cursor = _wrapper._prepare_cursor(plain)
    cursor.execute(sql, params)
    return Answer(cursor, read)


def run(sql: str, params: Params) -> list[Row]:
    """The rows a statement gives, none for one that gives none."""
    return ask(sql, params).value


# An escape of JSON other than \\" and \\\\, which PostgreSQL's arrays write in another way.
_FOREIGN = re.compile(rb'\\[^"\\]')


def _written(value: Any) -> Any:
    """A list as PostgreSQL writes arrays, made at once rather than element by element; others as they are."""
    if type(value) is not list or not value:
        return value
    kinds = set(map(type, value))
    kinds.discard(type(None))
    if not kinds:
        return f"{{{','.join(['NULL'] * len(value))}}}"
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
