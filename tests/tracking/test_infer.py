"""Schemas learned from traffic, browsers compared with servers, and what breaks schemas."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cdp.errors import Conflict, NotFound
from cdp.ttl_cache import forget_all
from profiles.models import Receipt
from profiles.tracking.schemas import infer, violations
from profiles.tracking.schemas.edit import create_schema
from profiles.tracking.sources.write_keys import Sender
from tests.tracking.calls import call, make_sender

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _read_anew() -> None:
    forget_all()


def send(sender: Sender, *many: dict[str, Any], name: str = "Plan Chosen") -> None:
    results = call(
        sender, *[{"type": "track", "event": name, "userId": "42", "properties": one} for one in many]
    ).results
    assert len(results) == len(many)


def test_what_was_seen(by_system: dict[str, Any]) -> None:
    web, server = make_sender("web", name="Shop"), make_sender("server", name="Billing")
    send(web, *[{"plan": "pro", "price": 9.5, "at": "2024-01-05T10:00:00Z", "trial": True}] * 3)
    send(
        server,
        {"plan": "free", "price": "0", "tags": ["a"], "owner": {"email": "ann@example.com"}, "gone": None},
    )
    event = infer.observe_event("Plan Chosen", can_view_pii=True)
    assert event.events == 4
    assert infer.names_of(event.sources) == "Shop (3), Billing (1)"
    seen = {prop.name: prop for prop in event.properties}
    assert [(prop.name, prop.share_text, prop.type_text) for prop in event.properties] == [
        ("plan", "all", "Text"),
        ("price", "all", "Number 75 %, Text 25 %"),
        ("at", "75 %", "Date and time"),
        ("trial", "75 %", "Yes or no"),
        ("owner", "25 %", "Object"),
        ("tags", "25 %", "List"),
        ("gone", "< 1 %", ""),
    ]
    assert seen["plan"].samples in (["pro", "free"], ["free", "pro"])
    assert (seen["price"].type, seen["plan"].type) == ("", "string")
    assert infer.observe_event("Never").events == 0


def test_samples_are_masked(by_system: dict[str, Any]) -> None:
    send(make_sender("server"), {"email": "ann@example.com", "note": "call +48 600 100 200", "plan": "pro"})
    open_, masked = (
        infer.observe_event("Plan Chosen", can_view_pii=can_view_pii) for can_view_pii in (True, False)
    )
    assert {prop.name: prop.samples for prop in open_.properties}["email"] == ["ann@example.com"]
    assert {prop.name: prop.samples for prop in masked.properties} == {
        "email": ["•••"],
        "note": ["•••"],
        "plan": ["pro"],
    }


def test_other_spellings_are_noticed(by_system: dict[str, Any]) -> None:
    sender = make_sender("server")
    send(
        sender,
        *[{"cart_id": f"c{n}", "planName": "a"} for n in range(3)],
        {"cartId": "c", "product_sku": "x"},
        {"Plan-Name": "b"},
    )
    aliases = {prop.name: prop.looks_like for prop in infer.observe_event("Plan Chosen").properties}
    assert aliases == {
        "cart_id": "",
        "planName": "",
        "cartId": "cart_id",
        "product_sku": "sku",
        "Plan-Name": "planName",
    }
    # With a schema, its own names are what others are spellings of.
    specs = {"plan": {"type": "string", "aliases": ["planName"]}, "cartId": {"type": "string"}}
    aliases = {
        prop.name: prop.looks_like for prop in infer.observe_event("Plan Chosen", specs=specs).properties
    }
    assert aliases == {"cart_id": "cartId", "planName": "", "cartId": "", "product_sku": "", "Plan-Name": ""}


def test_adopting(by_staff: dict[str, Any]) -> None:
    sender = make_sender("server")
    entry = {"sku": "a", "price": 1}
    send(
        sender,
        *[{"cart_id": f"c{n}", "total": 5, "products": [entry, {"sku": "b"}]} for n in range(15)],
        *[{"cartId": "c", "total": 7.5, "products": [entry], "note": "x"}] * 10,
    )
    made = infer.adopt_schema(name="Plan Chosen", **by_staff).schema
    assert made.properties == {
        "cart_id": {"type": "string", "required": True, "aliases": ["cartId"]},
        "total": {"type": "number", "required": True},
        "products": {
            "type": "array",
            "required": True,
            "items": {"sku": {"type": "string", "required": True}, "price": {"type": "number"}},
        },
        "note": {"type": "string"},
    }
    assert (made.mode, made.version, made.description) == ("", 1, "Adopted from 25 events.")
    with pytest.raises(Conflict, match="There is a schema of “Plan Chosen” already"):
        infer.adopt_schema(name="Plan Chosen", **by_staff)
    with pytest.raises(NotFound, match="No event “Never” was seen yet"):
        infer.adopt_schema(name="Never", **by_staff)


def test_what_was_adopted_accepts_what_it_was_made_of(by_staff: dict[str, Any]) -> None:
    sender = make_sender("server")
    many: list[dict[str, Any]] = [
        {"a": 1, "b": "x", "c": None, "d": [], "e": {"f": 1}, "g": "2024-01-05T10:00:00Z"},
        {"a": 2.5, "b": "", "c": True, "d": [{"x": 1}], "h\u00e9": "y", "": 1, " i ": 1},
    ] * 15
    send(sender, *many)
    made = infer.adopt_schema(name="Plan Chosen", **by_staff).schema
    strict = make_sender("server", schema_mode="reject")
    assert made.properties["a"] == {"type": "number", "required": True}
    forget_all()
    told = call(
        strict,
        *[{"type": "track", "event": "Plan Chosen", "userId": "1", "properties": one} for one in many],
    )
    assert {result.message for result in told.results} <= {"", "This messageId was received before."}


def test_names_without_a_schema(by_system: dict[str, Any]) -> None:
    sender = make_sender("server")
    send(sender, {}, {}, name="Often")
    send(sender, {}, name="Once")
    send(sender, {}, name="Product Viewed")
    call(sender, {"type": "page", "name": "Page", "userId": "1"}, {"type": "track", "event": "Refused"})
    rows = infer.undescribed()
    assert [(row.name, row.events) for row in rows] == [("Often", 2), ("Once", 1)]


def test_browser_and_server_compared(by_system: dict[str, Any]) -> None:
    web, server = make_sender("web"), make_sender("server")
    send(web, *[{"total": 5, "order_id": "a", "page": "/x", "coupon": "s"}] * 4)
    assert not infer.observe_and_compare("Plan Chosen", can_view_pii=True)[1].is_possible
    send(
        server,
        *[{"total": "5", "order_id": "a", "tax": 1}] * 3,
        {"total": "5", "order_id": "a", "coupon": "s"},
    )
    _, compared = infer.observe_and_compare("Plan Chosen", can_view_pii=True)
    assert (compared.web, compared.server, compared.differences, compared.is_possible) == (4, 4, 4, True)
    assert {row.name: (row.result, row.text) for row in compared.rows} == {
        "order_id": ("same", ""),
        "total": ("types", "The browser sends a number, the server text."),
        "coupon": ("share", "One of them leaves it out more often."),
        "page": ("web", "Only the browser sends it."),
        "tax": ("server", "Only the server sends it."),
    }


# --- Violations -----------------------------------------------------------------------------------------


@pytest.fixture
def broken(by_system: dict[str, Any]) -> None:
    specs = {
        "email": {"type": "boolean"},
        "price": {"type": "number"},
        "list": {"type": "array", "items": {"sku": {"required": True}}},
    }
    create_schema(name="Plan Chosen", properties=specs, **by_system)
    forget_all()
    warn, hold = (
        make_sender("server", name="Warns", schema_mode="warn"),
        make_sender("web", name="Holds", schema_mode="quarantine"),
    )
    send(warn, *[{"price": "free"}] * 3, {"price": 1}, {"email": "ann@example.com"})
    send(hold, {"price": "a", "list": [{}, {}]})


def test_what_breaks_most(broken: None) -> None:
    most = violations.by_property("Plan Chosen", can_view_pii=True)
    assert [(violation.property, violation.source, violation.events) for violation in most] == [
        ("price", "Warns", 3),
        ("email", "Warns", 1),
        ("list.sku", "Holds", 1),
        ("price", "Holds", 1),
    ]
    assert most[1].sentence == "“email” is the text “ann@example.com”; it must be true or false."
    masked = violations.by_property("Plan Chosen", can_view_pii=False)
    assert masked[1].sentence == "“email” is •••, which breaks the schema."
    assert masked[0].sentence == "“price” is the text “free”; it must be a number."
    assert violations.counts(["Plan Chosen", "Other"]) == {"Plan Chosen": 5}


def test_the_trend(broken: None) -> None:
    Receipt.objects.filter(outcome="quarantined").update(
        received_at=timezone.now() - datetime.timedelta(days=2)
    )
    chart = violations.trend("Plan Chosen")
    assert len(chart.labels) == violations.DAYS
    assert [(series.name, series.total) for series in chart.series] == [("Stored", 4), ("Not stored", 1)]
    assert chart.series[0].values[-1] == 4
    assert chart.series[1].values[-3] == 1


def test_samples(broken: None) -> None:
    rows = list(violations.violating_receipts("Plan Chosen"))
    assert len(rows) == 5
    first, *_ = violations.violations_of(rows, can_view_pii=True)
    assert [(name, value) for name, value, _ in first.problems] == [
        ("price", "a"),
        ("list.sku", None),
        ("list.sku", None),
    ]
    masked = violations.violations_of(rows, can_view_pii=False)
    assert [row.problems for row in masked][1] == [
        ("email", "•••", "“email” is •••, which breaks the schema.")
    ]


def test_queries_do_not_grow(broken: None) -> None:
    def queries() -> list[int]:
        counted = []
        for read in (
            lambda: infer.observe_event("Plan Chosen"),
            infer.undescribed,
            lambda: violations.by_property("Plan Chosen", can_view_pii=True),
            lambda: violations.trend("Plan Chosen"),
            lambda: violations.counts(["Plan Chosen"]),
        ):
            with CaptureQueriesContext(connection) as seen:
                read()
            counted.append(len(seen))
        return counted

    before = queries()
    send(make_sender("server", schema_mode="warn"), *[{"price": "x", "n": place} for place in range(100)])
    assert queries() == before
