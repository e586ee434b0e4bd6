"""A DuckDB table of profiles → the pairs a scan would suggest, transitive ones included."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from profiles.duplicates.finding.incremental import BaseStatistics
from profiles.duplicates.finding.match_rows import READ, compared_profile
from profiles.duplicates.finding.transitive import DirectPair, compare_ends, transitive_pairs
from profiles.duplicates.scoring import duckdb_compare
from profiles.duplicates.scoring.model import Rarity, shipped

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def suggested(db: DuckDBPyConnection, people: int, truth: set[tuple[int, int]]) -> tuple[Any, Any]:
    """Scores and labels of the certain, probable and possible pairs, transitive ones included."""
    duckdb_compare.classify(db, shipped(), people)
    classified = db.execute("SELECT l, r, tier, score, veto FROM classified").fetchall()
    scores = {(a, b): score for a, b, tier, score, _ in classified if tier != "related"}
    known = {(a, b) for a, b, *_ in classified}
    links = [
        DirectPair(a, b, tier, score)
        for a, b, tier, score, veto in classified
        if tier != "related" and not veto
    ]
    free = [pair for pair in transitive_pairs(links) if (pair.a, pair.b) not in known]
    ends = sorted({pk for pair in free for pk in (pair.a, pair.b)})
    rows = db.execute(
        f"SELECT id, {', '.join(READ)} FROM profiles WHERE list_contains(?, id)", [ends]
    ).fetchall()
    sides = {
        pk: compared_profile([*(str(pair) if isinstance(pair, date) else pair for pair in stored)])
        for pk, *stored in rows
    }
    rarity: dict[str, dict[str, float]] = defaultdict(dict)
    for field, value, bits in db.execute("SELECT field, value, bits FROM rarity").fetchall():
        rarity[field][value] = bits
    base = BaseStatistics(people, Rarity(rarity), frozenset(), frozenset())
    for bridge in free:
        pair = compare_ends(bridge, sides, base=base, model=shipped(), today=date.today())
        if pair is not None:
            scores[pair.a, pair.b] = pair.score
    labels = np.fromiter((both in truth for both in scores), float, len(scores))
    return np.fromiter(scores.values(), float, len(scores)), labels
