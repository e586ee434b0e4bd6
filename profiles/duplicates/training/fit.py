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

from profiles.duplicates.scoring import duckdb_compare
from profiles.duplicates.scoring.features import COLUMNS, match_keys, read_traits
from profiles.duplicates.scoring.interaction_terms import ADJUSTMENTS
from profiles.duplicates.scoring.interactions import DOUBLED, PER_PEOPLE, SHARED, SHARINGS
from profiles.duplicates.scoring.levels import COMPARISONS
from profiles.duplicates.scoring.model import FILE, Model, doublings
from profiles.duplicates.training.synthetic_people import People, make_people

LN2 = float(np.log(2))
CLAMP = 9.0
RIDGE = 2e-5
VERSION = "5"
SIZE = 80_000
# How bases differ: how many people, how often households share e-mails and phones, how many are families, how many
# people come twice, whether addresses are asked for. What size, sharing and doubling say is learned from the differences.
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
UNSEEN: tuple[dict[str, Any], ...] = (
    {"rows": SIZE, "seed": 11, "share": 1.0},
    {"rows": SIZE, "seed": 12, "share": 0.3},
    {"rows": SIZE, "seed": 13, "share": 0.0},
    {"rows": SIZE, "seed": 14, "share": 1.0, "addresses": 0.0},
    {"rows": SIZE, "seed": 15, "share": 0.0, "addresses": 0.0},
)
# Bits below the score with the best F1 from which pairs are shown: a reviewer would rather see one too many.
GENEROSITY = 0.3


def load(people: People) -> duckdb.DuckDBPyConnection:
    """A database with the table ``people`` and all candidates compared."""
    db = duckdb.connect()
    db.execute(duckdb_compare.PEOPLE)
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
            [file.name, duckdb_compare.TYPES],
        )
    duckdb_compare.find_candidates(db)
    duckdb_compare.measure_rarity(db)
    duckdb_compare.compare(db)
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
                    _known(rows[f"{one.field}_bits"]),
                    0.0,
                )
            )
    bits = dict(db.execute("SELECT value, bits FROM rarity WHERE field = 'shared'").fetchall())
    doubled = _doublings(db)
    for together in (*ADJUSTMENTS, *SHARINGS):
        hit = np.ones(len(rows["l"]), bool)
        for name in together.when:
            hit &= np.isin(rows[name], together.places(name))
        times: Any = bits.get(together.name, 1.0)
        if together.by:
            times = doubled if together.by == PER_PEOPLE else _known(rows[f"{together.by}_bits"])
        columns.append(hit * times)
    columns.append(np.full(len(rows["l"]), bits[DOUBLED]))
    columns.append(np.full(len(rows["l"]), -doubled))
    columns.append(np.ones(len(rows["l"])))
    pairs = np.stack([rows["l"], rows["r"]], 1)
    labels = np.fromiter(((int(a), int(b)) in truth for a, b in pairs), float, len(pairs))
    return np.stack(columns, 1).astype(np.float32), labels, pairs


def _known(bits: Any) -> Any:
    return np.nan_to_num(np.ma.filled(bits, 0.0))


def _doublings(db: duckdb.DuckDBPyConnection) -> float:
    """How often the people of ``SIZE`` doubled."""
    ((count,),) = db.execute("SELECT count(*) FROM people").fetchall()
    return doublings(count, SIZE)


def bounds() -> list[tuple[float, float]]:
    """Steps between levels are never negative; a fifth to all of a name's rarity counts; more people, fewer are one."""
    found: list[tuple[float, float]] = []
    for one in COMPARISONS:
        found.append((-CLAMP, 1.0))
        found += [(0.0, CLAMP)] * (len(one.levels) - 1)
        if one.is_rarity_counted:
            found.append((0.2, 1.0))
    return [
        *found,
        *[(-CLAMP, CLAMP)] * len(ADJUSTMENTS),
        *[(0.0, 3.0)] * len(SHARED),
        (0.0, 1.0),
        (-60.0, 60.0),
    ]


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
    adjustments: dict[str, Any]
    shared: dict[str, Any]
    adjustments, shared = (
        {
            one.name: {
                "weight": round(float(next(left)), 3),
                "label": one.label,
                "when": {name: list(levels) for name, levels in one.when.items()},
                **({"by": one.by} if one.by else {}),
            }
            for one in of
        }
        for of in (ADJUSTMENTS, SHARINGS)
    )
    shared[DOUBLED] = {"weight": round(float(next(left)), 3), "label": "how many people are here twice"}
    growth = round(float(next(left)), 3)
    prior = {"bits": round(float(next(left)), 3), "people": people, "bits_per_doubling": growth}
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


def f1_from(scores: Any, labels: Any, truth: int, threshold: float) -> float:
    """F1 when every pair from this score on counts as found; ``truth``: how many there are."""
    kept = scores >= threshold
    return float(2 * labels[kept].sum() / (kept.sum() + truth))


def scores_of(db: duckdb.DuckDBPyConnection, model: Model, people: int) -> Any:
    return db.execute(
        f"SELECT {duckdb_compare.score_sql(model, people)} AS score FROM compared ORDER BY l, r"
    ).fetchnumpy()["score"]


def main() -> None:
    samples = []
    for sample in SAMPLES:
        people = make_people(**sample)
        features, labels, _ = matrix(load(people), people.truth)
        samples.append((features, labels))
    told = written(
        fit(np.concatenate([f for f, _ in samples]), np.concatenate([y for _, y in samples])), people=SIZE
    )
    told["thresholds"] = {"probable": 99.0, "possible": 0.0}
    model = Model.of(told)
    sure, best = [], []
    for sample in UNSEEN:
        people = make_people(**sample)
        db = load(people)
        _, labels, _ = matrix(db, people.truth)
        seen = curve(scores_of(db, model, SIZE), labels, len(people.truth))
        print(sample, {name: round(value, 4) for name, value in seen.items()})  # noqa: T201
        sure.append(seen["at_99"])
        best.append(seen["best_at"])
    told["thresholds"] = {
        "probable": round(max(sure), 2),
        "possible": round(min(best) - GENEROSITY, 2),
    }
    FILE.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
