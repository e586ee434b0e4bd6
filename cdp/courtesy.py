"""Who works for nobody who waits steps back: a worker, and its server processes inside a PostgreSQL of this machine.

An import's statements keep a core of the database busy, and on a small machine every call of the tracking door
waits behind them. Where PostgreSQL runs elsewhere or our user may not do so nothing is done, which costs calls
some milliseconds.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

from django.db.backends.signals import connection_created

# Beside an import 10 and the last step, 19, were no different to tell; with 5 calls were late several times as often.
NICENESS = 10
# Linux lets ordinary users change a session's niceness ten times a second, all of them together.
_TRIES, _PAUSE = 5, 0.11
# A statement's helpers are processes of their own and would not step back.
_ALONE = "SET max_parallel_workers_per_gather = 0; SET max_parallel_maintenance_workers = 0"


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
    """From now on each connection of this process has its server process step back."""
    connection_created.connect(_step_back, dispatch_uid="step back in the database")


def _step_back(connection: Any, **kwargs: Any) -> None:
    info = connection.connection.info
    # Through a socket in a folder it is this machine; the name tells a container's numbers from ours.
    if info.host.startswith("/") and _is_postgres(info.backend_pid):
        try:
            step_back(info.backend_pid)
            connection.connection.execute(_ALONE)
        except PermissionError:  # another user's server: its administrator decides
            connection_created.disconnect(dispatch_uid="step back in the database")


def _is_postgres(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith("postgres")
    except OSError:  # not Linux, or not our numbers
        return False
