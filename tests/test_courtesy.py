"""Jobs step back for people: their processes, and the database's processes that work for them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from cdp.courtesy import NICENESS, step_back, step_back_in_database


def niceness(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


@pytest.mark.django_db(transaction=True)
def test_a_server_process_of_this_machine_steps_back() -> None:
    connection.close()
    connection.ensure_connection()
    info = connection.connection.info
    if not info.host.startswith("/") or not Path(f"/proc/{info.backend_pid}").exists():
        pytest.skip("The database of this run is on another machine.")
    assert niceness(info.backend_pid) == niceness(os.getpid())
    step_back_in_database()
    step_back_in_database()  # said twice, done once
    try:
        connection.close()
        connection.ensure_connection()
        pid = connection.connection.info.backend_pid
        try:
            allowed = os.geteuid() in (0, os.stat(f"/proc/{pid}").st_uid)
            assert niceness(pid) == (NICENESS if allowed else 0)
            with connection.cursor() as cursor:
                cursor.execute("SHOW max_parallel_workers_per_gather")
                assert (cursor.fetchone() == ("0",)) == allowed, "nor has it helpers, which would not"
        finally:
            connection.close()
    finally:
        connection_created.disconnect(dispatch_uid="step back in the database")


def test_a_process_that_ended_is_no_trouble() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    try:
        step_back(child.pid)
        assert niceness(child.pid) == NICENESS
    finally:
        child.kill()
        child.wait()
    time.sleep(0.01)
    step_back(child.pid)


def test_many_at_once_wait_for_each_other() -> None:
    """Ordinary users may do so ten times a second; who is too quick is told to come again."""
    children = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"]) for _ in range(3)]
    try:
        for child in children:
            step_back(child.pid)
        assert [niceness(child.pid) for child in children] == [NICENESS] * 3
    finally:
        for child in children:
            child.kill()
            child.wait()
