"""Text as somebody sent it → text as it is stored, or ``BadValue``, which every cleaner here raises. Pure."""

import re
import unicodedata
from typing import NoReturn

MAX_TEXT = 10_000  # characters of a custom text; the default attributes are as wide as their columns

# Characters nobody sees: zero-width spaces and joiners, direction marks, soft hyphen, byte order mark.
INVISIBLE = dict.fromkeys(
    [0x00AD, 0x061C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF]
)
_INVISIBLE_CHARS = "".join(map(chr, INVISIBLE))

# What PostgreSQL text cannot hold: NUL, and surrogates that pair with nothing (no UTF-8 exists for them).
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class BadValue(ValueError):
    """A value that cannot be accepted. `message` is a sentence for the person who wrote the value."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def text(raw: str, limit: int = MAX_TEXT) -> str:
    """Trimmed, NFC, line breaks as `\\n`; the rest as it came: markup, formulas, emoji, terminal codes.

    Showing such text harmlessly is the work of the page or file that shows it; changing it here would
    lose what somebody wrote. Raises `BadValue` for what PostgreSQL cannot store and above `limit` characters.
    """
    value = raw.strip()
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
        if bad := _UNSTORABLE.search(value):
            refuse_character(bad.group())
    elif "\x00" in value:
        refuse_character("\x00")
    if "\r" in value:
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    if len(value) > limit:
        raise BadValue(f"Longer than {limit:,} characters (this one has {len(value):,}). Shorten it.")
    return value


def one_line(raw: str, limit: int = 255) -> str:
    """Identifier text: like `text`, on one line, without control characters and invisible ones around it."""
    value = raw.strip()
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
        # A space may hide behind a zero-width character and the other way round.
        while value != (value := value.strip(_INVISIBLE_CHARS).strip()):
            pass
    if bad := _CONTROL.search(value):
        refuse_character(bad.group())
    if len(value) > limit:
        raise BadValue(f"Longer than {limit:,} characters (this one has {len(value):,}). Shorten it.")
    return value


def refuse_character(char: str) -> NoReturn:
    if "\ud800" <= char <= "\udfff":
        raise BadValue(f"The value has half of a broken character (U+{ord(char):04X}). Remove it.")
    raise BadValue(f"The value has a control character (U+{ord(char):04X}). Remove it.")


def fold(value: str) -> str:
    """The text for comparing what people type: accents, case, punctuation and spaces do not count."""
    plain = unicodedata.normalize("NFKD", value).casefold()
    return "".join(char for char in plain if char.isalnum())
