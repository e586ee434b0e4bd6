"""Two values → how alike they are, each rule once as Python and once as DuckDB's SQL; levels are made of
these. Pure.

The SQL is over tables ``l`` and ``r`` with the columns of ``features.Features``. Both forms give the same
level for every pair (a test compares 100,000). Damerau-Levenshtein costs fifty times as much as
Jaro-Winkler, so a guard comes first that one typo always passes: of two words one typo apart, nearly half
is equal from the left or from the right. DuckDB measures distances in bytes, so beyond ASCII bytes are
compared here, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

from profiles.duplicates.scoring.features import Features

UNKNOWN = "unknown"
DIFFERS = "differs"
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a comparison. ``label`` completes "the first names …"; ``sql`` is "" for the last level,
    which always holds.
    """

    name: str
    label: str
    sql: str
    holds: Callable[[Features, Features], bool]


@dataclass(frozen=True)
class Comparison:
    """The levels of one field, best first; the last is ``differs``. Unknown where either side has no value.

    ``is_rarity_counted``: how rare the feature is (of two the commoner) adds to the levels that speak for
    one person. ``known``: the condition for a level to be known, where it is not that both sides have the
    feature. ``display_field``: the field whose values an explanation shows, where it is not ``field``;
    ``NOTHING`` for none.
    """

    field: str
    label: str
    feature: str
    levels: tuple[Level, ...]
    is_rarity_counted: bool = False
    known: Callable[[Features, Features], bool] | None = None
    known_sql: str = ""
    display_field: str = ""

    @property
    def rarity_levels(self) -> tuple[str, ...]:
        """The levels to which rarity adds: not an initial, of which rarity is unknown, nor names that
        differ.
        """
        counted = self.is_rarity_counted
        return tuple(
            name for name in self.names if counted and name not in (DIFFERS, "initial", "swapped", "crossed")
        )

    @property
    def rarity_level_numbers(self) -> str:
        """Their numbers, as SQL."""
        return ", ".join(str(self.names.index(name)) for name in self.rarity_levels)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(level.name for level in self.levels)

    @property
    def sql(self) -> str:
        """An expression for the level's number; -1 is unknown."""
        cases = " ".join(
            f"WHEN {level.sql} THEN {index}" for index, level in enumerate(self.levels) if level.sql
        )
        unknown = f"l.{self.feature} IS NULL OR r.{self.feature} IS NULL"
        if self.known_sql:
            unknown = f"NOT {self.known_sql}"
        return f"CASE WHEN {unknown} THEN -1 {cases} ELSE {len(self.levels) - 1} END"

    def level_of(self, left: Features, right: Features) -> int:
        """The level's number of two profiles; -1 is unknown. The same as ``sql``."""
        if self.known:
            if not self.known(left, right):
                return -1
        elif getattr(left, self.feature) is None or getattr(right, self.feature) is None:
            return -1
        for index, holds in self._tests:
            if holds(left, right):
                return index
        return len(self.levels) - 1

    @cached_property
    def _tests(self) -> list[tuple[int, Callable[[Features, Features], bool]]]:
        """The conditions of all levels but the last, which always holds."""
        return [(index, level.holds) for index, level in enumerate(self.levels[:-1])]


def is_slip(left: str, right: str, min_length: int) -> bool:
    """Whether one letter is added, missing or different, or two are transposed; both have ``min_length``
    letters.
    """
    return (
        abs(len(left) - len(right)) <= 1
        and min(len(left), len(right)) >= min_length
        and (left[0] == right[0] or left[-1] == right[-1])
        and DamerauLevenshtein.distance(*_measured(left, right), score_cutoff=1) == 1
    )


def _measured(left: str, right: str) -> tuple[str, str] | tuple[bytes, bytes]:
    return (left, right) if left.isascii() and right.isascii() else (left.encode(), right.encode())


def slip_sql(feature: str, min_length: int) -> str:
    left_column, right_column = f"l.{feature}", f"r.{feature}"
    # Wherever the typo is, this much is equal from the left or from the right.
    half = f"(least(length({left_column}), length({right_column})) - 1) // 2"
    return (
        f"(abs(length({left_column}) - length({right_column})) <= 1 AND least(length({left_column}), length({right_column})) >= {min_length}"
        f" AND (left({left_column}, {half}) = left({right_column}, {half}) OR right({left_column}, {half}) = right({right_column}, {half}))"
        f" AND damerau_levenshtein({left_column}, {right_column}) = 1)"
    )


def is_alike(left: str, right: str, min_similarity: float) -> bool:
    return JaroWinkler.similarity(*_measured(left, right)) >= min_similarity


def alike_sql(feature: str, min_similarity: float) -> str:
    return f"jaro_winkler_similarity(l.{feature}, r.{feature}) >= {min_similarity}"


def _text(feature: str) -> Callable[[Features], str]:
    def read(features: Features) -> str:
        return getattr(features, feature) or ""

    return read


def equal(feature: str, label: str = "are equal") -> Level:
    return Level(
        "equal", label, f"l.{feature} = r.{feature}", lambda a, b: getattr(a, feature) == getattr(b, feature)
    )


def equal_any(feature: str, list_feature: str) -> Level:
    """Equal, or equal to any of several values of the other side."""
    left_column, right_column = f"l.{list_feature}", f"r.{list_feature}"
    return Level(
        "equal",
        "are equal",
        f"(l.{feature} = r.{feature} OR (len({left_column}) + len({right_column}) > 0 AND (list_contains({left_column}, r.{feature})"
        f" OR list_contains({right_column}, l.{feature}) OR list_has_any({left_column}, {right_column}))))",
        lambda a, b: (
            getattr(a, feature) == getattr(b, feature)
            or (
                bool(getattr(a, list_feature) or getattr(b, list_feature))
                and not _all_values(a, feature, list_feature).isdisjoint(
                    _all_values(b, feature, list_feature)
                )
            )
        ),
    )


def _all_values(features: Features, feature: str, list_feature: str) -> set[str]:
    return {getattr(features, feature), *getattr(features, list_feature)}


def slip(feature: str, min_length: int, label: str = "are one slip apart") -> Level:
    read = _text(feature)
    return Level(
        "slip", label, slip_sql(feature, min_length), lambda a, b: is_slip(read(a), read(b), min_length)
    )


def alike(feature: str, min_similarity: float, label: str = "are alike") -> Level:
    read = _text(feature)
    return Level(
        "alike",
        label,
        alike_sql(feature, min_similarity),
        lambda a, b: is_alike(read(a), read(b), min_similarity),
    )


def differs(label: str = "differ") -> Level:
    return Level(DIFFERS, label, "", lambda a, b: True)


SWAPPED = Level(
    "swapped",
    "stand in each other's place",
    # The cheap test of the first letters comes first; hardly any pair passes it.
    "(left(l.first, 1) = left(r.last, 1) AND left(l.last, 1) = left(r.first, 1)"
    " AND jaro_winkler_similarity(l.first, r.last) >= 0.9 AND jaro_winkler_similarity(l.last, r.first) >= 0.9)",
    lambda a, b: _is_swapped(a, b),
)


def _is_swapped(left: Features, right: Features) -> bool:
    """Whether first and last name are exchanged, each perhaps with a typo after its first letter."""
    if None in (left.first, left.last, right.first, right.last):
        return False
    there, back = (left.first or "", right.last or ""), (left.last or "", right.first or "")
    return all(a[0] == b[0] and is_alike(a, b, 0.9) for a, b in (there, back))


def is_crossed(left: Features, right: Features) -> bool:
    """Whether the first name of one side is the last name of the other."""
    first, last = left.first or "", right.last or ""
    return first[:1] == last[:1] != "" and is_alike(first, last, 0.9)


_NOT_LETTERS = re.compile("[^a-z]")


def given_in_mailbox(features: Features) -> str:
    """The letters of a mailbox without the last name: a first name or its initial; "" for nothing."""
    mailbox = features.mailbox or ""
    letters, last = _NOT_LETTERS.sub("", mailbox), (features.last or "").replace(" ", "")
    if len(last) >= 2 and last in letters:
        return letters.replace(last, "")
    return _NOT_LETTERS.sub("", mailbox.partition(".")[0])


def given_sql(side: str) -> str:
    """The same as ``given_in_mailbox``; "" or NULL for nothing."""
    letters, last = (
        f"regexp_replace({side}.mailbox, '[^a-z]', '', 'g')",
        f"replace(coalesce({side}.last, ''), ' ', '')",
    )
    return (
        f"CASE WHEN length({last}) >= 2 AND contains({letters}, {last}) THEN replace({letters}, {last}, '')"
        f" ELSE regexp_replace(split_part({side}.mailbox, '.', 1), '[^a-z]', '', 'g') END"
    )


def is_name_in_mailbox_known(left: Features, right: Features) -> bool:
    """Whether exactly one first name is missing and that side has a mailbox to read it from."""
    if (left.first is None) == (right.first is None):
        return False
    return bool(given_in_mailbox(left if left.first is None else right))


# What the mailbox of the side without a first name says, and the first name of the other side.
GIVEN_SQL = f"CASE WHEN l.first IS NULL THEN {given_sql('l')} ELSE {given_sql('r')} END"
NAMED_SQL = "replace(coalesce(l.first, r.first), ' ', '')"


def _given_and_named(left: Features, right: Features) -> tuple[str, str]:
    nameless, named = (left, right) if left.first is None else (right, left)
    return given_in_mailbox(nameless), (named.first or "").replace(" ", "")


def is_given(left: Features, right: Features) -> bool:
    given, named = _given_and_named(left, right)
    return len(named) >= 2 and given.startswith(named)


def is_given_initial(left: Features, right: Features) -> bool:
    given, named = _given_and_named(left, right)
    return named.startswith(given)


def is_given_alike(left: Features, right: Features) -> bool:
    return is_alike(*_given_and_named(left, right), 0.88)


def is_part(left: str, right: str) -> bool:
    return left.startswith(right + " ") or right.startswith(left + " ")


def is_initial(left: str, right: str) -> bool:
    return left[0] == right[0] and 1 in (len(left), len(right))


def is_parted(left: str, right: str) -> bool:
    """Two of year, month and day are equal, the third is different."""
    return (left[:4] == right[:4]) + (left[5:7] == right[5:7]) + (left[8:] == right[8:]) >= 2


_YEAR, _MONTH, _DAY = (
    f"substring(l.birth_date, {start}, {length}) = substring(r.birth_date, {start}, {length})"
    for start, length in ((1, 4), (6, 2), (9, 2))
)
PARTED_SQL = f"(({_YEAR} AND {_MONTH}) OR ({_YEAR} AND {_DAY}) OR ({_MONTH} AND {_DAY}))"

_NOT_DIGITS = re.compile("[^0-9]")
_WITHOUT_HOUSE_NUMBER = str.maketrans("", "", "0123456789 ")


def is_same_street(left: str, right: str) -> bool:
    here, there = left.translate(_WITHOUT_HOUSE_NUMBER), right.translate(_WITHOUT_HOUSE_NUMBER)
    return bool(here) and is_alike(here, there, 0.88)


def is_same_house(left: str, right: str) -> bool:
    """Both have the same digits, and at least one."""
    here, there = (_NOT_DIGITS.sub("", street) for street in (left, right))
    return here == there != ""


def _street_sql(side: str) -> str:
    return f"translate({side}.street, '0123456789 ', '')"


def _house_sql(side: str) -> str:
    """The digits of a street."""
    return f"translate({side}.street, translate({side}.street, '0123456789', ''), '')"


def whole_street_sql(side: str) -> str:
    return f"replace({side}.street, ' ', '')"


# Expressions over one side: ``duckdb_compare`` computes each once for a profile instead of once for a pair.
ONE_SIDED_SQL: dict[str, Callable[[str], str]] = {
    "given": given_sql,
    "street_name": _street_sql,
    "house": _house_sql,
    "whole_street": whole_street_sql,
}
_LEFT_HOUSE, _RIGHT_HOUSE = _house_sql("l"), _house_sql("r")
SAME_STREET_SQL = f"jaro_winkler_similarity({_street_sql('l')}, {_street_sql('r')}) >= 0.88"
SAME_HOUSE_SQL = f"({_LEFT_HOUSE} = {_RIGHT_HOUSE} AND {_LEFT_HOUSE} <> '')"


def is_day_for_month(left: str, right: str) -> bool:
    return left[:5] == right[:5] and left[5:7] == right[8:10] and left[8:10] == right[5:7]
