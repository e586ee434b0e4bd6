"""API keys: shown once, revoked for good, made only by who may."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from cdp.models import ApiKey, User
from cdp.roles_and_scopes import SCOPE_DESCRIPTIONS, SCOPES

Login = Callable[[User], Client]


def test_every_scope_is_explained() -> None:
    assert set(SCOPE_DESCRIPTIONS) == set(SCOPES)


def test_the_secret_is_shown_once(ada: User, as_user: Login) -> None:
    client, url = as_user(ada), reverse("admin:cdp_apikey_add")
    assert "Choose at least one scope." in client.post(url, {"name": "shop"}).content.decode()
    assert not ApiKey.objects.exists()
    made = client.post(url, {"name": "shop", "scopes": ["merge", "imports"]}).content.decode()
    secret = re.search(r'<code id="secret">([^<]+)</code>', made)
    key = ApiKey.objects.get()
    assert secret is not None
    assert secret[1].startswith(key.prefix)
    assert key.scopes == ["merge", "imports"]
    for page in (reverse("admin:cdp_apikey_changelist"), reverse("admin:cdp_apikey_change", args=[key.pk])):
        html = client.get(page).content.decode()
        assert "shop" in html
        assert secret[1] not in html
        assert key.digest not in html


def test_revoking(ada: User, as_user: Login) -> None:
    client = as_user(ada)
    client.post(reverse("admin:cdp_apikey_add"), {"name": "shop", "scopes": ["merge"]})
    key = ApiKey.objects.get()
    url = reverse("admin:cdp_apikey_revoke", args=[key.pk])
    assert client.get(url).status_code == 405
    said = client.post(url, follow=True).content.decode()
    assert "The key of shop is revoked. Calls with it are refused from now on." in said
    assert "Revoke this key" not in said
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert client.post(reverse("admin:cdp_apikey_revoke", args=[404404])).status_code == 404


def test_nobody_hands_on_more_than_they_hold(make_user: Callable[..., User], as_user: Login) -> None:
    ines = make_user("ines", "support")
    ines.user_permissions.add(*Permission.objects.filter(codename__in=["add_apikey", "view_apikey"]))
    client, url = as_user(ines), reverse("admin:cdp_apikey_add")
    offered = client.get(url).content.decode()
    assert 'value="profiles:read"' in offered
    assert 'value="privacy"' not in offered
    refused = client.post(url, {"name": "x", "scopes": ["profiles:read", "privacy"]}).content.decode()
    assert "privacy is not one of the available choices" in refused
    assert not ApiKey.objects.exists()
    assert (
        "Copy the key now." in client.post(url, {"name": "x", "scopes": ["profiles:read"]}).content.decode()
    )


def test_only_for_who_may(ada: User, mira: User, as_user: Login) -> None:
    as_user(ada).post(reverse("admin:cdp_apikey_add"), {"name": "shop", "scopes": ["merge"]})
    key = ApiKey.objects.get()
    client = as_user(mira)
    assert client.get(reverse("admin:cdp_apikey_changelist")).status_code == 403
    assert client.get(reverse("admin:cdp_apikey_change", args=[key.pk])).status_code == 403
    assert client.post(reverse("admin:cdp_apikey_add"), {"name": "x", "scopes": ["pii"]}).status_code == 403
    assert client.post(reverse("admin:cdp_apikey_revoke", args=[key.pk])).status_code == 403
    key.refresh_from_db()
    assert ApiKey.objects.count() == 1
    assert key.revoked_at is None
    # Not even an admin changes or deletes one by the stock ways.
    assert (
        as_user(ada).post(reverse("admin:cdp_apikey_delete", args=[key.pk]), {"post": "yes"}).status_code
        == 403
    )
