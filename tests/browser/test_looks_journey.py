"""From a card to who looked at the person, and from the list of looks back; a deletion with its reason. By keyboard, on a phone."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from cdp.actors import Actor
from cdp.looks import record_look
from cdp.models import Job, User
from profiles.bulk.run_action import KIND
from profiles.journal import Cause
from profiles.models import Change, Profile
from profiles.privacy.delete import delete_profiles
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


def test_a_deletion_of_many_is_undone_from_its_job(visit: Any, ada: User, by_staff: dict[str, Any]) -> None:
    ann, ben = make_profile(first_name="Ann", email="ann@example.com"), make_profile(first_name="Ben")
    job = Job.objects.create(
        kind=KIND, title="Delete 2 people", state="done", user=ada, params={"action": "delete"}
    )
    delete_profiles(profile_ids=[ann.pk, ben.pk], cause=Cause(Change.Cause.JOB, job.pk), **by_staff)
    now = make_profile(email="ann@example.com")
    tab = visit(ada, f"/admin/cdp/job/{job.pk}/change/")
    tab.check_shapes()
    tab.page.get_by_role("link", name="Restore 2 people").click()
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Restore 2 people")
    expect(
        tab.page.get_by_text(f"the email now belongs to profile #{now.pk} and stays there.")
    ).to_be_visible()
    expect(tab.page.get_by_role("navigation", name="Breadcrumbs")).to_have_text("People › Deleted people")
    tab.check_shapes()
    tab.page.get_by_role("button", name="Restore 2 people").press("Enter")
    expect(tab.page.get_by_text("2 people restored.")).to_be_visible()
    tab.check_shapes()
    assert Profile.objects.filter(status="live").count() == 3
