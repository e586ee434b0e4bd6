"""Event schemas at work: what becomes of events that break theirs, who may write them, what ships."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdp.actors import Actor
from cdp.errors import Conflict, Invalid, NotFound, RuleForbids, Stale
from cdp.models import AuditEntry
from cdp.ttl_cache import forget_all
from profiles.builtin import ensure_builtin
from profiles.models import Event, EventSchema, Receipt
from profiles.tracking.rejected.replay import replay_receipt
from profiles.tracking.schemas import enforce
from profiles.tracking.schemas.edit import change_schema, create_schema, delete_schema
from profiles.tracking.sources.write_keys import Sender
from tests.tracking.calls import call, make_sender, track

pytestmark = pytest.mark.django_db

SPECS = {
    "plan": {"type": "string", "required": True, "aliases": ["planName"], "enum": ["free", "pro"]},
    "price": {"type": "number", "minimum": 0},
}


@pytest.fixture(autouse=True)
def _read_anew() -> None:
    forget_all()


def make(by: dict[str, Any], **fields: Any) -> EventSchema:
    made = create_schema(**{"name": "Subscribed", "properties": SPECS, **by, **fields}).schema
    forget_all()  # a test's transaction never commits
    return made


def subscribed(sender: Sender, **properties: Any) -> tuple[str, str, str]:
    result = track(sender, "Subscribed", userId="42", properties=properties)
    return result.outcome, result.code, result.message


# --- At the door ----------------------------------------------------------------------------------------


def test_each_mode(by_system: dict[str, Any]) -> None:
    make(by_system)
    missing = "Subscribed needs “plan”, which is missing."
    for mode, answer, kept, is_told in (
        ("observe", ("applied", "", ""), 1, False),
        ("warn", ("applied", "", ""), 2, True),
        ("quarantine", ("quarantined", "schema_violation", missing), 2, True),
        ("reject", ("invalid", "schema_violation", missing), 2, True),
    ):
        sender = make_sender("server", schema_mode=mode)
        assert subscribed(sender, price=1) == answer, mode
        assert Event.objects.count() == kept
        receipt = Receipt.objects.get(source=sender.source)
        assert receipt.outcome == answer[0]
        told = [] if not is_told else [("/properties/plan", missing, "schema_violation")]
        assert [(p["pointer"], p["message"], p["code"]) for p in receipt.problems or ()] == told
        assert subscribed(sender, plan="pro", price=1)[0] == "applied"
        Event.objects.filter(source=sender.source, properties__plan="pro").delete()


def test_a_schema_may_be_stricter_than_its_source(by_system: dict[str, Any]) -> None:
    row = make(by_system, mode="reject")
    sender = make_sender("server", schema_mode="observe")
    assert subscribed(sender)[0] == "invalid"
    change_schema(schema_id=row.pk, mode="observe", **by_system)
    forget_all()
    assert subscribed(make_sender("server", schema_mode="reject"))[0] == "applied"


def test_other_spellings_are_renamed_in_every_mode(by_system: dict[str, Any]) -> None:
    make(by_system)
    assert subscribed(make_sender("server", schema_mode="observe"), planName="pro")[0] == "applied"
    assert Event.objects.get().properties == {"plan": "pro"}
    # Kinds that are no events have no schema, whatever they are called.
    call(
        make_sender("server"),
        {"type": "page", "name": "Subscribed", "userId": "1", "properties": {"planName": 1}},
    )
    assert Event.objects.get(kind="page").properties == {"name": "Subscribed", "planName": 1}


def test_a_held_event_is_repaired_and_replayed(by_staff: dict[str, Any], by_system: dict[str, Any]) -> None:
    make(by_system)
    sender = make_sender("server", schema_mode="quarantine")
    sent = {"plan": "free", "price": "9.90"}
    at = "2024-01-05T10:10:10+00:00"
    result = track(sender, "Subscribed", userId="42", properties=sent, timestamp=at, messageId="m1")
    assert result.message == "“price” is the text “9.90”; send it as a number, without quotes: 9.90."
    receipt = Receipt.objects.get(outcome="quarantined")
    repaired = {**(receipt.payload or {}), "properties": {**sent, "price": 9.9}}
    done = replay_receipt(receipt_id=receipt.pk, payload=repaired, actor=by_staff["actor"])
    assert done.outcome == "applied"
    event = Event.objects.get()
    assert (event.properties["price"], event.occurred_at.isoformat()) == (9.9, at)


def test_one_query_for_any_number_of_items_and_none_soon_after(by_system: dict[str, Any]) -> None:
    from django.utils import timezone

    from profiles.tracking.parse.items import read_item

    make(by_system)
    source = make_sender("server", schema_mode="warn").source
    raw = {"type": "track", "event": "Subscribed", "userId": "1"}
    items = [read_item(raw, index=place, received_at=timezone.now()) for place in range(50)]
    with CaptureQueriesContext(connection) as first:
        checks = [enforce.check_item(item, source=source) for item in items]
    with CaptureQueriesContext(connection) as second:
        enforce.check_item(items[0], source=source)
    assert (len(first), len(second)) == (1, 0)
    assert [check.mode for check in checks] == ["warn"] * 50


# --- The verbs ------------------------------------------------------------------------------------------


def test_made_changed_removed(by_staff: dict[str, Any]) -> None:
    row = make(by_staff, name=" Subscribed ", mode="warn", description="A plan was chosen.")
    assert (row.name, row.version, row.is_builtin, row.properties) == ("Subscribed", 1, False, SPECS)
    same = change_schema(schema_id=row.pk, properties=SPECS, mode="warn", **by_staff)
    assert (same.fields, same.schema.version) == ((), 1)
    saved = change_schema(schema_id=row.pk, properties={}, mode="", expected_version=1, **by_staff)
    assert (saved.fields, saved.schema.version, saved.schema.properties) == (("properties", "mode"), 2, {})
    with pytest.raises(Stale) as stale:
        change_schema(schema_id=row.pk, mode="warn", expected_version=1, **by_staff)
    assert stale.value.message == (
        "The schema of “Subscribed” was changed by somebody else meanwhile. Look at it again; nothing was saved."
    )
    delete_schema(schema_id=row.pk, **by_staff)
    assert not EventSchema.objects.filter(name="Subscribed").exists()
    told = AuditEntry.objects.filter(subject=f"eventschema:{row.pk}").order_by("pk")
    assert [entry.action for entry in told] == [
        "eventschema.create",
        "eventschema.update",
        "eventschema.delete",
    ]
    assert told[1].detail["version"] == 2
    with pytest.raises(NotFound, match="There is no event schema #"):
        change_schema(schema_id=row.pk, mode="", **by_staff)


def test_every_fault_at_once(by_staff: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        make(by_staff, name=" ", mode="strict", properties={"a": {"type": "text"}, "b": {"minimum": 1}})
    assert [(one["field"], one["message"]) for one in refused.value.problems] == [
        ("name", "Give the event's name, exactly as it is sent, of 1 to 255 characters."),
        (
            "properties.a.type",
            "The type of “a” is one of string, number, integer, boolean, datetime, array, object.",
        ),
        ("properties.b.minimum", "A minimum is for numbers; “b” is not a number."),
        ("mode", "The mode is one of observe, warn, quarantine, reject, or empty for the source's setting."),
    ]
    make(by_staff)
    with pytest.raises(Conflict) as taken:
        make(by_staff)
    assert taken.value.message == "There is a schema of “Subscribed” already. Change that one."


# --- What ships -----------------------------------------------------------------------------------------


def test_shipped_schemas_are_there_and_staffs_changes_stay(by_staff: dict[str, Any]) -> None:
    shipped = EventSchema.objects.filter(is_builtin=True)
    assert sorted(shipped.values_list("name", flat=True)) == [
        "Added to Cart",
        "Checkout Started",
        "Order Completed",
        "Product Viewed",
    ]
    row = shipped.get(name="Added to Cart")
    change_schema(schema_id=row.pk, properties={"sku": {"type": "string"}}, mode="warn", **by_staff)
    ensure_builtin()
    row.refresh_from_db()
    assert (row.mode, row.properties) == ("warn", {"sku": {"type": "string"}})
    with pytest.raises(RuleForbids) as refused:
        delete_schema(schema_id=row.pk, **by_staff)
    assert refused.value.message == (
        "“Added to Cart” ships with the product and stays. Set it to “Observe” to let everything in."
    )


def test_shipped_spellings(db: None) -> None:
    sent = {"productSku": "A", "productPrice": "9.90", "qty": 2, "cartId": "c1", "variantName": "blue"}
    sender = make_sender("web", schema_mode="warn")
    result = track(sender, "Added to Cart", anonymousId="b1", properties=sent)
    assert result.outcome == "applied"
    assert Event.objects.get().properties == {
        "sku": "A",
        "price": "9.90",
        "quantity": 2,
        "cart_id": "c1",
        "variant": "blue",
    }
    assert [problem["message"] for problem in Receipt.objects.get().problems] == [
        "“price” is the text “9.90”; send it as a number, without quotes: 9.90."
    ]


def test_a_change_holds_at_once_in_this_process(
    transactional_db: None, django_capture_on_commit_callbacks: Any
) -> None:
    by = {"actor": Actor.system(), "source": make_sender("server").source}
    sender = make_sender("server", schema_mode="reject")
    assert subscribed(sender)[0] == "applied"
    row = create_schema(name="Subscribed", properties=SPECS, **by).schema
    assert subscribed(sender)[0] == "invalid"
    change_schema(schema_id=row.pk, mode="observe", **by)
    assert subscribed(sender)[0] == "applied"
