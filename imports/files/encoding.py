"""Pieces of a file → its encoding: marked by a BOM, proved as UTF-8, or guessed and reported as a guess."""

import re
from typing import NamedTuple

from charset_normalizer import from_bytes

from imports.files.dialect import ENCODINGS

CERTAIN, LIKELY, GUESSED = "certain", "likely", "guessed"

_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(rb"[\x80-\xff]")
_GUESS_FROM = 32 * 1024  # charset-normalizer takes about 1 ms per KB
# The names charset-normalizer has for the encodings staff can choose; the first of equals wins.
_LEGACY = ["cp1252", "cp1250", "latin_1", "iso8859_2", "cp1251", "koi8_r", "cp1253", "cp1254"]
_LEGACY += ["cp932", "euc_jp", "gb18030", "big5", "cp949"]
_WESTERN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜŒŸßàáâãäåæçèéêëìíîïñòóôõöøùúûüœÿ€–—‘’“”„…«»°·©®ªº¡¿\u00a0")
_OURS = {"latin_1": "latin-1", "iso8859_2": "iso8859-2", "koi8_r": "koi8-r", "euc_jp": "euc-jp"}


class Encoding(NamedTuple):
    """`candidates` are worth showing beside it, best first; `bad` is the first byte that is not UTF-8."""

    name: str
    confidence: str
    candidates: tuple[str, ...]
    bom: bytes = b""
    bad: int | None = None


def detect(head: bytes, probes: list[bytes]) -> Encoding:
    """`head` is the start of the file, `probes` are pieces further on, both cut at line breaks."""
    if head.startswith(b"\xef\xbb\xbf"):
        return Encoding("utf-8", CERTAIN, ("utf-8",), head[:3])
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        name = "utf-16-le" if head[0] == 0xFF else "utf-16-be"
        return Encoding(name, CERTAIN, (name,), head[:2])
    if name := _utf16_without_mark(head):
        return Encoding(name, GUESSED, (name, "utf-8"))
    pieces = [head, *probes]
    bad = [_first_bad(piece) for piece in pieces]
    if all(position is None for position in bad):
        is_proved = any(not piece.isascii() for piece in pieces)
        return Encoding("utf-8", CERTAIN if is_proved else LIKELY, ("utf-8",))
    sample = b"".join(pieces)
    good = sum(len(match) for match in _MULTIBYTE.findall(sample))
    if good * 2 > len(_HIGH.findall(sample)):
        # Mostly UTF-8, with lines pasted in from another file. Any other encoding would garble the good ones.
        return Encoding("utf-8", GUESSED, ("utf-8", "cp1252"), bad=bad[0])
    names = _guess(sample)
    return Encoding(names[0], GUESSED, names, bad=bad[0])


def _first_bad(piece: bytes) -> int | None:
    try:
        piece.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _utf16_without_mark(head: bytes) -> str:
    """Latin text in UTF-16 has a zero in nearly every other byte."""
    even, odd = head[0:4096:2], head[1:4096:2]
    if len(odd) > 1 and odd.count(0) > 0.7 * len(odd) and even.count(0) < 0.1 * len(even):
        return "utf-16-le"
    if len(even) > 1 and even.count(0) > 0.7 * len(even) and odd.count(0) < 0.1 * len(odd):
        return "utf-16-be"
    return ""


def _guess(sample: bytes) -> tuple[str, ...]:
    lines = (line for line in sample.splitlines(keepends=True) if not line.isascii())
    non_ascii = b""
    for line in lines:
        non_ascii += line[:2048]
        if len(non_ascii) > _GUESS_FROM:
            break
    matches = from_bytes(non_ascii, cp_isolation=_LEGACY, threshold=0.5, preemptive_behaviour=False)
    names = [_OURS.get(match.encoding, match.encoding) for match in matches]
    readable = [name for name in ENCODINGS if not name.startswith("utf") and _reads(name, sample)]
    ranked = [name for name in dict.fromkeys(names) if name in readable]
    if _looks_western(non_ascii):
        ranked.insert(0, "cp1252")
    return tuple(dict.fromkeys([*ranked, *readable]))[:4] or ("latin-1",)


def _reads(name: str, sample: bytes) -> bool:
    try:
        sample.decode(name)
    except UnicodeDecodeError as error:
        return len(sample) - error.start < 4  # the sample may end inside a character
    return True


def _looks_western(non_ascii: bytes) -> bool:
    """Accents of Western Europe, single among plain letters; charset-normalizer mixes them up with others."""
    runs = re.findall(rb"[\x80-\xff]+", non_ascii)
    alone = sum(len(run) == 1 for run in runs)
    return alone * 2 > len(runs) and all(
        char in _WESTERN for char in b"".join(runs).decode("cp1252", "replace")
    )
