"""A compared pair with its score → its tier, by conditions and two thresholds that are never blended. Pure.

Once as Python for a pair and once as DuckDB's SQL over the columns of ``duckdb_compare.compare``; a test compares
both on 100,000 pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from profiles.duplicates.scoring.conditions import DESPITE, DOUBTS, RULES, TIES, VETOES, Facts, first_match
from profiles.duplicates.scoring.features import Features
from profiles.duplicates.scoring.levels import Levels
from profiles.duplicates.scoring.model import Model, PairScore

CERTAIN, PROBABLE, POSSIBLE, RELATED, NOTHING = "certain", "probable", "possible", "related", ""
SINGLE_BITS = 48
# What many systems write where only the year is known.
_NEW_YEAR = "-01-01"


@dataclass(slots=True)
class ComparedProfile:
    """One profile of a pair.

    ``ids``: hashes (``features.key_hash``) of ``type:value`` of every hard identifier, or of an attribute
    with a type's name; not e-mail and phone, which follow the guarded rules. ``singles``: for each
    identifier of a type whose different values prove two people, ``single_of(type_id, value's hash)``.
    """

    features: Features
    ids: frozenset[int] = frozenset()
    singles: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Classification:
    """``tier`` is "" for a pair that is nothing.

    ``rule`` is a code of RULES; of DOUBTS, where one keeps it from being more than possible; or of DESPITE.
    ``veto`` is one of VETOES. Either may be "".
    """

    tier: str
    rule: str = ""
    veto: str = ""


def single_of(type_id: int, value_hash: int) -> int:
    """A type and a value in 63 bits; values of one type have equal leading bits."""
    return (type_id << SINGLE_BITS) | (value_hash & ((1 << SINGLE_BITS) - 1))


# All rules but this one also ask for the score of a probable pair: of a million people some share a common name and a
# birthday, and nothing else. Seven of a hundred such pairs are two people; they stay possible.
_SURE_RULE = "same_id"
UNLIKELY = "unlikely"
# The rule of pairs that rest on a third profile (``finding.transitive``).
TRANSITIVE = "through"
_TEXTS = {
    UNLIKELY: "What they share may be the same by chance, and not enough else suggests one person.",
    TRANSITIVE: "Both are probably the same person as a third profile, though these two have little in common.",
}


def compare_facts(
    left: ComparedProfile,
    right: ComparedProfile,
    levels: Levels,
    *,
    today: date,
    often_shared: frozenset[str] = frozenset(),
) -> Facts:
    """What the levels do not say about two profiles."""
    first_names = (left.features.first or "", right.features.first or "")
    birth_dates, adult_limit = (left.features.birth_date, right.features.birth_date), adult_since(today)
    return Facts(
        levels=levels,
        same_id=not left.ids.isdisjoint(right.ids),
        has_conflicting_id=_have_conflicting_ids(left.singles, right.singles),
        same_initial=first_names[0][:1] == first_names[1][:1] != "",
        across_eighteen=None not in birth_dates
        and len({str(day) <= adult_limit for day in birth_dates}) == 2,
        new_year=any(day is not None and day.endswith(_NEW_YEAR) for day in birth_dates),
        often_email="often_email" in often_shared,
        often_phone="often_phone" in often_shared,
    )


def _have_conflicting_ids(left: frozenset[int], right: frozenset[int]) -> bool:
    if not left or not right or not left.isdisjoint(right):
        return False
    return not {single >> SINGLE_BITS for single in left}.isdisjoint(
        single >> SINGLE_BITS for single in right
    )


def facts_sql(today: date) -> dict[str, str]:
    """The same facts as columns over tables ``l`` and ``r``."""
    same_type = "list_has_any(list_transform(l.singles, lambda x: x >> {0}), list_transform(r.singles, lambda x: x >> {0}))"
    adult_limit = adult_since(today)
    return {
        # As CASE, which reads the lists only where both have entries.
        "same_id": "CASE WHEN len(l.ids) = 0 OR len(r.ids) = 0 THEN false ELSE list_has_any(l.ids, r.ids) END",
        "has_conflicting_id": "CASE WHEN len(l.singles) = 0 OR len(r.singles) = 0 THEN false"
        f" WHEN list_has_any(l.singles, r.singles) THEN false ELSE {same_type.format(SINGLE_BITS)} END",
        "same_initial": "coalesce(left(l.first, 1) = left(r.first, 1), false)",
        "new_year": f"coalesce(l.birth_date LIKE '%{_NEW_YEAR}', false) OR coalesce(r.birth_date LIKE '%{_NEW_YEAR}', false)",
        "across_eighteen": f"coalesce((l.birth_date <= '{adult_limit}') <> (r.birth_date <= '{adult_limit}'), false)",
    }


@lru_cache(maxsize=8)
def adult_since(today: date) -> str:
    """The latest birth date (ISO) of an adult."""
    day = min(today.day, 28) if today.month == 2 else today.day
    return date(today.year - 18, today.month, day).isoformat()


def is_nothing(facts: Facts) -> bool:
    """Whether ``classify`` gives no tier whatever the score: a veto holds, and neither a tie nor an
    exception.
    """
    return bool(veto_of(facts)) and not first_match(DESPITE, facts) and not first_match(TIES, facts)


def veto_of(facts: Facts) -> str:
    """The code of the first veto that holds, or ""."""
    return first_match(VETOES, facts)


def classify(facts: Facts, scored: PairScore, *, model: Model) -> Classification:
    """The tier of a pair, and what decided it. ``tier_sql`` gives the same for many."""
    is_possible = scored.score >= model.thresholds["possible"]
    if veto := veto_of(facts):
        if is_possible and (despite := first_match(DESPITE, facts)):
            return Classification(POSSIBLE, despite, veto)
        return Classification(RELATED if first_match(TIES, facts) else NOTHING, "", veto)
    rule = first_match(RULES, facts)
    if rule or scored.score >= model.thresholds["probable"]:
        doubt = first_match(DOUBTS, facts)
        if doubt:
            return Classification(POSSIBLE, doubt) if is_possible else Classification(NOTHING)
        if rule:
            is_sure = scored.score >= model.thresholds["probable"] or rule == _SURE_RULE
            return Classification(CERTAIN, rule) if is_sure else Classification(POSSIBLE, UNLIKELY)
        return Classification(PROBABLE)
    return Classification(POSSIBLE if is_possible else NOTHING)


def tier_sql(model: Model) -> str:
    """The tier, over columns ``veto``, ``despite``, ``rule``, ``tie``, ``doubt`` and ``score``."""
    probable, possible = (f"score >= {model.thresholds[name]!r}" for name in ("probable", "possible"))
    return (
        f"CASE WHEN veto <> '' THEN CASE WHEN despite <> '' AND {possible} THEN '{POSSIBLE}'"
        f" WHEN tie <> '' THEN '{RELATED}' ELSE '{NOTHING}' END"
        f" WHEN rule <> '' AND doubt = '' THEN CASE WHEN {probable} OR rule = '{_SURE_RULE}' THEN '{CERTAIN}'"
        f" ELSE '{POSSIBLE}' END"
        f" WHEN {probable} AND doubt = '' THEN '{PROBABLE}'"
        f" WHEN {possible} THEN '{POSSIBLE}' ELSE '{NOTHING}' END"
    )


def rule_sql(model: Model) -> str:
    """The rule of a ``Classification``, over the same columns and ``tier``."""
    return (
        f"CASE WHEN tier = '{CERTAIN}' THEN rule WHEN veto <> '' THEN CASE WHEN tier = '{POSSIBLE}' THEN despite ELSE '' END"
        f" WHEN tier = '{POSSIBLE}' AND rule <> '' AND doubt = '' THEN '{UNLIKELY}'"
        f" WHEN tier = '{POSSIBLE}' AND (rule <> '' OR score >= {model.thresholds['probable']!r}) THEN doubt ELSE '' END"
    )


def tier_reason(rule: str, veto: str) -> str:
    """The sentence that says why a pair is certain, only possible, or vetoed; "" when only its score
    decides.
    """
    if rule in _TEXTS:
        return _TEXTS[rule]
    condition = DESPITE.get(rule) or VETOES.get(veto) or RULES.get(rule) or DOUBTS.get(rule)
    return condition.text if condition else ""
