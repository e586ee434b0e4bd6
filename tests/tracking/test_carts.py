"""Carts: what is sent twice is dropped once, newer carts supersede older ones."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cdp.actors import Actor
from profiles.builtin_sources import builtin_source
from profiles.merging.merge import merge_profiles
from profiles.models import Cart, Event, Receipt
from profiles.tracking.sources.write_keys import Sender
from tests.profile_factory import make_profile
from tests.tracking.calls import call, holder, identify, make_sender, track

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0) - datetime.timedelta(hours=1)


@pytest.fixture
def web(db: None) -> Sender:
    return make_sender("web")


def added(
    seconds: float = 0, *, who: str = "b1", name: str = "Added to Cart", **properties: Any
) -> dict[str, Any]:
    at = NOW + datetime.timedelta(seconds=seconds)
    fields = {"cart_id": "c1", "sku": "A", "price": 9.9, "quantity": 1, **properties}
    return {
        "type": "track",
        "event": name,
        "anonymousId": who,
        "timestamp": at.isoformat(),
        "properties": fields,
    }


def outcomes(sender: Sender, *items: dict[str, Any]) -> list[str]:
    return [result.code or result.outcome for result in call(sender, *items).results]


def test_the_same_within_two_seconds_is_dropped(web: Sender) -> None:
    assert outcomes(web, added(), added(1)) == ["applied", "duplicate_cart_event"]
    # Stored before, too; and what is the same as something dropped is measured from what was kept.
    assert outcomes(web, added(2), added(3), added(4.5)) == [
        "duplicate_cart_event",
        "applied",
        "duplicate_cart_event",
    ]
    assert Event.objects.count() == 2
    receipt = (
        Receipt.objects.filter(code="duplicate_cart_event")
        .order_by()
        .values_list("outcome", "message")
        .distinct()
    )
    assert list(receipt) == [
        ("duplicate", "The same person did the same with the same cart within two seconds.")
    ]


def test_what_differs_is_kept(web: Sender) -> None:
    different = [
        added(),
        added(sku="B"),
        added(variant="blue"),
        added(quantity=2),
        added(price=9.8),
        added(cart_id="c2"),
        added(name="Removed from Cart"),
        added(who="b2"),
        added(2.1),
    ]
    assert outcomes(web, *different) == ["applied"] * len(different)
    assert outcomes(make_sender("web"), added()) == ["applied"]
    # 9.9 and 9.90 are one price, 1 and 1.0 one quantity; other properties say nothing about the article.
    assert outcomes(web, added(quantity=1.0, position=7)) == ["duplicate_cart_event"]


def test_without_an_article_everything_counts(web: Sender) -> None:
    def step(number: int) -> dict[str, Any]:
        return added(name="Checkout Step Viewed", sku=None, price=None, quantity=None, step=number)

    assert outcomes(web, step(1), step(2), step(1)) == ["applied", "applied", "duplicate_cart_event"]
    assert outcomes(web, step(2), step(3)) == ["duplicate_cart_event", "applied"]


def test_without_a_cart_nothing_is_dropped(web: Sender) -> None:
    for cart_id in (None, "", "  ", True, {"a": 1}, "x" * 256):
        assert outcomes(web, added(cart_id=cart_id), added(cart_id=cart_id)) == ["applied", "applied"], (
            cart_id
        )
    assert not Cart.objects.exists()


def test_other_spellings_are_the_same_cart(web: Sender) -> None:
    """The shipped schema knows cartId and product_sku."""
    respelled = added()
    respelled["properties"] = {"cartId": "c1", "product_sku": "A", "productPrice": 9.9, "qty": 1}
    assert outcomes(web, added(), respelled) == ["applied", "duplicate_cart_event"]


def test_the_same_person_on_two_rows(web: Sender) -> None:
    """After a join, what the browser did before is the person's."""
    assert outcomes(web, added()) == ["applied"]
    identify(web, userId="42", anonymousId="b1")
    assert outcomes(web, {**added(1), "userId": "42"}) == ["duplicate_cart_event"]


def carts() -> list[tuple[str, str]]:
    return list(Cart.objects.order_by("started_at", "pk").values_list("cart_id", "state"))


def test_a_newer_cart_supersedes(web: Sender) -> None:
    call(web, added(0), added(10, sku="B"), added(60, cart_id="c2"))
    assert carts() == [("c1", "superseded"), ("c2", "open")]
    old, new = Cart.objects.order_by("pk")
    assert old.superseded_by == new
    assert old.last_event_at - old.started_at == datetime.timedelta(seconds=10)
    # However late an older one arrives.
    call(web, added(-60, cart_id="c0"))
    assert carts() == [("c0", "superseded"), ("c1", "superseded"), ("c2", "open")]
    call(web, added(90, cart_id="c2", name="Order Completed"), added(120, cart_id="c3"))
    assert carts()[2:] == [("c2", "ordered"), ("c3", "open")]
    # An order is one, whatever comes after it; even of a cart that was given up.
    call(web, added(150, cart_id="c2"), added(160, cart_id="c1", name="order_completed"))
    assert carts()[1:] == [("c1", "ordered"), ("c2", "ordered"), ("c3", "open")]


def test_carts_of_two_people_do_not_meet(web: Sender) -> None:
    call(web, added(0), added(10, who="b2"), added(20, who="b2", cart_id="c2"))
    assert sorted(Cart.objects.values_list("profile_id", "cart_id", "state")) == sorted(
        [
            (holder("anonymous_id", "b1").pk, "c1", "open"),
            (holder("anonymous_id", "b2").pk, "c1", "superseded"),
            (holder("anonymous_id", "b2").pk, "c2", "open"),
        ]
    )


def test_carts_of_merged_rows_are_one_persons(web: Sender) -> None:
    track(web, "Looked", anonymousId="b1")
    call(web, added(0))
    ann = make_profile(first_name="Ann")
    merge_profiles(
        winner_id=ann.pk,
        loser_id=holder("anonymous_id", "b1").pk,
        actor=Actor.system(),
        source=builtin_source("staff"),
    )
    call(web, added(60, cart_id="c2"))
    assert carts() == [("c1", "superseded"), ("c2", "open")]


def test_queries_do_not_grow_with_rows(web: Sender) -> None:
    def count(number: int, cart: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            call(
                web,
                *[added(place * 5, cart_id=f"{cart}{place % 7}", sku=f"s{place}") for place in range(number)],
            )
        return len(seen)

    count(1, "warm")
    assert count(2, "a") == count(60, "b")


def test_two_browsers_tabs_at_once(two_connections: Callable[..., list[Any]], transactional_db: None) -> None:
    """Both calls come at the same moment; one of them is kept."""
    web = make_sender("web")
    call(web, {"type": "page", "anonymousId": "b1"})
    both = two_connections(lambda: outcomes(web, added()), lambda: outcomes(web, added(0.5)))
    assert sorted(both) == [["applied"], ["duplicate_cart_event"]]
