"""Which values are identifiers in hiding: by their value, by their name, at any depth, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.identity.hidden_ids import hidden_ids, is_email, type_of_browser_id, type_of_name

MAIL = "ann@example.com"


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"email": MAIL}, [("/email", "email")]),
        ({"contact_mail": MAIL}, [("/contact_mail", "email")]),
        ({"anything": f" {MAIL} "}, [("/anything", "email")]),
        ({"email": "not given"}, [("/email", "email")]),
        ({"user": "42"}, [("/user", "customer_id")]),
        ({"user": {"id": 7, "mail": MAIL}}, [("/user/mail", "email")]),
        ({"userId": 42}, [("/userId", "customer_id")]),
        ({"Customer-Number": "K-1"}, [("/Customer-Number", "customer_id")]),
        ({"anonymous_id": "b-1"}, [("/anonymous_id", "anonymous_id")]),
        ({"a": {"b": {"c": {"d": {"e": MAIL}}}}}, [("/a/b/c/d/e", "email")]),
        (
            {"list": [{"x": 1}, {"login": "u77"}, [MAIL]]},
            [("/list/1/login", "customer_id"), ("/list/2/0", "email")],
        ),
    ],
)
def test_identifiers_in_hiding(document: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert [(hidden.pointer, hidden.type) for hidden in hidden_ids(document)] == found


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"order_id": "A-1", "sku": "S", "total": 12.5, "ids": [1, 2]},
        {"customer": "returning", "user": "", "member": True, "userId": "  "},
        {"friend_email": MAIL, "sellerEmail": MAIL, "gift": {"recipient": {"email": MAIL}}, "ccEmail": MAIL},
        {"support": "info@example.com", "from_address": MAIL},
        {"url": f"https://example.com/?mail={MAIL}", "text": f"write to {MAIL}", "link": f"mailto:{MAIL}"},
        {"handle": "@ann", "price": "2@5", "css": "@media.print"},
    ],
)
def test_what_is_none(document: dict[str, Any]) -> None:
    assert hidden_ids(document) == []


def test_single_values_and_names() -> None:
    assert is_email("ann+shop@example.co.uk")
    assert not is_email(f"{'a' * 260}@example.com")
    assert (type_of_browser_id(MAIL), type_of_browser_id("7", "7"), type_of_browser_id("7", "8")) == (
        "email",
        "customer_id",
        "",
    )
    assert (type_of_name("Customer No"), type_of_name("user"), type_of_name("friend email")) == (
        "customer_id",
        "",
        "",
    )
