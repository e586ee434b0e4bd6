"""Tags, attributes, identifier types, sources and webhooks, managed from outside by the admin's own rules."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdp.models import AuditEntry, Webhook
from profiles.models import AttributeDefinition, IdentifierType, Source, Tag
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def test_tags_are_made_renamed_merged_and_deleted(api: Caller) -> None:
    ann = make_profile(tags=["VIP"])
    made = api.post("tags/", {"name": "Gold", "color": "amber"})
    assert (made.status_code, made.data["color"], made.data["people"]) == (201, "amber", 0)
    assert refusal(api.post("tags/", {"name": "gold"})) == (
        400,
        "There is a tag “gold” already. Merge the two instead.",
    )
    vip = Tag.objects.get(name="VIP")
    renamed = api.patch(f"tags/{vip.pk}/", {"name": "Top", "description": "Best."}).data
    assert (renamed["name"], renamed["description"], renamed["people"]) == ("Top", "Best.", 1)
    assert api.get(f"profiles/{ann.pk}/").data["tags"] == ["Top"]
    assert refusal(api.patch(f"tags/{vip.pk}/", {"name": "Gold"})) == (
        409,
        "There is a tag “Gold” already. Merge the two instead.",
    )
    merged = api.post(f"tags/{made.data['id']}/merge/", {"loser_id": vip.pk})
    assert (merged.data["name"], merged.data["people"]) == ("Gold", 1)
    assert refusal(api.get(f"tags/{vip.pk}/")) == (404, f"There is no tag #{vip.pk}.")
    assert [row["name"] for row in api.get("tags/").data["results"]] == ["Gold"]
    assert api.delete(f"tags/{made.data['id']}/").status_code == 204
    assert api.get(f"profiles/{ann.pk}/").data["tags"] == []


def test_attribute_rules_are_those_of_the_admin(api: Caller) -> None:
    made = api.post("attributes/", {"name": "plan", "type": "choice", "choices": ["free", "pro"]})
    assert (made.status_code, made.data["choices"]) == (201, ["free", "pro"])
    wrong = {
        "first_name": "“first_name” is a name of the system. Choose another, for example “first_name_custom”.",
        "Plan": "There is an attribute “plan” already.",
        "shoe size": "Use letters, digits and _, starting with a letter.",
    }
    for name, message in wrong.items():
        answer = api.post("attributes/", {"name": name})
        assert refusal(answer) == (400, message)
        assert answer.data["errors"][0]["pointer"] == "/name"
    assert refusal(api.post("attributes/", {"name": "size", "type": "choice"})) == (
        400,
        "List the values to choose from, one per line.",
    )
    path = f"attributes/{made.data['id']}/"
    assert api.patch(path, {"label": "Plan"}).data["label"] == "Plan"
    assert api.patch(path, {"type": "text"}).data["type"] == "text"
    assert refusal(api.patch(path, {"name": "tariff"})) == (
        422,
        "The name of “Plan” cannot be changed: integrations send it. Change the label instead.",
    )
    make_profile(plan="pro")
    assert refusal(api.patch(path, {"type": "number"})) == (
        422,
        "The type of “Plan” cannot be changed: people have values of it.",
    )
    assert refusal(api.delete(path)) == (422, "People have values of “Plan”. Clear them first.")
    other = api.post("attributes/", {"name": "size"}).data["id"]
    assert api.delete(f"attributes/{other}/").status_code == 204
    assert list(AttributeDefinition.objects.values_list("name", "type", "choices")) == [
        ("plan", "text", ["free", "pro"])
    ]


def test_identifier_types(api: Caller) -> None:
    shipped = [row["name"] for row in api.get("identifier-types/").data["results"]]
    assert shipped == ["customer_id", "email", "phone", "anonymous_id"]
    made = api.post("identifier-types/", {"name": "card", "max_per_profile": 2, "blocked_values": ["TEST"]})
    assert made.status_code == 201
    card = made.data
    assert (card["is_unique"], card["strength"], card["blocked_values"]) == (True, "hard", ["test"])
    path = f"identifier-types/{card['id']}/"
    assert refusal(api.patch(path, {"blocked_patterns": ["("]}))[0] == 400
    assert api.patch(path, {"max_per_profile": None}).data["max_per_profile"] is None
    make_profile(identifiers=[("card", "7")])
    assert refusal(api.patch(path, {"normalizer": "email"})) == (
        422,
        "The normalizer of “card” cannot be changed: people have values of it.",
    )
    assert refusal(api.delete(path)) == (422, "People have values of “card”. Remove them first.")
    contact = api.patch(path, {"is_unique": False}).data
    assert (contact["is_unique"], "job_id" in contact) == (False, True)
    email = IdentifierType.objects.get(name="email")
    assert refusal(api.delete(f"identifier-types/{email.pk}/")) == (
        422,
        "“E-mail” ships with the product and stays.",
    )


def test_sources(api: Caller) -> None:
    made = api.post("sources/", {"name": "Shop website", "kind": "web"})
    assert (made.status_code, made.data["door"]) == (201, "web")
    assert made.data["write_key"]
    path = f"sources/{made.data['id']}/"
    assert "write_key" not in api.get(path).data
    assert refusal(api.post("sources/", {"name": "shop WEBSITE"})) == (
        409,
        "There is a source “shop WEBSITE” already.",
    )
    assert api.patch(path, {"name": "Shop"}).data["name"] == "Shop"
    assert refusal(api.patch(path, {"name": "staff"})) == (409, "There is a source “staff” already.")
    assert refusal(api.delete(path)) == (405, 'Method "DELETE" not allowed.')
    assert Source.objects.filter(name="Shop").exists()


def test_webhooks(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"name": "shop", "url": "https://example.com/hook", "topics": ["profile.merged"]}
    made = api.post("webhooks/", body)
    assert made.status_code == 201
    assert len(made.data["secret"]) > 30
    path = f"webhooks/{made.data['id']}/"
    assert "secret" not in api.get(path).data
    assert refusal(api.post("webhooks/", {**body, "url": "http://10.0.0.1/"}))[0] == 400
    assert refusal(api.post("webhooks/", {**body, "topics": ["nothing"]})) == (
        400,
        '"nothing" is not a valid choice.',
    )
    assert api.patch(path, {"is_active": False}).data["is_active"] is False
    ann, bob = make_profile(), make_profile()
    api.patch(path, {"is_active": True})
    api.post(f"profiles/{ann.pk}/merge/", {"loser_id": bob.pk})
    from cdp.webhooks import fan_out

    fan_out()
    deliveries = api.get(f"{path}deliveries/").data["results"]
    assert [(row["topic"], row["state"]) for row in deliveries] == [("profile.merged", "waiting")]
    assert api.post(f"{path}deliveries/{deliveries[0]['id']}/replay/").data["state"] == "waiting"
    assert refusal(api.post(f"{path}deliveries/999/replay/")) == (404, "This webhook has no delivery #999.")
    assert refusal(api.get(f"{path}deliveries/?state=lost"))[0] == 400
    assert api.delete(path).status_code == 204
    assert not Webhook.objects.exists()


def test_definitions_need_their_scope(with_scopes: Callable[..., Caller]) -> None:
    reader, writer = with_scopes("profiles:read"), with_scopes("profiles:write")
    for path in ("tags/", "attributes/", "identifier-types/", "sources/"):
        assert reader.get(path).status_code == 200
        assert refusal(writer.post(path, {"name": "x"})) == (
            403,
            "The API key “shop” needs the scope admin for this.",
        )
    assert refusal(reader.get("webhooks/"))[0] == 403


def test_audit_log_is_read_by_subject_and_action(api: Caller) -> None:
    ann = make_profile()
    api.patch(f"profiles/{ann.pk}/", {"city": "Oslo"})
    rows = api.get(f"audit/?subject=profile:{ann.pk}").data["results"]
    assert [row["action"] for row in rows] == ["profile.update", "profile.create"]
    assert rows[0]["actor"] == "shop"
    assert len(api.get("audit/?action=profile.update").data["results"]) == 1
    assert len(api.get("audit/?action=profile.").data["results"]) == 2
    assert api.get("audit/?until=2020-01-01").data["results"] == []
    assert refusal(api.get("audit/?who=ann")) == (
        400,
        "There is no parameter “who” here. Known parameters: action, actor, count, cursor, key, page_size, since, subject,"
        " until, user.",
    )
    assert AuditEntry.objects.filter(action="profile.update").count() == 1
