"""What the queue offers of a base that is in DuckDB alone: as a scan finds, classifies and bridges it."""

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
    """Scores and labels of the pairs that are certain, probable or possible; those by way of a third among them."""
    duckdb_compare.classify(db, shipped(), people)
    found = db.execute("SELECT l, r, tier, score, veto FROM classified").fetchall()
    scores = {(a, b): score for a, b, tier, score, _ in found if tier != "related"}
    known = {(a, b) for a, b, *_ in found}
    links = [
        DirectPair(a, b, tier, score) for a, b, tier, score, veto in found if tier != "related" and not veto
    ]
    free = [one for one in transitive_pairs(links) if (one.a, one.b) not in known]
    ends = sorted({pk for one in free for pk in (one.a, one.b)})
    rows = db.execute(
        f"SELECT id, {', '.join(READ)} FROM profiles WHERE list_contains(?, id)", [ends]
    ).fetchall()
    sides = {
        pk: compared_profile([*(str(one) if isinstance(one, date) else one for one in stored)])
        for pk, *stored in rows
    }
    rarity: dict[str, dict[str, float]] = defaultdict(dict)
    for field, value, bits in db.execute("SELECT field, value, bits FROM rarity").fetchall():
        rarity[field][value] = bits
    base = BaseStatistics(people, Rarity(rarity), frozenset(), frozenset())
    for bridge in free:
        one = compare_ends(bridge, sides, base=base, model=shipped(), today=date.today())
        if one is not None:
            scores[one.a, one.b] = one.score
    labels = np.fromiter((both in truth for both in scores), float, len(scores))
    return np.fromiter(scores.values(), float, len(scores)), labels
