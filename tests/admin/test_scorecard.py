"""The scorecard page, alarms where people see them, the box on an import, and the page of rules."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cdp.models import AuditEntry, User
from imports.models import Import
from profiles.builtin_sources import builtin_source
from profiles.models import (
    Change,
    DuplicatePair,
    DuplicatePolicy,
    ScorecardState,
    Source,
    SourceAlarm,
    SourceHour,
)
from tests.profile_factory import make_profile
from tests.tracking.rejected import make_source

pytestmark = pytest.mark.django_db
Login = Callable[[User], Client]
PAGE = "/admin/profiles/sourcealarm/"
RULES = "/admin/profiles/duplicatepolicy/"


@pytest.fixture
def dan(make_user: Callable[..., User]) -> User:
    """The data admin."""
    return make_user("dan", "data admin")


def text(response: Any) -> str:
    return response.content.decode()


def words(response: Any) -> str:
    """What a page says, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", text(response)).split())


def make_alarm(
    source: Source, sentence: str = "Since 14:05 Shop sends update.", **fields: Any
) -> SourceAlarm:
    defaults: dict[str, Any] = {"signal": "update", "began_at": timezone.now(), "usual": 0.02, "bound": 0.1}
    return SourceAlarm.objects.create(
        source=source, share=0.9, calls=80, sentence=sentence, **{**defaults, **fields}
    )


def sent(source: Source, **counts: int) -> None:
    SourceHour.objects.create(source=source, hour=timezone.now(), **counts)


# --- The page ---------------------------------------------------------------------------------------------


def test_sources_with_their_figures_and_links(dan: User, as_user: Login) -> None:
    shop, good = make_source(name="Shop & Co"), make_source(name="Good")
    make_source(name="Silent")
    sent(
        shop,
        items=1500,
        events=1200,
        unknown_events=300,
        attribute_ids=7,
        violations=5,
        late_identifies=3,
        new_profiles=1000,
        duplicates=61,
    )
    sent(good, items=10, events=10, new_profiles=50)
    ScorecardState.objects.create(pk=1, counted_to=timezone.now())
    page = as_user(dan).get(PAGE)
    said = words(page)
    assert "Shop &amp; Co 1,000 61.0 61 in all 7 25 % 300 of 1,200 5 3" in said
    assert "Good 50 0.0 0 0 % 0 of 10 0 0" in said
    assert said.index("Shop &amp; Co") < said.index("Good 50")
    assert "Total 1,050 58.1 61 in all" in said
    assert "6 sent nothing" in said  # the five shipped ones and Silent
    assert 'href="/admin/profiles/duplicatepair/?source=Shop+%26+Co"' in text(page)
    assert f'href="/admin/profiles/source/{shop.pk}/change/"' in text(page)
    assert 'aria-label="Problems by day, 76 in all, 76 today"' in text(page)
    assert as_user(dan).get("/admin/profiles/duplicatepair/?source=Shop+%26+Co").status_code == 200


def test_nothing_to_see_says_when_there_will_be(dan: User, as_user: Login) -> None:
    assert "Figures are counted every ten minutes" in words(as_user(dan).get(PAGE))
    assert "The first count is due within ten minutes." in words(as_user(dan).get(PAGE))
    now = timezone.now()
    state = ScorecardState.objects.create(pk=1, counted_to=now)
    due = timezone.localtime(now + datetime.timedelta(minutes=15))
    assert f"the next count is due at {due:%H:%M}." in words(as_user(dan).get(PAGE))
    state.counted_to = now - datetime.timedelta(hours=2)
    state.save()
    assert "the next count is due now." in words(as_user(dan).get(PAGE))
    assert "No source sent anything in these days." in words(as_user(dan).get(PAGE))
    answer = as_user(dan).get(f"{PAGE}?days=8", follow=True)
    assert "Days is 7, 30 or 90." in words(answer)


def test_the_drawing_has_no_style_script_or_id(dan: User, as_user: Login) -> None:
    sent(make_source(), items=1, violations=3)
    (svg,) = re.findall(r'<td class="spark">(.*?)</td>', text(as_user(dan).get(PAGE)), re.DOTALL)
    assert "<path" in svg
    assert not re.search(r"<style|<script|style=|id=", svg)


def test_the_same_queries_for_one_source_and_for_a_hundred(dan: User, as_user: Login) -> None:
    client, counts = as_user(dan), []
    for many in (1, 99):
        for _ in range(many):
            source = make_source()
            sent(source, items=1, new_profiles=1)
            make_alarm(source)
        with CaptureQueriesContext(connection) as caught:
            assert client.get(PAGE).status_code == 200
        counts.append(len(caught))
    assert counts[0] == counts[1]


# --- Alarms -----------------------------------------------------------------------------------------------


def test_an_alarm_is_on_three_pages_until_somebody_has_read_it(dan: User, vic: User, as_user: Login) -> None:
    make_profile()
    shop = make_source(name="Shop")
    alarm = make_alarm(shop)
    pages = ("/admin/", PAGE, f"/admin/profiles/source/{shop.pk}/change/")
    for url in pages:
        said = words(as_user(dan).get(url))
        assert "Since 14:05 Shop sends update." in said
        assert "Send identify again" in said
    # The viewer sees it, and cannot put it away.
    page = text(as_user(vic).get(PAGE))
    assert "Since 14:05 Shop sends update." in page
    assert "Acknowledge:" not in page
    acknowledge = f"{PAGE}{alarm.pk}/acknowledge/"
    assert as_user(vic).post(acknowledge).status_code == 403
    answer = as_user(dan).post(acknowledge, {"back": "/admin/"}, follow=True)
    assert answer.redirect_chain == [("/admin/", 302)]
    assert "Acknowledged: the alarm about Shop is no longer on Today." in words(answer)
    alarm.refresh_from_db()
    assert alarm.user == dan
    assert "Since 14:05" not in words(as_user(dan).get(pages[2]))
    assert "Earlier changes" in words(as_user(dan).get(PAGE))
    assert AuditEntry.objects.filter(action="source.alarm_read", user=dan).count() == 1
    answer = as_user(dan).post(f"{PAGE}0/acknowledge/", follow=True)
    assert "There is no alarm #0." in words(answer)


def test_who_may_not_see_it_does_not(olga: User, as_user: Login, make_user: Callable[..., User]) -> None:
    make_profile()
    make_alarm(make_source(name="Shop"))
    assert as_user(olga).get(PAGE).status_code == 403
    assert as_user(olga).get(RULES).status_code == 403
    assert "Since 14:05" not in text(as_user(olga).get("/admin/"))
    assert "Duplicates found" not in text(as_user(olga).get("/admin/"))


# --- The first page ---------------------------------------------------------------------------------------


def test_what_was_found_is_drawn_on_the_first_page_and_what_was_decided_counted(
    dan: User, as_user: Login
) -> None:
    for verdict in ("open", "merged"):
        DuplicatePair.objects.create(
            a=make_profile(),
            b=make_profile(),
            tier="certain",
            verdict=verdict,
            decided_at=timezone.now() if verdict == "merged" else None,
        )
    page = as_user(dan).get("/admin/")
    assert 'aria-label="Duplicates found in 30 days: 2. The table below has every number."' in text(page)
    assert "2 found, 1 decided in 30 days" in text(page)
    assert "Decided today: <b>1</b>" in text(as_user(dan).get("/admin/profiles/duplicatepair/"))


# --- An import --------------------------------------------------------------------------------------------


def test_an_import_says_which_duplicates_it_brought(dan: User, as_user: Login) -> None:
    hidden = {
        "code": "looks_like_identifier",
        "column": "Mail",
        "message": "Column Mail looks like an e-mail.",
    }
    job = Import.objects.create(
        name="people.csv",
        size=1,
        sha256="0",
        state="done",
        source=builtin_source("import"),
        applied_at=timezone.now(),
        counts={"rows": 4, "created": 4, "conflict": 1},
        warnings=[hidden],
    )
    old, new = make_profile(), make_profile(source="import")
    Change.objects.filter(profile=new).update(cause="import", cause_id=job.pk)
    DuplicatePair.objects.create(a=old, b=new, tier="certain")
    url = f"/admin/imports/import/{job.pk}/change/"
    said = words(as_user(dan).get(url))
    assert "1 of 4 new people were already known 250.0 per 1,000" in said
    assert "1 row that matches two people" in said
    assert "Identifiers stored as attributes: Mail. Map it to an identifier next time." in said
    listed = words(as_user(dan).get(PAGE))
    assert "people.csv 4 250.0 1 in all Mail 0 1" in listed
    Import.objects.update(applied_at=None, state="planned")
    assert "were there already" not in words(as_user(dan).get(url))


# --- The rules --------------------------------------------------------------------------------------------


def test_the_rules_are_set_on_one_page(dan: User, as_user: Login) -> None:
    client = as_user(dan)
    said = words(client.get(RULES))
    assert "As shipped, until your team has decided about 200 pairs, 20 of them merged" in said
    assert "At a score of 0, half of such pairs are one person." in said
    assert "+4 94 % 94 %" in said
    answer = client.post(
        RULES,
        {"auto_merge": "on", "auto_merge_cap": "50", "report_to": "a@shop.example\nb@shop.example"},
        follow=True,
    )
    assert "Saved." in words(answer)
    policy = DuplicatePolicy.current()
    assert (policy.auto_merge, policy.auto_merge_cap, policy.report_to) == (
        True,
        50,
        ["a@shop.example", "b@shop.example"],
    )
    assert AuditEntry.objects.filter(action="duplicate.policy", user=dan).count() == 1
    client.post(RULES, {"auto_merge_cap": "50", "report_to": ""})
    assert (DuplicatePolicy.current().auto_merge, DuplicatePolicy.current().report_to) == (False, [])


def test_rules_that_cannot_be_are_told_beside_their_field(dan: User, as_user: Login) -> None:
    page = as_user(dan).post(RULES, {"auto_merge_cap": "5", "report_to": "nobody"})
    assert "“nobody” is not an e-mail address." in words(page)
    page = as_user(dan).post(RULES, {"auto_merge_cap": "0"})
    assert "greater than or equal to 1" in words(page)
    assert not DuplicatePolicy.objects.exists()


def test_the_viewer_reads_the_rules_and_changes_nothing(vic: User, as_user: Login) -> None:
    page = as_user(vic).get(RULES)
    assert "Save rules" not in text(page)
    assert "disabled" in text(page)
    assert as_user(vic).post(RULES, {"auto_merge": "on", "auto_merge_cap": "5"}).status_code == 403
    assert not DuplicatePolicy.objects.exists()


def test_a_learned_line_is_explained(dan: User, as_user: Login) -> None:
    DuplicatePolicy.objects.create(
        pk=1,
        calibration_slope=0.5,
        calibration_offset=-1.0,
        calibration_decisions=1204,
        fitted_at=timezone.now(),
    )
    said = words(as_user(dan).get(RULES))
    assert "Learned from 1,204 decisions of people here" in said
    assert "At a score of +2.0, half of such pairs are one person." in said
    assert "+4 94 % 67 %" in said
