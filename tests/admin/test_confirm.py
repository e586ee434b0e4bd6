"""The password is asked for again before access is given or data handed out, and nothing entered is lost."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.models import ApiKey, AuditEntry, User, Webhook
from profiles.bulk.exports import start_export
from profiles.models import Source, WriteKey
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

ASKED = "Confirm that it is you"


@pytest.fixture
def unconfirmed(as_user: Callable[[User], Client]) -> Callable[[User], Client]:
    """A client signed in longer ago than the password is good for."""

    def login(user: User) -> Client:
        client = as_user(user)
        session = client.session
        session["confirmed"] -= 15 * 60
        session.save()
        return client

    return login


def asks(answer: Any) -> bool:
    return answer.status_code == 200 and f"<h1>{ASKED}</h1>" in answer.content.decode()


def reply(client: Client, answer: Any, password: str) -> Any:
    """Fill in the page's form as a browser does."""
    form = (
        answer.content.decode()
        .partition('<form method="post" class="panel form-narrow"')[2]
        .partition("</form>")[0]
    )
    fields: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if "name" in attributes:
            fields.setdefault(attributes["name"], []).append(unescape(attributes.get("value", "")))
    query = answer.request["QUERY_STRING"]
    return client.post(
        answer.request["PATH_INFO"] + (f"?{query}" if query else ""), {**fields, "confirm-password": password}
    )


def test_a_page_is_asked_for_and_opens(ada: User, unconfirmed: Any) -> None:
    client, add = unconfirmed(ada), reverse("admin:cdp_apikey_add")
    before = client.session.session_key
    question = client.get(add)
    assert asks(question)
    wrong = reply(client, question, "no")
    assert asks(wrong)
    assert "This is not the password of your login." in wrong.content.decode()
    right = reply(client, wrong, "ada")
    assert (right.status_code, right["Location"]) == (302, add)
    assert "Create an API key" in client.get(add).content.decode()
    entries = AuditEntry.objects.filter(subject=f"user:{ada.pk}", action__startswith="login.").order_by("pk")
    assert [entry.action for entry in entries] == ["login.failed", "login.confirm"]
    # A key that was stolen before is worth no more than it was.
    assert client.session.session_key != before
    # Not again for a while, whatever is next.
    assert not asks(client.get(reverse("admin:cdp_user_add")))


def test_what_was_entered_is_not_lost(ada: User, mira: User, unconfirmed: Any) -> None:
    client = unconfirmed(ada)
    page = reverse("admin:cdp_user_change", args=[mira.pk])
    assert not asks(client.get(page))  # looking is free
    roles = list(Group.objects.filter(name__in=("viewer", "support")).values_list("pk", flat=True))
    entered = {
        "username": "mira",
        "first_name": 'M "<b>&',
        "email": mira.email,
        "is_active": "on",
        "is_staff": "on",
        "groups": roles,
    }
    question = client.post(page, entered)
    assert asks(question)
    assert "What you entered is kept." in question.content.decode()
    mira.refresh_from_db()
    assert mira.first_name == ""
    wrong = reply(client, question, "no")
    assert reply(client, wrong, "ada")["Location"] == reverse("admin:cdp_user_changelist")
    mira.refresh_from_db()
    assert mira.first_name == 'M "<b>&'
    assert sorted(group.name for group in mira.groups.all()) == ["support", "viewer"]


def test_wrong_passwords_count_as_at_the_login(ada: User, unconfirmed: Any) -> None:
    client, add = unconfirmed(ada), reverse("admin:cdp_apikey_add")
    question = client.get(add)
    answers = [reply(client, question, "no") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert "Too many wrong passwords. Try again in 15 minutes" in answers[-1].content.decode()
    assert reply(client, question, "ada").status_code == 429
    kept = AccessAttempt.objects.get()
    assert f"{kept.get_data}{kept.post_data}".replace("---------", "").strip() == ""
    assert asks(client.get(add))


def test_where_it_is_asked(ada: User, mira: User, unconfirmed: Any) -> None:
    """Giving access and handing out data; not for looking or revoking."""
    ann = make_profile(email="ann@example.com")
    key = create_key(name="shop", scopes=["merge"], actor=Actor.of_user(ada)).key
    hook = Webhook.objects.create(name="a", url="https://203.0.113.1/", topics=["profile.merged"])
    group = Group.objects.create(name="helpers")
    export = start_export(profile_ids=[ann.pk], at_once=True, actor=Actor.of_user(ada))
    shop = Source.objects.create(name="shop", channel="web")
    write_key = WriteKey.objects.create(source=shop, kind="web", prefix="a", digest="a")
    client = unconfirmed(ada)
    asked = [
        ("get", reverse("admin:cdp_user_add")),
        ("post", reverse("admin:cdp_user_add")),
        ("get", f"/admin/cdp/user/{mira.pk}/password/"),
        ("post", f"/admin/cdp/user/{mira.pk}/password/"),
        ("post", reverse("admin:cdp_user_change", args=[mira.pk])),
        ("get", reverse("admin:cdp_apikey_add")),
        ("post", reverse("admin:cdp_apikey_add")),
        ("post", reverse("admin:cdp_apikey_hand_over", args=[key.pk])),
        ("post", reverse("admin:auth_group_add")),
        ("post", reverse("admin:auth_group_change", args=[group.pk])),
        ("post", reverse("admin:auth_group_delete", args=[group.pk])),
        ("get", reverse("admin:cdp_webhook_add")),
        ("post", reverse("admin:cdp_webhook_change", args=[hook.pk])),
        ("post", reverse("admin:cdp_webhook_delete", args=[hook.pk])),
        ("post", reverse("admin:cdp_webhook_secret", args=[hook.pk])),
        ("post", reverse("admin:profiles_profile_export_people")),
        ("get", reverse("admin:profiles_profile_export_file", args=[export.pk])),
        ("post", reverse("admin:profiles_profile_gdpr_export", args=[ann.pk])),
        ("post", reverse("admin:cdp_user_end_session", args=[mira.pk])),
        ("post", reverse("admin:cdp_account_end_session")),
        ("get", reverse("admin:profiles_source_add")),
        ("post", reverse("admin:profiles_source_key_add", args=[shop.pk])),
        ("post", reverse("admin:profiles_source_key_rotate", args=[shop.pk, write_key.pk])),
        ("post", reverse("admin:profiles_source_secret_rotate", args=[shop.pk])),
        ("get", reverse("admin:cdp_confirm")),
    ]
    assert [call for call in asked if not asks(getattr(client, call[0])(call[1]))] == []
    free = [
        ("get", reverse("admin:cdp_apikey_change", args=[key.pk])),
        ("get", reverse("admin:cdp_webhook_change", args=[hook.pk])),
        ("post", reverse("admin:cdp_apikey_revoke", args=[key.pk])),
    ]
    assert [call for call in free if asks(getattr(client, call[0])(call[1]))] == []
    hook.refresh_from_db()
    page = client.get(reverse("admin:cdp_webhook_change", args=[hook.pk])).content.decode()
    assert hook.secret not in page
    assert "Confirm your password to see the secret" in page


def test_a_download_comes_after_the_answer(ada: User, unconfirmed: Any) -> None:
    export = start_export(profile_ids=[make_profile().pk], at_once=True, actor=Actor.of_user(ada))
    client, file = unconfirmed(ada), reverse("admin:profiles_profile_export_file", args=[export.pk])
    answer = reply(client, client.get(file), "ada")
    assert answer["Location"] == file
    download: Any = client.get(file)
    assert b"first_name" in b"".join(download.streaming_content)


def test_without_the_right_nobody_is_asked(mira: User, vic: User, unconfirmed: Any) -> None:
    ann = make_profile(email="ann@example.com")
    assert (
        unconfirmed(vic).post(reverse("admin:profiles_profile_gdpr_export", args=[ann.pk])).status_code == 403
    )


def test_the_page_leads_back_to_ours_alone(ada: User, as_user: Any) -> None:
    client = as_user(ada)
    for target, leads_to in (
        ("/admin/cdp/webhook/", "/admin/cdp/webhook/"),
        ("//evil.example/", "/admin/account/"),
        ("https://evil.example/", "/admin/account/"),
        ("", "/admin/account/"),
    ):
        assert client.get("/admin/confirm/", {"next": target})["Location"] == leads_to


def test_the_api_asks_sessions_and_no_key(ada: User, unconfirmed: Any, as_user: Any) -> None:
    ann = make_profile(email="ann@example.com")
    client = unconfirmed(ada)
    session, key = Caller(None, client), Caller(create_key(name="k", scopes=["all"], actor=Actor.system()))
    hook = {"name": "a", "url": "https://example.com/hook", "topics": ["profile.merged"]}
    sentence = (
        "Confirm your password at /admin/confirm/ and send this again: your session has not given it within 15 minutes."
        " An API key is not asked."
    )
    numbers = itertools.count()
    calls: list[Callable[[Caller], Any]] = [
        lambda caller: caller.post("webhooks/", hook),
        lambda caller: caller.post("sources/", {"name": f"shop {next(numbers)}", "kind": "server"}),
        lambda caller: caller.post("exports/", {}),
        lambda caller: caller.get(f"profiles/{ann.pk}/gdpr-export/"),
    ]
    for call in calls:
        refused = call(session)
        assert refusal(refused) == (403, sentence)
        assert refused.data["code"] == "password_not_confirmed"
        assert call(key).status_code in (200, 201, 202)
    assert session.get("webhooks/").status_code == 200
    reply(client, client.get("/admin/confirm/"), "ada")
    for call in calls:
        assert call(session).status_code in (200, 201, 202)
    assert ApiKey.objects.count() == 1
