"""A row and its mapping → clean values, or its problems. Compiled to one function per column: microseconds a row."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from imports.columns.mapping import ColumnMapping, Mapping, MappingError
from imports.columns.targets import AttributeSpec, Context, IdentifierSpec
from imports.files.dialect import Row, shorten
from profiles.identity.blocked_values import ignored_sentence
from profiles.identity.empty_words import EMPTY_WORDS
from profiles.identity.normalize import (
    NAMES,
    BadValue,
    attribute,
    boolean,
    compile_patterns,
    date_time,
    default_cleaner,
    is_blocked,
    normalizer,
    reference,
    tags,
    text,
)
from profiles.identity.text import hidden_removed, visible

_GRANTED = frozenset(
    ("granted", "subscribed", "opt-in", "opt in", "optin", "opted in", "accepted", "y", "on")
)
_WITHDRAWN = frozenset(
    (
        "withdrawn",
        "unsubscribed",
        "opt-out",
        "opt out",
        "optout",
        "opted out",
        "denied",
        "declined",
        "n",
        "off",
    )
)
# Also with a space around them: cheaper than to strip every cell.
_EMPTY_CELLS = frozenset(cell for word in EMPTY_WORDS for cell in (word, f" {word}", f"{word} ", f" {word} "))
_NOT_A_CONSENT = "Not a consent. Write granted or withdrawn."
_CANNOT_CLEAR = "A consent cannot be cleared. Write granted or withdrawn."
_NOTHING = "Nothing to import: every mapped cell of the row is empty."
MAX_RAW = 320


class CellProblem(NamedTuple):
    """A bad cell. `column` is its header, "" for the row as a whole."""

    column: str
    value: str
    message: str


class Cleaned:
    """The clean values of one row. With `problems` it must be rejected; `warnings` are reported, the row is imported."""

    __slots__ = (
        "clears",
        "consents",
        "emptied",
        "identifiers",
        "line_no",
        "problems",
        "tags",
        "values",
        "warnings",
    )

    def __init__(self, line_no: int) -> None:
        self.line_no = line_no
        self.values: dict[str, Any] = {}  # field → JSON value
        self.identifiers: list[tuple[str, str, str]] = []  # type, normal form, raw ("" when it is the same)
        self.tags: list[str] = []
        self.consents: list[tuple[str, str, str, str | None, str]] = []  # channel, purpose, state, at, proof
        self.clears: list[str] = []  # fields to empty
        self.problems: list[CellProblem] = []
        self.warnings: list[CellProblem] = []
        self.emptied: Sequence[tuple[str, str]] = ()  # column and word of cells read as empty


Step = Callable[[str, Cleaned], None]


class Cleaner:
    """Compiled from a mapping; `clean` does not raise for anything a cell may contain.

    Empty cells count as absent, and so do words for nothing such as NULL (`Cleaned.emptied`); a cell with just the
    clear marker empties its field. Every bad cell of a row is listed. A blocked identifier is treated as absent, with a warning. Raises `MappingError` for a bad constant.
    """

    def __init__(self, mapping: Mapping, context: Context) -> None:
        self._context = context
        self._marker = context.clear_marker
        self._steps: list[tuple[int, str, Step, str, frozenset[str]]] = []
        self._constants: list[tuple[str, str, Step]] = []
        self._consents = _consent_columns(mapping)
        self._is_blocked = {spec.name: _blocker(spec) for spec in context.identifiers}
        for column in mapping.used:
            if column.target.kind == "consent":
                continue
            step = self._compile(column, mapping)
            if column.index is not None:
                self._steps.append(
                    (
                        column.index,
                        column.key,
                        step,
                        column.target.field or column.target.kind,
                        self._empty_words(column),
                    )
                )
            elif column.const is not None:
                self._constants.append((column.key, column.const, step))
        self._check_constants()

    def clean(self, row: Row) -> Cleaned:
        out = Cleaned(row.line_no)
        cells = row.cells
        marker = self._marker
        for index, name, step, field, empty_words in self._steps:
            raw = cells[index]
            if not raw:
                continue
            if raw in empty_words:
                out.emptied = [*out.emptied, (name, raw.strip())]
                continue
            if marker and marker in raw and raw.strip() == marker:
                _clear(out, name, raw, field)
                continue
            try:
                step(raw, out)
            except BadValue as error:
                if raw.strip():
                    out.problems.append(CellProblem(name, shorten(raw), error.message))
        if self._consents:
            self._clean_consents(cells, out)
        if not (out.values or out.identifiers or out.tags or out.clears or out.consents or out.problems):
            out.problems.append(CellProblem("", "", _NOTHING))
            return out
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
            return _tags_step
        if target.kind == "attribute":
            attribute_spec = self._context.attribute_by_name[target.name]
            make = _text_step if attribute_spec.type == "text" else _value_step
            return make(target.field, _attribute_cleaner(attribute_spec))
        if target.kind == "default":
            cleaner = default_cleaner(target.name, region=self._context.region)
            if target.name in NAMES:
                return _name_step(target.field, cleaner, column.key)
            if target.identifier not in self._context.identifier_by_name:
                return _text_step(target.field, cleaner)
        spec = self._context.identifier_by_name[target.identifier]
        if target.kind == "identifier":
            cleaner = (
                reference
                if target.part == "reference"
                else normalizer(spec.normalizer, region=self._context.region)
            )
        return _identifier_step(target.field, spec, cleaner, self._is_blocked[spec.name], column.key)

    def _clean_consents(self, cells: list[str], out: Cleaned) -> None:
        for channel, purpose, parts in self._consents:
            values: dict[str, str] = {}
            for part, (column, index, const) in parts.items():
                raw = const if index is None else cells[index]
                if raw in _EMPTY_CELLS and self._context.empty_words:
                    out.emptied = [*out.emptied, (column, raw.strip())]
                    continue
                try:
                    if raw.strip():
                        values[part] = _consent_part(part, raw, self._marker)
                except BadValue as error:
                    out.problems.append(CellProblem(column, shorten(raw), error.message))
            state, proof = values.get("state"), values.get("proof", "")
            if state == "granted" and not proof:
                message = (
                    "Granted without proof, so the consent is not changed. Also map a column with the proof."
                )
                out.warnings.append(CellProblem(parts["state"][0], state, message))
            elif state:
                out.consents.append((channel, purpose, state, values.get("at"), proof))


def _clear(out: Cleaned, name: str, raw: str, field: str) -> None:
    if field == "identifier":
        out.problems.append(CellProblem(name, shorten(raw), "An identifier cannot be cleared by an import."))
    else:
        out.clears.append(field)


def _value_step(field: str, cleaner: Callable[[str], Any]) -> Step:
    """False and 0 are values; an empty text or list is none."""

    def step(raw: str, out: Cleaned) -> None:
        value = cleaner(raw)
        if value or value is False or value == 0:
            out.values[field] = value

    return step


def _text_step(field: str, cleaner: Callable[[str], str]) -> Step:
    def step(raw: str, out: Cleaned) -> None:
        if value := cleaner(raw):
            out.values[field] = value

    return step


def _name_step(field: str, cleaner: Callable[[str], str], column: str) -> Step:
    """Characters nobody sees are removed from names, with a warning."""

    def step(raw: str, out: Cleaned) -> None:
        if value := cleaner(raw):
            out.values[field] = value
        if not raw.isprintable():
            _warn_of_hidden(raw, value, column, out)

    return step


def _warn_of_hidden(raw: str, value: str, column: str, out: Cleaned) -> None:
    if sentence := hidden_removed(raw, value):
        out.warnings.append(CellProblem(column, shorten(visible(raw)), sentence))


@lru_cache(maxsize=4096)
def _tags(raw: str) -> tuple[str, ...]:
    """Cached: files repeat a few combinations of tags over and over."""
    return tuple(tags(raw))


def _tags_step(raw: str, out: Cleaned) -> None:
    names = _tags(raw)
    if out.tags:  # a second column of tags
        present = {tag.casefold() for tag in out.tags}
        names = tuple(name for name in names if name.casefold() not in present)
    out.tags.extend(names)


def _identifier_step(
    field: str,
    spec: IdentifierSpec,
    cleaner: Callable[[str], str],
    blocked: Callable[[str], bool],
    column: str,
) -> Step:
    """Sets the identifier, and for `email` and `phone` the attribute of the same name."""
    name = spec.name

    def absent(raw: str, out: Cleaned) -> None:
        value = shorten(raw.strip())
        out.warnings.append(CellProblem(column, value, ignored_sentence(value)))

    def step(raw: str, out: Cleaned) -> None:
        try:
            value = cleaner(raw)
        except BadValue:
            if not blocked(raw):
                raise
            absent(raw, out)
            return
        if not value:
            return
        # Raw too: "000 000 000" with a default country is no run of zeros any more.
        if blocked(value) or (raw != value and blocked(raw)):
            absent(raw, out)
            return
        if not raw.isprintable():
            _warn_of_hidden(raw, value, column, out)
        if field:
            out.values[field] = value
        for identifier in out.identifiers:
            if identifier[1] == value and identifier[0] == name:
                return
        out.identifiers.append((name, value, "" if raw == value else raw[:MAX_RAW]))

    return step


def _blocker(spec: IdentifierSpec) -> Callable[[str], bool]:
    exact = frozenset(value.strip().lower() for value in spec.blocked_exact)
    patterns, kind = compile_patterns(spec.blocked_patterns), spec.normalizer

    def blocked(value: str) -> bool:
        return is_blocked(value, exact, patterns, kind)

    return blocked


def _attribute_cleaner(spec: AttributeSpec) -> Callable[[str], Any]:
    kind, allowed, limit = spec.type, spec.allowed, spec.limit
    if kind == "text":
        return lambda raw: text(raw, limit)
    return lambda raw: attribute(kind, raw, allowed=allowed)


def _consent_columns(mapping: Mapping) -> list[tuple[str, str, dict[str, tuple[str, int | None, str]]]]:
    """(channel, purpose, part → (column, index, constant)); time or proof without a state are refused."""
    columns: dict[str, dict[str, tuple[str, int | None, str]]] = {}
    for column in mapping.used:
        if column.target.kind == "consent":
            columns.setdefault(column.target.name, {})[column.target.part] = (
                column.key,
                column.index,
                column.const or "",
            )
    without_state = [parts for parts in columns.values() if "state" not in parts]
    if without_state:
        message = "Time and proof belong to a consent: also map the column with granted or withdrawn."
        raise MappingError([(next(iter(parts.values()))[0], message) for parts in without_state])
    return [(*name.split(".", 1), parts) for name, parts in columns.items()]  # type: ignore[misc]


def _consent_part(part: str, raw: str, marker: str) -> str:
    if marker and raw.strip() == marker:
        raise BadValue(_CANNOT_CLEAR)
    if part == "at":
        return date_time(raw)
    if part == "proof":
        return text(raw)
    state = raw.strip().lower()
    if state in _GRANTED:
        return "granted"
    if state in _WITHDRAWN:
        return "withdrawn"
    try:
        return "granted" if boolean(state) == "true" else "withdrawn"
    except BadValue:
        raise BadValue(_NOT_A_CONSENT) from None
