"""A row and its mapping → clean values, or its problems. Compiled to one function per column: microseconds a row."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from imports.columns.cell_marks import (
    CLEARS,
    EMPTY,
    EMPTY_WORD,
    NOTHING,
    REPEATED,
    STAND_IN,
    UNREADABLE,
)
from imports.columns.clean_consents import ConsentCleaner, consent_columns
from imports.columns.cleaned import CellProblem, Cleaned
from imports.columns.dates import NoYear, date_reader, month_day_reader
from imports.columns.mapping import ColumnMapping, Mapping, MappingError
from imports.columns.separators import GOOGLE
from imports.columns.targets import (
    BIRTHDAY,
    COUNTRY_OF_ROW,
    REJECT_ROW,
    WITHOUT_PLUS,
    AttributeSpec,
    Context,
    IdentifierSpec,
)
from imports.files.dialect import Row, shorten
from profiles.identity.blocked_values import ignored_sentence
from profiles.identity.empty_words import EMPTY_WORDS
from profiles.identity.normalize import (
    DEFAULT_LIMITS,
    NAMES,
    BadValue,
    attribute,
    birth_date,
    compile_patterns,
    country,
    default_cleaner,
    is_blocked,
    items,
    normalizer,
    phone,
    phone_without_plus,
    reference,
    split_cell,
    tags,
    text,
)
from profiles.identity.person_names import split_name
from profiles.identity.text import hidden_removed, visible

# Also with a space around them: cheaper than to strip every cell.
_EMPTY_CELLS = frozenset(cell for word in EMPTY_WORDS for cell in (word, f" {word}", f"{word} ", f" {word} "))
_BIRTHDAY = f"attributes.{BIRTHDAY}"
_NOTHING = "Nothing to import: every mapped cell of the row is empty."
LEFT_OUT = " Only this cell was left out."
MAX_RAW = 320
MAX_VALUES = 4  # of an identifier column whose cells hold several


# What a step returns is the cell's mark where the cell gave no value.
Step = Callable[[str, Cleaned], str | None]


class Cleaner:
    """Compiled from a mapping; `clean` does not raise for anything a cell may contain.

    Empty cells count as absent, and so do words for nothing such as NULL (`Cleaned.emptied`); a cell with just the
    clear marker empties its field. Every bad cell of a row is listed: one that would find the person rejects the row,
    any other is left out, unless the import rejects rows for those as well. A blocked identifier is treated as
    absent, with a warning. Raises `MappingError` for a bad constant.
    """

    def __init__(self, mapping: Mapping, context: Context) -> None:
        self._context = context
        self._marker = context.clear_marker
        self._read_date = date_reader(context.date_order)
        self._country = _constant_country(mapping)
        self.mapping = mapping
        self._cells = {column.index: cell for cell, column in enumerate(mapping.cell_columns)}
        self._steps: list[tuple[int, str, Step, str, frozenset[str], bool]] = []
        self._constants: list[tuple[str, str, Step]] = []
        self._consents = [
            ConsentCleaner(
                name,
                parts,
                context.clear_marker,
                self._read_date,
                EMPTY_WORDS if context.empty_words else (),
                self._cells,
            )
            for name, parts in consent_columns(mapping).items()
        ]
        self._is_blocked = {spec.name: _blocker(spec) for spec in context.identifiers}
        for column in mapping.used:
            if column.target.kind == "consent":
                continue
            step = self._compile(column, mapping)
            if column.index is not None:
                field = column.target.field or column.target.kind
                words, can_leave_out = self._empty_words(column), self._can_leave_out(column)
                self._steps.append((column.index, column.key, step, field, words, can_leave_out))
            elif column.const is not None:
                self._constants.append((column.key, column.const, step))
        if context.phone_country.startswith(COUNTRY_OF_ROW):
            self._steps.sort(
                key=lambda step: step[3] != "country"
            )  # before the phone numbers it is needed for
        if any(step[3] == _BIRTHDAY for step in self._steps):
            # A birthday in a column of its own comes before a date without a year.
            self._steps.sort(key=lambda step: step[3] == "birth_date")
        self._check_constants()

    def _can_leave_out(self, column: ColumnMapping) -> bool:
        if self._context.bad_cells == REJECT_ROW:
            return False
        type_name = column.target.identifier
        return not type_name or not self._context.identifier_by_name[type_name].is_unique

    def clean(self, row: Row) -> Cleaned:
        out = Cleaned(row.line_no)
        cells = row.cells
        marker = self._marker
        left_out: list[CellProblem] = []
        for index, name, step, field, empty_words, can_leave_out in self._steps:
            raw = cells[index]
            if not raw:
                continue
            if raw in empty_words:
                out.emptied = [*out.emptied, (name, raw.strip())]
                out.mark(self._cells[index], EMPTY_WORD)
                continue
            if marker and marker in raw and raw.strip() == marker:
                _clear(out, name, raw, field)
                out.mark(self._cells[index], CLEARS)
                continue
            try:
                mark = step(raw, out)
            except BadValue as error:
                # Of several values in the cell one may have been taken.
                mark = None if self._cells[index] in out.identifier_cells else UNREADABLE
                if raw.strip():
                    problems = left_out if can_leave_out else out.problems
                    problems.append(CellProblem(name, shorten(raw), error.message))
            if mark:
                out.mark(self._cells[index], mark if raw.strip() else EMPTY)
        before = len(out.warnings)
        for consent in self._consents:
            consent.clean(cells, out)
        if not (out.values or out.identifiers or out.tags or out.clears or out.consents or out.problems):
            out.problems = [*left_out, *out.warnings[before:]] or [CellProblem("", "", _NOTHING)]
            return out
        if left_out:
            out.warnings += [item._replace(message=item.message + LEFT_OUT) for item in left_out]
        for _, const, step in self._constants:
            step(const, out)
        return out

    def _empty_words(self, column: ColumnMapping) -> frozenset[str]:
        """None for identifiers, where they are blocked values, and none that are a choice of the attribute."""
        target = column.target
        if not self._context.empty_words or target.identifier in self._context.identifier_by_name:
            return frozenset()
        if target.kind == "attribute":
            return _EMPTY_CELLS.difference(self._context.attribute_by_name[target.name].allowed)
        return _EMPTY_CELLS

    def _check_constants(self) -> None:
        problems = []
        for name, const, step in self._constants:
            try:
                step(const, Cleaned(0))
            except BadValue as error:
                problems.append((name, error.message))
        if problems:
            raise MappingError(problems)

    def _compile(self, column: ColumnMapping, mapping: Mapping) -> Step:
        target = column.target
        if target.kind == "tags":
            return _tags_step(column.separator or ",")
        if target.kind == "full_name":
            return _full_name_step
        if target.kind == "attribute":
            spec = self._context.attribute_by_name[target.name]
            make = _text_step if spec.type == "text" else _value_step
            return make(target.field, self._attribute_cleaner(spec, column.separator))
        if target.name == "phone":
            return self._phone_step(column)
        if target.name == "birth_date":
            return _birth_date_step(self._read_date, has_birthday=mapping.has_birthday)
        if target.kind == "default":
            cleaner = default_cleaner(target.name)
            if target.name in NAMES:
                return _name_step(target.field, cleaner, column.key)
            if target.name == "postcode":
                cleaner = self._unmarked(cleaner)
            if target.identifier not in self._context.identifier_by_name:
                return _text_step(target.field, cleaner)
        identifier = self._context.identifier_by_name[target.identifier]
        if target.kind == "identifier":
            cleaner = self._unmarked(
                reference
                if target.part == "reference"
                else normalizer(identifier.normalizer, region=self._context.region)
            )
        return self._identifying(column, cleaner)

    def _unmarked(self, cleaner: Callable[[str], str]) -> Callable[[str], str]:
        return _without_digit_mark(cleaner) if self._context.digit_marks else cleaner

    def _identifying(self, column: ColumnMapping, cleaner: Callable[[str], str]) -> Step:
        target = column.target
        spec = self._context.identifier_by_name[target.identifier]
        blocked = self._is_blocked[spec.name]
        cell = self._cells.get(column.index, -1)
        step = _identifier_step(target.field, spec, cleaner, blocked, column.key, cell)
        if not column.separator:
            return step
        further = _identifier_step("", spec, cleaner, blocked, column.key, cell)
        return _several_step(step, further, column.separator)

    def _phone_step(self, column: ColumnMapping) -> Step:
        """The step of a phone column: where a number without a country code is at home is said once for the file."""
        where, _, otherwise = self._context.phone_country.partition(":")
        if where == WITHOUT_PLUS:
            return self._telephone(column, phone_without_plus)
        if where != COUNTRY_OF_ROW:
            return self._telephone(column, _phone_of(where or self._context.region))
        home = self._country or otherwise or self._context.region
        steps: dict[str, Step] = {}

        def step(raw: str, out: Cleaned) -> str | None:
            region = out.values.get("country", home)
            found = steps.get(region)
            if found is None:
                found = steps[region] = self._telephone(column, _phone_of(region))
            return found(raw, out)

        return step

    def _telephone(self, column: ColumnMapping, cleaner: Callable[[str], str]) -> Step:
        if column.target.identifier not in self._context.identifier_by_name:
            return _text_step(column.target.field, cleaner)
        return self._identifying(column, cleaner)

    def _attribute_cleaner(self, spec: AttributeSpec, separator: str) -> Callable[[str], Any]:
        kind, allowed, limit = spec.type, spec.allowed, spec.limit
        if kind == "text":
            if spec.name == BIRTHDAY:
                return month_day_reader(self._context.date_order)
            return lambda raw: text(raw, limit)
        if kind in ("date", "datetime"):
            read = self._read_date
            return lambda raw: attribute(kind, day) if (day := read(raw)) else ""
        if separator:
            return lambda raw: items(raw, allowed, separator)
        return lambda raw: attribute(kind, raw, allowed=allowed)


def _clear(out: Cleaned, name: str, raw: str, field: str) -> None:
    if field == "identifier":
        out.problems.append(CellProblem(name, shorten(raw), "An identifier cannot be cleared by an import."))
    elif field == "full_name":
        out.clears += ["first_name", "last_name"]
    else:
        out.clears.append(field)


def _value_step(field: str, cleaner: Callable[[str], Any]) -> Step:
    """False and 0 are values; an empty text or list is none."""

    def step(raw: str, out: Cleaned) -> str | None:
        value = cleaner(raw)
        if value or value is False or value == 0:
            out.values[field] = value
            return None
        return NOTHING

    return step


def _text_step(field: str, cleaner: Callable[[str], str]) -> Step:
    def step(raw: str, out: Cleaned) -> str | None:
        if value := cleaner(raw):
            out.values[field] = value
            return None
        return NOTHING

    return step


def _name_step(field: str, cleaner: Callable[[str], str], column: str) -> Step:
    """Characters nobody sees are removed from names, with a warning."""

    def step(raw: str, out: Cleaned) -> str | None:
        if value := cleaner(raw):
            out.values[field] = value
        if not raw.isprintable():
            _warn_of_hidden(raw, value, column, out)
        return None if value else NOTHING

    return step


def _warn_of_hidden(raw: str, value: str, column: str, out: Cleaned) -> None:
    if sentence := hidden_removed(raw, value):
        out.warnings.append(CellProblem(column, shorten(visible(raw)), sentence))


@lru_cache(maxsize=4096)
def _tags(raw: str, separator: str) -> tuple[str, ...]:
    """Cached: files repeat a few combinations of tags over and over."""
    names = tags(raw, separator)
    if separator == GOOGLE:
        # “* myContacts” is a group of Google's own that everybody is in; “* friends” is one people use.
        names = [name.removeprefix("* ") for name in names if name != "* myContacts"]
    return tuple(names)


def _tags_step(separator: str) -> Step:
    def step(raw: str, out: Cleaned) -> str | None:
        names = _tags(raw, separator)
        if not names:
            return NOTHING
        if out.tags:  # a second column of tags
            present = {tag.casefold() for tag in out.tags}
            names = tuple(name for name in names if name.casefold() not in present)
        out.tags.extend(names)
        return None if names else REPEATED

    return step


def _full_name_step(raw: str, out: Cleaned) -> str | None:
    names = zip(("first_name", "last_name"), split_name(raw), strict=True)
    values = {field: text(name, DEFAULT_LIMITS[field]) for field, name in names if name}
    out.values |= values
    return None if values else NOTHING


def _birth_date_step(read: Callable[[str], str], *, has_birthday: bool) -> Step:
    """A birthday without a year goes to the attribute for that, where there is one."""

    def step(raw: str, out: Cleaned) -> str | None:
        try:
            value = read(raw)
        except NoYear as found:
            if not has_birthday:
                raise
            if out.values.setdefault(_BIRTHDAY, found.month_day) != found.month_day:
                raise BadValue("Another column of this row has another birthday.") from None
            return None
        if not value:
            return NOTHING
        out.values["birth_date"] = birth_date(value)
        return None

    return step


def _phone_of(region: str) -> Callable[[str], str]:
    return lambda raw: phone(raw, region)


def _without_digit_mark(cleaner: Callable[[str], str]) -> Callable[[str], str]:
    """Without the apostrophe that shops put before digits, so that a spreadsheet keeps them as they are."""
    return lambda raw: cleaner(raw[1:] if raw[0] == "'" and raw[1:2].isdigit() else raw)


def _several_step(first: Step, further: Step, separator: str) -> Step:
    """The first value of a cell is the column's; the others identify as well."""

    def step(raw: str, out: Cleaned) -> str | None:
        values = [value for value in split_cell(raw, separator) if value.strip()]
        if len(values) > MAX_VALUES:
            raise BadValue(f"A cell holds at most {MAX_VALUES} values; this one has {len(values):,}.")
        marks = [(further if number else first)(value.strip(), out) for number, value in enumerate(values)]
        return None if None in marks else min(marks, default=NOTHING, key=str)

    return step


def _identifier_step(
    field: str,
    spec: IdentifierSpec,
    cleaner: Callable[[str], str],
    blocked: Callable[[str], bool],
    column: str,
    cell: int,
) -> Step:
    """Sets the identifier, and for `email` and `phone` the attribute of the same name."""
    name = spec.name

    def absent(raw: str, out: Cleaned) -> str:
        value = shorten(raw.strip())
        if not value:
            return EMPTY
        out.warnings.append(CellProblem(column, value, ignored_sentence(value)))
        return STAND_IN

    def step(raw: str, out: Cleaned) -> str | None:
        try:
            value = cleaner(raw)
        except BadValue:
            if not blocked(raw):
                raise
            return absent(raw, out)
        if not value:
            return NOTHING
        # Raw too: "000 000 000" with a default country is no run of zeros any more.
        if blocked(value) or (raw != value and blocked(raw)):
            return absent(raw, out)
        if not raw.isprintable():
            _warn_of_hidden(raw, value, column, out)
        if field:
            out.values[field] = value
        for identifier in out.identifiers:
            if identifier[1] == value and identifier[0] == name:
                return None if field else REPEATED
        out.identifiers.append((name, value, "" if raw == value else raw[:MAX_RAW]))
        out.identifier_cells.append(cell)
        return None

    return step


def _blocker(spec: IdentifierSpec) -> Callable[[str], bool]:
    exact = frozenset(value.strip().lower() for value in spec.blocked_exact)
    patterns, kind = compile_patterns(spec.blocked_patterns), spec.normalizer

    def blocked(value: str) -> bool:
        return is_blocked(value, exact, patterns, kind)

    return blocked


def _constant_country(mapping: Mapping) -> str:
    """The country of every row, where the mapping says one."""
    consts = [column.const for column in mapping.used if column.target.name == "country" and column.const]
    try:
        return country(consts[0]) if consts else ""
    except BadValue:
        return ""  # `_check_constants` names it
