"""Event schemas over HTTP, and what breaks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdp.ttl_cache import forget_all
from profiles.models import EventSchema
from tests.api.caller import Caller, refusal
from tests.tracking.calls import call, make_sender

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _read_anew() -> None:
    forget_all()


def test_the_whole_life(api: Caller) -> None:
    shape = {"plan": {"type": "string", "required": True}}
    made = api.post("event-schemas/", {"name": "Subscribed", "properties": shape, "mode": "warn"})
    assert made.status_code == 201
    assert (made.data["properties"], made.data["mode"], made.data["version"], made.data["is_builtin"]) == (
        shape,
        "warn",
        1,
        False,
    )
    one = f"event-schemas/{made.data['id']}/"
    assert api.get(one).data == made.data
    names = [row["name"] for row in api.get("event-schemas/?page_size=500").data["results"]]
    assert names == ["Added to Cart", "Checkout Started", "Order Completed", "Product Viewed", "Subscribed"]
    changed = api.patch(one, {"mode": ""}, If_Match='"1"')
    assert (changed.data["mode"], changed.data["version"], changed.data["properties"]) == ("", 2, shape)
    stale = api.patch(one, {"mode": "warn"}, If_Match='"1"')
    assert refusal(stale) == (
        409,
        "The schema of “Subscribed” was changed by somebody else meanwhile. Look at it again; nothing was saved.",
    )
    assert api.delete(one).status_code == 204
    assert refusal(api.get(one))[0] == 404


def test_refusals_are_the_admins_sentences(api: Caller) -> None:
    answer = api.post("event-schemas/", {"name": "X", "properties": {"a": {"type": "text"}, "b": 1}})
    assert answer.status_code == 400
    assert [error["message"] for error in answer.data["errors"]] == [
        "The type of “a” is one of string, number, integer, boolean, datetime, array, object.",
        "Say what “b” is: an object with a “type”.",
    ]
    taken = api.post("event-schemas/", {"name": "Added to Cart", "properties": {}})
    assert refusal(taken) == (409, "There is a schema of “Added to Cart” already. Change that one.")
    shipped = EventSchema.objects.get(name="Added to Cart")
    assert refusal(api.delete(f"event-schemas/{shipped.pk}/")) == (
        422,
        "“Added to Cart” ships with the product and stays. Set it to “Observe” to let everything in.",
    )
    assert refusal(api.patch(f"event-schemas/{shipped.pk}/", {"name": "Y"}))[0] == 400
    assert refusal(api.post("event-schemas/adopt/", {"name": "Never"})) == (
        404,
        "No event “Never” was seen yet.",
    )


def test_a_dry_run_leaves_nothing(api: Caller) -> None:
    answer = api.post("event-schemas/?dry_run=true", {"name": "Subscribed", "properties": {}})
    assert answer.data["dry_run"] is True
    assert not EventSchema.objects.filter(name="Subscribed").exists()


def test_adopt_and_violations(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    item = {"type": "track", "event": "Subscribed", "userId": "1"}
    sender = make_sender("server", name="Billing", schema_mode="warn")
    call(sender, {**item, "properties": {"seats": 3}})
    made = api.post("event-schemas/adopt/", {"name": "Subscribed"})
    assert (made.status_code, made.data["properties"]) == (201, {"seats": {"type": "number"}})
    forget_all()
    call(sender, {**item, "messageId": "m2", "properties": {"seats": "ann@example.com"}})
    path = f"event-schemas/{made.data['id']}/violations/"
    found = api.get(path).data["results"]
    assert [(row["message_id"], row["source"], row["outcome"], row["problems"]) for row in found] == [
        (
            "m2",
            "Billing",
            "applied",
            [
                {
                    "property": "seats",
                    "value": "ann@example.com",
                    "message": "“seats” is the text “ann@example.com”; it must be a number.",
                }
            ],
        )
    ]
    masked = with_scopes("admin").get(path)
    assert [row["problems"] for row in masked.data["results"]] == [
        [{"property": "seats", "value": "•••", "message": "“seats” is •••, which breaks the schema."}]
    ]


def test_three_levels(api: Caller, with_scopes: Callable[..., Caller], stranger: Caller) -> None:
    body: dict[str, Any] = {"name": "Subscribed", "properties": {}}
    assert refusal(stranger.get("event-schemas/"))[0] == 401
    nobody = with_scopes("segments")
    assert refusal(nobody.get("event-schemas/"))[0] == 403
    assert refusal(nobody.post("event-schemas/", body))[0] == 403
    reader = with_scopes("profiles:read", name="reader")
    assert reader.get("event-schemas/").status_code == 200
    assert refusal(reader.post("event-schemas/", body))[0] == 403
    assert api.post("event-schemas/", body).status_code == 201
