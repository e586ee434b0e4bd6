"""An import → the table with its staged rows alone, made and dropped.

The hot statements name the partition itself and never lock the parent; attaching does not block readers of the
parent, dropping waits at most two seconds for them.
"""

from __future__ import annotations

from django.db import connection

from imports.models import Import


def create_partition(import_: Import) -> None:
    """An empty partition; an older plan's rows are gone. Call inside a transaction."""
    drop_partition(import_)
    name, pk = import_.partition, int(import_.pk)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name} (LIKE imports_row INCLUDING ALL)")
        cursor.execute(f"ALTER TABLE {name} ADD CHECK (import_id = {pk})")
        cursor.execute(f"ALTER TABLE imports_row ATTACH PARTITION {name} FOR VALUES IN ({pk})")


def drop_partition(import_: Import) -> None:
    """Raises OperationalError (lock timeout) while a long statement reads it; try again later."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        cursor.execute(f"DROP TABLE IF EXISTS {import_.partition}, {links_table(import_)}")
        cursor.execute("SET LOCAL lock_timeout = 0")


def has_rows(import_: Import) -> bool:
    """Whether the staged rows are still there (they go with retention). One query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [import_.partition])
        return bool(cursor.fetchone()[0])


def links_table(import_: Import) -> str:
    """Rows that share an identifier with another row, while a plan groups them."""
    return f"imports_link_{int(import_.pk)}"
