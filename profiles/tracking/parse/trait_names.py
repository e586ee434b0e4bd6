"""Traits as SDKs send them → default attributes, and the rest under the names they were sent with. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_SEPARATORS = re.compile(r"[^0-9a-z]+")

# Folded spellings of each default attribute, the likeliest first: where two are sent, the earlier one counts.
_SPELLINGS: dict[str, str] = {
    "first_name": "firstname givenname forename fname",
    "last_name": "lastname surname familyname lname",
    "email": "email emailaddress mail useremail",
    "phone": "phone phonenumber phoneno telephone telephonenumber tel mobile mobilephone mobilenumber"
    " mobilephonenumber cell cellphone",
    "street": "street streetaddress address1 addressline1 street1 addressstreet",
    "postcode": "postcode postalcode zip zipcode addresspostalcode addresspostcode addresszip",
    "city": "city town addresscity",
    "state": "state region province stateprovince addressstate addressregion",
    "country": "country countrycode countryname addresscountry addresscountrycode",
    "birth_date": "birthdate birthday dateofbirth dob",
    "gender": "gender sex",
    "language": "language locale lang languagecode preferredlanguage",
}
# Parts of an ``address`` object.
_PARTS: dict[str, str] = {
    "street": "street streetaddress address1 addressline1 line1 street1 address",
    "postcode": "postalcode postcode zip zipcode",
    "city": "city town locality",
    "state": "state region province stateprovince",
    "country": "country countrycode countryname",
}


def _ranked(spellings: dict[str, str]) -> dict[str, tuple[str, int]]:
    return {
        name: (field, rank) for field, names in spellings.items() for rank, name in enumerate(names.split())
    }


_FIELDS, _ADDRESS = _ranked(_SPELLINGS), _ranked(_PARTS)
# Behind every spelling of a field's own.
ALIAS_RANK = 100


def fold(name: str) -> str:
    """``firstName``, ``first-name``, ``First Name`` and ``FIRST_NAME`` are one name."""
    return _SEPARATORS.sub("", name.lower())


@lru_cache(maxsize=8192)
def field_of(name: str) -> tuple[str, int] | None:
    """The default attribute a trait's name means, and how sure that is (0: its own spelling)."""
    match = _FIELDS.get(fold(name))
    if match is None:
        return None
    field, rank = match
    return (field, 0 if name == field else rank + 1)


@lru_cache(maxsize=1024)
def part_of(name: str) -> tuple[str, int] | None:
    """The default attribute a part of an address means, behind a trait of its own at the top."""
    match = _ADDRESS.get(fold(name))
    return match and (match[0], ALIAS_RANK + match[1])


@lru_cache(maxsize=1024)
def is_full_name(name: str) -> bool:
    return fold(name) in ("name", "fullname")


@lru_cache(maxsize=1024)
def is_address(name: str) -> bool:
    return fold(name) == "address"


# --- Traits by attribute --------------------------------------------------------------------------------


class _ChosenFields:
    """The best spelling of each field so far; what it displaced stays under the name it was sent as."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.unknown: dict[str, Any] = {}
        self._candidates: dict[str, tuple[tuple[bool, int], str]] = {}

    def offer(self, field: str, rank: int, name: str, raw: Any) -> None:
        # An empty value never hides a given one, however it is spelled.
        weight = (_is_empty(raw), rank)
        current = self._candidates.get(field)
        if current is not None and current[0] <= weight:
            self._displace(name, raw, self.fields[field])
            return
        if current is not None:
            self._displace(current[1], self.fields[field], raw)
        self.fields[field], self._candidates[field] = raw, (weight, name)

    def _displace(self, name: str, raw: Any, winner: Any) -> None:
        if not _is_empty(raw) and raw != winner:
            self.unknown[name] = raw


def fields_of(traits: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Traits as ({default attribute: raw}, {unknown name as spelled: raw}). Never raises.

    Any usual spelling of a name counts; of several for one attribute the plainest that has a value, and the
    others are unknown names. ``address`` may be an object; parts of it that we do not know are called
    ``address_<part>``. ``name`` is split only where neither a first nor a last name is given. Values are as
    sent. What comes out as fields comes out the same when it is sent again.
    """
    chosen = _ChosenFields()
    full = None
    for name, raw in traits.items():
        match = field_of(name)
        if match is not None:
            chosen.offer(match[0], match[1], name, raw)
        elif is_full_name(name):
            full = full if _is_empty(raw) else raw
        elif is_address(name):
            _address(chosen, name, raw)
        else:
            chosen.unknown[name] = raw
    if isinstance(full, str) and not _has_name(chosen.fields):
        chosen.fields |= split_name(full)
    return chosen.fields, chosen.unknown


def split_name(full: str) -> dict[str, str]:
    """“Ann Lee” and “Lee, Ann”; everything behind the first word is the last name."""
    text = " ".join(full.split())
    if ", " in text:
        last, _, first = text.partition(", ")
    else:
        first, _, last = text.partition(" ")
    parts = {"first_name": first.strip(), "last_name": last.strip()}
    return {field: part for field, part in parts.items() if part}


def _address(chosen: _ChosenFields, name: str, raw: Any) -> None:
    if not isinstance(raw, dict):
        chosen.offer("street", ALIAS_RANK + ALIAS_RANK, name, raw)
        return
    for part, value in raw.items():
        match = part_of(part)
        if match is not None:
            chosen.offer(match[0], match[1], f"address_{part}", value)
        elif not _is_empty(value):
            chosen.unknown[f"address_{part}"] = value


def _has_name(fields: dict[str, Any]) -> bool:
    return not (_is_empty(fields.get("first_name")) and _is_empty(fields.get("last_name")))


def _is_empty(raw: Any) -> bool:
    # By type first: 0 and False are values, and 0 == False == "" must not be asked of other types.
    return raw is None or (isinstance(raw, (str, list, dict)) and not raw)
