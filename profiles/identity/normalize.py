"""A kind and a raw value → the one normal form in which the API, imports, tracking and staff all store it. Pure.

`normalize` is idempotent for every kind: what it returned, it returns unchanged. Callers that clean many
values take `normalizer(kind)` once and call what it returns.
"""

from collections.abc import Callable

from profiles.identity.blocked_values import compile_patterns, is_blocked
from profiles.identity.countries import country, country_choices, country_name, language
from profiles.identity.emails import email
from profiles.identity.phones import is_valid_phone, phone, phone_without_plus
from profiles.identity.text import MAX_TEXT, BadValue, fold, name_text, one_line, text
from profiles.identity.values import (
    attribute,
    birth_date,
    boolean,
    choice,
    date_only,
    date_time,
    gender,
    items,
    join_cell,
    join_items,
    json_number,
    number,
    split_cell,
    tags,
)

__all__ = [
    "DEFAULT_KINDS",
    "DEFAULT_LIMITS",
    "IDENTIFIER_KINDS",
    "KINDS",
    "MAX_TEXT",
    "NAMES",
    "BadValue",
    "attribute",
    "birth_date",
    "boolean",
    "choice",
    "compile_patterns",
    "country",
    "country_choices",
    "country_name",
    "date_only",
    "date_time",
    "default_cleaner",
    "email",
    "exact",
    "fold",
    "gender",
    "is_blocked",
    "is_valid_phone",
    "items",
    "join_cell",
    "join_items",
    "json_number",
    "language",
    "lower",
    "normalize",
    "normalizer",
    "number",
    "phone",
    "phone_without_plus",
    "reference",
    "split_cell",
    "tags",
    "text",
]

_NOT_A_REFERENCE = "Not a reference_id. Use letters and digits only (“-” and “_” may stand between them)."


def exact(raw: str) -> str:
    """Case counts; only what surrounds the value and its Unicode form (NFC) are put in order."""
    return one_line(raw)


def lower(raw: str) -> str:
    """Like `exact`, in lower case."""
    value = one_line(raw)
    # Lower case of a few letters is not in NFC, and NFC of it not in lower case, until done again.
    while value != (value := one_line(value.lower())):
        pass
    return value


def reference(raw: str) -> str:
    """A `reference_id` cell: letters and digits of any alphabet, “-” and “_” so that UUIDs pass."""
    value = one_line(raw)
    if value and not value.isalnum() and not value.replace("-", "0").replace("_", "0").isalnum():
        raise BadValue(_NOT_A_REFERENCE)
    return value


def _list(raw: str) -> str:
    return join_items(items(raw))


def _tags(raw: str) -> str:
    return ",".join(tags(raw))


# What an identifier type may name as its normalizer.
IDENTIFIER_KINDS = ("email", "phone", "lower", "exact")

KINDS: dict[str, Callable[[str], str]] = {
    "email": email,
    "phone": phone,
    "lower": lower,
    "exact": exact,
    "reference": reference,
    "text": text,
    "country": country,
    "birth_date": birth_date,
    "date": date_only,
    "datetime": date_time,
    "number": number,
    "boolean": boolean,
    "language": language,
    "gender": gender,
    "list": _list,
    "tags": _tags,
}

# The kind of every default attribute of a profile.
DEFAULT_KINDS: dict[str, str] = {
    "first_name": "text",
    "last_name": "text",
    "email": "email",
    "phone": "phone",
    "street": "text",
    "postcode": "text",
    "city": "text",
    "state": "text",
    "country": "country",
    "birth_date": "birth_date",
    "gender": "gender",
    "language": "language",
}

# Default attributes that are a person's name.
NAMES = ("first_name", "last_name")

# Characters a default attribute of kind text may have; its column is as wide.
DEFAULT_LIMITS: dict[str, int] = {
    "first_name": 200,
    "last_name": 200,
    "street": 300,
    "postcode": 20,
    "city": 200,
    "state": 200,
}


def default_cleaner(name: str, *, region: str = "") -> Callable[[str], str]:
    """The cleaner of one of the twelve default attributes. Raises `KeyError` for another name."""
    if limit := DEFAULT_LIMITS.get(name):
        clean = name_text if name in NAMES else text
        return lambda raw: clean(raw, limit)
    return normalizer(DEFAULT_KINDS[name], region=region)


def normalizer(kind: str, *, region: str = "") -> Callable[[str], str]:
    """The cleaner of one kind, for calling many times. Raises `ValueError` for a kind nobody defined."""
    if kind == "phone" and region:
        return lambda raw: phone(raw, region)
    try:
        return KINDS[kind]
    except KeyError:
        raise ValueError(f"unknown kind {kind!r}") from None


def normalize(kind: str, raw: str, *, region: str = "") -> str:
    """The normal form of `raw`; `BadValue` with a sentence for people when it has none.

    `region` (ISO alpha-2) is where phone numbers without a country code are at home. An empty value of
    `email`, `phone`, `country`, a date or a number is bad: callers treat an empty cell as absent.
    """
    return normalizer(kind, region=region)(raw)
