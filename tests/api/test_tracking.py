"""Events, receipts, replays, and sources with their keys, from outside."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cdp.jobs import run_to_end
from cdp.models import Job, Look
from profiles.merging.merge import merge_profiles
from profiles.models import Event, Receipt
from profiles.tracking.rejected.receipts import waiting
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile
from tests.tracking.rejected import make_source, reject, send

pytestmark = pytest.mark.django_db
EMAIL = "ann@example.com"


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.data["results"]]


# --- Events -----------------------------------------------------------------------------------------------


def test_an_event_as_it_was_sent(api: Caller, by_staff: dict[str, Any]) -> None:
    source, ann = make_source(name="Shop"), make_profile(email=EMAIL)
    send(
        source,
        {
            "type": "track",
            "event": "Added to Cart",
            "anonymousId": "b-1",
            "messageId": "node-1",
            "properties": {"sku": "S"},
            "context": {"ip": "203.0.113.7"},
        },
    )
    guest = Event.objects.get()
    merge_profiles(winner_id=ann.pk, loser_id=guest.profile_id, **by_staff)
    (row,) = api.get("events/").data["results"]
    times = {name: row.pop(name) for name in ("occurred_at", "received_at")}
    assert row == {
        "id": guest.pk,
        "message_id": "node-1",
        "kind": "track",
        "name": "Added to Cart",
        "category": None,
        "channel": None,
        "profile_id": ann.pk,
        "user_id": None,
        "anonymous_id": "b-1",
        "group_id": None,
        "previous_id": None,
        "properties": {"sku": "S"},
        "context": {"ip": "203.0.113.7"},
        "source": "Shop",
        "marks": [],
    }
    assert all(value.endswith("Z") for value in times.values())
    given = str(uuid.uuid4())
    send(
        source,
        {"type": "identify", "userId": "C-1", "messageId": given, "traits": {"email": "b@example.com"}},
    )
    newest = api.get("events/?page_size=1").data["results"][0]
    assert (newest["kind"], newest["message_id"], newest["user_id"]) == ("identify", given, "C-1")


def test_pages_and_what_is_sent_beside(api: Caller, by_staff: dict[str, Any]) -> None:
    source = make_source(name="Shop")
    for item in (
        {"type": "page", "name": "Pricing", "category": "Shop", "channel": "web"},
        {"type": "screen", "properties": {"name": "Home"}},
        {"type": "page"},
        {"type": "track", "event": "Looked", "groupId": 7, "category": "Shop", "traits": {"plan": "pro"}},
        {"type": "alias", "previousId": "b-0"},
    ):
        send(source, {"userId": "C-1", **item})
    rows = api.get("events/").data["results"][::-1]
    given = [(row["kind"], row["name"], row["category"], row["channel"], row["group_id"]) for row in rows]
    assert given == [
        ("page", "Pricing", "Shop", "web", None),
        ("screen", "Home", None, None, None),
        ("page", "page", None, None, None),
        ("track", "Looked", "Shop", None, "7"),
        ("alias", "alias", None, None, None),
    ]
    assert rows[-1]["previous_id"] == "b-0"
    ref = f"profiles/{rows[0]['profile_id']}"
    assert api.get(f"{ref}/events/").data["results"][-1]["name"] == "Pricing"
    assert api.get(f"{ref}/timeline/?name=page").data["results"][-1]["name"] == "Pricing"
    exported = b"".join(api.get(f"{ref}/gdpr-export/")).decode()
    assert all(text in exported for text in ("Pricing", "plan", "channel", "group_id"))


def test_events_by_each_filter(api: Caller) -> None:
    shop, desk, now = make_source(name="Shop"), make_source(name="Desk"), timezone.now()
    ann = make_profile(identifiers=[("customer_id", "C-1")])
    old = now - datetime.timedelta(days=3)
    send(shop, {"type": "page", "userId": "C-1", "messageId": "m-1"}, at=old)
    send(desk, {"type": "page", "anonymousId": "b", "messageId": "m-1"})
    send(shop, {"type": "track", "event": "Viewed", "anonymousId": "b", "messageId": "m-2"})
    first, second, third = Event.objects.order_by("pk").values_list("pk", flat=True)
    assert ids(api.get("events/")) == [third, second, first]
    assert ids(api.get("events/?source=shop")) == ids(api.get(f"events/?source={shop.pk}")) == [third, first]
    assert ids(api.get("events/?message_id=m-1")) == [second, first]
    assert ids(api.get("events/?message_id=m-1&source=Desk")) == [second]
    assert ids(api.get("events/?message_id=nothing")) == []
    assert ids(api.get("events/?name=Viewed")) == ids(api.get("events/?kind=track")) == [third]
    assert ids(api.get("events/?name=Unheard")) == []
    assert (
        ids(api.get(f"events/?profile={ann.pk}"))
        == ids(api.get("events/?profile=customer_id:C-1"))
        == [first]
    )
    since = quote((now - datetime.timedelta(hours=1)).isoformat())
    assert ids(api.get(f"events/?received_at_after={since}")) == [third, second]
    assert ids(api.get(f"events/?received_at_before={since}")) == [first]
    assert api.get("events/?count=exact&source=shop").data["count"] == 2
    page = api.get("events/?page_size=2").data
    assert ids(api.get(page["next"].removeprefix("http://testserver"))) == [first]
    assert refusal(api.get("events/?source=x")) == (400, "There is no source “x”.")
    assert refusal(api.get("events/?kind=x"))[1].startswith("kind is one of track, page, ")
    assert refusal(api.get("events/?when=now"))[1].startswith("There is no parameter “when” here.")
    assert refusal(api.get("events/?profile=999999"))[0] == 404


def test_events_without_personal_data(with_scopes: Callable[..., Caller]) -> None:
    send(make_source(), {"type": "identify", "userId": "C-20417", "traits": {"email": EMAIL, "plan": "pro"}})
    masked = with_scopes("profiles:read", name="masked")
    (row,) = masked.get("events/").data["results"]
    assert (row["user_id"], row["properties"]) == ("C-•••", {"email": "•••", "plan": "pro"})
    page = {
        "title": "Ann Lee",
        "url": "https://shop.example/me?email=canurl%40example.com&plan=pro",
        "path": "/me",
    }
    send(
        make_source(),
        {"type": "page", "userId": "C-20417", "properties": page, "context": {"page": page}},
        {
            "type": "track",
            "event": "Ordered",
            "userId": "C-20417",
            "properties": {
                "delivery": {"to": "Ann Lee", "method": "post"},
                "comment": "For Ann",
                "shipping": 4.9,
                "description": "A zip hoodie",
            },
        },
    )
    shown = {"title": "•••", "url": "https://shop.example/me?email=•••&plan=pro", "path": "/me"}
    rows = {row["kind"]: row for row in masked.get("events/").data["results"]}
    assert (rows["page"]["properties"], rows["page"]["context"]["page"]) == (shown, shown)
    assert rows["track"]["properties"] == {
        "delivery": {"to": "•••", "method": "post"},
        "comment": "•••",
        "shipping": 4.9,
        "description": "A zip hoodie",
    }
    assert set(Look.objects.values_list("kind", "is_masked")) == {("events", True)}
    with_pii = with_scopes("profiles:read", "pii").get("events/").data["results"]
    (row,) = [row for row in with_pii if row["kind"] == "identify"]
    assert row["properties"]["email"] == EMAIL
    look = Look.objects.latest("pk")
    assert (look.kind, look.is_masked, len(look.profile_ids)) == ("events", False, 1)
    assert refusal(with_scopes("imports", name="files").get("events/"))[0] == 403


def test_lists_ask_the_same_number_of_queries(api: Caller) -> None:
    source = make_source()
    counts: list[int] = []
    api.get("events/")  # the key's first use is noted
    for number in (1, 60):
        send(source, *({"type": "page", "anonymousId": f"b-{number}-{n}"} for n in range(number)))
        for _ in range(number):
            reject(source)
        counts.append([])
        for path in ("events/?page_size=500", "receipts/?page_size=500", "sources/?page_size=500"):
            with CaptureQueriesContext(connection) as queries:
                api.get(path)
            counts[-1].append(len(queries))
    assert counts[0] == counts[1]


def test_events_are_read_by_their_indexes() -> None:
    source = make_source()
    send(source, {"type": "page", "anonymousId": "b"})
    one = Event.objects.get()
    Event.objects.bulk_create(
        Event(
            profile_id=one.profile_id,
            name_id=one.name_id,
            source_id=one.source_id,
            message_id=uuid.uuid4(),
            occurred_at=one.occurred_at,
        )
        for _ in range(5_000)
    )
    with connection.cursor() as cursor:
        # All that is joined: other tests leave statistics of tables that were full.
        cursor.execute("ANALYZE profiles_event, profiles_eventname, profiles_source, profiles_profile")

    def plan(queryset: Any) -> str:
        return json.dumps(json.loads(queryset.order_by("-id")[:51].explain(format="json")))

    everything = Event.objects.by_canonical().select_related("name", "source")
    assert '"Index Name": "profiles_event_pkey"' in plan(everything)
    assert "event_once_per_source" in plan(
        everything.filter(source_id__in=[1, 2, 3], message_id=uuid.uuid4())
    )
    assert "event_of_profile" in plan(everything.filter(profile_id__in=[10**9]))


# --- Receipts ---------------------------------------------------------------------------------------------


def test_receipts(api: Caller) -> None:
    source = make_source(name="Shop")
    send(
        source, {"type": "page", "anonymousId": "b", "messageId": "m-1"}, {"type": "page", "messageId": "m-2"}
    )
    fine, odd = Receipt.objects.order_by("pk")
    assert ids(api.get("receipts/")) == [odd.pk, fine.pk]
    assert ids(api.get("receipts/?state=waiting")) == ids(api.get("receipts/?outcome=invalid")) == [odd.pk]
    assert (
        ids(api.get("receipts/?outcome=applied&source=Shop"))
        == ids(api.get("receipts/?message_id=m-1"))
        == [fine.pk]
    )
    assert refusal(api.get("receipts/?outcome=lost"))[1].startswith("“lost” is not an outcome.")
    assert refusal(api.get("receipts/?x=1"))[0] == 400
    row = api.get(f"receipts/{odd.pk}/").data
    assert (row["source"], row["code"], row["message_id"], row["payload"]) == (
        "Shop",
        "missing_identifier",
        "m-2",
        {"type": "page", "messageId": "m-2"},
    )
    assert refusal(api.get("receipts/999999999/")) == (404, "There is no receipt #999999999.")


def test_replay(api: Caller) -> None:
    source = make_source()
    row = reject(source, {"type": "track", "event": "Viewed", "messageId": "m-1"})
    path = f"receipts/{row.pk}/replay/"
    assert refusal(api.post(path, {"payload": [1]})) == (
        400,
        "An item is a JSON object, written in curly brackets.",
    )
    assert refusal(api.post(path, {"fixed": {}}))[1].startswith("There is no field “fixed” here.")
    tried = api.post(
        f"{path}?dry_run=true", {"payload": {"type": "track", "event": "Viewed", "userId": "C-1"}}
    )
    assert (tried.data["outcome"], tried.data["dry_run"]) == ("applied", True)
    assert waiting().get() == row, "trying changes nothing"
    done = api.post(path, {"payload": {"type": "track", "event": "Viewed", "userId": "C-1"}})
    assert done.status_code == 200
    made = Receipt.objects.get(replay_of=row)
    assert done.data == {
        "outcome": "applied",
        "code": "",
        "message": "",
        "messageId": "m-1",
        "profile_id": Event.objects.get().profile_id,
        "replay_of": row.pk,
        "receipt_id": made.pk,
    }
    assert refusal(api.post(path, {})) == (409, f"Item #{row.pk} was replayed already.")
    assert refusal(api.post("receipts/999999999/replay/", {}))[0] == 404
    bare = api.post(
        f"receipts/{reject(source).pk}/replay/", {"type": "track", "event": "Viewed", "userId": "C-1"}
    )
    assert (bare.data["outcome"], bare.data["profile_id"]) == ("applied", done.data["profile_id"])
    again = api.post(f"receipts/{reject(source).pk}/replay/")
    assert (again.status_code, again.data["outcome"], again.data["code"]) == (
        200,
        "invalid",
        "missing_identifier",
    )


def test_many(api: Caller) -> None:
    source = make_source(name="Shop")
    rows = [
        reject(
            source,
            {"type": "track", "event": "V", "anonymousId": "b", "properties": {"p": "1"}},
            message_id="",
        )
        for _ in range(3)
    ]
    other = reject(make_source())
    for body, sentence in (
        ({}, "Name receipts by “ids”, or choose them with “filter”."),
        ({"ids": [1], "filter": {}}, "Name receipts by “ids”, or choose them with “filter”."),
        ({"ids": [999999999]}, "None of these waits under Rejected."),
        ({"filter": {"source": "x"}}, "There is no source “x”."),
        ({"filter": {}, "repairs": [{"do": "x"}]}, "A repair is one of rename, set, number."),
    ):
        assert refusal(api.post("receipts/replay/", body)) == (400, sentence), body
    answer = api.post(
        "receipts/replay/", {"filter": {"source": "Shop"}, "repairs": [{"do": "number", "name": "p"}]}
    )
    assert (answer.status_code, answer.data["title"]) == (202, "Replay 3 rejected items")
    run_to_end(Job.objects.get(pk=answer.data["id"]))
    assert set(Event.objects.values_list("properties__p", flat=True)) == {1}
    assert Event.objects.count() == len(rows)
    gone = api.post("receipts/dismiss/", {"ids": [other.pk], "reason": "a test"})
    assert gone.status_code == 202
    run_to_end(Job.objects.get(pk=gone.data["id"]))
    assert api.get(f"receipts/{other.pk}/").data["resolution"] == "dismissed"


def test_dismiss_one(api: Caller) -> None:
    row = reject(make_source())
    path = f"receipts/{row.pk}/dismiss/"
    assert refusal(api.post(path, {"reason": "x" * 301}))[0] == 400
    assert api.post(path, {"reason": "a test"}).data["resolution"] == "dismissed"
    assert api.post(path).data["resolution"] == "dismissed"
    assert not waiting().exists()


def test_rights_to_receipts(with_scopes: Callable[..., Caller]) -> None:
    row = reject(
        make_source(), {"traits": {"email": EMAIL}}, problems=[{"pointer": "/traits/email", "value": EMAIL}]
    )
    reader, stranger = with_scopes("profiles:read", name="reader"), with_scopes("imports", name="files")
    answer = reader.get(f"receipts/{row.pk}/")
    assert EMAIL not in answer.content.decode()
    assert answer.data["payload"] == {"traits": {"email": "•••"}}
    for path in (
        f"receipts/{row.pk}/replay/",
        "receipts/replay/",
        f"receipts/{row.pk}/dismiss/",
        "receipts/dismiss/",
    ):
        assert refusal(reader.post(path, {"ids": [row.pk]}))[0] == 403
    for path in ("receipts/", f"receipts/{row.pk}/"):
        assert refusal(stranger.get(path))[0] == 403
    assert waiting().get() == row


# --- Sources ----------------------------------------------------------------------------------------------


def test_settings_and_keys_of_a_source(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    made = api.post("sources/", {"name": "Shop", "kind": "web"}).data
    path = f"sources/{made['id']}/"
    assert (made["schema_mode"], made["main_type"], made["allowed_origins"]) == ("observe", None, [])
    changed = api.patch(
        path,
        {"schema_mode": "warn", "main_type": "customer_id", "allowed_origins": ["https://Shop.example.com/"]},
    ).data
    assert (changed["schema_mode"], changed["main_type"]) == ("warn", "customer_id")
    assert changed["allowed_origins"] == ["https://shop.example.com"]
    assert refusal(api.patch(path, {"needs_user_hash": "yes"})) == (400, "Write true or false.")
    assert refusal(api.patch(path, {"merges_per_hour": -1}))[0] == 400
    assert refusal(api.patch(path, {"hash_secret": "x"}))[0] == 400
    (first,) = api.get(f"{path}keys/").data["results"]
    assert (first["kind"], first["prefix"], "write_key" in first) == ("web", made["write_key"][:8], False)
    second = api.post(f"{path}keys/", {"kind": "server"})
    assert (second.status_code, second.data["prefix"]) == (201, second.data["write_key"][:8])
    turned = api.post(f"{path}keys/{first['id']}/rotate/", {"overlap_hours": 1})
    assert (turned.status_code, turned.data["kind"]) == (201, "web")
    assert refusal(api.post(f"{path}keys/{first['id']}/rotate/", {}))[0] == 422
    assert refusal(api.post(f"{path}keys/{turned.data['id']}/rotate/", {"overlap_hours": 999}))[0] == 400
    ended = api.post(f"{path}keys/{second.data['id']}/revoke/").data
    assert ended["revoked_at"]
    other = make_source()
    assert refusal(api.post(f"sources/{other.pk}/keys/{first['id']}/revoke/"))[0] == 404
    reader = with_scopes("profiles:read", name="reader")
    assert reader.get(f"{path}keys/").status_code == 200
    assert refusal(reader.post(f"{path}keys/", {"kind": "web"}))[0] == 403
