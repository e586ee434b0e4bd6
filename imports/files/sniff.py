"""A file's first megabyte and a few probes further on → its dialect, headers and sample rows; all can be corrected."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from math import log2
from os import PathLike
from typing import Any, BinaryIO

from imports.files import messages
from imports.files.detect import GUESSED, Encoding, detect_encoding, refuse_binary, refuse_other_formats
from imports.files.dialect import (
    DELIMITERS,
    MAX_CELL,
    MAX_COLUMNS,
    Dialect,
    FileRefused,
    escape,
)

HEAD = 1024 * 1024
PROBES, PROBE = 8, 64 * 1024
SAMPLE_ROWS = 20
_EXAMINED = 200  # records that decide about delimiter and header
_PREAMBLE = 30  # records above the header at most

_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_DATA = re.compile(
    r"[^@\s]+@[^@\s]+\.[^@\s]+|[-+]?[0-9][0-9\s.,:/()+-]*%?|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|true|false",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sniffed:
    """The detected dialect, for a page where staff can correct it; `dialect` goes on to `read_rows`."""

    encoding: str
    confidence: str  # certain: marked or proved; likely: ASCII letters only; guessed: staff must confirm
    candidates: tuple[str, ...]
    delimiter: str
    quotechar: str
    skip_space: bool
    header_line: int
    has_header: bool
    bom: bool
    newline: str
    headers: list[str]
    sample_rows: list[list[str]]
    problems: list[str]

    @property
    def dialect(self) -> Dialect:
        return Dialect(
            encoding=self.encoding,
            delimiter=self.delimiter,
            quotechar=self.quotechar,
            skip_space=self.skip_space,
            header_line=self.header_line,
            has_header=self.has_header,
        )


def sniff(source: str | PathLike[str] | BinaryIO, *, given: dict[str, Any] | None = None) -> Sniffed:
    """Reads 1.5 MB at most, whatever the size. `given` holds fields of `Dialect` staff chose; they win.

    Raises `FileRefused` for a file whose content is not CSV, that is empty, has a header without rows or more
    than 500 columns. A stream is left at its start.
    """
    if isinstance(source, (str, PathLike)):
        with open(source, "rb") as stream:
            return _sniff(stream, given or {})
    source.seek(0)
    try:
        return _sniff(source, given or {})
    finally:
        source.seek(0)


def _sniff(stream: BinaryIO, given: dict[str, Any]) -> Sniffed:
    head, probes, is_whole = _sample(stream)
    if not head.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\x00"):
        raise FileRefused("The file is empty.")
    refuse_other_formats(head)
    encoding = detect_encoding(head, probes)
    is_utf16 = encoding.name.startswith("utf-16") and str(given.get("encoding")).startswith("utf-16")
    if given.get("encoding") and not (is_utf16 and encoding.bom):
        encoding = Encoding(given["encoding"], "certain", encoding.candidates, encoding.bom)
    if not encoding.name.startswith("utf-16"):
        refuse_binary(head[:4096])
    text = head[len(encoding.bom) :].decode(
        encoding.name, errors="surrogateescape" if encoding.name == "utf-8" else "replace"
    )
    lines = list(io.StringIO(text, newline=""))
    if not is_whole and len(lines) > 1:
        lines.pop()  # cut off in the middle
    return _describe(lines, encoding, given, head, is_whole)


def _sample(stream: BinaryIO) -> tuple[bytes, list[bytes], bool]:
    """The head, pieces from the rest cut at line breaks, and whether the head is all there is."""
    head = stream.read(HEAD)
    size = stream.seek(0, io.SEEK_END)
    if size <= len(head):
        return head, [], True
    probes = []
    for number in range(1, PROBES + 1):
        stream.seek(max(len(head), size * number // PROBES - PROBE))
        piece = stream.read(PROBE)
        start, end = piece.find(b"\n") + 1, piece.rfind(b"\n") + 1
        probes.append(piece[start:end])
    return head[: (head.rfind(b"\n") + 1) or len(head)], probes, False


def _describe(
    lines: list[str], encoding: Encoding, given: dict[str, Any], head: bytes, is_whole: bool
) -> Sniffed:
    start = 0
    separator = _SEP.fullmatch(lines[0].strip("\r\n")) if lines else None
    if separator:
        start = 1
    delimiter = given.get("delimiter") or (separator[1] if separator else "")
    quote, skip_space = _quoting(lines[start:], given)
    delimiter = delimiter or _delimiter(lines[start:], quote, skip_space)
    records = _records(lines, start, delimiter, quote, skip_space)
    if not records:
        raise FileRefused("The file is empty: it has blank lines only.")
    header, has_header = _header(records, given)
    line_no, cells = records[header]
    if len(cells) > MAX_COLUMNS:
        raise messages.too_many_columns(line_no, len(cells))
    data = [row for _, row in records[header + 1 if has_header else header :]]
    if not data and is_whole:
        raise FileRefused("The file has a header but no rows under it.", line_no=line_no)
    names = [" ".join(escape(cell).split()) for cell in cells]
    headers = names if has_header else [f"Column {number}" for number in range(1, len(cells) + 1)]
    return Sniffed(
        encoding=encoding.name,
        confidence=encoding.confidence,
        candidates=encoding.candidates,
        delimiter=delimiter,
        quotechar=quote,
        skip_space=skip_space,
        header_line=line_no,
        has_header=has_header,
        bom=bool(encoding.bom),
        newline=_newline(lines),
        headers=headers,
        sample_rows=[[escape(cell) for cell in row] for row in data[:SAMPLE_ROWS]],
        problems=_problems(encoding, headers if has_header else [], head),
    )


def _quoting(lines: list[str], given: dict[str, Any]) -> tuple[str, bool]:
    """The quote, and whether cells are written `a, "b"`, where the space would spoil the quoting."""
    text = "".join(islice(lines, _EXAMINED))
    quote = given.get("quotechar")
    if quote is None:
        single = len(re.findall(r"(?:^|[,;\t|])'[^'\r\n]*'(?=[,;\t|\r\n]|$)", text, re.MULTILINE))
        quote = "'" if '"' not in text and single > 2 * max(len(lines[:_EXAMINED]) - 1, 1) else '"'
    skip_space = given.get("skip_space")
    if skip_space is None:
        tight, spaced = len(re.findall(f"[,;\t|]{quote}", text)), len(re.findall(f"[,;\t|] +{quote}", text))
        skip_space = bool(quote) and spaced > tight
    return quote, skip_space


def _delimiter(lines: list[str], quote: str, skip_space: bool) -> str:
    """The character that cuts the most records into the same, greatest number of cells."""
    return max(DELIMITERS, key=lambda delimiter: _evenness(_records(lines, 0, delimiter, quote, skip_space)))


def _evenness(records: list[tuple[int, list[str]]]) -> float:
    widths = [len(cells) for _, cells in records]
    width, count = _usual(widths)
    return count / len(widths) * log2(width) if width > 1 else 0.0


def _usual(widths: Sequence[int]) -> tuple[int, int]:
    """The most frequent width and how often it occurs; of equals the one that comes first."""
    return Counter(widths).most_common(1)[0] if widths else (0, 0)


def _records(
    lines: list[str], start: int, delimiter: str, quote: str, skip_space: bool
) -> list[tuple[int, list[str]]]:
    """(physical line, cells) of the first non-blank records; a broken record is skipped, `rows` reports it."""
    csv.field_size_limit(MAX_CELL)
    records: list[tuple[int, list[str]]] = []
    reader = csv.reader(
        islice(lines, start, None),
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        skipinitialspace=skip_space,
    )
    line_no = start + 1
    while len(records) < _EXAMINED:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error:
            cells = []
        if any(cell.strip() for cell in cells) or len(cells) > 1:
            records.append((line_no, cells))
        line_no = start + reader.line_num + 1
    return records


def _header(records: list[tuple[int, list[str]]], given: dict[str, Any]) -> tuple[int, bool]:
    """Index of the header's record (of the first row, if there is none), and whether it is a header."""
    index = _first_of_table(records)
    if header_line := given.get("header_line"):
        index = next((i for i, (line_no, _) in enumerate(records) if line_no >= header_line), -1)
        if index < 0:
            raise messages.no_such_line(header_line, records[-1][0])
    if given.get("has_header") is not None:
        return index, bool(given["has_header"])
    return index, _looks_like_header(records[index][1])


def _first_of_table(records: list[tuple[int, list[str]]]) -> int:
    """Behind the title lines some programs put on top: much narrower than the table, or padded with empty cells."""
    width, _ = _usual([len(cells) for _, cells in records])
    if width < 2:
        return 0
    enough = max(width // 2, 1)
    wide = filled = -1
    for index, (_, cells) in enumerate(records[:_PREAMBLE]):
        if wide < 0 and len(cells) > enough:
            wide = index
        if sum(bool(cell.strip()) for cell in cells) > enough:
            filled = index
            break
    # A header may have many empty names. Then what follows it does not look like one.
    return filled if filled >= 0 and _looks_like_header(records[filled][1]) else max(wide, 0)


def _looks_like_header(cells: list[str]) -> bool:
    return not any(_DATA.fullmatch(cell.strip()) for cell in cells)


def _newline(lines: list[str]) -> str:
    """CRLF, LF, CR, or mixed."""
    ends = {
        "CRLF": any(line.endswith("\r\n") for line in lines),
        "LF": any(line.endswith("\n") and not line.endswith("\r\n") for line in lines),
        "CR": any(line.endswith("\r") for line in lines),
    }
    used = [name for name, is_used in ends.items() if is_used]
    return used[0] if len(used) == 1 else "mixed" if used else "LF"


def _problems(encoding: Encoding, headers: list[str], head: bytes) -> list[str]:
    """What staff should look at before going on; none of it stops the import."""
    problems = []
    if encoding.bad is not None and encoding.name == "utf-8":
        line_no = 1 + len(re.findall(rb"\r\n|\r|\n", head[: encoding.bad]))
        problems.append(
            f"Some lines are not UTF-8, the first is line {line_no:,} (byte {encoding.bad:,}). Those rows will be "
            "rejected. If the whole file is written in another encoding, choose it."
        )
    elif encoding.confidence == GUESSED:
        problems.append(
            "The encoding is a guess. Look at the letters with accents below and confirm it or choose another."
        )
    numbers: dict[str, int] = {}
    for number, name in enumerate(headers, 1):
        if not name:
            problems.append(f"Column {number} has no name. Choose where it goes.")
        elif first := numbers.get(name.casefold()):
            problems.append(f"Columns {first} and {number} are both called “{name}”. Choose where each goes.")
        numbers.setdefault(name.casefold(), number)
    return problems
