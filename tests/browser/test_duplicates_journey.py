"""A support person clears the queue with the keyboard alone; every verdict holds when everybody is compared again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdp.models import User
from profiles.models import DuplicateCase, DuplicatePair, Merge
from tests.browser.journeys import SHAPES, check, tab_to
from tests.duplicates.cast import make_ann, make_plain_profile, scan, twins

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
QUEUE = "/admin/profiles/duplicatepair/"
CASES = 30
# What is pressed for each case in turn; flip, look at the next and come back are no decisions.
KEYS = {"m": "merged", "n": "not_duplicate", "l": "later"}


def test_thirty_cases_by_keyboard_alone(visit: Callable[..., Any], sam: User) -> None:
    twins(CASES)
    seen = visit(sam, QUEUE)
    check(seen, heading="Duplicates")
    press, page = seen.page.keyboard.press, seen.page
    wanted: dict[int, str] = {}
    with page.expect_navigation():
        press("r")
    for number in range(CASES):
        page.get_by_role("heading", name="Are these two one person?").wait_for()
        pair_id = int(page.url.split("/duplicatepair/")[1].split("/")[0])
        assert pair_id not in wanted, "shown twice"
        if number == 0:
            check(seen, heading="Are these two one person?")
        winner = page.locator("input[name=winner]").input_value()
        key = "mmnmml"[number % 6]
        if number % 6 == 1:  # the other one survives
            with page.expect_navigation():
                press("f")
            assert page.locator("input[name=winner]").input_value() != winner
        if number == 3:  # look at the next, come back
            for back_and_forth in "jk":
                with page.expect_navigation():
                    press(back_and_forth)
            assert f"/{pair_id}/" in page.url
        with page.expect_navigation():
            press(key)
        wanted[pair_id] = KEYS[key]
    page.get_by_text("Nothing is left to review here.").wait_for()
    assert seen.problems == []

    def verdicts() -> dict[int, str]:
        return dict(DuplicatePair.objects.values_list("pk", "verdict"))

    assert verdicts() == wanted
    scan()
    assert verdicts() == wanted
    assert Merge.objects.count() == list(wanted.values()).count("merged")


def test_the_pages_wide_and_narrow_light_and_dark(visit: Callable[..., Any], ada: User) -> None:
    for width, dark in SHAPES:
        check(visit(ada, QUEUE, width=width, dark=dark), heading="Nobody was compared yet")
    make_ann()
    make_ann(email="ann.pucllar@gmx.de", phone="", city="Gdynia")
    make_ann(first_name="Robert", birth_date="1978-02-03")
    for number in range(3):
        make_plain_profile(
            first_name="Ida", last_name="Quist", birth_date="1971-01-01", email=f"ida{number}@web.de"
        )
    for number in range(210):
        make_plain_profile(first_name=f"Name{number}", email="no@web.de")
    scan()
    pair = DuplicatePair.objects.filter(tier="certain").order_by("pk").first()
    people = DuplicateCase.objects.get(kind="people")
    shared = DuplicateCase.objects.get(kind="shared_value")
    assert pair is not None
    case = "/admin/profiles/duplicatecase/"
    pages = {
        QUEUE: "Duplicates",
        f"{QUEUE}?tier=related": "Duplicates",
        f"{QUEUE}?score=200": "No pair fits",
        f"{QUEUE}{pair.pk}/change/": "Are these two one person?",
        case: "Duplicates",
        f"{case}?kind=shared_value": "Duplicates",
        f"{case}{people.pk}/change/": "Are these 3 one person?",
        f"{case}{shared.pk}/change/": "A value too many share",
    }
    for width, dark in SHAPES:
        seen = visit(ada, QUEUE, width=width, dark=dark)
        for path, heading in pages.items():
            check(seen.open(path), heading=heading)


def test_without_javascript_and_by_tab(visit: Callable[..., Any], sam: User) -> None:
    (pair,) = twins(1)
    url = f"{QUEUE}{pair.pk}/change/"
    seen = visit(sam, url, js=False)
    seen.page.get_by_role("button", name="Later").click()
    seen.page.get_by_text("come back on").wait_for()
    seen = visit(sam, url)
    tab_to(seen, "Not a duplicate n")
    with seen.page.expect_navigation():
        seen.page.keyboard.press("Enter")
    seen.page.get_by_text("are marked as not duplicates.").wait_for()
    pair.refresh_from_db()
    assert pair.verdict == "not_duplicate"
