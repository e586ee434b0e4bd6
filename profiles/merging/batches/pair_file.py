"""A file of pairs: two columns, winner and loser, each with any identifier of theirs or ``#`` and the profile's id."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cdp.errors import Invalid
from profiles.identity.graph import roots_of
from profiles.identity.normalize import BadValue
from profiles.identity.resolve import Pair as IdPair
from profiles.identity.resolve import resolve
from profiles.identity.types import Blocked, TypeSpec, identifier_types
from profiles.merging.batches.freeze import LIMIT, Pair

COLUMNS = ("winner", "loser")
MAX_BYTES = 20 * 1024 * 1024
_DELIMITERS = ",;\t|"
_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One cell (or, without a column, one line) that names nobody."""

    line: int
    column: str
    value: str
    message: str


@dataclass(frozen=True, slots=True)
class Read:
    """``pairs`` of the lines both of whose cells lead to a person; the others are in ``problems``."""

    pairs: list[Pair] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    cells: tuple[str, str]


def read_pairs(content: bytes) -> Read:
    """Whom the lines name, thousands at a time. Raises Invalid for a file that is no such table."""
    lines, problems = _lines(_text(content))
    types = identifier_types()
    found = Read(problems=problems)
    for start in range(0, len(lines), _PAGE):
        _add(found, lines[start : start + _PAGE], types)
    found.problems.sort(key=lambda problem: problem.line)
    return found


def _text(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _invalid(f"The file is larger than {MAX_BYTES // 1024**2} MB. Split it.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _invalid(f"Line {line:,} is not UTF-8. Save the file as “CSV UTF-8”.") from error
    if "\0" in text:
        raise _invalid("This is no CSV file: it holds NUL characters.")
    return text


def _lines(text: str) -> tuple[list[_Line], list[Problem]]:
    """The two cells of each line that is not empty. The first line may name the columns, in any order."""
    first = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    lines: list[_Line] = []
    problems: list[Problem] = []
    places = (0, 1)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            names = [cell.lower() for cell in cells]
            if not lines and not problems and set(COLUMNS) <= set(names):
                places = (names.index("winner"), names.index("loser"))
            elif len(cells) <= max(places):
                message = "A line has two cells: who survives, and who is merged into them."
                problems.append(Problem(reader.line_num, "", cells[0], message))
            else:
                lines.append(_Line(reader.line_num, (cells[places[0]], cells[places[1]])))
            if len(lines) > LIMIT:
                raise _invalid(f"The file has more than {LIMIT:,} pairs. Split it.")
    except csv.Error as error:
        raise _invalid(f"Line {reader.line_num:,} cannot be read as CSV: {error}.") from error
    if not lines and not problems:
        raise _invalid("The file holds no pairs. Write one a line: winner, loser.")
    return lines, problems


def _add(found: Read, lines: Sequence[_Line], types: dict[str, TypeSpec]) -> None:
    """Look up one page of lines. Two queries."""
    cells = {cell for line in lines for cell in line.cells}
    wanted = {cell: list(_readings(cell, types)) for cell in cells}
    hits = resolve(pair for readings in wanted.values() for pair in readings)
    numbers = {cell: int(cell[1:]) for cell in cells if _is_number(cell)}
    roots = roots_of(numbers.values()) if numbers else {}
    for line in lines:
        sides: list[int] = []
        for column, cell in zip(COLUMNS, line.cells, strict=True):
            people = {hits[pair].root_id for pair in wanted[cell] if pair in hits}
            if cell in numbers:
                people = {roots[numbers[cell]]} if numbers[cell] in roots else set()
            if len(people) == 1:
                sides += people
            else:
                message = _why(cell, sorted(people), types)
                found.problems.append(Problem(line.number, column, cell, message))
        if len(sides) == 2 and sides[0] == sides[1]:
            message = f"Both lead to profile #{sides[0]}: they are one person already."
            found.problems.append(Problem(line.number, "", ", ".join(line.cells), message))
        elif len(sides) == 2:
            found.pairs.append(Pair(sides[0], sides[1], line=line.number))


def _is_number(cell: str) -> bool:
    plain = cell[1:]
    return cell.startswith("#") and plain.isascii() and plain.isdigit() and len(plain) < 19


def _readings(cell: str, types: dict[str, TypeSpec]) -> Iterator[IdPair]:
    """What a cell may mean: ``type:value``, or a value of any type that is one person's."""
    name, colon, raw = cell.partition(":")
    chosen: Iterable[tuple[TypeSpec, str]]
    if colon and name in types:
        chosen = [(types[name], raw)]
    else:
        chosen = [(spec, cell) for spec in types.values() if spec.row.is_unique]
    for spec, value in chosen:
        try:
            yield (spec.name, spec.clean(value))
        except (BadValue, Blocked):
            continue  # not a value of this type, or one that names nobody


def _why(cell: str, people: Sequence[int], types: dict[str, TypeSpec]) -> str:
    if not cell:
        return "The cell is empty. Write an identifier, or # and the profile's number."
    if people:
        listed = " and ".join(f"#{pk}" for pk in people)
        return f"“{cell}” leads to {len(people)} people, {listed}. Write its type in front: {next(iter(types))}:{cell}."
    if cell.isascii() and cell.isdigit():
        return f"Nobody has the identifier “{cell}”. For the profile of this number write #{cell}."
    return f"“{cell}” leads to nobody."


def _invalid(message: str) -> Invalid:
    return Invalid([{"field": "file", "value": None, "message": message}])
