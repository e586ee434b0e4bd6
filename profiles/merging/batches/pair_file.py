"""A CSV file of pairs → profiles to merge: two columns, winner and loser, each an identifier or ``#`` and a profile id."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cdp.errors import Invalid
from profiles.identity.graph import roots_of
from profiles.identity.lookup import IdentifierPair, resolve
from profiles.identity.normalize import BadValue
from profiles.identity.types import Blocked, TypeSpec, find_type, identifier_types
from profiles.merging.batches.freeze import LIMIT, BatchPair

COLUMNS = ("winner", "loser")
MAX_BYTES = 20 * 1024 * 1024
_DELIMITERS = ",;\t|"
_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class PairFileProblem:
    """One cell (or, without a column, one line) that names no profile."""

    line_no: int
    column: str
    value: str
    message: str


@dataclass(frozen=True, slots=True)
class PairFile:
    """``pairs`` of the lines whose cells each name one profile; the other lines are in ``problems``."""

    pairs: list[BatchPair] = field(default_factory=list)
    problems: list[PairFileProblem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _FileRow:
    line_no: int
    cells: tuple[str, str]


def read_pairs(content: bytes) -> PairFile:
    """The profiles the lines name, looked up thousands at a time. Raises Invalid for a file that is no such table."""
    rows, problems = _file_rows(_text(content))
    types = identifier_types()
    result = PairFile(problems=problems)
    for start in range(0, len(rows), _PAGE):
        _add(result, rows[start : start + _PAGE], types)
    result.problems.sort(key=lambda problem: problem.line_no)
    return result


def _text(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _invalid(f"The file is larger than {MAX_BYTES // 1024**2} MB. Split it.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line_no = content[: error.start].count(b"\n") + 1
        raise _invalid(f"Line {line_no:,} is not UTF-8. Save the file as “CSV UTF-8”.") from error
    if "\0" in text:
        raise _invalid("This is not a CSV file: it contains NUL characters.")
    return text


def _file_rows(text: str) -> tuple[list[_FileRow], list[PairFileProblem]]:
    """The two cells of each line that is not empty. The first line may name the columns, in any order."""
    first = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[_FileRow] = []
    problems: list[PairFileProblem] = []
    columns = (0, 1)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            names = [cell.lower() for cell in cells]
            if not rows and not problems and set(COLUMNS) <= set(names):
                columns = (names.index("winner"), names.index("loser"))
            elif len(cells) <= max(columns):
                message = "A line has two cells: who survives, and who is merged into them."
                problems.append(PairFileProblem(reader.line_num, "", cells[0], message))
            else:
                rows.append(_FileRow(reader.line_num, (cells[columns[0]], cells[columns[1]])))
            if len(rows) > LIMIT:
                raise _invalid(f"The file has more than {LIMIT:,} pairs. Split it.")
    except csv.Error as error:
        raise _invalid(f"Line {reader.line_num:,} cannot be read as CSV: {error}.") from error
    if not rows and not problems:
        raise _invalid("The file has no pairs. Write one per line: winner, loser.")
    return rows, problems


def _add(result: PairFile, rows: Sequence[_FileRow], types: dict[str, TypeSpec]) -> None:
    """Look up one page of lines. Two queries."""
    cells = {cell for row in rows for cell in row.cells}
    readings_of = {cell: list(_readings(cell, types)) for cell in cells}
    hits = resolve(pair for readings in readings_of.values() for pair in readings)
    numbers = {cell: int(cell[1:]) for cell in cells if _is_number(cell)}
    roots = roots_of(numbers.values()) if numbers else {}
    for row in rows:
        sides: list[int] = []
        for column, cell in zip(COLUMNS, row.cells, strict=True):
            root_ids = {hits[pair].root_id for pair in readings_of[cell] if pair in hits}
            if cell in numbers:
                root_ids = {roots[numbers[cell]]} if numbers[cell] in roots else set()
            if len(root_ids) == 1:
                sides += root_ids
            else:
                message = _why(cell, sorted(root_ids), types)
                result.problems.append(PairFileProblem(row.line_no, column, cell, message))
        if len(sides) == 2 and sides[0] == sides[1]:
            message = f"Both are profile #{sides[0]}: they are one person already."
            result.problems.append(PairFileProblem(row.line_no, "", ", ".join(row.cells), message))
        elif len(sides) == 2:
            result.pairs.append(BatchPair(sides[0], sides[1], line_no=row.line_no))


def _is_number(cell: str) -> bool:
    plain = cell[1:]
    return cell.startswith("#") and plain.isascii() and plain.isdigit() and len(plain) < 19


def _readings(cell: str, types: dict[str, TypeSpec]) -> Iterator[IdentifierPair]:
    """What a cell may mean: ``type:value``, or a value of any type that identifies."""
    name, colon, raw = cell.partition(":")
    chosen: Iterable[tuple[TypeSpec, str]]
    if colon and (named := find_type(types, name)):
        chosen = [(named, raw)]
    else:
        chosen = [(spec, cell) for spec in types.values() if spec.row.is_unique]
    for spec, value in chosen:
        try:
            yield (spec.name, spec.clean(value))
        except (BadValue, Blocked):
            continue  # not a value of this type, or a blocked one


def _why(cell: str, root_ids: Sequence[int], types: dict[str, TypeSpec]) -> str:
    if not cell:
        return "The cell is empty. Write an identifier, or # and the profile's number."
    if root_ids:
        listed = " and ".join(f"#{pk}" for pk in root_ids)
        return f"“{cell}” matches {len(root_ids)} people, {listed}. Write its type in front: {next(iter(types))}:{cell}."
    if cell.isascii() and cell.isdigit():
        return f"Nobody has the identifier “{cell}”. For the profile of this number write #{cell}."
    return f"“{cell}” matches nobody."


def _invalid(message: str) -> Invalid:
    return Invalid([{"field": "file", "value": None, "message": message}])
