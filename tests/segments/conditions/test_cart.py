"""Carts by state, by how long they are idle, by when they started and by what is in them; and what queues a profile."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from profiles.builtin_sources import SOURCE_IDS
from profiles.models import Cart, Event, Profile
from segments.models import QueueEntry, Watch
from tests.profile_factory import make_profile
from tests.segments.asked import actual, clock, flips, happened, is_in, problems, stays, words

pytestmark = pytest.mark.django_db


def cart(profile: Profile, cart_id: str, started: str, last: str, state: str = "open") -> Cart:
    times = {"started_at": clock(started), "last_event_at": clock(last)}
    return Cart.objects.create(
        profile=profile, source_id=SOURCE_IDS["web"], cart_id=cart_id, state=state, **times
    )


@pytest.fixture
def ann() -> Profile:
    return make_profile(first_name="Ann")


def test_state_idle_and_start(ann: Profile) -> None:
    cart(ann, "c-1", "08:00", "09:00", "superseded")
    cart(ann, "c-2", "10:00", "11:00")
    states = ("open", "superseded", "ordered", "any")
    assert [is_in(ann, {"cart": state}, "12:00") for state in states] == [True, True, False, True]
    # Not before it began.
    assert stays(ann, {"cart": "open"}, "09:59:59", "10:00") == [False, True]
    idle = {"cart": "open", "idle": {"hours": 24}}
    assert stays(ann, idle, "+1 10:59:59", "+1 11:00", "+5 00:00") == [False, True, True]
    assert flips(ann, idle, "12:00") == clock("+1 11:00")
    assert actual(ann, idle, "12:00") == "open, last event on 2026-01-10 11:00 UTC"
    assert actual(ann, {"cart": "ordered"}, "12:00") == "has no such cart"
    started = {"cart": "any", "started": {"hours": 3}}
    assert stays(ann, started, "12:59:59", "13:00") == [True, False]
    # One cart has to meet all of it.
    both = {"cart": "any", "started": {"minutes": 150}, "idle": {"hours": 2}}
    assert stays(ann, both, "11:30", "12:30", "13:00") == [False, False, False]
    assert not is_in(make_profile(first_name="Ben"), {"cart": "any"}, "12:00")


def test_what_is_in_it(ann: Profile) -> None:
    """One event of the cart meets every filter, on the profile the cart is at; others with its id are not of it."""
    other = make_profile(first_name="Anna")
    Profile.objects.filter(pk=other.pk).update(canonical=ann, status="merged")
    cart(other, "c-1", "10:00", "11:00")
    happened(other, "Added to Cart", "10:00", properties={"cart_id": " c-1 ", "sku": "A", "price": 5})
    happened(other, "Added to Cart", "11:00", properties={"cart_id": "c-1", "sku": "B", "price": 50})
    happened(other, "Added to Cart", "10:30", properties={"cart_id": "c-2", "sku": "C"})
    happened(other, "Added to Cart", "11:01", properties={"cart_id": "c-1", "sku": "D"})
    happened(ann, "Added to Cart", "10:30", properties={"cart_id": "c-1", "sku": "E"})

    def contains(*filters: dict[str, Any]) -> dict[str, Any]:
        return {"cart": "open", "contains": list(filters)}

    skus = [is_in(ann, contains({"property": "sku", "value": sku}), "12:00") for sku in "abCDE"]
    assert skus == [True, True, False, False, False]
    dear = {"property": "price", "op": "gt", "value": 10}
    assert not is_in(ann, contains({"property": "sku", "value": "A"}, dear), "12:00")
    rule = contains({"property": "sku", "value": "B"}, dear)
    assert stays(ann, rule, "10:59:59", "11:00") == [False, True]
    assert flips(ann, rule, "10:30") == clock("11:00")


def test_words_and_what_is_refused() -> None:
    rule: dict[str, Any] = {
        "cart": "open",
        "idle": {"hours": 24},
        "started": {"days": 7},
        "contains": [{"property": "sku", "value": "A-1"}],
    }
    assert words(rule) == (
        "has an open cart, idle for at least 24 hours, started in the last 7 days, with an event whose sku is “A-1”"
    )
    assert words({"cart": "any"}) == "has a cart"
    assert problems(
        {"cart": "full", "idle": 24, "contains": {"property": "sku"}, "started": {"days": 0}}
    ) == [
        ("/all/0/cart", "“full” is none of open, superseded, ordered, any."),
        ("/all/0/idle", "Write this part of the rule as a JSON object."),
        ("/all/0/started/days", "Write a whole number from 1 to 1,098."),
        ("/all/0/contains", "Write a list with at least one entry."),
    ]


def test_changes_of_carts_are_queued_while_a_rule_reads_them(ann: Profile) -> None:
    row = cart(ann, "c-1", "10:00", "11:00")
    assert not QueueEntry.objects.exists()
    Watch.objects.create(token="cart")

    def queued() -> list[tuple[int, list[str], str]]:
        rows = list(QueueEntry.objects.order_by("pk").values_list("profile_id", "reads", "cause"))
        QueueEntry.objects.all().delete()
        return rows

    second = cart(ann, "c-2", "12:00", "12:00")
    assert queued() == [(ann.pk, ["cart"], "event")]
    Cart.objects.update(last_event_at=clock("13:00"))
    assert queued() == [(ann.pk, ["cart"], "event")]
    events = happened(ann, "Added to Cart", "10:00", properties={"cart_id": "c-1"})
    events += happened(ann, "Product Viewed", "10:00")
    assert queued() == []
    Event.objects.filter(pk=events[1].pk).delete()
    assert queued() == []
    Event.objects.filter(pk=events[0].pk).delete()
    assert queued() == [(ann.pk, ["cart"], "retention")]
    Cart.objects.filter(pk__in=[row.pk, second.pk]).delete()
    assert queued() == [(ann.pk, ["cart"], "retention")]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'segments_note_carts%%'")
        assert cursor.fetchone() == (4,)
