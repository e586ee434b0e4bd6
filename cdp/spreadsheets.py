"""Cells of any text → CSV that no spreadsheet runs as a formula, and such a cell → its text again. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

# What spreadsheets begin a formula with, the full-width forms they fold to it, and characters they skip first.
_TRIGGERS = frozenset("=+-@\t\r\n\x00＝＋－＠")
_GUARD = "'"


def safe_cell(text: str) -> str:
    """The text with an apostrophe before it when a spreadsheet would run it; ``unsafe_cell`` takes it off.

    A text that begins with apostrophes and then such a character gets one more, so nothing is ambiguous.
    """
    bare = text.lstrip(_GUARD)
    return _GUARD + text if bare and (bare[0] in _TRIGGERS or bare.lstrip()[:1] in _TRIGGERS) else text


def unsafe_cell(text: str) -> str:
    """The reverse of ``safe_cell``."""
    if text.startswith(_GUARD) and safe_cell(text[1:]) == text:
        return text[1:]
    return text


# Spreadsheets read a file as UTF-8 only with this in front.
BOM = "\ufeff".encode()


def as_csv(
    rows_of_cells: Iterable[Iterable[Any]],
    *,
    delimiter: str = ",",
    quotechar: str = '"',
    is_guarded: bool = True,
) -> bytes:
    """UTF-8, RFC 4180, each cell guarded: every CSV file that leaves is made here.

    Not guarded is what a program asked for, to which an apostrophe is a part of the cell.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quotechar=quotechar)
    guard = safe_cell if is_guarded else str
    writer.writerows([guard("" if cell is None else str(cell)) for cell in row] for row in rows_of_cells)
    return text.getvalue().encode()
