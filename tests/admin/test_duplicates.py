"""The queue's pages: what is shown to whom, what a click does, and what changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cdp.models import Job, Look, User
from profiles.duplicates.review.decide import find_pair, state_of
from profiles.editing import update_profile
from profiles.models import DuplicateCase, DuplicatePair, IdentifierType, Merge
from tests.duplicates.cast import ANN, make_ann, make_plain_profile, scan, twins

pytestmark = pytest.mark.django_db

Login = Callable[[User], Client]
QUEUE = "/admin/profiles/duplicatepair/"
CASES = "/admin/profiles/duplicatecase/"


def shown(response: Any) -> str:
    return " ".join(response.content.decode().split())


def review(pair: DuplicatePair, query: str = "") -> str:
    return reverse("admin:profiles_duplicatepair_review", args=[pair.pk]) + query


def send(client: Client, pair: DuplicatePair, do: str, **more: Any) -> Any:
    data = {"do": do, "state": state_of(find_pair(pair.pk)), **more}
    return client.post(review(pair), data, follow=True)


@pytest.fixture
def client_of_sam(sam: User, as_user: Login) -> Client:
    return as_user(sam)


def test_the_empty_queue_says_what_a_scan_does(client_of_sam: Client, ada: User, as_user: Login) -> None:
    page = shown(client_of_sam.get(QUEUE))
    assert "Nobody was compared yet" in page
    assert "Compare everybody" not in page
    assert client_of_sam.post(f"{QUEUE}scan/").status_code == 403
    client = as_user(ada)
    assert "Compare everybody" in shown(client.get(QUEUE))
    response = client.post(f"{QUEUE}scan/")
    job = Job.objects.get()
    assert response.url == reverse("admin:cdp_job_change", args=[job.pk])
    assert "Comparing everybody…" in shown(client.get(QUEUE))


def test_tabs_rows_and_filters(client_of_sam: Client) -> None:
    make_ann()
    make_ann(email="", phone="", city="")
    make_ann(first_name="Robert", birth_date="1978-02-03")
    scan()
    page = shown(client_of_sam.get(QUEUE))
    for said in (
        'Certain <span class="count">1</span>',
        'Related <span class="count">1</span>',
        "Ann Pucllar",
        "Their full names and birth dates are equal.",
        "First names are equal",
        "Decided today: <b>0</b>, by you <b>0</b>",
    ):
        assert said in page, said
    related = shown(client_of_sam.get(QUEUE, {"tier": "related"}))
    assert "a household or a company" in related
    assert "No pair fits" in shown(client_of_sam.get(QUEUE, {"source": "Import"}))
    for params, said in (
        ({"score": "a lot"}, "“One person in at least … of 100” is a number from 1 to 99."),
        ({"days": "-1"}, "“Known for” is a number of days."),
        ({"source": "x"}, "There is no source “x”."),
        ({"tier": "x"}, "The tier is certain, probable, possible, related."),
    ):
        assert said in shown(client_of_sam.get(QUEUE, params)), params
    assert "No pair was postponed" in shown(client_of_sam.get(QUEUE, {"state": "later"}))
    assert "Nothing was decided yet" in shown(client_of_sam.get(QUEUE, {"state": "decided"}))


def test_the_review_shows_both_and_the_weight_of_each_field(client_of_sam: Client) -> None:
    ann, again = make_ann(), make_ann(email="ann.pucllar@gmx.de", phone="", city="Gdynia")
    scan()
    pair = DuplicatePair.objects.get()
    page = shown(client_of_sam.get(review(pair)))
    for said in (
        "Are these two one person?",
        "Almost certainly one person.",
        "of 100 such pairs are one person; their full names and birth dates are equal.",
        "is kept: ",
        "From API, ",
        f"Merge into #{ann.pk}",
        "Birth dates are equal",
        "Gdynia",
        "A merge can be undone at any time",
    ):
        assert said in page, said
    assert "99 %" not in page
    flipped = shown(client_of_sam.get(review(pair, f"?winner={again.pk}")))
    assert f"Merge into #{again.pk}" in flipped
    looks = Look.objects.filter(kind="duplicates").values_list("profile_ids", flat=True)
    assert [sorted(ids) for ids in looks] == [[ann.pk, again.pk]] * 2
    assert client_of_sam.get(f"{QUEUE}999999/change/").status_code == 404


def test_conflicts_come_first_and_equal_fields_are_folded(client_of_sam: Client) -> None:
    make_ann(gender="female")
    make_ann(email="ann.pucllar@gmx.de", phone="", city="Gdynia")
    scan()
    response = client_of_sam.get(review(DuplicatePair.objects.get()))
    tones = [row.tone for row in response.context["fields"]]
    assert tones == sorted(tones, key=["bad", "diff", "near", ""].index)
    assert {(row.label, row.a, row.b) for row in response.context["fields"]} >= {
        ("City", "Gdańsk", "Gdynia"),
        ("Gender", "female", ""),
    }
    equal = [row.label for row in response.context["equal_fields"]]
    assert equal == ["First name", "Last name", "Birth date"]
    assert '3 fields equal <span class="src">First name, Last name, Birth date</span>' in shown(response)


def test_the_bars_add_up_and_what_weighs_little_is_folded(client_of_sam: Client) -> None:
    (first,) = twins(1)
    evidence = [
        ["first_name", "equal", 5.0],
        ["", "city_and_name", 0.7],
        ["", "one", 0.2],
        ["", "other", -0.3],
    ]
    DuplicatePair.objects.filter(pk=first.pk).update(evidence=evidence, score=1.0)
    response = client_of_sam.get(review(first))
    weights = response.context["weights"]
    assert round(sum(row.weight for row in weights), 6) == 1.0
    assert [(row.label, round(row.weight, 6)) for row in weights] == [
        ("First names", 5.0),
        ("Combined", 0.7),
        ("Smaller points", -0.1),
        ("Starting point", -4.6),
    ]
    page = shown(response)
    assert "<summary>2 that count little</summary><ul><li>one +0.2</li><li>other −0.3</li></ul>" in page
    assert "most pairs with something in common are two people" in page


def test_a_pair_by_way_of_a_third_names_it_everywhere(client_of_sam: Client) -> None:
    first, between, last = (
        make_ann(phone=""),
        make_ann(birth_date=""),
        make_ann(last_name="Obara", email="obara.a@web.de", birth_date="", city=""),
    )
    scan()
    pair = DuplicatePair.objects.get(a=first, b=last)
    third = f"#{between.pk}"
    page = shown(client_of_sam.get(review(pair)))
    assert (
        f'Both are probably the same person as <a href="/admin/profiles/profile/{between.pk}/change/">{third}</a>'
        in page
    )
    assert f"Through a third profile</th><td>Both are probably the same person as {third}</td>" in page
    for address in (f"{QUEUE}?tier=possible", f"/admin/profiles/profile/{first.pk}/change/"):
        assert f"Both are probably the same person as {third}" in shown(client_of_sam.get(address)), address


def test_merge_goes_on_to_the_next_and_can_be_undone(client_of_sam: Client) -> None:
    first, second, third = sorted(twins(3), key=lambda pair: (-pair.score, -pair.pk))
    response = client_of_sam.get(f"{QUEUE}next/?tier=certain")
    assert response.url == review(first, "?tier=certain")
    data = {"do": "merge", "state": state_of(find_pair(first.pk)), "winner": first.b_id}
    response = client_of_sam.post(response.url, data)
    assert response.url == review(second, "?tier=certain")
    merge = Merge.objects.get()
    assert (merge.winner_id, merge.loser_id) == (first.b_id, first.a_id)
    page = shown(client_of_sam.get(response.url))
    assert f"#{first.a_id} was merged into #{first.b_id}." in page
    assert reverse("admin:profiles_merge_undo", args=[merge.pk]) in page
    apart = shown(send(client_of_sam, second, "not_duplicate"))
    assert f'are marked as not duplicates. <a href="{review(second)}">Undo…</a>' in apart
    assert "Undo: suggest them again" in shown(client_of_sam.get(review(second)))
    page = shown(send(client_of_sam, third, "later"))
    assert "Nothing is left to review here." in page
    assert "Decided today: <b>2</b>, by you <b>2</b>" in page
    decided = shown(client_of_sam.get(QUEUE, {"state": "decided"}))
    assert decided.count("not a duplicate</span>") == 1
    assert "sam" in decided


def test_whoever_changed_meanwhile_is_shown_again(client_of_sam: Client, by_staff: dict[str, Any]) -> None:
    (pair,) = twins(1)
    seen = state_of(find_pair(pair.pk))
    update_profile(profile_id=pair.a_id, values={"city": "Bergen"}, **by_staff)
    response = client_of_sam.post(review(pair), {"do": "merge", "state": seen})
    assert response.status_code == 409
    assert "changed since you looked. Nothing was done; look again." in shown(response)
    assert "Bergen" in shown(response)
    assert not Merge.objects.exists()
    assert client_of_sam.post(review(pair), {"do": "merge"}).status_code == 409
    DuplicatePair.objects.all().delete()
    gone = client_of_sam.post(review(pair), {"do": "merge", "state": seen})
    assert gone.status_code == 409
    assert "Nothing to decide any more" in shown(gone)
    assert "is no longer suggested" in shown(gone)


def test_many_are_decided_assigned_and_taken_back(client_of_sam: Client, sam: User) -> None:
    pairs = twins(3)
    act = f"{QUEUE}act/"

    def post(do: str, *chosen: DuplicatePair, **more: Any) -> str:
        data = {"do": do, "ids": [pair.pk for pair in chosen], "back": QUEUE, **more}
        return shown(client_of_sam.post(act, data, follow=True))

    assert "Tick at least one pair first." in post("later")
    assert "Choose what to do with the pairs." in post("merge", *pairs)
    assert "3 pairs assigned." in post("assign", *pairs, to=str(sam.pk))
    assert DuplicatePair.objects.filter(assignee=sam).count() == 3
    assert "1 pair put off." in post("later", pairs[0])
    assert "2 pairs not duplicates." in post("not_duplicate", *pairs[1:])
    said = post("later", *pairs)
    assert said.count("are not duplicates.") == 2
    assert "1 pair put off." in said
    assert "3 pairs back in the queue." in post("open", *pairs)


def test_three_levels(as_user: Login, sam: User, vic: User, olga: User, mira: User) -> None:
    (pair,) = twins(1)
    for user, reads, decides in (
        (sam, True, True),
        (vic, True, False),
        (mira, True, False),
        (olga, False, False),
    ):
        client = as_user(user)
        for url in (QUEUE, review(pair), CASES):
            assert client.get(url).status_code == (200 if reads else 403), (user, url)
        if not decides:
            data = {"do": "not_duplicate", "state": state_of(find_pair(pair.pk)), "ids": [pair.pk]}
            assert client.post(review(pair), data).status_code == 403
            assert client.post(f"{QUEUE}act/", data).status_code == 403
            if reads:
                assert 'name="do"' not in shown(client.get(review(pair)))
    DuplicatePair.objects.get(pk=pair.pk, verdict="open")


def test_personal_data_is_masked(as_user: Login, vic: User) -> None:
    make_ann()
    make_ann(email="", phone="", city="")
    scan()
    pair = DuplicatePair.objects.get()
    DuplicatePair.objects.filter(pk=pair.pk).update(
        reasons=[{"type": "email", "value": ANN["email"], "text": f"Both came with {ANN['email']}."}]
    )
    client = as_user(vic)
    for url in (QUEUE, review(pair)):
        page = shown(client.get(url))
        for secret in ("Pucllar", ANN["email"], "+48600100200", "1980-05-17"):
            assert secret not in page, (url, secret)
    assert "Same email" in shown(client.get(review(pair)))


def test_the_queue_costs_the_same_for_one_and_many(client_of_sam: Client) -> None:
    def cost(url: str) -> int:
        client_of_sam.get(url)
        counts = []
        for _ in range(3):  # the menu's counts are read anew after some seconds
            with CaptureQueriesContext(connection) as queries:
                assert client_of_sam.get(url).status_code == 200
            counts.append(len(queries))
        return min(counts)

    twins(2)
    few = cost(QUEUE)
    pair = DuplicatePair.objects.filter(tier="certain").first()
    assert pair is not None
    one = cost(review(pair))
    twins(40, start=100)
    assert (cost(QUEUE), cost(review(pair))) == (few, one)


# --- Cases --------------------------------------------------------------------------------------------------


def test_a_group_is_reviewed_as_one(client_of_sam: Client) -> None:
    for number in range(3):
        make_ann(email=f"a{number}@web.de", phone="")
    scan()
    case = DuplicateCase.objects.get()
    assert "Ann Pucllar" in shown(client_of_sam.get(CASES))
    url = reverse("admin:profiles_duplicatecase_change", args=[case.pk])
    page = client_of_sam.get(url)
    for said in ("Are these 3 one person?", "look at this one first", "suggested", "What links them"):
        assert said in shown(page), said
    state = page.context["state"]
    stale = client_of_sam.post(url, {"do": "merge", "winner": case.members[0], "members": case.members})
    assert stale.status_code == 409
    data = {"do": "merge", "winner": case.members[0], "members": case.members, "state": state}
    response = client_of_sam.post(url, data, follow=True)
    assert f"2 profiles merged into #{case.members[0]}." in shown(response)
    assert "No groups" in shown(response)
    assert "Closed: merged" in shown(client_of_sam.get(url))


def test_a_shared_value_is_blocked_by_whoever_may(client_of_sam: Client, ada: User, as_user: Login) -> None:
    for number in range(210):
        make_plain_profile(first_name=f"Name{number}", email="no@web.de")
    scan()
    case = DuplicateCase.objects.get(kind="shared_value")
    assert "no@web.de" in shown(client_of_sam.get(f"{CASES}?kind=shared_value"))
    url = reverse("admin:profiles_duplicatecase_change", args=[case.pk])
    assert "210 people have it" in shown(client_of_sam.get(url))
    assert client_of_sam.post(url, {"do": "block"}).status_code == 403
    response = as_user(ada).post(url, {"do": "block"}, follow=True)
    assert "no@web.de is blocked: it identifies nobody from now on." in shown(response)
    assert "no@web.de" in IdentifierType.objects.get(name="email").blocked_values


def test_the_card_names_whoever_may_be_the_same(client_of_sam: Client) -> None:
    ann = make_ann()
    make_ann(email="", phone="", city="")
    make_ann(first_name="Robert", birth_date="1978-02-03")
    scan()
    pair = DuplicatePair.objects.get(tier="certain")
    page = shown(client_of_sam.get(reverse("admin:profiles_profile_change", args=[ann.pk])))
    assert review(pair, f"?profile={ann.pk}") in page
    assert "Almost certainly one person</span>" in page
    assert "of 100 such pairs are one person; their full names and birth dates are equal." in page
    assert "Robert" not in page
