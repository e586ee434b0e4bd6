"""The role web and workers connect as → its rights: everything but to change the audit log.

The trigger that keeps the audit log append-only belongs to whoever owns the table, and an owner may switch it off. So
the table belongs to another role, the database's owner, who migrates; the product's role may add rows to it and seal
them. All other tables are the product's own: it makes partitions, analyzes and empties tables of its own while it works.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

AUDIT = "cdp_auditentry"
# What a trigger lets through once (0002_audit_append_only).
SEALS = "sealed, digest"


@dataclass(frozen=True, slots=True)
class Powers:
    """What the role of this connection may do that it should not, and ``out_of_reach``: tables it cannot use."""

    role: str
    is_superuser: bool
    may_change_audit: bool
    out_of_reach: list[str]


def powers() -> Powers:
    """Two queries. Before the first migration there is nothing to say but who is a superuser."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT r.rolname, r.rolsuper, coalesce(
                r.rolcreaterole
                OR has_table_privilege(a.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER')
                OR pg_has_role(a.relowner, 'MEMBER')
                OR pg_has_role(n.nspowner, 'MEMBER')
                OR pg_has_role(d.datdba, 'MEMBER'), false)
            FROM pg_roles r
            JOIN pg_database d ON d.datname = current_database()
            LEFT JOIN pg_class a ON a.oid = to_regclass(%s)
            LEFT JOIN pg_namespace n ON n.oid = a.relnamespace
            WHERE r.rolname = current_user
            """,
            [AUDIT],
        )
        role, is_superuser, may_change_audit = cursor.fetchone()
        cursor.execute(
            """
            SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
              AND NOT has_table_privilege(oid, 'SELECT') ORDER BY 1
            """
        )
        return Powers(role, is_superuser, may_change_audit, [name for (name,) in cursor.fetchall()])


@transaction.atomic
def grant_rights(role: str) -> int:
    """Give the role its rights, as the database's owner; the number of tables handed to it. Safe to repeat.

    For after each ``migrate``. Raises ProgrammingError where the connected role may not do that, or is the same one.
    """
    with connection.cursor() as cursor:
        names = _tables_of_others(cursor, role)
        name = connection.ops.quote_name(role)
        cursor.execute("SELECT current_schema()")
        schema = connection.ops.quote_name(cursor.fetchone()[0])
        cursor.execute(f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {name}")
        for table in names:
            cursor.execute(f"ALTER TABLE {connection.ops.quote_name(table)} OWNER TO {name}")
        cursor.execute(f"ALTER TABLE {AUDIT} OWNER TO CURRENT_USER")
        cursor.execute("ALTER FUNCTION cdp_audit_append_only() OWNER TO CURRENT_USER")
        cursor.execute(f"REVOKE ALL ON {AUDIT} FROM PUBLIC, {name}")
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE ({SEALS}) ON {AUDIT} TO {name}")
    return len(names)


def _tables_of_others(cursor: CursorWrapper, role: str) -> list[str]:
    cursor.execute(
        """
        SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace
          AND relkind IN ('r', 'p') AND relname <> %s AND relowner <> (SELECT oid FROM pg_roles WHERE rolname = %s)
        ORDER BY 1
        """,
        [AUDIT, role],
    )
    return [name for (name,) in cursor.fetchall()]
