"""The Celery app of the workers under test: the product's own, with jobs to interrupt and bugs to plant.

``celery -A tests.faults.worker_app``. Imports whose file name begins with

- ``slow-0.2-`` stay 0.2 s inside each chunk's transaction while they are applied, so that a fault meets one;
- ``early-0.2-`` move the cursor before the rows are written, ``late-0.2-`` after it, each in a transaction of
  its own with 0.2 s between them: the two classic bugs, which a test of faults must be able to see.

Each of them waits at that place as long as a gate of the import's name (``kills.Gate``) is before its lines.
A scan for duplicates waits at the gates ``SCAN_GATES``: in each step's transaction with everything written, before
DuckDB compares, and in the transaction that ends the job with its folder gone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from typing import Any

from celery.signals import import_modules
from django.db import connection, transaction

from cdp.celery import app

__all__ = ["app"]

STEPS = "faults.steps"
SCAN_GATES = ("scan-rows", "scan-duckdb", "scan-compare", "scan-store", "scan-cases", "scan-end")


@import_modules.connect(weak=False)
def prepare(**kwargs: Any) -> None:
    """After Celery has set Django up; not in a process of tests, which imports this module as well."""
    if "CDP_FAULTS_WORKER" not in os.environ:
        return
    _register_steps()
    _record_takes()
    _plant()
    _plant_scan()
    _shrink()


def _register_steps() -> None:
    from cdp.job_steps import Chunk, handler

    @handler(STEPS)
    def step(chunk: Chunk) -> bool:
        """Write down ``n`` steps, each after ``pause`` seconds; at step ``poison`` the process dies."""
        at = chunk.cursor.get("at", 0)
        if at == chunk.params.get("poison"):
            os.kill(os.getpid(), signal.SIGKILL)
        with chunk.commit(cursor={"at": at + 1}, done=1, result={"pid": os.getpid()}):
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO faults_done (job_id, step) VALUES (%s, %s)", [chunk.job.pk, at])
            Event().wait(chunk.params.get("pause", 0))
        return at + 1 < chunk.params["n"]


def _record_takes() -> None:
    """Write down which process took which lease, and when by the database's clock."""
    from cdp import job_steps, jobs

    take = jobs.take

    def telling(job_id: int) -> job_steps.Chunk | None:
        with transaction.atomic():  # nobody holds a job whom the harness cannot see
            chunk = take(job_id)
            if chunk:
                with connection.cursor() as cursor:
                    cursor.execute(
                        "INSERT INTO faults_taken (job_id, token, pid) VALUES (%s, %s, %s)",
                        [job_id, chunk.token, os.getpid()],
                    )
            return chunk

    jobs.take = telling


def _shrink() -> None:
    """Small files and batches have several chunks, too."""
    from imports import apply, job_controls, stage
    from profiles.duplicates.finding import full_scan
    from profiles.merging.batches import apply as merging
    from profiles.merging.batches import undo as unmerging

    if rows := int(os.environ.get("CDP_FAULTS_CHUNK_ROWS", "0")):
        merging.CHUNK, unmerging.CHUNK = rows // 40, rows // 200
        apply.CHUNK_ROWS = rows
        stage.BATCH_ROWS = 4 * rows
        full_scan.CHUNK = rows
        job_controls.RETRY_DIVISOR = 10


def _is_closed(name: str, line: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM faults_gate WHERE name = %s AND line < %s", [name, line])
        return bool(cursor.rowcount)


def _wait_at(name: str) -> None:
    while _is_closed(name, 1):
        Event().wait(0.02)


def _plant_scan() -> None:
    from cdp import job_steps
    from profiles.duplicates.finding import full_scan
    from profiles.duplicates.scoring import duckdb_compare

    commit, compare, known = (
        job_steps.Chunk.commit,
        duckdb_compare.compare,
        job_steps.handlers[full_scan.KIND],
    )

    @contextmanager
    def gated(self: job_steps.Chunk, **kwargs: Any) -> Iterator[job_steps.Progress]:
        at = self.cursor.get("step", "rows")
        with commit(self, **kwargs) as progress:
            yield progress
            if self.job.kind == full_scan.KIND:
                _wait_at(f"scan-{at}")

    def gated_compare(*args: Any, **kwargs: Any) -> None:
        _wait_at("scan-duckdb")
        connection.close()  # this thread's own
        compare(*args, **kwargs)

    def gated_end(job: Any) -> None:
        if known.on_end:
            known.on_end(job)
        _wait_at("scan-end")

    job_steps.Chunk.commit = gated  # type: ignore[method-assign,assignment]
    duckdb_compare.compare = gated_compare
    job_steps.handlers[full_scan.KIND] = replace(known, on_end=gated_end)


def _plant() -> None:
    from cdp.job_steps import Chunk, Progress
    from imports import apply
    from imports.job_controls import APPLY
    from imports.models import Import

    commit, write_rows = Chunk.commit, apply.write_rows
    waiting: list[tuple[Any, int, int]] = []

    def mode_of(chunk: Chunk) -> tuple[str, str, float]:
        if chunk.job.kind != APPLY:
            return "", "", 0
        name = Import.objects.values_list("name", flat=True).get(pk=chunk.params["import"])
        mode, seconds, *_ = [*name.split("-"), "", ""]
        return (mode, name, float(seconds)) if mode in ("slow", "early", "late") else ("", "", 0)

    def stay(chunk: Chunk, name: str, line: int, seconds: float) -> None:
        """The moment to be killed in: so many seconds, and on as long as the gate is before the line.

        Where no transaction keeps others away the lease does, so that nobody comes to wait here as well.
        """
        Event().wait(seconds)
        while _is_closed(name, line):
            if not connection.in_atomic_block:
                chunk.keep_alive()
            Event().wait(0.02)

    @contextmanager
    def planted(self: Chunk, **kwargs: Any) -> Iterator[Progress]:
        mode, name, seconds = mode_of(self)
        upto = self.job.done + kwargs.get("done", 0)
        if mode == "late":
            progress = Progress(None, kwargs["done"], None, {}, [])
            with transaction.atomic():
                yield progress
            stay(self, name, upto, seconds)
            with commit(self, cursor=progress.cursor, done=progress.done):
                return
        waiting.clear()
        with commit(self, **kwargs) as progress:
            apply.write_rows = put_off if mode == "early" else write_rows
            yield progress
            if mode == "slow":
                stay(self, name, upto, seconds)
        apply.write_rows = write_rows
        if waiting:
            stay(self, name, upto, seconds)
            with transaction.atomic():
                write_rows(*waiting.pop())

    def put_off(writer: Any, first: int, last: int) -> int:
        waiting.append((writer, first, last))
        return 0

    Chunk.commit = planted  # type: ignore[method-assign,assignment]
