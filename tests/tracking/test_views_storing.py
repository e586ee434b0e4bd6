"""From the HTTP call to the rows and back: one transaction, one effect, the same answer about everybody."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from cdp.actors import Actor
from profiles.models import Event, Identifier, Profile, Receipt
from profiles.tracking.sources.sources import create_source
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def key(kind: str) -> str:
    return create_source(name=f"A {kind}", kind=kind, actor=Actor.system()).write_key


def send(write_key: str, content: Any, address: str = "/v1/batch", **headers: str) -> Any:
    return Client(headers={"X-Write-Key": write_key, **headers}).post(
        address, json.dumps(content), content_type="text/plain"
    )


def track(number: int, **fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Seen", "messageId": f"m-{number}", **fields}


def test_a_visitor_becomes_known_and_every_event_is_theirs() -> None:
    write_key = key("server")
    answer = send(
        write_key,
        {
            "batch": [
                track(1, anonymousId="a-1"),
                {"type": "identify", "anonymousId": "a-1", "userId": "42", "messageId": "m-2"},
                track(3, userId="42"),
                {"type": "sing", "messageId": "m-4"},
            ]
        },
        "/v1/batch?receipts=true",
    ).json()
    assert (answer["received"], answer["accepted"], answer["rejected"]) == (4, 3, 1)
    assert answer["errors"][0] | {"message": ""} == {
        "index": 3,
        "messageId": "m-4",
        "code": "unknown_type",
        "message": "",
    }
    (profile_id,) = {row["profile_id"] for row in answer["receipts"][:3]}
    assert Profile.objects.get(canonical=profile_id).pk == profile_id
    assert Event.objects.filter(profile__canonical=profile_id, name__name="Seen").count() == 2
    assert Receipt.objects.count() == 4
    assert Receipt.objects.get(outcome="invalid").payload["type"] == "sing"


def test_sending_again_changes_nothing() -> None:
    write_key = key("server")
    call = {"batch": [track(n, userId="42") for n in range(3)]}
    assert send(write_key, call).json()["accepted"] == 3
    again = send(write_key, call).json()
    assert (again["accepted"], again["duplicates"]) == (0, 3)
    assert Event.objects.count() == 3


def test_strict_mode_stores_nothing_of_a_call_with_a_fault() -> None:
    write_key = key("server")
    call = {"batch": [track(1, userId="42"), track(2)]}
    response = send(write_key, call, **{"X-Strict-Mode": "1"})
    assert response.status_code == 400
    answer = response.json()
    assert (answer["code"], answer["received"], answer["rejected"]) == ("strict_refused", 2, 1)
    assert [(error["index"], error["code"]) for error in answer["errors"]] == [(1, "missing_identifier")]
    assert (Event.objects.count(), Receipt.objects.count(), Identifier.objects.count()) == (0, 0, 0)
    assert send(write_key, call).json()["accepted"] == 1


def test_a_page_learns_nothing_about_who_is_known() -> None:
    make_profile(first_name="Ann", email="ann@example.com")
    write_key = key("web")
    answers = [
        send(
            write_key,
            {"anonymousId": f"a-{n}", "traits": {"email": email}, "messageId": f"m-{n}"},
            "/v1/identify?receipts=true",
            Origin="https://shop.example.com",
        )
        for n, email in enumerate(["ann@example.com", "nobody@example.com"])
    ]
    known, unknown = (answer.content for answer in answers)
    assert known == unknown
    headers = [
        {name: value for name, value in answer.items() if name != "X-Request-ID"} for answer in answers
    ]
    assert headers[0] == headers[1]


def test_what_was_impossible_to_store_is_null_and_the_rest_is_there() -> None:
    body = (
        b'{"type":"track","event":"Se\\u0000en","userId":"42","messageId":"m",'
        b'"properties":{"a":NaN,"b":1e400,"c":"x\\ud800","d":123456789012345678901234567890}}'
    )
    client = Client(headers={"X-Write-Key": key("server")})
    assert client.post("/v1/batch", body, content_type="text/plain").json()["accepted"] == 1
    event = Event.objects.get()
    assert event.name.name == "Seen"
    assert event.properties == {"a": None, "b": None, "c": "x\ufffd", "d": None}


def test_an_import_keeps_its_times() -> None:
    write_key = key("server")
    past = "2021-03-04T05:06:07Z"
    assert (
        send(write_key, {"batch": [track(1, userId="42", timestamp=past)]}, "/v1/import").status_code == 200
    )
    assert Event.objects.get().occurred_at == datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_a_batch_costs_as_many_queries_as_one_item() -> None:
    write_key = key("server")
    client = Client(headers={"X-Write-Key": write_key})

    def queries(numbers: range) -> int:
        call = json.dumps({"batch": [track(n, userId="42") for n in numbers]})
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert client.post("/v1/batch", call, content_type="text/plain").json()["accepted"] == len(
                numbers
            )
        return len(seen)

    queries(range(1))
    assert queries(range(1, 2)) == queries(range(2, 102))
