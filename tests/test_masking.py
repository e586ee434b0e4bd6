"""Without the right to see personal data: enough to tell profiles apart, not enough to reach them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.masking import (
    mask,
    mask_fields,
    mask_identifier,
    mask_json,
    mask_note,
    mask_text,
    mask_view,
)
from profiles.models import AttributeDefinition, Profile
from profiles.reading.profiles import as_api, profile_view
from profiles.values.attributes import attribute_specs
from tests.profile_factory import make_profile


@pytest.mark.parametrize(
    ("field", "value", "masked"),
    [
        ("email", "ann@example.com", "a•••@e•••.com"),
        ("email", "not an address", "•••"),
        ("phone", "+48600100123", "+48 ••• ••• 123"),
        ("phone", "+12025550143", "+1 ••• ••• 143"),
        ("phone", "12", "•••"),
        ("first_name", "Ann", "A•••"),
        ("last_name", "O", "O•••"),
        ("birth_date", "1990-02-28", "1990-••-••"),
        ("street", "Main Street 1", "•••"),
        ("postcode", "00-950", "00•••"),
        ("city", "Warsaw", "Warsaw"),
        ("country", "PL", "PL"),
        ("attributes.plan", "pro", "•••"),
        (
            "identifiers",
            ["email:ann@example.com", "customer_id:C-1001"],
            ["email:a•••@e•••.com", "customer_id:C-•••"],
        ),
        ("addresses", ["Main Street 1, Warsaw"], ["•••"]),
        ("email", None, None),
        ("anything_new", "secret", "•••"),
    ],
)
def test_each_field_keeps_just_enough(field: str, value: Any, masked: Any) -> None:
    assert mask(field, value) == masked


@given(st.text(min_size=5).filter(lambda text: text.strip("•")))
def test_no_masked_value_gives_the_value_away(value: str) -> None:
    for field in ("email", "phone", "first_name", "last_name", "street", "postcode"):
        assert value not in mask(field, value)
    assert value not in mask_identifier("customer_id", value)


def test_text_and_properties_lose_addresses_and_numbers() -> None:
    assert mask_text("Write to ann@example.com or call +48 600 100 200.") == "Write to ••• or call •••."
    assert mask_text("Order 1234 of 2 items") == "Order 1234 of 2 items"
    assert mask_note("Called, will come back") == "••• (4 words)"
    assert mask_json(
        {
            "sku": "A-1",
            "price": 9.5,
            "email": "ann@example.com",
            "product_name": "Mug",
            "who": {"name": "Ann"},
            "n": None,
        }
    ) == {
        "sku": "A-1",
        "price": 9.5,
        "email": "•••",
        "product_name": "Mug",
        "who": {"name": "•••"},
        "n": None,
    }


def test_a_journal_entry_is_masked_on_both_sides() -> None:
    assert mask_fields({"first_name": [None, "Ann"], "tags": [[], ["vip"]]}) == {
        "first_name": [None, "A•••"],
        "tags": [[], ["vip"]],
    }


@pytest.mark.django_db
def test_a_masked_profile_hides_everything_and_the_row_is_untouched() -> None:
    AttributeDefinition.objects.create(name="plan", sensitivity="none")
    AttributeDefinition.objects.create(name="allergy", sensitivity="sensitive")
    secrets = {
        "first_name": "Annabella",
        "last_name": "Novakova",
        "email": "annabella@novak.example",
        "phone": "+48600100123",
        "street": "Secret Street 5",
        "postcode": "00-950",
        "birth_date": "1990-02-28",
    }
    ann = make_profile(identifiers=[("customer_id", "CUSTOMER-77")], plan="pro", allergy="peanuts", **secrets)
    masked = as_api(mask_view(profile_view(ann), attribute_specs()))
    text = repr(masked)
    for value in [*secrets.values(), "CUSTOMER-77", "peanuts"]:
        assert value not in text
    assert masked["attributes"] == {"plan": "pro", "allergy": "•••"}
    assert (masked["id"], masked["type"]) == (ann.pk, "recognized")
    masked = mask_view(profile_view(ann)).profile
    assert masked.name == "A••• N•••"
    assert masked.initials == "AN"
    assert Profile.objects.get().first_name == "Annabella"
    assert as_api(profile_view(ann))["first_name"] == "Annabella"
