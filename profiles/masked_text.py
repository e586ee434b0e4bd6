"""Text → the text without e-mail addresses, phone numbers and values in web addresses. Pure.

Runs in time that grows with the length of the text and nothing else: each character is read a fixed number of times.
Whoever holds a public key decides what stands in a text.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from profiles.sent_fields import SentClass, sent_class

DOTS = "•••"
# What is longer is shown up to here.
MAX_TEXT = 10_000

# Parts between which no e-mail address goes on. Runs of one class: nothing is tried twice.
_PIECE = re.compile(r"[^\s<>,;:/?&=#()\[\]{}|\\]+")
_AT = ("@", "%40", "%2540")
_EDGES = "\"'`.!*_~“”„‘’«»"
_DIGIT_RUN = re.compile(r"\+?[0-9][0-9\s().\-]*")
_LEADING = re.compile(r"\+?[0-9]+")
_DATE = re.compile(r"(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}")
_MIN_PHONE = 8
_PARAMETER = re.compile(r"(^|[?&;#])([^=&;#?\s]{1,100})=([^&;#\s]+)")


def mask_text(text: str, *, numbers: bool = True) -> str:
    """Free text without e-mail addresses and, with ``numbers``, without phone numbers.

    Of a web address the parameters keep their names. Names of people cannot be recognized. What is longer than
    ``MAX_TEXT`` is cut, and says so.
    """
    text, rest = _cut(text)
    if "=" in text:
        text = _PARAMETER.sub(_parameter, text)
    return _plain(text, numbers=numbers) + rest


def _cut(text: str) -> tuple[str, str]:
    if len(text) <= MAX_TEXT:
        return text, ""
    # Back to the last blank, so that no half of an address is left; a text without any is shown as dots.
    head = text[:MAX_TEXT].rpartition(" ")[0] or DOTS
    return head, f" … ({len(text) - MAX_TEXT:,} more characters)"


def _plain(text: str, *, numbers: bool) -> str:
    if any(sign in text for sign in _AT):
        text = _PIECE.sub(_piece, text)
    return _DIGIT_RUN.sub(_digits, text) if numbers else text


def _piece(match: re.Match[str]) -> str:
    piece = match[0]
    if not any(sign in piece for sign in _AT):
        return piece
    inner = piece.strip(_EDGES)
    local, _, domain = unquote(unquote(inner)).rpartition("@")
    if not local or not _is_domain(domain):
        return piece
    before, _, after = piece.partition(inner)
    return f"{before}{DOTS}{after}"


def _is_domain(text: str) -> bool:
    """With a dot and letters behind it: “foo@1.2” is a version."""
    name, _, ending = text.rpartition(".")
    return bool(name) and any(char.isalpha() for char in ending)


def _digits(match: re.Match[str]) -> str:
    """A run of digits and what is written between them; hidden when it is long enough to be a phone number."""
    run, text = match[0], match.string
    before = text[match.start() - 1] if match.start() else ""
    after = text[match.end()] if match.end() < len(text) else ""
    start, end = 0, len(run)
    if before and (before.isalnum() or before in "_.") and (leading := _LEADING.match(run)):
        start = leading.end()  # the end of a word such as “v2”
    if after and (after.isalnum() or after == "_"):
        end = len(run.rstrip("0123456789"))
    core = run[start:end].strip(" \t\n\r\f\v\u00a0\u202f().-")
    count = sum(char.isdigit() for char in core)
    if len(core) < _MIN_PHONE or count < _MIN_PHONE - 1 or _DATE.match(core):
        return run
    head, _, tail = run[start:].partition(core)
    return f"{run[:start]}{head}{DOTS}{tail}"


def _parameter(match: re.Match[str]) -> str:
    separator, name, value = match.groups()
    plain = unquote(unquote(value.replace("+", " ")))
    if (
        sent_class(name) in (SentClass.IDENTIFYING, SentClass.FREE_TEXT)
        or _plain(plain, numbers=True) != plain
    ):
        value = DOTS
    return f"{separator}{name}={value}"
