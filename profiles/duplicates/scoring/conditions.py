"""What holds of a compared pair → vetoes, rules, doubts, exceptions and ties, each once as Python and once as SQL. Pure.

An equal e-mail is not an equal person: a rule that makes a pair certain also asks for first names that agree and
birth dates that do not object. Where families share, two of one name at one e-mail may be two people, so what a
household shares decides nothing without a birth date (DOUBTS). A veto keeps a pair from bulk merges; where so much
else agrees that the score still speaks for one person, it is left to reviewers (DESPITE).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from profiles.duplicates.scoring.levels import (
    BY_FIELD,
    NEARLY_EQUAL_MAIL,
    SAME_DATE,
    SAME_PHONE,
    SAME_STREET,
    Levels,
)
from profiles.duplicates.scoring.similarity import DIFFERS, UNKNOWN
from profiles.pairs.vetoes import VETO_TEXTS


@dataclass(slots=True)
class Facts:
    """What conditions look at: the levels, and what no level says."""

    levels: Levels
    same_id: bool
    has_conflicting_id: bool
    same_initial: bool
    across_eighteen: bool
    new_year: bool = False
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
        # 1 January often stands for a year alone.
        ("not new_year",),
    ),
    "email": Condition(
        "Their e-mail addresses are equal, their first names agree, and neither last name, birth date nor phone contradicts it.",
        {
            "email": ("equal",),
            "first_name": _AGREEING_FIRST_NAMES,
            "last_name": _all_except("last_name", DIFFERS, "alike"),
            "birth_date": _BIRTH_DATE_NOT_AGAINST,
            "phone": _all_except("phone", DIFFERS),
        },
    ),
    "phone": Condition(
        "Their phone numbers are equal, their first names agree, and neither last name, birth date nor e-mail contradicts it.",
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
        "Another person with a different first name has what they share, and no birth date distinguishes them.",
        {"home": (DIFFERS,), "birth_date": _NO_EQUAL_DATE},
        ("not same_id",),
    ),
    "nameless_home": Condition(
        "One first name is missing, and a person with another first name has what they share: perhaps twins.",
        {"home": (DIFFERS,), "first_name": (UNKNOWN,)},
        ("not same_id",),
    ),
    "mailboxes": Condition(
        "They share a phone but have different mailboxes, and no birth date distinguishes them.",
        {
            "phone": ("equal", "tail", "slip"),
            "email": ("mailbox", "alike", DIFFERS),
            "birth_date": _NO_EQUAL_DATE,
        },
        ("not same_id",),
    ),
    "phones": Condition(
        "They share an e-mail address but have different phones, and no birth date distinguishes them.",
        {
            "email": NEARLY_EQUAL_MAIL,
            "phone": (DIFFERS,),
            "birth_date": _NO_EQUAL_DATE,
        },
        ("not same_id",),
    ),
    "mailbox_of_another": Condition(
        "One first name is missing, and no birth date shows whose the shared e-mail address is.",
        {"first_name": (UNKNOWN,), "email": NEARLY_EQUAL_MAIL, "birth_date": _NO_EQUAL_DATE},
        ("not same_id",),
    ),
    "name_and_home": Condition(
        "They share neither e-mail nor phone, and no birth date distinguishes them: perhaps father and son.",
        {"email": _NO_EQUAL_MAIL, "phone": _NO_EQUAL_PHONE, "birth_date": _NO_EQUAL_DATE},
        ("not same_id",),
    ),
    "mail_slip": Condition(
        "Their e-mail addresses differ by one letter or digit, and no phone or birth date shows that it is a typing mistake.",
        {"email": ("slip",), "phone": _NO_EQUAL_PHONE, "birth_date": _NO_EQUAL_DATE},
        ("not same_id",),
    ),
    "crossed": Condition(
        "The first name of one is the last name of the other, and they share neither e-mail nor phone: perhaps twins.",
        {"first_name": ("crossed",), "email": _NO_EQUAL_MAIL, "phone": _NO_EQUAL_PHONE},
        ("not same_id",),
    ),
    "home_name": Condition(
        "Another person with a different first name has what they share, and their own first names are not quite the same.",
        {"home": (DIFFERS,), "first_name": _all_except("first_name", "equal", UNKNOWN, DIFFERS)},
        ("not same_id",),
    ),
    "often_email": Condition(
        "Here families often share an e-mail address, and no phone or birth date distinguishes them.",
        {"email": NEARLY_EQUAL_MAIL, "phone": _NO_EQUAL_PHONE, "birth_date": _NO_EQUAL_DATE},
        ("not same_id", "often_email"),
    ),
    "often_phone": Condition(
        "Here families often share a phone, and no e-mail or birth date distinguishes them.",
        {"phone": SAME_PHONE, "email": _NO_EQUAL_MAIL, "birth_date": _NO_EQUAL_DATE},
        ("not same_id", "often_phone"),
    ),
    "often_both": Condition(
        "Here families often share both e-mail and phone, and no birth date distinguishes them.",
        {"email": NEARLY_EQUAL_MAIL, "phone": SAME_PHONE, "birth_date": _NO_EQUAL_DATE},
        ("not same_id", "often_email", "often_phone"),
    ),
    "nameless_email": Condition(
        "Here families often share an e-mail address; a first name is missing, and no phone or mailbox shows whose it is.",
        {
            "first_name": (UNKNOWN,),
            "email": NEARLY_EQUAL_MAIL,
            "phone": _NO_EQUAL_PHONE,
            "mailbox_name": (UNKNOWN, DIFFERS),
        },
        ("not same_id", "often_email"),
    ),
    "nameless_phone": Condition(
        "Here families often share a phone; a first name is missing, and no e-mail or mailbox shows whose it is.",
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
_MUCH_ELSE_AGREES = "but so much else agrees that they may still be one person."
DESPITE: dict[str, Condition] = {
    "despite_first_names": Condition(
        f"Their first names are known and different, {_MUCH_ELSE_AGREES}",
        {"first_name": (DIFFERS,), "birth_date": (*SAME_DATE, "parted"), **_NO_CONTACT},
        ("not same_initial", "not has_conflicting_id"),
    ),
    "despite_first_names_at_home": Condition(
        f"Their first names are known and different and a birth date is missing, {_MUCH_ELSE_AGREES}",
        {"first_name": (DIFFERS,), "birth_date": (UNKNOWN,), "street": SAME_STREET, **_NO_CONTACT},
        ("not same_initial", "not has_conflicting_id"),
    ),
    "despite_birth_dates": Condition(
        f"Their birth dates differ by more than a typing mistake, {_MUCH_ELSE_AGREES}",
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
# What members of one household or company share.
TIES: dict[str, Condition] = {
    "email": Condition("They share an e-mail address.", {"email": ("equal",)}),
    "phone": Condition("They share a phone number.", {"phone": ("equal", "tail")}),
    "address": Condition(
        "They share an address and a last name.",
        {"street": ("equal",), "postcode": ("equal",), "last_name": ("equal", "part")},
    ),
}


def first_match(conditions: Mapping[str, Condition], facts: Facts) -> str:
    return next((code for code, condition in conditions.items() if condition.holds(facts)), "")


def code_sql(conditions: Mapping[str, Condition]) -> str:
    """The code of the first condition that holds, or ''."""
    cases = " ".join(f"WHEN {condition.sql} THEN '{code}'" for code, condition in conditions.items())
    return f"CASE {cases} ELSE '' END"
