"""A file and its dialect → the reader of its rows, for CSV and JSON Lines alike."""

from imports.files.dialect import JSON_LINES, Checkpoint, Dialect
from imports.files.json_lines import JsonLineReader
from imports.files.reader import Reader, Source
from imports.files.rows import RowReader


def read_rows(source: Source, dialect: Dialect, *, start: Checkpoint | None = None) -> Reader:
    """Every record under the header as a `Row`, or as a `RowProblem` when the row must be rejected.

    Memory does not depend on the file's size. Blank lines are skipped and counted. A row with more or
    fewer cells than the header is a problem, never shifted. The apostrophe that exports put before a formula is
    taken off. A file of rejected rows has the reasons in front: a row that was not corrected has the same problem
    again. `start` continues behind an earlier reader's
    `checkpoint()` and needs a file that can seek. Raises `FileRefused`, at once or while iterating, when
    nothing of the file can be trusted.
    """
    if dialect.format == JSON_LINES:
        return JsonLineReader(source, dialect, start=start)
    return RowReader(source, dialect, start=start)
