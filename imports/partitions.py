"""Making and dropping the table that holds one import's rows.

The hot statements name the partition itself and never lock the parent; attaching does not block its
readers, dropping waits at most two seconds for them.
"""

from __future__ import annotations

from django.db import connection

from imports.models import Import


def create_partition(job: Import) -> None:
    """An empty partition; an older plan's rows are gone. Call inside a transaction."""
    drop_partition(job)
    name = job.partition
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name} (LIKE imports_row INCLUDING ALL)")
        cursor.execute(f"ALTER TABLE {name} ADD CHECK (import_id = {int(job.pk)})")
        cursor.execute(f"ALTER TABLE imports_row ATTACH PARTITION {name} FOR VALUES IN ({int(job.pk)})")


def drop_partition(job: Import) -> None:
    """Raises OperationalError (lock timeout) when somebody reads it for long; try again later."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        cursor.execute(f"DROP TABLE IF EXISTS {job.partition}, {links_table(job)}")
        cursor.execute("SET LOCAL lock_timeout = 0")


def has_rows(job: Import) -> bool:
    """Whether the plan's rows are still there (they go with retention)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [job.partition])
        return bool(cursor.fetchone()[0])


def links_table(job: Import) -> str:
    """Rows that share an identifier with another row, while a plan looks for repeats."""
    return f"imports_link_{int(job.pk)}"
