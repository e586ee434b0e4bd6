"""Everybody against everybody: a job in four steps, each whole or not at all.

1. *rows*: people without a match row get one, and the queue is worked off (chunks by id).
2. *compare*: the rows are copied into DuckDB, which finds, scores and classifies all pairs within bounded memory
   and writes them to a file. Nothing in PostgreSQL changes, so a worker that dies begins this step anew.
3. *store*: the file becomes pairs, in one transaction.
4. *cases*: groups, and values too many share.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, transaction

from cdp import audit
from cdp.actors import Actor
from cdp.jobs import Chunk, handler, start_job
from cdp.models import Job
from profiles.duplicates import bulk, cases, pairs, rows
from profiles.duplicates.model import shipped
from profiles.errors import Forbidden
from profiles.models import DuplicatePair, MatchBase

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

KIND = "duplicates.scan"
PERMISSION = "profiles.scan_duplicates"
CHUNK = 5_000
MEMORY = "1500MB"
_SCAN_LOCK = 7_302_004
_STEPS = ("rows", "compare", "store", "cases")


@transaction.atomic
def start_scan(*, actor: Actor) -> Job:
    """Compare everybody in the background; while a scan is under way, that one. Raises Forbidden."""
    if not actor.can(PERMISSION):
        raise Forbidden(f"{actor.name} may not scan everybody for duplicates.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SCAN_LOCK])
    if running := Job.objects.open().filter(kind=KIND).first():
        return running
    job = start_job(
        kind=KIND,
        actor=actor,
        title="Scan everybody for duplicates",
        permission=PERMISSION if actor.user_id or actor.key_id else "",
        unit="people",
    )
    audit.record("duplicate.scan", actor=actor, subject=f"job:{job.pk}", detail={})
    return job


def folder_of(job: Job) -> Path:
    return Path(settings.CDP_DATA) / "scans" / str(job.pk)


def _forget(job: Job) -> None:
    shutil.rmtree(folder_of(job), ignore_errors=True)


def _place(job: Job) -> str:
    return f"step “{job.cursor.get('step', _STEPS[0])}”"


@handler(KIND, on_end=_forget, place=_place)
def step(chunk: Chunk) -> bool:
    """One chunk of whatever step the job is at."""
    at = chunk.cursor.get("step", _STEPS[0])
    return {"rows": _rows, "compare": _compare, "store": _store, "cases": _cases}[at](chunk)


def _rows(chunk: Chunk) -> bool:
    """People by id, ``CHUNK`` at a time: those without a row, and those the queue names."""
    after = chunk.cursor.get("after", 0)
    with chunk.commit() as progress, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM profiles_profile WHERE id > %s ORDER BY id LIMIT %s", [after, CHUNK])
        ids = [one for (one,) in cursor.fetchall()]
        if not ids:
            progress.cursor = {"step": "compare"}
            return True
        cursor.execute(
            "DELETE FROM profiles_matchqueue WHERE profile_id BETWEEN %s AND %s RETURNING profile_id",
            [ids[0], ids[-1]],
        )
        changed = {one for (one,) in cursor.fetchall()}
        cursor.execute(
            "SELECT p.id FROM profiles_profile p WHERE p.id BETWEEN %s AND %s AND p.status = 'live'"
            " AND (p.is_recognized OR p.first_name IS NOT NULL OR p.last_name IS NOT NULL OR p.email IS NOT NULL"
            " OR p.phone IS NOT NULL OR p.street IS NOT NULL)"
            " AND NOT EXISTS (SELECT FROM profiles_matchrow m WHERE m.profile_id = p.id)",
            [ids[0], ids[-1]],
        )
        changed |= {one for (one,) in cursor.fetchall()}
        roots = rows.roots_of(changed) if changed else []
        rows.store(roots, rows.build(roots))
        progress.cursor = {"step": "rows", "after": ids[-1]}
        progress.done = len(ids)
        if chunk.job.total is None:
            cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = 'profiles_profile'::regclass")
            progress.total = max(cursor.fetchone()[0], len(ids))
    return True


def _compare(chunk: Chunk) -> bool:
    folder = folder_of(chunk.job)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _copy_rows(folder / "rows.csv")
    chunk.keep_alive()
    with _database(folder) as db:
        result = compare_all(db, folder)
    chunk.keep_alive()
    with chunk.commit(cursor={"step": "store"}, result=result):
        pass
    return True


def compare_all(db: DuckDBPyConnection, folder: Path) -> dict[str, int]:
    """``rows.csv`` in, ``pairs.csv``, ``crowds.csv``, ``rarity.csv`` and ``shared.parquet`` out. Counts."""
    model = shipped()
    db.execute(bulk.PEOPLE)
    people = bulk.read_rows(db, folder / "rows.csv")
    bulk.leave_out_crowds(db)
    bulk.find_candidates(db)
    bulk.measure_rarity(db)
    bulk.compare(db)
    bulk.classify(db, model, people)
    return {"people": people, **bulk.write_found(db, model, folder)}


def _copy_rows(path: Path) -> None:
    columns = ", ".join(("profile_id", *rows.STORED))
    sql = f"COPY (SELECT {columns} FROM profiles_matchrow) TO STDOUT (FORMAT csv)"
    with path.open("wb") as file, connection.cursor() as cursor, cursor.copy(sql) as copy:
        for block in copy:
            file.write(block)


@contextmanager
def _database(folder: Path) -> Iterator[DuckDBPyConnection]:
    """A database of its own on disk, so that what does not fit into memory goes there."""
    import duckdb  # 30 MB that only a worker which scans needs

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
    folder = folder_of(chunk.job)
    if not (folder / "pairs.csv").exists():  # another machine's disk, or cleaned up: compare again
        with chunk.commit(cursor={"step": "compare"}):
            pass
        return True
    with chunk.commit(cursor={"step": "cases"}) as progress:
        pairs.create_stage()
        _load(folder / "pairs.csv", pairs.STAGED, pairs.COLUMNS)
        progress.result = pairs.take_over(DuplicatePair.FoundBy.SCAN)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM profiles_matchrarity")
            cursor.execute("DELETE FROM profiles_matchcrowd WHERE key IS NOT NULL")
        _load(folder / "rarity.csv", "profiles_matchrarity", ("field", "value", "bits"))
        _load(folder / "crowds.csv", "profiles_matchcrowd", ("field", "value", "key", "holders"))
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
    return True


def _load(path: Path, table: str, columns: tuple[str, ...]) -> None:
    sql = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT csv)"
    with path.open("rb") as file, connection.cursor() as cursor, cursor.copy(sql) as copy:
        while block := file.read(1 << 20):
            copy.write(block)


def _cases(chunk: Chunk) -> bool:
    folder = folder_of(chunk.job)
    with chunk.commit() as progress:
        groups = cases.rebuild()
        shared = cases.note_shared(bulk.read_shared(folder / "shared.parquet"))
        progress.result = {"cases": groups, "shared_values": shared}
    return False
