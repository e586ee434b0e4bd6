"""Django's backend for PostgreSQL, whose pooled connections are looked at before use without asking the server.

Django's own check (``CONN_HEALTH_CHECKS``) waits for an answer to an empty statement on every request: a tenth of a
tracking call, and more while the machine is busy. A server that ended a connection has said so or hung up, which
the socket knows: nobody writes to an idle connection otherwise.
"""

from __future__ import annotations

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Raises what the pool raises when none can be had in time. Each broken one is replaced, so this ends."""
        connection = super().get_new_connection(conn_params)
        while self.pool and not _is_usable(connection):
            connection.close()
            self.pool.putconn(connection)
            connection = super().get_new_connection(conn_params)
        return connection


def _is_usable(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server still serves this idle connection; it is asked only if it sent something unasked."""
    if connection.closed:
        return False
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if not waiting.poll(0):
        return True
    try:  # a notice, or a setting that changed; or that it ended
        connection.execute("")
    except psycopg.Error:
        return False
    return True
