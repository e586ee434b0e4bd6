"""`python -m tests.bench.scan_child scan|splink FOLDER`: duplicates of everybody in PostgreSQL, timed, in a process of its own.

*splink* does by hand what a scan does: match rows out of PostgreSQL, Splink with the shipped weights on the same
candidates, and its pairs back into a table.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import django

django.setup()

import duckdb  # noqa: E402
from django.db import connection  # noqa: E402

from cdp.actors import Actor  # noqa: E402
from cdp.jobs import Job, run  # noqa: E402
from profiles.duplicates.finding import match_rows  # noqa: E402
from profiles.duplicates.finding.full_scan import MEMORY, start_scan  # noqa: E402
from profiles.duplicates.scoring import duckdb_compare  # noqa: E402
from profiles.duplicates.scoring.households import find_household_values  # noqa: E402
from profiles.duplicates.scoring.model import shipped  # noqa: E402
from tests.bench.import_child import peak_memory  # noqa: E402


def scan() -> dict[str, Any]:
    """Seconds by step, and the job's result."""
    job = start_scan(actor=Actor.system())
    seconds: dict[str, float] = {}
    while job.is_open:
        step, started = job.cursor.get("step", "rows"), time.perf_counter()
        run(job.pk, slice_seconds=0)
        seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - started
        job = Job.objects.get(pk=job.pk)
    assert job.state == "done", job.problem
    return {"seconds": seconds, "result": job.result}


def by_splink(folder: Path) -> dict[str, Any]:
    from tests.bench.test_duplicates import splink

    started = time.perf_counter()
    columns = ", ".join(("profile_id", *match_rows.STORED))
    with (
        (folder / "rows.csv").open("wb") as file,
        connection.cursor() as cursor,
        cursor.copy(f"COPY (SELECT {columns} FROM profiles_matchrow) TO STDOUT (FORMAT csv)") as copy,
    ):
        for block in copy:
            file.write(block)
    db = duckdb.connect(str(folder / "splink.duckdb"))
    db.execute(f"SET memory_limit = '{MEMORY}'")
    db.execute("SET threads = 2")
    db.execute("SET preserve_insertion_order = false")
    db.execute(duckdb_compare.CREATE_TABLE)
    people = duckdb_compare.read_rows(db, folder / "rows.csv")
    duckdb_compare.remove_frequent_values(db)
    duckdb_compare.measure_rarity(db)
    find_household_values(db)
    # The same candidates: Splink itself would also join on keys thousands hold.
    db.execute("CREATE TEMP TABLE held AS SELECT unnest(keys) AS key, id FROM profiles")
    db.execute(
        f"CREATE TEMP TABLE crowd AS SELECT key FROM held GROUP BY key HAVING count(*) > {duckdb_compare.MAX_KEY_HOLDERS}"
    )
    db.execute(
        "UPDATE profiles SET keys = coalesce(left_over.keys, []) FROM (SELECT id, list(key) FILTER (crowd.key IS NULL) AS keys"
        " FROM held LEFT JOIN crowd USING (key) GROUP BY id HAVING count(crowd.key) > 0) left_over"
        " WHERE left_over.id = profiles.id"
    )
    db.execute("DROP TABLE held")
    read = time.perf_counter() - started
    table, predicting = splink(db, people, is_trained=False)
    least = shipped().thresholds["possible"]
    target = folder / "pairs.csv"
    db.execute(
        f"COPY (SELECT unique_id_l, unique_id_r, match_weight FROM {table} WHERE match_weight >= {least})"
        f" TO '{target}' (HEADER false)"
    )
    ((candidates,),) = db.execute(f"SELECT count(*) FROM {table}").fetchall()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE predicted (a bigint, b bigint, score float8, PRIMARY KEY (a, b))")
        with target.open("rb") as file, cursor.copy("COPY predicted FROM STDIN (FORMAT csv)") as copy:
            while block := file.read(1 << 20):
                copy.write(block)
        cursor.execute("SELECT count(*) FROM predicted")
        (pairs,) = cursor.fetchone()
    seconds = {"all": time.perf_counter() - started, "read": read, "predict": predicting}
    return {"seconds": seconds, "result": {"pairs": pairs, "candidates": candidates}}


def main(mode: str, folder: str) -> None:
    result = scan() if mode == "scan" else by_splink(Path(folder))
    print(json.dumps({**result, "memory": peak_memory()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
