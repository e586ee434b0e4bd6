"""From a card to why two are separate, and to one person: by hand, in a real browser, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdp.actors import Actor
from cdp.models import User
from profiles.identity.lookup import find_profile
from profiles.pairs.verdicts import set_verdict
from tests.browser.journeys import check
from tests.duplicates.causes import CAUSES

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
QUESTION = "Why are these two separate?"


def test_from_the_card_to_one_person(visit: Callable[..., Any], sam: User) -> None:
    told = CAUSES["update_instead_of_identify"]()
    set_verdict(a_id=told.a, b_id=told.b, verdict="open", actor=Actor.system())
    seen = visit(sam, f"/admin/profiles/profile/{told.a}/change/")
    page = seen.page
    page.get_by_role("link", name="Why separate?").click()
    check(seen, heading=QUESTION)
    assert told.copy in page.locator("pre.code").first.inner_text()
    page.get_by_role("link", name="Promote to identifier and merge…").click()
    page.get_by_role("heading", name="what would happen").wait_for()
    check(seen, heading=QUESTION)
    page.get_by_role("button", name="Promote to identifier and merge").click()
    page.get_by_text("was merged into").wait_for()
    assert seen.problems == []
    assert find_profile(told.a).root.pk == find_profile(told.b).root.pk


def test_two_are_compared_by_naming_the_other(visit: Callable[..., Any], sam: User) -> None:
    told = CAUSES["id_under_attributes"]()
    seen = visit(sam, f"/admin/profiles/profile/{told.a}/change/")
    seen.page.get_by_text("Compare with…").click()
    seen.page.get_by_label("The other profile").fill("customer_id:C-20417")
    seen.page.get_by_role("button", name="Why are they separate?").click()
    seen.page.get_by_text("An identifier among the attributes").wait_for()
    check(seen, heading=QUESTION)


def test_wide_and_narrow_light_and_dark(visit: Callable[..., Any], ada: User) -> None:
    told = CAUSES["column_mapped_to_an_attribute"]()
    path = f"/admin/profiles/profile/{told.a}/why/{told.b}/"
    seen = visit(ada, path)
    check(seen, heading=QUESTION, shapes=True)
    check(seen.open(f"{path}?fix=promote_identifier"), heading=QUESTION, shapes=True)
    check(visit(ada, f"/admin/profiles/profile/{told.a}/why/"), heading=QUESTION, shapes=True)
