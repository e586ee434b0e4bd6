"""Who works for nobody who waits steps back: a worker, and its server processes inside a PostgreSQL of this machine.

An import's statements keep a core of the database busy, and on a small machine every call of the tracking door
waits behind them. Where PostgreSQL runs elsewhere or our user may not do so nothing is done, which costs calls
some milliseconds.

Stepping back alone does not do: it is a share of the processor, and a call still waits for each slice a job has of
it. So where processors are short jobs rest between their chunks as well.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db.backends.signals import connection_created

# Beside an import 10 and the last step, 19, were no different to tell; with 5 calls were late several times as often.
NICENESS = 10
# Linux lets ordinary users change a session's niceness ten times a second, all of them together.
_TRIES, _PAUSE = 5, 0.11
# A statement's helpers are processes of their own and would not step back.
_ALONE = "SET max_parallel_workers_per_gather = 0; SET max_parallel_maintenance_workers = 0"

# Of the processors' time. Measured on two of them: an import alone leaves a third unused and others take 4 %; with 20
# calls of twenty events a second they take 10 %, and at half of what the door can do 42 %, when 6 % are unused.
SHORT = 0.15  # with more than that unused nobody waits for a processor
FEW, MANY = 0.15, 0.40  # what others take: from here on a job rests, and from there for as long as it worked
# The clock of processors has a hundred ticks a second: shorter than that tells too little.
_SHORTEST = 0.4

_is_stepping_back = False


def step_back(pid: int, by: int = NICENESS) -> None:
    """Let a process, and all it will start, have what others leave of the processor. PermissionError if not ours.

    Linux shares out processors by session first, where it is set to (a worker has a session of its own, and so has
    each server process of PostgreSQL); then niceness counts for the session as a whole.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, pid, by)
        _step_back_session(pid, by)
    except (ProcessLookupError, FileNotFoundError):  # ended already, or not Linux: it is only a courtesy
        return


def _step_back_session(pid: int, by: int) -> None:
    for _ in range(_TRIES):
        try:
            Path(f"/proc/{pid}/autogroup").write_text(str(by))
            return
        except BlockingIOError:
            time.sleep(_PAUSE)
        except OSError as error:
            # The machine's first session has no niceness of its own: there each of its processes counts.
            if error.errno != errno.EINVAL:
                raise
            return


def step_back_in_database() -> None:
    """From now on each connection of this process has its server process step back, and its jobs rest for others."""
    global _is_stepping_back
    _is_stepping_back = True
    connection_created.connect(_step_back, dispatch_uid="step back in the database")


def stop_stepping_back() -> None:
    """The other way round, for new connections and for rests."""
    global _is_stepping_back
    _is_stepping_back = False
    connection_created.disconnect(dispatch_uid="step back in the database")


def _step_back(connection: Any, **kwargs: Any) -> None:
    info = connection.connection.info
    # Through a socket in a folder it is this machine; the name tells a container's numbers from ours.
    if info.host.startswith("/") and _is_postgres(info.backend_pid):
        try:
            step_back(info.backend_pid)
            connection.connection.execute(_ALONE)
        except PermissionError:  # another user's server: its administrator decides
            stop_stepping_back()


def _is_postgres(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith("postgres")
    except OSError:  # not Linux, or not our numbers
        return False


@dataclass(frozen=True, slots=True)
class Ticks:
    """The time of all processors since the machine was started: how much, whose, and how much of it nobody used.

    ``others``: programs that did not step back. Where all of the product was set back they cannot be told apart,
    and nobody rests.
    """

    total: int
    others: int
    unused: int

    @classmethod
    def now(cls) -> Ticks:
        """All 0 where the kernel does not tell: then it never seems short."""
        try:
            with open("/proc/stat") as file:
                fields = [int(field) for field in file.readline().split()[1:9]]
        except OSError:
            return cls(0, 0, 0)
        user, _, _, idle, waiting_for_disk, *_ = fields
        return cls(sum(fields), user, idle + waiting_for_disk)


def share_to_rest(before: Ticks, after: Ticks) -> float:
    """For how much of the time it worked a job should rest now, 0 to 1."""
    total = after.total - before.total
    if total <= 0 or (after.unused - before.unused) / total > SHORT:
        return 0.0
    others = (after.others - before.others) / total
    return min(max((others - FEW) / (MANY - FEW), 0.0), 1.0)


class Rests:
    """A job's rests between its chunks, in a process that stepped back; elsewhere somebody waits for the job."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._began, self._ticks = time.monotonic(), Ticks.now()

    def take(self, *, at_most: float, unless: Callable[[], bool]) -> float:
        """Rest, or do not; how many seconds it was. Ends early when ``unless`` becomes true."""
        worked = time.monotonic() - self._began
        if not _is_stepping_back or worked < _SHORTEST:
            return 0.0
        began = time.monotonic()
        until = began + min(worked, at_most) * share_to_rest(self._ticks, Ticks.now())
        while (left := until - time.monotonic()) > 0 and not unless():
            time.sleep(min(left, 0.1))
        self._begin()
        return self._began - began
