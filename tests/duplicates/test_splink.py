"""Splink reads the shipped model and gives the same score on DuckDB."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest

from profiles.duplicates.scoring import duckdb_compare
from profiles.duplicates.scoring.model import shipped
from profiles.duplicates.training.fit import load
from profiles.duplicates.training.splink_settings import rarity_columns, splink_settings
from profiles.duplicates.training.synthetic_people import make_people

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS = 1_500


def scored_by_splink(db: DuckDBPyConnection, people: int) -> dict[tuple[int, int], float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages Splink imports
        from splink import Linker
        from splink.backends.duckdb import DuckDBAPI

        db.execute(
            f"CREATE OR REPLACE TABLE read_by_splink AS SELECT id AS unique_id, * EXCLUDE (id), {rarity_columns()} FROM profiles"
        )
        api = DuckDBAPI(connection=db)
        shared = dict(db.execute("SELECT value, bits FROM rarity WHERE field = 'shared'").fetchall())
        settings = splink_settings(shipped(), people, shared=shared)
        linker = Linker(api.register("read_by_splink"), settings, log_level=40)
        table = linker.inference.predict().physical_name
    return {
        (min(a, b), max(a, b)): score
        for a, b, score in db.execute(
            f"SELECT unique_id_l, unique_id_r, match_weight FROM {table}"
        ).fetchall()
    }


def test_splink_reads_the_model_and_scores_the_same() -> None:
    people = make_people(rows=ROWS, seed=31)
    db, model = load(people), shipped()
    by_splink = scored_by_splink(db, ROWS)
    ours = db.execute(f"SELECT l, r, {duckdb_compare.score_sql(model, ROWS)} FROM compared").fetchall()
    assert len(ours) > 200
    assert by_splink.keys() >= {(a, b) for a, b, _ in ours}
    for a, b, score in ours:
        assert by_splink[a, b] == pytest.approx(float(score), abs=1e-6)


def test_settings_for_spark_call_nothing_only_duckdb_has() -> None:
    for_spark, for_duckdb = (str(splink_settings(shipped(), ROWS, spark=spark)) for spark in (True, False))
    for name in ("list_has_any(", "list_contains(", "jaro_winkler_similarity(", "starts_with(", " len("):
        assert name not in for_spark
    assert "jaro_winkler_similarity(first_l, first_r)" in for_duckdb
    assert "jaro_winkler(first_l, first_r)" in for_spark
