"""The types of this package: how a file is written (Dialect), its rows, their problems, its limits."""

from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple, Self

MAX_COLUMNS = 500
MAX_CELL = 131_072  # characters; the limit of Python's csv, and far above any real cell
MAX_LINE = 16 * 1024 * 1024  # bytes without a line break; so much memory a single line may take
MAX_QUOTED_LINES = 20  # lines of a quoted cell before a missing quote is the likelier reason

CSV, JSON_LINES = "csv", "jsonl"
FORMATS = {CSV: "CSV", JSON_LINES: "JSON Lines"}

USUAL_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
# Characters that text has as well: taken for the delimiter only where they make a table and no usual one does.
RARE_DELIMITERS = {":": "colon", "^": "caret", "~": "tilde", " ": "space"}
DELIMITERS = {**USUAL_DELIMITERS, **RARE_DELIMITERS}

# Encodings staff can choose. In each of them a line break is the same bytes wherever it stands,
# which is what cutting the stream at line breaks rests on.
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "cp1252": "Windows-1252 (Western Europe)",
    "latin-1": "ISO 8859-1 (Latin-1)",
    "cp1250": "Windows-1250 (Central Europe)",
    "iso8859-2": "ISO 8859-2 (Latin-2)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "koi8-r": "KOI8-R (Cyrillic)",
    "cp1253": "Windows-1253 (Greek)",
    "cp1254": "Windows-1254 (Turkish)",
    "cp932": "Shift-JIS (Japanese)",
    "euc-jp": "EUC-JP (Japanese)",
    "gb18030": "GB 18030 (Chinese)",
    "big5": "Big5 (Chinese)",
    "cp949": "Windows-949 (Korean)",
    "cp852": "DOS 852 (Central Europe)",
    "cp850": "DOS 850 (Western Europe)",
    "mac-roman": "Mac Roman (Western Europe)",
    "mac-latin2": "Mac Central Europe",
}

# What a file of rejected rows has before the columns of the file they are from.
REJECTED_COLUMNS = ("rejected_line", "rejected_column", "rejected_because")


class FileRefused(Exception):
    """The file cannot be read as rows; nothing of it may be written. `message` says why and what to do."""

    def __init__(self, message: str, *, line_no: int | None = None, offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line_no = line_no
        self.offset = offset


class Doubt(NamedTuple):
    """A guess about the file that may be wrong. `code` is for programs, `sample` has cells that show it."""

    code: str
    message: str
    sample: list[str]


class Row(NamedTuple):
    """A record as wide as the header. `line_no` is the line it starts on, from 1, as a text editor counts."""

    line_no: int
    cells: list[str]


class RowProblem(NamedTuple):
    """What is wrong with a row. `column` is the header's name, None when it is the row as a whole.

    `value` is short and safe to store and show; `cells` are the row's cells as far as they can be stored, for
    the file of rejected rows.
    """

    line_no: int
    column: str | None
    value: str
    message: str
    cells: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the file is written. JSON through `as_json` / `from_json`; staff can correct every field."""

    encoding: str = "utf-8"
    delimiter: str = ","
    quotechar: str = '"'  # "" = the file does not quote
    skip_space: bool = False  # a space after the delimiter is not part of the cell
    header_line: int = 1  # physical line where the header, or without one the first row, starts
    has_header: bool = True
    max_quoted_lines: int = MAX_QUOTED_LINES
    # Whether an apostrophe before a formula is the guard that exports put there, and no part of the cell.
    is_guarded: bool = True
    format: str = CSV
    keys: tuple[str, ...] = ()  # the columns of JSON Lines, which have no header

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ValueError(f"The encoding must be one of {', '.join(ENCODINGS)}.")
        if len(self.delimiter) != 1 or self.delimiter in '\r\n"' or self.delimiter == self.quotechar:
            raise ValueError("The delimiter must be one character, such as a comma, a semicolon or a tab.")
        if self.quotechar not in ('"', "'", ""):
            raise ValueError("The quote must be \", ' or nothing.")
        if self.header_line < 1:
            raise ValueError("The header line is counted from 1.")
        if self.max_quoted_lines < 1:
            raise ValueError("A quoted cell has at least 1 line.")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Unknown keys are ignored: a stored dialect may be older or newer than this class."""
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        return cls(**{**values, "keys": tuple(values.get("keys", ()))})


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A position between two records, where a new reader goes on. JSON through `as_json` / `from_json`."""

    offset: int  # bytes from the start of the file
    line_no: int  # physical line the next record starts on
    blank_lines: int = 0

    def as_json(self) -> dict[str, int]:
        """As jobs store it."""
        return {"offset": self.offset, "line": self.line_no, "blank_lines": self.blank_lines}

    @classmethod
    def from_json(cls, data: dict[str, int]) -> Self:
        return cls(data["offset"], data["line"], data["blank_lines"])


def shorten(value: str, limit: int = 200) -> str:
    """A value for a problem list: storable (odd characters written out as `\\x00`) and short."""
    return escape(value if len(value) <= limit else value[: limit - 1] + "…")


def escape(value: str) -> str:
    """NUL and undecodable bytes written out, the rest untouched. Undecoded byte 0x81 arrives as U+DC81."""
    if "\x00" not in value and (value.isascii() or not _has_surrogate(value)):
        return value
    return "".join(
        f"\\x{ord(char) & 0xFF:02x}" if char == "\x00" or "\ud800" <= char <= "\udfff" else char
        for char in value
    )


def _has_surrogate(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False
