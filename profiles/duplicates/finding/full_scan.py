"""A job that compares every profile with every other, in four steps, each whole or not at all.

1. *rows*: profiles in the queue, then those without a match row or with an outdated one, in chunks.
2. *compare*: the rows are copied into DuckDB, which finds, scores and classifies all pairs in bounded
memory and writes them to files. Nothing in PostgreSQL changes, so when a worker dies this step is simply
repeated.
3. *store*: the files become pairs, frequent keys and values, in one transaction; then they are deleted.
4. *cases*: transitive pairs and cases are derived.

Profiles that change between copy and store go back into the queue and are compared again right after. Each
attempt has its own folder, so a worker that lost its lease never writes into its successor's.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, transaction

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Forbidden
from cdp.full_disk import no_room
from cdp.job_steps import LEASE_SECONDS, Chunk, LeaseLost, handler
from cdp.jobs import start_job
from cdp.locks import Lock, take
from cdp.models import Job
from cdp.shutdown import is_stopping
from profiles.duplicates.finding import clusters, match_rows, store
from profiles.duplicates.scoring import duckdb_compare
from profiles.duplicates.scoring.model import shipped
from profiles.models import MatchBase

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

KIND = "duplicates.scan"
PERMISSION = "profiles.scan_duplicates"
CHUNK = 5_000
_HAS_FEATURES = " OR ".join(
    f"p.{name} IS NOT NULL" for name in ("first_name", "last_name", "email", "phone", "birth_date", "street")
)
MEMORY = "1500MB"
_STEPS = ("rows", "compare", "store", "cases")


@transaction.atomic
def start_scan(*, actor: Actor) -> Job:
    """Start a scan; while one is under way, return that one. Raises Forbidden."""
    if not actor.can(PERMISSION):
        raise Forbidden(f"{actor.name} may not scan everybody for duplicates.")
    take(Lock.DUPLICATE_SCAN)
    if running := Job.objects.open().filter(kind=KIND).first():
        return running
    job = start_job(
        kind=KIND,
        actor=actor,
        title="Scan everybody for duplicates",
        permission=PERMISSION,
        unit="people",
    )
    audit.record("duplicate.scan", actor=actor, subject=f"job:{job.pk}", detail={})
    return job


def folder_of(job: Job) -> Path:
    """Where a scan keeps its files while it runs."""
    return Path(settings.CDP_DATA) / "scans" / str(job.pk)


def _remove_files(job: Job) -> None:
    """Runs before the job's end is committed: if the worker dies in between no file is left, and none is
    needed.
    """
    shutil.rmtree(folder_of(job), ignore_errors=True)


def _position(job: Job) -> str:
    return f"step “{job.cursor.get('step', _STEPS[0])}”"


@handler(KIND, on_end=_remove_files, position=_position, is_housekeeping=True)
def step(chunk: Chunk) -> bool:
    """One chunk of the step the job has reached."""
    at = chunk.cursor.get("step", _STEPS[0])
    return {"rows": _rows, "compare": _compare, "store": _store, "cases": _cases}[at](chunk)


def _rows(chunk: Chunk) -> bool:
    """The queue as it was when the scan began, then profiles by id; ``CHUNK`` at a time."""
    if "after" not in chunk.cursor and _rows_of_queue(chunk):
        return True
    after = chunk.cursor.get("after", 0)
    with chunk.commit() as progress, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM profiles_profile WHERE id > %s ORDER BY id LIMIT %s", [after, CHUNK])
        ids = [profile_id for (profile_id,) in cursor.fetchall()]
        if not ids:
            progress.cursor = {"step": "compare"}
            return True
        cursor.execute(
            "SELECT p.id FROM profiles_profile p WHERE p.id BETWEEN %s AND %s AND p.status = 'live'"
            f" AND (p.is_recognized OR {_HAS_FEATURES}) AND NOT EXISTS"
            " (SELECT FROM profiles_matchrow m WHERE m.profile_id = p.id AND m.version = %s)",
            [ids[0], ids[-1], match_rows.version()],
        )
        roots = [profile_id for (profile_id,) in cursor.fetchall()]
        match_rows.store(roots, match_rows.build(roots))
        progress.cursor = {"step": "rows", "after": ids[-1]}
        progress.done = len(ids)
        if chunk.job.total is None:
            cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = 'profiles_profile'::regclass")
            progress.total = max(cursor.fetchone()[0], len(ids))
    return True


def _rows_of_queue(chunk: Chunk) -> bool:
    """A chunk of the queue. False, and nothing committed, once all that was queued at the beginning is
    done.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM profiles_matchqueue")
        last = chunk.cursor.get("queued", cursor.fetchone()[0])
        cursor.execute("SELECT FROM profiles_matchqueue WHERE id <= %s LIMIT 1", [last])
        if not cursor.rowcount:
            return False
    with chunk.commit(cursor={"step": "rows", "queued": last}), connection.cursor() as cursor:
        cursor.execute(
            "WITH taken AS MATERIALIZED (SELECT id FROM profiles_matchqueue WHERE id <= %s ORDER BY id LIMIT %s FOR UPDATE)"
            " DELETE FROM profiles_matchqueue q USING taken WHERE q.id = taken.id RETURNING q.profile_id",
            [last, CHUNK],
        )
        roots = match_rows.roots_of(profile_id for (profile_id,) in cursor.fetchall())
        match_rows.store(roots, match_rows.build(roots))
    return True


def _compare(chunk: Chunk) -> bool:
    _remove_files(chunk.job)  # left behind by an attempt that was killed
    folder = folder_of(chunk.job) / chunk.token.hex
    folder.mkdir(parents=True)
    try:
        copied_at = _copy_rows(folder / "rows.csv")
        chunk.keep_alive()
        with _full_disk_named(), _database(folder) as db:
            result = _run_with_lease(chunk, db, lambda: compare_all(db, folder))
        if result is None:
            return True
        for name in ("rows.csv", "scan.duckdb"):
            (folder / name).unlink()
        cursor = {"step": "store", "folder": folder.name, "copied_at": copied_at}
        with chunk.commit(cursor=cursor, result=result):
            pass
    except LeaseLost:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return True


@contextmanager
def _full_disk_named() -> Iterator[None]:
    """Raises OSError where DuckDB says in its own words that the disk is full."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        # By itself, or because what DuckDB allows itself for spilling is measured by the room there was.
        if any(words in str(error) for words in (os.strerror(errno.ENOSPC), "max_temp_directory_size")):
            raise no_room(error) from error
        raise


def _run_with_lease(
    chunk: Chunk, db: DuckDBPyConnection, work: Callable[[], dict[str, int]]
) -> dict[str, int] | None:
    """Do the work in a thread and renew the lease meanwhile; None when this worker is asked to stop.

    Raises LeaseLost. Then, as when stopping, the running DuckDB statement is interrupted.
    """
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        try:
            while wait([running], timeout=min(LEASE_SECONDS / 4, 2.0)).not_done:
                if is_stopping():
                    return None
                chunk.keep_alive()
        finally:
            if not running.done():
                db.interrupt()
    return running.result()


def compare_all(db: DuckDBPyConnection, folder: Path) -> dict[str, int]:
    """``rows.csv`` in, ``pairs.csv``, ``frequent_keys.csv``, ``rarity.csv`` and ``frequent_values.parquet`` out. Counts."""
    model = shipped()
    db.execute(duckdb_compare.CREATE_TABLE)
    profile_count = duckdb_compare.read_rows(db, folder / "rows.csv")
    duckdb_compare.remove_frequent_values(db)
    duckdb_compare.find_candidates(db)
    duckdb_compare.measure_rarity(db)
    duckdb_compare.compare(db)
    duckdb_compare.classify(db, model, profile_count)
    return {"people": profile_count, **duckdb_compare.write_results(db, model, profile_count, folder)}


@transaction.atomic
def _copy_rows(path: Path) -> str:
    """All match rows into a file; the moment up to which changes are contained."""
    store.lock_comparison()  # no transaction that the file would miss is writing rows
    columns = ", ".join(("profile_id", *match_rows.STORED))
    sql = f"COPY (SELECT {columns} FROM profiles_matchrow) TO STDOUT (FORMAT csv)"
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()::text")
        (copied_at,) = cursor.fetchone()
        with path.open("wb") as file, cursor.copy(sql) as copy:
            for block in copy:
                file.write(block)
    return str(copied_at)


@contextmanager
def _database(folder: Path) -> Iterator[DuckDBPyConnection]:
    """A database on disk, so that what does not fit into memory is spilled there."""
    import duckdb  # 30 MB, needed only by a worker that scans

    db = duckdb.connect(str(folder / "scan.duckdb"))
    try:
        db.execute(f"SET memory_limit = '{MEMORY}'")
        db.execute("SET threads = 2")
        db.execute("SET preserve_insertion_order = false")
        db.execute(f"SET temp_directory = '{folder / 'spill'}'")
        yield db
    finally:
        db.close()


def _store(chunk: Chunk) -> bool:
    folder = folder_of(chunk.job) / chunk.cursor["folder"]
    if not (folder / "pairs.csv").exists():  # on another machine's disk, or cleaned up: compare again
        with chunk.commit(cursor={"step": "compare"}):
            pass
        return True
    with chunk.commit(cursor={"step": "cases"}) as progress:
        store.lock_comparison()
        store.create_staging_table()
        _load(folder / "pairs.csv", store.STAGING_TABLE, store.COLUMNS)
        stored = store.store_staged()
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM profiles_matchrarity")
            cursor.execute("DELETE FROM profiles_frequentvalue WHERE key IS NOT NULL")
            cursor.execute(
                "INSERT INTO profiles_matchqueue (profile_id) SELECT profile_id FROM profiles_matchrow"
                " WHERE built_at > %s ORDER BY 1",
                [chunk.cursor["copied_at"]],
            )
        _load(folder / "rarity.csv", "profiles_matchrarity", ("field", "value", "bits"))
        _load(folder / "frequent_keys.csv", "profiles_frequentvalue", ("field", "value", "key", "holders"))
        shared = clusters.save_shared_values(
            duckdb_compare.read_frequent_values(folder / "frequent_values.parquet")
        )
        MatchBase.objects.update_or_create(
            pk=1,
            defaults={
                "people": chunk.job.result["people"],
                "pairs": chunk.job.result["pairs"],
                "model_version": shipped().version,
                "job_id": chunk.job.pk,
                "scanned_at": chunk.job.created_at,
            },
        )
        counts = {"new": stored.new, "changed": stored.changed, "withdrawn": stored.withdrawn}
        progress.result = {**counts, "shared_values": shared}
    _remove_files(chunk.job)
    return True


def _load(path: Path, table: str, columns: tuple[str, ...]) -> None:
    sql = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT csv)"
    with path.open("rb") as file, connection.cursor() as cursor, cursor.copy(sql) as copy:
        while block := file.read(1 << 20):
            copy.write(block)


def _cases(chunk: Chunk) -> bool:
    with chunk.commit() as progress:
        store.lock_comparison()
        progress.result = clusters.rebuild_derived()
    return False
