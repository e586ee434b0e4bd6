"""Consent in a browser: whose no it is, a yes after a no with its reason and proof, and the lists it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from cdp.actors import Actor
from cdp.models import User
from profiles.builtin_sources import builtin_source
from profiles.consent.ledger import record_consent
from profiles.models import Consent, ConsentPurpose, Identifier, IdentifierType, Profile
from tests.profile_factory import make_profile

pytestmark = pytest.mark.browser

Go = Callable[..., Any]


@pytest.fixture
def pair(ada: User) -> tuple[Profile, Profile]:
    """Ann said no about the address that Ben, who agreed before, has, too."""
    by = {"actor": Actor.of_user(ada), "source": builtin_source("staff")}
    ann = make_profile(first_name="Ann", last_name="Berg", email="berg@example.com")
    ben = make_profile(first_name="Ben", last_name="Berg")
    kind = IdentifierType.objects.get(name="email")
    Identifier.objects.create(
        type=kind, value="berg@example.com", profile=ben, resolves=False, source=ben.source
    )
    Profile.objects.filter(pk=ben.pk).update(email="berg@example.com")
    for person, state in ((ben, "granted"), (ann, "withdrawn")):
        decision = {"channel": "email", "purpose": "newsletter", "state": state, "at": timezone.now()}
        record_consent(profile_id=person.pk, **decision, **by)
    return ann, ben


def test_pages_are_clean(visit: Go, ada: User, pair: tuple[Profile, Profile]) -> None:
    ConsentPurpose.objects.create(name="club", label="Club", archived_at=timezone.now())
    ann, ben = pair
    opened = visit(ada, f"/admin/profiles/profile/{ben.pk}/change/")
    expect(opened.page.locator("#consents")).to_contain_text(
        f"Not reachable: Ann Berg (#{ann.pk}), who has the same address, said no on"
    )
    opened.page.get_by_text("All decisions").click()
    opened.page.get_by_text("Record a decision").click()
    opened.check_shapes()
    club = ConsentPurpose.objects.get(name="club").pk
    for path in (
        *("consentpurpose/", f"consentpurpose/{club}/change/", "consentpurpose/add/"),
        *("consentchannel/", "consentchannel/add/"),
    ):
        opened.open(f"/admin/profiles/{path}").check_shapes()


def test_a_yes_after_a_no_asks_why(visit: Go, ada: User, pair: tuple[Profile, Profile]) -> None:
    ann, _ = pair
    opened = visit(ada, f"/admin/profiles/profile/{ann.pk}/change/")
    page = opened.page
    page.get_by_text("Record a decision").click()
    why, form = page.get_by_label("Why is it a yes now?"), page.locator("form[data-consent]")
    expect(why).to_be_hidden()
    form.get_by_label("Granted").check()
    expect(form.get_by_text("This person said no to e-mail newsletter on")).to_be_visible()
    expect(why).to_be_visible()
    form.get_by_label("Purpose").select_option("surveys")
    expect(why).to_be_hidden()
    form.get_by_label("Purpose").select_option("newsletter")
    opened.check()
    form.get_by_role("button", name="Record decision").click()
    assert Consent.objects.count() == 2, "the browser asks for the reason first"
    why.select_option("asked_in_writing")
    form.get_by_label("Proof").fill("Letter, ticket 4711")
    form.get_by_role("button", name="Record decision").click()
    expect(page.locator(".messagelist")).to_contain_text("email / newsletter is granted now.")
    expect(page.locator("#consents .badge.ok").first).to_have_text("granted")
    opened.check()


def test_without_scripts_the_reason_can_be_given_as_well(
    visit: Go, ada: User, pair: tuple[Profile, Profile]
) -> None:
    ann, _ = pair
    page = visit(ada, f"/admin/profiles/profile/{ann.pk}/change/", js=False).page
    page.get_by_text("Record a decision").click()
    form = page.locator("form[data-consent]")
    form.get_by_label("Granted").check()
    form.get_by_label("Why is it a yes now?").select_option("mistake")
    form.get_by_label("Proof").fill("Another Ann was meant")
    form.get_by_role("button", name="Record decision").click()
    expect(page.locator(".messagelist")).to_contain_text("email / newsletter is granted now.")
