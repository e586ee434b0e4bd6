"""Traits in the spellings of everybody's SDKs, on the default attributes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.identity.field_names import SPELLINGS
from profiles.models import Profile
from profiles.tracking.parse.trait_names import fields_of, split_name


def test_spellings_are_of_default_attributes() -> None:
    assert tuple(SPELLINGS) == Profile.FIELDS
    every = [name for names in SPELLINGS.values() for name in names.split()]
    assert len(every) == len(set(every))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *(
            (name, "first_name")
            for name in ("firstName", "first_name", "FirstName", "first-name", "First name")
        ),
        *((name, "last_name") for name in ("lastName", "surname", "family_name", "LAST_NAME")),
        *((name, "email") for name in ("email", "Email", "e-mail", "emailAddress")),
        *((name, "phone") for name in ("phone", "phoneNumber", "mobile", "mobile_phone")),
        *((name, "postcode") for name in ("postalCode", "zip", "zip_code", "postcode")),
        *((name, "birth_date") for name in ("birthday", "birthDate", "dob", "dateOfBirth")),
        ("locale", "language"),
        ("countryCode", "country"),
        ("region", "state"),
        ("givenName", "first_name"),
    ],
)
def test_usual_spellings(name: str, field: str) -> None:
    assert fields_of({name: "x"}) == ({field: "x"}, {}, [])


def test_address_parts() -> None:
    address = {"street": "Main St 1", "postalCode": "10115", "city": "Berlin", "country": "DE", "state": None}
    fields, unknown, displaced = fields_of({"address": {**address, "floor": 3, "lift": None}})
    assert fields == {
        "street": "Main St 1",
        "postcode": "10115",
        "city": "Berlin",
        "country": "DE",
        "state": None,
    }
    assert (unknown, displaced) == ({"address_floor": 3}, [])
    assert fields_of({"address": "Main St 1"}) == ({"street": "Main St 1"}, {}, [])
    # A trait of its own goes before a part of the address.
    assert fields_of({"address": {"city": "Bonn"}, "city": "Berlin"}) == (
        {"city": "Berlin"},
        {},
        [("city", "address_city", "Bonn")],
    )


@pytest.mark.parametrize(
    ("traits", "fields", "displaced"),
    [
        ({"name": "Ann Mary Lee"}, {"first_name": "Ann", "last_name": "Mary Lee"}, []),
        ({"fullName": "Ann", "first_name": None}, {"first_name": "Ann"}, []),
        # What is given leaves open is filled where the rest agrees; else the whole name is kept beside it.
        ({"name": "Ann Lee", "firstName": "ann"}, {"first_name": "ann"}, [("last_name", "name", "Lee")]),
        (
            {"name": "Ann Mary Lee", "lastName": "Lee"},
            {"last_name": "Lee"},
            [("last_name", "name", "Ann Mary Lee")],
        ),
        ({"name": "Acme  Inc", "fname": "Ann"}, {"first_name": "Ann"}, [("first_name", "name", "Acme Inc")]),
        # Said twice in another order, and said differently.
        ({"name": "Lee, Ann", "fname": "Ann", "lname": "Lee"}, {"first_name": "Ann", "last_name": "Lee"}, []),
        (
            {"name": "Bob Ray", "fname": "Ann", "lname": "Lee"},
            {"first_name": "Ann", "last_name": "Lee"},
            [("first_name", "name", "Bob"), ("last_name", "name", "Ray")],
        ),
        ({"name": "Bob", "fullName": "Ann"}, {"first_name": "Ann"}, [("first_name", "name", "Bob")]),
        ({"name": ["Ann"]}, {}, [("first_name", "name", ["Ann"])]),
    ],
)
def test_a_name_is_split_only_where_nothing_better_is_known(
    traits: dict[str, Any], fields: dict[str, Any], displaced: list[Any]
) -> None:
    assert fields_of(traits) == (fields, {}, displaced)


def test_split_name() -> None:
    assert split_name("Lee, Ann") == {"first_name": "Ann", "last_name": "Lee"}
    assert split_name("  ") == {}


def test_of_two_spellings_the_plainer_that_has_a_value() -> None:
    for traits in ({"phone": "1", "mobile": "2"}, {"mobile": "2", "phone": "1"}):
        assert fields_of(traits) == ({"phone": "1"}, {}, [("phone", "mobile", "2")])
    for traits in ({"first_name": "", "firstName": "Ann"}, {"firstName": "Ann", "first_name": ""}):
        assert fields_of(traits) == ({"first_name": "Ann"}, {}, [])
    assert fields_of({"firstName": "Ann", "first_name": "Ann"}) == ({"first_name": "Ann"}, {}, [])


def test_unknown_names_keep_their_spelling() -> None:
    traits = {"Plan": "pro", "loyaltyPoints": 0, "company": {"name": "Acme"}, "vip": False, "age": None}
    assert fields_of(traits) == ({}, traits, [])


_names = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        "firstName first_name GivenName lastName surname name fullName email Email phone mobile address city"
        " address_city zip postalCode state region country birthday dob gender locale Plan".split()
    ),
)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_names, inner, max_size=4)),
    max_leaves=10,
)


@given(st.dictionaries(_names, _json, max_size=8))
def test_fields_again_are_themselves(traits: dict[str, Any]) -> None:
    fields, unknown, _ = fields_of(traits)
    assert set(fields) <= set(Profile.FIELDS)
    assert fields_of(fields) == (fields, {}, [])
    # Nothing made up: every value was sent, as a whole or as a part of a name or an address.
    assert not set(fields) & set(unknown) or traits
    assert fields_of(dict(reversed(list(fields.items()))))[0] == fields
