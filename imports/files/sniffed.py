"""What looking at a file found out: its dialect, headers, first rows, and what is doubtful about them."""

from dataclasses import dataclass

from imports.files.dialect import CSV, Dialect, Doubt

SAMPLE_ROWS = 20


@dataclass(frozen=True, slots=True)
class Sniffed:
    """The detected dialect, for a page where staff can correct it; `dialect` goes on to `read_rows`.

    `above` are the first lines above the header, numbered. `doubts` are guesses that staff should confirm before
    anything is applied; `problems` is what to look at besides. `is_own`: this product wrote the file; `is_export`: as
    an export of people.
    """

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
    above: list[tuple[int, str]]
    doubts: list[Doubt]
    is_own: bool = False
    is_export: bool = False
    is_guarded: bool = True
    format: str = CSV
    keys: tuple[str, ...] = ()

    @property
    def dialect(self) -> Dialect:
        return Dialect(
            encoding=self.encoding,
            delimiter=self.delimiter,
            quotechar=self.quotechar,
            skip_space=self.skip_space,
            header_line=self.header_line,
            has_header=self.has_header,
            is_guarded=self.is_guarded,
            format=self.format,
            keys=self.keys,
        )
