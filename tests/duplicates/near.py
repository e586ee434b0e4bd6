"""Pairs to compare in both ways: candidates, and profiles that are neighbours in some order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ORDERS = ("first", "last", "mailbox", "phone", "birth_date")


def add_neighbours(db: DuckDBPyConnection) -> None:
    """Five more pairs for each of ``people`` in ``pair``."""
    for order in ORDERS:
        db.execute(
            "INSERT INTO pair SELECT least(id, next), greatest(id, next)"
            f" FROM (SELECT id, lead(id) OVER (ORDER BY {order}, id) AS next FROM profiles) WHERE next IS NOT NULL"
        )
    db.execute("CREATE OR REPLACE TEMP TABLE pair AS SELECT DISTINCT l, r FROM pair")
