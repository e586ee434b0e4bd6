"""The machine's memory, cores and disk → PostgreSQL's settings."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

MB = 1024 * 1024
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_bytes() -> int:
    """Memory this process may use: the machine's, or less where a container limits it."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUP_LIMITS:
        try:
            limit = Path(path).read_text().strip()
        except OSError:
            continue
        if limit.isdigit():
            physical = min(physical, int(limit))
    return physical


def cores() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Machine:
    memory: int
    cores: int
    free_disk: int
    shared_memory: int  # free bytes in /dev/shm; containers often have 64 MB

    @classmethod
    def here(cls, folder: Path) -> "Machine":
        shm = Path("/dev/shm")  # noqa: S108  (asked for its size alone)
        return cls(
            memory=memory_bytes(),
            cores=cores(),
            free_disk=shutil.disk_usage(folder).free,
            shared_memory=shutil.disk_usage(shm).free if shm.is_dir() else 0,
        )


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


def _mb(value: int) -> str:
    return f"{value // MB}MB"


# Settings that older versions of PostgreSQL refuse to start with, and the first one that knows them.
SINCE = {"io_workers": 18}
# No row's values in the server's log: no DETAIL ("Failing row contains …"), no statement text, no parameters.
_QUIET = {
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "lc_messages": "C",
}


def machine_tuning(machine: Machine) -> dict[str, str]:
    """Settings for data that is kept: durable, and sized to share the machine with web and workers."""
    return _QUIET | {
        "shared_buffers": _mb(_between(128 * MB, machine.memory // 8, 4096 * MB)),
        "effective_cache_size": _mb(_between(256 * MB, machine.memory // 2, 65536 * MB)),
        "work_mem": _mb(_between(8 * MB, machine.memory // 512, 64 * MB)),
        "maintenance_work_mem": _mb(_between(64 * MB, machine.memory // 32, 1024 * MB)),
        "max_wal_size": _mb(_between(512 * MB, machine.free_disk // 6, 8192 * MB)),
        "min_wal_size": _mb(_between(256 * MB, machine.free_disk // 40, 2048 * MB)),
        "checkpoint_timeout": "15min",
        # pglz is all the wheel has. After a checkpoint each page is logged whole once, and packing them took a third of
        # two cores: half the calls of twenty events then waited over 0.3 s, and 0.01 s without.
        "wal_compression": "off",
        # Vacuum's share of a small machine: with PostgreSQL's 2 ms it takes up to a core, and calls twice as long.
        "autovacuum_vacuum_cost_delay": f"{_between(2, 20 // machine.cores, 10)}ms",
        "wal_buffers": "16MB",
        # While somebody fills a new file of the log with zeros nobody can commit: beside an import every hundredth
        # call waited 0.1 s for that. Files used before are kept and used again.
        "wal_init_zero": "off",
        "wal_writer_delay": "10ms",
        "max_connections": "200",
        "max_worker_processes": str(_between(8, machine.cores, 64)),
        "random_page_cost": "1.1",
        # Rows a search found lie all over the table: many are asked for at once. 3 and 16 by default took
        # twice as long for a name that 800 people have, read from a disk of 0.3 ms.
        "effective_io_concurrency": "32",
        # Nobody waits for what vacuum reads; eight pages at once kept a disk from all else, commits too, for up to 0.4 s.
        "maintenance_io_concurrency": "1",
        "io_workers": str(_between(6, machine.cores * 4, 32)),
        "jit": "off",
        "fsync": "on",
        "synchronous_commit": "on",
        "dynamic_shared_memory_type": "posix" if machine.shared_memory > 256 * MB else "mmap",
    }


def throwaway_tuning(machine: Machine) -> dict[str, str]:
    """Settings for servers that live as long as a test run.

    The disk is never waited for, so a power cut would destroy them; a kill -9 does not: commits stay synchronous and
    pages are written whole into the log, which tests of "acknowledged is durable" rest on. Without whole pages the
    recovery of a server that was stopped at once ended in a segmentation fault.
    """
    return machine_tuning(machine) | {
        "shared_buffers": _mb(_between(64 * MB, machine.memory // 32, 256 * MB)),
        "maintenance_work_mem": "64MB",
        "work_mem": "8MB",
        "max_wal_size": _mb(_between(256 * MB, machine.free_disk // 20, 2048 * MB)),
        "min_wal_size": "80MB",
        "fsync": "off",
    }
