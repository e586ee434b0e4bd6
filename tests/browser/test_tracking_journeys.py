"""What tracking sends in a browser: the inbox repaired and replayed, calls watched as they come in, keys rotated."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from cdp.models import User
from profiles.models import Event, Receipt, Source, WriteKey
from profiles.tracking.rejected.receipts import waiting
from tests.browser.journeys import work
from tests.tracking.rejected import make_source, reject, send

pytestmark = pytest.mark.browser

Go = Callable[..., Any]
INBOX = "/admin/profiles/receipt/"


@pytest.fixture
def shop() -> Source:
    """A source with a few calls that went well, and others that wait."""
    source = make_source("web", name="Shop website")
    for number in range(3):
        page = {"type": "page", "anonymousId": "b-1", "properties": {"title": "Shoes"}}
        send(source, page, {"type": "identify", "anonymousId": "b-1", "traits": {"email": "ann@example.com"}})
        payload = {
            "type": "track",
            "event": "Added to Cart",
            "messageId": f"m-{number}",
            "anonymousId": "b-1",
            "properties": {"product_sku": "SHOE-42", "price": "12,50"},
        }
        reject(
            source,
            payload,
            outcome="quarantined",
            code="schema_violation",
            message="“price” is a text where a number is wanted.",
            problems=[{"pointer": "/properties/price", "value": "12,50", "message": "This is a text."}],
        )
    return source


def test_pages_are_clean(visit: Go, ada: User, shop: Source) -> None:
    opened = visit(ada, INBOX)
    row = waiting().first()
    done = Receipt.objects.filter(outcome="applied").first()
    person = Event.objects.first().profile.canonical_id
    source = f"/admin/profiles/source/{shop.pk}"
    for path in (
        INBOX,
        f"{INBOX}?state=all&source=Shop+website",
        f"{INBOX}?items=1",
        f"{INBOX}?name=zzz",
        f"{INBOX}{row.pk}/change/",
        f"{INBOX}{done.pk}/change/",
        "/admin/profiles/source/",
        "/admin/profiles/source/add/",
        f"{source}/change/",
        f"{source}/live/",
        f"{source}/check-up/",
        f"{source}/check-up/?anonymous_id=b-1",
        f"{source}/connect/",
        f"{source}/settings/",
        f"/admin/profiles/profile/{person}/change/?kind=event",
    ):
        opened.open(path).check_shapes()
    chart = opened.open(f"{source}/change/").page.locator(".chart")
    right = "c => [c.querySelector('svg'), c].map(one => Math.round(one.getBoundingClientRect().right))"
    drawn, seen = chart.evaluate(right)
    assert drawn <= seen, "the newest hours are in view"
    opened.open(INBOX)
    opened.page.get_by_text("Filters").first.click()
    opened.check_shapes()


def test_one_is_corrected_the_rest_repaired_together(visit: Go, ada: User, shop: Source) -> None:
    opened = visit(ada, INBOX)
    page = opened.page
    opened.check()
    page.get_by_role("link", name="List each item").click()
    page.get_by_role("link", name="Added to Cart").first.click()
    expect(page.get_by_text("This is a text.")).to_be_visible()
    field = page.get_by_label("As it will be sent")
    field.fill('{"type": "track",}')
    page.get_by_role("button", name="Replay", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Line 1, column 1")
    assert "Failed to load resource" in opened.problems.pop()  # the browser remarks on the 400
    opened.check()
    page.get_by_role("link", name="Start over").click()
    field.fill(field.input_value().replace('"12,50"', "12.5"))
    page.get_by_role("button", name="Replay", exact=True).click()
    expect(page.get_by_text("Replayed: applied.")).to_be_visible()
    opened.open(f"{INBOX}?items=1")
    page.get_by_label("Select all 2 waiting").check()
    page.get_by_role("button", name="Repair and replay…").click()
    for number, (what, name, value) in enumerate(
        (("Rename a property", "product_sku", "sku"), ("Read a text as a number", "price", "")), start=1
    ):
        page.locator(f"#repair-{number}").select_option(what)
        page.locator(f"#name-{number}").fill(name)
        page.locator(f"#value-{number}").fill(value)
    page.get_by_role("button", name="Show what changes").click()
    expect(page.get_by_text("changes", exact=True)).to_have_count(2)
    opened.check()
    page.get_by_role("button", name="Replay 2 items").click()
    expect(page.get_by_text("Started: Replay 2 rejected items.")).to_be_visible()
    work()
    page.reload()
    expect(page.get_by_role("main")).to_contain_text("Accepted")
    assert not waiting().exists()
    prices = Event.objects.filter(kind="track").values_list("properties__price", flat=True)
    assert list(prices) == [12.5] * 3


def test_calls_show_up_while_one_looks(visit: Go, ada: User, shop: Source) -> None:
    opened = visit(ada, f"/admin/profiles/source/{shop.pk}/live/")
    page, rows = opened.page, opened.page.locator("#live-rows tr")
    expect(rows).to_have_count(9)
    send(shop, {"type": "track", "event": "Checkout <b>Started</b>", "anonymousId": "b-1"})
    expect(rows).to_have_count(10)
    expect(rows.first).to_contain_text("Checkout <b>Started</b>")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused")).to_be_visible()
    rows.first.get_by_text("Show").click()
    expect(rows.first.locator("pre")).to_contain_text("b-1")
    page.get_by_role("button", name="Resume").click()
    send(shop, {"type": "page"})
    expect(rows.first).to_contain_text("not valid")
    opened.check()
    opened.open(f"/admin/profiles/source/{shop.pk}/check-up/?anonymous_id=b-9")
    expect(page.get_by_text("Nothing from this browser")).to_be_visible()
    send(shop, {"type": "update", "anonymousId": "b-9", "traits": {"email": "ben@example.com"}})
    expect(page.get_by_text("An identifier is sent as a plain value")).to_be_visible()
    opened.check()


def test_live_without_a_script(visit: Go, ada: User, shop: Source) -> None:
    opened = visit(ada, f"/admin/profiles/source/{shop.pk}/live/", js=False)
    send(shop, {"type": "page", "anonymousId": "b-2"})
    opened.page.get_by_role("link", name="Reload").click()
    expect(opened.page.locator("#live-rows tr")).to_have_count(10)
    expect(opened.page.get_by_role("button", name="Pause")).to_be_hidden()


def test_a_key_is_made_rotated_and_revoked(visit: Go, ada: User, shop: Source) -> None:
    opened = visit(ada, f"/admin/profiles/source/{shop.pk}/change/")
    page, old = opened.page, WriteKey.objects.get()
    page.get_by_role("button", name=f"Rotate {old.prefix}").click()
    expect(page.get_by_text("Copy the key now.")).to_be_visible()
    new = page.locator("#secret").inner_text()
    assert re.fullmatch(r"[\w-]{20,}", new)
    opened.check()
    page.get_by_role("link", name="To the source").click()
    page.get_by_role("button", name=f"Revoke {old.prefix}").click()
    expect(page.get_by_text(f"Key {old.prefix}… is revoked.")).to_be_visible()
    expect(page.locator("#keys tbody tr")).to_have_count(1)
    opened.check()
