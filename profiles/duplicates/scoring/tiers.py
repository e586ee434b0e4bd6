"""A compared pair with its score → its tier, by rules, vetoes, doubts and two thresholds that are never
blended. Pure.

An equal e-mail is not an equal person: a rule that makes a pair certain also asks for first names that
agree and birth dates that do not object. Where families share, two of one name at one e-mail may be two
people, so what a household shares decides nothing without a birth date (DOUBTS). A veto keeps a pair from
bulk merges; where so much else agrees that the score still speaks for one person, it is left to reviewers
(DESPITE).

Each condition once as Python and once as DuckDB's SQL over the columns of ``duckdb_compare.compare``; a
test compares both on 100,000 pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache

from profiles.duplicates.scoring.features import Features
from profiles.duplicates.scoring.levels import (
    BY_FIELD,
    NEARLY_EQUAL_MAIL,
    SAME_DATE,
    SAME_PHONE,
    SAME_STREET,
    Levels,
)
from profiles.duplicates.scoring.model import Model, PairScore
from profiles.duplicates.scoring.similarity import DIFFERS, UNKNOWN
from profiles.pairs.vetoes import VETO_TEXTS

CERTAIN, PROBABLE, POSSIBLE, RELATED, NOTHING = "certain", "probable", "possible", "related", ""
SINGLE_BITS = 48


@dataclass(slots=True)
class ComparedProfile:
    """One profile of a pair.

    ``ids``: hashes (``features.key_hash``) of ``type:value`` of every hard identifier, or of an attribute
    with a type's name; not e-mail and phone, which follow the guarded rules. ``singles``: for each
    identifier of a type a person has only one of, ``single_of(type_id, value's hash)``.
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


@dataclass(slots=True)
class Facts:
    """What conditions look at: the levels, and what no level says."""

    levels: Levels
    same_id: bool
    has_conflicting_id: bool
    same_initial: bool
    across_eighteen: bool
    often_email: bool = False
    often_phone: bool = False


@dataclass(frozen=True)
class Condition:
    """All of ``when`` (``{field: level names}``) and all facts in ``needs`` (``not x`` for the opposite)
    hold.
    """

    text: str
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    def holds(self, facts: Facts) -> bool:
        for name, wanted in self._levels:
            if facts.levels[name] not in wanted:
                return False
        return all(getattr(facts, fact) is wanted for fact, wanted in self._facts)

    @cached_property
    def _levels(self) -> list[tuple[str, frozenset[int]]]:
        return [(name, frozenset(_level_numbers(name, names))) for name, names in self.when.items()]

    @cached_property
    def _facts(self) -> list[tuple[str, bool]]:
        return [(need.removeprefix("not "), not need.startswith("not ")) for need in self.needs]

    @property
    def sql(self) -> str:
        """Over columns named like the fields and the facts."""
        parts = [
            f"{name} IN ({', '.join(map(str, _level_numbers(name, names)))})"
            for name, names in self.when.items()
        ]
        return " AND ".join([*parts, *self.needs]) or "true"


def _level_numbers(name: str, levels: tuple[str, ...]) -> list[int]:
    names = BY_FIELD[name].names
    return [-1 if level == UNKNOWN else names.index(level) for level in levels]


def _all_except(name: str, *left_out: str) -> tuple[str, ...]:
    """Every level of a field, unknown among them, except some."""
    return tuple(level for level in (UNKNOWN, *BY_FIELD[name].names) if level not in left_out)


# A typo is not among them: Kevin and Devin are brothers more often than one name is mistyped. The score may still make
# such a pair probable.
_AGREEING_FIRST_NAMES = ("equal", "part", "nickname")
_BIRTH_DATE_NOT_AGAINST = _all_except("birth_date", DIFFERS, "parted")

VETOES: dict[str, Condition] = {
    "first_names": Condition(
        VETO_TEXTS["first_names"], {"first_name": (DIFFERS,)}, needs=("not same_initial",)
    ),
    "birth_dates": Condition(VETO_TEXTS["birth_dates"], {"birth_date": (DIFFERS,)}),
    "identifiers": Condition(VETO_TEXTS["identifiers"], needs=("has_conflicting_id",)),
    "minor": Condition(VETO_TEXTS["minor"], needs=("across_eighteen",)),
}
RULES: dict[str, Condition] = {
    "same_id": Condition("Both have the same identifier, one of them as an attribute.", needs=("same_id",)),
    "name_and_birth_date": Condition(
        "Their full names and birth dates are equal.",
        {"first_name": ("equal",), "last_name": ("equal",), "birth_date": ("equal",)},
    ),
    "email": Condition(
        "Their e-mail addresses are equal, their first names agree, and neither last name, birth date nor phone objects.",
        {
            "email": ("equal",),
            "first_name": _AGREEING_FIRST_NAMES,
            "last_name": _all_except("last_name", DIFFERS, "alike"),
            "birth_date": _BIRTH_DATE_NOT_AGAINST,
            "phone": _all_except("phone", DIFFERS),
        },
    ),
    "phone": Condition(
        "Their phone numbers are equal, their first names agree, and neither last name, birth date nor e-mail objects.",
        {
            "phone": ("equal",),
            "first_name": _AGREEING_FIRST_NAMES,
            "last_name": _all_except("last_name", DIFFERS, "alike"),
            "birth_date": _BIRTH_DATE_NOT_AGAINST,
            "email": _all_except("email", DIFFERS),
        },
    ),
}
# Such a pair is at most possible, whatever its score: fathers and sons may have one name and one phone. An equal birth
# date, or the same identifier, settles it.
_NO_EQUAL_DATE = _all_except("birth_date", *SAME_DATE)
_NO_EQUAL_MAIL = _all_except("email", *NEARLY_EQUAL_MAIL)
_NO_EQUAL_PHONE = _all_except("phone", *SAME_PHONE)
DOUBTS: dict[str, Condition] = {
    "home": Condition(
        "What they share is also held by somebody with another first name, and no birth date tells them apart.",
        {"home": (DIFFERS,), "birth_date": _NO_EQUAL_DATE},
        ("not same_id",),
    ),
    "nameless_home": Condition(
        "One first name is missing, and what they share is also held by somebody with another one: perhaps twins.",
        {"home": (DIFFERS,), "first_name": (UNKNOWN,)},
        ("not same_id",),
    ),
    "mailboxes": Condition(
        "They share a phone but have different mailboxes, and no birth date tells them apart.",
        {
            "phone": ("equal", "tail", "slip"),
            "email": ("mailbox", "alike", DIFFERS),
            "birth_date": _NO_EQUAL_DATE,
        },
        ("not same_id",),
    ),
    "phones": Condition(
        "They share an e-mail address but have different phones, and no birth date tells them apart.",
        {
            "email": NEARLY_EQUAL_MAIL,
            "phone": (DIFFERS,),
            "birth_date": _NO_EQUAL_DATE,
        },
        ("not same_id",),
    ),
    "mailbox_of_another": Condition(
        "One first name is missing, and no birth date tells whose the e-mail address is they share.",
        {"first_name": (UNKNOWN,), "email": NEARLY_EQUAL_MAIL, "birth_date": _NO_EQUAL_DATE},
        ("not same_id",),
    ),
    "name_and_home": Condition(
        "They share neither e-mail nor phone, and no birth date tells them apart: perhaps father and son.",
        {"email": _NO_EQUAL_MAIL, "phone": _NO_EQUAL_PHONE, "birth_date": _NO_EQUAL_DATE},
        ("not same_id",),
    ),
    "mail_slip": Condition(
        "Their e-mail addresses are a letter or a digit apart, and no phone or birth date says that it is a slip.",
        {"email": ("slip",), "phone": _NO_EQUAL_PHONE, "birth_date": _NO_EQUAL_DATE},
        ("not same_id",),
    ),
    "crossed": Condition(
        "The first name of one is the last name of the other, and they share neither e-mail nor phone: perhaps twins.",
        {"first_name": ("crossed",), "email": _NO_EQUAL_MAIL, "phone": _NO_EQUAL_PHONE},
        ("not same_id",),
    ),
    "home_name": Condition(
        "What they share is also held by somebody with another first name, and their own are not quite the same.",
        {"home": (DIFFERS,), "first_name": _all_except("first_name", "equal", UNKNOWN, DIFFERS)},
        ("not same_id",),
    ),
    "often_email": Condition(
        "Here families often share an e-mail address, and no phone or birth date tells them apart.",
        {"email": NEARLY_EQUAL_MAIL, "phone": _NO_EQUAL_PHONE, "birth_date": _NO_EQUAL_DATE},
        ("not same_id", "often_email"),
    ),
    "often_phone": Condition(
        "Here families often share a phone, and no e-mail or birth date tells them apart.",
        {"phone": SAME_PHONE, "email": _NO_EQUAL_MAIL, "birth_date": _NO_EQUAL_DATE},
        ("not same_id", "often_phone"),
    ),
    "often_both": Condition(
        "Here families often share both e-mail and phone, and no birth date tells them apart.",
        {"email": NEARLY_EQUAL_MAIL, "phone": SAME_PHONE, "birth_date": _NO_EQUAL_DATE},
        ("not same_id", "often_email", "often_phone"),
    ),
    "nameless_email": Condition(
        "Here families often share an e-mail address; a first name is missing, and no phone or mailbox says whose it is.",
        {
            "first_name": (UNKNOWN,),
            "email": NEARLY_EQUAL_MAIL,
            "phone": _NO_EQUAL_PHONE,
            "mailbox_name": (UNKNOWN, DIFFERS),
        },
        ("not same_id", "often_email"),
    ),
    "nameless_phone": Condition(
        "Here families often share a phone; a first name is missing, and no e-mail or mailbox says whose it is.",
        {
            "first_name": (UNKNOWN,),
            "phone": SAME_PHONE,
            "email": _NO_EQUAL_MAIL,
            "mailbox_name": (UNKNOWN, DIFFERS),
        },
        ("not same_id", "often_phone"),
    ),
    "twin": Condition(
        "One first name is missing, and they share a home and a birth date but neither e-mail nor phone: perhaps twins.",
        {"first_name": (UNKNOWN,), "email": _NO_EQUAL_MAIL, "phone": _NO_EQUAL_PHONE},
        ("not same_id",),
    ),
}
# Clerks mistake one name or one date for another: where one veto objects and the score does not, a pair stays possible.
# Not where both first names and birth dates object, nor at an equal e-mail or phone, where nine in ten are a household.
_NO_CONTACT = {"email": _all_except("email", "equal"), "phone": _all_except("phone", "equal", "tail")}
_FIRST_NAMES_NOT_UNLIKE = _all_except("first_name", DIFFERS)
_MUCH_ELSE_AGREES = "but so much else agrees that they may be one person all the same."
DESPITE: dict[str, Condition] = {
    "despite_first_names": Condition(
        f"Their first names are known and unlike, {_MUCH_ELSE_AGREES}",
        {"first_name": (DIFFERS,), "birth_date": (*SAME_DATE, "parted"), **_NO_CONTACT},
        ("not same_initial", "not has_conflicting_id"),
    ),
    "despite_first_names_at_home": Condition(
        f"Their first names are known and unlike and a birth date is missing, {_MUCH_ELSE_AGREES}",
        {"first_name": (DIFFERS,), "birth_date": (UNKNOWN,), "street": SAME_STREET, **_NO_CONTACT},
        ("not same_initial", "not has_conflicting_id"),
    ),
    "despite_birth_dates": Condition(
        f"Their birth dates are more than a slip apart, {_MUCH_ELSE_AGREES}",
        {"birth_date": (DIFFERS,), "first_name": _FIRST_NAMES_NOT_UNLIKE, **_NO_CONTACT},
        ("not has_conflicting_id",),
    ),
    "despite_minor": Condition(
        f"One is a minor and the other is not, {_MUCH_ELSE_AGREES}",
        {
            "birth_date": _all_except("birth_date", DIFFERS),
            "first_name": _FIRST_NAMES_NOT_UNLIKE,
            **_NO_CONTACT,
        },
        ("across_eighteen", "not has_conflicting_id"),
    ),
}
# All rules but this one are doubted where the score is below possible: of a million people some share a common name and
# a birthday. Seven of a hundred such pairs are two people; they stay possible.
_SURE_RULE = "same_id"
UNLIKELY = "unlikely"
# The rule of pairs that rest on a third profile (``finding.transitive``).
TRANSITIVE = "through"
_TEXTS = {
    UNLIKELY: "What makes them one is common here, and little else speaks for it: perhaps two people by chance.",
    TRANSITIVE: "Both are likely one and the same third profile, though these two have little in common.",
}
# What members of one household or company share.
TIES: dict[str, Condition] = {
    "email": Condition("They share an e-mail address.", {"email": ("equal",)}),
    "phone": Condition("They share a phone number.", {"phone": ("equal", "tail")}),
    "address": Condition(
        "They share an address and a last name.",
        {"street": ("equal",), "postcode": ("equal",), "last_name": ("equal", "part")},
    ),
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
    return bool(veto_of(facts)) and not _first_match(DESPITE, facts) and not _first_match(TIES, facts)


def veto_of(facts: Facts) -> str:
    """The code of the first veto that holds, or ""."""
    return _first_match(VETOES, facts)


def classify(facts: Facts, scored: PairScore, *, model: Model) -> Classification:
    """The tier of a pair, and what decided it. ``tier_sql`` gives the same for many."""
    is_possible = scored.score >= model.thresholds["possible"]
    if veto := veto_of(facts):
        if is_possible and (despite := _first_match(DESPITE, facts)):
            return Classification(POSSIBLE, despite, veto)
        return Classification(RELATED if _first_match(TIES, facts) else NOTHING, "", veto)
    rule = _first_match(RULES, facts)
    if rule or scored.score >= model.thresholds["probable"]:
        doubt = _first_match(DOUBTS, facts)
        if doubt:
            return Classification(POSSIBLE, doubt) if is_possible else Classification(NOTHING)
        if rule:
            is_sure = is_possible or rule == _SURE_RULE
            return Classification(CERTAIN, rule) if is_sure else Classification(POSSIBLE, UNLIKELY)
        return Classification(PROBABLE)
    return Classification(POSSIBLE if is_possible else NOTHING)


def _first_match(conditions: Mapping[str, Condition], facts: Facts) -> str:
    return next((code for code, condition in conditions.items() if condition.holds(facts)), "")


def code_sql(conditions: Mapping[str, Condition]) -> str:
    """The code of the first condition that holds, or ''."""
    cases = " ".join(f"WHEN {condition.sql} THEN '{code}'" for code, condition in conditions.items())
    return f"CASE {cases} ELSE '' END"


def tier_sql(model: Model) -> str:
    """The tier, over columns ``veto``, ``despite``, ``rule``, ``tie``, ``doubt`` and ``score``."""
    probable, possible = (f"score >= {model.thresholds[name]!r}" for name in ("probable", "possible"))
    return (
        f"CASE WHEN veto <> '' THEN CASE WHEN despite <> '' AND {possible} THEN '{POSSIBLE}'"
        f" WHEN tie <> '' THEN '{RELATED}' ELSE '{NOTHING}' END"
        f" WHEN rule <> '' AND doubt = '' THEN CASE WHEN {possible} OR rule = '{_SURE_RULE}' THEN '{CERTAIN}'"
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
