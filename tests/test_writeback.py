"""What a database changed goes to the disk within seconds, and nothing else is touched."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cdp.local import writeback

pytestmark = pytest.mark.skipif(
    not writeback.IS_NEEDED, reason="Linux alone saves changed pages up for so long"
)

CACHESTAT = 451  # the same number on all machines; since Linux 6.5
MB = 1024 * 1024


def dirty_pages(file: Path) -> int:
    """How many pages of the file wait to be written."""
    found = (ctypes.c_uint64 * 5)()
    with file.open("rb") as opened:
        whole = (ctypes.c_uint64 * 2)(0, 0)
        if ctypes.CDLL(None, use_errno=True).syscall(CACHESTAT, opened.fileno(), whole, found, 0):
            pytest.skip(f"the kernel does not tell which pages wait ({os.strerror(ctypes.get_errno())})")
    return found[1]


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    for folder in ("base/5", "base/pgsql_tmp", "global", "pg_wal"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def test_changed_files_of_databases_alone_are_named(cluster: Path) -> None:
    names = ["base/5/16384", "base/5/16384.1", "base/5/16384_fsm"]
    others = [
        "base/5/t141_22841",
        "base/pgsql_tmp/pgsql_tmp7.0",
        "pg_wal/000000010000000000000001",
        "base/5/16390",
    ]
    for name in names + others:
        (cluster / name).write_bytes(b"page")
    os.utime(cluster / "base/5/16390", ns=(0, time.time_ns() - 5_000_000_000))
    since = time.time_ns() - 2_000_000_000
    assert sorted(writeback.changed(cluster, since)) == [str(cluster / name) for name in names]
    assert list(writeback.changed(cluster / "dropped", since)) == []


def test_a_table_dropped_meanwhile_is_passed_over(cluster: Path) -> None:
    file = cluster / "base/5/16384"
    file.write_bytes(b"page")
    begun: list[str] = []
    writeback.write_out(
        iter([str(file) + "_gone", str(file)]),
        lambda descriptor: begun.append(os.readlink(f"/proc/self/fd/{descriptor}")),
    )
    assert begun == [str(file)]


def test_pages_do_not_wait_for_half_a_minute(cluster: Path) -> None:
    checked = cluster / "checked"
    with checked.open("wb") as file:
        file.write(bytes(MB))
        file.flush()
        os.fsync(file.fileno())
    if dirty_pages(checked):
        pytest.skip("this file system is in memory alone")
    program = subprocess.Popen([sys.executable, "-I", writeback.__file__, cluster])
    try:
        grown = cluster / "base/5/16384"
        grown.write_bytes(os.urandom(2 * writeback.LITTLE))
        deadline = time.monotonic() + 15
        while dirty_pages(grown):
            assert program.poll() is None
            assert time.monotonic() < deadline, "nobody asked for them to be written"
            time.sleep(0.1)
    finally:
        program.kill()
        program.wait()
