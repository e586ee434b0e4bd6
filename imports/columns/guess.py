"""Headers in many languages and sample rows → the target of each column, as far as it can be guessed."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imports.columns.consent_headers import guess_consents, words_of
from imports.columns.dates import has_no_year, looks_like_date
from imports.columns.headers import NOTHING, PLAIN, PREFIXED, Meaning, meaning_of
from imports.columns.layouts import constants_of, settled_columns
from imports.columns.separators import separator_of
from imports.columns.targets import BIRTHDAY, Context, UnknownTarget, parse_target
from profiles.identity.normalize import BadValue, country, email, fold, phone
from profiles.identity.presets import CONTACTS

_SHARE = 0.8  # of the filled sample cells that must be valid values
_HALF = 0.5  # of those under a header that names what they are
_MIN_NAME = 4
# One value with so many unlike people beside it identifies none of them.
_UNLIKE, _OFTEN = 3, 5

_ADDRESS = ("street", "postcode", "city", "state", "country")
_NAMES = ("first_name", "last_name", "full_name")
# Whoever looks after a person is not the person.
_SOMEBODY_ELSE = re.compile(
    r"\b(?:owner|agent|rep|manager|assistant|seller|salesperson|advisor|assigned|assignee|created by|modified by|updated by|"
    r"referred by|besitzer|betreuer|bearbeiter|vertreter|verantwortlich\w*|opiekun|handlowiec|wlasciciel|responsable|"
    r"commercial|proprietaire|propietario|encargado|responsabile|eigenaar|beheerder)\b"
)


def column_keys(headers: Sequence[str]) -> dict[str, int]:
    """Every way a mapping may name a column → its index: `#n` always, its header when only one has it."""
    keys = {f"#{number}": number - 1 for number in range(1, len(headers) + 1)}
    for index, header in enumerate(headers):
        if header and list(headers).count(header) == 1:
            keys[header] = index
    return keys


def ambiguous_columns(headers: Sequence[str], context: Context) -> dict[int, str]:
    """index → sentence, for columns staff have to decide on: no name, a repeated name, or nearly the same as another."""
    sentences: dict[int, str] = {}
    names = [fold(header) for header in headers]
    first: dict[str, int] = {}
    for index, (header, name) in enumerate(zip(headers, names, strict=True)):
        if not header:
            sentences[index] = f"Column {index + 1} has no name. Choose where it goes, or ignore it."
        elif name and name in first:
            sentences[first[name]] = sentences[index] = _describe_pair(
                headers, first[name], index, "have the same name"
            )
        first.setdefault(name, index)
    known = {
        index: to for index, header in enumerate(headers) if header and (to := meaning_of(header, context).to)
    }
    for index, to in known.items():
        for second, name in enumerate(names):
            is_other = known.get(second, to) != to  # fname and lname are meant
            if (
                second not in sentences
                and second != index
                and not is_other
                and _one_letter_apart(names[index], name)
            ):
                low, high = sorted((index, second))
                sentences[low] = sentences[high] = _describe_pair(headers, low, high, "differ by one letter")
    return sentences


def _describe_pair(headers: Sequence[str], low: int, high: int, how: str) -> str:
    names = f"“{headers[low]}” (column {low + 1}) and “{headers[high]}” (column {high + 1})"
    return f"{names} {how}. Choose where each goes."


def _one_letter_apart(a: str, b: str) -> bool:
    """One letter changed, missing or more; numbers at the end (phone1, phone2) are meant."""
    if abs(len(a) - len(b)) > 1 or min(len(a), len(b)) < _MIN_NAME or a == b:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    if rest_a[:1].isdigit() or rest_b[:1].isdigit():
        return False
    return rest_a[1:] == rest_b[1:] or rest_a[1:] == rest_b or rest_a == rest_b[1:]


# --- The guess ----------------------------------------------------------------------------------------


def guess_mapping(
    headers: Sequence[str], sample_rows: Sequence[Sequence[str]], context: Context
) -> dict[str, dict[str, Any]]:
    """A mapping as `parse_mapping` takes it, in the order of the columns; what nothing fits is ignored.

    A column of `ambiguous_columns` is left out, so that the guess alone is refused until staff decide.
    Two columns are never guessed to the same target: a second e-mail or phone is one more identifier, any other
    second column is ignored. A column whose values are shared by unlike people is never guessed to identify.
    """
    ambiguous = ambiguous_columns(headers, context)
    columns = [column_values(sample_rows, index) for index in range(len(headers))]
    guess = _Guess(headers, sample_rows, columns, context, set(ambiguous))
    entries = guess.entries()
    mapping = {
        header if header and list(headers).count(header) == 1 else f"#{index + 1}": entries[index]
        for index, header in enumerate(headers)
        if index not in ambiguous
    }
    return {**mapping, **constants_of(headers)}


class _Guess:
    def __init__(
        self,
        headers: Sequence[str],
        rows: Sequence[Sequence[str]],
        columns: Sequence[Sequence[str]],
        context: Context,
        skipped: set[int],
    ) -> None:
        self.headers, self.rows, self.columns, self.context = headers, rows, columns, context
        self.open = [index for index in range(len(headers)) if index not in skipped]
        self.targets: dict[int, str] = {}

    def entries(self) -> dict[int, dict[str, Any]]:
        settled = {index: to for index, to in settled_columns(self.headers).items() if index in self.open}
        meanings = {index: meaning_of(self.headers[index], self.context) for index in self.open}
        # Before anything else: “No e-mail” is no e-mail address.
        taken = settled | {
            index: meaning.to
            for index, meaning in meanings.items()
            if meaning.to
            and index not in settled
            and (meaning.to != "ignore")
            and self._fits(index, meaning.to)
        }
        constants = {
            -1 - number: entry["to"] for number, entry in enumerate(constants_of(self.headers).values())
        }
        skipped = {index: "" for index in range(len(self.headers)) if index not in self.open}
        consents = guess_consents(
            self.headers, self.columns, taken | constants | skipped, self.context.consents
        ).entries
        for index in self.open:
            has_no_fit = index not in taken and meanings[index].to != "ignore"
            if index in settled or index in consents or has_no_fit:
                meanings[index] = NOTHING
        self.targets = dict(settled)
        self._assign(meanings)
        self._assign_by_values(meanings, set(consents))
        entries = {index: self._entry(index, self.targets.get(index, "ignore")) for index in self.open}
        return {**entries, **{index: dict(entry) for index, entry in consents.items()}}

    def _assign(self, meanings: Mapping[int, Meaning]) -> None:
        """Each target to its best column: the plainest name first, the fields of an address from one group of columns."""
        group = self._address_rank(meanings)
        order = sorted(
            (index for index in meanings if meanings[index].to),
            key=lambda index: (
                abs(meanings[index].rank - group) if meanings[index].to in _ADDRESS else meanings[index].rank,
                index,
            ),
        )
        for index in order:
            to = meanings[index].to
            if to not in _NAMES or to == "first_name":
                self._give(index, to, is_plain=meanings[index].rank == PLAIN)
        for index in order:
            if meanings[index].to == "last_name":
                self._give(index, "last_name")
        self._assign_names([index for index in order if meanings[index].to == "full_name"])

    @staticmethod
    def _address_rank(meanings: Mapping[int, Meaning]) -> int:
        """Whether the person's address is in columns with plain names or with a prefix (home, billing …)."""
        fields = {
            rank: {
                meaning.to for meaning in meanings.values() if meaning.to in _ADDRESS and meaning.rank == rank
            }
            for rank in (PLAIN, PREFIXED)
        }
        return PREFIXED if len(fields[PREFIXED]) > len(fields[PLAIN]) else PLAIN

    def _assign_names(self, columns: Sequence[int]) -> None:
        """A whole name only where its parts have no columns; beside a first name, “Name” is the last name."""
        taken = set(self.targets.values())
        if (
            columns
            and "first_name" in taken
            and "last_name" not in taken
            and fold(self.headers[columns[0]]) == "name"
        ):
            self._give(columns[0], "last_name")
        elif columns and not taken & {"first_name", "last_name"}:
            self._give(columns[0], "full_name")
        first = next((index for index, to in self.targets.items() if to == "first_name"), None)
        if (
            first is not None
            and "last_name" not in self.targets.values()
            and fold(self.headers[first]) in ("nombre", "nome")
            and self._share(first, lambda value: " " in value) >= _SHARE
        ):
            self.targets[first] = "full_name"  # also the word for a whole name

    def _give(self, index: int, to: str, *, is_plain: bool = True) -> None:
        taken = set(self.targets.values())
        if to in CONTACTS and to in taken:
            further = f"identifier.{to}"  # profiles have several; the first is the attribute
            # Address books have a dozen places for numbers, most of them never filled.
            is_spare = bool(self.rows) and not self.columns[index] and (not is_plain or further in taken)
            if self.context.identifier_by_name[to].max_per_profile != 1 and not is_spare:
                self.targets[index] = further
        elif to == "ignore" or to == "tags" or to not in taken:
            if to in ("reference_id", "customer_id") and taken & {"reference_id", "customer_id"}:
                return
            if not self._is_shared(index, to):
                self.targets[index] = to

    def _assign_by_values(self, meanings: Mapping[int, Meaning], consents: set[int]) -> None:
        for index in self.open:
            if index in self.targets or index in consents or meanings[index].to == "ignore":
                continue
            if _SOMEBODY_ELSE.search(words_of(self.headers[index])):
                continue
            if to := _by_values(self.columns[index], set(self.targets.values())):
                self.targets[index] = to

    def _fits(self, index: int, to: str) -> bool:
        """Whether the cells under a header can be what it says; a column without any is believed."""
        values = self.columns[index]
        if not values:
            return True
        check = _LOOKS.get(to.removeprefix("identifier."))
        return check is None or self._share(index, check) >= _HALF

    def _share(self, index: int, accepts: Callable[[str], object]) -> float:
        values = self.columns[index]
        return sum(bool(accepts(value)) for value in values) / len(values) if values else 0.0

    def _is_shared(self, index: int, to: str) -> bool:
        """Whether unlike people share one value of a column that would find them: an account owner's address, a shop's id."""
        try:
            target = parse_target(to, self.context)
        except UnknownTarget:
            return False
        if not target.identifier or not self.context.identifier_by_name[target.identifier].is_unique:
            return False
        (value, count) = next(iter(Counter(self.columns[index]).most_common(1)), ("", 0))
        if count < _UNLIKE:
            return False
        names = [column for column, name_to in self.targets.items() if name_to in _NAMES] or [
            column for column in self.open if meaning_of(self.headers[column], self.context).to in _NAMES
        ]
        if names:
            people = {
                tuple(row[column].strip().casefold() if column < len(row) else "" for column in names)
                for row in self.rows
                if index < len(row) and row[index].strip() == value
            }
            unlike = len({person for person in people if any(person)})
            return unlike >= _OFTEN or (unlike >= _UNLIKE and count == len(self.columns[index]))
        return count >= _OFTEN and count > len(self.columns[index]) * _HALF

    def _entry(self, index: int, to: str) -> dict[str, Any]:
        if to == "birth_date" and self._share(index, has_no_year) > _HALF:
            to = f"attributes.{BIRTHDAY}" if BIRTHDAY in self.context.attribute_by_name else "ignore"
        separator = separator_of(to, self.columns[index], self.context)
        return {"to": to, "separator": separator} if separator else {"to": to}


_LOOKS: dict[str, Callable[[str], object]] = {
    "email": lambda value: "@" in value,
    # Without the country of its numbers, many a phone number cannot be read yet.
    "phone": lambda value: re.fullmatch(
        r"'?[+(0-9][0-9()\[\]./ \u00a0\u2010-\u2015\u2212:;,|-]{4,}.*", value
    ),
    "birth_date": lambda value: looks_like_date(value) or has_no_year(value),
    "country": lambda value: _accepts(country, value),
}


def column_values(rows: Sequence[Sequence[str]], index: int) -> list[str]:
    """The filled cells of a column."""
    return [row[index].strip() for row in rows if index < len(row) and row[index].strip()]


def _by_values(values: list[str] | Sequence[str], taken: set[str]) -> str:
    """Only what values prove on their own: an address with “@”, a number with “+”, a country's name.

    What repeats identifies nobody: the same address in two rows may be whoever looks after both.
    """
    is_distinct = len(set(values)) == len(values)
    if "email" not in taken and is_distinct and share_of(values, email) >= _SHARE:
        return "email"
    if (
        "phone" not in taken
        and is_distinct
        and all(value.startswith("+") for value in values)
        and share_of(values, phone) >= _SHARE
    ):
        return "phone"
    long_names = all(re.fullmatch(r"\D{4,}", value) for value in values)
    if "country" not in taken and long_names and share_of(values, country) >= _SHARE:
        return "country"
    return ""


def share_of(values: Sequence[str], cleaner: Callable[[str], object]) -> float:
    """Which share of the values the cleaner accepts; 0 of none."""
    if not values:
        return 0.0
    return sum(_accepts(cleaner, value) for value in values) / len(values)


def _accepts(cleaner: Callable[[str], object], value: str) -> bool:
    try:
        cleaner(value)
    except BadValue:
        return False
    return True
