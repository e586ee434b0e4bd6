"""Fits ``model.json``: a logistic regression on labelled candidate pairs of invented people. Run as a module.

Weights of a field fall with its levels and are clamped; thresholds are read off people the fit has not seen.
Needs the packages of the ``dev`` extra (numpy, scipy, Faker).
"""

from __future__ import annotations

import json
import tempfile
from typing import Any

import duckdb
import numpy as np
import orjson
from scipy.optimize import minimize

from profiles.duplicates import bulk
from profiles.duplicates.keys import match_keys
from profiles.duplicates.levels import ADJUSTMENTS, COMPARISONS
from profiles.duplicates.model import FILE, Model
from profiles.duplicates.training.people import People, make_people
from profiles.duplicates.traits import COLUMNS, read_traits

LN2 = float(np.log(2))
CLAMP = 9.0
RIDGE = 2e-5
# Bits by which a pair's chances fall when the base doubles: measured between 60,000 and 1,000,000 people.
GROWTH = 0.6
VERSION = "2"
# Bits below the score with the best F1 from which pairs are shown: a reviewer would rather see one too many.
GENEROSITY = 0.5


def load(people: People) -> duckdb.DuckDBPyConnection:
    """A database with the table ``people`` and all candidates compared."""
    db = duckdb.connect()
    db.execute(bulk.PEOPLE)
    with tempfile.NamedTemporaryFile(suffix=".ndjson") as file:
        for number, row in enumerate(people.rows, 1):
            traits = read_traits(row)
            told = {name: getattr(traits, name) for name in COLUMNS}
            file.write(
                orjson.dumps({"id": number, **told, "ids": [], "singles": [], "keys": match_keys(traits)})
                + b"\n"
            )
        file.flush()
        db.execute(
            "INSERT INTO people SELECT * FROM read_json(?, format = 'newline_delimited', columns = ?)",
            [file.name, bulk.TYPES],
        )
    bulk.find_candidates(db)
    bulk.measure_rarity(db)
    bulk.compare(db)
    return db


def matrix(db: duckdb.DuckDBPyConnection, truth: set[tuple[int, int]]) -> tuple[Any, Any, Any]:
    """Features, labels and the pairs (l, r) of every candidate."""
    rows = db.execute("SELECT * FROM compared ORDER BY l, r").fetchnumpy()
    columns: list[Any] = []
    for one in COMPARISONS:
        level = rows[one.field]
        columns.append(level >= 0)  # the weight of the last level, which the others add to
        columns += [(level >= 0) & (level <= place) for place in range(len(one.levels) - 1)]
        if one.is_rarity_counted:
            columns.append(
                np.where(
                    np.isin(level, [one.names.index(name) for name in one.rarity_levels]),
                    np.nan_to_num(np.ma.filled(rows[f"{one.field}_bits"], 0.0)),
                    0.0,
                )
            )
    for adjustment in ADJUSTMENTS:
        hit = np.ones(len(rows["l"]), bool)
        for name in adjustment.when:
            hit &= np.isin(rows[name], adjustment.places(name))
        columns.append(hit)
    columns.append(np.ones(len(rows["l"])))
    pairs = np.stack([rows["l"], rows["r"]], 1)
    labels = np.fromiter(((int(a), int(b)) in truth for a, b in pairs), float, len(pairs))
    return np.stack(columns, 1).astype(np.float32), labels, pairs


def bounds() -> list[tuple[float, float]]:
    """Steps between levels are never negative; half to all of a name's rarity counts."""
    found: list[tuple[float, float]] = []
    for one in COMPARISONS:
        found.append((-CLAMP, 1.0))
        found += [(0.0, CLAMP)] * (len(one.levels) - 1)
        if one.is_rarity_counted:
            found.append((0.2, 1.0))
    return [*found, *[(-CLAMP, CLAMP)] * len(ADJUSTMENTS), (-60.0, 60.0)]


def fit(features: Any, labels: Any) -> Any:
    """Coefficients in bits."""

    def loss(bits: Any) -> tuple[float, Any]:
        z = (features @ bits.astype(np.float32)).astype(np.float64) * LN2
        value = np.logaddexp(0, z) - labels * z
        slope = 1 / (1 + np.exp(-z)) - labels
        ridge = RIDGE * len(labels) * bits[:-1]
        gradient = (slope.astype(np.float32) @ features).astype(np.float64) * LN2
        gradient[:-1] += ridge
        return float(value.sum() + 0.5 * (ridge * bits[:-1]).sum()), gradient

    start = np.zeros(features.shape[1])
    for place, (low, high) in enumerate(bounds()):
        start[place] = min(max(0.5 if low == 0.2 else 0.0, low), high)
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds(), options={"maxiter": 600}).x


def written(bits: Any, *, people: int) -> dict[str, Any]:
    """``model.json`` without thresholds."""
    left = iter(bits)
    fields: dict[str, Any] = {}
    for one in COMPARISONS:
        weight = next(left)
        steps = [next(left) for _ in range(len(one.levels) - 1)]
        weights = [weight + sum(steps[place:]) for place in range(len(steps))] + [weight]
        fields[one.field] = {
            "label": one.label,
            "levels": {
                level.name: {"weight": round(float(value), 3), "label": level.label, "sql": level.sql}
                for level, value in zip(one.levels, weights, strict=True)
            },
        }
        if one.is_rarity_counted:
            fields[one.field]["rarity"] = round(float(next(left)), 3)
    adjustments = {
        one.name: {
            "weight": round(float(next(left)), 3),
            "label": one.label,
            "when": {name: list(levels) for name, levels in one.when.items()},
        }
        for one in ADJUSTMENTS
    }
    prior = {"bits": round(float(next(left)), 3), "people": people, "bits_per_doubling": GROWTH}
    return {
        "version": VERSION,
        "fields": fields,
        "adjustments": adjustments,
        "prior": prior,
        "thresholds": {},
    }


def curve(scores: Any, labels: Any, truth: int) -> dict[str, float]:
    """Best F1 with its threshold, and the threshold and recall at precision .99."""
    order = np.argsort(-scores)
    hit = np.cumsum(labels[order])
    seen = np.arange(1, len(order) + 1)
    precision, recall = hit / seen, hit / truth
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    best = int(np.argmax(f1))
    sure = np.nonzero(precision >= 0.99)[0]
    at = int(sure[-1]) if len(sure) else 0
    return {
        "best_f1": float(f1[best]),
        "best_at": float(scores[order][best]),
        "recall_at_99": float(recall[at]),
        "at_99": float(scores[order][at]),
        "ceiling": float(hit[-1] / truth),
    }


def scores_of(db: duckdb.DuckDBPyConnection, model: Model, people: int) -> Any:
    return db.execute(
        f"SELECT {bulk.score_sql(model, people)} AS score FROM compared ORDER BY l, r"
    ).fetchnumpy()["score"]


def main() -> None:
    size = 80_000
    samples = []
    for seed, share in ((1, 1.0), (2, 0.3), (3, 0.0), (4, 1.0)):
        people = make_people(rows=size, seed=seed, share=share)
        features, labels, _ = matrix(load(people), people.truth)
        samples.append((features, labels))
    told = written(
        fit(np.concatenate([f for f, _ in samples]), np.concatenate([y for _, y in samples])), people=size
    )
    told["thresholds"] = {"probable": 99.0, "possible": 0.0}
    model = Model.of(told)
    sure, best = [], []
    for seed, share in ((11, 1.0), (12, 0.3), (13, 0.0)):
        people = make_people(rows=size, seed=seed, share=share)
        db = load(people)
        _, labels, _ = matrix(db, people.truth)
        seen = curve(scores_of(db, model, size), labels, len(people.truth))
        print(share, {name: round(value, 4) for name, value in seen.items()})  # noqa: T201
        sure.append(seen["at_99"])
        best.append(seen["best_at"])
    told["thresholds"] = {
        "probable": round(max(sure), 2),
        "possible": round(min(best) - GENEROSITY, 2),
    }
    FILE.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
