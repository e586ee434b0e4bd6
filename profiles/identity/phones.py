"""A phone number as typed → its normal form, E.164, for example +48600100200. Pure."""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, ValidationResult

from profiles.identity.text import BadValue, without_hidden

_NOT = "Not a phone number: "
_EXAMPLE = "Write it like +48 600 100 200."
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_ALLOWED = re.compile(r"[0-9+()\[\]./ \t\u2010-\u2015\u2212~-]*")
_EXTENSION = re.compile(r"(?:ext(?:ension|n)?|wew|x|#)[.:\s]*[0-9]{1,7}$", re.IGNORECASE)
_SPREADSHEET = re.compile(r"\+?[0-9](?:[.,][0-9]+)?E\+?[0-9]+", re.IGNORECASE)

_REASONS = {
    ValidationResult.TOO_SHORT: "it has too few digits.",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "the area code is missing.",
    ValidationResult.TOO_LONG: "it has too many digits.",
    ValidationResult.INVALID_LENGTH: "no number of that country has this many digits.",
    ValidationResult.INVALID_COUNTRY_CODE: "no country has the code it starts with.",
}


def phone(raw: str, region: str = "") -> str:
    """`+` and digits. A number without a country code is read as one of `region` (ISO alpha-2; "" = refused).

    Accepted when a number of this length can exist in its country: numbering plans change faster than
    tables of valid numbers. An extension is refused, for E.164 cannot hold it and dropping it loses data.
    """
    if _E164.fullmatch(raw) and _is_settled(raw):
        return raw
    return _read(raw, region)


def phone_without_plus(raw: str) -> str:
    """`phone` of a file whose numbers all have their country code, but not the “+” before it: 48600100200."""
    value = raw.strip().removeprefix("'")
    return phone(raw if value.startswith(("+", "00", "(+")) else "+" + value)


def is_valid_phone(raw: str, region: str = "") -> bool:
    """Whether the number exists in today's numbering plans: stricter than `phone`, to weigh one reading of a file
    against another."""
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(phone(raw, region))))
    except (BadValue, NumberParseException):
        return False


class _Plan(NamedTuple):
    lengths: frozenset[int]
    prefix: re.Pattern[str] | None


# 1,000 three-digit starts exist, so neither cache can grow past its bound.
@lru_cache(maxsize=1024)
def _plan(start: str) -> tuple[int, _Plan] | None:
    """The numbering plan that numbers starting with these three digits belong to, and its code's length."""
    for size in (1, 2, 3):
        code = int(start[:size])
        region = phonenumbers.region_code_for_country_code(code)
        if region == "ZZ":
            continue
        metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
        if metadata is None or metadata.general_desc is None:
            return None
        prefix = metadata.national_prefix_for_parsing
        return size, _Plan(
            frozenset(metadata.general_desc.possible_length), re.compile(prefix) if prefix else None
        )
    return None


def _is_settled(value: str) -> bool:
    """Whether the library would answer this E.164 number with itself; a no only means: ask the library."""
    code_and_plan = _plan(value[1:4])
    if code_and_plan is None:
        return False
    size, plan = code_and_plan
    national = value[1 + size :]
    return len(national) in plan.lengths and not (plan.prefix and plan.prefix.match(national))


@lru_cache(maxsize=16_384)
def _read(raw: str, region: str) -> str:
    value = unicodedata.normalize("NFKC", without_hidden(raw)).strip()
    if value.startswith("'"):  # put there by shops and spreadsheets, so that no program takes it for a number
        value = value[1:].lstrip()
    if not value.isascii():  # ٤٨ is 48
        value = "".join(str(unicodedata.decimal(char, char)) for char in value)
    _check_syntax(value)
    if not region and value.startswith("00"):
        value = "+" + value[2:]  # the international prefix of nearly every country
    for _ in range(4):
        before = value
        value = _parse(value, region)
        if value == before:
            break
    return value


def _check_syntax(value: str) -> None:
    if not value:
        raise BadValue(_NOT + "it is empty.")
    if len(value) > 100:
        raise BadValue(_NOT + "it has too many digits.")
    if _SPREADSHEET.fullmatch(value):
        raise BadValue(
            _NOT + "a spreadsheet shortened it and lost digits. Format the column as text and export again."
        )
    if extension := _EXTENSION.search(value):
        raise BadValue(_NOT + f"leave out the extension “{extension.group()}”.")
    if _ALLOWED.fullmatch(value):
        return
    if any(char.isalpha() for char in value):
        raise BadValue(_NOT + "there are letters in it.")
    odd = next(char for char in value if not _ALLOWED.fullmatch(char))
    char_text = f"“{odd}”" if odd.isprintable() else f"a control character (U+{ord(odd):04X})"
    raise BadValue(_NOT + f"{char_text} cannot stand in one.")


def _parse(value: str, region: str) -> str:
    try:
        number = phonenumbers.parse(value, region.upper() or None)
    except NumberParseException as error:
        raise BadValue(_NOT + _parse_reason(error, value)) from error
    result = phonenumbers.is_possible_number_with_reason(number)
    if result != ValidationResult.IS_POSSIBLE:
        raise BadValue(_NOT + _REASONS[result])
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _parse_reason(error: NumberParseException, value: str) -> str:
    if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
        if value.startswith("+"):
            return _REASONS[ValidationResult.INVALID_COUNTRY_CODE]
        return f"the country code is missing. {_EXAMPLE}"
    if error.error_type == NumberParseException.TOO_LONG:
        return "it has too many digits."
    if error.error_type == NumberParseException.NOT_A_NUMBER:
        return f"digits are missing. {_EXAMPLE}"
    return "it has too few digits."
