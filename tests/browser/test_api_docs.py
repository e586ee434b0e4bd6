"""The API's documentation works offline, under the strict policy, for everybody, and calls the API as whoever is logged in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from cdp.models import User
from tests.browser.journeys import SHAPES
from tests.profile_factory import make_profile

pytestmark = pytest.mark.browser
DOCS = "/api/v1/docs/"
Go = Callable[..., Any]


def open_topic(page: Any, name: str) -> None:
    page.get_by_role("button", name=f"Calls of {name}").click()


@pytest.mark.parametrize(("width", "dark"), SHAPES)
def test_reading_and_calling(visit: Go, ada: User, width: int, dark: bool) -> None:
    make_profile(first_name="Ann", email="ann@example.com")
    opened = visit(ada, DOCS, width=width, dark=dark)
    page = opened.page
    page.get_by_role("button", name="Calls of Profiles").wait_for()
    opened.check()  # every topic is closed at first
    open_topic(page, "Profiles")
    call = page.locator("#operations-Profiles-createProfile")
    call.get_by_role("button", name="POST /api/v1/profiles/ Add a person").click()
    page.wait_for_selector("text=A customer with consent", state="attached")
    assert page.get_by_role("heading", level=1).count() == page.get_by_role("main").count() == 1
    call.get_by_role("button", name="Try it out").click()
    expect(call.get_by_label("Request body")).to_be_visible()
    call = page.locator("#operations-Profiles-listProfiles")
    call.get_by_role("button", name="GET /api/v1/profiles/ List and search people").click()
    call.get_by_role("button", name="Try it out").click()
    call.get_by_label("q", exact=True).fill("ann")
    call.get_by_role("button", name="Execute").click()
    expect(call.locator(".live-responses-table")).to_contain_text('"email": "ann@example.com"')
    opened.check()


def test_a_file_is_sent_with_a_name(visit: Go, ada: User) -> None:
    opened = visit(ada, DOCS)
    open_topic(opened.page, "Imports")
    call = opened.page.locator("#operations-Imports-createImport")
    call.locator(".opblock-summary-control").click()
    call.get_by_role("button", name="Try it out").click()
    expect(call.get_by_label("file", exact=True)).to_be_visible()
    assert opened.problems == []


def test_the_dialog_takes_the_focus_and_gives_it_back(visit: Go) -> None:
    opened = visit(None, DOCS)
    page = opened.page
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.get_by_role("dialog", name="Available authorizations")
    expect(dialog.get_by_role("textbox").first).to_be_focused()
    opened.check()
    dialog.get_by_role("button", name="Close").last.focus()
    page.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Close").first).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(dialog.get_by_role("button", name="Close").last).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    expect(page.get_by_role("button", name="Authorize").first).to_be_focused()


def test_the_address_of_a_call_opens_it(visit: Go) -> None:
    page = visit(None, f"{DOCS}#/Merging/listMerges").page
    call = page.locator("#operations-Merging-listMerges")
    expect(call.locator(".opblock-summary-control")).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
