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
from profiles.duplicates.finding.match_rows import READ, BuiltMatchRow, compared_profile
from profiles.duplicates.scoring.features import MAX_KEY_HOLDERS
from profiles.duplicates.scoring.households import with_household_values
from profiles.duplicates.scoring.interactions import MEASURED
from profiles.duplicates.scoring.levels import COMPARISONS, Levels
from profiles.duplicates.scoring.model import Evidence, Model, Rarity, rounded, shipped
from profiles.duplicates.scoring.tiers import (
    Classification,
    ComparedProfile,
    classify,
    compare_facts,
    is_nothing,
)
from profiles.models import MatchCrowd

# One changed person is compared with at most so many; with keys of crowds left out nobody has as many.
MAX_CANDIDATES = 1000
_RARITY_COMPARISONS = [one for one in COMPARISONS if one.is_rarity_counted]
_BASE_SQL = """
    SELECT 'people', '', people FROM profiles_matchbase WHERE id = 1
    UNION ALL SELECT field, value, bits FROM profiles_matchrarity
    WHERE (field, value) IN (SELECT * FROM unnest(%b::text[], %b::text[]))
    UNION ALL SELECT field, value, NULL FROM profiles_matchcrowd
    WHERE key IS NULL AND field IN ('email', 'phone') AND value = ANY(%b::text[])"""
_READ_COLUMNS = ", ".join(f"m.{name}" for name in READ)
# Pairs doors and people suggested are compared whether they share a key or not.
_SUGGESTED = "d.verdict IN ('open', 'later') AND d.found_by NOT IN ('scan', 'change') AND d.{0} = ANY(%(people)b::bigint[])"
_CANDIDATES_SQL = f"""
    SELECT q.id, m.profile_id, ARRAY(SELECT key FROM unnest(m.keys) key WHERE key = ANY(q.keys)), {_READ_COLUMNS}
    FROM (SELECT id, ARRAY(SELECT w.key FROM unnest(keys::bigint[]) AS w (key) WHERE NOT EXISTS (
        SELECT FROM profiles_matchcrowd c WHERE c.key = w.key)) AS keys
        FROM unnest(%(people)b::bigint[], %(keys)b::text[]) AS given (id, keys) OFFSET 0) q
    CROSS JOIN LATERAL (
        SELECT m.* FROM profiles_matchrow m JOIN profiles_profile p ON p.id = m.profile_id AND p.status = 'live'
        WHERE m.keys && q.keys AND m.profile_id <> q.id LIMIT %(most)s) m
    UNION ALL
    SELECT d.one, d.other, NULL, {_READ_COLUMNS} FROM (
        SELECT d.a_id AS one, d.b_id AS other FROM profiles_duplicatepair d WHERE {_SUGGESTED.format("a_id")}
        UNION ALL SELECT d.b_id, d.a_id FROM profiles_duplicatepair d WHERE {_SUGGESTED.format("b_id")}
    ) d JOIN profiles_matchrow m ON m.profile_id = d.other
    JOIN profiles_profile p ON p.id = d.other AND p.status = 'live'"""

# (one, who shares keys with them, these keys, and what ``side_of`` takes)
KeyMatch = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """A pair that is something; ``a`` < ``b``. ``through``: by way of whom, where it rests on a third person."""

    a: int
    b: int
    score: float
    classified: Classification
    evidence: tuple[Evidence, ...]
    via_id: int | None = None

    @property
    def stored_evidence(self) -> list[tuple[str, str, float]]:
        """As stored: ``[[field, level, bits]]``."""
        return [(item.field, item.level, rounded(item.weight)) for item in self.evidence]


@dataclass(frozen=True, slots=True)
class BaseStatistics:
    """What is known about everybody: how many, how rare names are, and values that say nothing."""

    profile_count: int
    rarity: Rarity
    emails: frozenset[str]
    phones: frozenset[str]

    def without_frequent_values(self, profile: ComparedProfile) -> ComparedProfile:
        """A side without addresses and numbers that too many share."""
        traits = profile.features
        if traits.email in self.emails:
            traits = replace(traits, email=None, mailbox=None, domain=None)
        if traits.phone in self.phones:
            traits = replace(traits, phone=None)
        if traits.emails or traits.phones:
            traits = replace(
                traits,
                emails=tuple(value for value in traits.emails if value not in self.emails),
                phones=tuple(value for value in traits.phones if value not in self.phones),
            )
        return profile if traits is profile.features else replace(profile, features=traits)


def read_base_statistics(profiles: Iterable[ComparedProfile]) -> BaseStatistics:
    """What comparing these people needs to know. One query."""
    wanted = {("shared", name) for name in ("", *MEASURED)} | {
        (comparison.field, "") for comparison in _RARITY_COMPARISONS
    }
    contacts: set[str | None] = set()
    for profile in profiles:
        traits = profile.features
        wanted.update(
            (comparison.field, value)
            for comparison in _RARITY_COMPARISONS
            if (value := getattr(traits, comparison.feature))
        )
        contacts.update((traits.email, traits.phone), traits.emails, traits.phones)
    profile_count, bits, frequent = (
        0,
        defaultdict[str, dict[str, float]](dict),
        defaultdict[str, set[str]](set),
    )
    params = [[field for field, _ in wanted], [value for _, value in wanted], list(contacts - {None})]
    for field, value, number in run(_BASE_SQL, params):
        if field == "people":
            profile_count = int(number)
        elif number is None:
            frequent[field].add(value)
        else:
            bits[field][value] = number
    return BaseStatistics(
        profile_count, Rarity(bits), frozenset(frequent["email"]), frozenset(frequent["phone"])
    )


def find_pairs(rows: Sequence[BuiltMatchRow]) -> list[ScoredPair]:
    """Every pair these people are part of: with whom they share a key, and what doors and people suggested.

    A key of more than ``BLOCK`` people is noted as a crowd and joins nobody. Some queries, however many rows.
    """
    if not rows:
        return []
    profiles, pairs = _candidates(rows)
    base = read_base_statistics(profiles.values())
    cleaned = {pair: base.without_frequent_values(profile) for pair, profile in profiles.items()}
    features = with_household_values({pair: profile.features for pair, profile in cleaned.items()})
    cleaned = {
        pair: ComparedProfile(features[pair], profile.ids, profile.singles)
        for pair, profile in cleaned.items()
    }
    model, today = shipped(), timezone.localdate()
    scored = (
        compare_pair(a, b, cleaned[a], cleaned[b], base=base, model=model, today=today)
        for a, b in sorted(pairs)
    )
    return [pair for pair in scored if pair is not None]


def compare_pair(
    a: int,
    b: int,
    left: ComparedProfile,
    right: ComparedProfile,
    *,
    base: BaseStatistics,
    model: Model,
    today: date,
) -> ScoredPair | None:
    """One pair; None when it is nothing."""
    levels = Levels(left.features, right.features)
    facts = compare_facts(left, right, levels, today=today, often_shared=base.rarity.often_shared)
    if is_nothing(facts):
        return None
    scored = model.score(
        left.features, right.features, profile_count=base.profile_count, rarity=base.rarity, levels=levels
    )
    classified = classify(facts, scored, model=model)
    return ScoredPair(a, b, scored.score, classified, tuple(scored.evidence)) if classified.tier else None


def _candidates(rows: Sequence[BuiltMatchRow]) -> tuple[dict[int, ComparedProfile], set[tuple[int, int]]]:
    """Everybody to compare, and which two of them."""
    profiles = {row.id: row.profile for row in rows}
    pairs: set[tuple[int, int]] = set()
    frequent_keys: set[int] = set()
    for _ in range(3):
        matches, is_full = _read_candidates(rows)
        new_keys = _record_frequent_keys(matches)
        frequent_keys |= new_keys
        if not (new_keys and is_full):
            break
    for profile_id, match_id, shared, *columns in matches:
        if shared is None or not frequent_keys.issuperset(shared):
            pairs.add((min(profile_id, match_id), max(profile_id, match_id)))
            if match_id not in profiles:
                profiles[match_id] = compared_profile(columns)
    return profiles, pairs


def _read_candidates(rows: Sequence[BuiltMatchRow]) -> tuple[list[KeyMatch], bool]:
    """Who shares a key with each, and who was suggested (with None for the keys); whether anybody has more than are
    read. One query."""
    keys = [orjson.dumps(row.keys).decode().replace("[", "{").replace("]", "}") for row in rows]
    with together():
        # The index of keys is asked once for each; its statistics would make the planner read everything.
        ask("SET LOCAL enable_seqscan = off", [])
        answer = ask(
            _CANDIDATES_SQL, {"people": [row.id for row in rows], "keys": keys, "most": MAX_CANDIDATES}
        )
        ask("SET LOCAL enable_seqscan = on", [])
        matches = answer.value
    counts = Counter(profile_id for profile_id, _, shared, *_ in matches if shared is not None)
    return matches, any(count >= MAX_CANDIDATES for count in counts.values())


def _record_frequent_keys(matches: Sequence[KeyMatch]) -> set[int]:
    """Keys that turn out to be held by too many; remembered for the next change."""
    counts = Counter((profile_id, key) for profile_id, _, shared, *_ in matches for key in shared or ())
    frequent_keys = {key: count + 1 for (_, key), count in counts.items() if count >= MAX_KEY_HOLDERS}
    if frequent_keys:
        MatchCrowd.objects.bulk_create(
            [MatchCrowd(field="key", key=key, holders=count) for key, count in sorted(frequent_keys.items())],
            ignore_conflicts=True,
        )
    return set(frequent_keys)
