"""How two values are measured, each time once as Python and once as DuckDB's SQL: what levels are made of. Pure.

The SQL is over tables ``l`` and ``r`` with the columns of ``traits.Traits``; both forms give the same
level for every pair (tests compare 100,000). Damerau-Levenshtein costs fifty times a Jaro-Winkler, so a guard
that one slip cannot fail stands before it: of two words one slip apart, nearly half from either end is equal.
DuckDB measures distances between bytes, so of letters beyond ASCII the bytes are compared here as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

from profiles.duplicates.scoring.features import Traits

UNKNOWN = "unknown"
DIFFERS = "differs"
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Level:
    """``label`` completes "the first names …"; ``sql`` is "" for the last one, which holds for all that is left."""

    name: str
    label: str
    sql: str
    holds: Callable[[Traits, Traits], bool]


@dataclass(frozen=True)
class Comparison:
    """One field's levels, best first; the last is ``differs``. Unknown where either side says nothing.

    ``is_rarity_counted``: how rare the trait is (of two the commoner) adds to what makes it the same. ``known``: what must hold instead of both sides
    having the trait. ``shows``: the field whose values an explanation shows, where it is not ``field``; ``NOTHING`` for none.
    """

    field: str
    label: str
    trait: str
    levels: tuple[Level, ...]
    is_rarity_counted: bool = False
    known: Callable[[Traits, Traits], bool] | None = None
    known_sql: str = ""
    shows: str = ""

    @property
    def rarity_levels(self) -> tuple[str, ...]:
        """Of an initial nobody can tell how rare the name is, and of two names that differ it does not matter."""
        counted = self.is_rarity_counted
        return tuple(
            name for name in self.names if counted and name not in (DIFFERS, "initial", "swapped", "crossed")
        )

    @property
    def rarity_places(self) -> str:
        """Their numbers as SQL."""
        return ", ".join(str(self.names.index(name)) for name in self.rarity_levels)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(level.name for level in self.levels)

    @property
    def sql(self) -> str:
        """The number of the level; -1 is unknown."""
        cases = " ".join(
            f"WHEN {level.sql} THEN {place}" for place, level in enumerate(self.levels) if level.sql
        )
        unknown = f"l.{self.trait} IS NULL OR r.{self.trait} IS NULL"
        if self.known_sql:
            unknown = f"NOT {self.known_sql}"
        return f"CASE WHEN {unknown} THEN -1 {cases} ELSE {len(self.levels) - 1} END"

    def level_of(self, one: Traits, other: Traits) -> int:
        """The same number."""
        if self.known:
            if not self.known(one, other):
                return -1
        elif getattr(one, self.trait) is None or getattr(other, self.trait) is None:
            return -1
        for place, holds in self._tests:
            if holds(one, other):
                return place
        return len(self.levels) - 1

    @cached_property
    def _tests(self) -> list[tuple[int, Callable[[Traits, Traits], bool]]]:
        """Of all levels but the last, which always holds."""
        return [(place, level.holds) for place, level in enumerate(self.levels[:-1])]


def is_slip(one: str, other: str, shortest: int) -> bool:
    """One letter more, less, other, or two in the wrong order; both at least so long."""
    return (
        abs(len(one) - len(other)) <= 1
        and min(len(one), len(other)) >= shortest
        and (one[0] == other[0] or one[-1] == other[-1])
        and DamerauLevenshtein.distance(*_measured(one, other), score_cutoff=1) == 1
    )


def _measured(one: str, other: str) -> tuple[str, str] | tuple[bytes, bytes]:
    return (one, other) if one.isascii() and other.isascii() else (one.encode(), other.encode())


def slip_sql(trait: str, shortest: int) -> str:
    left, right = f"l.{trait}", f"r.{trait}"
    # So much from the left or from the right no slip has touched, wherever it is.
    half = f"(least(length({left}), length({right})) - 1) // 2"
    return (
        f"(abs(length({left}) - length({right})) <= 1 AND least(length({left}), length({right})) >= {shortest}"
        f" AND (left({left}, {half}) = left({right}, {half}) OR right({left}, {half}) = right({right}, {half}))"
        f" AND damerau_levenshtein({left}, {right}) = 1)"
    )


def is_alike(one: str, other: str, least: float) -> bool:
    return JaroWinkler.similarity(*_measured(one, other)) >= least


def alike_sql(trait: str, least: float) -> str:
    return f"jaro_winkler_similarity(l.{trait}, r.{trait}) >= {least}"


def _text(trait: str) -> Callable[[Traits], str]:
    def read(traits: Traits) -> str:
        return getattr(traits, trait) or ""

    return read


def equal(trait: str, label: str = "are equal") -> Level:
    return Level(
        "equal", label, f"l.{trait} = r.{trait}", lambda a, b: getattr(a, trait) == getattr(b, trait)
    )


def equal_any(trait: str, several: str) -> Level:
    """Equal, or where somebody has several, any of them."""
    left, right = f"l.{several}", f"r.{several}"
    return Level(
        "equal",
        "are equal",
        f"(l.{trait} = r.{trait} OR (len({left}) + len({right}) > 0 AND (list_contains({left}, r.{trait})"
        f" OR list_contains({right}, l.{trait}) OR list_has_any({left}, {right}))))",
        lambda a, b: (
            getattr(a, trait) == getattr(b, trait)
            or (
                bool(getattr(a, several) or getattr(b, several))
                and not _all_of(a, trait, several).isdisjoint(_all_of(b, trait, several))
            )
        ),
    )


def _all_of(traits: Traits, trait: str, several: str) -> set[str]:
    return {getattr(traits, trait), *getattr(traits, several)}


def slip(trait: str, shortest: int, label: str = "are one slip apart") -> Level:
    read = _text(trait)
    return Level("slip", label, slip_sql(trait, shortest), lambda a, b: is_slip(read(a), read(b), shortest))


def alike(trait: str, least: float, label: str = "are alike") -> Level:
    read = _text(trait)
    return Level("alike", label, alike_sql(trait, least), lambda a, b: is_alike(read(a), read(b), least))


def differs(label: str = "differ") -> Level:
    return Level(DIFFERS, label, "", lambda a, b: True)


SWAPPED = Level(
    "swapped",
    "stand in each other's place",
    # The letters they begin with are asked first: hardly any two pass.
    "(left(l.first, 1) = left(r.last, 1) AND left(l.last, 1) = left(r.first, 1)"
    " AND jaro_winkler_similarity(l.first, r.last) >= 0.9 AND jaro_winkler_similarity(l.last, r.first) >= 0.9)",
    lambda a, b: _is_swapped(a, b),
)


def _is_swapped(one: Traits, other: Traits) -> bool:
    """Both, each perhaps with a slip after its first letter."""
    if None in (one.first, one.last, other.first, other.last):
        return False
    there, back = (one.first or "", other.last or ""), (one.last or "", other.first or "")
    return all(a[0] == b[0] and is_alike(a, b, 0.9) for a, b in (there, back))


def is_crossed(one: Traits, other: Traits) -> bool:
    """What is one's first name is the other's last."""
    first, last = one.first or "", other.last or ""
    return first[:1] == last[:1] != "" and is_alike(first, last, 0.9)


_NOT_LETTERS = re.compile("[^a-z]")


def given_in_mailbox(traits: Traits) -> str:
    """What is left of a mailbox's letters without the last name: a first name or its initial; "" for nothing."""
    mailbox = traits.mailbox or ""
    letters, last = _NOT_LETTERS.sub("", mailbox), (traits.last or "").replace(" ", "")
    if len(last) >= 2 and last in letters:
        return letters.replace(last, "")
    return _NOT_LETTERS.sub("", mailbox.partition(".")[0])


def given_sql(side: str) -> str:
    """``given_in_mailbox``; "" or NULL for nothing."""
    letters, last = (
        f"regexp_replace({side}.mailbox, '[^a-z]', '', 'g')",
        f"replace(coalesce({side}.last, ''), ' ', '')",
    )
    return (
        f"CASE WHEN length({last}) >= 2 AND contains({letters}, {last}) THEN replace({letters}, {last}, '')"
        f" ELSE regexp_replace(split_part({side}.mailbox, '.', 1), '[^a-z]', '', 'g') END"
    )


def is_mailbox_told(one: Traits, other: Traits) -> bool:
    """One first name is missing, and its owner's mailbox may say it."""
    if (one.first is None) == (other.first is None):
        return False
    return bool(given_in_mailbox(one if one.first is None else other))


# The mailbox's part of who has no first name, and the first name of who has one.
GIVEN_SQL = f"CASE WHEN l.first IS NULL THEN {given_sql('l')} ELSE {given_sql('r')} END"
NAMED_SQL = "replace(coalesce(l.first, r.first), ' ', '')"


def _given_and_named(one: Traits, other: Traits) -> tuple[str, str]:
    nameless, named = (one, other) if one.first is None else (other, one)
    return given_in_mailbox(nameless), (named.first or "").replace(" ", "")


def is_given(one: Traits, other: Traits) -> bool:
    given, named = _given_and_named(one, other)
    return len(named) >= 2 and given.startswith(named)


def is_given_initial(one: Traits, other: Traits) -> bool:
    given, named = _given_and_named(one, other)
    return named.startswith(given)


def is_given_alike(one: Traits, other: Traits) -> bool:
    return is_alike(*_given_and_named(one, other), 0.88)


def is_part(one: str, other: str) -> bool:
    return one.startswith(other + " ") or other.startswith(one + " ")


def is_initial(one: str, other: str) -> bool:
    return one[0] == other[0] and 1 in (len(one), len(other))


def is_parted(one: str, other: str) -> bool:
    """Two of year, month and day are equal, the third is another altogether."""
    return (one[:4] == other[:4]) + (one[5:7] == other[5:7]) + (one[8:] == other[8:]) >= 2


_YEAR, _MONTH, _DAY = (
    f"substring(l.birth_date, {start}, {length}) = substring(r.birth_date, {start}, {length})"
    for start, length in ((1, 4), (6, 2), (9, 2))
)
PARTED_SQL = f"(({_YEAR} AND {_MONTH}) OR ({_YEAR} AND {_DAY}) OR ({_MONTH} AND {_DAY}))"

_NOT_DIGITS = re.compile("[^0-9]")
_HOUSE = str.maketrans("", "", "0123456789 ")


def is_one_street(one: str, other: str) -> bool:
    here, there = one.translate(_HOUSE), other.translate(_HOUSE)
    return bool(here) and is_alike(here, there, 0.88)


def is_one_house(one: str, other: str) -> bool:
    """The same digits, and some."""
    here, there = (_NOT_DIGITS.sub("", street) for street in (one, other))
    return here == there != ""


def _street_sql(side: str) -> str:
    return f"translate({side}.street, '0123456789 ', '')"


def _house_sql(side: str) -> str:
    """What is left of a street when all that is not a digit is taken out of it."""
    return f"translate({side}.street, translate({side}.street, '0123456789', ''), '')"


def whole_street_sql(side: str) -> str:
    return f"replace({side}.street, ' ', '')"


# Expressions of one side alone; ``bulk`` works each out once for everybody, not for every pair.
OF_ONE: dict[str, Callable[[str], str]] = {
    "given": given_sql,
    "street_name": _street_sql,
    "house": _house_sql,
    "whole_street": whole_street_sql,
}
_LEFT_HOUSE, _RIGHT_HOUSE = _house_sql("l"), _house_sql("r")
ONE_STREET_SQL = f"jaro_winkler_similarity({_street_sql('l')}, {_street_sql('r')}) >= 0.88"
ONE_HOUSE_SQL = f"({_LEFT_HOUSE} = {_RIGHT_HOUSE} AND {_LEFT_HOUSE} <> '')"


def is_day_for_month(one: str, other: str) -> bool:
    return one[:5] == other[:5] and one[5:7] == other[8:10] and one[8:10] == other[5:7]
