"""Generated ugly files: whatever is wrong with a file, each of its lines is a row, a problem, the header, above it, or refused."""

from __future__ import annotations

import io
import random

import pytest

from cdp.errors import Refused
from imports.files import FileRefused, Row, lines_above, read_rows, sniff
from tests.imports.files import planned

NAMES = ["Żaneta", "Ann", "O'Brien", "Łukasz", "Zoë", "李雷", "=1+1", "'=x", "-5", "Smith, Ann", "a;b", "x|y"]


class UglyFile:
    """``data``, and ``tokens``: a word of its own for each cell and title that a reader must not lose."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tokens: list[str] = []
        self.delimiter = self.random.choice(",;\t|,;:^")
        self.quote = self.random.choice('"""\'')
        self.newline = self.random.choice(["\n", "\r\n", "\r", "\n"])
        self.width = self.random.randint(1, 7)
        lines = [*self._preamble(), self._header(), *self._rows()]
        if self._maybe(0.15):
            lines += ["", self._header(), *self._rows()]
        if self._maybe(0.1):
            lines.append(self.delimiter.join(["Total", *["12"] * (self.width - 1)]))
        self.data = self._encoded(lines)
        # Not those cut off with a header's end, or cut in two by a stray character.
        text = "\n".join(lines)
        self.tokens = [token for token in self.tokens if token in text]

    def _maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def _token(self) -> str:
        self.tokens.append(f"t{len(self.tokens)}q")
        return self.tokens[-1]

    def _preamble(self) -> list[str]:
        lines = []
        for _ in range(self.random.choice([0, 0, 0, 1, 2, 5])):
            title = self._token()
            lines.append(
                self.random.choice(
                    [title, "", f"{title}{self.delimiter}2026", f"by {title}@x.pl", f'"{title}']
                )
            )
        return lines

    def _header(self) -> str:
        delimiter = self.random.choice([*[self.delimiter] * 8, " ", ";"])
        names = ["email", *(self._token() for _ in range(self.width - 1))]
        names = names[: self.random.choice([self.width] * 6 + [1])]
        return ('"' if self._maybe(0.05) else "") + delimiter.join(names)

    def _rows(self) -> list[str]:
        return [self._row() for _ in range(self.random.randint(1, 30))]

    def _row(self) -> str:
        width = self.random.choice([self.width] * 12 + [self.width + 1, max(self.width - 1, 1)])
        cells = [f"{self._token()}@x.pl", *(self._cell() for _ in range(width - 1))]
        line = self.delimiter.join(map(self._quoted, cells))
        if self._maybe(0.03):
            place = self.random.randrange(len(line) + 1)
            line = line[:place] + self.random.choice(['"', "'", "\x00"]) + line[place:]
        return line + ("" if not self._maybe(0.03) else self.newline)

    def _cell(self) -> str:
        return f"{self.random.choice(NAMES)} {self._token()}" if self._maybe(0.9) else ""

    def _quoted(self, cell: str) -> str:
        must = any(char in cell for char in (self.delimiter, self.quote, "\n"))
        if (must and not self._maybe(0.05)) or self._maybe(0.1):
            return self.quote + cell.replace(self.quote, self.quote * 2) + self.quote
        return cell

    def _encoded(self, lines: list[str]) -> bytes:
        encoding = self.random.choice(["utf-8"] * 5 + ["utf-8-sig", "utf-16", "cp1250", "cp1252"])
        pieces = [(line + self.newline).encode(encoding, "replace") for line in lines]
        if encoding == "utf-16":
            return (self.newline.join(lines) + self.newline).encode(encoding)
        if encoding == "utf-8-sig":
            bom = b"\xef\xbb\xbf"
            return bom * self.random.choice([1, 2]) + b"".join(piece.removeprefix(bom) for piece in pieces)
        if self._maybe(0.1):
            place = self.random.randrange(len(pieces))
            pieces[place] = lines[place].encode("cp1250", "replace") + self.newline.encode()
        return b"".join(pieces)


def account(file: UglyFile) -> str:
    """Where everything of the file went, as one text. Raises FileRefused."""
    stream = io.BytesIO(file.data)
    sniffed = sniff(stream)
    found = [text for _, text in lines_above(stream, sniffed.dialect)]
    found += sniffed.headers if sniffed.has_header else []
    reader = read_rows(stream, sniffed.dialect)
    line_nos = []
    for item in reader:
        line_nos.append(item.line_no)
        found += item.cells if isinstance(item, Row) else [reader.text_of(item)]
    assert line_nos == sorted(set(line_nos))
    assert len(sniffed.above) <= sniffed.dialect.header_line
    return "\n".join(found)


def check(seeds: range) -> None:
    refused = 0
    for seed in seeds:
        file = UglyFile(seed)
        try:
            text = account(file)
        except FileRefused as error:
            refused += error.message.endswith((".", "?"))
            continue
        lost = [token for token in file.tokens if token not in text]
        assert not lost, (seed, lost, file.data)
    assert refused < 0.6 * len(seeds), refused


def test_nothing_is_lost_without_a_word() -> None:
    check(range(100))


@pytest.mark.soak
def test_nothing_of_a_thousand_is_lost_without_a_word() -> None:
    check(range(100, 1_100))


@pytest.mark.django_db
def test_outcomes_add_up_to_the_lines_of_the_file() -> None:
    planned_by_kind = {True: 0, False: 0}  # with and without lines above the header
    for seed in range(200):
        file = UglyFile(seed)
        try:
            sniffed = sniff(io.BytesIO(file.data))
            if planned_by_kind[bool(sniffed.above)] == 6:
                continue
            mapping = {f"#{number}": "ignore" for number in range(2, len(sniffed.headers) + 1)}
            import_ = planned(file.data, mapping={"#1": "email", **mapping})
        except (FileRefused, Refused):
            continue
        if import_.state == "failed":
            assert import_.problem
            continue
        stream = io.BytesIO(file.data)
        above = sum(1 for _ in lines_above(stream, sniffed.dialect))
        reader = read_rows(stream, sniffed.dialect)
        rows = sum(1 for _ in reader)
        skipped = above + reader.blank_lines
        assert import_.counts["rows"] == skipped + rows
        assert sum(count for name, count in import_.counts.items() if name != "rows") == skipped + rows
        assert import_.counts.get("skipped", 0) == skipped
        planned_by_kind[bool(above)] += 1
    assert planned_by_kind == {True: 6, False: 6}
