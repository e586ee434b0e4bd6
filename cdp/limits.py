"""A query and a time limit → its rows, or a count that is exact when that is cheap."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from psycopg.errors import QueryCanceled


class TooSlow(Exception):
    """The query did not end within its time limit; nothing was read."""


@contextmanager
def time_limit(milliseconds: int, **settings: str) -> Iterator[None]:
    """Queries inside end within the limit or raise TooSlow; ``settings`` are PostgreSQL settings beside it.

    Two statements, and two more when already inside a transaction (the settings are put back).
    """
    nested = connection.in_atomic_block
    # Compiling a plan cannot be interrupted and takes longer than any list may.
    wanted = {"statement_timeout": str(milliseconds), "jit": "off", **settings}
    try:
        with transaction.atomic():
            before = _set_local(wanted)
            yield
            if nested:
                _set_local(before)
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TooSlow from error
        raise


def _set_local(settings: dict[str, str]) -> dict[str, str]:
    """Set for the rest of the transaction; gives the values from before. One statement."""
    old = ", ".join(["current_setting(%s)"] * len(settings))
    new = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    with connection.cursor() as cursor:
        cursor.execute(
            # The subquery is read first: OFFSET 0 keeps it from being folded into the outer one.
            f"SELECT old.*, {new} FROM (SELECT {old} OFFSET 0) old",
            [*(part for pair in settings.items() for part in pair), *settings],
        )
        row = cursor.fetchone()
    return dict(zip(settings, row[: len(settings)], strict=True))


@dataclass(frozen=True, slots=True)
class Count:
    """How many; ``is_exact`` is False for an estimate, which people see with “≈”."""

    number: int
    is_exact: bool = True

    def __str__(self) -> str:
        return f"{self.number:,}" if self.is_exact else f"≈{self.number:,}"


def count(queryset: QuerySet[Any], *, milliseconds: int = 200) -> Count:
    """Exact when the database can count it in time, else the planner's estimate."""
    try:
        with time_limit(milliseconds):
            return Count(queryset.order_by().count())
    except TooSlow:
        return Count(estimate(queryset), is_exact=False)


def estimate(queryset: QuerySet[Any]) -> int:
    """The planner's guess at the number of rows, to two digits. Never runs the query."""
    plan = queryset.order_by().values("pk").explain(format="json")
    if not plan:
        # Django knows that no row can match and sends no query.
        return 0
    rows = int(json.loads(plan)[0]["Plan"]["Plan Rows"])
    scale = 10 ** max(0, len(str(rows)) - 2)
    return int(round(rows / scale) * scale)
