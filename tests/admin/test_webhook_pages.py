"""Webhooks in the admin: added with a checked address, tested, rotated; given-up messages sent again."""

from __future__ import annotations

from typing import Any

import pytest

from cdp import http_client, webhooks
from cdp.models import AuditEntry, Delivery, OutboxMessage, User, Webhook

pytestmark = pytest.mark.django_db
LIST = "/admin/cdp/webhook/"
FORM = {"name": "Shop", "url": "https://hooks.example.com/x", "topics": ["profile.merged"], "is_active": "on"}


def delivery(state: str = "dead", **fields: Any) -> Delivery:
    webhook = Webhook.objects.create(name="Shop", url="https://hooks.example.com/", topics=["profile.merged"])
    message = OutboxMessage.objects.create(
        topic="profile.merged", profile_id=7, payload={"winner_id": 7, "text": "<b>"}, is_fanned_out=True
    )
    return Delivery.objects.create(webhook=webhook, message=message, profile_id=7, state=state, **fields)


def test_a_webhook_is_added_with_an_address_that_may_be_called(as_user: Any, ada: User) -> None:
    client = as_user(ada)
    refused = client.post(f"{LIST}add/", {**FORM, "url": "https://10.0.0.8/hook", "topics": []})
    assert refused.status_code == 200
    assert refused.context["adminform"].form.errors == {
        "url": ["“10.0.0.8” is in a private network. Webhooks go to public addresses only."],
        "topics": ["Choose at least one topic."],
    }
    assert client.post(f"{LIST}add/", FORM).status_code == 302
    webhook = Webhook.objects.get()
    assert (webhook.url, webhook.topics, len(webhook.secret)) == (
        "https://hooks.example.com/x",
        ["profile.merged"],
        43,
    )
    assert AuditEntry.objects.filter(action="webhook.add", subject=f"webhook:{webhook.pk}").exists()


def test_the_secret_is_shown_to_those_who_may_change_it_and_can_be_made_anew(
    as_user: Any, ada: User, make_user: Any
) -> None:
    hook = delivery().webhook
    page = f"{LIST}{hook.pk}/change/"
    assert hook.secret in as_user(ada).get(page).content.decode()
    reader = make_user("rita")
    reader.user_permissions.add(*_permissions("view_webhook"))
    text = as_user(reader).get(page).content.decode()
    assert "Shop" in text
    assert hook.secret not in text
    assert as_user(reader).post(f"{LIST}{hook.pk}/secret/").status_code == 403
    assert as_user(ada).post(f"{LIST}{hook.pk}/secret/").status_code == 302
    assert Webhook.objects.get().secret != hook.secret
    assert AuditEntry.objects.filter(action="webhook.secret").count() == 1


def _permissions(*names: str) -> Any:
    from django.contrib.auth.models import Permission

    return Permission.objects.filter(codename__in=names)


def test_a_test_says_what_came_back(as_user: Any, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = delivery().webhook
    answers = iter([http_client.Answer(200), http_client.Answer(500, "Answered 500.")])
    monkeypatch.setattr(webhooks, "post", lambda *_, **__: next(answers))
    client = as_user(ada)
    said = [
        str(message)
        for _ in range(2)
        for message in client.post(f"{LIST}{hook.pk}/test/", follow=True).context["messages"]
    ]
    assert said == ["Shop received the test and answered 200.", "Shop did not accept the test. Answered 500."]


def test_given_up_messages_are_seen_and_sent_again(as_user: Any, ada: User) -> None:
    row = delivery(attempts=10, status=503, problem="Answered 503.")
    client = as_user(ada)
    assert "given up" in client.get(LIST).content.decode()
    listed = client.get("/admin/cdp/delivery/?state__exact=dead").content.decode()
    assert "Answered 503." in listed
    detail = client.get(f"/admin/cdp/delivery/{row.pk}/change/").content.decode()
    assert "&lt;b&gt;" in detail
    client.post("/admin/cdp/delivery/", {"action": "replay_selected", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("waiting", 0)
    assert client.get("/admin/cdp/delivery/9999/change/").status_code == 404


def test_support_staff_do_not_come_in(as_user: Any, sam: User) -> None:
    row = delivery()
    client = as_user(sam)
    for url in (
        LIST,
        f"{LIST}{row.webhook_id}/change/",
        "/admin/cdp/delivery/",
        f"/admin/cdp/delivery/{row.pk}/change/",
    ):
        assert client.get(url).status_code == 403
    for url in (f"{LIST}{row.webhook_id}/test/", f"/admin/cdp/delivery/{row.pk}/replay/"):
        assert client.post(url).status_code == 403


def test_lists_are_empty_with_a_next_step(as_user: Any, ada: User) -> None:
    client = as_user(ada)
    assert "No webhooks yet" in client.get(LIST).content.decode()
    assert "No deliveries yet" in client.get("/admin/cdp/delivery/").content.decode()
