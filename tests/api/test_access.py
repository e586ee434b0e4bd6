"""Who comes in, and what every error looks like."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from psycopg import errors as pg

from cdp.actors import Actor
from cdp.api import throttling
from cdp.api.keys import revoke_key
from cdp.api.throttling import _now as window_now
from cdp.models import ApiKey, AuditEntry, RateWindow, User
from profiles.models import Profile
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

SIGN_IN = "Send an API key as “Authorization: Bearer <key>”. Keys are created in the admin under Settings."


def test_key_opens_and_is_kept_as_a_hash(api: Caller, stranger: Caller) -> None:
    assert api.key is not None
    refused = stranger.get("profiles/")
    assert refusal(refused) == (401, SIGN_IN)
    assert refused["WWW-Authenticate"] == 'Bearer realm="api"'
    assert api.get("profiles/").status_code == 200
    kept = ApiKey.objects.get()
    assert api.key.secret not in (kept.digest, kept.prefix)
    assert api.key.secret.startswith(kept.prefix)


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer", "bearer  ", "Bearer \xff"])
def test_unknown_key_is_a_401(stranger: Caller, header: str) -> None:
    sentence = "This API key is not known here. Check that it was copied whole."
    assert refusal(stranger.get("profiles/", Authorization=header)) == (401, sentence)


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "nonsense", ""])
def test_other_schemes_learn_what_to_send(stranger: Caller, header: str) -> None:
    assert refusal(stranger.get("profiles/", Authorization=header)) == (401, SIGN_IN)


def test_revoked_key_ends_with_the_next_request(api: Caller) -> None:
    assert api.get("profiles/").status_code == 200
    revoke_key(key_id=ApiKey.objects.get().pk, actor=Actor.system())
    assert refusal(api.get("profiles/")) == (401, "The API key “shop” was revoked. Use another key.")
    assert list(AuditEntry.objects.filter(action__startswith="key.").values_list("action", flat=True)) == [
        "key.revoke",
        "key.create",
    ]


def test_last_use_is_noted_at_most_once_a_minute(api: Caller) -> None:
    api.get("profiles/")
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    api.get("profiles/")
    assert ApiKey.objects.get().last_used_at == first
    earlier = timezone.now() - timedelta(seconds=61)
    ApiKey.objects.update(last_used_at=earlier)
    api.get("profiles/")
    used = ApiKey.objects.get().last_used_at
    assert used is not None
    assert used > earlier


def test_missing_scope_is_a_403_that_names_it(with_scopes: Callable[..., Caller]) -> None:
    reader = with_scopes("profiles:read")
    ann = make_profile()
    assert reader.get(f"profiles/{ann.pk}/").status_code == 200
    assert refusal(reader.patch(f"profiles/{ann.pk}/", {"city": "Oslo"})) == (
        403,
        "The API key “shop” needs the scope profiles:write for this.",
    )
    assert refusal(reader.get("audit/")) == (403, "The API key “shop” needs the scope admin for this.")


def test_a_refused_call_is_logged_with_who_made_it(
    with_scopes: Callable[..., Caller], stranger: Caller, vic: User, caplog: pytest.LogCaptureFixture
) -> None:
    reader = with_scopes("profiles:read")
    signed_in = Caller(None, Client())
    signed_in.client.force_login(vic)
    with caplog.at_level(logging.INFO, "cdp.request"):
        for caller, status in ((reader, 403), (signed_in, 403), (stranger, 401)):
            assert caller.get("audit/").status_code == status
        reader.get("profiles/")
    lines = [vars(record) for record in caplog.records if record.name == "cdp.request"]
    key = f"key:{ApiKey.objects.get().pk}"
    assert [(line["status"], line.get("actor")) for line in lines] == [
        (403, key),
        (403, f"user:{vic.pk}"),
        (401, None),
        (200, None),
    ]


def test_plain_http_is_refused_and_not_redirected(api: Caller, settings: Any) -> None:
    """A program that is redirected goes on sending its key where everybody can read it."""
    settings.SECURE_SSL_REDIRECT = True
    refused = (
        403,
        "API keys travel over HTTPS only. Use https:// in the address, and a new key: this one was readable.",
    )
    for path in ("profiles/", "profiles", "nothing/"):
        assert refusal(api.get(path)) == refused
    assert refusal(api.post("profiles/", {"first_name": "Ann"})) == refused
    assert api.get("profiles/").data["code"] == "https_required"
    assert Profile.objects.count() == 0
    assert api.key is not None
    key = {"Authorization": f"Bearer {api.key.secret}"}
    assert Client().get("/api/v1/profiles/", secure=True, headers=key).status_code == 200
    # Pages are for people, whose browsers follow and say so.
    for page in ("/api/v1/docs/", "/api/v1/schema/", "/admin/"):
        assert Client().get(page)["Location"] == f"https://testserver{page}"


def test_session_works_and_writes_need_the_csrf_token(sam: User, vic: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(sam)
    page = Caller(None, client)
    assert page.get("profiles/").status_code == 200
    assert refusal(page.post("profiles/", {"first_name": "Ann"})) == (
        403,
        "CSRF Failed: CSRF cookie not set.",
    )
    assert Profile.objects.count() == 0
    open_page = Caller(None, Client())
    open_page.client.force_login(vic)
    assert refusal(open_page.post("profiles/", {"first_name": "Ann"})) == (
        403,
        "Your role does not include the permission profiles.add_profile.",
    )
    User.objects.filter(pk=sam.pk).update(is_active=False)
    assert refusal(page.get("profiles/")) == (401, SIGN_IN)


def test_a_browser_that_is_signed_in_writes_with_the_token(sam: User, ada: User) -> None:
    """As pages do: a cookie, the token in a header, and a body that is read once."""
    client = Client(enforce_csrf_checks=True)
    client.get("/admin/login/")
    token = client.cookies["csrftoken"].value
    client.force_login(sam)
    page = Caller(None, client)
    made = page.post("profiles/", {"first_name": "Ann"}, X_CSRFToken=token)
    assert made.status_code == 201, made.data
    path = f"profiles/{made.data['id']}/"
    assert page.patch(path, {"city": "Oslo"}, X_CSRFToken=token).status_code == 200
    assert Profile.objects.get().city == "Oslo"
    refused = "CSRF Failed: CSRF token missing."
    assert refusal(page.post("profiles/", {"first_name": "Bob"})) == (403, refused)
    form = {"csrfmiddlewaretoken": token, "file": io.BytesIO(b"email\n")}
    client.force_login(ada)
    assert client.post("/api/v1/imports/", form).status_code == 403
    sent = client.post(
        "/api/v1/imports/", {"file": io.BytesIO(b"email\nann@example.org\n")}, headers={"X-CSRFToken": token}
    )
    assert sent.status_code == 201, sent.content


def test_unknown_addresses_and_methods_are_problems_and_never_redirect(api: Caller, stranger: Caller) -> None:
    nothing = "There is nothing at this address. GET /api/v1/docs/ lists what there is."
    for path in ("/api/", "/api/v1/", "/api/v2/profiles/", "/api/v1/nothing", "/api/v1/profiles/1/nothing/"):
        for method in ("GET", "POST", "DELETE"):
            assert refusal(stranger.send(method, path, b"{" if method == "POST" else None)) == (404, nothing)
    for path in ("profiles", "profiles/", "merges", "tags/"):
        answer = api.send("PUT", path, {})
        assert refusal(answer) == (405, 'Method "PUT" not allowed.')
    assert api.get("profiles").status_code == 200
    assert api.post("profiles", {"first_name": "Ann"}).status_code == 201
    options = api.send("OPTIONS", "profiles/")
    assert (options.status_code, options["Allow"]) == (204, "GET, POST, HEAD, OPTIONS")


def test_content_types(api: Caller) -> None:
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "x/y;" * 99,
    ):
        answer = api.send("POST", "profiles/", b'{"first_name": "Ann"}', Content_Type=kind)
        assert refusal(answer)[0] == 415, kind
    answer = api.post("profiles/", {"first_name": "Ann"}, Content_Encoding="gzip")
    assert refusal(answer) == (415, "Content-Encoding gzip is not accepted here. Send the body uncompressed.")
    assert Profile.objects.count() == 0
    ok = api.send(
        "POST", "profiles/", b'{"first_name": "Ann"}', Content_Type="application/json; charset=utf-8"
    )
    assert ok.status_code == 201


def test_body_limits(api: Caller) -> None:
    answer = api.send("POST", "profiles/", b'{"first_name": "' + b"x" * 4 * 1024 * 1024 + b'"}')
    assert refusal(answer) == (413, "The body has 4,194,322 bytes; the limit here is 4,194,304.")


@pytest.mark.parametrize(
    ("state", "status", "sentence"),
    [
        (
            pg.AdminShutdown,
            503,
            "The database cannot be reached right now. Nothing was changed; please try again in a moment.",
        ),
        (
            pg.DeadlockDetected,
            409,
            "Somebody changed the same data at the same moment. Nothing was saved; please try again.",
        ),
        (
            pg.QueryCanceled,
            503,
            "This took too long and was stopped. Narrow the filters, or try again when the system is less busy.",
        ),
    ],
)
def test_database_trouble_is_reported_without_its_details(
    api: Caller, monkeypatch: pytest.MonkeyPatch, state: Any, status: int, sentence: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("Failing row contains (ann@example.com)") from state("ann@example.com")

    monkeypatch.setattr("profiles.api.profiles.create_profile", fail)
    answer = api.post("profiles/", {"first_name": "Ann"})
    assert refusal(answer) == (status, sentence)
    assert "Retry-After" in answer
    assert b"ann@example.com" not in answer.content


def test_unknown_exception_is_a_500_problem_without_a_trace(
    api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("profiles.api.profiles.create_profile", fail)
    api.client.raise_request_exception = False
    answer = api.post("profiles/", {"first_name": "Ann"})
    assert refusal(answer)[0] == 500
    assert b"secret" not in answer.content


def test_bad_host_is_a_problem_too(api: Caller) -> None:
    assert refusal(api.get("profiles/", Host="evil.example")) == (400, "The request is malformed.")


def test_rate_is_always_in_the_headers_and_ends_in_a_429(
    api: Caller, stranger: Caller, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttling, "_now", lambda: (1000, 40))
    settings.API_RATE_PER_MINUTE = 3
    seen = [api.get("profiles/"), api.get("nothing"), api.post("profiles/", {"emial": 1})]
    assert [answer.status_code for answer in seen] == [200, 404, 400]
    assert [answer["RateLimit-Remaining"] for answer in seen] == ["2", "1", "0"]
    assert (seen[0]["RateLimit-Limit"], seen[0]["RateLimit-Reset"]) == ("3", "40")
    over = api.get("profiles/")
    assert refusal(over) == (429, "Request was throttled. Expected available in 40 seconds.")
    assert (over["Retry-After"], over["RateLimit-Remaining"]) == ("40", "0")
    assert stranger.get("profiles/")["RateLimit-Limit"] == "600"
    monkeypatch.setattr(throttling, "_now", lambda: (1001, 60))
    assert api.get("profiles/").status_code == 200


def test_rates_are_by_the_clocks_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    for second, expected in ((60_000, (1000, 60)), (60_020.5, (1000, 40)), (60_060, (1001, 60))):
        monkeypatch.setattr(throttling, "clock", SimpleNamespace(epoch=lambda second=second: second))
        assert window_now() == expected


def test_processes_together_never_exceed_the_limit() -> None:
    """Each process has its own memory; the count in the database is one."""
    granted = 0
    for _ in range(7):
        throttling._shares.clear()
        granted += sum(not throttling.count("key:1", 250).is_over for _ in range(51))
    assert 250 - 7 * 2 <= granted <= 250
    assert RateWindow.objects.get(owner="key:1").granted >= granted
