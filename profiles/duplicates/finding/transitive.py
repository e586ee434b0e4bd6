"""Two who are both likely one third: of somebody's three profiles the first and the last may have little in common.

Such a pair is *possible*, whatever it scores, and as likely as the weaker of the two links it rests on. A veto between the
two stands, and so does what people decided. Derived from stored pairs alone, after a scan and after a change by the
same code; a pair that is found by what the two say themselves is never one of these.
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
from profiles.duplicates.finding.incremental import Base, Found, read_base
from profiles.duplicates.finding.match_rows import READ, side_of
from profiles.duplicates.scoring.levels import Levels
from profiles.duplicates.scoring.model import Model, Told, shipped
from profiles.duplicates.scoring.tiers import CERTAIN, POSSIBLE, THROUGH, Classified, Side, facts_of, veto_of

# Whoever may be more people than this is a common name rather than somebody in between.
MOST = 20
# How many are compared at a time.
CHUNK = 2_000
# What the two say themselves, or somebody decided. What only a door suggested, with nothing that speaks for it, may rest
# on a third, and is no link itself.
_OWN = "through_id IS NULL AND (evidence <> '[]' OR verdict NOT IN ('open', 'later'))"
_LINKED = "verdict IN ('open', 'later') AND tier <> 'related' AND veto = '' AND through_id IS NULL AND evidence <> '[]'"
_AROUND = f"""
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
            SELECT b_id AS id FROM profiles_duplicatepair WHERE a_id = c.id AND {_LINKED}
            UNION ALL SELECT a_id FROM profiles_duplicatepair WHERE b_id = c.id AND {_LINKED}) n
        WHERE c.steps < 2
    ), near AS MATERIALIZED (SELECT DISTINCT id FROM circle)
    SELECT p.* FROM near CROSS JOIN LATERAL (
        SELECT a_id, b_id, tier, score, {_LINKED} FROM profiles_duplicatepair
        WHERE a_id = near.id AND {_OWN}
        UNION ALL SELECT a_id, b_id, tier, score, {_LINKED} FROM profiles_duplicatepair
        WHERE b_id = near.id AND {_OWN}) p
    UNION ALL SELECT a_id, b_id, NULL, NULL, NULL FROM touched"""
_ALL = f"SELECT a_id, b_id, tier, score FROM profiles_duplicatepair WHERE {_LINKED}"
_KNOWN = f"""
    SELECT g.a, g.b FROM unnest(%b::bigint[], %b::bigint[]) AS g (a, b)
    JOIN profiles_duplicatepair p ON p.a_id = g.a AND p.b_id = g.b AND {_OWN}"""
# Told apart by somebody, whichever of their profiles it was.
_APART = """
    SELECT g.a, g.b FROM unnest(%b::bigint[], %b::bigint[]) AS g (a, b) WHERE EXISTS (
        SELECT FROM profiles_profile x CROSS JOIN profiles_profile y JOIN profiles_duplicatepair p
        ON p.a_id = least(x.id, y.id) AND p.b_id = greatest(x.id, y.id) AND p.verdict = 'not_duplicate'
        WHERE x.canonical_id = g.a AND y.canonical_id = g.b)"""
_SIDES = (
    f"SELECT m.profile_id, {', '.join(f'm.{name}' for name in READ)} FROM profiles_matchrow m"
    " JOIN profiles_profile p ON p.id = m.profile_id AND p.status = 'live' WHERE m.profile_id = ANY(%b::bigint[])"
)


@dataclass(frozen=True, slots=True)
class Link:
    """A pair found by what the two say themselves, and that no veto objects to."""

    a: int
    b: int
    tier: str
    score: float

    @property
    def bits(self) -> float:
        """What makes a pair certain may score little: it counts as much as what is probable at least."""
        return max(self.score, shipped().thresholds["probable"]) if self.tier == CERTAIN else self.score


@dataclass(frozen=True, slots=True)
class Bridge:
    """``a`` < ``b`` are linked to ``through``, not to each other; ``bits`` of the weaker link."""

    a: int
    b: int
    through: int
    bits: float


def bridges(links: Iterable[Link]) -> list[Bridge]:
    """Every two with somebody in between, by whom it is likeliest; of equals the smallest id. Pure."""
    partners: dict[int, dict[int, float]] = defaultdict(dict)
    for link in links:
        partners[link.a][link.b] = partners[link.b][link.a] = link.bits
    best: dict[tuple[int, int], Bridge] = {}
    for through in sorted(partners):
        held = partners[through]
        if len(held) > MOST:
            continue
        for a, b in combinations(sorted(held), 2):
            bits = min(held[a], held[b])
            known = best.get((a, b))
            if b not in partners[a] and (known is None or bits > known.bits):
                best[a, b] = Bridge(a, b, through, bits)
    return [best[both] for both in sorted(best)]


def compare(
    bridge: Bridge, sides: Mapping[int, Side], *, base: Base, model: Model, today: date
) -> Found | None:
    """What the two say themselves, and what is said by way of the third; None where a veto objects."""
    one, other = sides[bridge.a], sides[bridge.b]
    levels = Levels(one.traits, other.traits)
    if veto_of(facts_of(one, other, levels, today=today)):
        return None
    scored = model.score(one.traits, other.traits, people=base.people, rarity=base.rarity, levels=levels)
    score = max(scored.score, bridge.bits)
    told = tuple(scored.told)
    if score > scored.score:
        told += (Told("", THROUGH, score - scored.score),)
    return Found(bridge.a, bridge.b, score, Classified(POSSIBLE, THROUGH), told, bridge.through)


def refresh(roots: Sequence[int]) -> None:
    """Bring the pairs these people are part of or in between of up to date; who was merged or is gone is named as well.

    One query for who has no links, a fixed number for others. Whoever comes to have fewer than ``MOST`` links by somebody
    else's change is noticed by the next scan.
    """
    if not roots:
        return
    told = run(_AROUND, {"roots": list(roots)})
    touched = {(a, b) for a, b, tier, *_ in told if tier is None}
    known = {(a, b) for a, b, tier, *_ in told if tier is not None}
    links = {(a, b): Link(a, b, tier, score) for a, b, tier, score, is_link in told if is_link}
    theirs = set(roots)
    found = [
        one
        for one in bridges(links.values())
        if (both := (one.a, one.b)) not in known
        and (both in touched or not theirs.isdisjoint((*both, one.through)))
    ]
    if found or touched:
        store.take_over_bridged(_compared(found), among=touched)


def rebuild() -> int:
    """The same for everybody; how many there are."""
    found = bridges(Link(*row) for row in run(_ALL, []))
    free: list[Bridge] = []
    for some in _chunks(found):
        known = set(run(_KNOWN, _columns(some)))
        free += [one for one in some if (one.a, one.b) not in known]
    return store.take_over_bridged(_compared(free), among=None)


def _chunks(found: Sequence[Bridge]) -> Iterator[Sequence[Bridge]]:
    return (found[start : start + CHUNK] for start in range(0, len(found), CHUNK))


def _columns(found: Sequence[Bridge]) -> list[list[int]]:
    return [[one.a for one in found], [one.b for one in found]]


def _compared(found: Sequence[Bridge]) -> Iterator[Found]:
    """Those that neither a person nor a veto objects to. Three queries for each ``CHUNK``."""
    model, today = shipped(), timezone.localdate()
    for some in _chunks(found):
        with together():
            apart = ask(_APART, _columns(some))
            ends = ask(_SIDES, [sorted({pk for one in some for pk in (one.a, one.b)})])
        sides = {pk: side_of(stored) for pk, *stored in ends.value}
        base = read_base(sides.values())
        sides = {pk: base.without_crowds(side) for pk, side in sides.items()}
        objected = set(apart.value)
        for bridge in some:
            if (bridge.a, bridge.b) in objected or bridge.a not in sides or bridge.b not in sides:
                continue
            one = compare(bridge, sides, base=base, model=model, today=today)
            if one is not None:
                yield one
