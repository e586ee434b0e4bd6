"""What each API key calls, how often, and its last error, on the page of the key."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cdp.api import key_use
from cdp.models import ApiKey, ApiKeyUse, User
from tests.api.caller import Caller
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def uses() -> list[tuple[str, str, int, int, int | None, str]]:
    key_use.write()
    columns = ("method", "address", "calls", "errors", "last_status", "last_error")
    return list(ApiKeyUse.objects.order_by("address", "method").values_list(*columns))


def test_calls_are_counted_by_address_without_anybodys_id(with_scopes: Callable[..., Caller]) -> None:
    ann, bob = make_profile(first_name="Ann"), make_profile(first_name="Bob")
    caller = with_scopes("profiles:read")
    for who in (ann, bob, ann):
        caller.get(f"profiles/{who.pk}/")
    caller.get("profiles/email:nobody@example.com/")
    caller.patch(f"profiles/{ann.pk}/", {"city": "Oslo"})
    assert uses() == [
        ("GET", "/api/v1/profiles/{ref}/", 4, 1, 404, "No profile “…”."),
        (
            "PATCH",
            "/api/v1/profiles/{ref}/",
            1,
            1,
            403,
            "The API key “…” needs the scope profiles:write for this.",
        ),
    ]
    caller.get(f"profiles/{ann.pk}/")
    assert uses()[0][2:4] == (5, 1)
    ApiKey.objects.all().delete()
    caller = with_scopes("profiles:read")
    caller.get("profiles/")
    ApiKey.objects.all().delete()
    assert uses() == [], "a key that is gone keeps nobody's call from being answered"


def test_only_keys_are_counted(client: Client, ada: User) -> None:
    client.get("/api/v1/profiles/")
    client.get("/api/v1/profiles/", headers={"Authorization": "Bearer wrong"})
    client.force_login(ada)
    client.get("/api/v1/profiles/")
    assert uses() == []


def test_a_call_costs_no_query_for_it(
    with_scopes: Callable[..., Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = with_scopes("profiles:read")

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            caller.get("profiles/")
        return len(queries)

    cost()
    usual = cost()
    monkeypatch.setattr(key_use, "_is_due", lambda: True)
    assert cost() == usual + 1, "one statement for all that was counted"
    assert ApiKeyUse.objects.get().calls == 3


def test_the_page_of_the_key(
    with_scopes: Callable[..., Caller], ada: User, as_user: Callable[[User], Client]
) -> None:
    caller = with_scopes("profiles:read")
    key = ApiKey.objects.get()
    url = reverse("admin:cdp_apikey_change", args=[key.pk])
    page = as_user(ada).get(url).content.decode()
    assert "As soon as a system calls the API with this key, its addresses are listed here" in page
    caller.get("profiles/email:ann@example.com/")
    uses()
    page = as_user(ada).get(url).content.decode()
    assert "GET /api/v1/profiles/{ref}/" in page
    assert "No profile “…”." in page
    assert "ann@example.com" not in page
