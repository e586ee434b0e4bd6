"""The whole path in a real browser: two people found, merged, separated, exported, deleted and brought back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from cdp.models import User
from profiles.models import Merge, Profile
from tests.browser.journeys import SHAPES, check, download, tab_to
from tests.profile_factory import make_profile

pytestmark = pytest.mark.browser

Go = Callable[..., Any]
PEOPLE = "/admin/profiles/profile/"


@pytest.fixture
def dana(make_user: Callable[..., User]) -> User:
    """The data admin."""
    return make_user("dana", "data admin")


@pytest.fixture
def kowalskas(db: None) -> tuple[Profile, Profile]:
    """The same woman twice, and somebody else beside her."""
    anna = make_profile(
        first_name="Anna", last_name="Kowalska", email="anna@example.com", city="Warszawa", tags=["vip"]
    )
    hanna = make_profile(
        first_name="Ania", last_name="Kowalska", email="ania@old.example", city="Kraków", phone="+48600100200"
    )
    make_profile(first_name="Zoe", last_name="Other", email="zoe@example.com")
    return anna, hanna


def search(seen: Any, words: str, found: str) -> None:
    seen.open(PEOPLE)
    seen.page.get_by_role("search", name="People", exact=True).get_by_role("searchbox").fill(words)
    seen.page.keyboard.press("Enter")
    seen.page.get_by_text(found, exact=True).wait_for()


def result(page: Any, field: str) -> Locator:
    """The last cell of a field's line in the preview."""
    line = page.locator("table.compare tr").filter(has=page.get_by_role("rowheader", name=field, exact=True))
    return line.locator("td b")  # type: ignore[no-any-return]


def exported(seen: Any, pk: int, folder: Path) -> tuple[str, Any]:
    seen.open(f"{PEOPLE}{pk}/change/")
    seen.page.get_by_role("button", name="More actions").click()
    path = download(seen, seen.page.get_by_role("button", name="GDPR export"), folder)
    return path.name, json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("width", "dark"), SHAPES)
def test_from_two_people_to_one_and_back(
    visit: Go, dana: User, kowalskas: tuple[Profile, Profile], tmp_path: Path, width: int, dark: bool
) -> None:
    anna, ania = kowalskas
    seen = visit(dana, PEOPLE, width=width, dark=dark)
    page = seen.page
    search(seen, "kowalska", "2 people match")
    check(seen, heading="People")
    for name in ("Anna Kowalska", "Ania Kowalska"):
        page.get_by_label(f"Tick {name}").check()
    page.get_by_text("2 ticked").wait_for()
    page.get_by_role("button", name="Merge…").first.click()
    check(seen, heading="Merge")

    winner = page.locator("input[name=winner]")
    suggested = winner.input_value()
    page.get_by_role("link", name="Swap").first.click()
    expect(winner).not_to_have_value(suggested)
    if winner.input_value() != str(anna.pk):
        page.get_by_role("link", name="Swap").first.click()
        expect(winner).to_have_value(str(anna.pk))
    expect(result(page, "City")).to_have_text("Warszawa")
    page.get_by_label("Kraków").check()
    expect(result(page, "City")).to_have_text("Kraków")
    check(seen, heading="Merge")
    assert not Merge.objects.exists()
    page.get_by_role("button", name="Merge 2 profiles").click()

    check(seen, heading="Anna Kowalska")
    assert page.url.split("#")[0].endswith(f"{PEOPLE}{anna.pk}/change/")
    page.get_by_text("merged from 2 profiles").wait_for()
    page.get_by_text(f"also: “Ania” from #{ania.pk}").wait_for()
    page.get_by_text(f"also: “Warszawa” from #{anna.pk}").wait_for()
    seen.open(f"{PEOPLE}{ania.pk}/change/")
    page.get_by_role("heading", name="Anna Kowalska").wait_for()
    name, both = exported(seen, anna.pk, tmp_path)
    assert name == f"profile-{anna.pk}.json"
    assert all(address in json.dumps(both) for address in ("anna@example.com", "ania@old.example"))

    search(seen, "ania@old.example", "1 person matches")
    page.get_by_text(f"Found as an old e-mail: ania@old.example, from merged-away #{ania.pk}").wait_for()
    seen.open("/admin/profiles/merge/")
    check(seen, heading="Merge history")
    page.get_by_role("link", name="Undo…").click()
    check(seen, heading=f"Goes back with #{ania.pk}")
    page.get_by_role("button", name="Separate 2 profiles").click()
    page.get_by_role("heading", name="Kowalska").first.wait_for()
    search(seen, "kowalska", "2 people match")
    assert Profile.objects.get(pk=anna.pk).city == "Warszawa"
    _, alone = exported(seen, anna.pk, tmp_path)
    addresses = [held["value"] for held in alone["identifiers"] if held["type"] == "email"]
    assert addresses == ["anna@example.com"]

    seen.open(f"{PEOPLE}{ania.pk}/change/")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("link", name="Delete…").click()
    check(seen, heading="Delete")
    page.get_by_text("Exactly 1 person is deleted").wait_for()
    page.get_by_label("Reason").select_option("They asked for it")
    page.get_by_label("Note").fill("By phone")
    page.get_by_role("button", name="Delete 1 person").click()
    search(seen, "kowalska", "1 person matches")
    seen.open(f"{PEOPLE}deleted/")
    check(seen, heading="Deleted people")
    page.get_by_role("link", name="Restore… Ania Kowalska").click()
    check(seen, heading="Restore")
    page.get_by_role("button", name="Restore 1 person").click()
    check(seen, heading="Ania Kowalska")
    search(seen, "ania@old.example", "1 person matches")


def test_merging_by_keyboard(visit: Go, dana: User, kowalskas: tuple[Profile, Profile]) -> None:
    seen = visit(dana, PEOPLE)
    page = seen.page
    page.keyboard.press("/")
    page.keyboard.type("kowalska")
    page.keyboard.press("Enter")
    page.get_by_text("2 people match", exact=True).wait_for()
    for name in ("Tick Ania Kowalska", "Tick Anna Kowalska"):
        tab_to(seen, name)
        page.keyboard.press("Space")
    page.get_by_text("2 ticked").wait_for()
    tab_to(seen, "Merge…")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="What the merge does").wait_for()
    suggested = page.locator("input[name=winner]").input_value()
    page.keyboard.press("s")
    expect(page.locator("input[name=winner]")).not_to_have_value(suggested)
    tab_to(seen, "Merge 2 profiles")
    page.keyboard.press("Enter")
    page.get_by_text("merged from 2 profiles").wait_for()
    assert Merge.objects.count() == 1
