"""The room between the bytes of a file and its rows: detect, read as a stream, name what is wrong. Pure."""

from imports.files.dialect import (
    DELIMITERS,
    ENCODINGS,
    MAX_CELL,
    MAX_COLUMNS,
    MAX_LINE,
    MAX_QUOTED_LINES,
    Checkpoint,
    Dialect,
    FileRefused,
    Problem,
    Row,
    chosen,
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
    "Checkpoint",
    "Dialect",
    "FileRefused",
    "Problem",
    "Row",
    "RowReader",
    "Sniffed",
    "chosen",
    "read_rows",
    "shorten",
    "sniff",
]
