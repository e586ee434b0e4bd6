"""Has what PostgreSQL changed written to the disk second by second. A program of its own: `writeback.py CLUSTER`.

Linux keeps changed pages for half a minute and then writes them at once. Beside an import these are 400 to 800 MB,
and whoever commits meanwhile waits for the disk some tenths of a second, as at the end of each checkpoint.
PostgreSQL sees to that for pages it writes (its ``*_flush_after`` settings), but not for those its files grow by,
and beside an import most do. On a server of one's own the administrator sets `vm.dirty_background_bytes`; on
somebody's own machine nobody's files but ours are touched. Nothing is waited for and nothing made durable, and a write that
fails is left for PostgreSQL's own fsync to be told of.

Run by path, with nothing of the project imported: the least there is of a process.
"""

import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

IS_NEEDED = sys.platform == "linux"
PAUSE_SECONDS = 1.0
# With less than that waiting on the whole machine there is nothing to spread.
LITTLE = 16 * 1024 * 1024
_WRITE = 2  # SYNC_FILE_RANGE_WRITE: begin to write what is changed and not being written yet
# A file's time is that of the kernel's last tick, and it may be changed again while it is looked at.
_OVERLAP_NS = 100_000_000


def begin_to_write() -> Callable[[int], None]:
    """What begins to write a file's changed pages, given its descriptor."""
    call = ctypes.CDLL(None).sync_file_range
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return lambda descriptor: call(descriptor, 0, 0, _WRITE)


def waiting() -> int:
    """Bytes of changed pages on the machine that wait to be written."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Dirty:"):
            return int(line.split()[1]) * 1024
    return 0


def changed(cluster: Path, since: int) -> Iterator[str]:
    """Files of databases changed since that time (ns). Not temporary ones: most are gone before they need writing."""
    for database in _entries(cluster / "base"):
        if not database.name.isdigit():  # pgsql_tmp
            continue
        for file in _entries(database.path):
            if file.name[0].isdigit() and _changed_at(file) >= since:
                yield file.path


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:  # a dropped database
        return []


def _changed_at(file: os.DirEntry[str]) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return -1


def write_out(files: Iterator[str], begin: Callable[[int], None]) -> None:
    for file in files:
        try:
            descriptor = os.open(file, os.O_RDONLY)
        except FileNotFoundError:  # a dropped table
            continue
        try:
            begin(descriptor)
        finally:
            os.close(descriptor)


def main(cluster: Path) -> None:
    begin = begin_to_write()
    since = time.time_ns()
    while True:
        time.sleep(PAUSE_SECONDS)
        if waiting() < LITTLE:
            continue
        now = time.time_ns()
        write_out(changed(cluster, since - _OVERLAP_NS), begin)
        since = now


if __name__ == "__main__":
    main(Path(sys.argv[1]))
