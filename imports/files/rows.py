"""Blocks of lines → each record once, as a row or a problem; a fault that may hide rows refuses the whole file."""

import csv
import re
from collections.abc import Generator, Iterator
from itertools import islice
from typing import Any, BinaryIO

from cdp.spreadsheets import unsafe_cell
from imports.files import messages
from imports.files.blocks import Block, BlockReader
from imports.files.dialect import (
    MAX_CELL,
    MAX_COLUMNS,
    MAX_LINE,
    REJECTED_COLUMNS,
    Checkpoint,
    Dialect,
    FileRefused,
    Row,
    RowProblem,
    escape,
    shorten,
)
from imports.files.reader import Reader, Source
from imports.files.strict import Bare, Continued, Unclosed, examine, split_raw

_BAD_CHARACTER = re.compile("[\x00\udc80-\udcff]")
# First cells of rows to look at twice: totals, and rows without any cell filled.
_SUSPECTS = messages.TOTAL_CELLS | {"", " "}
_LINE_BREAK = re.compile("\r\n|\r|\n")
# A cell may have the apostrophe that keeps spreadsheets from running it: blocks without one are left as they are.
_GUARDED = re.compile("'[\\s\x00]*[=+\\-@＝＋－＠\t\r\n\x00]")


class RowReader(Reader):
    """Reads CSV.

    Why it is quick: a block without a quote, NUL or bad byte has one record per line and cannot hide
    anything, so nothing but the width is looked at. Other blocks are read record by record.
    """

    def __init__(self, source: Source, dialect: Dialect, *, start: Checkpoint | None = None) -> None:
        super().__init__(source, dialect)
        csv.field_size_limit(MAX_CELL)  # the default; another library of the process may have changed it
        stream = self._stream
        if stream.seekable():
            stream.seek(0)
        self._blocks = BlockReader(stream, dialect.encoding, 0, 1)
        self._queue = iter(self._blocks)
        self._last_line_no = 0  # where the record yielded last ends
        self._block: Block | None = None
        self._first_index = 0
        self._header_cells: list[str] = []
        self._first_cell = 0
        self._suspects = _SUSPECTS
        try:
            self._read_header()
            if start:
                self._continue(stream, start)
        except FileRefused:
            self.close()
            raise
        self._iterator = self._read()

    def _continue(self, stream: BinaryIO, start: Checkpoint) -> None:
        stream.seek(start.offset)
        self._blocks = BlockReader(stream, self.dialect.encoding, start.offset, start.line_no)
        self._queue = iter(self._blocks)
        self._block, self._last_line_no, self.blank_lines = None, start.line_no - 1, start.blank_lines

    @property
    def bytes_read(self) -> int:
        """For progress: exact between blocks (0.5 MB), in proportion inside one. Costs nothing."""
        if not self._block:
            return self._blocks.offset
        done = self._last_line_no - self._block.first_line_no + 1
        return self._block.offset + len(self._block.data) * done // max(len(self._block.lines), 1)

    def checkpoint(self) -> Checkpoint:
        """Behind the record yielded last. About 1 ms: take one per chunk of rows, not per row."""
        offset = self._blocks.offset
        if self._block:
            offset = self._block.byte_offset(self._last_line_no - self._block.first_line_no + 1)
        return Checkpoint(offset, self._last_line_no + 1, self.blank_lines)

    def _reader(self, lines: Iterator[str]) -> Any:
        dialect = self.dialect
        return csv.reader(
            lines,
            delimiter=dialect.delimiter,
            quotechar=dialect.quotechar or None,
            quoting=csv.QUOTE_MINIMAL if dialect.quotechar else csv.QUOTE_NONE,
            skipinitialspace=dialect.skip_space,
            strict=True,
        )

    # The header. Lines above it are skipped unread: they may contain anything, quotes too.

    def _read_header(self) -> None:
        self._blocks.skip_bom()
        skip = self.dialect.header_line - 1
        for block in self._queue:
            if 0 < len(block.lines) <= skip:
                skip -= len(block.lines)
                self._blocks.done(block, len(block.lines))
            elif self._read_header_in(block, skip):
                return
        if skip and self._blocks.line_no + skip == self.dialect.header_line:
            raise messages.no_such_line(self.dialect.header_line, self._blocks.line_no - 1)
        raise FileRefused("The file is empty.")

    def _read_header_in(self, block: Block, start: int) -> bool:
        """False when the header goes on behind this block, which then comes again, longer."""
        while start < len(block.lines) and not block.lines[start].strip():
            start += 1
        if start == len(block.lines):
            return False
        reader = self._reader(islice(block.lines, start, None))
        line_no = block.first_line_no + start
        try:
            cells = next(reader)
        except csv.Error:
            fault = self._examine(block.lines[start : start + reader.line_num])
            if isinstance(fault, Unclosed) and not block.is_last and len(block.data) <= MAX_LINE:
                return False
            raise messages.header_unreadable(line_no, fault) from None
        end = start + reader.line_num
        self._check_header(block, start, end, cells)
        self.columns = len(cells)
        if self.dialect.has_header:
            self.headers = [" ".join(unsafe_cell(cell).split()) for cell in cells]
            self.reasons = len(REJECTED_COLUMNS) if tuple(self.headers[:3]) == REJECTED_COLUMNS else 0
            self._header_cells = cells[self.reasons :]
            self._first_cell = min(self.reasons, self.columns - 1)
            first = cells[self._first_cell]
            self._suspects = _SUSPECTS | {first, "\ufeff" + first}
        else:
            self.headers = [f"Column {number}" for number in range(1, self.columns + 1)]
            end = start
        self._block, self._first_index, self._last_line_no = block, end, block.first_line_no + end - 1
        return True

    def _check_header(self, block: Block, start: int, end: int, cells: list[str]) -> None:
        line_no = block.first_line_no + start
        if len(cells) > MAX_COLUMNS:
            raise messages.too_many_columns(line_no, len(cells))
        if bad := _BAD_CHARACTER.search("".join(cells)):
            if bad.group() == "\x00":
                raise messages.header_control_character(line_no)
            raise messages.header_not_utf8(line_no, *block.first_bad_byte(start, end))

    # The rows

    def _read(self) -> Iterator[Row | RowProblem]:
        try:
            if self._block:
                yield from self._rows_of(self._block, self._first_index)
            for block in self._queue:
                self._block = block
                yield from self._rows_of(block, 0)
        finally:
            self.close()

    def _rows_of(self, block: Block, index: int) -> Iterator[Row | RowProblem]:
        items = self._records_of(block, index)
        if self.dialect.is_guarded and _GUARDED.search(block.text):
            items = map(self._unguarded, items)
        return map(self._as_before, items) if self.reasons else items

    def _unguarded(self, item: Row | RowProblem) -> Row | RowProblem:
        if item.cells is None or not any(cell.startswith("'") for cell in item.cells):
            return item
        return item._replace(cells=[unsafe_cell(cell) for cell in item.cells])

    def _records_of(self, block: Block, index: int) -> Iterator[Row | RowProblem]:
        quote = self.dialect.quotechar
        if block.is_damaged or "\x00" in block.text or (quote and quote in block.text):
            done = yield from self._read_carefully(block, index)
        else:
            yield from self._read_plainly(block, index)
            done = len(block.lines)
        self._blocks.done(block, done)

    def _read_plainly(self, block: Block, index: int) -> Iterator[Row | RowProblem]:
        columns, suspects, first_cell = self.columns, self._suspects, self._first_cell
        reader = self._reader(islice(block.lines, index, None))
        first = line_no = block.first_line_no + index - 1
        while True:
            try:
                for cells in reader:
                    line_no += 1
                    if len(cells) == columns and cells[first_cell] not in suspects:
                        self._last_line_no = line_no
                        yield Row(line_no, cells)
                    elif item := self._judge(line_no, line_no, cells):
                        self._last_line_no = line_no
                        yield item
                return
            except csv.Error:
                line_no = self._last_line_no = first + reader.line_num
                yield messages.cell_too_long(line_no)

    def _read_carefully(self, block: Block, index: int) -> Generator[Row | RowProblem, None, int]:
        """Returns how many lines are done: the next block begins with a record this one does not end."""
        columns, suspects, quote = self.columns, self._suspects, self.dialect.quotechar or None
        first_cell = self._first_cell
        has_bad = block.is_damaged or "\x00" in block.text
        source = islice(block.lines, index, None)
        reader = self._reader(source)
        base = start = index  # base + reader.line_num is the index behind the lines read so far
        while True:
            try:
                for cells in reader:
                    end = base + reader.line_num
                    line_no = block.first_line_no + start
                    text = "".join(cells) if quote or has_bad else ""
                    item: Row | RowProblem | None
                    if (has_bad or (quote and quote in text) or end - start > 1) and (
                        problem := self._inspect(block, start, end, cells)
                    ):
                        item = problem
                    elif len(cells) == columns and cells[first_cell] not in suspects:
                        item = Row(line_no, cells)
                    else:
                        item = self._judge(line_no, block.first_line_no + end - 1, cells)
                    start = end
                    if item:
                        self._last_line_no = block.first_line_no + end - 1
                        yield item
                return start
            except csv.Error as error:
                end = base + reader.line_num
                if "field limit" in str(error):
                    # A cell that is too long may go on in the next lines; its row ends with its quote.
                    extra = self._lines_to_quote(block, start, end)
                    base += sum(1 for _ in islice(source, extra))
                    end += extra
                fault = self._examine(block.lines[start:end])
                if isinstance(fault, Unclosed):
                    self._check_open(block, start + fault.line_index, end)
                    return start
                line_no = block.first_line_no + start
                self._last_line_no = block.first_line_no + end - 1
                if fault:
                    yield self._misquoted(fault, line_no, self._loosely(block.lines[start:end]))
                else:
                    yield messages.cell_too_long(line_no)
                start = end

    def _inspect(self, block: Block, start: int, end: int, cells: list[str]) -> RowProblem | None:
        """What csv accepts and we do not: bad characters, stray quotes, cells over too many lines."""
        line_no, text = block.first_line_no + start, "".join(cells)
        if _BAD_CHARACTER.search(text):
            return self._bad_character(block, start, end, cells)
        if self.dialect.quotechar in text and (fault := self._examine(block.lines[start:end])):
            return self._misquoted(fault, line_no, cells)
        if end - start > self.dialect.max_quoted_lines:
            self._check_length(line_no, cells)
        return None

    def _examine(self, lines: list[str]) -> Unclosed | Continued | Bare | None:
        dialect = self.dialect
        if not dialect.quotechar:
            return None
        return examine(lines, dialect.delimiter, dialect.quotechar, dialect.skip_space)

    # Quotes that may have swallowed rows

    def _lines_to_quote(self, block: Block, start: int, end: int) -> int:
        """How many lines after `end` a cell still open there goes on."""
        first = end
        while isinstance(fault := self._examine(block.lines[start:end]), Unclosed) and end < len(block.lines):
            end += 1
            self._check_open(block, start + fault.line_index, end)
        return end - first

    def _check_open(self, block: Block, opened: int, end: int) -> None:
        """A quote of line `opened` is still open at `end`: refuses when it cannot close in time any more."""
        at_end = end == len(block.lines)
        if at_end and block.is_last:
            raise messages.never_closed(block.first_line_no + opened)
        if end - opened > self.dialect.max_quoted_lines:
            if self._quote_follows(block, end):
                raise messages.too_many_lines(block.first_line_no + opened, self.dialect.max_quoted_lines)
            raise messages.never_closed(block.first_line_no + opened)
        if at_end and len(block.data) > MAX_LINE:
            raise messages.too_many_lines(block.first_line_no + opened, self.dialect.max_quoted_lines)

    def _quote_follows(self, block: Block, end: int) -> bool:
        """Reads on to the end of the file if need be; the reader is of no use afterwards."""
        quote = self.dialect.quotechar
        if any(quote in line for line in block.lines[end:]):
            return True
        self._blocks.done(block, len(block.lines))
        for later in self._queue:
            if quote in later.text:
                return True
            self._blocks.done(later, len(later.lines))
        return False

    def _check_length(self, line_no: int, cells: list[str]) -> None:
        """Refuses the file if one cell has more lines than allowed; the record as a whole may have."""
        for cell in cells:
            breaks = len(_LINE_BREAK.findall(cell))
            if breaks >= self.dialect.max_quoted_lines:
                raise messages.too_many_lines(line_no, self.dialect.max_quoted_lines)
            line_no += breaks

    # Problems

    def _judge(self, line_no: int, last_line_no: int, cells: list[str]) -> Row | RowProblem | None:
        """A record that is no plain row: None for a blank line, else a row after all or its problem."""
        if not any(map(str.strip, cells)):
            self.blank_lines += 1
            return None
        if len(cells) > self.columns and not any(map(str.strip, cells[self.columns :])):
            return self._judge(
                line_no, last_line_no, cells[: self.columns]
            )  # delimiters at the end of the line
        reasons = self.reasons
        if len(cells) != self.columns:
            return messages.ragged(
                line_no, last_line_no, cells, self.columns, self.dialect.has_header, reasons
            )
        own = cells[reasons:]
        if own and (own == self._header_cells or [own[0].lstrip("\ufeff"), *own[1:]] == self._header_cells):
            return messages.repeated_header(line_no, cells, reasons)
        if own and messages.is_totals(own):
            return messages.totals(line_no, self._name(reasons), cells, reasons)
        return Row(line_no, cells)

    # Rejected rows that come again

    def _as_before(self, item: Row | RowProblem) -> Row | RowProblem:
        """The row, rejected for the reason it brings along where that is plainly still so."""
        cells = item.cells or []
        if len(cells) <= self.reasons:
            return item
        _, column, because = cells[: self.reasons]
        own = cells[self.reasons :]
        if (bad := messages.still_has_bad_byte(because, own)) is not None:
            return RowProblem(item.line_no, column or None, shorten(bad), because, cells)
        if messages.is_of_line(because, own):
            return RowProblem(item.line_no, column or None, shorten(own[0]), because, cells)
        if isinstance(item, RowProblem) and messages.is_same(because, item.message):
            return item._replace(message=because)
        return item

    # The file itself

    def text_of(self, item: Row | RowProblem) -> str:
        """The item yielded last, as it is in the file, without its line break."""
        if self._block is None:
            return ""
        first = self._block.first_line_no
        text = "".join(self._block.lines[item.line_no - first : self._last_line_no - first + 1])
        return text.removesuffix("\n").removesuffix("\r")

    def cells_of(self, item: Row | RowProblem) -> list[str]:
        """All cells of the item yielded last, as far as they can be told apart."""
        if item.cells is not None:
            return item.cells
        dialect, quote = self.dialect, self.dialect.quotechar
        raw = split_raw(self.text_of(item), dialect.delimiter, quote, dialect.skip_space)
        return [cell.strip().strip(quote) for cell in raw] if quote else raw

    def raw_cells(self, item: Row | RowProblem) -> list[str]:
        """The cells of the item yielded last as they are in the file, quotes and all; not the reasons in front."""
        dialect = self.dialect
        text = self.text_of(item)
        raw = split_raw(text, dialect.delimiter, dialect.quotechar, dialect.skip_space)
        return raw[self.reasons :]

    def _bad_character(self, block: Block, start: int, end: int, cells: list[str]) -> RowProblem:
        index, cell = next((i, cell) for i, cell in enumerate(cells) if _BAD_CHARACTER.search(cell))
        line_no, column, kept = (
            block.first_line_no + start,
            self._name(index),
            [escape(cell) for cell in cells],
        )
        if "\x00" in cell:
            return messages.control_character(line_no, column, cell, kept)
        return messages.not_utf8(line_no, column, cell, kept, *block.first_bad_byte(start, end))

    def _misquoted(
        self, fault: Unclosed | Continued | Bare, line_no: int, cells: list[str] | None
    ) -> RowProblem:
        if isinstance(fault, Unclosed):
            raise messages.never_closed(line_no + fault.line_index)
        if isinstance(fault, Continued) and fault.opened != fault.closed:
            # Whole rows may be inside that cell. Which lines are rows would be a guess.
            raise messages.never_closed(line_no + fault.opened, line_no + fault.closed)
        return messages.bad_quote(fault, line_no, self._name(fault.cell), cells)

    def _loosely(self, lines: list[str]) -> list[str] | None:
        """The cells of a misquoted record as csv can make them out: to display them, never to import them."""
        try:
            return next(csv.reader(lines, delimiter=self.dialect.delimiter, quotechar=self.dialect.quotechar))
        except (csv.Error, StopIteration):
            return None

    def _name(self, index: int) -> str | None:
        return self.headers[index] if index < len(self.headers) else None
