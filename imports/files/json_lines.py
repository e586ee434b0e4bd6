"""Bytes of a JSON Lines file → rows as of a CSV file: each line an object, its keys the columns. No database.

Nested objects become columns with dots (`attributes.plan`), lists cells that tags, lists and identifiers read back as
the same values. Numbers stay as they are written. A line that is no object is a problem of that row alone.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, BinaryIO, NoReturn

import orjson

from imports.files import messages
from imports.files.dialect import (
    JSON_LINES,
    MAX_CELL,
    MAX_COLUMNS,
    MAX_LINE,
    Checkpoint,
    Dialect,
    FileRefused,
    Row,
    RowProblem,
    escape,
    shorten,
)
from imports.files.reader import Reader, Source
from imports.files.sniffed import SAMPLE_ROWS, Sniffed
from profiles.identity.normalize import join_items

_BOM = b"\xef\xbb\xbf"
_LOOKED_AT = 50  # lines that decide whether a file is JSON Lines
_DEEPEST = 20  # objects inside each other
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class _Number(str):
    """A number as it is written in the file, so that no digit of a long id is lost."""


class _BadLine(ValueError):
    """`args` are the sentence about the line and the column it is about, or None."""


def is_json_lines(head: bytes) -> bool:
    """Whether the beginning of a file is JSON Lines: most lines begin like an object, and one is an object."""
    lines = [line for line in head.removeprefix(_BOM).splitlines()[: 4 * _LOOKED_AT] if line.strip()]
    objects = [line for line in lines[:_LOOKED_AT] if line.lstrip().startswith(b"{")]
    return len(objects) * 2 >= len(lines[:_LOOKED_AT]) and any(map(_is_object, objects))


def _is_object(line: bytes) -> bool:
    try:
        return bool(_read_object(line))
    except _BadLine:
        return False


def scan_keys(stream: BinaryIO) -> tuple[str, ...]:
    """Every column of the file, in the order in which they first occur. Reads the whole file once, 2 to 4 µs a line.

    Raises `FileRefused` for more than 500 columns.
    """
    keys: dict[str, None] = {}
    for line_no, line in enumerate(_lines(stream), 1):
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError:
            fields = _object_or_nothing(
                line
            )  # half of a broken character: a fault of a cell, not of the line
        if not isinstance(fields, dict):
            continue
        if any(type(value) is dict for value in fields.values()):
            fields = dict.fromkeys(_names(fields))
        if not fields.keys() <= keys.keys():
            keys.update(dict.fromkeys(fields))
            if len(keys) > MAX_COLUMNS:
                raise messages.too_many_columns(line_no, len(keys))
    return tuple(keys)


def _object_or_nothing(line: bytes) -> dict[str, str]:
    try:
        return _read_object(line)
    except _BadLine:
        return {}


def _names(fields: dict[str, Any], prefix: str = "", depth: int = 0) -> Iterator[str]:
    for key, value in fields.items():
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from _names(value, f"{prefix}{key}.", depth + 1)
        else:
            yield prefix + key


def _lines(stream: BinaryIO, line_no: int = 0) -> Iterator[bytes]:
    """Those behind line ``line_no``, where the stream is; a byte order mark at the start is left out."""
    while line := stream.readline(MAX_LINE + 1):
        line_no += 1
        if len(line) > MAX_LINE:
            raise FileRefused(
                f"Line {line_no:,} is longer than {MAX_LINE // 1024 // 1024} MB. Is this JSON Lines?",
                line_no=line_no,
            )
        yield line.removeprefix(_BOM) if line_no == 1 else line


# --- One line -------------------------------------------------------------------------------------------


def _read_object(line: bytes) -> dict[str, str]:
    """The cells of a line by their columns. Raises _BadLine."""
    try:
        fields = _DECODER.decode(line.decode().strip())
    except UnicodeDecodeError:
        raise _BadLine(messages.LINE_NOT_UTF8, None) from None
    except json.JSONDecodeError as error:
        raise _BadLine(messages.not_json(error.msg, error.colno), None) from None
    except RecursionError:
        raise _BadLine(messages.TOO_DEEP, None) from None
    if not isinstance(fields, dict):
        raise _BadLine(messages.NO_OBJECT, None)
    cells: dict[str, str] = {}
    _flatten(fields, "", cells, 0)
    return cells


def _flatten(fields: dict[str, Any], prefix: str, cells: dict[str, str], depth: int) -> None:
    if depth > _DEEPEST:
        raise _BadLine(messages.TOO_DEEP, None)
    for key, value in fields.items():
        name = prefix + key
        if isinstance(value, dict):
            _flatten(value, f"{name}.", cells, depth + 1)
        elif name in cells:
            raise _BadLine(messages.key_twice(name), name)
        else:
            cells[name] = _cell(value)


def _cell(value: Any) -> str:
    """A list of plain values joined as an import reads it; a list of objects or lists as its JSON text."""
    if isinstance(value, str):
        return str(value)
    if not isinstance(value, list):
        return _word(value)
    if any(isinstance(item, (dict, list)) for item in value):
        return _json(value)
    return join_items(text for item in value if (text := item if isinstance(item, str) else _word(item)))


def _word(value: bool | None) -> str:
    return "" if value is None else "true" if value else "false"


def _json(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, list):
        return f"[{','.join(map(_json, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{_json(key)}:{_json(item)}' for key, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _BadLine(messages.key_twice(twice), twice)
    return fields


def _decimal(text: str) -> _Number:
    """1.5e3 is plainly 1500; a number too large to write out stays as it is, for the column to refuse."""
    if "e" in text or "E" in text:
        number = Decimal(text)
        if abs(number.adjusted()) <= 40:
            return _Number(format(number, "f"))
    return _Number(text)


def _no_number(word: str) -> NoReturn:
    raise _BadLine(messages.not_json(f"{word} is no number", 1), None)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_Number, parse_float=_decimal, parse_constant=_no_number
)


# --- The rows -------------------------------------------------------------------------------------------


class JsonLineReader(Reader):
    """Reads JSON Lines. Its columns are the dialect's `keys`."""

    def __init__(self, source: Source, dialect: Dialect, *, start: Checkpoint | None = None) -> None:
        super().__init__(source, dialect)
        self.headers = header_names(dialect.keys)
        self.columns = len(dialect.keys)
        self.blank_lines = start.blank_lines if start else 0
        self._positions = {key: position for position, key in enumerate(dialect.keys)}
        self._stream.seek(start.offset if start else 0)
        self._line_no = start.line_no - 1 if start else 0
        self._offset = start.offset if start else 0
        self._line = b""
        self._iterator = self._read()

    @property
    def bytes_read(self) -> int:
        return self._offset

    def checkpoint(self) -> Checkpoint:
        """Behind the line yielded last."""
        return Checkpoint(self._offset, self._line_no + 1, self.blank_lines)

    def text_of(self, item: Row | RowProblem) -> str:
        """The item yielded last, as it is in the file."""
        return self._line.decode(errors="surrogateescape").strip()

    def raw_cells(self, item: Row | RowProblem) -> list[str]:
        """The cells of the item yielded last; of a line that could not be read, the line in the first of them."""
        if item.cells is not None:
            return item.cells
        return [self.text_of(item), *[""] * (self.columns - 1)]

    def cells_of(self, item: Row | RowProblem) -> list[str]:
        """A line that could not be read counts as one cell."""
        return self.raw_cells(item)

    def _read(self) -> Iterator[Row | RowProblem]:
        try:
            for line in _lines(self._stream, self._line_no):
                self._line, self._line_no, self._offset = line, self._line_no + 1, self._stream.tell()
                item = self._item(line) if line.strip() else None
                if item is None:
                    self.blank_lines += 1
                else:
                    yield item
        finally:
            self.close()

    def _item(self, line: bytes) -> Row | RowProblem | None:
        """None for an object in which everything is empty."""
        try:
            fields = _read_object(line)
        except _BadLine as error:
            message, column = error.args
            return RowProblem(self._line_no, column, shorten(self.text_of(Row(0, []))), message)
        cells = [""] * self.columns
        positions = self._positions
        for key, cell in fields.items():
            cells[positions[key]] = cell
        if not any(map(str.strip, cells)):
            return None
        if b"\\u" in line and (problem := self._unstorable(cells)):
            return problem
        if len(line) > MAX_CELL and max(map(len, cells)) > MAX_CELL:
            return messages.cell_too_long(self._line_no)
        return Row(self._line_no, cells)

    def _unstorable(self, cells: list[str]) -> RowProblem | None:
        for name, cell in zip(self.headers, cells, strict=True):
            if bad := _UNSTORABLE.search(cell):
                kept = [escape(each) for each in cells]
                return messages.control_character(self._line_no, name, cell, kept, bad.group())
        return None


def header_names(keys: tuple[str, ...]) -> list[str]:
    return [" ".join(escape(key).split()) for key in keys]


# --- Looking at a file ------------------------------------------------------------------------------------


def describe_json_lines(stream: BinaryIO, head: bytes, given: dict[str, Any]) -> Sniffed:
    """Raises `FileRefused` where staff chose what only CSV has."""
    if any(value not in (None, "utf-8") for value in given.values()):
        raise FileRefused(
            "This is JSON Lines: each line names its columns itself, in UTF-8. There is no encoding, delimiter or header "
            "to choose."
        )
    stream.seek(0)
    keys = scan_keys(stream)
    rows = JsonLineReader(stream, Dialect(format=JSON_LINES, keys=keys))
    sample = [item.cells for item in islice(rows, SAMPLE_ROWS) if isinstance(item, Row)]
    is_export = keys[:2] == ("id", "type") and bool(sample) and sample[0][1] in ("recognized", "anonymous")
    return Sniffed(
        encoding="utf-8",
        confidence="certain",
        candidates=("utf-8",),
        delimiter=",",
        quotechar="",
        skip_space=False,
        header_line=1,
        has_header=True,
        bom=head.startswith(b"\xef\xbb\xbf"),
        newline="LF",
        headers=header_names(keys),
        sample_rows=[[escape(cell) for cell in cells] for cells in sample],
        problems=[],
        above=[],
        doubts=[],
        is_own=is_export,
        is_export=is_export,
        is_guarded=False,
        format=JSON_LINES,
        keys=keys,
    )
