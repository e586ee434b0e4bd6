"""Bytes of a CSV file → its dialect, and a stream of rows and row problems. No database."""

from imports.files.blocks import lines_above
from imports.files.dialect import (
    DELIMITERS,
    ENCODINGS,
    MAX_CELL,
    MAX_COLUMNS,
    MAX_LINE,
    MAX_QUOTED_LINES,
    REJECTED_COLUMNS,
    Checkpoint,
    Dialect,
    Doubt,
    FileRefused,
    Row,
    RowProblem,
    shorten,
)
from imports.files.rows import RowReader, read_rows
from imports.files.sniff import Sniffed, sniff

__all__ = [
    "DELIMITERS",
    "ENCODINGS",
    "MAX_CELL",
    "MAX_COLUMNS",
    "MAX_LINE",
    "MAX_QUOTED_LINES",
    "REJECTED_COLUMNS",
    "Checkpoint",
    "Dialect",
    "Doubt",
    "FileRefused",
    "Row",
    "RowProblem",
    "RowReader",
    "Sniffed",
    "lines_above",
    "read_rows",
    "shorten",
    "sniff",
]
