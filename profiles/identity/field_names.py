"""A name as other systems spell it → the default attribute or identifier type it means. Pure.

The one list of spellings: traits of tracking calls, identifiers of the API and names of new attributes go by it.
Headers of files, which come in many languages, have a longer one of their own on top (``imports.columns.headers``).
"""

from __future__ import annotations

import re
from functools import lru_cache

from profiles.identity.presets import BROWSER, CUSTOMER

_SEPARATORS = re.compile(r"[^0-9a-z]+")

# Folded spellings of each default attribute, the likeliest first: where two are sent, the earlier one counts.
SPELLINGS: dict[str, str] = {
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
# What other systems call the id of a customer, folded.
CUSTOMER_ID_NAMES = frozenset(
    "customerid customid customidentify customidentity customernumber customerno customernr userid".split()
)
# The same in a file of customers; in a page's call it may be a browser's.
_CUSTOMER_ID_IN_FILES = frozenset({"clientid"})
_BROWSER_ID_NAMES = frozenset("anonymousid uuid".split())
_FULL_NAMES = frozenset({"name", "fullname"})
_ADDRESS = "address"
# The attribute for birthdays without a year, which imports make: it is filled.
_FILLED = frozenset({"birthday"})


def _ranked(spellings: dict[str, str]) -> dict[str, tuple[str, int]]:
    return {
        name: (field, rank) for field, names in spellings.items() for rank, name in enumerate(names.split())
    }


_FIELDS = _ranked(SPELLINGS)


def fold_name(name: str) -> str:
    """``firstName``, ``first-name``, ``First Name`` and ``FIRST_NAME`` are one name."""
    return _SEPARATORS.sub("", name.lower())


@lru_cache(maxsize=8192)
def field_of(name: str) -> tuple[str, int] | None:
    """The default attribute a name means, and how sure that is (0: its own spelling)."""
    match = _FIELDS.get(fold_name(name))
    if match is None:
        return None
    field, rank = match
    return (field, 0 if name == field else rank + 1)


@lru_cache(maxsize=1024)
def is_full_name(name: str) -> bool:
    return fold_name(name) in _FULL_NAMES


@lru_cache(maxsize=1024)
def is_address(name: str) -> bool:
    return fold_name(name) == _ADDRESS


@lru_cache(maxsize=8192)
def is_customer_id(name: str) -> bool:
    """Whether a name means ``customer_id`` wherever it stands."""
    return fold_name(name) in CUSTOMER_ID_NAMES


def type_name_of(name: str) -> str:
    """An identifier type's name by another system's: ``customId`` and ``custom_identify`` are ``customer_id``."""
    return CUSTOMER if is_customer_id(name) else name


def taken_by(name: str) -> str:
    """What a name would be taken for wherever it comes in, as its plain name; empty when for nothing.

    A custom attribute of such a name would stay empty.
    """
    if name in _FILLED:
        return ""
    folded = fold_name(name)
    if folded in CUSTOMER_ID_NAMES or folded in _CUSTOMER_ID_IN_FILES:
        return CUSTOMER
    if folded in _BROWSER_ID_NAMES:
        return BROWSER
    if folded in _FULL_NAMES:
        return "first_name and last_name"
    if folded == _ADDRESS:
        return "street, postcode, city and country"
    match = field_of(name)
    return match[0] if match else ""
