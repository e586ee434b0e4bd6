"""Finding duplicates: how many are found and how surely, and how long it takes, beside Splink on the same people.

Own invented people of unseen seeds; with ``CDP_PEOPLE`` naming folders (profiles.csv, truth.csv and perhaps traps.csv, separated by
colons) those as well.
"""

from __future__ import annotations

import csv
import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from profiles.duplicates.scoring import duckdb_compare
from profiles.duplicates.scoring.levels import COMPARISONS
from profiles.duplicates.scoring.model import shipped
from profiles.duplicates.training.fit import curve, f1_from, load
from profiles.duplicates.training.splink_settings import rarity_columns, splink_settings
from profiles.duplicates.training.synthetic_people import People, make_people
from tests.bench.conftest import scaled
from tests.duplicates.febrl import read_febrl
from tests.duplicates.suggested import suggested

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

pytestmark = pytest.mark.bench
SHARES = {"heavy": (501, 1.0), "mild": (502, 0.3), "no": (503, 0.0)}


def read_people(folder: Path) -> People:
    with (folder / "profiles.csv").open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["profile_id"]))
    with (folder / "truth.csv").open(newline="") as file:
        pairs = [(int(a), int(b)) for a, b in list(csv.reader(file))[1:]]
    traps = []
    if (folder / "traps.csv").exists():
        with (folder / "traps.csv").open(newline="") as file:
            traps = [(int(a), int(b), kind) for a, b, kind in list(csv.reader(file))[1:]]
    return People([dict(row) for row in rows], {(min(pair), max(pair)) for pair in pairs}, traps)


def everybody() -> dict[str, People]:
    size = scaled(100_000)
    bases = {
        f"{name} sharing": make_people(rows=size, seed=seed, share=share)
        for name, (seed, share) in SHARES.items()
    }
    folders = filter(None, os.environ.get("CDP_PEOPLE", "").split(":"))
    bases |= {f"FEBRL {number}": read_febrl(number) for number in (1, 2)}
    return bases | {Path(folder).name: read_people(Path(folder)) for folder in folders}


def splink(db: DuckDBPyConnection, people: int, *, is_trained: bool) -> tuple[str, float]:
    """Splink's table of predictions and how long they took; trained by EM on levels alone, or with our weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages Splink imports
        from splink import Linker, block_on
        from splink.backends.duckdb import DuckDBAPI

        db.execute(
            f"CREATE OR REPLACE TABLE read_by_splink AS SELECT id AS unique_id, * EXCLUDE (id), {rarity_columns()} FROM profiles"
        )
        shared = dict(db.execute("SELECT value, bits FROM rarity WHERE field = 'shared'").fetchall())
        settings = splink_settings(shipped(), people, shared=shared)
        if is_trained:
            fields = {comparison.field for comparison in COMPARISONS} - {"mailbox_name", "home"}
            settings["comparisons"] = [
                comparison
                for comparison in settings["comparisons"]
                if comparison["output_column_name"] in fields
            ]
        linker = Linker(DuckDBAPI(connection=db).register("read_by_splink"), settings, log_level=40)
        if is_trained:
            linker.training.estimate_u_using_random_sampling(max_pairs=1_000_000, seed=1)
            for columns in (("first", "last"), ("birth_date",), ("email",)):
                if all(has_values(db, column) for column in columns):
                    linker.training.estimate_parameters_using_expectation_maximisation(block_on(*columns))
        started = time.perf_counter()
        return linker.inference.predict().physical_name, time.perf_counter() - started


def has_values(db: DuckDBPyConnection, column: str) -> bool:
    """Whether any row has a value: Splink refuses to train on an empty column."""
    return bool(db.execute(f"SELECT count({column}) FROM profiles").fetchall()[0][0])


def test_accuracy(report: Any) -> None:
    model = shipped()
    for name, people in everybody().items():
        db, truth = load(people), len(people.truth)
        candidates = len(db.execute("SELECT l FROM pair").fetchnumpy()["l"])
        scores, labels = suggested(db, len(people.rows), people.truth)
        seen = curve(scores, labels, truth)
        shipped_f1 = f1_from(scores, labels, truth, model.thresholds["possible"])
        table, _ = splink(db, len(people.rows), is_trained=True)
        predictions = db.execute(f"SELECT unique_id_l, unique_id_r, match_weight FROM {table}").fetchall()
        hits = np.array([(min(a, b), max(a, b)) in people.truth for a, b, _ in predictions], float)
        rival = curve(np.array([weight for *_, weight in predictions]), hits, truth)
        report(
            f"find duplicates of {len(people.rows):,} people, {name}",
            measured=f"F1 {shipped_f1:.3f} (best {seen['best_f1']:.3f}), recall at precision .99 {seen['recall_at_99']:.3f},"
            f" {candidates / len(people.rows):.1f} candidates each",
            limit=f"Splink EM: best F1 {rival['best_f1']:.3f}, {rival['recall_at_99']:.3f}",
            ratio=f"{seen['best_f1'] / max(rival['best_f1'], 0.001):.2f} ×",
            **(
                {"floor": "F1 ≥ .995", "holds": shipped_f1 >= 0.995}
                if name.startswith("FEBRL")
                else {
                    "floor": "F1 ≥ .88, recall ≥ .60",
                    "holds": seen["best_f1"] >= 0.88 and seen["recall_at_99"] >= 0.60,
                }
            ),
        )
        if people.traps:
            report_traps(report, name, people, db, rival=(predictions, rival["best_at"]))


def report_traps(
    report: Any, name: str, people: People, db: DuckDBPyConnection, *, rival: tuple[Any, float]
) -> None:
    """How many look-alikes are called certain or probable, and how many Splink takes at its best F1."""
    traps = {(min(a, b), max(a, b)) for a, b, _ in people.traps} - people.truth
    sure = set(db.execute("SELECT l, r FROM classified WHERE tier IN ('certain', 'probable')").fetchall())
    pairs, threshold = rival
    theirs = {(min(a, b), max(a, b)) for a, b, weight in pairs if weight >= threshold}
    report(
        f"look-alikes of {len(people.rows):,} people taken for one, {name}",
        measured=f"{len(sure & traps)} of {len(traps):,} certain or probable,"
        f" beside {len(sure & people.truth) / len(people.truth):.3f} of the true pairs",
        limit=f"Splink EM at its best F1: {len(theirs & traps)}",
        floor="0",
        holds=not sure & traps,
    )


def test_time(report: Any) -> None:
    """From the loaded table to classified pairs, beside Splink with the same weights and keys."""
    people, model = make_people(rows=scaled(1_000_000), seed=504), shipped()
    db, size = load(people), len(people.rows)
    db.execute("SET threads = 2")
    db.execute("SET memory_limit = '1500MB'")
    started = time.perf_counter()
    duckdb_compare.find_candidates(db)
    duckdb_compare.measure_rarity(db)
    duckdb_compare.compare(db)
    duckdb_compare.classify(db, model, size)
    ours = time.perf_counter() - started
    _, theirs = splink(db, size, is_trained=False)
    report(
        f"compare {size:,} people with each other",
        measured=f"{ours:.1f} s",
        limit=f"Splink with the same weights {theirs:.1f} s",
        ratio=f"{ours / theirs:.2f} ×",
        floor="≤ 1 ×",
        holds=ours <= theirs,
    )
