"""Attribute values as sent → their normal forms. Nothing is coerced silently: taken as written, or refused. Pure."""

import csv
import re
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal

from profiles.identity.text import MAX_TEXT, BadValue, one_line, text

_DATE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]00:00(?::00(?:\.0{1,9})?)?(?: ?(?:Z|z|UTC|[+-]00:?00))?)?", re.ASCII
)
_DATETIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?) ?(Z|z|UTC|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_NOT_A_DATE = "Not a date. Write YYYY-MM-DD, for example 1990-02-28."
_A_MOMENT = (
    "This is a moment, not a date: which day it was depends on the place. "
    "Write YYYY-MM-DD, or midnight UTC, for example 1990-02-28T00:00:00Z."
)
_NOT_A_DATETIME = "Not a date and time. Write it like 2026-03-01T14:30:00Z."
_NOT_PLAIN = "Not a plain number"
_MAX_DIGITS = 15  # a JSON number keeps 15 significant digits in every program that reads it

_YES_NO = {"true": "true", "yes": "true", "1": "true", "false": "false", "no": "false", "0": "false"}

MAX_TAG = 60
MAX_ITEM = 1_000
MAX_ITEMS = 100
MAX_GENDER = 50


def date_only(raw: str) -> str:
    """`YYYY-MM-DD`. Midnight without a zone or in UTC, as databases and browsers write dates, is the date beside it.

    Any other moment is refused: 23:00 in UTC is the next day in most of Europe, and nobody can tell what was meant.
    """
    match = _DATE.fullmatch(raw) or _DATE.fullmatch(raw.strip())
    if not match:
        raise BadValue(_A_MOMENT if _DATETIME.fullmatch(raw.strip()) else _NOT_A_DATE)
    try:
        date.fromisoformat(match[1])
    except ValueError:
        raise BadValue(_NOT_A_DATE) from None
    return match[1]


def birth_date(raw: str) -> str:
    """A `date_only` of somebody who may be alive: from 1900 to today (UTC)."""
    value = date_only(raw)
    if value < "1900":
        raise BadValue("A birth date before 1900 is not accepted. Write YYYY-MM-DD, for example 1990-02-28.")
    # Most are years back; asking the clock for those costs more than the rest.
    if value >= "2020" and value > datetime.now(UTC).date().isoformat():
        raise BadValue("A birth date cannot be in the future.")
    return value


def date_time(raw: str) -> str:
    """ISO 8601 in UTC, `2026-03-01T14:30:00Z`. Without a zone: read as UTC; without a time: midnight."""
    match = _DATETIME.fullmatch(raw.strip())
    if not match:
        raise BadValue(_NOT_A_DATETIME)
    day, time, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z", "z", "UTC") else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{time or '00:00'}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):  # 30 February; or year 0 and 10000 after the zone is taken off
        raise BadValue(_NOT_A_DATETIME) from None
    return moment.replace(tzinfo=None).isoformat() + "Z"


def number(raw: str) -> str:
    """The shortest decimal notation: `-12.5`, `300`. At most 15 digits, so that JSON holds it exactly.

    Refused rather than guessed: thousands separators, decimal commas, exponents, leading zeros, `-0`, hex.
    """
    value = raw.strip()
    if not _NUMBER.fullmatch(value):
        raise BadValue(_number_reason(value))
    if "." in value:
        value = value.rstrip("0").removesuffix(".")
    if value == "-0":
        raise BadValue(f"{_NOT_PLAIN}: write 0 without a sign.")
    if len(value.lstrip("-").replace(".", "").lstrip("0")) > _MAX_DIGITS or len(value) > 2 * _MAX_DIGITS:
        raise BadValue(
            f"{_NOT_PLAIN}: more than {_MAX_DIGITS} digits, like a code. Keep codes in a text attribute."
        )
    return value


def _number_reason(value: str) -> str:
    if re.fullmatch(r"[+-]?[0-9]+(?:[.,' \u00a0\u202f][0-9]+)+", value):
        return f"{_NOT_PLAIN}. Write “.” before decimals and nothing between thousands, for example 1234.5."
    if re.fullmatch(r"[+-]?[0-9.,]+[eE][+-]?[0-9]+", value):
        return f"{_NOT_PLAIN}: write it out without an exponent, for example 1500 instead of 1.5E3."
    if re.fullmatch(r"-?0[0-9.]+", value):
        return f"{_NOT_PLAIN}: it starts with a zero, like a code. Keep codes in a text attribute."
    return "Not a number. Write digits, with “.” before the decimals, for example 1234.5."


def json_number(value: str) -> int | float:
    """A value `number` returned, as JSON holds it."""
    return float(value) if "." in value else int(value)


def boolean(raw: str) -> str:
    """`true` or `false`, from true/false, yes/no, 1/0 in any case."""
    try:
        return _YES_NO[raw.strip().lower()]
    except KeyError:
        raise BadValue("Not a yes or no. Write true or false.") from None


def gender(raw: str) -> str:
    """Free text: not limited to a list."""
    return text(raw, MAX_GENDER)


def choice(raw: str, allowed: Collection[str]) -> str:
    """The allowed value in its registered spelling; the case written does not matter."""
    value = text(raw)
    if value in allowed:
        return value
    folded = value.casefold()
    for option in allowed:
        if option.casefold() == folded:
            return option
    allowed_text = ", ".join(list(allowed)[:10]) + (", …" if len(allowed) > 10 else "")
    raise BadValue(f"Not one of the allowed values: {allowed_text}.")


def items(raw: str, allowed: Collection[str] = (), separator: str = "") -> list[str]:
    """The entries of a list cell: split at `;` where the cell has one, else at `,`; trimmed, repeats dropped.

    So a cell whose entries hold commas is written with `;`, and one such entry alone with `;` behind it. Entries may
    be in quotes, as of `split_cell`. With a `separator` only that one counts.
    """
    return _entries(split_cell(raw, separator) if separator else _split_items(raw), allowed)


def _split_items(raw: str) -> list[str]:
    if raw.lstrip().startswith('"'):
        for separator in ",;":
            if parts := _quoted(raw, separator):
                return parts
    return raw.split(";" if ";" in raw else ",")


def join_items(values: Iterable[str]) -> str:
    """The cell that `items` reads back as these values."""
    entries = list(values)
    if entries and (entries[0].startswith('"') or any(";" in entry for entry in entries)):
        return _in_quotes(entries, ";")
    cell = ";".join(entries)
    return cell + ";" if len(entries) == 1 and "," in cell else cell


def join_cell(values: Iterable[str], separator: str) -> str:
    """The cell that `split_cell` reads back as these values."""
    entries = list(values)
    if entries and (entries[0].startswith('"') or any(separator in entry for entry in entries)):
        return _in_quotes(entries, separator)
    return separator.join(entries)


def _in_quotes(entries: Iterable[str], separator: str) -> str:
    return separator.join('"' + entry.replace('"', '""') + '"' for entry in entries)


def _entries(parts: Iterable[str], allowed: Collection[str]) -> list[str]:
    cleaned = (text(part, MAX_ITEM) for part in parts)
    entries = list(dict.fromkeys(choice(part, allowed) if allowed else part for part in cleaned if part))
    if len(entries) > MAX_ITEMS:
        raise BadValue(f"A list holds at most {MAX_ITEMS} entries; this one has {len(entries):,}.")
    return entries


def split_cell(raw: str, separator: str) -> list[str]:
    """The values of a cell that holds several. Each may be in quotes, with the separator inside: `"vip, old","new"`."""
    if "\n" in separator:
        return raw.splitlines()
    separator = separator.strip() or " "
    if len(separator) == 1 and raw.lstrip().startswith('"') and (parts := _quoted(raw, separator)):
        return parts
    return raw.split(separator)


def _quoted(raw: str, separator: str) -> list[str]:
    """The values of a cell that has them in quotes; none when its quotes are of another kind, part of the text."""
    try:
        return next(csv.reader([raw], delimiter=separator, skipinitialspace=True, strict=True), [])
    except csv.Error:
        return []


def tags(raw: str, separator: str = ",") -> list[str]:
    """Tag names of a cell, apart by commas or another separator: trimmed, inner spaces single, of `VIP, vip` the first."""
    names: dict[str, str] = {}
    for part in split_cell(raw, separator):
        name = " ".join(one_line(part, MAX_TEXT).split())
        if len(name) > MAX_TAG:
            raise BadValue(f"A tag has at most {MAX_TAG} characters; one here has {len(name)}.")
        if name:
            names.setdefault(name.casefold(), name)
    if len(names) > MAX_ITEMS:
        raise BadValue(f"A row gives at most {MAX_ITEMS} tags; this one has {len(names):,}.")
    return list(names.values())


def attribute(kind: str, raw: object, *, allowed: Collection[str] = (), limit: int = MAX_TEXT) -> object:
    """The JSON value of a registered attribute of type text, number, boolean, date, datetime, choice or list.

    `raw` is text, or the JSON value itself (`12.5`, `true`, `["a", "b"]`). Raises `BadValue`.
    """
    if kind == "list":
        if isinstance(raw, (list, tuple)) and all(isinstance(entry, str) for entry in raw):
            return _entries(raw, allowed)
    elif kind == "boolean" and isinstance(raw, bool):
        return raw
    elif kind == "number" and isinstance(raw, (int, float, Decimal)) and not isinstance(raw, bool):
        return json_number(number(decimal_text(raw)))
    if not isinstance(raw, str):
        raise BadValue(f"Not a {kind} value. Write it as text.")
    if kind == "text":
        return text(raw, limit)
    if kind == "number":
        return json_number(number(raw))
    if kind == "boolean":
        return boolean(raw) == "true"
    if kind == "date":
        return date_only(raw)
    if kind == "datetime":
        return date_time(raw)
    if kind == "choice":
        return choice(raw, allowed)
    if kind == "list":
        return items(raw, allowed)
    raise ValueError(f"unknown attribute type {kind!r}")


def decimal_text(value: int | float | Decimal) -> str:
    """Without an exponent: 1e3 in JSON is plainly 1000. Infinity and NaN stay words `number` refuses."""
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not exact.is_finite() or exact.adjusted() > 40:
        return str(exact)
    return format(exact + 0, "f")
