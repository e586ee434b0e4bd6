"""Match rows of a few changed profiles → their candidate pairs by shared keys, scored in Python as a scan
scores them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import orjson
from django.utils import timezone

from cdp.sql import ask, run, together
from profiles.duplicates.finding.match_rows import READ, BuiltMatchRow, build, compared_profile
from profiles.duplicates.scoring.features import MAX_KEY_HOLDERS
from profiles.duplicates.scoring.households import with_household_values
from profiles.duplicates.scoring.interaction_kinds import MEASURED
from profiles.duplicates.scoring.levels import COMPARISONS, Levels
from profiles.duplicates.scoring.model import Evidence, Model, Rarity, rounded, shipped
from profiles.duplicates.scoring.tiers import (
    Classification,
    ComparedProfile,
    classify,
    compare_facts,
    is_nothing,
)
from profiles.models import FrequentValue

# A changed profile is compared with at most this many. Without frequent keys no profile has as many candidates.
MAX_CANDIDATES = 1000
_RARITY_COMPARISONS = [comparison for comparison in COMPARISONS if comparison.is_rarity_counted]
_BASE_SQL = """
    SELECT 'people', '', people FROM profiles_matchbase WHERE id = 1
    UNION ALL SELECT field, value, bits FROM profiles_matchrarity
    WHERE (field, value) IN (SELECT * FROM unnest(%b::text[], %b::text[]))
    UNION ALL SELECT field, value, NULL FROM profiles_frequentvalue
    WHERE key IS NULL AND field IN ('email', 'phone') AND value = ANY(%b::text[])"""
_READ_COLUMNS = ", ".join(f"m.{name}" for name in READ)
# Pairs suggested by a source or a reviewer are compared whether they share a key or not.
_SUGGESTED = "d.verdict IN ('open', 'later') AND d.found_by NOT IN ('scan', 'change') AND d.{0} = ANY(%(people)b::bigint[])"
_CANDIDATES_SQL = f"""
    SELECT q.id, m.profile_id, ARRAY(SELECT key FROM unnest(m.keys) key WHERE key = ANY(q.keys)), {_READ_COLUMNS}
    FROM (SELECT id, ARRAY(SELECT w.key FROM unnest(keys::bigint[]) AS w (key) WHERE NOT EXISTS (
        SELECT FROM profiles_frequentvalue c WHERE c.key = w.key)) AS keys
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

# (changed profile, candidate, keys both have, *columns for ``compared_profile``)
KeyMatch = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """A pair with a tier; ``a`` < ``b``. ``via_id``: the third profile it rests on, for transitive pairs."""

    a: int
    b: int
    score: float
    classified: Classification
    evidence: tuple[Evidence, ...]
    via_id: int | None = None

    @property
    def stored_evidence(self) -> list[tuple[str, str, float]]:
        """The evidence as stored: ``[[field, level, bits]]``."""
        return [(item.field, item.level, rounded(item.weight)) for item in self.evidence]


@dataclass(frozen=True, slots=True)
class BaseStatistics:
    """What comparing needs to know about the base: its size, how rare names are, and frequent values."""

    profile_count: int
    rarity: Rarity
    emails: frozenset[str]
    phones: frozenset[str]

    def without_frequent_values(self, profile: ComparedProfile) -> ComparedProfile:
        """The profile without e-mails and phones that too many share."""
        features = profile.features
        if features.email in self.emails:
            features = replace(features, email=None, mailbox=None, domain=None)
        if features.phone in self.phones:
            features = replace(features, phone=None)
        if features.emails or features.phones:
            features = replace(
                features,
                emails=tuple(value for value in features.emails if value not in self.emails),
                phones=tuple(value for value in features.phones if value not in self.phones),
            )
        return profile if features is profile.features else replace(profile, features=features)


def read_base_statistics(profiles: Iterable[ComparedProfile]) -> BaseStatistics:
    """The statistics for comparing these profiles. One query."""
    wanted = {("shared", name) for name in ("", *MEASURED)} | {
        (comparison.field, "") for comparison in _RARITY_COMPARISONS
    }
    contacts: set[str | None] = set()
    for profile in profiles:
        features = profile.features
        wanted.update(
            (comparison.field, value)
            for comparison in _RARITY_COMPARISONS
            if (value := getattr(features, comparison.feature))
        )
        contacts.update((features.email, features.phone), features.emails, features.phones)
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
    """Every pair of these profiles: with those they share a key with, and with those suggested for them.

    A key of more than ``MAX_KEY_HOLDERS`` profiles is recorded as frequent and makes no pairs. A few
    queries for any number of rows.
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


def compare_two(a_id: int, b_id: int) -> ScoredPair | None:
    """Two profiles compared as ``find_pairs`` compares a pair, also where it would have no tier. Nothing is stored.

    None where one of them has nothing that could be compared. Five queries.
    """
    rows = {row.id: row for row in build([a_id, b_id])}
    if len(rows) < 2:
        return None
    matches, _ = _read_candidates(list(rows.values()))
    profiles = {match_id: compared_profile(columns) for _, match_id, _, *columns in matches}
    profiles |= {pk: row.profile for pk, row in rows.items()}
    base = read_base_statistics([row.profile for row in rows.values()])
    cleaned = {pk: base.without_frequent_values(profile) for pk, profile in profiles.items()}
    features = with_household_values({pk: profile.features for pk, profile in cleaned.items()})
    a, b = sorted(rows)
    left, right = (ComparedProfile(features[pk], cleaned[pk].ids, cleaned[pk].singles) for pk in (a, b))
    model, levels = shipped(), Levels(left.features, right.features)
    facts = compare_facts(
        left, right, levels, today=timezone.localdate(), often_shared=base.rarity.often_shared
    )
    scored = model.score(
        left.features, right.features, profile_count=base.profile_count, rarity=base.rarity, levels=levels
    )
    classified = classify(facts, scored, model=model)
    return ScoredPair(a, b, scored.score, classified, tuple(scored.evidence))


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
    """Score and classify a pair; None when it has no tier."""
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
    """Every profile to compare by id, and the pairs to compare."""
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
    """The profiles that share a key with each, and those suggested (keys None); whether any has more than
    are read. One query.
    """
    keys = [orjson.dumps(row.keys).decode().replace("[", "{").replace("]", "}") for row in rows]
    with together():
        # Use the index of keys once per profile; its statistics would make the planner choose a sequential scan.
        ask("SET LOCAL enable_seqscan = off", [])
        answer = ask(
            _CANDIDATES_SQL, {"people": [row.id for row in rows], "keys": keys, "most": MAX_CANDIDATES}
        )
        ask("SET LOCAL enable_seqscan = on", [])
        matches = answer.value
    counts = Counter(profile_id for profile_id, _, shared, *_ in matches if shared is not None)
    return matches, any(count >= MAX_CANDIDATES for count in counts.values())


def _record_frequent_keys(matches: Sequence[KeyMatch]) -> set[int]:
    """Keys found to have too many holders; stored for the next change."""
    counts = Counter((profile_id, key) for profile_id, _, shared, *_ in matches for key in shared or ())
    frequent_keys = {key: count + 1 for (_, key), count in counts.items() if count >= MAX_KEY_HOLDERS}
    if frequent_keys:
        FrequentValue.objects.bulk_create(
            [
                FrequentValue(field="key", key=key, holders=count)
                for key, count in sorted(frequent_keys.items())
            ],
            ignore_conflicts=True,
        )
    return set(frequent_keys)
