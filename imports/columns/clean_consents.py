"""The cells of a row about one consent → a decision with its time and proof, or why there is none."""

from collections.abc import Callable, Collection
from collections.abc import Mapping as AnyMapping

from imports.columns.cell_marks import EMPTY, EMPTY_WORD, NO_DECISION, UNREADABLE
from imports.columns.cleaned import CellProblem, Cleaned
from imports.columns.consent_words import GRANTED, NEITHER, WITHDRAWN, consent_reader
from imports.columns.mapping import ColumnMapping, Mapping, MappingError
from imports.files.dialect import shorten
from profiles.identity.normalize import BadValue, date_time, text

_CANNOT_CLEAR = "A consent cannot be cleared. Write granted or withdrawn."
NO_PROOF = "Granted without proof, so the consent is not changed. Also map a column with the proof."
_IS_NEITHER = " is neither a yes nor a no, so the consent is not changed."


def cannot_be_read(message: str) -> bool:
    """Whether a warning of a consent column is about a cell nobody understands."""
    return message != NO_PROOF and not message.endswith(_IS_NEITHER)


def consent_columns(mapping: Mapping) -> dict[str, dict[str, ColumnMapping]]:
    """channel.purpose → part → column; time or proof without a yes or no are refused."""
    columns: dict[str, dict[str, ColumnMapping]] = {}
    for column in mapping.used:
        if column.target.kind == "consent":
            columns.setdefault(column.target.name, {})[column.target.part] = column
    without_state = [
        parts for parts in columns.values() if "state" not in parts and "withdrawn_at" not in parts
    ]
    if without_state:
        message = "Time and proof belong to a consent: also map the column with granted or withdrawn."
        raise MappingError([(next(iter(parts.values())).key, message) for parts in without_state])
    return columns


class ConsentCleaner:
    """The columns of one channel and purpose. A bad cell never rejects the row, and never undoes a no beside it."""

    def __init__(
        self,
        name: str,
        parts: dict[str, ColumnMapping],
        marker: str,
        read_date: Callable[[str], str],
        empty_words: Collection[str],
        cells: AnyMapping[int | None, int],
    ) -> None:
        self._channel, self._purpose = name.split(".", 1)
        self._marker, self._read_date, self._empty_words = marker, read_date, empty_words
        self._parts = parts
        self._cells = [
            (column.index, cells[column.index]) for column in parts.values() if column.index is not None
        ]
        self._cell_of = cells
        state = parts.get("state")
        self._read_state = consent_reader(state.meaning, dict(state.values)) if state else None
        self._is_negative = bool(state and state.meaning)

    def clean(self, cells: list[str], out: Cleaned) -> None:
        decisions = len(out.consents)
        self._decide(cells, out)
        for index, cell in self._cells:
            raw = cells[index]
            if raw and raw.isspace():
                out.mark(cell, EMPTY)
            elif raw and len(out.consents) == decisions:
                out.mark(cell, NO_DECISION)

    def _decide(self, cells: list[str], out: Cleaned) -> None:
        proof = self._text("proof", cells, out)
        at, at_is_bad = self._date("at", cells, out)
        left_at, left_is_bad = self._date("withdrawn_at", cells, out)
        state = self._state(cells, out)
        if (left_at or left_is_bad) and not (state == GRANTED and at and left_at and at > left_at):
            self._add(WITHDRAWN, left_at or None, proof, out)
        elif state == GRANTED and not proof:
            out.warnings.append(CellProblem(self._parts["state"].key, GRANTED, NO_PROOF))
        elif state == WITHDRAWN or (state == GRANTED and not at_is_bad):
            self._add(state, at or None, proof, out)

    def _add(self, state: str, at: str | None, proof: str, out: Cleaned) -> None:
        out.consents.append((self._channel, self._purpose, state, at, proof))

    def _raw(self, part: str, cells: list[str], out: Cleaned) -> str:
        column = self._parts.get(part)
        if column is None:
            return ""
        raw = ((column.const or "") if column.index is None else cells[column.index]).strip()
        if raw in self._empty_words:
            out.emptied = [*out.emptied, (column.key, raw)]
            self._mark(column, EMPTY_WORD, out)
            return ""
        return raw

    def _mark(self, column: ColumnMapping, mark: str, out: Cleaned) -> None:
        if column.index is not None:
            out.mark(self._cell_of[column.index], mark)

    def _state(self, cells: list[str], out: Cleaned) -> str:
        raw = self._raw("state", cells, out)
        if not raw or self._read_state is None:
            return ""
        try:
            if raw == self._marker:
                raise BadValue(_CANNOT_CLEAR)
            state = self._read_state(raw)
        except BadValue as error:
            if self._is_negative and self._is_date(raw):
                self._add(WITHDRAWN, date_time(self._read_date(raw)), "", out)
                return ""
            self._leave_out("state", raw, error.message, out)
            return ""
        if state == NEITHER and not self._is_negative:
            self._mark(self._parts["state"], NO_DECISION, out)
            self._leave_out("state", raw, f"“{shorten(raw)}”{_IS_NEITHER}", out)
        return state

    def _is_date(self, raw: str) -> bool:
        """Whether the cell of “unsubscribed” says when, which is a no as well."""
        try:
            return bool(date_time(self._read_date(raw)))
        except BadValue:
            return False

    def _date(self, part: str, cells: list[str], out: Cleaned) -> tuple[str, bool]:
        """(moment, whether there is one that cannot be read)."""
        raw = self._raw(part, cells, out)
        if not raw:
            return "", False
        try:
            if raw == self._marker:
                raise BadValue(_CANNOT_CLEAR)
            value = self._read_date(raw)
            return (date_time(value) if value else ""), False
        except BadValue as error:
            self._leave_out(part, raw, error.message, out)
            return "", raw != self._marker

    def _text(self, part: str, cells: list[str], out: Cleaned) -> str:
        raw = self._raw(part, cells, out)
        try:
            if self._marker and raw == self._marker:
                raise BadValue(_CANNOT_CLEAR)
            return text(raw)
        except BadValue as error:
            self._leave_out(part, raw, error.message, out)
            return ""

    def _leave_out(self, part: str, raw: str, message: str, out: Cleaned) -> None:
        self._mark(self._parts[part], UNREADABLE, out)
        out.warnings.append(CellProblem(self._parts[part].key, shorten(raw), message))
