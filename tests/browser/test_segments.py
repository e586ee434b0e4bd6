"""Segments in a browser: built with few clicks, by keyboard and without JavaScript, saved, explained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from cdp.models import User
from profiles.models import EventName
from segments.models import Membership, Segment
from tests.browser.journeys import tab_to
from tests.profile_factory import make_profile
from tests.segments.test_membership import happened
from tests.segments.test_pages import IN_OSLO, made, settle

pytestmark = pytest.mark.browser
Go = Callable[..., Any]
PAGES = "/admin/segments/segment/"


@pytest.fixture
def people(db: None) -> None:
    for name in ("Added to Cart", "Order Completed"):
        EventName.objects.create(name=name)
    ann, ben = make_profile(first_name="Ann", city="Oslo"), make_profile(first_name="Ben", city="Oslo")
    for person in (ann, ben):
        happened(person, "Added to Cart", price=30, products=[{"sku": "A", "price": 30}])
    happened(ben, "Order Completed", total=30)


@pytest.mark.usefixtures("people")
def test_left_a_cart_in_a_few_clicks(visit: Go, mira: User) -> None:
    opened = visit(mira, PAGES)
    page = opened.page
    page.get_by_role("link", name="Make the first segment").click()
    page.locator("#name").fill("Left a cart")
    page.get_by_role("button", name="+ Event").click()
    expect(page.locator("#c0-kind")).to_be_focused()
    page.locator("#c0-event").fill("Added to Cart")
    page.get_by_role("button", name="+ No event").click()
    page.locator("#c1-event").fill("Order Completed")
    page.locator("#c1-event").press("Tab")
    preview = page.locator("#preview")
    expect(preview.locator(".big")).to_have_text("1")
    expect(preview.get_by_role("link", name="Ann")).to_be_visible()
    expect(page.locator("#kept-c0")).to_contain_text("2 left · fails for 0")
    expect(page.locator("#kept-c1")).to_contain_text("1 left · alone keeps out 1 · fails for 1")
    opened.check_shapes()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("button", name="Make the segment").click()
    expect(page.get_by_text("The segment “Left a cart” is made.")).to_be_visible()
    settle()
    # The page looks again by itself while the segment is filled.
    expect(page.locator(".big")).to_have_text("1")
    opened.open(f"{PAGES}{Segment.objects.get().pk}/change/")
    expect(page.get_by_role("row", name="Ann")).to_be_visible()
    opened.check_shapes()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("link", name="Why is … (not) in it?").click()
    page.locator("input[name=person]").fill("Ben")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("heading", name="Ben is not in it")).to_be_visible()
    expect(page.locator(".findings")).to_contain_text("Does not hold: did not do Order Completed")
    opened.check_shapes()
    opened.open(PAGES)
    opened.check_shapes()


@pytest.mark.usefixtures("people")
def test_a_rule_is_changed_after_its_effect_was_shown(visit: Go, mira: User) -> None:
    segment = made(mira, "In Oslo", IN_OSLO)
    opened = visit(mira, f"{PAGES}{segment.pk}/rule/")
    page = opened.page
    expect(page.locator("#preview .big")).to_have_text("2")
    page.get_by_role("button", name="+ Event").click()
    page.locator("#c1-event").fill("Order Completed")
    page.get_by_role("button", name="Add a property").click()
    expect(page.locator("#c1-where0-property")).to_be_focused()
    page.locator("#c1-where0-property").fill("total")
    page.locator("#c1-where0-property").press("Tab")
    expect(page.locator("#c1-where0-type")).to_have_value("number")
    page.locator("#c1-where0-op").select_option("gte")
    page.locator("#c1-where0-value").fill("20")
    page.locator("#c1-where0-value").press("Tab")
    expect(page.locator("#preview")).to_contain_text("+0 −1 against who is in it now")
    page.get_by_role("button", name="Actions for 2, Event").click()
    page.get_by_role("button", name="Turn into “not”").click()
    expect(page.locator("#c1 .badge")).to_have_text("not")
    expect(page.locator("#preview")).to_contain_text("Ann")
    opened.check_shapes()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("button", name="Save version 2").click()
    expect(page.get_by_text("Version 2 is saved.")).to_be_visible()
    settle()
    assert Membership.objects.current().count() == 1


@pytest.mark.usefixtures("people")
def test_built_by_keyboard(visit: Go, mira: User) -> None:
    opened = visit(mira, f"{PAGES}add/")
    page = opened.page
    expect(page.locator("#name")).to_be_focused()
    page.keyboard.type("Oslo")
    tab_to(opened, "+ Attribute")
    page.keyboard.press("Enter")
    expect(page.locator("#c0-attribute")).to_be_focused()
    page.keyboard.type("City")
    page.keyboard.press("Tab")
    expect(page.locator("#c0-op")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("oslo")
    expect(page.locator("#preview .big")).to_have_text("2")
    tab_to(opened, "Make the segment")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The segment “Oslo” is made.")).to_be_visible()


@pytest.mark.usefixtures("people")
def test_built_without_javascript(visit: Go, mira: User) -> None:
    page = visit(mira, f"{PAGES}add/", js=False, width=390).page
    page.locator("#name").fill("Oslo")
    page.get_by_role("button", name="+ Attribute").click()
    page.locator("#c0-attribute").select_option("city")
    page.locator("#c0-value").fill("Oslo")
    page.get_by_role("button", name="Count").click()
    expect(page.locator("#preview .big")).to_have_text("2")
    page.get_by_role("button", name="Make the segment").click()
    expect(page.get_by_text("The segment “Oslo” is made.")).to_be_visible()
