"""The first bytes of a file → refused when they are no text of rows, whatever its name is."""

import re

from imports.files.dialect import FileRefused

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
        raise FileRefused(f"This is JSON, not a CSV file. {_SAVE}")


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
    if len(_BINARY.findall(head)) > len(head) * 0.3:
        raise FileRefused(f"This is not a text file. {_NOT_CSV}")
