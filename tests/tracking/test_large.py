"""Items over 32 KB: refused, kept as far as 256 KB, shown, made smaller and replayed with their own time."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.errors import Invalid, RuleForbids
from cdp.jobs import run_to_end
from cdp.models import User
from profiles.models import Event, Receipt, Source
from profiles.tracking.rejected.receipts import waiting
from profiles.tracking.rejected.replay import replay_many, replay_receipt
from profiles.tracking.sources.sources import create_source
from tests.api.caller import Caller, refusal
from tests.tracking.rejected import reject

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
LARGE = {
    "type": "track",
    "event": "Seen",
    "userId": "C-1",
    "messageId": "m-1",
    "properties": {"html": "x" * 40_000},
}


@pytest.fixture
def actor(ada: User) -> Actor:
    return Actor.of_user(ada)


@pytest.fixture
def write_key(db: None) -> str:
    return create_source(name="Shop", kind="server", actor=SYSTEM).write_key


def post(write_key: str, body: Any, path: str = "/v1/batch") -> Any:
    sent = Client().post(path, body, "application/json", headers={"X-Write-Key": write_key})
    assert sent.status_code == 200, sent.content
    return sent.json()


def problems(receipt: Receipt) -> list[tuple[str, str]]:
    return [(one["pointer"], one["message"]) for one in receipt.problems or []]


def test_an_item_is_kept_mended_and_replayed(write_key: str, actor: Actor) -> None:
    sent_at = (timezone.now() - datetime.timedelta(hours=1)).isoformat()
    batch = {"batch": [LARGE], "sentAt": sent_at, "context": {"locale": "pl"}}
    assert post(write_key, batch)["errors"][0]["code"] == "too_large"
    row = waiting().get()
    whole = {**LARGE, "sentAt": sent_at, "context": {"locale": "pl"}}
    assert (row.outcome, row.kind, row.name, row.payload) == ("invalid", "track", "Seen", whole)
    size = len(json.dumps(LARGE, separators=(",", ":"))) + len('{"locale":"pl"}')
    assert problems(row) == [
        ("", f"The item has {size:,} bytes; the limit is 32,768."),
        ("/properties/html", "40,002 bytes."),
    ]
    with pytest.raises(
        RuleForbids, match="^This item has 40,.* bytes; the limit is 32,768. Make it smaller, then replay"
    ):
        replay_receipt(receipt_id=row.pk, actor=actor)
    with pytest.raises(Invalid, match="^An item has at most 32,768 bytes; this one has 40,"):
        replay_receipt(receipt_id=row.pk, payload={**whole, "more": 1}, actor=actor)
    mended = {**whole, "properties": {"html": "x"}}
    assert replay_receipt(receipt_id=row.pk, payload=mended, actor=actor).outcome == "applied"
    event = Event.objects.get()
    assert (event.properties, event.context["locale"]) == ({"html": "x"}, "pl")
    assert abs(event.occurred_at - row.received_at) < datetime.timedelta(hours=2)
    assert not waiting().exists()
    # The same message again is the same message.
    assert post(write_key, {"batch": [mended]})["duplicates"] == 1


def test_the_call_of_an_address_is_replayed_as_that_call(write_key: str, actor: Actor) -> None:
    post(write_key, {"userId": "7", "traits": {"firstName": "Ann", "note": "x" * 40_000}}, "/v1/identify")
    row = waiting().get()
    assert (row.kind, "type" in row.payload) == ("identify", False)
    done = replay_receipt(
        receipt_id=row.pk, payload={"userId": "7", "traits": {"firstName": "Ann"}}, actor=actor
    )
    assert (done.outcome, Event.objects.get().kind) == ("applied", "identify")


def test_what_is_beyond_the_limit_is_cut_and_compressed(write_key: str, actor: Actor) -> None:
    post(write_key, {"batch": [{**LARGE, "properties": {"html": "<p>canary</p>" * 100_000, "price": 1}}]})
    row = waiting().get()
    assert row.payload["properties"]["price"] == 1
    assert problems(row)[1][1].startswith("1,300,000 characters; the first ")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT octet_length(payload::text), pg_column_size(payload), pg_column_compression(payload)"
            " FROM profiles_receipt"
        )
        size, stored, how = cursor.fetchone()
    assert 100_000 < size <= 256 * 1024
    assert stored < size / 10
    assert how in ("pglz", "lz4")
    cut = (
        "^Parts of this item were cut when it arrived, so it cannot be replayed as it is. Correct it first.$"
    )
    with pytest.raises(RuleForbids, match=cut):
        replay_receipt(receipt_id=row.pk, actor=actor)


def test_a_small_item_in_a_large_batch_is_kept_without_the_batchs_context(
    write_key: str, actor: Actor
) -> None:
    """Or 2,500 of them would be kept with 256 KB each."""
    small = {**LARGE, "properties": {}}
    items = [{**small, "messageId": f"m-{n}"} for n in range(100)]
    assert post(write_key, {"batch": items, "context": {"a": "x" * 40_000}})["rejected"] == 100
    row = waiting().first()
    assert row is not None
    assert (row.payload["properties"], "context" in row.payload) == ({}, False)
    sentence = "The batch's context has 40,008 bytes, which count for every item; it is not kept here."
    assert problems(row)[1] == ("/context", sentence)
    assert replay_receipt(receipt_id=row.pk, actor=actor).outcome == "applied"


def test_many_at_once_leave_those_that_are_still_too_large(write_key: str, actor: Actor) -> None:
    post(write_key, {"batch": [LARGE]})
    source = Source.objects.get(name="Shop")
    for n in range(60):
        reject(source, {"type": "track", "event": "Seen", "anonymousId": f"b-{n}"}, code="x")
    job = replay_many(ids=list(waiting().values_list("pk", flat=True)), actor=actor)
    result = run_to_end(job).result
    assert result == {"accepted": 60, "rejected_again": 0, "skipped": 0, "too_large": 1}
    assert waiting().get().code == "too_large"


# --- Doors --------------------------------------------------------------------------------------------------


def test_page(write_key: str, client: Client, ada: User, vic: User, olga: User) -> None:
    post(write_key, {"batch": [{**LARGE, "properties": {"html": "<b>" * 200_000}}]})
    row = waiting().get()
    page = reverse("admin:profiles_receipt_change", args=[row.pk])
    for person in (olga, vic):
        client.force_login(person)
        assert client.get(page).status_code == 403
    client.force_login(ada)
    text = client.get(page).content.decode()
    assert "&lt;b&gt;&lt;b&gt;" in text
    assert "Parts of this item were cut when it arrived" in text
    assert "properties.html" in text
    assert "Replay as it is" not in text
    same = client.post(page, {"payload": json.dumps(row.payload)})
    assert "An item has at most 32,768 bytes; this one has" in same.content.decode()
    again = client.post(reverse("admin:profiles_receipt_replay", args=[row.pk]), follow=True).content.decode()
    assert "so it cannot be replayed as it is. Correct it first." in again
    # As people write it, with blanks, it may be larger than the door takes.
    mended = json.dumps({**LARGE, "properties": {str(n): n for n in range(1900)}}, indent=12)
    assert len(mended) > 32 * 1024
    done = client.post(page, {"payload": mended}, follow=True).content.decode()
    assert "Replayed: applied." in done
    source = Source.objects.get(name="Shop")
    for name in ("live", "checkup"):
        shown = client.get(reverse(f"admin:profiles_source_{name}", args=[source.pk]) + "?anonymous_id=b")
        assert len(shown.content) < 250_000
    bulk = {"do": "replay", "ids": [reject(source, row.payload, code="too_large").pk]}
    shown = client.post(reverse("admin:profiles_receipt_bulk"), bulk)
    assert "more characters" in shown.content.decode()
    assert len(shown.content) < 100_000


def test_the_list_reads_no_item(write_key: str, client: Client, ada: User) -> None:
    client.force_login(ada)
    page = reverse("admin:profiles_receipt_changelist")
    post(write_key, {"batch": [LARGE]})
    with CaptureQueriesContext(connection) as few:
        client.get(page)
    post(write_key, {"batch": [{**LARGE, "messageId": f"n-{n}"} for n in range(99)]})
    with CaptureQueriesContext(connection) as many:
        assert len(client.get(page).content) < 200_000
    assert len(few) == len(many)


def test_api(write_key: str) -> None:
    post(write_key, {"batch": [LARGE]})
    row = waiting().get()
    api = Caller(create_key(name="all", scopes=["admin", "pii", "profiles:write"], actor=SYSTEM))
    path = f"receipts/{row.pk}/"
    assert "payload" not in api.get("receipts/?state=waiting").data["results"][0]
    assert api.get(path).data["payload"] == LARGE
    none = Caller(create_key(name="none", scopes=["exports"], actor=SYSTEM))
    reader = Caller(create_key(name="reader", scopes=["profiles:read"], actor=SYSTEM))
    assert none.get(path).status_code == 403
    assert reader.post(f"{path}replay/", {}).status_code == 403
    refused = refusal(api.post(f"{path}replay/", {}))
    assert refused[0] == 422
    assert refused[1].endswith(" bytes; the limit is 32,768. Make it smaller, then replay it.")
    large = refusal(api.post(f"{path}replay/", {"payload": {**LARGE, "a": 1}}))
    assert large[0] == 400
    assert large[1].startswith("An item has at most 32,768 bytes; this one has 40,")
    assert api.post(f"{path}replay/", {"payload": {**LARGE, "properties": {}}}).data["outcome"] == "applied"
