"""Above a merge stands how likely it is one person; people who are unlike are merged only after a second look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.models import User
from cdp.roles_and_scopes import SCOPES
from profiles.models import DuplicatePair, Merge, Profile
from profiles.pairs.verdicts import set_verdict
from tests.api.caller import Caller
from tests.duplicates.cast import make_ann, make_plain_profile, scan
from tests.duplicates.causes import CAUSES

pytestmark = pytest.mark.django_db
WIZARD = "/admin/profiles/profile/merge/"
REFUSED = (
    "These may be two people, so nothing was merged. Look again, tick that they are one person, and merge."
)
UNLIKE = "Their names or birth dates differ, and they have too little else in common for one person."
FIRST_NAMES = "Their first names are known and different: two people."


@pytest.fixture
def client_of_sam(sam: User, as_user: Callable[[User], Client]) -> Client:
    return as_user(sam)


@pytest.fixture
def api(db: None) -> Caller:
    return Caller(create_key(name="all", scopes=list(SCOPES), actor=Actor.system()))


def page_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def preview(client: Client, winner: Profile, loser: Profile, **more: str) -> Any:
    return client.get(WIZARD, {"winner": winner.pk, "loser": loser.pk, **more})


def confirm(client: Client, winner: Profile, loser: Profile, **more: str) -> Any:
    shown = preview(client, winner, loser)
    body = {"winner": winner.pk, "loser": loser.pk, "preview_hash": shown.context["preview"].preview_hash}
    return client.post(WIZARD, {**body, **more}, follow=True)


def test_people_who_are_alike_are_merged_as_before(client_of_sam: Client) -> None:
    ann, again = make_ann(), make_ann(email="", phone="", city="")
    page = page_of(preview(client_of_sam, ann, again))
    assert "of 100 such pairs are one person" in page
    assert "First names are equal" in page
    assert "second_look" not in page
    assert "was merged into this profile" in page_of(confirm(client_of_sam, ann, again))


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"first_name": "Robert", "last_name": "Smith", "birth_date": "1950-01-02"}, FIRST_NAMES),
        ({"first_name": "Ann", "last_name": "Smith", "city": "Bergen"}, UNLIKE),
    ],
)
def test_people_who_are_unlike_need_a_tick(client_of_sam: Client, other: dict[str, str], why: str) -> None:
    ann, bob = make_ann(), make_plain_profile(**other)
    page = page_of(preview(client_of_sam, ann, bob))
    assert "Probably two people" in page
    assert f"{why} Look again before you merge them." in page
    assert 'name="second_look" value="1" required>' in page
    refused = confirm(client_of_sam, ann, bob)
    assert (refused.status_code, Merge.objects.count()) == (422, 0)
    assert REFUSED in page_of(refused)
    # The preview keeps the tick when a choice asks for it anew.
    assert "required checked" in page_of(preview(client_of_sam, ann, bob, second_look="1"))
    assert "was merged into this profile" in page_of(confirm(client_of_sam, ann, bob, second_look="1"))
    assert Merge.objects.count() == 1


def test_a_decision_against_it_needs_a_tick_too(client_of_sam: Client, by_staff: dict[str, Any]) -> None:
    ann, again = make_ann(), make_ann(phone="")
    set_verdict(a_id=ann.pk, b_id=again.pk, verdict="not_duplicate", actor=by_staff["actor"])
    assert "Somebody decided that they are not duplicates. Look again" in page_of(
        preview(client_of_sam, ann, again)
    )
    assert confirm(client_of_sam, ann, again).status_code == 422
    assert confirm(client_of_sam, ann, again, second_look="1").status_code == 200


def test_browsers_of_which_nothing_is_known_need_none(client_of_sam: Client) -> None:
    first, second = make_plain_profile(), make_plain_profile()
    page = page_of(preview(client_of_sam, first, second))
    assert "Nothing to compare: too little is known of one of them." in page
    assert "second_look" not in page
    assert confirm(client_of_sam, first, second).status_code == 200


def test_the_pages_and_the_api_say_the_same_of_a_pair(client_of_sam: Client, api: Caller) -> None:
    ann, again = make_ann(), make_ann(email="", phone="", city="")
    make_ann(first_name="Robert", birth_date="")
    scan()
    (row,) = [row for row in api.get(f"duplicates/?profile={again.pk}").data["results"] if row["a"] == ann.pk]
    said = api.post(f"profiles/{ann.pk}/merge/?dry_run=true", {"loser_id": again.pk}).data["likelihood"]
    assert row["text"] == f"{said['answer']}: {said['detail'][0].lower()}{said['detail'][1:]}"
    assert said["probability"] == row["probability"]
    assert row["text"].startswith(
        f"Almost certainly one person: {round(100 * row['probability'])} of 100 such pairs"
    ) or (row["probability"] > 0.99)
    weights = sum(reason["weight"] for reason in row["reasons"])
    assert row["start"] < 0
    assert row["start"] + weights == pytest.approx(row["score"], abs=0.01)
    card = page_of(client_of_sam.get(reverse("admin:profiles_profile_change", args=[ann.pk])))
    assert said["answer"] in card
    assert said["detail"] in card


def test_the_api_warns_and_merges(api: Caller) -> None:
    ann, bob = make_ann(), make_plain_profile(first_name="Robert", last_name="Smith")
    body = {"loser_id": bob.pk}
    rehearsed = api.post(f"profiles/{ann.pk}/merge/?dry_run=true", body).data
    assert rehearsed["warnings"][0] == f"Probably two people. {FIRST_NAMES} Look again before you merge them."
    assert rehearsed["likelihood"]["second_look"] == FIRST_NAMES
    assert "Ann" not in str(rehearsed["likelihood"])
    assert api.post(f"profiles/{ann.pk}/merge/", body).status_code == 200


def test_a_fix_that_merges_unlike_people_needs_the_tick(client_of_sam: Client) -> None:
    expected = CAUSES["shared_device"]()
    url = reverse("admin:profiles_profile_why", args=[expected.a, expected.b])
    response = client_of_sam.get(url, {"fix": "join_browsers"})
    assert FIRST_NAMES in page_of(response)
    body = {"code": "join_browsers", "preview_hash": response.context["preview"].merge.preview_hash}
    refused = client_of_sam.post(url, body)
    assert (refused.status_code, Merge.objects.count()) == (422, 0)
    assert REFUSED in page_of(refused)
    client_of_sam.post(url, {**body, "second_look": "1"})
    assert Merge.objects.count() == 1


def test_it_costs_the_same_in_a_large_base(client_of_sam: Client) -> None:
    ann, again = make_ann(), make_ann(email="")

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert preview(client_of_sam, ann, again).status_code == 200
        return len(queries)

    cost()
    before = cost()
    for number in range(100):
        make_ann(first_name=f"N{number}", phone="", city=f"C{number}")
    scan()
    assert cost() <= before


def test_the_queue_asks_for_it_too(client_of_sam: Client) -> None:
    ann, bob = make_ann(), make_plain_profile(first_name="Robert", last_name="Smith", city="Bergen")
    pair = DuplicatePair.objects.create(a=ann, b=bob, tier="possible", score=0, found_by="source")
    url = reverse("admin:profiles_duplicatepair_review", args=[pair.pk])
    shown = client_of_sam.get(url)
    assert "Look again before you merge them." in page_of(shown)
    body = {"do": "merge", "winner": ann.pk, "state": shown.context["state"]}
    refused = client_of_sam.post(url, body)
    assert (refused.status_code, Merge.objects.count()) == (422, 0)
    assert REFUSED in page_of(refused)
    done = client_of_sam.post(url, {**body, "second_look": "1"})
    assert (done.status_code, Merge.objects.count()) == (302, 1)


def test_the_queue_merges_people_who_are_alike_at_once(client_of_sam: Client) -> None:
    make_ann(), make_ann(email="", phone="", city="")
    scan()
    pair = DuplicatePair.objects.get()
    url = reverse("admin:profiles_duplicatepair_review", args=[pair.pk])
    shown = client_of_sam.get(url)
    assert "I looked again" not in page_of(shown)
    body = {"do": "merge", "winner": pair.a_id, "state": shown.context["state"]}
    assert client_of_sam.post(url, body).status_code == 302
    assert Merge.objects.count() == 1
