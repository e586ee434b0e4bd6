"""A million rows from file to people, against a COPY of the finished rows into the same tables.

The import runs in a process of its own, as in a worker, so that its peak memory can be told.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from psycopg import sql

from profiles.models import Profile
from tests.bench.conftest import empty_base, scaled
from tests.bench.people_file import write_people

pytestmark = [pytest.mark.bench, pytest.mark.django_db(transaction=True)]

# What an import of new people fills, parents first.
TABLES = ("profiles_profile", "profiles_identifier", "profiles_profiletag", "profiles_change")


def run_import(path: Path, policy: str = "fill_if_empty") -> dict[str, Any]:
    """Upload, plan and apply in a child process; seconds of each, counts, peak memory in MB."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.import_child", str(path), policy],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "cdp.settings",
            "CDP_LOCAL": "1",
            "CDP_DATA": str(path.parent),
            "DATABASE_URL": database_url(),
            "CELERY_BROKER_URL": "memory://",
        },
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def database_url() -> str:
    """The test database's own address, for other processes."""
    given, _, options = os.environ["DATABASE_URL"].partition("?")
    url = given.rsplit("/", 1)[0] + "/" + str(connection.settings_dict["NAME"])
    return f"{url}?{options}" if options else url


def copy_finished_rows(folder: Path) -> tuple[float, float]:
    """Seconds to COPY every row the import made out of its tables, and into the like with the same indexes."""
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as own:
        own.execute("SET synchronous_commit = off")
        read = spent = 0.0
        for table in TABLES:
            columns = _columns(own, table)
            file = folder / f"{table}.copy"
            name, copied = sql.Identifier(table), sql.Identifier(f"bench_{table}")
            started = time.perf_counter()
            with (
                file.open("wb") as out,
                own.cursor().copy(sql.SQL("COPY {} ({}) TO STDOUT").format(name, columns)) as copy,
            ):
                for block in copy:
                    out.write(block)
            read += time.perf_counter() - started
            own.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(copied, name))
            for (reference,) in _references(own, table):
                own.execute(sql.SQL("ALTER TABLE {} ADD {}").format(copied, sql.SQL(reference)))
            started = time.perf_counter()
            with (
                file.open("rb") as rows,
                own.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(copied, columns)) as copy,
            ):
                while block := rows.read(1 << 20):
                    copy.write(block)
            own.commit()
            spent += time.perf_counter() - started
            file.unlink()
        for table in TABLES:
            own.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(f"bench_{table}")))
    return read, spent


def _references(own: Any, table: str) -> list[tuple[str]]:
    """LIKE leaves the foreign keys out; the same table has them."""
    return own.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f'",
        [table],
    ).fetchall()


def _columns(own: Any, table: str) -> Any:
    rows = own.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' ORDER BY attnum",
        [table],
    ).fetchall()
    return sql.SQL(", ").join(sql.Identifier(name) for (name,) in rows)


def copy_plain(path: Path) -> float:
    """Seconds to read the file's rows into a bare table: what reading costs when nothing is done with it."""
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as own:
        columns = ", ".join(f"c{n} text" for n in range(9))
        own.execute(f"CREATE TEMP TABLE plain ({columns})")
        started = time.perf_counter()
        with path.open("rb") as rows, own.cursor().copy("COPY plain FROM STDIN (FORMAT csv, HEADER)") as copy:
            while block := rows.read(1 << 20):
                copy.write(block)
        return time.perf_counter() - started


def import_export_rate(path: Path, rows: int) -> float:
    """Rows per second of django-import-export on the first rows of the same file."""
    from import_export import resources
    from tablib import Dataset

    from profiles.builtin_sources import builtin_source

    fields = ("first_name", "last_name", "email", "phone", "city", "country", "birth_date")

    class PersonResource(resources.ModelResource):
        def before_save_instance(self, instance: Any, row: Any, **kwargs: Any) -> None:
            instance.source = builtin_source("import")

        class Meta:
            model = Profile
            import_id_fields = ("email",)
            fields = ("first_name", "last_name", "email", "phone", "city", "country", "birth_date")

    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        data = Dataset(headers=fields)
        for _, row in zip(range(rows), reader, strict=False):
            data.append([row[name] for name in fields])
    started = time.perf_counter()
    result = PersonResource().import_data(data, dry_run=False, raise_errors=True, use_transactions=True)
    assert result.totals["new"] == rows
    return rows / (time.perf_counter() - started)


def test_a_million_rows(report: Callable[..., None], tmp_path: Path) -> None:
    empty_base()  # the COPY of the import's rows is into empty tables, too
    rows = scaled(1_000_000)
    new = write_people(tmp_path / "new.csv", rows)
    done = run_import(new)
    assert done["counts"]["created"] == rows
    read, limit = copy_finished_rows(tmp_path)
    total = done["plan"] + done["apply"]
    report(
        f"import {rows:,} new rows: parse, plan, apply",
        measured=f"{total:.1f} s ({rows / total:,.0f}/s; plan {done['plan']:.1f}, apply {done['apply']:.1f})",
        limit=f"COPY of the finished rows {limit:.1f} s",
        ratio=f"{total / limit:.2f} ×",
        floor="≤ 2.0 ×",
        holds=total <= 2.0 * limit,
    )
    report(
        "memory of that worker",
        measured=f"{done['memory']:.0f} MB",
        floor="≤ 250 MB",
        holds=done["memory"] <= 250,
    )
    again = run_import(new)
    assert again["counts"]["unchanged"] == rows
    plain = copy_plain(new)
    total = again["plan"] + again["apply"]
    report(
        f"re-import {rows:,} unchanged rows",
        measured=f"{total:.1f} s",
        limit=f"reading the people's rows through COPY {read:.1f} s (the file alone: {plain:.1f} s)",
        ratio=f"{total / read:.1f} ×",
        floor="≤ 8 ×",
        holds=total <= 8 * read,
    )
    half = run_import(write_people(tmp_path / "half.csv", rows, changed_share=50), "overwrite")
    assert half["counts"]["updated"] == rows // 2
    total = half["plan"] + half["apply"]
    report(
        f"import {rows:,} rows, half of them changed",
        measured=f"{total:.1f} s",
        limit=f"COPY of the finished rows {limit:.1f} s",
        ratio=f"{total / limit:.2f} ×",
        holds=True,
    )


def test_django_import_export_on_the_same_file(report: Callable[..., None], tmp_path: Path) -> None:
    rows = min(20_000, scaled(1_000_000))
    path = write_people(tmp_path / "few.csv", rows)
    theirs = import_export_rate(path, rows)
    Profile.objects.all().delete()
    done = run_import(path)
    ours = rows / (done["plan"] + done["apply"])
    report(
        f"import {rows:,} rows with identifiers, tags and journal",
        measured=f"{ours:,.0f} rows/s",
        limit=f"django-import-export, profile rows alone {theirs:,.0f} rows/s",
        ratio=f"{ours / theirs:.0f} × as fast",
        holds=ours > theirs,
    )
