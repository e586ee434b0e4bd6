"""How the same thing is called by different senders: trait names, folded and led to our attributes. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

KINDS = ("identify", "track", "page", "screen", "group", "alias", "update", "consent")

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
OTHER = 100


def fold(name: str) -> str:
    """``firstName``, ``first-name``, ``First Name`` and ``FIRST_NAME`` are one name."""
    return _SEPARATORS.sub("", name.lower())


@lru_cache(maxsize=8192)
def field_of(name: str) -> tuple[str, int] | None:
    """The default attribute a trait's name means, and how sure that is (0: its own spelling)."""
    found = _FIELDS.get(fold(name))
    if found is None:
        return None
    field, rank = found
    return (field, 0 if name == field else rank + 1)


@lru_cache(maxsize=1024)
def part_of(name: str) -> tuple[str, int] | None:
    """The default attribute a part of an address means, behind a trait of its own at the top."""
    found = _ADDRESS.get(fold(name))
    return found and (found[0], OTHER + found[1])


@lru_cache(maxsize=1024)
def is_full_name(name: str) -> bool:
    return fold(name) in ("name", "fullname")


@lru_cache(maxsize=1024)
def is_address(name: str) -> bool:
    return fold(name) == "address"
