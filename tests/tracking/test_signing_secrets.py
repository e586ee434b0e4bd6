"""The secret that signs user ids: rotated with an overlap, both taken meanwhile, the old one revoked."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cdp import clock
from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.errors import Invalid, NotFound, RuleForbids
from cdp.models import AuditEntry, User
from profiles.builtin_sources import builtin_source
from profiles.models import Identifier, Source
from profiles.tracking.sources.signing_secrets import revoke_old_secret, rotate_secret
from profiles.tracking.sources.user_hash import is_signed, sign_user
from profiles.tracking.sources.write_keys import Sender
from tests.api.caller import Caller, refusal
from tests.tracking.calls import identify, make_sender

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()


@pytest.fixture
def web(db: None) -> Sender:
    return make_sender("web", name="Shop", needs_user_hash=True)


def rotate(source: Source, days: int | None = 7) -> Any:
    return rotate_secret(source_id=source.pk, overlap_days=days, actor=SYSTEM)


def stored(source: Source) -> Source:
    return Source.objects.get(pk=source.pk)


def test_both_secrets_are_taken_until_the_overlap_ends(web: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    old = sign_user(web.source, "42")
    done = rotate(web.source)
    end = timezone.localtime(done.source.old_hash_secret_until)
    shown = f"{end.day} {end:%b %Y, %H:%M}"
    assert done.message == f"The new secret works from now on. The old one is accepted until {shown}."
    source = stored(web.source)
    new = sign_user(source, "42")
    assert (done.secret, old != new) == (source.hash_secret, True)
    assert (is_signed(source, "42", old), is_signed(source, "42", f" {new.upper()}\n")) == (True, True)
    assert not is_signed(source, "43", old)
    assert not is_signed(source, "43", new)
    late = timezone.now() + datetime.timedelta(days=7, seconds=1)
    monkeypatch.setattr(clock, "now", lambda: late)
    assert (is_signed(source, "42", old), is_signed(source, "42", new)) == (False, True)


def test_people_who_log_in_during_a_rotation_stay_logged_in(
    web: Sender, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    old = sign_user(web.source, "1")
    rotate(web.source)
    web.source.refresh_from_db()
    with django_capture_on_commit_callbacks(execute=True):
        identify(web, anonymousId="b1", userId="1", context={"userHash": old})
    held = Identifier.objects.get(type__name="customer_id", value="1")
    assert held.is_verified
    source = stored(web.source)
    used = source.old_hash_secret_used_at
    assert used is not None
    assert (used.minute, used.second, used.microsecond, source.hash_secret_used_at) == (0, 0, 0, None)
    with django_capture_on_commit_callbacks(execute=True):
        identify(web, anonymousId="b2", userId="2", context={"userHash": sign_user(source, "2")})
    assert stored(web.source).hash_secret_used_at == used
    revoke_old_secret(source_id=source.pk, actor=SYSTEM)
    web.source.refresh_from_db()
    assert identify(web, userId="3", context={"userHash": old}).code == "unverified_user"


def test_use_is_noted_once_an_hour_and_never_of_another_secret(
    web: Sender, django_capture_on_commit_callbacks: Callable[..., Any], django_assert_num_queries: Any
) -> None:
    def log_in(queries: int) -> None:
        with django_capture_on_commit_callbacks() as later:
            identify(web, anonymousId="b", userId="1", context={"userHash": sign_user(web.source, "1")})
        with django_assert_num_queries(queries):
            for callback in later:
                callback()

    log_in(1)
    log_in(0)
    # Another process rotated, and this one does not know yet.
    rotate(stored(web.source))
    web.source.hash_secret_used_at = None
    log_in(1)
    assert stored(web.source).hash_secret_used_at is None


def test_without_overlap_and_until_revoked(web: Sender) -> None:
    old = sign_user(web.source, "42")
    done = rotate(web.source, 0)
    assert done.message == "The new secret works from now on. The old one is not accepted any more."
    assert (is_signed(stored(web.source), "42", old), stored(web.source).old_hash_secret) == (False, "")
    kept = sign_user(stored(web.source), "42")
    done = rotate(web.source, None)
    assert done.message == "The new secret works from now on. The old one is accepted until it is revoked."
    assert is_signed(stored(web.source), "42", kept)
    with pytest.raises(
        RuleForbids,
        match="^The secret before this one is still accepted until it is revoked. Revoke it first, then rotate again.$",
    ):
        rotate(web.source)
    revoke_old_secret(source_id=web.source.pk, actor=SYSTEM)
    assert not is_signed(stored(web.source), "42", kept)
    with pytest.raises(RuleForbids, match="^“Shop” accepts only one secret; there is no old one to revoke.$"):
        revoke_old_secret(source_id=web.source.pk, actor=SYSTEM)
    rotate(web.source)
    told = AuditEntry.objects.filter(subject=f"source:{web.source.pk}", action__startswith="source.secret")
    assert list(told.order_by("pk").values_list("action", "detail")) == [
        ("source.secret.rotate", {"overlap_days": 0}),
        ("source.secret.rotate", {"overlap_days": None}),
        ("source.secret.revoke", {}),
        ("source.secret.rotate", {"overlap_days": 7}),
    ]


def test_what_cannot_be_rotated(web: Sender) -> None:
    for days in (-1, 366):
        with pytest.raises(Invalid, match="^Write a number of days from 0 to 365, or nothing for"):
            rotate(web.source, days)
    with pytest.raises(NotFound, match="^There is no source #0.$"):
        rotate_secret(source_id=0, actor=SYSTEM)
    staff = builtin_source("staff")
    with pytest.raises(
        RuleForbids, match=f"^“{staff.name}” receives no tracking calls, so nothing is signed for it.$"
    ):
        rotate(staff)


# --- Doors --------------------------------------------------------------------------------------------------


def test_page(web: Sender, client: Client, ada: User, vic: User, olga: User) -> None:
    def url(name: str) -> str:
        return reverse(f"admin:profiles_source_{name}", args=[web.source.pk])

    for person in (olga, vic):
        client.force_login(person)
        assert client.post(url("secret_rotate")).status_code == 403
        assert client.post(url("secret_revoke")).status_code == 403
    assert web.source.hash_secret not in client.get(url("settings")).content.decode()
    client.force_login(ada)
    text = client.get(url("settings")).content.decode()
    assert web.source.hash_secret in text
    assert '<option value="7" selected>old one ends in 7 days</option>' in text
    assert "Revoke the old secret" not in text
    bad = client.post(url("secret_rotate"), {"overlap_days": "x"}, follow=True).content.decode()
    assert "Write a number of days from 0 to 365, or nothing for “until it is revoked”." in bad
    text = client.post(url("secret_rotate"), {"overlap_days": "revoked"}, follow=True).content.decode()
    sentence = "The new secret works from now on. The old one is accepted until it is revoked. Copy the new one to your"
    assert sentence in text
    new = stored(web.source).hash_secret
    assert (new in text, web.source.hash_secret in text, "Rotate the secret" in text) == (True, True, False)
    assert text.count('<span class="sub">never</span>') == 2
    again = client.post(url("secret_rotate"), follow=True).content.decode()
    assert "Revoke it first, then rotate again." in again
    text = client.post(url("secret_revoke"), follow=True).content.decode()
    assert (
        "The old secret is revoked. Within five seconds nothing signed with it is accepted any more." in text
    )
    assert web.source.hash_secret not in text
    assert "there is no old one to revoke." in client.post(url("secret_revoke"), follow=True).content.decode()


def test_api(web: Sender) -> None:
    def with_scopes(*scopes: str) -> Caller:
        return Caller(create_key(name="shop", scopes=scopes, actor=SYSTEM))

    api, path = with_scopes("admin", "profiles:write"), f"sources/{web.source.pk}/signing-secret/"
    for weak in (with_scopes("exports"), with_scopes("profiles:read")):
        assert weak.get(path).status_code == 403
        assert weak.post(f"{path}rotate/").status_code == 403
        assert weak.post(f"{path}revoke/").status_code == 403
    first = api.get(path).data
    assert (first["prefix"], first["old"], "secret" in first) == (web.source.hash_secret[:6], None, False)
    refused = with_scopes("admin").post(f"{path}rotate/", {})
    assert (refused.status_code, refused.data["detail"]) == (
        403,
        "Whoever has a signing secret adds and changes people and events, which shop may not do:"
        " it needs the scope profiles:write, too.",
    )
    assert api.post(f"{path}rotate/?dry_run=true", {}).data["dry_run"] is True
    assert api.get(path).data == first
    turned = api.post(f"{path}rotate/", {})
    assert (turned.status_code, turned.data["secret"]) == (201, stored(web.source).hash_secret)
    assert turned.data["old"]["prefix"] == first["prefix"]
    left = datetime.datetime.fromisoformat(turned.data["old"]["expires_at"]) - timezone.now()
    assert datetime.timedelta(days=6, hours=23) < left <= datetime.timedelta(days=7)
    assert refusal(api.post(f"{path}rotate/", {}))[0] == 422
    assert api.post(f"{path}revoke/").data["old"] is None
    assert refusal(api.post(f"{path}revoke/")) == (
        422,
        "“Shop” accepts only one secret; there is no old one to revoke.",
    )
    assert api.post(f"{path}rotate/", {"overlap_days": None}).data["old"]["expires_at"] is None
    api.post(f"{path}revoke/")
    refused = api.post(f"{path}rotate/", {"overlap_days": 999})
    assert refusal(refused)[0] == 400
    assert refused.data["errors"][0]["pointer"] == "/overlap_days"
    assert api.get("sources/9999/signing-secret/").status_code == 404
    assert api.post("sources/9999/signing-secret/rotate/", {}).status_code == 404
