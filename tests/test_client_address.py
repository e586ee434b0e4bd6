"""Whose request it is: the sender's address behind proxies that are trusted, and nobody's claim about another's."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, RequestFactory

from cdp.api import throttling
from cdp.client_address import limited_by, set_client_address
from cdp.models import AuditEntry

PROXY, OTHER_PROXY, SENDER = "10.0.0.7", "10.0.1.9", "203.0.113.5"


@pytest.fixture(autouse=True)
def _behind_proxies(settings: Any) -> None:
    settings.BEHIND_PROXY = True
    settings.TRUSTED_PROXIES = ["10.0.0.7", "10.0.1.0/24", "::1"]


def seen(peer: str, forwarded: str | None) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers)
    set_client_address(request)
    return str(request.META["REMOTE_ADDR"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "sender"),
    [
        (PROXY, SENDER, SENDER),
        ("", SENDER, SENDER),  # a socket
        ("localhost", SENDER, SENDER),  # the same, as the web processes call it
        ("::1", SENDER, SENDER),
        # Whatever a sender writes stands left of what the proxy saw.
        (PROXY, f"198.51.100.1, {SENDER}", SENDER),
        (PROXY, f"198.51.100.1, {SENDER}, {OTHER_PROXY}", SENDER),
        (PROXY, f"198.51.100.1, rubbish, {OTHER_PROXY}", OTHER_PROXY),
        (PROXY, f"{OTHER_PROXY}", OTHER_PROXY),
        (PROXY, None, PROXY),
        (PROXY, "unknown", PROXY),
        (PROXY, f"{SENDER}:4711", SENDER),
        (PROXY, '"[2001:db8::1]:4711"', "2001:db8::1"),
        (PROXY, "::ffff:203.0.113.5", SENDER),
        # Nobody else's header counts.
        (SENDER, "198.51.100.1", SENDER),
        ("192.168.0.1", "198.51.100.1", "192.168.0.1"),
    ],
)
def test_the_sender_is_the_first_from_the_right_that_is_no_proxy(
    peer: str, forwarded: str | None, sender: str
) -> None:
    assert seen(peer, forwarded) == sender


def test_without_a_proxy_no_header_counts(settings: Any) -> None:
    settings.BEHIND_PROXY = False
    assert seen(PROXY, SENDER) == PROXY


def test_only_a_proxy_says_that_it_was_https(settings: Any) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    for peer, is_secure in ((PROXY, True), (SENDER, False)):
        request = RequestFactory().get("/", REMOTE_ADDR=peer, headers={"X-Forwarded-Proto": "https"})
        set_client_address(request)
        assert request.is_secure() is is_secure


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1/profiles/", "/v1/track"])
def test_each_sender_behind_one_proxy_has_a_limit_of_its_own(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttling, "STRANGERS_PER_MINUTE", 2)

    def statuses(forwarded: str, times: int = 3) -> list[int]:
        call = Client().post if path.startswith("/v1") else Client().get
        headers = {"X-Forwarded-For": forwarded, "X-Write-Key": "nobodys"}
        return [call(path, REMOTE_ADDR=PROXY, headers=headers).status_code for _ in range(times)]

    assert statuses(SENDER) == [401, 401, 429]
    assert statuses("203.0.113.6") == [401, 401, 429]
    # Nor is there a new one for each name a sender gives itself, or for each of the addresses everybody has.
    assert statuses(f"198.51.100.9, {SENDER}", 1) == [429]
    assert statuses("2001:db8::1", 2) == [401, 401]
    assert statuses("2001:db8::2", 1) == [429]
    assert statuses("2001:db8:0:1::1", 1) == [401]


def test_what_a_sender_is_counted_by() -> None:
    assert limited_by(SENDER) == SENDER
    assert limited_by("2001:db8::1:2") == "2001:db8::"
    assert limited_by("") == ""


@pytest.mark.django_db
def test_the_audit_log_names_the_sender() -> None:
    headers = {"X-Forwarded-For": SENDER}
    Client().post("/admin/login/", {"username": "x", "password": "y"}, REMOTE_ADDR=PROXY, headers=headers)
    assert AuditEntry.objects.get(action="login.failed").address == SENDER
