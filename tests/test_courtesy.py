"""Jobs step back for people: their processes, and the database's processes that work for them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

from cdp import courtesy
from cdp.courtesy import (
    NICENESS,
    Rests,
    Ticks,
    share_to_rest,
    step_back,
    step_back_in_database,
    stop_stepping_back,
)


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
        stop_stepping_back()


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


@pytest.mark.parametrize(
    ("others", "unused", "share"),
    [
        pytest.param(0, 33, 0.0, id="a job alone"),
        pytest.param(10, 28, 0.0, id="few calls"),
        pytest.param(42, 16, 0.0, id="many, and room for the job beside them"),
        pytest.param(5, 0, 0.0, id="jobs in each other's way"),
        pytest.param(15, 6, 0.0, id="where rests begin"),
        pytest.param(30, 10, 0.6, id="in between"),
        pytest.param(42, 6, 1.0, id="half of what the door can do"),
        pytest.param(100, 0, 1.0, id="all of it"),
    ],
)
def test_a_job_rests_the_longer_the_more_others_need(others: int, unused: int, share: float) -> None:
    before = Ticks(1_000, 400, 300)
    assert share_to_rest(before, Ticks(1_100, 400 + others, 300 + unused)) == pytest.approx(share)


def test_a_machine_that_does_not_tell_is_never_short() -> None:
    nothing = Ticks(0, 0, 0)
    assert share_to_rest(nothing, nothing) == 0.0


class Clock:
    """Time that passes only when told, on a machine whose processors others use all of."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.others = 1.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def ticks(self) -> Ticks:
        passed = round(self.seconds * 100)
        return Ticks(passed, round(passed * self.others), round(passed * (1 - self.others)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(courtesy, "time", clock)
    monkeypatch.setattr(Ticks, "now", clock.ticks)
    monkeypatch.setattr(courtesy, "_is_stepping_back", True)
    return clock


def never() -> bool:
    return False


def test_a_job_rests_for_others_as_long_as_it_worked(clock: Clock) -> None:
    rests = Rests()
    clock.sleep(1.0)
    assert rests.take(at_most=5.0, unless=never) == pytest.approx(1.0)
    clock.sleep(2.0)
    assert rests.take(at_most=5.0, unless=never) == pytest.approx(2.0), "the rest before is no work"
    clock.sleep(20.0)
    assert rests.take(at_most=5.0, unless=never) == pytest.approx(5.0)
    clock.sleep(0.2)
    assert rests.take(at_most=5.0, unless=never) == 0.0, "too short to tell whose time it was"
    clock.sleep(0.3)
    assert rests.take(at_most=5.0, unless=never) == pytest.approx(0.5), "what was too short counts now"


def test_a_job_alone_or_awaited_does_not_rest(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    clock.others = 0.0
    rests = Rests()
    clock.sleep(1.0)
    assert rests.take(at_most=5.0, unless=never) == 0.0
    clock.others = 1.0
    monkeypatch.setattr(courtesy, "_is_stepping_back", False)
    rests = Rests()
    clock.sleep(1.0)
    assert rests.take(at_most=5.0, unless=never) == 0.0, "somebody waits for what this process does"


def test_a_worker_told_to_end_ends_the_rest(clock: Clock) -> None:
    rests = Rests()
    clock.sleep(1.0)
    told = iter([False, False, True])
    assert rests.take(at_most=5.0, unless=lambda: next(told)) == pytest.approx(0.2)
    clock.sleep(1.0)
    assert rests.take(at_most=5.0, unless=lambda: True) == 0.0


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="Only Linux tells whose time it is.")
@pytest.mark.skipif(os.nice(0) > 0, reason="These tests stepped back themselves, so their time is nobody's.")
def test_linux_tells_whose_time_it_is() -> None:
    before = Ticks.now()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        pass
    after = Ticks.now()
    assert after.others > before.others
    assert after.total - before.total >= (after.others - before.others) + (after.unused - before.unused)
