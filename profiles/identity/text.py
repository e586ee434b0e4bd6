"""Text as somebody sent it → text as it is stored, or ``BadValue``, which every cleaner here raises. Pure."""

import re
import unicodedata
from typing import NoReturn

MAX_TEXT = 10_000  # characters of a custom text; the default attributes are as wide as their columns

# Characters nobody sees: control characters but for tab and line breaks, zero-width spaces and joiners, direction
# marks, soft hyphen, byte order mark, fillers, tag characters.
_HIDDEN_CLASS = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f"
)
_HIDDEN = re.compile(f"[{_HIDDEN_CLASS}]")
# Persian and Indic names are spelled with joiners, and emoji are put together with them.
_JOINED = "[\u0600-\u109f\u1780-\u1aff\u2190-\u2bff\ufe0f\U00010000-\U000dffff]"
_HIDDEN_IN_NAMES = re.compile(
    f"(?<!{_JOINED})[\u200c\u200d]|[\u200c\u200d](?!{_JOINED})|(?![\u200c\u200d])[{_HIDDEN_CLASS}]"
)

# What PostgreSQL text cannot hold: NUL, and surrogates that pair with nothing (no UTF-8 exists for them).
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\t\n\r\ud800-\udfff]")


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


def name_text(raw: str, limit: int = MAX_TEXT) -> str:
    """A person's name: like `text`, without characters nobody sees."""
    return text(raw if raw.isprintable() else _HIDDEN_IN_NAMES.sub("", raw), limit)


def one_line(raw: str, limit: int = 255) -> str:
    """Identifier text: like `text`, on one line, without characters nobody sees."""
    value = raw.strip()
    if not value.isprintable():
        value = without_hidden(value).strip()
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
    if bad := _CONTROL.search(value):
        refuse_character(bad.group())
    if len(value) > limit:
        raise BadValue(f"Longer than {limit:,} characters (this one has {len(value):,}). Shorten it.")
    return value


def without_hidden(value: str) -> str:
    """Without control characters (but tabs and line breaks), zero-width ones and marks of direction."""
    return value if value.isprintable() else _HIDDEN.sub("", value)


def hidden_removed(raw: str, cleaned: str) -> str:
    """The sentence that names the characters nobody sees which `raw` had and `cleaned` has not; "" for none."""
    if raw.isprintable():
        return ""
    codes = dict.fromkeys(f"U+{ord(char):04X}" for char in _HIDDEN.findall(raw) if char not in cleaned)
    if not codes:
        return ""
    characters = "A character" if len(codes) == 1 else "Characters"
    was = "was" if len(codes) == 1 else "were"
    return f"{characters} that nobody sees {was} removed: {', '.join(codes)}."


def visible(value: str) -> str:
    """Text for a page: characters nobody sees are written out, as `[U+202E]`."""
    if value.isprintable():
        return value
    return _HIDDEN_IN_NAMES.sub(lambda match: f"[U+{ord(match.group()):04X}]", value)


def refuse_character(char: str) -> NoReturn:
    if "\ud800" <= char <= "\udfff":
        raise BadValue(f"The value has half of a broken character (U+{ord(char):04X}). Remove it.")
    raise BadValue(f"The value has a control character (U+{ord(char):04X}). Remove it.")


def fold(value: str) -> str:
    """The text for comparing what people type: accents, case, punctuation and spaces do not count."""
    plain = unicodedata.normalize("NFKD", value).casefold()
    return "".join(char for char in plain if char.isalnum())
