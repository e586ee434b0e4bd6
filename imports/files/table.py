"""The first lines of a file, cut by a delimiter → its records, and which of them is the header. Data above it is refused."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from imports.files import messages
from imports.files.dialect import MAX_CELL
from imports.files.strict import Unclosed, examine

EXAMINED = 200  # records that decide about delimiter and header
EMAIL = re.compile(r"(?<![^\s@<>,;:|\"'])[^\s@<>,;:|\"']++@[^\s@<>,;:|\"']+\.[^\s@<>,;:|\"']+")

_PREAMBLE = 30  # records above the header at most
_HEADER_LINES = 6  # of a header whose names have line breaks; more of them are rows behind a stray quote
_TITLE_CELLS = 3  # filled cells that a line above the header may have
_TITLE_LENGTH = 500
_DATA = re.compile(
    r"[^@\s]+@[^@\s]+\.[^@\s]+|[-+]?[0-9][0-9\s.,:/()+-]*%?|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|true|false",
    re.IGNORECASE,
)


class Record(NamedTuple):
    """Cells as csv makes them out, and the physical lines they are on: `size` lines from `line_no`."""

    line_no: int
    cells: list[str]
    size: int


def read_records(
    lines: Sequence[str], start: int, delimiter: str, quote: str, skip_space: bool
) -> list[Record]:
    """The first non-blank records from line `start` (an index) on; `rows` reports one that is broken."""
    csv.field_size_limit(MAX_CELL)
    records: list[Record] = []
    reader = csv.reader(
        islice(lines, start, None),
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        skipinitialspace=skip_space,
    )
    line_no = start + 1
    while len(records) < EXAMINED:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error:
            cells = []
        end = start + reader.line_num + 1
        if any(cell.strip() for cell in cells) or len(cells) > 1:
            records.append(Record(line_no, cells, end - line_no))
        line_no = end
    return records


def usual_width(records: Sequence[Record]) -> tuple[int, int]:
    """The most frequent number of cells and how often it occurs; of equals the one that comes first."""
    widths = [len(record.cells) for record in records]
    return Counter(widths).most_common(1)[0] if widths else (0, 0)


def first_of_table(records: Sequence[Record]) -> int:
    """Behind the title lines some programs put on top: much narrower than the table, or padded with empty cells."""
    width, _ = usual_width(records)
    if width < 2:
        return 0
    enough = max(width // 2, 1)
    wide = filled = -1
    for index, (_, cells, _) in enumerate(records[:_PREAMBLE]):
        if wide < 0 and len(cells) > enough:
            wide = index
        if sum(bool(cell.strip()) for cell in cells) > enough:
            filled = index
            break
    # A header may have many empty names. Then what follows it does not look like one.
    return filled if filled >= 0 and looks_like_header(records[filled].cells) else max(wide, 0)


def looks_like_header(cells: Sequence[str]) -> bool:
    return not any(_DATA.fullmatch(cell.strip()) for cell in cells)


def check_header(lines: Sequence[str], record: Record, delimiter: str, quote: str, skip_space: bool) -> None:
    """Raises FileRefused for a header whose quotes are wrong: rows may be inside one of its names."""
    own = list(lines[record.line_no - 1 : record.line_no - 1 + record.size])
    if not quote or not any(quote in line for line in own):
        return
    fault = examine(own, delimiter, quote, skip_space)
    if fault is None and record.size > _HEADER_LINES:
        fault = Unclosed(0)
    if fault is not None:
        raise messages.header_unreadable(record.line_no, fault)


def check_above(lines: Sequence[str], records: Sequence[Record], header: int, delimiter: str) -> None:
    """Raises FileRefused when a line above the guessed header may be a person or a header that was passed over."""
    line_no, cells, _ = records[header]
    above = records[:header]
    if swallowing := next((record for record in above if record.size > 1), None):
        raise messages.header_unreadable(swallowing.line_no, Unclosed(0))
    if above and not looks_like_header(cells):
        raise messages.header_passed_over(line_no, len(cells), above[-1].line_no, len(above[-1].cells))
    for number, line in enumerate(lines[: line_no - 1], 1):
        if what := _looks_like_data(line, delimiter):
            raise messages.data_above_header(number, line_no, what)


def _looks_like_data(line: str, delimiter: str) -> str:
    """What a line has that a title has not, "" for a title."""
    if '"' in line or EMAIL.search(line):
        return "a quote" if '"' in line else "an e-mail address"
    if sum(bool(cell.strip()) for cell in line.split(delimiter)) > _TITLE_CELLS:
        return "many cells"
    return "a long text" if len(line) > _TITLE_LENGTH else ""
