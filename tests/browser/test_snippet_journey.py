"""From a first visit to a known person: the snippet on a shop's pages, the real door behind it, and the card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from cdp.actors import Actor
from cdp.models import User
from profiles.identity.lookup import find_profile
from profiles.models import Event, Profile, Receipt, Source
from profiles.tracking.sources.sources import NewSource, create_source
from profiles.tracking.sources.user_hash import sign_user
from tests.browser.conftest import Visit
from tests.browser.journeys import check
from tests.browser.sites import READY, Site, SitePages, delivered, running, snippet, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

FORM = """<form data-cdp-form="Newsletter" action="/thanks" method="post"><label>E-mail
<input type="email" name="mail" data-cdp-field="email" required></label>
<label>First name <input name="first" data-cdp-field="first_name"></label>
<input type="password" name="pw" data-cdp-field="pw" value="hunter2">
<button name="plan" value="weekly">Subscribe</button></form>"""
CART = "{cart_id: 'c-1', sku: 'A-1', variant: 'blue', price: 19.9, quantity: 1}"


@pytest.fixture
def shop() -> Iterator[Site]:
    pages = Site()
    with running(SitePages, pages, "127.0.0.1") as server:
        pages.address = server.address
        yield pages


@pytest.fixture
def source(transactional_db: None) -> NewSource:
    return create_source(name="Shop", kind="web", actor=Actor.system())


@pytest.fixture
def visitor(chromium: Browser, live_server: Any, transactional_db: None) -> Iterator[BrowserContext]:
    """One browser; closed before the database is emptied, since closing sends what waits."""
    context = chromium.new_context()
    yield context
    context.close()


@pytest.fixture
def browse(
    visitor: BrowserContext, shop: Site, source: NewSource, live_server: Any
) -> Callable[[str, str], Page]:
    """``browse("/product", "<p>…")``: a page of the shop in the visitor's browser, snippet loaded."""
    refused: list[str] = []

    def go(path: str, body: str, **options: str) -> Page:
        page = visitor.new_page()
        page.on("pageerror", lambda error: refused.append(str(error)))
        page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
        shop.put(path, body, snippet(live_server.url, source.write_key, **options))
        page.goto(shop.address + path)
        page.wait_for_function(READY)
        assert refused == []
        return page

    return go


def history(profile: Profile) -> list[str]:
    """What is on a person's timeline from the web, oldest first."""
    events = Event.objects.of_profiles(profile.pk).select_related("name").order_by("occurred_at", "id")
    return [event.name.name if event.kind == "track" else event.kind for event in events]


def subscribe(page: Page, mail: str, first: str) -> None:
    page.fill("[name=mail]", mail)
    page.fill("[name=first]", first)
    page.click("text=Subscribe")
    page.wait_for_url("**/thanks")


def test_a_visitor_becomes_a_known_person_and_the_next_one_another(
    browse: Callable[..., Page],
    shop: Site,
    source: NewSource,
    visit: Callable[..., Visit],
    ada: User,
) -> None:
    # Browses, fills a cart, leaves.
    page = browse("/product", "A blue shirt")
    page.evaluate(f"cdp.track('Product Viewed', {CART}); cdp.track('Added to Cart', {CART})")
    shop.put("/away", "Elsewhere")
    page.evaluate("location.href = '/away'")
    page.wait_for_url("**/away")
    page.close()
    # Comes back, says who it is.
    page = browse("/newsletter", FORM)
    anonymous = page.evaluate("cdp.anonymousId()")
    subscribe(page, "ann@example.com", "Ann")
    assert shop.posted == ["mail=ann%40example.com&first=Ann&pw=hunter2&plan=weekly"]
    # And goes on.
    page = browse("/orders", "Thank you")
    page.evaluate("cdp.track('Order Completed', {order_id: 'o-1', cart_id: 'c-1'})")
    delivered(page)

    ann = find_profile("email:ann@example.com").root
    assert ann.first_name == "Ann"
    assert ann.pk == find_profile(f"anonymous_id:{anonymous}").root.pk
    assert history(ann) == [
        "page",
        "Product Viewed",
        "Added to Cart",
        "page",
        "form.submit",
        "identify",
        "page",
        "Order Completed",
    ]
    submitted = Event.objects.get(name__name="form.submit")
    assert submitted.properties == {
        "form": "Newsletter",
        "fields": {"email": "ann@example.com", "first_name": "Ann"},
        "button": {"name": "plan", "value": "weekly"},
    }
    assert submitted.context["page"]["url"] == f"{shop.address}/newsletter"

    # A second person on the same browser stays another one.
    page = browse("/newsletter", FORM)
    subscribe(page, "ben@example.com", "Ben")
    page = browse("/product", "A red shirt")
    page.evaluate("cdp.track('Product Viewed', {sku: 'A-2'})")
    delivered(page)
    ben = find_profile("email:ben@example.com").root
    assert ben.pk != ann.pk
    # The page was Ann's browser's when it was opened; what Ben did is Ben's.
    assert history(ben) == ["form.submit", "identify", "page", "Product Viewed"]
    assert history(ann)[-1] == "page"
    assert len(history(ann)) == 9
    assert Profile.objects.filter(status="live").count() == 2

    # Nothing was lost, nothing counted twice.
    stored = Event.objects.filter(source=source.source)
    assert stored.count() == 13
    assert not Receipt.objects.filter(outcome__in=Receipt.WAITING).exists()

    card = visit(ada, f"/admin/profiles/profile/{ann.pk}/change/")
    check(card, heading="Ann")
    card.page.locator("#timeline .visit > details > summary").click()
    text = card.page.inner_text("main")
    for said in ("ann@example.com", "Added to Cart", "Form submitted", "Order Completed"):
        assert said in text
    assert "ben@example.com" not in text


def test_a_repeated_call_counts_once(browse: Callable[..., Page]) -> None:
    page = browse("/product", "A shirt", page="off")
    page.evaluate("cdp.track('Bought')")
    kept = page.evaluate("Object.entries(localStorage).filter(([key]) => key.startsWith('cdp:'))")
    delivered(page)
    # What a browser does whose page went away before the answer.
    page.evaluate("(kept) => kept.forEach(([key, text]) => localStorage.setItem(key, text))", kept)
    delivered(page)
    assert Event.objects.filter(name__name="Bought").count() == 1
    assert Receipt.objects.filter(outcome="duplicate").count() == 1


def test_a_signed_user_id_and_one_that_is_not(
    browse: Callable[..., Page], visitor: BrowserContext, source: NewSource
) -> None:
    Source.objects.filter(pk=source.source.pk).update(needs_user_hash=True)
    signed = sign_user(source.source, "42")
    page = browse("/account", "Yours", page="off", user_id="42", user_hash=signed)
    delivered(page)
    known = find_profile("customer_id:42").root
    visitor.clear_cookies()
    page.evaluate("localStorage.clear()")
    page = browse("/forged", "Not yours", page="off", user_id="42", user_hash="0" * 64)
    anonymous = page.evaluate("cdp.anonymousId()")
    delivered(page)
    stranger = wait_for(page, lambda: find_profile(f"anonymous_id:{anonymous}").root)
    assert stranger.pk != known.pk
