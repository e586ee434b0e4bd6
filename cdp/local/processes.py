"""The product's own processes: web, worker, beat. How `make run` starts them, and how tests do."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cdp.local.children import spawn
from cdp.local.machine import cores
from cdp.local.paths import PROJECT

# People and SDKs wait for the web processes, nobody for a job: where they share a machine, jobs take the processor
# time that is left over. Before a command; `nice` replaces itself by it, so the process id is the command's.
NICE = ("nice", "-n", "10")


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Our environment and `extra`, for a process of the product."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", "DJANGO_SETTINGS_MODULE": "cdp.settings", **extra}


def start_web(
    *, env: Mapping[str, str], log: Path, listening: int, app: str = "cdp.wsgi:application"
) -> subprocess.Popen[bytes]:
    """gunicorn on an already listening socket (its file descriptor), so that a restart refuses nobody."""
    return spawn(
        [sys.executable, "-m", "gunicorn", "-c", "python:cdp.gunicorn", "--bind", f"fd://{listening}",
         app],
        log=log,
        env=environment(env),
        cwd=PROJECT,
        death_signal=signal.SIGTERM,
        pass_fds=[listening],
    )  # fmt: skip


def start_worker(
    *,
    env: Mapping[str, str],
    log: Path,
    concurrency: int | None = None,
    name: str = "worker",
    queues: str = "jobs,housekeeping",
    app: str = "cdp.celery",
) -> subprocess.Popen[bytes]:
    """A Celery worker with a pool of processes. SIGTERM ends it after its tasks' chunks, SIGKILL at once.

    Its session is its own, so `os.killpg(process.pid, SIGKILL)` takes the pool with it. Tests that add
    kinds of jobs name an `app` of theirs.
    """
    return spawn(
        [*NICE, sys.executable, "-m", "celery", "-A", app, "worker", "--queues", queues, "--concurrency",
         str(concurrency or cores()), "--hostname", f"{name}@%h", "--without-gossip", "--without-mingle",
         "--loglevel", "INFO"],
        log=log,
        env=environment(env),
        cwd=PROJECT,
    )  # fmt: skip


def start_beat(*, env: Mapping[str, str], log: Path, schedule: Path) -> subprocess.Popen[bytes]:
    """Celery's clock. Its schedule is static, so its file may go any time."""
    return spawn(
        [sys.executable, "-m", "celery", "-A", "cdp.celery", "beat", "--schedule", schedule, "--pidfile=",
         "--loglevel", "INFO"],
        log=log,
        env=environment(env),
        cwd=PROJECT,
    )  # fmt: skip


def kill_worker(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of a worker and its whole pool, as the kernel's out-of-memory killer or a power cut would."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def pool_children(process: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of the worker's pool."""
    return [
        int(pid)
        for task in Path(f"/proc/{process.pid}/task").glob("*/children")
        for pid in task.read_text().split()
    ]


def start_prepare(*, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Migrations, demo people, login and static files (cdp/local/prepare.py)."""
    return spawn(
        [sys.executable, "-m", "cdp.local.prepare"],
        log=log,
        env=environment(env),
        cwd=PROJECT,
        death_signal=signal.SIGTERM,
    )
