"""From the alarm on the first page to the scorecard, its duplicates and the rules, in a real browser."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from cdp.models import User
from profiles.models import DuplicatePair, DuplicatePolicy, ScorecardState, SourceAlarm, SourceHour
from tests.profile_factory import make_profile
from tests.tracking.rejected import make_source

pytestmark = pytest.mark.django_db(transaction=True)
SENTENCE = "Since 14:05 Checkout sends update calls where it used to send identify: 96 % of 240 calls about a person, usually 3 %."


@pytest.fixture
def world() -> None:
    now = timezone.now()
    checkout, shop = make_source(name="Checkout"), make_source("web", name="Shop window")
    for place, source in enumerate((checkout, shop)):
        for days in range(30):
            SourceHour.objects.create(
                source=source,
                hour=now - datetime.timedelta(days=days),
                items=240,
                events=120,
                unknown_events=90 * place,
                attribute_ids=days % 7,
                violations=(days * 5) % 11,
                new_profiles=40,
                duplicates=3 - 3 * place,
            )
    ScorecardState.objects.create(pk=1, counted_to=now)
    SourceAlarm.objects.create(
        source=checkout,
        signal="update",
        began_at=now,
        usual=0.03,
        bound=0.1,
        share=0.96,
        calls=240,
        sentence=SENTENCE,
    )
    DuplicatePair.objects.create(a=make_profile(), b=make_profile(), tier="certain")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_from_the_alarm_to_the_rules(
    ada: User, visit: Callable[..., Any], world: None, width: int, dark: bool
) -> None:
    seen = visit(ada, "/admin/", width=width, dark=dark)
    page = seen.page
    assert page.get_by_text(SENTENCE, exact=True).count() == 1
    seen.check()
    _shot(page, f"first-{width}")
    page.get_by_role("link", name="See the fix").first.click()
    page.wait_for_url("**/sourcealarm/")
    page.get_by_text("What the figures mean").click()
    seen.check()
    _shot(page, f"scorecard-{width}")
    page.get_by_role("button", name="Acknowledge: Checkout, Update instead of identify").click()
    page.get_by_text("Acknowledged: the alarm about Checkout is no longer on Today.").wait_for()
    page.get_by_text("Earlier changes").wait_for()
    seen.check()
    page.get_by_role("link", name="Checkout", exact=True).click()
    page.get_by_text("What creates duplicates").wait_for()
    seen.check()
    _shot(page, f"source-{width}")
    seen.open("/admin/profiles/duplicatepolicy/")
    page.get_by_label("Report to").fill("data@shop.example")
    page.get_by_role("button", name="Save rules").click()
    page.get_by_text("Saved.").wait_for()
    seen.check()
    _shot(page, f"rules-{width}")
    assert DuplicatePolicy.current().report_to == ["data@shop.example"]


def _shot(page: Any, name: str) -> None:
    """A picture for people, where ``SHOTS`` names a folder."""
    if os.environ.get("SHOTS"):
        page.screenshot(path=f"{os.environ['SHOTS']}/{name}.png", full_page=True)
