"""The lines of a record → its quoting fault by RFC 4180. For the few records where Python's csv takes a stray quote as text."""

import re
from functools import lru_cache
from typing import NamedTuple


class Unclosed(NamedTuple):
    """A quoted cell that the text ends in. `line_index` counts from 0, the line the quote is on."""

    line_index: int


class Continued(NamedTuple):
    """Text goes on behind a closing quote. `opened` and `closed` are line indexes from 0."""

    cell: int
    opened: int
    closed: int


class Bare(NamedTuple):
    """A quote inside a cell that did not start with one."""

    cell: int


def examine(
    lines: list[str], delimiter: str, quotechar: str, skip_space: bool
) -> Unclosed | Continued | Bare | None:
    """What is wrong with the record these physical lines make up, None when it is clean.

    Each line carries its own line break. A quoted cell gone wrong counts before a bare quote, for it may
    have taken in the lines that follow.
    """
    text = "".join(lines)
    starts = _line_starts(lines)
    position = cell = 0
    bare: Bare | None = None
    ends = _cell_ends(delimiter)
    while True:
        while skip_space and text.startswith(" ", position):
            position += 1
        if text.startswith(quotechar, position):
            opened = position
            closed = _closing_quote(text, position + 1, quotechar)
            if closed < 0:
                return Unclosed(_line_of(starts, opened))
            position = closed + 1
            if position < len(text) and text[position] not in (delimiter, "\r", "\n"):
                return Continued(cell, _line_of(starts, opened), _line_of(starts, closed))
        else:
            match = ends.search(text, position)
            end = match.start() if match else len(text)
            if bare is None and quotechar in text[position:end]:
                bare = Bare(cell)
            position = end
        if position >= len(text) or text[position] != delimiter:
            return bare
        position += 1
        cell += 1


def split_raw(text: str, delimiter: str, quotechar: str, skip_space: bool) -> list[str]:
    """A record as it is in the file → its cells as they are in it, quotes and faults and all."""
    if not quotechar:
        return text.split(delimiter)
    cells: list[str] = []
    position = 0
    while True:
        while skip_space and text.startswith(" ", position):
            position += 1
        end = position
        if text.startswith(quotechar, position):
            closed = _closing_quote(text, position + 1, quotechar)
            end = len(text) if closed < 0 else closed + 1
        end = text.find(delimiter, end)
        if end < 0:
            return [*cells, text[position:]]
        cells.append(text[position:end])
        position = end + 1


def _line_starts(lines: list[str]) -> list[int]:
    starts, total = [], 0
    for line in lines:
        starts.append(total)
        total += len(line)
    return starts


def _line_of(starts: list[int], position: int) -> int:
    return max(index for index, start in enumerate(starts) if start <= position)


def _closing_quote(text: str, position: int, quotechar: str) -> int:
    """Index of the quote that ends the cell, over doubled ones; -1 when there is none."""
    while (quote := text.find(quotechar, position)) >= 0:
        if not text.startswith(quotechar, quote + 1):
            return quote
        position = quote + 2
    return -1


@lru_cache(maxsize=16)
def _cell_ends(delimiter: str) -> re.Pattern[str]:
    return re.compile(f"[{re.escape(delimiter)}\r\n]")
