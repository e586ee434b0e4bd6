"""A fault of a row or a file → its RowProblem or FileRefused, with the sentence people read."""

import re

from cdp.plurals import counted
from imports.files.dialect import MAX_CELL, MAX_COLUMNS, FileRefused, RowProblem, shorten
from imports.files.strict import Bare, Continued, Unclosed

ABOVE_HEADER = "This line is above the header. Nothing of it is imported."
_OF_BYTES = re.compile(
    r"The byte 0x[0-9A-F]{2} at offset |The value has (?:a control character|half of a broken character) \("
)
_IN_LINES = re.compile(r"from line [0-9,]+ to line [0-9,]+")
_WRITTEN_OUT = re.compile(r"\\x[0-9a-f]{2}")

# First cells of the line that spreadsheets put under a column of figures.
_TOTALS = ["total", "totals", "grand total", "subtotal", "sum", "summe", "gesamt", "gesamtsumme", "suma"]
_TOTALS += ["razem", "total général", "totale", "totaal", "celkem", "итого", "合計"]
TOTAL_CELLS = frozenset(
    name + mark
    for word in _TOTALS
    for name in (word, word.title(), word.upper(), word.capitalize())
    for mark in ("", ":")
)
_FIGURE = re.compile(r"[-+]?[0-9][0-9.,' \u00a0\u202f]*%?")

# Of a line of JSON Lines that is no row.
_ONE_OBJECT = "Write one object per line, such as {“email”: “ann@example.com”}."
NO_OBJECT = f"This line is JSON, but not an object. {_ONE_OBJECT}"
LINE_NOT_UTF8 = "This line is not UTF-8. JSON Lines are always written in UTF-8."
TOO_DEEP = "This line has objects inside objects more than 20 deep."
_OF_LINES = ("This line ", "The key “")

_CLOSE_IT = "Close it, or double it where it is part of the text, and upload the file again."


def still_has_bad_byte(because: str, cells: list[str]) -> str | None:
    """In a file of rejected rows: the cell whose bad bytes are still written out as `\\x81`, as the reason says."""
    if not _OF_BYTES.match(because):
        return None
    return next((cell for cell in cells if _WRITTEN_OUT.search(cell)), None)


def not_json(why: str, position: int) -> str:
    return f"This line is not JSON: {why} at character {position:,}. {_ONE_OBJECT}"


def key_twice(name: str) -> str:
    return f"The key “{shorten(name, 100)}” is in this line twice. Keep one of them."


def is_of_line(because: str, cells: list[str]) -> bool:
    """In a file of rejected rows: whether this is a line of JSON that could not be read, still in its first cell."""
    return because.startswith(_OF_LINES) and cells[0].lstrip().startswith(("{", "[")) and not any(cells[1:])


def is_totals(cells: list[str]) -> bool:
    figures = [cell for cell in cells[1:] if cell.strip()]
    return cells[0] in TOTAL_CELLS and bool(figures) and all(map(_FIGURE.fullmatch, figures))


def is_same(because: str, message: str) -> bool:
    """Whether two reasons differ by nothing but where in their files the rows are."""
    return _IN_LINES.sub("", because) == _IN_LINES.sub("", message)


def totals(line_no: int, column: str | None, cells: list[str], first: int = 0) -> RowProblem:
    return RowProblem(line_no, column, cells[first], "This looks like a line of totals, not a person.", cells)


def repeated_header(line_no: int, cells: list[str], first: int = 0) -> RowProblem:
    return RowProblem(line_no, None, shorten(cells[first]), "This row repeats the header.", cells)


def ragged(
    line_no: int, last_line_no: int, cells: list[str], columns: int, has_header: bool, reasons: int = 0
) -> RowProblem:
    """`reasons` columns in front are not the file's own; they do not count."""
    what = "header" if has_header else "first row"
    own, count = columns - reasons, max(len(cells) - reasons, 0)
    wide = counted(own, "columns")
    message = f"The {what} has {wide}; this row has {count:,}. No cell was moved."
    if last_line_no > line_no:
        message += f" It runs from line {line_no:,} to line {last_line_no:,}: look for a missing quote."
    kept = cells if len(cells) <= MAX_COLUMNS else None
    return RowProblem(line_no, None, counted(count, "cells"), message, kept)


def control_character(
    line_no: int, column: str | None, cell: str, cells: list[str], char: str = "\x00"
) -> RowProblem:
    what = "a control character" if char == "\x00" else "half of a broken character"
    message = f"The value has {what} (U+{ord(char):04X}). Remove it."
    return RowProblem(line_no, column, shorten(cell), message, cells)


def not_utf8(
    line_no: int, column: str | None, cell: str, cells: list[str], byte: int, offset: int
) -> RowProblem:
    message = (
        f"The byte 0x{byte:02X} at offset {offset:,} of the file is not UTF-8. "
        "Save the file as UTF-8, or choose another encoding for the whole file."
    )
    return RowProblem(line_no, column, shorten(cell), message, cells)


def bad_quote(
    fault: Bare | Continued, line_no: int, column: str | None, cells: list[str] | None
) -> RowProblem:
    value = shorten(cells[fault.cell]) if cells and fault.cell < len(cells) else ""
    if isinstance(fault, Bare):
        message = (
            "There is a quote inside a cell that does not start with one. Quote the whole cell and double it."
        )
    else:
        message = "There is text after the quote that ends the cell. Double a quote that is part of the text."
    return RowProblem(line_no, column, value, message, cells)


def cell_too_long(line_no: int) -> RowProblem:
    message = f"A cell has more than {MAX_CELL:,} characters, the most a cell may have. Shorten it."
    return RowProblem(line_no, None, "", message)


def never_closed(opened: int, next_quote: int = 0) -> FileRefused:
    sentence = f"A quote opened at line {opened:,} is never closed"
    if next_quote:
        sentence += f": the next quote, in line {next_quote:,}, is inside another cell"
    return FileRefused(f"{sentence}. {_CLOSE_IT}", line_no=opened)


def too_many_lines(opened: int, limit: int) -> FileRefused:
    return FileRefused(
        f"A quoted cell that starts at line {opened:,} runs over more than {limit} lines. Usually a quote is "
        "missing there: correct it. If the text is meant, allow longer cells for this file.",
        line_no=opened,
    )


def too_many_columns(line_no: int, columns: int) -> FileRefused:
    return FileRefused(
        f"The file has {columns:,} columns; at most {MAX_COLUMNS} are possible.", line_no=line_no
    )


def no_such_line(header_line: int, last_line_no: int) -> FileRefused:
    return FileRefused(f"Line {header_line:,} cannot be the header: the file ends at line {last_line_no:,}.")


def header_unreadable(line_no: int, fault: Unclosed | Continued | Bare | None) -> FileRefused:
    why = "A quote in it is not closed. Correct it, or choose another line as the header."
    if fault is None:
        why = f"A name in it has more than {MAX_CELL:,} characters."
    return FileRefused(f"The header in line {line_no:,} cannot be read. {why}", line_no=line_no)


def header_passed_over(line_no: int, columns: int, above: int, cells: int) -> FileRefused:
    has = counted(cells, "cells")
    return FileRefused(
        f"Line {line_no:,} looks like data, not like a header, and line {above:,} above it has {has} where the rows have "
        f"{columns:,}. Correct the header, or choose the header's line and the delimiter.",
        line_no=line_no,
    )


def data_above_header(line_no: int, header_line: int, what: str) -> FileRefused:
    return FileRefused(
        f"Line {line_no:,} is above the header (line {header_line:,}) and looks like data: it has {what}. "
        "Remove or correct the line, or choose the header's line.",
        line_no=line_no,
    )


def header_control_character(line_no: int) -> FileRefused:
    return FileRefused(
        f"The header in line {line_no:,} has a control character (U+0000). Remove it.", line_no=line_no
    )


def header_not_utf8(line_no: int, byte: int, offset: int) -> FileRefused:
    return FileRefused(
        f"The byte 0x{byte:02X} at offset {offset:,} (line {line_no:,}, the header) is not UTF-8. "
        "Choose another encoding, or save the file as UTF-8.",
        line_no=line_no,
        offset=offset,
    )
