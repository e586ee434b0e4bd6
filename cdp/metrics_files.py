"""A web process → room for its figures in PROMETHEUS_MULTIPROC_DIR, taken before the first request.

prometheus_client maps its files into memory. They have holes where nothing was written yet, and on a full disk a write
into a hole ends the process with SIGBUS, which no code can catch. So each process gets its files whole, or keeps its
figures to itself. Imports nothing of prometheus_client: gunicorn's main process must not, before it forks.
"""

from __future__ import annotations

import logging
import os
import struct
from pathlib import Path

log = logging.getLogger("cdp.metrics")

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# By kind of figure. An address takes about 0.2 kB of the first and 3 kB of the second, for each method.
SIZES = {"counter": 512 * 1024, "histogram": 3 * 1024 * 1024}


def reserve(pid: int) -> bool:
    """In the new process, before the application is loaded. False: no room, it counts for itself alone."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return False
    files = [(Path(folder) / f"{kind}_{pid}.db", size) for kind, size in SIZES.items()]
    try:
        for file, size in files:
            with file.open("ab") as opened:
                opened.write(bytes(size - opened.tell()))
    except OSError as error:
        for file, _ in files:
            file.unlink(missing_ok=True)
        del os.environ[VARIABLE]
        log.warning(
            "no room for the figures of a process; /metrics shows those of one process at a time",
            extra={"problem": error.strerror},
        )
        return False
    return True


def give_back(pid: int) -> None:
    """A process ended: what it counted stays, the room it did not use goes."""
    folder = os.environ.get(VARIABLE)
    for kind in SIZES if folder else ():
        file = Path(folder or "") / f"{kind}_{pid}.db"
        try:
            with file.open("rb") as opened:
                # The file begins with how much of it is used.
                (used,) = struct.unpack("i", opened.read(4))
            os.truncate(file, used) if used else file.unlink()
        except (OSError, struct.error):
            continue  # it had none
