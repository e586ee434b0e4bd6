"""Stored pairs → pairs of two profiles that are each likely the same third one: of three profiles of one
person, the first and the last may have little in common.

Such a pair is *possible* whatever it scores, and as likely as the weaker of the two links it rests on. A
veto between the two counts, and so do decisions. Derived from stored pairs alone, by the same code after a
scan and after a change. A pair found by the two profiles' own values is never one of these.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations

from django.utils import timezone

from cdp.sql import ask, run, together
from profiles.duplicates.finding import store
from profiles.duplicates.finding.incremental import BaseStatistics, ScoredPair, read_base_statistics
from profiles.duplicates.finding.match_rows import READ, compared_profile
from profiles.duplicates.scoring.levels import Levels
from profiles.duplicates.scoring.model import Evidence, Model, shipped
from profiles.duplicates.scoring.tiers import (
    CERTAIN,
    POSSIBLE,
    TRANSITIVE,
    Classification,
    ComparedProfile,
    compare_facts,
    veto_of,
)

# A profile with more links than this has a common name, and connects nobody.
MAX_LINKS = 20
# How many pairs are compared at a time.
CHUNK = 2_000
# Found by the two profiles' own values, or decided. A pair that only a source suggested, without evidence, is no link
# itself, and may rest on a third profile.
_DIRECT = "through_id IS NULL AND (evidence <> '[]' OR verdict NOT IN ('open', 'later'))"
_IS_LINK = "verdict IN ('open', 'later') AND tier <> 'related' AND veto = '' AND through_id IS NULL AND evidence <> '[]'"
_AROUND_SQL = f"""
    WITH RECURSIVE touched AS MATERIALIZED (
        SELECT a_id, b_id FROM profiles_duplicatepair WHERE through_id = ANY(%(roots)b::bigint[])
        UNION SELECT a_id, b_id FROM profiles_duplicatepair
            WHERE a_id = ANY(%(roots)b::bigint[]) AND through_id IS NOT NULL
        UNION SELECT a_id, b_id FROM profiles_duplicatepair
            WHERE b_id = ANY(%(roots)b::bigint[]) AND through_id IS NOT NULL
    ), circle (id, steps) AS (
        (SELECT unnest(%(roots)b::bigint[]), 0 UNION SELECT a_id, 0 FROM touched UNION SELECT b_id, 0 FROM touched)
        UNION
        SELECT n.id, c.steps + 1 FROM circle c CROSS JOIN LATERAL (
            SELECT b_id AS id FROM profiles_duplicatepair WHERE a_id = c.id AND {_IS_LINK}
            UNION ALL SELECT a_id FROM profiles_duplicatepair WHERE b_id = c.id AND {_IS_LINK}) n
        WHERE c.steps < 2
    ), near AS MATERIALIZED (SELECT DISTINCT id FROM circle)
    SELECT p.* FROM near CROSS JOIN LATERAL (
        SELECT a_id, b_id, tier, score, {_IS_LINK} FROM profiles_duplicatepair
        WHERE a_id = near.id AND {_DIRECT}
        UNION ALL SELECT a_id, b_id, tier, score, {_IS_LINK} FROM profiles_duplicatepair
        WHERE b_id = near.id AND {_DIRECT}) p
    UNION ALL SELECT a_id, b_id, NULL, NULL, NULL FROM touched"""
_ALL_SQL = f"SELECT a_id, b_id, tier, score FROM profiles_duplicatepair WHERE {_IS_LINK}"
_KNOWN_SQL = f"""
    SELECT g.a, g.b FROM unnest(%b::bigint[], %b::bigint[]) AS g (a, b)
    JOIN profiles_duplicatepair p ON p.a_id = g.a AND p.b_id = g.b AND {_DIRECT}"""
# Decided to be different people, by any of their member profiles.
_APART_SQL = """
    SELECT g.a, g.b FROM unnest(%b::bigint[], %b::bigint[]) AS g (a, b) WHERE EXISTS (
        SELECT FROM profiles_profile x CROSS JOIN profiles_profile y JOIN profiles_duplicatepair p
        ON p.a_id = least(x.id, y.id) AND p.b_id = greatest(x.id, y.id) AND p.verdict = 'not_duplicate'
        WHERE x.canonical_id = g.a AND y.canonical_id = g.b)"""
_PROFILES_SQL = (
    f"SELECT m.profile_id, {', '.join(f'm.{name}' for name in READ)} FROM profiles_matchrow m"
    " JOIN profiles_profile p ON p.id = m.profile_id AND p.status = 'live' WHERE m.profile_id = ANY(%b::bigint[])"
)


@dataclass(frozen=True, slots=True)
class DirectPair:
    """A pair found by the two profiles' own values, without a veto."""

    a: int
    b: int
    tier: str
    score: float

    @property
    def bits(self) -> float:
        """The score, for a certain pair at least the threshold of *probable*: rules may make a low score
        certain.
        """
        return max(self.score, shipped().thresholds["probable"]) if self.tier == CERTAIN else self.score


@dataclass(frozen=True, slots=True)
class TransitivePair:
    """``a`` < ``b`` are both linked to ``via_id``, not to each other; ``bits`` of the weaker link."""

    a: int
    b: int
    via_id: int
    bits: float


def transitive_pairs(links: Iterable[DirectPair]) -> list[TransitivePair]:
    """Every two profiles with a third between them, by the likeliest third; of equals the smallest id.
    Pure.
    """
    partners: dict[int, dict[int, float]] = defaultdict(dict)
    for link in links:
        partners[link.a][link.b] = partners[link.b][link.a] = link.bits
    best: dict[tuple[int, int], TransitivePair] = {}
    for via_id in sorted(partners):
        linked = partners[via_id]
        if len(linked) > MAX_LINKS:
            continue
        for a, b in combinations(sorted(linked), 2):
            bits = min(linked[a], linked[b])
            known = best.get((a, b))
            if b not in partners[a] and (known is None or bits > known.bits):
                best[a, b] = TransitivePair(a, b, via_id, bits)
    return [best[ids] for ids in sorted(best)]


def compare_ends(
    pair: TransitivePair,
    profiles: Mapping[int, ComparedProfile],
    *,
    base: BaseStatistics,
    model: Model,
    today: date,
) -> ScoredPair | None:
    """The evidence of the two profiles' own values and of the third; None where a veto objects."""
    left, right = profiles[pair.a], profiles[pair.b]
    levels = Levels(left.features, right.features)
    if veto_of(compare_facts(left, right, levels, today=today)):
        return None
    scored = model.score(
        left.features, right.features, profile_count=base.profile_count, rarity=base.rarity, levels=levels
    )
    score = max(scored.score, pair.bits)
    evidence = tuple(scored.evidence)
    if score > scored.score:
        evidence += (Evidence("", TRANSITIVE, score - scored.score),)
    return ScoredPair(pair.a, pair.b, score, Classification(POSSIBLE, TRANSITIVE), evidence, pair.via_id)


def refresh(roots: Sequence[int]) -> None:
    """Update the transitive pairs these profiles are part of or the third of; name merged and deleted ones
    as well.

    One query for profiles without links, a fixed number for others. A profile that drops below
    ``MAX_LINKS`` links by another's change is noticed by the next scan.
    """
    if not roots:
        return
    rows = run(_AROUND_SQL, {"roots": list(roots)})
    touched = {(a, b) for a, b, tier, *_ in rows if tier is None}
    known = {(a, b) for a, b, tier, *_ in rows if tier is not None}
    links = {(a, b): DirectPair(a, b, tier, score) for a, b, tier, score, is_link in rows if is_link}
    changed = set(roots)
    pairs = [
        pair
        for pair in transitive_pairs(links.values())
        if (both := (pair.a, pair.b)) not in known
        and (both in touched or not changed.isdisjoint((*both, pair.via_id)))
    ]
    if pairs or touched:
        store.store_transitive(_scored(pairs), among=touched)


def rebuild() -> int:
    """The same for every profile; how many transitive pairs there are."""
    pairs = transitive_pairs(DirectPair(*row) for row in run(_ALL_SQL, []))
    unknown: list[TransitivePair] = []
    for chunk in _chunks(pairs):
        known = set(run(_KNOWN_SQL, _id_columns(chunk)))
        unknown += [pair for pair in chunk if (pair.a, pair.b) not in known]
    return store.store_transitive(_scored(unknown), among=None)


def _chunks(pairs: Sequence[TransitivePair]) -> Iterator[Sequence[TransitivePair]]:
    return (pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK))


def _id_columns(pairs: Sequence[TransitivePair]) -> list[list[int]]:
    return [[pair.a for pair in pairs], [pair.b for pair in pairs]]


def _scored(pairs: Sequence[TransitivePair]) -> Iterator[ScoredPair]:
    """Those without a veto or an objecting decision. Three queries for each ``CHUNK``."""
    model, today = shipped(), timezone.localdate()
    for chunk in _chunks(pairs):
        with together():
            apart = ask(_APART_SQL, _id_columns(chunk))
            stored = ask(_PROFILES_SQL, [sorted({pk for pair in chunk for pk in (pair.a, pair.b)})])
        profiles = {pk: compared_profile(columns) for pk, *columns in stored.value}
        base = read_base_statistics(profiles.values())
        profiles = {pk: base.without_frequent_values(profile) for pk, profile in profiles.items()}
        told_apart = set(apart.value)
        for pair in chunk:
            if (pair.a, pair.b) in told_apart or pair.a not in profiles or pair.b not in profiles:
                continue
            scored = compare_ends(pair, profiles, base=base, model=model, today=today)
            if scored is not None:
                yield scored
