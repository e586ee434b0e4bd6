"""Connections of a pool: used as they are, replaced when their server ended them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from cdp.database.base import DatabaseWrapper
from tests.faults.harness import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pooled() -> Iterator[DatabaseWrapper]:
    settings = copy.deepcopy(connection.settings_dict)
    settings["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 1, "timeout": 5}
    settings["CONN_MAX_AGE"] = 0
    wrapper = DatabaseWrapper(settings, alias="default")
    yield wrapper
    wrapper.close()
    wrapper.close_pool()


def ask(wrapper: Any, sql: str, *params: Any) -> Any:
    with wrapper.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone()


def served_by(wrapper: DatabaseWrapper) -> int:
    (pid,) = ask(wrapper, "SELECT pg_backend_pid()")
    wrapper.close()  # back into the pool
    return int(pid)


def last_asked(pid: int) -> Any:
    return ask(connection, "SELECT query_start, state_change FROM pg_stat_activity WHERE pid = %s", pid)


def test_an_idle_connection_is_used_without_asking(pooled: DatabaseWrapper) -> None:
    pid = served_by(pooled)
    before = last_asked(pid)
    pooled.ensure_connection()
    assert last_asked(pid) == before
    assert served_by(pooled) == pid


def test_one_that_the_server_ended_is_replaced(pooled: DatabaseWrapper) -> None:
    pid = served_by(pooled)
    ask(connection, "SELECT pg_terminate_backend(%s)", pid)
    wait_until(lambda: last_asked(pid) is None, what="the end of the connection")
    other = served_by(pooled)
    assert other != pid
    assert last_asked(other)


def test_what_the_server_sends_unasked_does_no_harm(pooled: DatabaseWrapper) -> None:
    with pooled.cursor() as cursor:
        cursor.execute("LISTEN told")
    pid = served_by(pooled)
    with connection.cursor() as cursor:
        cursor.execute("NOTIFY told, 'something'")
    assert served_by(pooled) == pid


def test_without_a_server_the_pool_says_so(pooled: DatabaseWrapper) -> None:
    """It does not go round for ever."""
    pooled.settings_dict |= {"HOST": "127.0.0.1", "PORT": "1"}
    pooled.settings_dict["OPTIONS"]["pool"]["timeout"] = 0.2
    with pytest.raises(psycopg.OperationalError, match="couldn't get a connection after 0.20 sec"):
        pooled.get_new_connection({})
