"""What belongs to one person: history, events, notes, tags, consents, identifiers, addresses, the merge lock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from profiles.models import AttributeDefinition, Change, Event
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile
from tests.tracking.calls import call, holder, make_sender

pytestmark = pytest.mark.django_db


def walk(api: Caller, path: str) -> list[dict[str, Any]]:
    """Every row of a list, page after page, by its ``next`` links."""
    found: list[dict[str, Any]] = []
    while path:
        answer = api.get(path)
        assert answer.status_code == 200, answer.data
        found += answer.data["results"]
        path = (answer.data["next"] or "").replace("http://testserver", "")
    return found


def test_events_come_back_newest_first_and_once(api: Caller) -> None:
    ann = make_profile(first_name="Ann")
    now = timezone.now()
    for hours in (3, 1, 2):
        body = {
            "name": f"E{hours}",
            "occurred_at": (now - timedelta(hours=hours)).isoformat(),
            "properties": {"n": hours},
        }
        assert api.post(f"profiles/{ann.pk}/events/", body).status_code == 201
    names = [row["name"] for row in walk(api, f"profiles/{ann.pk}/events/?page_size=1")]
    assert names == ["E1", "E2", "E3"]
    only = api.get(f"profiles/{ann.pk}/events/?name=E2").data["results"]
    assert [(row["name"], row["properties"], row["source"]) for row in only] == [("E2", {"n": 2}, "API")]
    body = {"name": "Once", "message_id": "6f0c0ec2-9d6c-4b6f-8f6c-0d7cbb1f9a01"}
    first, again = (api.post(f"profiles/{ann.pk}/events/", body) for _ in range(2))
    assert first.data["id"] == again.data["id"]
    assert Event.objects.count() == 4


@pytest.mark.parametrize(
    ("body", "pointer", "message"),
    [
        ({}, "/name", "This field is required."),
        ({"name": " "}, "/name", "Give the event a name of 1 to 255 characters."),
        (
            {"name": "X", "properties": []},
            "/properties",
            'Expected a dictionary of items but got type "list".',
        ),
        (
            {"name": "X", "properties": {"a": "x" * 33_000}},
            "/properties",
            "At most 32,768 bytes of properties; these are 33,008.",
        ),
        (
            {"name": "X", "occurred_at": "2999-01-01T00:00:00Z"},
            "/occurred_at",
            "An event cannot have happened in the future.",
        ),
        ({"name": "X", "message_id": "1"}, "/message_id", "Must be a valid UUID."),
    ],
)
def test_event_that_is_none_is_pointed_at(api: Caller, body: Any, pointer: str, message: str) -> None:
    ann = make_profile()
    answer = api.post(f"profiles/{ann.pk}/events/", body)
    assert refusal(answer) == (400, message)
    assert answer.data["errors"][0]["pointer"] == pointer
    assert Event.objects.count() == 0


def test_timeline_unites_events_journal_and_notes(api: Caller) -> None:
    ann = make_profile(first_name="Ann")
    api.post(f"profiles/{ann.pk}/events/", {"name": "Order Completed"})
    api.post(f"profiles/{ann.pk}/notes/", {"text": "Called back."})
    api.patch(f"profiles/{ann.pk}/", {"city": "Oslo"})
    path = f"profiles/{ann.pk}/timeline/"
    rows = walk(api, f"{path}?page_size=2")
    assert sorted(row["kind"] for row in rows) == ["change", "change", "event", "note"]
    changed = next(row for row in rows if row.get("change") == "updated")
    assert changed["fields"] == {"city": [None, "Oslo"]}
    assert (changed["actor"], changed["source"], changed["cause"]) == ("shop", "API", "request")
    assert [row["name"] for row in walk(api, f"{path}?kind=event")] == ["Order Completed"]
    assert len(walk(api, f"{path}?kind=change")) == 2
    assert refusal(api.get(f"{path}?kind=dream"))[0] == 400
    assert refusal(api.get(f"{path}?cursor=x"))[0] == 400
    assert refusal(api.get(f"{path}?sort=up"))[0] == 400


def test_notes(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    ann = make_profile()
    made = api.post(f"profiles/{ann.pk}/notes/", {"text": "Called Ann."})
    assert (made.status_code, made.data["text"], made.data["actor"]) == (201, "Called Ann.", "shop")
    assert api.get(f"profiles/{ann.pk}/notes/").data["results"] == [made.data]
    assert refusal(api.post(f"profiles/{ann.pk}/notes/", {"text": " "})) == (400, "Write a note.")
    masked = with_scopes("profiles:read").get(f"profiles/{ann.pk}/notes/").data["results"][0]
    assert masked["text"] == "••• (2 words)"


def test_carts(api: Caller) -> None:
    shop, at = make_sender("web"), timezone.now() - timedelta(hours=2)

    def cart(minutes: int, name: str, cart_id: str) -> dict[str, Any]:
        when = (at + timedelta(minutes=minutes)).isoformat()
        fields = {"cart_id": cart_id, "sku": f"S{minutes}", "total": 9.5, "currency": "EUR"}
        return {"type": "track", "event": name, "anonymousId": "b1", "timestamp": when, "properties": fields}

    call(shop, cart(0, "Added to Cart", "first-1"), cart(1, "Added to Cart", "first-1"))
    root = holder("anonymous_id", "b1")
    assert root is not None
    path = f"profiles/{root.pk}/carts/"
    call(shop, cart(5, "Added to Cart", "second-2"), cart(6, "Order Completed", "second-2"))
    rows = walk(api, f"{path}?page_size=1")
    read = [
        (row["cart_id"], row["state"], row["events"], row["last_event"], row["superseded_by"]) for row in rows
    ]
    assert read == [
        ("second-2", "ordered", 2, "Order Completed", None),
        ("first-1", "superseded", 2, "Added to Cart", "second-2"),
    ]
    assert walk(api, f"profiles/{make_profile().pk}/carts/") == []


@pytest.mark.parametrize("tag", ["vip", "a%2Fb", "x/y", "Very%20good%20customer"])
def test_tags_go_on_and_off_any_number_of_times(api: Caller, tag: str) -> None:
    from urllib.parse import unquote

    ann = make_profile()
    path = f"profiles/{ann.pk}/tags/{tag}"
    assert api.put(path).data == {"id": ann.pk, "tags": [unquote(tag)], "changed": True}
    assert api.put(f"{path}/").data["changed"] is False
    assert api.delete(path).status_code == 204
    assert api.delete(f"{path}/").status_code == 204
    assert api.get(f"profiles/{ann.pk}").data["tags"] == []


def test_tag_that_is_none(api: Caller) -> None:
    ann = make_profile()
    assert refusal(api.put(f"profiles/{ann.pk}/tags/a,b/")) == (400, "A tag has no comma and no line break.")


def test_consents_are_a_ledger_with_what_holds_now(api: Caller) -> None:
    ann = make_profile(email="ann@example.com")
    path = "profiles/email:ann@example.com/consents/"
    granted = api.post(
        path, {"channel": "email", "purpose": "newsletter", "state": "granted", "wording": "v2"}
    )
    assert granted.status_code == 201
    assert granted.data["current"]["state"] == "granted"
    unknown = {"channel": "sms", "purpose": "Offers", "state": "granted", "at": None}
    assert api.post(path, unknown).data["current"]["state"] == "withdrawn"
    withdrawn = api.post(path, {"channel": "email", "purpose": "newsletter", "state": "withdrawn"})
    assert withdrawn.data["current"]["state"] == "withdrawn"
    ledger = api.get(path).data
    assert [row["state"] for row in ledger["results"]] == ["withdrawn", "granted", "granted"]
    now = {(row["channel"], row["purpose"]): row["state"] for row in ledger["current"]}
    assert now == {("email", "newsletter"): "withdrawn", ("sms", "marketing"): "withdrawn"}
    assert api.get(f"profiles/{ann.pk}/").data["consents"] == ledger["current"]
    assert refusal(api.post(path, {"channel": "email", "purpose": "newsletter", "state": "maybe"})) == (
        400,
        "Write “granted” or “withdrawn”.",
    )


def test_identifiers_come_and_go(api: Caller) -> None:
    ann, bob = make_profile(email="ann@example.com"), make_profile(email="bob@example.com")
    path = f"profiles/{ann.pk}/identifiers"
    made = api.put(f"{path}/customer_id/A%2F1/", {"verified": True})
    assert (made.status_code, made.data["value"], made.data["verified"]) == (201, "A/1", True)
    assert api.put(f"{path}/customer_id/A%2F1").status_code == 200
    assert api.get("profiles/customer_id:A/1/").data["id"] == ann.pk
    taken = api.put(f"{path}/email/BOB%40example.com/")
    assert refusal(taken) == (409, f"email bob@example.com already belongs to profile #{bob.pk}.")
    assert refusal(api.put(f"{path}/customer_id/A2/")) == (
        422,
        "One person has at most 1 customer_id; this would make 2: A/1, A2.",
    )
    assert refusal(api.put(f"{path}/fax/1/"))[0] == 400
    assert api.delete(f"{path}/customer_id/A%2F1/").status_code == 204
    assert refusal(api.delete(f"{path}/customer_id/A%2F1/")) == (
        404,
        f"Profile #{ann.pk} has no customer_id “A/1”.",
    )
    assert refusal(api.get("profiles/customer_id:A/1/"))[0] == 404


def test_addresses(api: Caller) -> None:
    ann = make_profile()
    made = api.post(f"profiles/{ann.pk}/addresses/", {"label": "work", "city": "Oslo", "country": "Norway"})
    assert made.status_code == 201
    address = made.data["addresses"][0]
    assert (address["city"], address["country"]) == ("Oslo", "NO")
    assert refusal(api.post(f"profiles/{ann.pk}/addresses/", {})) == (
        400,
        "Give at least one line of the address.",
    )
    path = f"profiles/{ann.pk}/addresses/{address['id']}/"
    assert api.delete(path).status_code == 204
    assert refusal(api.delete(path)) == (404, f"Profile #{ann.pk} has no such address.")


def test_every_value_that_was_there_is_in_the_gdpr_export(
    api: Caller, with_scopes: Callable[..., Caller]
) -> None:
    AttributeDefinition.objects.create(name="plan", type="text")
    ann = make_profile(first_name="Ann", email="ann@example.com", plan="pro")
    api.post(f"profiles/{ann.pk}/notes/", {"text": "A note on Ann."})
    answer = api.get(f"profiles/{ann.pk}/gdpr-export/")
    assert answer.status_code == 200
    assert answer["Content-Disposition"] == f'attachment; filename="profile-{ann.pk}.json"'
    content = b"".join(answer.streaming_content).decode()
    for value in ("Ann", "ann@example.com", "pro", "A note on Ann."):
        assert value in content
    refused = with_scopes("profiles:read", "pii").get(f"profiles/{ann.pk}/gdpr-export/")
    assert refusal(refused) == (403, "The API key “shop” needs the scope exports or privacy for this.")
    for number, scope in enumerate(("exports", "privacy")):
        blind = with_scopes("profiles:read", scope, name=f"blind {number}")
        masked = blind.get(f"profiles/{ann.pk}/gdpr-export/")
        assert masked["Content-Disposition"] == f'attachment; filename="profile-{ann.pk}-masked.json"'
        content = b"".join(masked.streaming_content).decode()
        assert [value for value in ("Ann", "ann@example.com", "A note on Ann.") if value in content] == []
        allowed = with_scopes(scope, "pii", name=f"seer {number}").get(f"profiles/{ann.pk}/gdpr-export/")
        assert "ann@example.com" in b"".join(allowed.streaming_content).decode()


def test_the_proof_of_a_consent_is_masked(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    ann = make_profile(email="ann@example.com")
    path = f"profiles/{ann.pk}/consents/"
    proof = {
        "form": "https://shop.example/account?email=ann%40example.com",
        "said": "Ann Lee",
        "ann@example.com": 1,
    }
    body = {"channel": "email", "purpose": "news", "state": "granted", "proof": proof}
    assert api.post(path, body).data["proof"] == proof
    masked = {"form": "•••", "said": "•••", "•••": "•••"}
    writer = with_scopes("profiles:write", name="writer")
    assert writer.get(path).data["results"][0]["proof"] == masked
    assert writer.post(path, {**body, "state": "withdrawn", "proof": {"by": "Ann"}}).data["proof"] == {
        "by": "•••"
    }


def test_journal_names_the_key_that_wrote(api: Caller) -> None:
    ann = make_profile()
    api.put(f"profiles/{ann.pk}/tags/vip/")
    change = Change.objects.order_by("-id")[0]
    assert (change.key and change.key.name, change.source.channel) == ("shop", "api")
