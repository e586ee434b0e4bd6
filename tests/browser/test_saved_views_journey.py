"""Saved views in a browser: kept from the filters at hand, changed, shared, deleted; many of them in one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from cdp.actors import Actor
from cdp.models import User
from profiles.models import SavedView
from profiles.search.saved_views import save_view
from tests.browser.journeys import SHAPES, check, tab_to
from tests.profile_factory import make_profile

pytestmark = pytest.mark.browser
Go = Callable[..., Any]
LIST = "/admin/profiles/profile/"


@pytest.fixture
def people(ada: User) -> None:
    make_profile(first_name="Ann", email="ann@example.com", country="PL")
    make_profile(first_name="Bob", email="bob@example.com", country="DE")


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("js", [True, False])
def test_a_view_from_its_beginning_to_its_end(visit: Go, mira: User, js: bool) -> None:
    opened = visit(mira, f"{LIST}?country=PL", js=js)
    page = opened.page
    tabs = page.get_by_role("navigation", name="Views")
    page.get_by_role("button", name="Save as view…").click()
    sheet = page.locator("#view-add")
    sheet.get_by_label("Name").fill("Poles")
    sheet.get_by_role("button", name="Save view").click()
    expect(page.get_by_text("The view “Poles” is saved.")).to_be_visible()
    expect(tabs.locator("[aria-current=page]")).to_have_text("Poles")

    page.get_by_role("link", name="Remove the filter Country").click()
    expect(tabs.locator("[aria-current]")).to_have_text("Poles changed")
    expect(page.get_by_role("link", name="Bob")).to_be_visible()
    page.get_by_role("link", name="Discard changes").click()
    expect(page.get_by_role("link", name="Bob")).not_to_be_visible()

    page.get_by_role("button", name="Edit view…").click()
    sheet = page.locator("#view-edit")
    sheet.get_by_label("Name").fill("Poland")
    sheet.get_by_label("Share with the team").check()
    sheet.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The view “Poland” is shared with the team.")).to_be_visible()

    page.get_by_role("button", name="Edit view…").click()
    sheet.get_by_text("Delete view…").click()
    sheet.get_by_role("button", name="Delete “Poland”").click()
    expect(page.get_by_text("The view “Poland” is deleted.")).to_be_visible()
    assert not SavedView.objects.exists()
    if js:
        opened.check()


@pytest.mark.usefixtures("people")
def test_searching_while_typing_changes_the_view(visit: Go, mira: User) -> None:
    view = save_view(name="Poles", query="country=PL", actor=Actor.of_user(mira))
    page = visit(mira, f"{LIST}views/{view.pk}/").page
    page.locator("#people-search input[name=q]").press_sequentially("zzz")
    expect(page.locator("#views [aria-current]")).to_have_text("Poles changed")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("The changes of “Poles” are saved.")).to_be_visible()
    page.locator("#people-search input[name=q]").fill("bob")
    expect(page.locator("#views [aria-current]")).to_have_text("Poles changed")
    page.get_by_role("button", name="Save as…").click()
    page.locator("#view-add").get_by_label("Name").fill("Bobs")
    page.locator("#view-add").get_by_role("button", name="Save view").click()
    expect(page.locator("#views [aria-current]")).to_have_text("Bobs")
    queries = SavedView.objects.order_by("pk").values_list("query", flat=True)
    assert list(queries) == ["q=zzz&country=PL", "q=bob&country=PL"]


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(("width", "dark"), SHAPES)
def test_many_views_with_long_names(visit: Go, ada: User, width: int, dark: bool) -> None:
    actor = Actor.of_user(ada)
    for number in range(24):
        name = f"{number:02} {'Women in Kraków who bought twice and never opened'}"
        last = save_view(name=name, query="country=PL", is_shared=number % 2 == 0, actor=actor)
    last = save_view(name=f"99 {'W' * 57}", query="country=PL", actor=actor)
    opened = visit(ada, f"{LIST}?country=PL&view={last.pk}", width=width, dark=dark)
    page = opened.page
    expect(page.locator("#views .tabs [aria-current]")).to_be_in_viewport()
    check(opened, heading="People")
    for button in ("All 25 views", "Edit view…"):
        page.get_by_role("button", name=button).click()
        check(opened, heading="People")
        page.keyboard.press("Escape")
    page.get_by_role("button", name="All 25 views").click()
    page.get_by_role("link", name="00 Women in Kraków").last.click()
    expect(page.locator("#views .tabs [aria-current]")).to_contain_text("00 Women")
    opened.open(f"{LIST}deleted/")
    expect(
        page.get_by_role("navigation", name="Views").get_by_role("link", name="Deleted")
    ).to_be_in_viewport()
    check(opened, heading="Deleted people")


@pytest.mark.usefixtures("people")
def test_views_by_keyboard(visit: Go, mira: User) -> None:
    save_view(name="Poles", query="country=PL", actor=Actor.of_user(mira))
    opened = visit(mira, LIST)
    tab_to(opened, "Poles")
    opened.page.keyboard.press("Enter")
    expect(opened.page.locator("#views [aria-current=page]")).to_have_text("Poles")
    tab_to(opened, "Edit view…")
    opened.page.keyboard.press("Enter")
    tab_to(opened, "Close")
