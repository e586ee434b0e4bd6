"""From a card to who looked at the person, and from the list of looks back; a deletion with its reason. By keyboard, on a phone."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from cdp.actors import Actor
from cdp.looks import record_look
from cdp.models import User
from profiles.models import Change
from tests.profile_factory import make_profile


@pytest.mark.parametrize("width", [1280, 390])
def test_who_looked_is_one_click_from_the_card(visit: Any, ada: User, sam: User, width: int) -> None:
    ann = make_profile(first_name="Ann", last_name="Lee", email="ann@example.com")
    record_look("list", actor=Actor.of_user(sam), profile_ids=[ann.pk, *range(900_000, 900_049)])
    record_look("export", actor=Actor.of_user(sam), profile_ids=[ann.pk], subject="job:7")
    record_look("card", actor=Actor.of_user(sam), profile_ids=[ann.pk], is_masked=True)
    tab = visit(ada, f"/admin/profiles/profile/{ann.pk}/change/", width=width)
    tab.page.get_by_role("button", name="More actions").press("Enter")
    tab.page.get_by_role("link", name="Who looked").press("Enter")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Who looked at this person")
    expect(tab.page.get_by_text("with 49 others")).to_be_visible()
    expect(tab.page.get_by_text("an export of many people")).to_be_visible()
    tab.check()
    tab.open("/admin/cdp/look/")
    expect(tab.page.get_by_text("and 45 more")).to_be_visible()
    tab.check()
    tab.open("/admin/cdp/look/?q=nobody")
    tab.check()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_deletion_asks_for_a_reason_and_a_note(visit: Any, ada: User, width: int) -> None:
    ann = make_profile(first_name="Ann")
    tab = visit(ada, f"/admin/profiles/profile/{ann.pk}/delete/", width=width)
    tab.check()
    tab.page.get_by_label("Reason").select_option("request")
    tab.page.get_by_label("Note").fill("By phone")
    tab.page.get_by_role("button", name="Delete 1 person").press("Enter")
    expect(tab.page.get_by_text(f"#{ann.pk} was deleted.")).to_be_visible()
    change = Change.objects.get(kind="deleted")
    assert change.detail is not None
    assert (change.detail["reason"], change.detail["note"]) == ("request", "By phone")
