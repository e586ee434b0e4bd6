"""Synthetic people → ``scoring/model.json``, by logistic regression on labelled candidate pairs. Run as a
module.

Weights of a field fall with its levels and are clamped; thresholds are taken from people the fit has not
seen. Needs the packages of the ``dev`` extra (numpy, scipy, Faker).
"""

from __future__ import annotations

import json
import tempfile
from typing import Any

import duckdb
import numpy as np
import orjson
from scipy.optimize import minimize

from profiles.duplicates.scoring import duckdb_compare
from profiles.duplicates.scoring.features import COLUMNS, match_keys, read_features
from profiles.duplicates.scoring.interaction_kinds import DOUBLED, PER_DOUBLING, SHARED, SHARING_TERMS
from profiles.duplicates.scoring.interaction_terms import INTERACTIONS
from profiles.duplicates.scoring.levels import COMPARISONS
from profiles.duplicates.scoring.model import FILE, Model, doublings
from profiles.duplicates.training.synthetic_people import People, make_people

LN2 = float(np.log(2))
CLAMP = 9.0
RIDGE = 2e-5
VERSION = "5"
SIZE = 80_000
# Bases differ in size, in how often households share e-mails and phones, in families, in how many people occur twice, and
# in whether they have addresses. The weights of size, sharing and doubling are learned from these differences.
SAMPLES: tuple[dict[str, Any], ...] = (
    {"rows": SIZE, "seed": 1, "share": 1.0},
    {"rows": SIZE, "seed": 2, "share": 0.3},
    {"rows": SIZE, "seed": 3, "share": 0.0},
    {"rows": SIZE, "seed": 4, "share": 1.0, "addresses": 0.0},
    {"rows": SIZE, "seed": 5, "share": 0.0, "families": 0.0, "doubled": 0.2},
    {"rows": SIZE, "seed": 6, "share": 0.3, "families": 0.2},
    {"rows": SIZE, "seed": 7, "share": 0.3, "addresses": 0.0},
    {"rows": SIZE // 4, "seed": 8, "share": 1.0},
    {"rows": SIZE * 4, "seed": 9, "share": 1.0, "addresses": 0.0},
)
HELD_OUT_SAMPLES: tuple[dict[str, Any], ...] = (
    {"rows": SIZE, "seed": 11, "share": 1.0},
    {"rows": SIZE, "seed": 12, "share": 0.3},
    {"rows": SIZE, "seed": 13, "share": 0.0},
    {"rows": SIZE, "seed": 14, "share": 1.0, "addresses": 0.0},
    {"rows": SIZE, "seed": 15, "share": 0.0, "addresses": 0.0},
)
# Pairs are suggested from this many bits below the score with the best F1: a reviewer prefers one too many.
REVIEW_MARGIN = 0.3


def load(people: People) -> duckdb.DuckDBPyConnection:
    """A DuckDB database with the table ``profiles`` and all candidates compared."""
    db = duckdb.connect()
    db.execute(duckdb_compare.CREATE_TABLE)
    with tempfile.NamedTemporaryFile(suffix=".ndjson") as file:
        for number, row in enumerate(people.rows, 1):
            features = read_features(row)
            values = {name: getattr(features, name) for name in COLUMNS}
            file.write(
                orjson.dumps({"id": number, **values, "ids": [], "singles": [], "keys": match_keys(features)})
                + b"\n"
            )
        file.flush()
        db.execute(
            "INSERT INTO profiles SELECT * FROM read_json(?, format = 'newline_delimited', columns = ?)",
            [file.name, duckdb_compare.TYPES],
        )
    duckdb_compare.find_candidates(db)
    duckdb_compare.measure_rarity(db)
    duckdb_compare.compare(db)
    return db


def feature_matrix(db: duckdb.DuckDBPyConnection, truth: set[tuple[int, int]]) -> tuple[Any, Any, Any]:
    """The regression's matrix, labels and the pairs (l, r) of every candidate."""
    rows = db.execute("SELECT * FROM compared ORDER BY l, r").fetchnumpy()
    columns: list[Any] = []
    for comparison in COMPARISONS:
        level = rows[comparison.field]
        columns.append(level >= 0)  # the weight of the last level, to which the others add
        columns += [(level >= 0) & (level <= index) for index in range(len(comparison.levels) - 1)]
        if comparison.is_rarity_counted:
            columns.append(
                np.where(
                    np.isin(level, [comparison.names.index(name) for name in comparison.rarity_levels]),
                    _without_nan(rows[f"{comparison.field}_bits"]),
                    0.0,
                )
            )
    bits = dict(db.execute("SELECT value, bits FROM rarity WHERE field = 'shared'").fetchall())
    doubled = _doublings(db)
    for interaction in (*INTERACTIONS, *SHARING_TERMS):
        holds = np.ones(len(rows["l"]), bool)
        for name in interaction.when:
            holds &= np.isin(rows[name], interaction.level_numbers(name))
        factor: Any = bits.get(interaction.name, 1.0)
        if interaction.by:
            factor = (
                doubled if interaction.by == PER_DOUBLING else _without_nan(rows[f"{interaction.by}_bits"])
            )
        columns.append(holds * factor)
    columns.append(np.full(len(rows["l"]), bits[DOUBLED]))
    columns.append(np.full(len(rows["l"]), -doubled))
    columns.append(np.ones(len(rows["l"])))
    pairs = np.stack([rows["l"], rows["r"]], 1)
    labels = np.fromiter(((int(a), int(b)) in truth for a, b in pairs), float, len(pairs))
    return np.stack(columns, 1).astype(np.float32), labels, pairs


def _without_nan(bits: Any) -> Any:
    return np.nan_to_num(np.ma.filled(bits, 0.0))


def _doublings(db: duckdb.DuckDBPyConnection) -> float:
    """How often the number of profiles has doubled since ``SIZE``."""
    ((count,),) = db.execute("SELECT count(*) FROM profiles").fetchall()
    return doublings(count, SIZE)


def bounds() -> list[tuple[float, float]]:
    """Steps between levels are never negative; a fifth to all of a name's rarity counts; size never adds."""
    limits: list[tuple[float, float]] = []
    for comparison in COMPARISONS:
        limits.append((-CLAMP, 1.0))
        limits += [(0.0, CLAMP)] * (len(comparison.levels) - 1)
        if comparison.is_rarity_counted:
            limits.append((0.2, 1.0))
    return [
        *limits,
        *[(-CLAMP, CLAMP)] * len(INTERACTIONS),
        *[(0.0, 3.0)] * len(SHARED),
        (0.0, 1.0),
        (-60.0, 60.0),
    ]


def fit(matrix: Any, labels: Any) -> Any:
    """Coefficients in bits."""

    def loss(bits: Any) -> tuple[float, Any]:
        z = (matrix @ bits.astype(np.float32)).astype(np.float64) * LN2
        value = np.logaddexp(0, z) - labels * z
        slope = 1 / (1 + np.exp(-z)) - labels
        ridge = RIDGE * len(labels) * bits[:-1]
        gradient = (slope.astype(np.float32) @ matrix).astype(np.float64) * LN2
        gradient[:-1] += ridge
        return float(value.sum() + 0.5 * (ridge * bits[:-1]).sum()), gradient

    start = np.zeros(matrix.shape[1])
    for index, (low, high) in enumerate(bounds()):
        start[index] = min(max(0.5 if low == 0.2 else 0.0, low), high)
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds(), options={"maxiter": 600}).x


def model_as_json(bits: Any, *, profile_count: int) -> dict[str, Any]:
    """``model.json`` without thresholds."""
    coefficients = iter(bits)
    fields: dict[str, Any] = {}
    for comparison in COMPARISONS:
        weight = next(coefficients)
        steps = [next(coefficients) for _ in range(len(comparison.levels) - 1)]
        weights = [weight + sum(steps[index:]) for index in range(len(steps))] + [weight]
        fields[comparison.field] = {
            "label": comparison.label,
            "levels": {
                level.name: {"weight": round(float(value), 3), "label": level.label, "sql": level.sql}
                for level, value in zip(comparison.levels, weights, strict=True)
            },
        }
        if comparison.is_rarity_counted:
            fields[comparison.field]["rarity"] = round(float(next(coefficients)), 3)
    adjustments: dict[str, Any]
    shared: dict[str, Any]
    adjustments, shared = (
        {
            comparison.name: {
                "weight": round(float(next(coefficients)), 3),
                "label": comparison.label,
                "when": {name: list(levels) for name, levels in comparison.when.items()},
                **({"by": comparison.by} if comparison.by else {}),
            }
            for comparison in of
        }
        for of in (INTERACTIONS, SHARING_TERMS)
    )
    shared[DOUBLED] = {
        "weight": round(float(next(coefficients)), 3),
        "label": "how many people are here twice",
    }
    growth = round(float(next(coefficients)), 3)
    prior = {
        "bits": round(float(next(coefficients)), 3),
        "people": profile_count,
        "bits_per_doubling": growth,
    }
    return {
        "version": VERSION,
        "fields": fields,
        "adjustments": adjustments,
        "shared": shared,
        "prior": prior,
        "thresholds": {},
    }


def curve(scores: Any, labels: Any, truth: int) -> dict[str, float]:
    """Best F1 with its threshold, and the threshold and recall at precision .99."""
    order = np.argsort(-scores)
    true_positives = np.cumsum(labels[order])
    predicted = np.arange(1, len(order) + 1)
    precision, recall = true_positives / predicted, true_positives / truth
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    best_index = int(np.argmax(f1))
    precise = np.nonzero(precision >= 0.99)[0]
    index_at_99 = int(precise[-1]) if len(precise) else 0
    return {
        "best_f1": float(f1[best_index]),
        "best_at": float(scores[order][best_index]),
        "recall_at_99": float(recall[index_at_99]),
        "at_99": float(scores[order][index_at_99]),
        "ceiling": float(true_positives[-1] / truth),
    }


def f1_from(scores: Any, labels: Any, truth: int, threshold: float) -> float:
    """F1 when every pair from this score on counts as found; ``truth``: how many there are."""
    selected = scores >= threshold
    return float(2 * labels[selected].sum() / (selected.sum() + truth))


def scores_of(db: duckdb.DuckDBPyConnection, model: Model, profile_count: int) -> Any:
    return db.execute(
        f"SELECT {duckdb_compare.score_sql(model, profile_count)} AS score FROM compared ORDER BY l, r"
    ).fetchnumpy()["score"]


def main() -> None:
    samples = []
    for sample in SAMPLES:
        people = make_people(**sample)
        matrix, labels, _ = feature_matrix(load(people), people.truth)
        samples.append((matrix, labels))
    model_json = model_as_json(
        fit(np.concatenate([f for f, _ in samples]), np.concatenate([y for _, y in samples])),
        profile_count=SIZE,
    )
    model_json["thresholds"] = {"probable": 99.0, "possible": 0.0}
    model = Model.from_json(model_json)
    at_precision_99, at_best_f1 = [], []
    for sample in HELD_OUT_SAMPLES:
        people = make_people(**sample)
        db = load(people)
        _, labels, _ = feature_matrix(db, people.truth)
        measured = curve(scores_of(db, model, SIZE), labels, len(people.truth))
        print(sample, {name: round(value, 4) for name, value in measured.items()})  # noqa: T201
        at_precision_99.append(measured["at_99"])
        at_best_f1.append(measured["best_at"])
    model_json["thresholds"] = {
        "probable": round(max(at_precision_99), 2),
        "possible": round(min(at_best_f1) - REVIEW_MARGIN, 2),
    }
    FILE.write_text(json.dumps(model_json, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
