"""Whom a few changed people may be: candidates by shared keys, scored in Python as a scan scores all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import orjson
from django.utils import timezone

from cdp.sql import ask, run, together
from profiles.duplicates.finding.match_rows import READ, Row, side_of
from profiles.duplicates.scoring.features import BLOCK
from profiles.duplicates.scoring.households import with_homes
from profiles.duplicates.scoring.interactions import COUNTED
from profiles.duplicates.scoring.levels import COMPARISONS, Levels
from profiles.duplicates.scoring.model import Model, Rarity, Told, rounded, shipped
from profiles.duplicates.scoring.tiers import Classified, Side, classify, facts_of, is_nothing
from profiles.models import MatchCrowd

# One changed person is compared with at most so many; with keys of crowds left out nobody has as many.
MOST = 1000
_COUNTED = [one for one in COMPARISONS if one.is_rarity_counted]
_BASE = """
    SELECT 'people', '', people FROM profiles_matchbase WHERE id = 1
    UNION ALL SELECT field, value, bits FROM profiles_matchrarity
    WHERE (field, value) IN (SELECT * FROM unnest(%b::text[], %b::text[]))
    UNION ALL SELECT field, value, NULL FROM profiles_matchcrowd
    WHERE key IS NULL AND field IN ('email', 'phone') AND value = ANY(%b::text[])"""
_STORED = ", ".join(f"m.{name}" for name in READ)
# Pairs doors and people suggested are compared whether they share a key or not.
_SUGGESTED = "d.verdict IN ('open', 'later') AND d.found_by NOT IN ('scan', 'change') AND d.{0} = ANY(%(people)b::bigint[])"
_HITS = f"""
    SELECT q.id, m.profile_id, ARRAY(SELECT key FROM unnest(m.keys) key WHERE key = ANY(q.keys)), {_STORED}
    FROM (SELECT id, ARRAY(SELECT w.key FROM unnest(keys::bigint[]) AS w (key) WHERE NOT EXISTS (
        SELECT FROM profiles_matchcrowd c WHERE c.key = w.key)) AS keys
        FROM unnest(%(people)b::bigint[], %(keys)b::text[]) AS given (id, keys) OFFSET 0) q
    CROSS JOIN LATERAL (
        SELECT m.* FROM profiles_matchrow m JOIN profiles_profile p ON p.id = m.profile_id AND p.status = 'live'
        WHERE m.keys && q.keys AND m.profile_id <> q.id LIMIT %(most)s) m
    UNION ALL
    SELECT d.one, d.other, NULL, {_STORED} FROM (
        SELECT d.a_id AS one, d.b_id AS other FROM profiles_duplicatepair d WHERE {_SUGGESTED.format("a_id")}
        UNION ALL SELECT d.b_id, d.a_id FROM profiles_duplicatepair d WHERE {_SUGGESTED.format("b_id")}
    ) d JOIN profiles_matchrow m ON m.profile_id = d.other
    JOIN profiles_profile p ON p.id = d.other AND p.status = 'live'"""

# (one, who shares keys with them, these keys, and what ``side_of`` takes)
Hit = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A pair that is something; ``a`` < ``b``. ``through``: by way of whom, where it rests on a third person."""

    a: int
    b: int
    score: float
    classified: Classified
    told: tuple[Told, ...]
    through: int | None = None

    @property
    def evidence(self) -> list[tuple[str, str, float]]:
        """As stored: ``[[field, level, bits]]``."""
        return [(one.field, one.level, rounded(one.weight)) for one in self.told]


@dataclass(frozen=True, slots=True)
class Base:
    """What is known about everybody: how many, how rare names are, and values that say nothing."""

    people: int
    rarity: Rarity
    emails: frozenset[str]
    phones: frozenset[str]

    def without_crowds(self, side: Side) -> Side:
        """A side without addresses and numbers that too many share."""
        traits = side.traits
        if traits.email in self.emails:
            traits = replace(traits, email=None, mailbox=None, domain=None)
        if traits.phone in self.phones:
            traits = replace(traits, phone=None)
        if traits.emails or traits.phones:
            traits = replace(
                traits,
                emails=tuple(one for one in traits.emails if one not in self.emails),
                phones=tuple(one for one in traits.phones if one not in self.phones),
            )
        return side if traits is side.traits else replace(side, traits=traits)


def read_base(sides: Iterable[Side]) -> Base:
    """What comparing these people needs to know. One query."""
    told = {("shared", name) for name in ("", *COUNTED)} | {(one.field, "") for one in _COUNTED}
    contacts: set[str | None] = set()
    for side in sides:
        traits = side.traits
        told.update((one.field, value) for one in _COUNTED if (value := getattr(traits, one.trait)))
        contacts.update((traits.email, traits.phone), traits.emails, traits.phones)
    people, bits, crowds = 0, defaultdict[str, dict[str, float]](dict), defaultdict[str, set[str]](set)
    asked = [[field for field, _ in told], [value for _, value in told], list(contacts - {None})]
    for field, value, number in run(_BASE, asked):
        if field == "people":
            people = int(number)
        elif number is None:
            crowds[field].add(value)
        else:
            bits[field][value] = number
    return Base(people, Rarity(bits), frozenset(crowds["email"]), frozenset(crowds["phone"]))


def find(rows: Sequence[Row]) -> list[Found]:
    """Every pair these people are part of: with whom they share a key, and what doors and people suggested.

    A key of more than ``BLOCK`` people is noted as a crowd and joins nobody. Some queries, however many rows.
    """
    if not rows:
        return []
    sides, pairs = _candidates(rows)
    base = read_base(sides.values())
    clean = {one: base.without_crowds(side) for one, side in sides.items()}
    homes = with_homes({one: side.traits for one, side in clean.items()})
    clean = {one: Side(homes[one], side.ids, side.singles) for one, side in clean.items()}
    model, today = shipped(), timezone.localdate()
    found = (compare(a, b, clean[a], clean[b], base=base, model=model, today=today) for a, b in sorted(pairs))
    return [one for one in found if one is not None]


def compare(a: int, b: int, one: Side, other: Side, *, base: Base, model: Model, today: date) -> Found | None:
    """One pair; None when it is nothing."""
    levels = Levels(one.traits, other.traits)
    facts = facts_of(one, other, levels, today=today, often=base.rarity.often)
    if is_nothing(facts):
        return None
    scored = model.score(one.traits, other.traits, people=base.people, rarity=base.rarity, levels=levels)
    classified = classify(facts, scored, model=model)
    return Found(a, b, scored.score, classified, tuple(scored.told)) if classified.tier else None


def _candidates(rows: Sequence[Row]) -> tuple[dict[int, Side], set[tuple[int, int]]]:
    """Everybody to compare, and which two of them."""
    sides = {row.id: row.side for row in rows}
    pairs: set[tuple[int, int]] = set()
    crowds: set[int] = set()
    for _ in range(3):
        hits, is_full = _hits(rows)
        new = _note_crowds(hits)
        crowds |= new
        if not (new and is_full):
            break
    for one, other, shared, *stored in hits:
        if shared is None or not crowds.issuperset(shared):
            pairs.add((min(one, other), max(one, other)))
            if other not in sides:
                sides[other] = side_of(stored)
    return sides, pairs


def _hits(rows: Sequence[Row]) -> tuple[list[Hit], bool]:
    """Who shares a key with each, and who was suggested (with None for the keys); whether anybody has more than are
    read. One query."""
    told = [orjson.dumps(row.keys).decode().replace("[", "{").replace("]", "}") for row in rows]
    with together():
        # The index of keys is asked once for each; its statistics would make the planner read everything.
        ask("SET LOCAL enable_seqscan = off", [])
        asked = ask(_HITS, {"people": [row.id for row in rows], "keys": told, "most": MOST})
        ask("SET LOCAL enable_seqscan = on", [])
        hits = asked.value
    counts = Counter(one for one, _, shared, *_ in hits if shared is not None)
    return hits, any(count >= MOST for count in counts.values())


def _note_crowds(hits: Sequence[Hit]) -> set[int]:
    """Keys that turn out to be held by too many; remembered for the next change."""
    counts = Counter((one, key) for one, _, shared, *_ in hits for key in shared or ())
    found = {key: count + 1 for (_, key), count in counts.items() if count >= BLOCK}
    if found:
        MatchCrowd.objects.bulk_create(
            [MatchCrowd(field="key", key=key, holders=count) for key, count in sorted(found.items())],
            ignore_conflicts=True,
        )
    return set(found)
