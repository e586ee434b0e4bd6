"""Calls that come late, out of order or twice, about a browser that two people used."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp.invariants import violations
from profiles.models import IdentifierType, LinkInterval, Receipt
from profiles.tracking.ingest.ingest import known_types
from profiles.tracking.sources.write_keys import Sender
from tests.tracking.calls import call, events_of, holder, identify, make_sender, send_item, track
from tests.tracking.test_random import example

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(db: None) -> Sender:
    return make_sender("web")


def minutes_ago(minutes: float) -> str:
    return (timezone.now() - datetime.timedelta(minutes=minutes)).isoformat()


def leads(browser: str) -> str:
    """Whose the browser is, by the userId."""
    root = holder("anonymous_id", browser)
    assert root is not None
    return "".join(user for user in ("a", "b") if holder("customer_id", user) == root)


def last_problems() -> list[dict[str, Any]]:
    receipt = Receipt.objects.order_by("pk").last()
    assert receipt is not None
    return receipt.problems or []


@pytest.mark.parametrize("kind", ["page", "track", "identify", "screen"])
@pytest.mark.parametrize("in_one_call", [False, True])
def test_a_late_call_takes_no_browser_from_whom_it_belonged_to_later(
    shop: Sender, kind: str, in_one_call: bool
) -> None:
    late = {"type": kind, "event": "Looked", "userId": "b", "anonymousId": "x", "timestamp": minutes_ago(30)}
    items = [
        {"type": "identify", "userId": "a", "anonymousId": "x", "timestamp": minutes_ago(20)},
        {"type": "identify", "userId": "b", "anonymousId": "y", "timestamp": minutes_ago(10)},
        late,
    ]
    if in_one_call:
        call(shop, *items)
    else:
        for item in items:
            call(shop, item)
    assert (leads("x"), leads("y")) == ("a", "b")
    assert LinkInterval.objects.count() == 0
    ann = holder("customer_id", "a")
    whose = "another person of this call's" if in_one_call else f"profile #{ann.pk}'s"  # type: ignore[union-attr]
    assert last_problems() == [
        {
            "code": "stays_with_owner",
            "pointer": "/anonymousId",
            "value": "x",
            "message": f"This Browser id was {whose} after this call was made, so it stays there.",
        }
    ]
    # Now she uses it: from here on it is hers.
    identify(shop, userId="b", anonymousId="x")
    assert leads("x") == "b"
    assert violations() == []


def test_within_the_hour_the_events_say_who_had_a_browser_last(shop: Sender) -> None:
    """An identifier's own row says when it was seen last to the hour only."""
    identify(shop, userId="a", anonymousId="x", timestamp=minutes_ago(50))
    track(shop, userId="a", anonymousId="x", timestamp=minutes_ago(20))
    identify(shop, userId="b", timestamp=minutes_ago(60))
    track(shop, userId="b", anonymousId="x", timestamp=minutes_ago(30))
    assert leads("x") == "a"
    track(shop, userId="b", anonymousId="x", timestamp=minutes_ago(10))
    assert leads("x") == "b"
    # What nobody signed in sent then was hers who had it then.
    track(shop, "Late", anonymousId="x", timestamp=minutes_ago(15))
    assert events_of(holder("customer_id", "a"))[-1] == "Late"  # type: ignore[arg-type]
    assert violations() == []


def test_other_soft_ids_are_held_by_the_same_rule(shop: Sender) -> None:
    def by(user: str, minutes: float) -> None:
        ids = [{"type": "device_id", "id": "tv"}]
        track(shop, userId=user, context={"externalIds": ids}, timestamp=minutes_ago(minutes))

    IdentifierType.objects.create(name="device_id", strength="soft", priority=90)
    known_types.forget()
    try:
        identify(shop, userId="a", timestamp=minutes_ago(60))
        identify(shop, userId="b", timestamp=minutes_ago(60))
        by("a", 50)
        by("a", 20)
        by("b", 30)
        assert holder("device_id", "tv") == holder("customer_id", "a")
        by("b", 10)
        assert holder("device_id", "tv") == holder("customer_id", "b")
    finally:
        known_types.forget()


def test_a_marked_retry_takes_no_browser(shop: Sender) -> None:
    """analytics-next fills in whoever is signed in when it sends again; an identify names the person itself."""
    identify(shop, userId="a", anonymousId="x", timestamp=minutes_ago(30))
    identify(shop, userId="b", anonymousId="y", timestamp=minutes_ago(20))
    retried = {"userId": "b", "anonymousId": "x", "_metadata": {"retryCount": 2}}
    for metadata in ({"retryCount": 2}, {"retryCount": 1, "bundled": []}):
        send_item(shop, "page", **{**retried, "_metadata": metadata})
        assert leads("x") == "a"
        assert [problem["code"] for problem in last_problems()] == ["stays_with_owner"]
    bob = holder("customer_id", "b")
    assert bob is not None
    assert bob.events.order_by("pk").last().envelope["marks"] == ["retry"]  # type: ignore[union-attr]
    for metadata in (None, {}, {"retryCount": 0}, {"retryCount": "2"}, {"retryCount": True}, "x", [1]):
        assert send_item(shop, "page", userId="a", anonymousId="x", _metadata=metadata).outcome == "applied"
        assert leads("x") == "a"
    send_item(shop, "identify", **retried)
    assert leads("x") == "b"


calls = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["x", "y"]), st.integers(1, 12)),
    min_size=2,
    max_size=7,
)


@settings(max_examples=15)
@given(calls)
def test_whatever_comes_in_whatever_order_nobody_has_a_browser_twice(
    sent: list[tuple[str | None, str, int]],
) -> None:
    """In the order it was sent, in the opposite one, and all in one call."""
    for order in (sent, sent[::-1]):
        for in_one_call in (False, True):
            with example():
                shop = make_sender("web")
                items = [
                    {
                        "type": "track",
                        "event": "Looked",
                        "anonymousId": browser,
                        "timestamp": minutes_ago(5 * at),
                        **({"userId": user} if user else {}),
                    }
                    for user, browser, at in order
                ]
                for batch in [items] if in_one_call else [[item] for item in items]:
                    call(shop, *batch)
                assert violations() == []
                rows = LinkInterval.objects.order_by("value", "started_at", "ended_at")
                for _, times in itertools.groupby(rows, key=lambda row: row.value):
                    for row in times:
                        assert None in (row.started_at, row.ended_at) or row.started_at <= row.ended_at
                _newest_user_has_it(sent, order)


def _newest_user_has_it(sent: list[tuple[str | None, str, int]], order: list[Any]) -> None:
    """Where the newest call of a browser names somebody, that is whose it is, however the calls arrived."""
    for browser in {browser for _, browser, _ in sent}:
        known = [(at, user) for user, name, at in sent if name == browser and user]
        if not known or len({at for at, _ in known}) < len(known):
            continue
        newest = min(at for _, name, at in sent if name == browser)
        if (min(known)[0]) == newest:
            assert leads(browser) == min(known)[1], order
