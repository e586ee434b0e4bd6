"""Servers, workers and clocks to break: real processes, killed for real.

One ``Bench`` has its own PostgreSQL and Redis, so that nothing else is hit. While ``connected``, this process'
Django and Celery speak to them, and the product's verbs can be called as ever.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, TypeVar

import psycopg
from django.db import connections

from cdp.celery import app
from cdp.local import processes
from cdp.local.children import tail
from cdp.local.paths import PROJECT
from cdp.local.postgres import APP_ROLE, Postgres
from cdp.local.redis import Redis
from cdp.local.servers import new_postgres

T = TypeVar("T")

RESUMED_WITHIN = 60.0
# Leases and sweeps of the quick tests; the long ones run with what the product ships.
QUICK = {
    "CDP_JOB_LEASE_SECONDS": "2",
    "CDP_JOB_SWEEP_SECONDS": "0.7",
    "CDP_JOB_SLICE_SECONDS": "2",
    "CDP_FAULTS_CHUNK_ROWS": "1000",
}
# What steps and takes of jobs the workers under test write down, and where they are told to wait.
TABLES = (
    "faults_done (job_id bigint, step integer)",
    "faults_taken (job_id bigint, token uuid, pid integer, at timestamptz DEFAULT clock_timestamp())",
    "faults_gate (name text PRIMARY KEY, line integer)",
)


def wait_until(
    condition: Callable[[], T], seconds: float = RESUMED_WITHIN, *, what: str = "", every: float = 0.02
) -> T:
    """What ``condition`` gives as soon as it is true; AssertionError when it is not by then."""
    deadline = monotonic() + seconds
    while True:
        if result := condition():
            return result
        if monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what or condition.__name__}")
        Event().wait(every)


@dataclass
class Bench:
    folder: Path
    postgres: Postgres
    redis: Redis
    env: dict[str, str]
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    beats: list[subprocess.Popen[bytes]] = field(default_factory=list)
    logs: dict[str, Path] = field(default_factory=dict)
    started: int = 0
    peace: dict[int, Any] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def built(
        cls, folder: Path, *, database: Path | None = None, tuning: dict[str, str] | None = None, **env: str
    ) -> Iterator[Bench]:
        """Servers with a migrated database, no workers yet; all processes gone afterwards. The product connects as it does
        in `make run`. ``database``: the cluster's folder, where it is another; ``tuning``: further settings of its.
        """
        data, metrics = folder / "data", folder / "metrics"
        data.mkdir()
        metrics.mkdir()
        postgres = new_postgres(database or folder, tuning).start()
        redis = Redis(home=folder / "redis", sockets=folder, log=folder / "redis.log").start()
        ours = {
            "CDP_LOCAL": "1",
            "CDP_DATA": str(data),
            "DATABASE_URL": postgres.app_url,
            "CELERY_BROKER_URL": redis.url,
            "SECRET_KEY": "for-the-faults-alone-0123456789-abcdefghijklmnopqrstuvwxyz",
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
            "CDP_FAULTS_WORKER": "1",
            **env,
        }
        bench = cls(folder, postgres, redis, ours)
        try:
            bench.manage("migrate", "--verbosity", "0", DATABASE_URL=postgres.url)
            for table in TABLES:
                bench.sql(f"CREATE TABLE {table}")
            bench.manage("grant_rights", APP_ROLE, DATABASE_URL=postgres.url)
            yield bench
        finally:
            bench._tear_down()

    def _tear_down(self) -> None:
        for beat in self.beats:
            beat.kill()
            beat.wait()
        for worker in self.workers.values():
            processes.kill_worker(worker)
        self.redis.kill()
        self.postgres.stop("immediate")

    # --- Speaking to it ---------------------------------------------------------------------------------

    @contextmanager
    def connected(self) -> Iterator[None]:
        """This process' ORM and its ``delay`` go to the bench's servers."""
        config = connections["default"].settings_dict
        before, broker = dict(config), app.conf.broker_url
        connections.close_all()
        options = {key: value for key, value in config["OPTIONS"].items() if key not in ("host", "pool")}
        config.update(
            NAME="cdp", USER=APP_ROLE, PASSWORD="", HOST=str(self.postgres.sockets), PORT="", OPTIONS=options
        )
        _point_celery_to(self.redis.url)
        try:
            yield
        finally:
            connections.close_all()
            config.update(before)
            _point_celery_to(broker)

    def sql(self, statement: str, params: list[Any] | None = None) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            cursor = connection.execute(statement, params)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def manage(self, *arguments: str, **env: str) -> str:
        done = subprocess.run(
            [sys.executable, str(PROJECT / "manage.py"), *arguments],
            env=processes.environment({**self.env, **env}),
            cwd=PROJECT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    # --- Processes --------------------------------------------------------------------------------------

    def ready(self, *workers: str, beat: bool = True) -> None:
        """Servers up, these workers alive and no other, one clock or none."""
        if not self.postgres.running:
            self.postgres.restart()
        if not self.redis.running:
            self.redis.start()
        for name in [*self.workers]:
            if name not in workers or self.workers[name].poll() is not None:
                self.kill_worker(name)
        if len(self.beats) != beat or any(beat.poll() is not None for beat in self.beats):
            self.stop_beats()
            if beat:
                self.start_beat()
        for name in workers:
            if name not in self.workers:
                self.start_worker(name)
        for name in workers:
            self.await_worker(name)

    def start_worker(self, name: str, *, concurrency: int = 2, queues: str = "jobs,housekeeping") -> None:
        """Returns at once; ``await_worker`` waits until it takes messages."""
        self.started += 1
        self.logs[name] = self.folder / f"{name}-{self.started}.log"
        self.workers[name] = processes.start_worker(
            env=self.env,
            log=self.logs[name],
            concurrency=concurrency,
            name=name,
            queues=queues,
            app="tests.faults.worker_app",
        )

    def await_worker(self, name: str) -> None:
        def is_ready() -> bool:
            assert self.workers[name].poll() is None, tail(self.logs[name], 40)
            return " ready." in self.logs[name].read_text()

        wait_until(is_ready, what=f"worker {name} ready")

    def kill_worker(self, name: str) -> None:
        """kill -9 of the worker and all of its pool; of one that is gone already, nothing."""
        worker = self.workers.pop(name)
        if worker.poll() is None:  # afterwards its number may be another process' by now
            processes.kill_worker(worker)

    def kill_workers(self) -> None:
        for name in [*self.workers]:
            self.kill_worker(name)

    def holder_of(self, pid: int) -> str:
        """The worker whose pool the process is in; "" for one that is gone."""
        return next((name for name, it in self.workers.items() if pid in processes.pool_children(it)), "")

    def kill_children(self, name: str) -> None:
        """kill -9 of the pool alone; the worker's main process lives on."""
        for pid in processes.pool_children(self.workers[name]):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def start_beat(self) -> None:
        number = len(self.beats)
        self.beats.append(
            processes.start_beat(
                env=self.env, log=self.folder / f"beat-{number}.log", schedule=self.folder / f"beat-{number}"
            )
        )

    def stop_beats(self) -> None:
        for beat in self.beats:
            beat.kill()
            beat.wait()
        self.beats.clear()

    def log_of(self, name: str) -> str:
        return self.logs[name].read_text()

    # --- Servers ----------------------------------------------------------------------------------------

    def wipe_redis(self) -> None:
        """kill -9 and all data gone; it stays down."""
        self.redis.kill()
        self.redis.wipe()
        for folder in self.redis.home.glob("appendonlydir"):
            for file in folder.iterdir():
                file.unlink()

    def open_transactions(self) -> list[int]:
        """Process ids of the database's backends that are inside a transaction."""
        rows = self.sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = 'cdp' AND xact_start IS NOT NULL"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return [pid for (pid,) in rows]

    # --- Jobs -------------------------------------------------------------------------------------------

    def steps_of(self, job_id: int) -> list[int]:
        """The steps a ``faults.steps`` job wrote down, sorted; each must be there once."""
        rows = self.sql("SELECT step FROM faults_done WHERE job_id = %s ORDER BY step", [job_id])
        return [step for (step,) in rows]


@contextmanager
def served(bench: Bench, log: Path, **more: str) -> Iterator[str]:
    """The address of a product on the bench's servers, with one web process, which ends behind it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        env = processes.environment({**bench.env, "WEB_PROCESSES": "1", **more})
        web = processes.start_web(env=env, log=log, listening=listening.fileno())
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            web.terminate()
            web.wait(30)


def _point_celery_to(url: str) -> None:
    os.environ["CELERY_BROKER_URL"] = url  # Celery heeds it before its configuration
    app.conf.broker_url = url
    app.amqp._producer_pool = None
    app._pool = None
