"""A query for a page → its result, or None when it takes longer than a page should wait."""

from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

PATIENCE_MS = 1500

T = TypeVar("T")


def within_patience(work: Callable[[], T], milliseconds: int = PATIENCE_MS) -> T | None:
    """What ``work`` finds, or None when one of its statements needs longer than a page should wait."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{milliseconds}ms"])
            found = work()
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
            return found
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            return None
        raise
