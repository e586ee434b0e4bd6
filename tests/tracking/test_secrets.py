"""Passwords, tokens and card numbers of forms are kept nowhere: not in addresses, not among the fields of a form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from profiles.models import Event, Receipt
from profiles.tracking.parse.secrets import is_secret, remove_secrets
from tests.tracking.calls import make_sender, send_item


@pytest.mark.parametrize(
    "name",
    "csrfmiddlewaretoken password Password1 user_pwd access_token authenticity_token card_number cardNumber cc-number"
    " cc-csc cvv cvc2 client_secret api_key otp xsrf PHPSESSID_session_id one-time-code iban".split(),
)
def test_secrets_by_name(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", "email q utm_source passenger card_color discard page passport_country cvcity first_name".split()
)
def test_others(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        (
            "https://a.example/x?q=1&csrfmiddlewaretoken=abc&b=2",
            "https://a.example/x?q=1&csrfmiddlewaretoken=removed&b=2",
        ),
        ("?password=a%20b", "?password=removed"),
        ("https://a.example/#access_token=abc&x=1", "https://a.example/#access_token=removed&x=1"),
        ("https://a.example/token?x=1", "https://a.example/token?x=1"),
        ("https://a.example/?x=token", "https://a.example/?x=token"),
        ("https://a.example/?token=", "https://a.example/?token="),
    ],
)
def test_addresses(address: str, kept: str) -> None:
    item: dict[str, Any] = {"context": {"page": {"url": address}}, "properties": {"referrer": address}}
    problems = remove_secrets(item)
    assert (item["context"]["page"]["url"], item["properties"]["referrer"]) == (kept, kept)
    assert len(problems) == (0 if kept == address else 2)
    assert remove_secrets(item) == []


@pytest.mark.django_db
@pytest.mark.parametrize("event", ["form.submit", "x" * 300])
def test_nothing_of_them_is_stored_and_the_receipt_says_so(event: str) -> None:
    """Of a rejected item neither."""
    page = {"path": "/x", "url": "https://a.example/x?token=s3cret", "search": "?token=s3cret"}
    fields = {"email": "ann@example.com", "card_number": "s3cret"} if event == "form.submit" else {}
    properties = {"fields": fields, "url": "https://a.example/x?pwd=s3cret"}
    send_item(
        make_sender("web"),
        "track",
        event=event,
        anonymousId="b1",
        properties=properties,
        context={"page": page},
    )
    receipt = Receipt.objects.get()
    stored = json.dumps(
        [receipt.payload, receipt.problems, *Event.objects.values_list("properties", "context")]
    )
    assert "s3cret" not in stored
    pointers = [
        problem["pointer"] for problem in receipt.problems or [] if problem["code"] == "secret_removed"
    ]
    places = ["/context/page/url", "/context/page/search", "/properties/url"]
    assert pointers == [*places, *(["/properties/fields/card_number"] if fields else [])]
    assert (receipt.problems or [])[0]["message"] == (
        "“token” looks like a password, token or card number, so its value was not kept."
    )
    if fields:
        assert Event.objects.get().properties["fields"] == {"email": "ann@example.com"}
