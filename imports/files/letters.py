"""Cells of a file with letters outside ASCII → whether they were written in the encoding they are read in."""

import re
from collections.abc import Iterable, Iterator

SAMPLE = 10
_LENGTH = 80
_LINES = 5_000

# What UTF-8 is usually read as by mistake, each with the letters that then come out of it. More letters would take
# words in capitals for such a mistake: "PÓŁNOC" in Windows-1250 is UTF-8 of a rare Cyrillic letter.
_LATIN = "\u00a0-\u017f\u2010-\u203a\u20ac\u2122"
_READ_AS = {
    "cp1252": re.compile(f"[{_LATIN}\u0391-\u03ce\u0401\u0410-\u044f\u0451]"),
    "cp1250": re.compile(f"[{_LATIN}]"),
    "mac-roman": re.compile(f"[{_LATIN}]"),
}
_RUN = re.compile(r"[^\x00-\x7f]+")


def cells_with_letters(lines: Iterable[str], delimiter: str, quote: str) -> Iterator[str]:
    """The cells that are not ASCII, roughly cut: quotes around them are taken off."""
    for number, line in enumerate(lines):
        if number > _LINES:
            return
        if not line.isascii():
            for cell in line.split(delimiter):
                if not cell.isascii():
                    yield cell.strip().strip(quote or None)[:_LENGTH]


def doubtful_cells(cells: Iterable[str]) -> list[str]:
    """Some different ones, to look at."""
    sample: dict[str, None] = {}
    for cell in cells:
        sample[cell] = None
        if len(sample) == SAMPLE:
            break
    return list(sample)


def encoded_twice(cells: Iterable[str]) -> list[tuple[str, str]]:
    """Some (cell, what it probably was) of those that are UTF-8 read as something else and written again."""
    mended: dict[str, str] = {}
    for cell in cells:
        if (text := mend(cell)) != cell:
            mended[cell] = text
            if len(mended) == SAMPLE:
                break
    return list(mended.items())


def mend(cell: str) -> str:
    """`Å»aneta` → `Żaneta`; a text that was not encoded twice is returned as it is."""
    for encoding, letters in _READ_AS.items():
        runs = _RUN.findall(cell)
        decoded = [_decode(run, encoding) for run in runs]
        if runs and all(text is not None and all(map(letters.match, text)) for text in decoded):
            pieces = iter(decoded)
            return _RUN.sub(lambda _: next(pieces) or "", cell)  # noqa: B023
    return cell


def _decode(run: str, encoding: str) -> str | None:
    data = bytearray()
    for char in run:
        try:
            data += char.encode(encoding)
        except UnicodeEncodeError:
            # Bytes that the code page leaves open arrive as control characters.
            if not "\x80" <= char <= "\x9f":
                return None
            data.append(ord(char))
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
