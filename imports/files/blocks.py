"""A stream of bytes → blocks of whole lines that know their lines' positions in the file."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from imports.files.dialect import ENCODINGS, MAX_LINE, Dialect, FileRefused, escape

BLOCK = 512 * 1024

_BOMS = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
_BREAK = re.compile(rb"\r\n|\r|\n")


def mark_length(data: bytes, encoding: str) -> int:
    """How many bytes of byte order marks the file begins with; some programs put one before another's."""
    bom, length = _BOMS.get(encoding, b""), 0
    while bom and data.startswith(bom, length):
        length += len(bom)
    return length


@dataclass(slots=True)
class Block:
    """Whole physical lines, each with its line break. `first_line_no` is the number of the first."""

    data: bytes
    encoding: str
    offset: int
    first_line_no: int
    is_last: bool
    text: str = ""
    lines: list[str] = field(default_factory=list)
    is_damaged: bool = False
    _offsets: list[int] | None = None

    def __post_init__(self) -> None:
        try:
            self.text = self.data.decode(self.encoding)
        except UnicodeDecodeError as error:
            if self.encoding != "utf-8":
                raise self._undecodable(error) from error
            # The other rows of a UTF-8 file stay readable: a bad byte arrives as U+DC80 and up, its row is
            # rejected. In any other encoding a bad byte means that the encoding is not the file's.
            self.text = self.data.decode("utf-8", errors="surrogateescape")
            self.is_damaged = True
        self.lines = list(io.StringIO(self.text, newline=""))

    def byte_offset(self, index: int) -> int:
        """Where line `index` (0-based; one past the last allowed) starts in the file. Costs a pass, once."""
        if index >= len(self.lines):
            return self.offset + len(self.data)
        if self._offsets is None:
            self._offsets = self._measure()
        return self.offset + self._offsets[index]

    def _measure(self) -> list[int]:
        if self.encoding.startswith("utf-16"):
            offsets, total = [], 0
            for line in self.lines:
                offsets.append(total)
                total += len(line.encode(self.encoding))
            return offsets
        return [0, *(match.end() for match in _BREAK.finditer(self.data))]

    def first_bad_byte(self, start: int, end: int) -> tuple[int, int]:
        """(byte, offset in the file) of the first that is not UTF-8 in lines start … end."""
        first = self.byte_offset(start)
        data = self.data[first - self.offset : self.byte_offset(end) - self.offset]
        try:
            data.decode(self.encoding)
        except UnicodeDecodeError as error:
            return data[error.start], first + error.start
        raise AssertionError("asked for the bad byte of clean lines")

    def _undecodable(self, error: UnicodeDecodeError) -> FileRefused:
        offset = self.offset + error.start
        before = self.data[: error.start].decode(self.encoding, errors="ignore")
        line_no = self.first_line_no + len(re.findall("\r\n|\r|\n", before))
        return FileRefused(
            f"The byte 0x{self.data[error.start]:02X} at offset {offset:,} (line {line_no:,}) cannot be read as "
            f"{ENCODINGS[self.encoding]}. Choose another encoding, or save the file as UTF-8.",
            line_no=line_no,
            offset=offset,
        )


class BlockReader:
    """Yields blocks; after each the caller reports how many of its lines are done, the rest comes again."""

    def __init__(self, stream: BinaryIO, encoding: str, offset: int, line_no: int) -> None:
        self._stream = stream
        self._encoding = encoding
        self._buffer = b""
        self.offset = offset
        self.line_no = line_no

    def skip_bom(self) -> None:
        """Only at the start of a file."""
        self._buffer = self._stream.read(BLOCK)
        length = mark_length(self._buffer, self._encoding)
        self._buffer = self._buffer[length:]
        self.offset += length

    def done(self, block: Block, lines: int) -> None:
        """The first `lines` lines of the block need not come again."""
        used = block.byte_offset(lines) - block.offset
        self._buffer = self._buffer[used:]
        self.offset += used
        self.line_no += lines

    def __iter__(self) -> Iterator[Block]:
        is_last = False
        while not is_last:
            data = self._stream.read(BLOCK)
            is_last = not data
            self._buffer += data
            cut = len(self._buffer) if is_last else self._last_break()
            if cut:
                yield Block(self._buffer[:cut], self._encoding, self.offset, self.line_no, is_last)
            if len(self._buffer) > MAX_LINE + BLOCK and not is_last:
                raise FileRefused(
                    f"Line {self.line_no:,} is longer than {MAX_LINE // 1024 // 1024} MB. Is this a CSV file?",
                    line_no=self.line_no,
                    offset=self.offset,
                )

    def _last_break(self) -> int:
        """Length up to the last line break that is surely whole: a CR at the very end may be half of one."""
        if not self._encoding.startswith("utf-16"):
            return max(self._buffer.rfind(b"\n"), self._buffer.rfind(b"\r", 0, -1)) + 1
        line_feed, carriage_return = "\n".encode(self._encoding), "\r".encode(self._encoding)
        whole = len(self._buffer) // 2 * 2
        last = max(
            _aligned(self._buffer, line_feed, whole), _aligned(self._buffer, carriage_return, whole - 2)
        )
        return last + 2 if last >= 0 else 0


def _aligned(data: bytes, unit: bytes, end: int) -> int:
    """Like rfind, for a two-byte unit at an even position."""
    while (position := data.rfind(unit, 0, max(end, 0))) >= 0 and position % 2:
        end = position + 1
    return position


def lines_above(source: BinaryIO, dialect: Dialect) -> Iterator[tuple[int, str]]:
    """(number, text) of the lines above the header that are not blank. Decoding faults are written out."""
    source.seek(0)
    blocks = BlockReader(source, dialect.encoding, 0, 1)
    blocks.skip_bom()
    for block in blocks:
        for number, line in enumerate(block.lines, block.first_line_no):
            if number >= dialect.header_line:
                return
            if line.strip():
                yield number, escape(line.strip())
        blocks.done(block, len(block.lines))
