"""The page “Why are these two separate?”: findings, what is to be copied, the preview, the join; for three kinds of people."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cdp.actors import Actor
from cdp.models import Look, User
from profiles.editing import set_lock
from profiles.identity.lookup import find_profile
from profiles.models import DuplicatePair, Merge
from profiles.pairs.verdicts import set_verdict
from tests.duplicates.causes import CAUSES, Expected, site
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
Login = Callable[[User], Client]


def url(expected: Expected) -> str:
    return reverse("admin:profiles_profile_why", args=[expected.a, expected.b])


def shown(response: Any) -> str:
    return html.unescape(" ".join(response.content.decode().split()))


@pytest.fixture
def client_of_sam(sam: User, as_user: Login) -> Client:
    return as_user(sam)


@pytest.mark.parametrize("name", CAUSES)
def test_each_cause_is_shown_with_its_source_and_what_to_copy(client_of_sam: Client, name: str) -> None:
    expected = CAUSES[name]()
    response = client_of_sam.get(url(expected))
    assert response.status_code == 200
    page = shown(response)
    (row,) = [row for row in response.context["findings"] if row.finding.code == expected.code]
    assert row.may is True
    for part in (
        row.finding.title,
        row.finding.text,
        expected.value,
        expected.source,
        expected.via,
        *(fix.text for fix in row.finding.fixes),
    ):
        assert part in page
    assert " ".join(expected.copy.split()) in page
    assert f"?fix={expected.fix}" in page


@pytest.mark.parametrize("name", CAUSES)
def test_each_fix_is_looked_at_and_joins(client_of_sam: Client, name: str) -> None:
    expected = CAUSES[name]()
    response = client_of_sam.get(url(expected), {"fix": expected.fix})
    preview = response.context["preview"]
    assert "what would happen" in shown(response)
    assert Merge.objects.count() == 0
    done = client_of_sam.post(
        url(expected),
        {"code": expected.fix, "preview_hash": preview.merge.preview_hash, "second_look": "1"},
        follow=True,
    )
    assert find_profile(expected.a).root.pk == find_profile(expected.b).root.pk == preview.merge.winner_id
    assert f"#{preview.merge.loser_id} was merged into #{preview.merge.winner_id}." in shown(done)
    assert reverse("admin:profiles_merge_undo", args=[Merge.objects.get().pk]) in shown(done)


def test_a_fix_nobody_looked_at_shows_its_preview_instead(client_of_sam: Client) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    response = client_of_sam.post(url(expected), {"code": expected.fix})
    assert response.status_code == 409
    assert "what would happen" in shown(response)
    assert Merge.objects.count() == 0


def test_a_pair_has_the_same_page_and_the_review_leads_there(client_of_sam: Client) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    set_verdict(a_id=expected.a, b_id=expected.b, verdict="open", actor=Actor.system())
    pair = DuplicatePair.objects.get()
    address = reverse("admin:profiles_duplicatepair_why", args=[pair.pk])
    assert "Sent by update instead of identify" in shown(client_of_sam.get(address))
    assert address in shown(client_of_sam.get(reverse("admin:profiles_duplicatepair_review", args=[pair.pk])))
    assert client_of_sam.get(reverse("admin:profiles_duplicatepair_why", args=[0])).status_code == 404


def test_the_card_leads_to_suspects_and_to_anybody_else(client_of_sam: Client) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    set_verdict(a_id=expected.a, b_id=expected.b, verdict="open", actor=Actor.system())
    page = shown(client_of_sam.get(reverse("admin:profiles_profile_change", args=[expected.a])))
    assert url(expected) in page
    form = reverse("admin:profiles_profile_why", args=[expected.a])
    assert f'action="{form}"' in page
    found = client_of_sam.get(form, {"with": "email:ann@example.com"})
    assert (found.status_code, found["Location"]) == (302, url(expected))
    assert "Which other profile?" in shown(client_of_sam.get(form))
    assert client_of_sam.get(form, {"with": "email:nobody@example.com"}).status_code == 404


def test_one_person_is_told_on_the_card(client_of_sam: Client) -> None:
    ann = make_profile(first_name="Ann")
    response = client_of_sam.get(reverse("admin:profiles_profile_why", args=[ann.pk, ann.pk]), follow=True)
    assert f"“{ann.pk}” and “{ann.pk}” are one person already: #{ann.pk}." in shown(response)


def test_not_duplicates_and_back(client_of_sam: Client) -> None:
    expected = CAUSES["shared_device"]()
    done = client_of_sam.post(url(expected), {"code": "keep_apart"}, follow=True)
    assert "Saved: these are two people." in shown(done)
    assert DuplicatePair.objects.get().verdict == "not_duplicate"
    page = shown(client_of_sam.get(url(expected)))
    assert "Decided: not duplicates" in page
    assert 'value="keep_apart"' not in page
    client_of_sam.post(url(expected), {"code": "reopen"})
    assert DuplicatePair.objects.get().verdict == "open"


def test_a_lock_is_told_and_a_join_refused_with_a_sentence(
    client_of_sam: Client, by_staff: dict[str, Any]
) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    set_lock(profile_id=expected.b, is_locked=True, **by_staff)
    response = client_of_sam.get(url(expected), {"fix": expected.fix})
    assert f"Profile #{expected.b} is locked against merging. Unlock it first." in shown(response)
    client_of_sam.post(url(expected), {"code": "unlock"})
    assert not find_profile(expected.b).root.is_locked


@pytest.mark.parametrize("name", CAUSES)
def test_a_viewer_sees_it_masked_and_may_do_nothing(vic: User, as_user: Login, name: str) -> None:
    expected = CAUSES[name]()
    client = as_user(vic)
    response = client.get(url(expected))
    page = shown(response)
    assert response.status_code == 200
    assert "Personal data is masked" in page
    assert "•••" in page
    if expected.value not in ("b-1", "t-1"):
        assert expected.value not in page
    assert "?fix=" not in page
    assert 'value="keep_apart"' not in page
    assert client.get(url(expected), {"fix": expected.fix}).status_code == 403
    assert client.post(url(expected), {"code": expected.fix}).status_code == 403
    assert Merge.objects.count() == 0


def test_a_marketer_may_look_and_not_join(mira: User, as_user: Login) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    client = as_user(mira)
    page = shown(client.get(url(expected)))
    assert expected.value in page
    assert "?fix=" not in page
    assert client.post(url(expected), {"code": expected.fix}).status_code == 403


def test_a_look_is_recorded(client_of_sam: Client) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    client_of_sam.get(url(expected))
    look = Look.objects.latest("pk")
    assert (look.kind, look.profile_ids) == ("why", [expected.a, expected.b])


def test_nobody_else_comes_in(olga: User, as_user: Login) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    assert as_user(olga).get(url(expected)).status_code == 403
    assert Client().get(url(expected))["Location"].startswith("/admin/login/")


def test_the_page_costs_the_same_whatever_they_have(client_of_sam: Client) -> None:
    expected = CAUSES["email_in_a_track"]()

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client_of_sam.get(url(expected)).status_code == 200
        return len(queries)

    cost()
    before = cost()
    send = site("Busy")
    for number in range(100):
        send("track", anonymousId="b-1", event="Seen", properties={"email": f"x{number}@example.com"})
    assert cost() == before
