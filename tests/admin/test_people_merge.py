"""The merge wizard: what is shown is what happens; what changed meanwhile is shown again; all of it undone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from cdp.models import User, Webhook
from profiles.admin import merge_history
from profiles.consent.ledger import record_consent
from profiles.editing import set_lock, update_profile
from profiles.merging.merge import merge_profiles
from profiles.merging.preview_sections import PreviewSection, sections
from profiles.models import AttributeDefinition, DuplicatePair, Merge, Profile
from profiles.privacy.delete import delete_profiles
from profiles.reading.profiles import ProfileView
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

Login = Callable[[User], Client]
WIZARD = "/admin/profiles/profile/merge/"
HISTORY = "/admin/profiles/merge/"


def shown(response: Any) -> str:
    return " ".join(response.content.decode().split())


def card(pk: int) -> str:
    return reverse("admin:profiles_profile_change", args=[pk])


@pytest.fixture
def pair() -> tuple[Profile, Profile]:
    AttributeDefinition.objects.create(name="plan", label="Plan")
    ann = make_profile(
        first_name="Ann", last_name="Kowalska", email="ann@example.com", plan="pro", tags=["vip"]
    )
    anna = make_profile(
        first_name="Anna", last_name="Kowalska", city="Kraków", plan="team", phone="+48600100200"
    )
    return ann, anna


@pytest.fixture
def client_of_sam(sam: User, as_user: Login) -> Client:
    return as_user(sam)


def preview(client: Client, winner: int, loser: int, **more: str) -> Any:
    return client.get(WIZARD, {"winner": winner, "loser": loser, **more})


def test_search_the_other_from_the_card(client_of_sam: Client, pair: tuple[Profile, Profile]) -> None:
    ann, anna = pair
    assert f"{WIZARD}?profile={ann.pk}" in shown(client_of_sam.get(card(ann.pk)))
    page = shown(client_of_sam.get(WIZARD, {"profile": ann.pk, "q": "600 100 200"}))
    assert f"ids={ann.pk}&amp;ids={anna.pk}" in page
    assert "Nobody matches" in shown(client_of_sam.get(WIZARD, {"profile": ann.pk, "q": "ann@example.com"}))
    assert "No duplicates are suggested" in shown(client_of_sam.get(WIZARD, {"profile": ann.pk}))
    DuplicatePair.objects.create(a=ann, b=anna, reasons=[{"text": "same last name"}])
    suggested = shown(client_of_sam.get(WIZARD, {"profile": ann.pk}))
    assert "same last name" in suggested
    assert f"ids={ann.pk}&amp;ids={anna.pk}" in suggested


def test_two_people_open_the_preview_with_the_better_winner(
    client_of_sam: Client, pair: tuple[Profile, Profile]
) -> None:
    ann, anna = pair
    response = client_of_sam.get(f"{WIZARD}?ids={anna.pk}&ids={ann.pk}")
    assert response.url == f"{WIZARD}?winner={ann.pk}&loser={anna.pk}"
    page = shown(client_of_sam.get(response.url))
    assert "it has a valid e-mail" in page
    assert f"?winner={anna.pk}&amp;loser={ann.pk}" in page
    swapped = shown(preview(client_of_sam, anna.pk, ann.pk))
    assert f"#{ann.pk} is suggested as the profile to keep: it has a valid e-mail." in swapped


def test_the_preview_shows_field_by_field(
    client_of_sam: Client, pair: tuple[Profile, Profile], by_staff: dict[str, Any]
) -> None:
    ann, anna = pair
    Webhook.objects.create(name="CRM", url="https://crm.example/", topics=["profile.merged"])
    now = timezone.now()
    for who, state in ((ann, "granted"), (anna, "withdrawn")):
        record_consent(
            profile_id=who.pk, channel="email", purpose="newsletter", state=state, at=now, **by_staff
        )
    response = preview(client_of_sam, ann.pk, anna.pk)
    lines = {
        line.row.field: (line.winner, line.loser, line.result, line.css) for line in response.context["lines"]
    }
    assert lines["first_name"] == ("Ann", "Anna", "Ann", "diff")
    assert lines["last_name"] == ("Kowalska", "Kowalska", "Kowalska", "same")
    assert lines["city"] == ("", "Kraków", "Kraków", "")
    assert lines["attributes.plan"] == ("pro", "team", "pro", "diff")
    page = shown(response)
    for said in (
        "filled from the profile that is merged in",
        "2 fields differ",
        "1 field is equal",
        "Consent for e-mail newsletter will be withdrawn.",
        "a tie or an unknown time means no",
        "1 webhook is notified: CRM",
        "Both keep theirs",
    ):
        assert said in page, said
    assert not Merge.objects.exists()


def test_sections_of_another_app_stand_in_the_preview(
    client_of_sam: Client, pair: tuple[Profile, Profile], write_template: Callable[[str, str], str]
) -> None:
    ann, anna = pair

    def read(winner_id: int, loser_id: int) -> Callable[[ProfileView], Any]:
        before = [Profile.objects.get(pk=pk).city for pk in (winner_id, loser_id)]
        return lambda result: {"before": before, "after": Profile.objects.get(pk=winner_id).city}

    item = write_template("stub/item.html", "<li>{{ data.before|join:'|' }} → {{ data.after }}</li>")
    rows = write_template("stub/rows.html", "<tbody><tr><td>{{ data.after }}</td></tr></tbody>")
    stubs = {
        "item": PreviewSection(read, item),
        "rows": PreviewSection(read, rows, "table"),
        "unseen": PreviewSection(read),
    }
    for name, section in stubs.items():
        sections.register(name, section)
    try:
        page = shown(preview(client_of_sam, ann.pk, anna.pk))
    finally:
        for name in stubs:
            sections.unregister(name)
    table, closing = page.split("</table>")
    assert "<tbody><tr><td>Kraków</td></tr></tbody>" in table
    assert "<li>None|Kraków → Kraków</li>" in closing.split("</ul>")[0]
    assert "<li>" not in table.split("<thead>")[1]
    assert not Merge.objects.exists()
    assert "None|Kraków" not in shown(preview(client_of_sam, ann.pk, anna.pk))


def test_choices_show_in_the_preview_and_happen(client_of_sam: Client, pair: tuple[Profile, Profile]) -> None:
    ann, anna = pair
    response = preview(client_of_sam, ann.pk, anna.pk, **{"choice.first_name": "loser"})
    results = {line.row.field: line.result for line in response.context["lines"]}
    assert (results["first_name"], results["attributes.plan"]) == ("Anna", "pro")
    taken = preview(client_of_sam, ann.pk, anna.pk, take="loser")
    results = {line.row.field: line.result for line in taken.context["lines"]}
    assert (results["first_name"], results["attributes.plan"]) == ("Anna", "team")
    data = {
        "winner": ann.pk,
        "loser": anna.pk,
        "choice.first_name": "loser",
        "preview_hash": response.context["preview"].preview_hash,
    }
    done = client_of_sam.post(WIZARD, data, follow=True)
    assert done.redirect_chain == [(card(ann.pk), 302)]
    page = shown(done)
    assert f"#{anna.pk} was merged into this profile. Its ids still open this profile." in page
    undo = reverse("admin:profiles_merge_undo", args=[Merge.objects.get().pk])
    assert f'<a href="{undo}">Undo…</a>' in page
    ann.refresh_from_db()
    assert (ann.first_name, ann.city, ann.attributes) == ("Anna", "Kraków", {"plan": "pro"})


def test_what_changed_meanwhile_is_shown_again(
    client_of_sam: Client, pair: tuple[Profile, Profile], by_staff: dict[str, Any]
) -> None:
    ann, anna = pair
    held = preview(client_of_sam, ann.pk, anna.pk).context["preview"].preview_hash
    update_profile(profile_id=anna.pk, values={"city": "Łódź"}, **by_staff)
    for sent in (held, "", "x"):
        page = client_of_sam.post(WIZARD, {"winner": ann.pk, "loser": anna.pk, "preview_hash": sent})
        assert page.status_code == 409
        said = f"Profile #{ann.pk} or #{anna.pk} changed since the preview. Nothing was merged; look again."
        assert said in shown(page)
        assert "Łódź" in shown(page)
    assert not Merge.objects.exists()
    fresh = page.context["preview"].preview_hash
    client_of_sam.post(WIZARD, {"winner": ann.pk, "loser": anna.pk, "preview_hash": fresh})
    assert Merge.objects.active().count() == 1


def test_refusals_are_sentences(
    client_of_sam: Client, pair: tuple[Profile, Profile], by_staff: dict[str, Any]
) -> None:
    ann, anna = pair
    assert "A profile cannot be merged into itself." in shown(preview(client_of_sam, ann.pk, ann.pk))
    assert "No profile “999999”." in shown(preview(client_of_sam, ann.pk, 999999))
    set_lock(profile_id=anna.pk, is_locked=True, **by_staff)
    locked = preview(client_of_sam, ann.pk, anna.pk)
    assert locked.status_code == 422
    assert f"Profile #{anna.pk} is locked against merging. Unlock it first." in shown(locked)
    for address in (WIZARD, f"{WIZARD}?ids=x", f"{WIZARD}?winner=1"):
        assert "Choose two or more people to merge." in shown(client_of_sam.get(address, follow=True))
    assert "No profile “999999”." in shown(
        client_of_sam.get(f"{WIZARD}?ids={ann.pk}&ids=999999", follow=True)
    )


def test_a_second_click_is_already_merged(client_of_sam: Client, pair: tuple[Profile, Profile]) -> None:
    ann, anna = pair
    held = preview(client_of_sam, ann.pk, anna.pk).context["preview"].preview_hash
    data = {"winner": ann.pk, "loser": anna.pk, "preview_hash": held}
    client_of_sam.post(WIZARD, data)
    again = client_of_sam.post(WIZARD, data)
    assert again.status_code == 422
    assert "A profile cannot be merged into itself." in shown(again)
    assert Merge.objects.count() == 1


def test_several_losers_one_after_another(client_of_sam: Client, by_staff: dict[str, Any]) -> None:
    people = [make_profile(first_name=f"P{n}", email=f"p{n}@mail.example") for n in range(4)]
    ids = [one.pk for one in people]
    query = "&".join(f"ids={pk}" for pk in ids)
    page = shown(client_of_sam.get(f"{WIZARD}?{query}"))
    assert "Merge 4 profiles" in page
    assert "3 merges, one after another" in page
    data: dict[str, Any] = {"ids": ids, "confirm": "1"}
    assert "Choose the profile to keep." in shown(client_of_sam.post(WIZARD, data, follow=True))
    # Unlike first names: each of them is told, and once more what the merges do; none without a second look.
    assert page.count("Their names or birth dates differ") == 3 + 1
    set_lock(profile_id=ids[2], is_locked=True, **by_staff)
    looked = client_of_sam.get(f"{WIZARD}?{query}&winner_of_all={ids[0]}")
    assert (
        f"#{ids[2]} cannot be merged: Profile #{ids[2]} is locked against merging. Unlock it first. The merging would"
        " stop there; those before it would be merged."
    ) in shown(looked)
    data |= {"winner_of_all": ids[0], "preview_hash": looked.context["preview"].preview_hash}
    refused = shown(client_of_sam.post(WIZARD, data, follow=True))
    assert "These may be two people, so nothing was merged." in refused
    assert not Merge.objects.exists()
    report = shown(client_of_sam.post(WIZARD, {**data, "second_look": "1"}))
    assert f"Stopped at #{ids[2]}: Profile #{ids[2]} is locked against merging. Unlock it first." in report
    assert f"#{ids[1]} merged" in report
    assert f"#{ids[3]} was not touched" in report
    assert list(Merge.objects.values_list("loser_id", flat=True)) == [ids[1]]


def test_several_are_shown_before_and_merged_as_shown(
    client_of_sam: Client, by_staff: dict[str, Any]
) -> None:
    AttributeDefinition.objects.create(name="points", type="number")
    ann = make_profile(first_name="Ann", email="ann@mail.example", points=1000, tags=["vip"])
    anna = make_profile(first_name="Anna", city="Kraków", birth_date="1990-01-01", points=200)
    nan = make_profile(
        first_name="Ann", phone="+48600100200", birth_date="1991-01-01", points=30, tags=["new"]
    )
    ids = [ann.pk, anna.pk, nan.pk]
    address = f"{WIZARD}?" + "&".join(f"ids={pk}" for pk in ids)
    looked = client_of_sam.get(f"{address}&winner_of_all={ann.pk}")
    rows = {row.label: (row.values, row.result, row.css) for row in looked.context["rows"]}
    assert rows["First name"] == (["Ann", "Anna", "Ann"], "Ann", "diff")
    assert rows["Birth date"] == (["", "1990-01-01", "1991-01-01"], "1990-01-01", "clash")
    assert rows["City"] == (["", "Kraków", ""], "Kraków", "")
    assert rows["points"] == (["1,000", "200", "30"], "1,230", "diff")
    assert rows["Tags"] == (["vip", "", "new"], "vip, new", "")
    page = shown(looked)
    assert "A preview: nothing has been merged yet." in page
    assert "The birth date differs. Make sure that these are one person." in page
    assert not Merge.objects.exists()
    other = client_of_sam.get(f"{address}&winner_of_all={nan.pk}")
    assert {row.label: row.result for row in other.context["rows"]}["Birth date"] == "1991-01-01"

    data = {"ids": ids, "confirm": "1", "winner_of_all": ann.pk}
    data["preview_hash"] = looked.context["preview"].preview_hash
    update_profile(profile_id=nan.pk, values={"city": "Łódź"}, **by_staff)
    stale = client_of_sam.post(WIZARD, data)
    assert stale.status_code == 409
    assert "One of these profiles changed since the preview. Nothing was merged; look again." in shown(stale)
    assert not Merge.objects.exists()
    data["preview_hash"] = stale.context["preview"].preview_hash
    assert "Merge report" in shown(client_of_sam.post(WIZARD, data))
    ann.refresh_from_db()
    assert (ann.attributes, ann.city, str(ann.birth_date)) == ({"points": 1230}, "Kraków", "1990-01-01")


def test_undoing_shows_what_goes_back_and_what_stays(
    client_of_sam: Client, pair: tuple[Profile, Profile], by_staff: dict[str, Any]
) -> None:
    ann, anna = pair
    merge = merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    update_profile(profile_id=ann.pk, values={"city": "Łódź"}, **by_staff)
    address = reverse("admin:profiles_merge_undo", args=[merge.merge_id])
    page = shown(client_of_sam.get(address))
    assert "changed by ada" in page
    assert "not a duplicate" in page
    assert Merge.objects.active().exists()
    done = client_of_sam.post(address, follow=True)
    assert done.redirect_chain == [(card(ann.pk), 302)]
    assert f'Separated again. <a href="{card(anna.pk)}">Open #{anna.pk}</a>' in shown(done)
    assert not Merge.objects.active().exists()
    again = client_of_sam.get(address)
    assert again.status_code == 422
    assert "was already undone by sam" in shown(again)
    assert "was already undone by sam" in shown(client_of_sam.post(address, follow=True))
    assert client_of_sam.get(reverse("admin:profiles_merge_undo", args=[999])).status_code == 404


def test_history_filters_and_pages(
    client_of_sam: Client, by_staff: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Nothing was merged yet" in shown(client_of_sam.get(HISTORY))
    monkeypatch.setattr(merge_history, "HISTORY", 2)
    winner = make_profile(first_name="Ann", email="ann@example.com")
    merges = [merge_profiles(winner_id=winner.pk, loser_id=make_profile().pk, **by_staff) for _ in range(5)]
    other = merge_profiles(winner_id=make_profile().pk, loser_id=make_profile().pk, **by_staff)
    Merge.objects.filter(pk=merges[0].merge_id).update(undone_at=timezone.now())

    def walk(query: str) -> list[int]:
        seen, address = [], f"{HISTORY}?{query}"
        while True:
            content = client_of_sam.get(address)
            seen += [merge.pk for merge in content.context["rows"]]
            address = content.context["older_url"] and HISTORY + content.context["older_url"]
            if not address:
                return seen

    newest_first = [merge.merge_id for merge in reversed(merges)]
    assert walk("") == [other.merge_id, *newest_first]
    assert walk(f"profile={winner.pk}") == newest_first
    assert walk("profile=email:ann@example.com") == newest_first
    assert walk(f"profile={merges[2].loser_id}") == newest_first
    assert walk("state=undone") == [merges[0].merge_id]
    assert walk("since=2999-01-01") == []
    first = client_of_sam.get(HISTORY).context["older_url"]
    second = client_of_sam.get(HISTORY + first)
    back = client_of_sam.get(HISTORY + second.context["newer_url"])
    assert [merge.pk for merge in back.context["rows"]] == [other.merge_id, newest_first[0]]
    assert "“soon” is not a date." in shown(client_of_sam.get(f"{HISTORY}?since=soon"))
    assert "No profile “x”." in shown(client_of_sam.get(f"{HISTORY}?profile=x"))


def test_history_reads_no_more_for_more_rows(client_of_sam: Client, by_staff: dict[str, Any]) -> None:
    counts = []
    winner = make_profile()
    for size in (1, 30):
        for _ in range(size):
            merge_profiles(winner_id=winner.pk, loser_id=make_profile().pk, **by_staff)
        with CaptureQueriesContext(connection) as queries:
            client_of_sam.get(HISTORY)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_masked_for_who_may_not_see(
    make_user: Any, as_user: Login, pair: tuple[Profile, Profile], by_staff: dict[str, Any]
) -> None:
    from django.contrib.auth.models import Permission

    ann, anna = pair
    user = make_user("x", "viewer")
    user.user_permissions.set(Permission.objects.filter(codename__in=["merge_profile", "unmerge_profile"]))
    client = as_user(user)
    pages = [
        client.get(WIZARD, {"profile": ann.pk, "q": "anna"}),
        preview(client, ann.pk, anna.pk),
    ]
    merge = merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    pages += [client.get(reverse("admin:profiles_merge_undo", args=[merge.merge_id])), client.get(HISTORY)]
    for page in pages:
        assert page.status_code == 200
        for secret in ("Kowalska", "ann@example.com", "600100200", ">Anna"):
            assert secret not in shown(page), (page.request["PATH_INFO"], secret)


def test_who_may_merge(
    vic: User, mira: User, olga: User, as_user: Login, pair: tuple[Profile, Profile], by_staff: dict[str, Any]
) -> None:
    ann, anna = pair
    merge = merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    undo = reverse("admin:profiles_merge_undo", args=[merge.merge_id])
    for user, sees in ((vic, 200), (mira, 200), (olga, 403)):
        client = as_user(user)
        assert client.get(HISTORY).status_code == sees
        for address in (WIZARD, undo):
            assert client.get(address).status_code == client.post(address).status_code == 403
    assert Merge.objects.active().count() == 1
    delete_profiles(profile_ids=[ann.pk], **by_staff)
    assert re.search(
        r"Profile #\d+ is deleted. Restore it first.",
        shown(as_user(User.objects.get(username="ada")).get(undo)),
    )
