"""Bytes of a CSV or JSON Lines file → its dialect, and a stream of rows and row problems. No database."""

from imports.files.blocks import lines_above
from imports.files.dialect import (
    CSV,
    DELIMITERS,
    ENCODINGS,
    FORMATS,
    JSON_LINES,
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
from imports.files.read import read_rows
from imports.files.reader import Reader
from imports.files.sniff import sniff
from imports.files.sniffed import Sniffed

__all__ = [
    "CSV",
    "DELIMITERS",
    "ENCODINGS",
    "FORMATS",
    "JSON_LINES",
    "MAX_CELL",
    "MAX_COLUMNS",
    "MAX_LINE",
    "MAX_QUOTED_LINES",
    "REJECTED_COLUMNS",
    "Checkpoint",
    "Dialect",
    "Doubt",
    "FileRefused",
    "Reader",
    "Row",
    "RowProblem",
    "Sniffed",
    "lines_above",
    "read_rows",
    "shorten",
    "sniff",
]
