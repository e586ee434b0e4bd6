"""Without the right to see personal data: enough to tell profiles apart, not enough to reach them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.masking import (
    mask,
    mask_at,
    mask_event,
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


@pytest.mark.parametrize(
    "things",
    [
        {"shipping": 4.9, "shipping_method": "Courier to the door", "description": "A zip hoodie, 2 colours"},
        {"product_name": "Mug", "event_name": "Fair", "file_type": "pdf", "tip": "5", "recipe": "Soup"},
        {"products": [{"name": "Mug", "title": "Big", "sku": "12345678", "price": 9.5}]},
        {
            "campaign": {"name": "spring", "content": "red"},
            "library": {"name": "js", "version": "1.20.300.4000"},
        },
        {
            "order_id": "2026-000012345",
            "timestamp": "2026-03-01T10:00:00Z",
            "on": "1990-02-28",
            "sku": "48600100200",
        },
        {"from": "2026-01-01", "to": "2026-01-31", "city": "Oslo", "country": "NO", "language": "nb"},
        {
            "version": "foo@1.2.3",
            "path": "/pricing?plan=pro&page=2#top",
            "emailed": True,
            "count": 1_234_567_890,
        },
        {"userAgent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0"},
    ],
)
def test_what_is_about_nobody_is_shown(things: dict[str, Any]) -> None:
    assert mask_json(things) == things


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ip", "192.0.2.7"),
        ("clientIP", "192.0.2.7"),
        ("ip_address", "192.0.2.7"),
        ("customerEmail", "ann"),
        ("E-Mail", "ann"),
        ("billing_phone", 48600100200),
        ("firstName", "Ann"),
        ("LAST_NAME", "Lee"),
        ("recipient", "Ann"),
        ("to", "Ann Lee"),
        ("comment", "Leave it with Mrs Lee"),
        ("order_note", "Ring at Lee"),
        ("gift_message", "Happy birthday, Ann"),
        ("page_title", "Ann Lee's account"),
        ("dateOfBirth", "1990-02-28"),
        ("user_id", 7),
        ("upload.file_name", "Ann Lee.pdf"),
        ("email_sent_to", "Ann"),
        ("note", "ann%40example.com"),
    ],
)
def test_what_identifies_somebody_is_hidden(name: str, value: Any) -> None:
    assert mask_json({name: value}) == {name: "•••"}
    assert mask_json({"order": [{name: value}]}) == {"order": [{name: "•••"}]}


def test_what_a_name_means_depends_on_where_it_stands() -> None:
    assert mask_json(
        {
            "delivery": {"to": "Ann Lee", "method": "post"},
            "page": {"title": "Ann Lee", "path": "/me", "search": "?email=canurl%40example.com&plan=pro"},
            "shipping_address": {"line": "Elm 1", "city": "Oslo", "country": "NO", "extra": {"door": "Lee"}},
            "device": {"name": "Ann's phone", "type": "ios"},
            "ann@example.com": 1,
            "bob@example.com": 2,
        }
    ) == {
        "delivery": {"to": "•••", "method": "post"},
        "page": {"title": "•••", "path": "/me", "search": "?email=•••&plan=pro"},
        "shipping_address": {"line": "•••", "city": "Oslo", "country": "NO", "extra": {"door": "•••"}},
        "device": {"name": "•••", "type": "ios"},
        "•••": 1,
        "••••••": 2,
    }
    assert mask_event("page", {"title": "Ann Lee", "plan": "pro"}) == {"title": "•••", "plan": "pro"}
    assert mask_event("track", {"title": "Big mug"}) == {"title": "Big mug"}
    assert mask_at("/properties/products/0/name", "Mug") == "Mug"
    assert mask_at("/properties/name", "Ann") == "•••"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://x.example/?email=canurl%40example.com", "https://x.example/?email=•••"),
        ("https://x.example/?e=canurl%2540example.com&plan=pro", "https://x.example/?e=•••&plan=pro"),
        ("https://x.example/?first_name=Ann#tel=1", "https://x.example/?first_name=•••#tel=•••"),
        ("https://x.example/?c=%2B48%20600%20100%20200", "https://x.example/?c=•••"),
        ("https://x.example/u/ann%40example.com/orders", "https://x.example/u/•••/orders"),
        ("mailto:ann@example.com", "mailto:•••"),
        ("email=ann", "email=•••"),
        ("(ann@example.com), <bob@example.com>!", "(•••), <•••>!"),
        ('say "o\'neil@example.com".', 'say "•••".'),
        ("żaneta@przykład.pl", "•••"),
        ("abc12 345678901 5th", "abc12 ••• 5th"),
        ("+48 600-100-200, (600) 100 200", "•••, (•••"),
        ("2026-03-01 and 3 @ 4", "2026-03-01 and 3 @ 4"),
    ],
)
def test_texts_lose_what_reaches_somebody(text: str, masked: str) -> None:
    assert mask_text(text) == masked
    assert mask_text(masked) == masked


def test_long_texts_are_cut_before_they_are_masked() -> None:
    words = "word " * 4_000
    assert mask_text(words) == f"{('word ' * 2_000).rstrip()} … (10,000 more characters)"
    assert mask_text("x" * 31_000) == "••• … (21,000 more characters)"
    assert mask_text("x " + "y" * 9_990 + "ann@example.com") == "x … (7 more characters)"
    assert mask_text("x" * 10_000) == "x" * 10_000


@pytest.mark.parametrize(
    "unit",
    [" ", "1 ", "a@", "@", "%40", "a.", "=", "&a=", "?", "+1", "a%40b.", "(", "0-", "\u00a0"],
)
def test_a_long_value_costs_its_length(unit: str) -> None:
    """A public key decides what is masked: 4 times the text may take 4 times as long, not 16 times."""

    def cost(count: int) -> float:
        text = "1" + unit * count
        pieces = [text[start : start + 9_000] for start in range(0, len(text), 9_000)]
        best = 9e9
        for _ in range(3):
            start_at = time.thread_time()
            mask_json({"a": text, "b": pieces, "order": [{"note": text, "url": text}] * 3})
            best = min(best, time.thread_time() - start_at)
        return best

    long = cost(120_000)
    assert long < 0.01 or long < 9 * cost(30_000)


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
