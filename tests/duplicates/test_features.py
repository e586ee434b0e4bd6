"""Features: different spellings of one value are equal, and values that identify nobody are left out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from profiles.duplicates.scoring.features import Features, fold, match_keys, read_features
from profiles.duplicates.scoring.nicknames import groups_of
from profiles.identity.emails import is_role


def read(**values: Any) -> Features:
    return read_features(values)


def test_text_is_folded() -> None:
    assert fold("  Łukasz-Jürgen  O’Neil ") == "lukasz jurgen o neil"
    assert fold("Straße Ørsted Æther") == "strasse orsted aether"
    assert fold("Анна Ёлкина") == "анна елкина"


@given(st.text(max_size=60))
@example("Ǣ ᴬ ϒ Ǿ")
def test_folding_is_idempotent(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"email": "Ann.Brown@GMAIL.com"}, {"email": "annbrown+shop@googlemail.com"}),
        ({"email": " ann@web.de"}, {"email": "ANN+news@web.de"}),
        ({"phone": "+48 600-100-200"}, {"phone": "0048600100200"}),
        ({"first_name": "JOSÉ", "last_name": "Núñez"}, {"first_name": "jose", "last_name": "Nunez"}),
        ({"postcode": "SW1A 1AA"}, {"postcode": "sw1a1aa"}),
    ],
)
def test_spellings_of_one_thing_are_equal(left: dict[str, str], right: dict[str, str]) -> None:
    assert read(**left) == read(**right)
    assert match_keys(read(**left)) == match_keys(read(**right))


@pytest.mark.parametrize(
    "values",
    [
        {"first_name": "n/a", "last_name": "Test"},
        {"first_name": "-", "last_name": "."},
        {"email": "test@test.com"},
        {"email": "customer@example.com"},
        {"email": "not an address"},
        {"email": "info@office.example"},
        {"email": "SALES+pl@office.example"},
        {"phone": "1111111111"},
        {"phone": "1234567890"},
        {"phone": "n/a"},
        {"birth_date": "1900-01-01"},
        {"first_name": None, "email": "", "phone": None},
    ],
)
def test_what_says_nothing_is_unknown(values: dict[str, Any]) -> None:
    features = read(**values)
    assert features.is_empty
    assert match_keys(features) == []


def test_somebody_called_test_at_their_own_domain_is_somebody() -> None:
    assert read(email="test@brown-family.net").email == "test@brown-family.net"
    assert is_role("Info@shop.example")
    assert not is_role("ann@shop.example")


def test_a_name_in_two_groups_does_not_connect_them() -> None:
    assert set(groups_of("alex")) & set(groups_of("alexander"))
    assert set(groups_of("alex")) & set(groups_of("alexandra"))
    assert not set(groups_of("alexander")) & set(groups_of("alexandra"))
    assert groups_of("nobody called so") == []


@given(
    st.fixed_dictionaries(
        {
            name: st.text(max_size=40)
            for name in ("first_name", "last_name", "email", "phone", "city", "street")
        }
    )
)
def test_anything_typed_has_traits_and_keys(values: dict[str, str]) -> None:
    keys = match_keys(read_features(values))
    assert keys == sorted(set(keys))
    assert all(0 <= key < 2**63 for key in keys)
