"""The first bytes of a file → refused when they are no text of rows; else the encoding: marked, proved or guessed."""

import re
from typing import NamedTuple

from charset_normalizer import from_bytes

from imports.files.dialect import ENCODINGS, FileRefused

# --- Other formats ------------------------------------------------------------------------------------

_SAVE = "Save it as CSV UTF-8 and upload that."
_UNPACK = "Unpack it and upload the CSV file inside."
_NOT_CSV = "Upload a CSV file."

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        f"This is an Excel workbook (.xls or protected), not a CSV file. {_SAVE}",
    ),
    (b"\x1f\x8b", f"This is a gzip archive (.gz), not a CSV file. {_UNPACK}"),
    (b"\xfd7zXZ\x00", f"This is an xz archive (.xz), not a CSV file. {_UNPACK}"),
    (b"7z\xbc\xaf\x27\x1c", f"This is a 7-Zip archive (.7z), not a CSV file. {_UNPACK}"),
    (b"Rar!\x1a\x07", f"This is a RAR archive (.rar), not a CSV file. {_UNPACK}"),
    (b"\x28\xb5\x2f\xfd", f"This is a Zstandard archive (.zst), not a CSV file. {_UNPACK}"),
    (b"%PDF-", f"This is a PDF document, not a CSV file. {_NOT_CSV}"),
    (b"\x89PNG\r\n", f"This is a PNG image, not a CSV file. {_NOT_CSV}"),
    (b"\xff\xd8\xff", f"This is a JPEG image, not a CSV file. {_NOT_CSV}"),
    (b"GIF8", f"This is a GIF image, not a CSV file. {_NOT_CSV}"),
    (b"\x7fELF", f"This is a program, not a CSV file. {_NOT_CSV}"),
    (b"SQLite format 3\x00", f"This is an SQLite database, not a CSV file. {_NOT_CSV}"),
    (b"PAR1", f"This is a Parquet file, not a CSV file. {_SAVE}"),
    (b"{\\rtf", f"This is an RTF document, not a CSV file. {_SAVE}"),
    (b"\x00\x00\xfe\xff", f"This file is written in UTF-32. {_SAVE}"),
    (b"\xff\xfe\x00\x00", f"This file is written in UTF-32. {_SAVE}"),
)
_BZIP2 = re.compile(rb"BZh[1-9]1AY&SY")
_MARKUP = re.compile(rb"\s*<(?:!doctype html|html|head|body|\?xml|table)\b", re.IGNORECASE)
_JSON = re.compile(
    rb'\s*(?:\{\s*(?:"[^"]{1,100}"\s*:|\})|\[\s*(?:[{\[\]]|"[^"]{0,100}"\s*[,\]]|-?[0-9]+\s*[,\]]))'
)
# Bytes that text in none of our encodings has many of. Tab, line feed, form feed, carriage return, escape do occur.
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def refuse_other_formats(head: bytes) -> None:
    """Raises `FileRefused` with what the file is and what to do instead; `head` is its first 4 KB or more."""
    for magic, sentence in _MAGIC:
        if head.startswith(magic):
            raise FileRefused(sentence)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        raise FileRefused(_zip_sentence(head))
    if _BZIP2.match(head):
        raise FileRefused(f"This is a bzip2 archive (.bz2), not a CSV file. {_UNPACK}")
    if head.startswith(b"MZ") and b"\x00" in head[:64]:
        raise FileRefused(f"This is a program, not a CSV file. {_NOT_CSV}")
    text = head.removeprefix(b"\xef\xbb\xbf")
    if _MARKUP.match(text):
        what = "an XML document" if text.lstrip().startswith(b"<?") else "a web page (HTML)"
        raise FileRefused(f"This is {what}, not a CSV file. {_SAVE}")
    if _JSON.match(text):
        raise FileRefused(
            "This is JSON, but not JSON Lines. Write one object per line, without commas between them, or save it as CSV UTF-8."
        )


def _zip_sentence(head: bytes) -> str:
    """Office documents are ZIP archives; their first entries show which."""
    if b"xl/" in head or (b"[Content_Types].xml" in head and b"word/" not in head and b"ppt/" not in head):
        return f"This is an Excel workbook (.xlsx), not a CSV file. {_SAVE}"
    if b"opendocument.spreadsheet" in head:
        return f"This is an OpenDocument spreadsheet (.ods), not a CSV file. {_SAVE}"
    if b"word/" in head or b"opendocument.text" in head:
        return f"This is a text document, not a CSV file. {_NOT_CSV}"
    return f"This is a ZIP archive, not a CSV file. {_UNPACK}"


def refuse_binary(head: bytes) -> None:
    """Anything else that is not text. A NUL here and there is a fault of a row, not of the file."""
    controls = _BINARY.findall(head)
    # Text may have one odd character again and again; many different ones are bytes of something else.
    is_mixed = len(set(controls)) > 5 and len(controls) > len(head) * 0.02
    if is_mixed or len(controls) > len(head) * 0.3:
        raise FileRefused(f"This is not a text file. {_NOT_CSV}")


# --- Encoding -----------------------------------------------------------------------------------------

CERTAIN, LIKELY, GUESSED = "certain", "likely", "guessed"

_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(rb"[\x80-\xff]")
_WORD, _ASCII_LETTER = re.compile(r"[^\W\d_]+"), re.compile("[A-Za-z]")
_OTHER_ALPHABET = re.compile("[\u0370-\u052f]")
_GUESS_FROM = 32 * 1024  # charset-normalizer takes about 1 ms per KB
# The names charset-normalizer has for the encodings staff can choose; the first of equals wins.
_LEGACY = ["cp1252", "cp1250", "latin_1", "iso8859_2", "cp1251", "koi8_r", "cp1253", "cp1254"]
_LEGACY += ["cp932", "euc_jp", "gb18030", "big5", "cp949", "cp852", "cp850", "mac_roman", "mac_latin2"]
_WESTERN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜŒŸßàáâãäåæçèéêëìíîïñòóôõöøùúûüœÿ€–—‘’“”„…«»°·©®ªº¡¿\u00a0")
_OURS = {"latin_1": "latin-1", "iso8859_2": "iso8859-2", "koi8_r": "koi8-r", "euc_jp": "euc-jp"}
_OURS |= {"mac_roman": "mac-roman", "mac_latin2": "mac-latin2"}


class Encoding(NamedTuple):
    """`candidates` are worth showing beside it, best first; `bad` is the first byte that is not UTF-8."""

    name: str
    confidence: str
    candidates: tuple[str, ...]
    bom: bytes = b""
    bad: int | None = None


def detect_encoding(head: bytes, probes: list[bytes]) -> Encoding:
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
    ranked.sort(key=lambda name: _mixes_alphabets(non_ascii.decode(name, "replace")))
    if _looks_western(non_ascii):
        ranked.insert(0, "cp1252")
    return tuple(dict.fromkeys([*ranked, *readable]))[:4] or ("latin-1",)


def _reads(name: str, sample: bytes) -> bool:
    try:
        sample.decode(name)
    except UnicodeDecodeError as error:
        return len(sample) - error.start < 4  # the sample may end inside a character
    return True


def _mixes_alphabets(text: str) -> bool:
    """Whether many words outside ASCII have Latin letters beside others, which no language writes."""
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    mixed = sum(bool(_OTHER_ALPHABET.search(word) and _ASCII_LETTER.search(word)) for word in words)
    return mixed * 3 > len(words)


def _looks_western(non_ascii: bytes) -> bool:
    """Accents of Western Europe, single among plain letters; charset-normalizer mixes them up with others."""
    runs = re.findall(rb"[\x80-\xff]+", non_ascii)
    alone = sum(len(run) == 1 for run in runs)
    return alone * 2 > len(runs) and all(
        char in _WESTERN for char in b"".join(runs).decode("cp1252", "replace")
    )
