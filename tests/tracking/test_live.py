"""Calls as they come in, of a source and of one browser, and what stands out about them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cdp.actors import Actor
from profiles.identity.change_rules import choose_identity
from profiles.models import EventSchema, Source, WriteKey
from profiles.tracking.monitor.browser_flags import flags_of
from profiles.tracking.monitor.checklist import checklist, confirmations
from profiles.tracking.monitor.live import RecordedCall, calls_of_browser, mask_calls, newest_calls
from profiles.tracking.monitor.rates import READ, _per, hours, rates
from profiles.tracking.pending.double_opt_in import confirm_waiting
from tests.profile_factory import make_profile
from tests.tracking.rejected import make_source, reject, send

pytestmark = pytest.mark.django_db
EMAIL = "ann@example.com"


def track(name: str, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "event": name, "anonymousId": "b-1", "properties": properties}


def told(calls: list[RecordedCall]) -> list[tuple[str, str, str]]:
    return [(call.kind, call.name, call.outcome) for call in calls]


def test_the_newest_calls_with_what_became_of_them() -> None:
    source, other = make_source(), make_source()
    send(other, track("Elsewhere"))
    send(source, track("Viewed", sku="S"), {"type": "identify", "anonymousId": "b-1", "userId": "C-1"})
    send(source, {"type": "page", "properties": {"path": "/"}})
    calls = newest_calls(source.pk)
    assert [(call.kind, call.outcome) for call in calls] == [
        ("page", "invalid"),
        ("identify", "applied"),
        ("track", "applied"),
    ]
    assert (calls[0].is_waiting, calls[0].payload["properties"]) == (True, {"path": "/"})
    assert calls[0].message == "Give a userId, an anonymousId or one of context.externalIds."
    assert calls[2].payload == {"anonymous_id": "b-1", "properties": {"sku": "S"}}
    assert calls[1].profile_id == calls[2].profile_id is not None
    assert newest_calls(source.pk, after=calls[1].receipt_id) == calls[:1]
    assert newest_calls(source.pk, after=calls[0].receipt_id) == []


def test_the_same_queries_for_one_call_and_for_fifty() -> None:
    one, many = make_source(), make_source()
    send(one, track("Viewed"))
    send(many, *(track("Viewed", n=number) for number in range(49)), {"type": "page"})
    counts = []
    for source in (one, many):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            newest_calls(source.pk)
        counts.append(len(queries))
    assert counts == [3, 3]


def test_a_merged_away_person_leads_to_the_survivor(by_staff: dict[str, Any]) -> None:
    from profiles.merging.merge import merge_profiles

    source, ann = make_source(), make_profile(email=EMAIL)
    send(source, track("Viewed"))
    guest = newest_calls(source.pk)[0].profile_id
    merge_profiles(winner_id=ann.pk, loser_id=guest, **by_staff)
    assert newest_calls(source.pk)[0].profile_id == ann.pk
    assert {call.profile_id for call in calls_of_browser(source.pk, "b-1")} == {ann.pk}


def test_one_browser_and_nobody_elses_calls() -> None:
    source, other = make_source(), make_source()
    send(source, track("Viewed"), {**track("Viewed"), "anonymousId": "b-2"})
    send(source, {"type": "identify", "anonymousId": "b-1", "traits": {"email": EMAIL}})
    send(source, {"type": "identify", "userId": "C-9", "traits": {"email": EMAIL}})
    send(other, track("Elsewhere"))
    send(source, {"type": "track", "anonymousId": "b-1"})
    calls = calls_of_browser(source.pk, "b-1")
    assert [(call.kind, call.outcome) for call in calls] == [
        ("track", "invalid"),
        ("identify", "applied"),
        ("track", "applied"),
    ]
    assert {call.anonymous_id for call in calls} == {"b-1"}
    assert calls_of_browser(source.pk, "nobody") == []


def test_personal_data_is_hidden_without_the_right_to_it() -> None:
    source = make_source()
    send(
        source,
        {"type": "identify", "userId": "C-20417", "anonymousId": "browser-1", "traits": {"email": EMAIL}},
    )
    (call,) = newest_calls(source.pk)
    assert call.payload["properties"] == {"email": EMAIL}
    (hidden,) = mask_calls(newest_calls(source.pk))
    assert hidden.payload == {
        "user_id": "C-•••",
        "anonymous_id": "br•••",
        "properties": {"email": "•••"},
    }


# --- Flags ------------------------------------------------------------------------------------------------


def call(kind: str = "track", name: str = "", *, minute: int = 0, **fields: Any) -> RecordedCall:
    at = timezone.now() - datetime.timedelta(minutes=60 - minute)
    envelope = {name_: fields.pop(name_) for name_ in ("user_id", "anonymous_id", "marks") if name_ in fields}
    return RecordedCall(0, at, kind, name, fields.pop("outcome", "applied"), envelope=envelope, **fields)


def codes(*calls: RecordedCall) -> list[str]:
    return [flag.code for flag in flags_of(calls)]


def test_calls_that_are_right_raise_no_flag() -> None:
    assert flags_of([]) == []
    right = [
        call("page", properties={"path": "/"}),
        call(name="Added to Cart", properties={"sku": "S", "cart_id": "c-1"}, minute=1),
        call("identify", user_id="C-1", properties={"email": EMAIL}, minute=2),
        call(name="Order Completed", user_id="C-1", properties={"cart_id": "c-1"}, minute=3),
    ]
    assert flags_of(right) == flags_of(right[::-1]) == []


def test_each_flag_on_what_it_is_about() -> None:
    assert codes(call(user_id="A"), call(user_id="B")) == ["missing_reset"]
    assert codes(call(user_id="A"), call(user_id="A"), call()) == []
    assert codes(call("update", properties={"email": EMAIL})) == ["identifier_in_update"]
    assert codes(call(name="Signed up", properties={"contact": f" {EMAIL}"})) == ["identifier_in_update"]
    assert codes(call(name="Signed up", properties={"customerId": "7"})) == ["identifier_in_update"]
    assert codes(call("identify", properties={"email": EMAIL})) == []
    assert codes(call(name="Signed up", properties={"email": ""}, context={"email": EMAIL})) == []
    assert codes(call(name="added to CART", properties={})) == ["no_cart_id"]
    assert codes(call(name="Added to Cart", properties={"cartId": 7})) == []
    assert codes(call(properties={"sku": "A"}), call(properties={"product_sku": "A"})) == ["mixed_sku"]
    assert codes(call(properties={"products": [{"sku": "A"}, {"productSku": "A"}]})) == ["mixed_sku"]
    assert codes(call(properties={"sku": "A", "product_id": "7"})) == []
    assert codes(call(marks=["skewed"])) == codes(call(marks=["future", "late"])) == ["skewed_clock"]
    assert codes(call(marks=["late"])) == []
    assert codes(call("page", anonymous_id=EMAIL)) == ["identifier_in_soft_id"]
    assert codes(call(anonymous_id="7"), call("identify", user_id="7")) == ["identifier_in_soft_id"]
    assert codes(call(anonymous_id="b-1", user_id="7")) == []
    assert codes(call(properties={"a": {"b": {"c": {"d": {"contact_mail": EMAIL}}}}})) == [
        "identifier_in_update"
    ]
    assert codes(call("identify", properties={"crm": {"user": "u7"}})) == ["identifier_in_update"]
    assert codes(call(properties={"friend_email": EMAIL, "customer": "returning"})) == []
    assert (
        codes(call("identify", user_id="7", properties={"customer_id": "7", "login": EMAIL, "email": EMAIL}))
        == []
    )
    assert codes(call(outcome="invalid", message="Because.")) == ["rejected"]


def test_identified_only_after_the_purchase() -> None:
    order = call(name="Order Completed", properties={"cart_id": "c"}, minute=5)
    assert codes(order, call("identify", minute=9)) == ["late_identify"]
    assert codes(order, call("identify", minute=1)) == []
    assert codes(order) == []
    known = call(name="Order Completed", user_id="C-1", properties={"cart_id": "c"}, minute=5)
    assert codes(known, call("identify", minute=9)) == []


def test_what_a_flag_says() -> None:
    (flag,) = flags_of([call("update", properties={"email": EMAIL})])
    assert flag.text == (
        "It looks like an e-mail or an id, but identifies nobody there (update: email). The visitor stays anonymous"
        " and gets a second profile elsewhere."
    )
    assert flag.fix == "Send it by identify, as traits.email or userId."
    assert EMAIL not in flag.text, "a flag names the property, never its value"


# --- The checklist and rates ------------------------------------------------------------------------------


def ticks(source: Source) -> dict[str, bool | None]:
    return {check.title: check.is_done for check in checklist(source)}


def test_the_checklist_is_ticked_from_what_came_in() -> None:
    source = make_source("web")
    assert ticks(source) == {
        "Page views arrive": False,
        "Events arrive": False,
        "The main id is chosen": False,
        "People are identified": False,
        "Identified at sign-up and login, not only at orders": None,
        "Identified before the order": None,
        "Identify brings an e-mail": None,
        "Two visits of one person became one profile": None,
        "Cart events carry a cart_id": None,
        "Orders arrive": None,
        "Orders come from your server, too": None,
        "Names and required properties are checked": False,
        "Nothing rejected in the last hour": None,
        "Nothing left out in the last hour": None,
        "Web addresses are set": False,
        "Keys are fresh": True,
    }
    yesterday = (timezone.now() - datetime.timedelta(days=1)).isoformat()
    send(
        source,
        {"type": "page", "anonymousId": "b-1"},
        {"type": "identify", "anonymousId": "b-1", "traits": {"email": EMAIL}, "timestamp": yesterday},
        track("Added to Cart", cart_id="c-1"),
        track("Order Completed", cart_id="c-1"),
        {"type": "page", "anonymousId": "b-2"},
    )
    send(source, {"type": "identify", "anonymousId": "b-2", "traits": {"email": EMAIL}})
    send(make_source("server"), track("Order Completed", cart_id="c-1"))
    choose_identity(preset="customer_id_first", email_is_contact_only=False, actor=Actor.system())
    EventSchema.objects.create(
        name="Signed Up", mode="warn", properties={"plan": {"type": "string", "required": True}}
    )
    source.allowed_origins = ["https://shop.example.com"]
    assert {title for title, done in ticks(source).items() if not done} == set()
    send(source, track("Added to Cart"), {"type": "page"})
    WriteKey.objects.filter(source=source).update(created_at=timezone.now() - datetime.timedelta(days=200))
    now = ticks(source)
    assert [title for title, done in now.items() if not done] == [
        "Cart events carry a cart_id",
        "Nothing rejected in the last hour",
        "Keys are fresh",
    ]
    assert "Page views arrive" not in ticks(make_source("server"))


def lines(source: Source) -> dict[str, str]:
    return {check.title: check.text for check in checklist(source) if check.is_done is False}


def test_a_shop_that_identifies_only_at_and_after_the_order() -> None:
    source = make_source("web")
    just_before = (timezone.now() - datetime.timedelta(minutes=1)).isoformat()
    send(
        source,
        {**track("Order Completed", cart_id="c-1"), "timestamp": just_before},
        {"type": "identify", "anonymousId": "b-1", "userId": "7"},
        {**track("Order Completed", cart_id="c-2"), "anonymousId": "b-2"},
    )
    todo = lines(source)
    assert todo["Identified before the order"] == (
        "Of the newest 2 orders 2 came from somebody not identified by then. Call identify as soon as the e-mail is known, in"
        " the checkout and before Order Completed."
    )
    assert "Identified at sign-up and login, not only at orders" in todo
    assert "Orders come from your server, too" in todo
    send(source, {"type": "identify", "anonymousId": "b-9", "userId": "9"})
    assert "Identified at sign-up and login, not only at orders" not in lines(source)


def test_addresses_that_wait_are_counted_and_listed() -> None:
    source = make_source("web")
    assert confirmations(source) is None
    Source.objects.filter(pk=source.pk).update(needs_confirmation=True)
    source.refresh_from_db()
    assert ticks(source)["Addresses are confirmed"] is None
    for number in range(4):
        send(
            source,
            {"type": "identify", "anonymousId": f"b-{number}", "traits": {"email": f"p{number}@example.com"}},
        )
    assert (
        "Of the newest 4 addresses 0 are confirmed (0 %), and 4 wait."
        in lines(source)["Addresses are confirmed"]
    )
    by = {"actor": Actor.system(), "source": source}
    confirm_waiting(type_name="email", raw="p0@example.com", **by)
    found = confirmations(source)
    assert found is not None
    assert (found.confirmed, found.waiting, found.share) == (1, 3, 25)
    assert sorted(row.value for row in found.newest) == [f"p{number}@example.com" for number in (1, 2, 3)]
    assert ticks(source)["Addresses are confirmed"] is True


def test_the_checklist_costs_the_same_for_one_call_and_for_fifty() -> None:
    one, many = make_source("web"), make_source("web")
    for source, count in ((one, 1), (many, 50)):
        for number in range(count):
            send(
                source,
                {
                    "type": "identify",
                    "anonymousId": f"b-{number}",
                    "traits": {"email": f"p{number}@example.com"},
                },
                {**track("Order Completed", cart_id=f"c-{number}"), "anonymousId": f"b-{number}"},
            )
    counts = []
    for source in (one, many):
        with CaptureQueriesContext(connection) as queries:
            checklist(source)
        counts.append(len(queries))
    assert counts[0] == counts[1] < 12


def test_what_is_stored_in_the_wrong_place_is_not_left_out() -> None:
    source = make_source("web")
    send(source, {"type": "page", "anonymousId": EMAIL})
    calls = calls_of_browser(source.pk, EMAIL)
    assert [flag.code for flag in flags_of(calls)] == ["identifier_in_soft_id"]
    assert ticks(source)["Nothing left out in the last hour"] is True


def test_a_form_that_leaves_its_page_is_shown_once_and_applied() -> None:
    """The page sends what waits, is left, and the next page sends it again."""
    source = make_source("web")
    sent = [
        {**track("Signed up"), "messageId": "m-1"},
        {"type": "identify", "anonymousId": "b-1", "traits": {"email": EMAIL}, "messageId": "m-2"},
    ]
    send(source, *sent)
    assert [result.outcome for result in send(source, *sent).results] == ["duplicate", "duplicate"]
    send(source, sent[0])
    calls = calls_of_browser(source.pk, "b-1")
    assert [(call.kind, call.outcome, call.repeats) for call in calls] == [
        ("identify", "applied", 1),
        ("track", "applied", 2),
    ]
    # The same without an event: refused once, listed once.
    refused = {"type": "track", "anonymousId": "b-1", "messageId": "m-3"}
    send(source, refused)
    send(source, refused)
    assert [(call.outcome, call.message_id) for call in calls_of_browser(source.pk, "b-1")[:1]] == [
        ("invalid", "m-3")
    ]


def test_rates() -> None:
    source, now = make_source(), timezone.now()
    for hours_ago in (0.5, 2, 3, 30):
        reject(source, at=now - datetime.timedelta(hours=hours_ago))
    send(source, track("Viewed"))
    rate = rates()[source.pk]
    assert (str(rate.last_hour), str(rate.last_day), rate.rejected_text, rate.rejected_class) == (
        "2",
        "4",
        "75 %",
        "bad",
    )
    assert make_source().pk not in rates()
    chart = hours(source)
    assert chart is not None
    assert [(one.name, one.total) for one in chart.series] == [("Accepted", 1), ("Rejected", 3)]
    assert len(chart.labels) == 24


@pytest.mark.parametrize(
    ("counted", "read", "span", "said"),
    [
        (10, 10, 50.0, "10"),
        (7, READ, 7200.0, "7"),
        (READ, READ, 60.0, "≈120,000"),
        (READ, READ, 0.0, "≈7,200,000"),
    ],
)
def test_a_busy_source_is_estimated_by_its_pace(counted: int, read: int, span: float, said: str) -> None:
    assert str(_per(3600.0, counted, read, span)) == said
