"""The first lines of a file → the delimiter that makes a table of them, and whether another one might."""

from collections.abc import Sequence
from math import log2
from typing import NamedTuple

from imports.files.dialect import RARE_DELIMITERS, USUAL_DELIMITERS
from imports.files.strict import examine
from imports.files.table import (
    EMAIL,
    Record,
    first_of_table,
    looks_like_header,
    read_records,
    usual_width,
)

_WEAK = 0.3  # what a reading is worth under which the header is no header, or cells are cut in two
_CLEAR = 0.7  # the next best delimiter is worth less than this share of the best: no doubt
_EVEN = 0.9  # records that a rare delimiter has to cut alike


class Choice(NamedTuple):
    """`is_certain` False: another delimiter makes a table as well, or only a rare one does."""

    delimiter: str
    is_certain: bool


def choose_delimiter(lines: Sequence[str], start: int, quote: str, skip_space: bool) -> Choice:
    """Of lines behind index `start`. Comma where nothing makes a table: then there is one column."""
    scores = {
        delimiter: _score(lines, read_records(lines, start, delimiter, quote, skip_space), delimiter, quote)
        for delimiter in USUAL_DELIMITERS
    }
    best = max(scores, key=lambda delimiter: scores[delimiter])
    others = [score for delimiter, score in scores.items() if delimiter != best]
    if scores[best] > _WEAK:
        return Choice(best, max(others) < _CLEAR * scores[best])
    for delimiter in RARE_DELIMITERS:
        if _is_table(read_records(lines, start, delimiter, quote, skip_space), delimiter):
            return Choice(delimiter, False)
    return Choice(best if scores[best] else ",", not scores[best])


def _score(lines: Sequence[str], records: list[Record], delimiter: str, quote: str) -> float:
    """How even the cut is, times how much it cuts; the header counts most, for nobody writes data into it."""
    width, count = usual_width(records)
    if width < 2:
        return 0.0
    score = count / len(records) * log2(width)
    first = first_of_table(records)
    if first and not looks_like_header(records[first].cells):
        score *= _WEAK  # the header was passed over: it has other delimiters
    return score * _clean_share(lines, records, delimiter, quote) * _whole_share(records)


def _clean_share(lines: Sequence[str], records: list[Record], delimiter: str, quote: str) -> float:
    """Of the records with quotes, those where a quote begins and ends a cell; 1 without any."""
    if not quote:
        return 1.0
    quoted = [
        own
        for line_no, _, size in records
        for own in [list(lines[line_no - 1 : line_no - 1 + size])]
        if any(quote in line for line in own)
    ]
    faults = [examine(own, delimiter, quote, skip_space=True) is not None for own in quoted]
    return max(1 - sum(faults) / len(faults), _WEAK) if faults else 1.0


def _whole_share(records: list[Record]) -> float:
    """Of the cells with an e-mail address, those that are nothing else; 1 without any."""
    cells = [cell.strip() for record in records for cell in record.cells if "@" in cell]
    with_email = [cell for cell in cells if EMAIL.search(cell)]
    whole = sum(bool(EMAIL.fullmatch(cell)) for cell in with_email)
    return max(whole / len(with_email), _WEAK) if with_email else 1.0


def _is_table(records: list[Record], delimiter: str) -> bool:
    """Whether a rare delimiter cuts header and rows alike and one column has the e-mail addresses.

    Text has these characters as well, so a table without addresses needs three columns, and never has spaces between.
    """
    width, count = usual_width(records)
    if width < 2 or len(records) < 2 or count < _EVEN * len(records):
        return False
    header, *rows = (record.cells for record in records)
    if len(header) != width or not all(map(str.strip, header)) or not looks_like_header(header):
        return False
    full = [cells for cells in rows if len(cells) == width]
    has_emails = any(
        sum(bool(EMAIL.fullmatch(cells[index].strip())) for cells in full) >= _EVEN * len(full)
        for index in range(width)
    )
    return has_emails or (width > 2 and delimiter != " ")
