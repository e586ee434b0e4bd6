"""A file's first megabyte and a few probes further on → its dialect, headers and sample rows; all can be corrected.

Of JSON Lines, every line is looked at for the columns it has.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from typing import Any, BinaryIO

from cdp.spreadsheets import unsafe_cell
from imports.files import messages
from imports.files.blocks import mark_length
from imports.files.delimiter import choose_delimiter
from imports.files.detect import GUESSED, Encoding, detect_encoding, refuse_binary, refuse_other_formats
from imports.files.dialect import (
    DELIMITERS,
    ENCODINGS,
    MAX_COLUMNS,
    Doubt,
    FileRefused,
    escape,
)
from imports.files.json_lines import describe_json_lines, is_json_lines
from imports.files.letters import cells_with_letters, doubtful_cells, encoded_twice
from imports.files.sniffed import SAMPLE_ROWS, Sniffed
from imports.files.table import (
    EXAMINED,
    Record,
    check_above,
    check_header,
    first_of_table,
    looks_like_header,
    read_records,
    usual_width,
)

HEAD = 1024 * 1024
PROBES, PROBE = 8, 64 * 1024
_ABOVE = 20  # lines above the header that are shown

_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)
# The header of a file that this product wrote: rejected rows, or an export of people, with the row that follows. One
# without the guard against formulas begins with the type.
_OWN_ROW = re.compile(
    r"""['"]?(?:[0-9]+['"]?[^0-9]['"]?(?:recognized|anonymous)|(?:recognized|anonymous)['"]?[^0-9a-z]['"]?[0-9]+)\b"""
)
_OWN = re.compile(
    r"""(['"]?)(?:(rejected_line)\1(?P<a>.)\1rejected_column|(?P<first>id\1(?P<b>.)\1type|type\1(?P<c>.)\1id))\1"""
    r"(?:(?P=a)|(?P=b)|(?P=c))"
)
_SINGLE, _DOUBLE = (
    re.compile(rf"(?:^|[,;\t|:^]) ?{quote}(?:[^{quote}\r\n]|{quote}{quote})*{quote}(?=[,;\t|:^\r\n]|$)")
    for quote in "'\""
)
_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]+(?:\.[\w-]+)+")
_PARTS = re.compile(r"[^\w'.-]")


def sniff(source: str | PathLike[str] | BinaryIO, *, given: dict[str, Any] | None = None) -> Sniffed:
    """Reads 1.5 MB at most, whatever the size, but JSON Lines as a whole. `given` holds fields of `Dialect` staff chose; they win.

    Raises `FileRefused` for a file whose content is neither CSV nor JSON Lines, that is empty, has a header without rows or more
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
    if is_json_lines(head):
        return describe_json_lines(stream, head, given)
    refuse_other_formats(head)
    encoding = detect_encoding(head, probes)
    is_utf16 = encoding.name.startswith("utf-16") and str(given.get("encoding")).startswith("utf-16")
    if given.get("encoding") and not (is_utf16 and encoding.bom):
        encoding = Encoding(given["encoding"], "certain", encoding.candidates, encoding.bom)
    if not encoding.name.startswith("utf-16"):
        refuse_binary(head[:4096])
    text = head[mark_length(head, encoding.name) :].decode(encoding.name, errors=_errors(encoding.name))
    lines = list(io.StringIO(text, newline=""))
    if not is_whole and len(lines) > 1:
        lines.pop()  # cut off in the middle
    return _describe(_Head(lines, probes, head, is_whole), encoding, given)


def _errors(encoding: str) -> str:
    return "surrogateescape" if encoding == "utf-8" else "replace"


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


@dataclass(frozen=True, slots=True)
class _Head:
    """`lines` are the decoded lines of `data`, the start of the file; `probes` are bytes from further on."""

    lines: list[str]
    probes: list[bytes]
    data: bytes
    is_whole: bool


def _describe(file: _Head, encoding: Encoding, given: dict[str, Any]) -> Sniffed:
    lines = file.lines
    separator = _SEP.fullmatch(lines[0].strip("\r\n")) if lines else None
    start = 1 if separator else 0
    own = _own_dialect(lines)
    known = {**own, **({"delimiter": separator[1]} if separator else {}), **given}
    first = max(start, known.get("header_line", 1) - 1)
    quote, skip_space = _quoting(lines[first:], known)
    delimiter, is_certain = known.get("delimiter"), True
    if not delimiter:
        delimiter, is_certain = choose_delimiter(lines, first, quote, skip_space)
    records = read_records(lines, first, delimiter, quote, skip_space)
    if not records and given.get("header_line"):
        last = max((number for number, line in enumerate(lines, 1) if line.strip()), default=0)
        raise messages.no_such_line(given["header_line"], last)
    if not records:
        raise FileRefused("The file is empty: it has blank lines only.")
    header, has_header = _header(records, known)
    line_no, cells, _ = records[header]
    if len(cells) > MAX_COLUMNS:
        raise messages.too_many_columns(line_no, len(cells))
    if not given.get("header_line"):
        check_above(["", *lines[1:]] if separator else lines, records, header, delimiter)
    check_header(lines, records[header], delimiter, quote, skip_space)
    data = [row.cells for row in records[header + 1 if has_header else header :]]
    below = lines[line_no - 1 + records[header].size :]
    if not data and file.is_whole and not any(map(str.strip, below)):
        raise FileRefused("The file has a header but no rows under it.", line_no=line_no)
    is_guarded = known.get("is_guarded", True)
    plain = unsafe_cell if is_guarded else str
    names = [" ".join(escape(unsafe_cell(cell)).split()) for cell in cells]
    headers = names if has_header else [f"Column {number}" for number in range(1, len(cells) + 1)]
    doubts = [] if own else _table_doubts(records, header, has_header, delimiter, is_certain, known)
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
        sample_rows=[[escape(plain(cell)) for cell in row] for row in data[:SAMPLE_ROWS]],
        problems=_problems(encoding, headers if has_header else [], file.data),
        above=_above(lines, line_no),
        doubts=[*_letter_doubts(file, encoding, delimiter, quote), *doubts],
        is_own=bool(own),
        is_export=known.get("is_export", False),
        is_guarded=is_guarded,
    )


def _own_dialect(lines: list[str]) -> dict[str, Any]:
    """How this product writes its files; a spreadsheet that saved one again changed the delimiter at most."""
    match = _OWN.match(lines[0]) if lines else None
    if match is None or (match["first"] and not all(map(_OWN_ROW.match, lines[1:2]))):
        return {}
    delimiter = match["a"] or match["b"] or match["c"]
    return {
        "delimiter": delimiter,
        "quotechar": match[1] or '"',
        "skip_space": False,
        "header_line": 1,
        "has_header": True,
        "is_export": bool(match["first"]),
        "is_guarded": match["c"] is None,
    }


def _above(lines: list[str], header_line: int) -> list[tuple[int, str]]:
    numbered = ((number, line) for number, line in enumerate(lines[: header_line - 1], 1) if line.strip())
    return [(number, escape(line.strip())[:200]) for number, line in islice(numbered, _ABOVE)]


def _quoting(lines: list[str], given: dict[str, Any]) -> tuple[str, bool]:
    """The quote, and whether cells are written `a, "b"`, where the space would spoil the quoting."""
    quote = given.get("quotechar")
    if quote is None:
        quote = "'" if _is_single_quoted(lines) else '"'
    skip_space = given.get("skip_space")
    if skip_space is None:
        text = "".join(islice(lines, EXAMINED))
        tight, spaced = (len(re.findall(f"[,;\t|:^]{gap}{quote}", text)) for gap in ("", " +"))
        skip_space = bool(quote) and spaced > tight
    return quote, skip_space


def _is_single_quoted(lines: list[str]) -> bool:
    """Whether apostrophes are quotes: two cells of each line are in them, the header is, or only so rows are even."""
    single, double = (
        sum(len(pattern.findall(line)) for line in lines[:EXAMINED]) for pattern in (_SINGLE, _DOUBLE)
    )
    if not single or single <= double:
        return False
    count = min(len(lines), EXAMINED)
    is_header_quoted = bool(_SINGLE.search(next(filter(str.strip, lines), "")))
    if single >= 2 * max(count - 1, 1) or (is_header_quoted and single * 2 >= count):
        return True
    return _evenness(lines, "'") > _evenness(lines, '"')


def _evenness(lines: list[str], quote: str) -> float:
    records = read_records(lines, 0, choose_delimiter(lines, 0, quote, False).delimiter, quote, False)
    width, count = usual_width(records)
    return count / len(records) if width > 1 else 0.0


def _header(records: list[Record], given: dict[str, Any]) -> tuple[int, bool]:
    """Index of the header's record (of the first row, if there is none), and whether it is a header."""
    index = 0 if given.get("header_line") else first_of_table(records)
    if given.get("has_header") is not None:
        return index, bool(given["has_header"])
    return index, looks_like_header(records[index].cells)


def _newline(lines: list[str]) -> str:
    """CRLF, LF, CR, or mixed."""
    ends = {
        "CRLF": any(line.endswith("\r\n") for line in lines),
        "LF": any(line.endswith("\n") and not line.endswith("\r\n") for line in lines),
        "CR": any(line.endswith("\r") for line in lines),
    }
    used = [name for name, is_used in ends.items() if is_used]
    return used[0] if len(used) == 1 else "mixed" if used else "LF"


# --- What to look at ------------------------------------------------------------------------------------


def _table_doubts(
    records: list[Record],
    header: int,
    has_header: bool,
    delimiter: str,
    is_certain: bool,
    given: dict[str, Any],
) -> list[Doubt]:
    """Guesses about delimiter and header, for what staff did not choose."""
    cells = records[header].cells
    sample = [escape(cell) for cell in cells[:10]]
    doubts = []
    if "delimiter" not in given:
        if len(cells) == 1 and _may_be_parted(records):
            message = f"Only one column was found: “{sample[0]}”. If the file has more, choose the delimiter between them."
            doubts.append(Doubt("one_column", message, sample))
        elif not is_certain:
            name = DELIMITERS.get(delimiter, delimiter)
            message = (
                f"The delimiter is a guess: {name}. Look at the columns and confirm it or choose another."
            )
            doubts.append(Doubt("delimiter_guessed", message, sample))
    if not has_header and "has_header" not in given:
        message = (
            f"Line {records[header].line_no:,} looks like data, so the columns have no names. "
            "Say where each goes, or choose the header's line."
        )
        doubts.append(Doubt("no_header", message, sample))
    return doubts


def _may_be_parted(records: list[Record]) -> bool:
    """Whether the only cell of most records has something in it that may part cells."""
    parted = [bool(_PARTS.search(_ADDRESS.sub("", record.cells[0].strip()))) for record in records]
    return parted[0] and sum(parted) * 2 > len(parted)


def _letter_doubts(file: _Head, encoding: Encoding, delimiter: str, quote: str) -> list[Doubt]:
    """An encoding that was guessed, with the cells that show whether rightly; letters that were garbled before."""
    doubts = []
    if encoding.confidence == GUESSED:
        sample = doubtful_cells(map(escape, cells_with_letters(_all_lines(file, encoding), delimiter, quote)))
        message = (
            f"The encoding is a guess: {ENCODINGS[encoding.name]}. "
            "Look at the letters with accents and confirm it or choose another."
        )
        doubts.append(Doubt("encoding_guessed", message, sample))
    if pairs := encoded_twice(cells_with_letters(_all_lines(file, encoding), delimiter, quote)):
        cell, mended = pairs[0]
        message = (
            f"Letters were garbled before the file was written: “{escape(cell)}” is probably “{mended}”. "
            "Export the file again as UTF-8; this product cannot tell which cells are right."
        )
        doubts.append(Doubt("double_encoded", message, [escape(pair[0]) for pair in pairs]))
    return doubts


def _all_lines(file: _Head, encoding: Encoding) -> Iterator[str]:
    """Lines outside ASCII first of the file's start, then of the pieces further on."""
    yield from (line for line in file.lines if not line.isascii())
    for probe in file.probes:
        if not encoding.name.startswith("utf-16"):
            yield from probe.decode(encoding.name, errors=_errors(encoding.name)).splitlines()


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
