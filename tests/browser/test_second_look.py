"""The merge of unlike people in a browser: the reasons above it, the tick, and what the tick outlives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdp.models import User
from profiles.models import DuplicatePair, Merge
from tests.browser.conftest import Visit
from tests.duplicates.cast import make_ann, make_plain_profile

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [1280, 390])
def test_unlike_people_are_merged_after_a_tick(
    visit: Callable[..., Visit], make_user: Callable[..., User], width: int
) -> None:
    sam = make_user("sam", "support")
    ann = make_ann()
    bob = make_plain_profile(first_name="Robert", last_name="Smith", city="Bergen", birth_date="1950-01-02")
    seen = visit(sam, f"/admin/profiles/profile/merge/?winner={ann.pk}&loser={bob.pk}", width=width)
    seen.check()
    page = seen.page
    page.get_by_role("button", name="Merge 2 profiles").click()
    assert not Merge.objects.exists(), "the browser asks for the tick"
    with page.expect_response(lambda answer: "second_look=1" in answer.url):
        page.get_by_label("I looked again: these are one person.").check()
    page.wait_for_load_state("networkidle")
    assert page.get_by_label("I looked again: these are one person.").is_checked()
    page.get_by_role("button", name="Merge 2 profiles").click()
    page.wait_for_url(f"**/{ann.pk}/change/")
    assert Merge.objects.count() == 1


def test_the_queue_shows_why_to_look_again(
    visit: Callable[..., Visit], make_user: Callable[..., User]
) -> None:
    sam = make_user("sam", "support")
    ann = make_ann()
    bob = make_plain_profile(first_name="Robert", last_name="Smith", city="Bergen")
    pair = DuplicatePair.objects.create(a=ann, b=bob, tier="possible", score=0, found_by="source")
    seen = visit(sam, f"/admin/profiles/duplicatepair/{pair.pk}/change/")
    seen.check_shapes()
    page = seen.page
    page.get_by_role("button", name="Merge into").click()
    assert not Merge.objects.exists(), "the browser asks for the tick"
    page.get_by_label("I looked again: these are one person.").check()
    page.get_by_role("button", name="Merge into").click()
    page.get_by_text("Undo").first.wait_for()
    assert Merge.objects.count() == 1


def test_the_page_for_visitors_is_fine(visit: Callable[..., Visit]) -> None:
    visit(None, "/browser-id/").check()
