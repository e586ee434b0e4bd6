"""Who was shown whom: one row per page, answer or file, with the people on it, for every address that shows people."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from cdp import looks, retention
from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.looks import record_look, registered_routes
from cdp.models import AuditEntry, Job, Look, Mail, User
from profiles.bulk.exports import open_export, start_export
from profiles.merging.merge import merge_profiles
from profiles.models import Event, HeldMerge, Identifier, Message, Profile, Receipt
from profiles.privacy.gdpr_export import export_profile
from tests.privacy.looking import seen_in
from tests.profile_factory import make_profile
from tests.test_rights import World, routes

pytestmark = pytest.mark.django_db
PEOPLE = "/admin/profiles/profile/"
LOOKS = "/admin/cdp/look/"


def last() -> Look:
    return Look.objects.latest("pk")


# --- Pages and answers --------------------------------------------------------------------------------------


def test_a_list_leaves_one_row_with_the_people_it_shows(as_user: Any, sam: User) -> None:
    ann, ben = make_profile(first_name="Ann"), make_profile(first_name="Ben")
    client = as_user(sam)
    assert client.get(PEOPLE).status_code == 200
    look = Look.objects.get()
    assert (look.kind, look.actor, look.user_id, look.key_id) == ("list", "sam", sam.pk, None)
    assert sorted(look.profile_ids) == [ann.pk, ben.pk]
    assert (look.is_masked, look.address, len(look.request_id)) == (False, "127.0.0.1", 32)
    client.get(PEOPLE, {"q": "Ben"})
    assert (last().kind, last().profile_ids) == ("search", [ben.pk])
    before = Look.objects.count()
    client.get(PEOPLE, {"q": "Nobody"})
    assert Look.objects.count() == before, "nobody was shown"


def test_a_page_further_on_names_its_own_people_and_no_more(
    as_user: Any, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [make_profile(first_name=f"P{n}").pk for n in range(4)]
    monkeypatch.setattr("profiles.admin.list_pages.PAGE", 2)
    page = as_user(sam).get(PEOPLE)
    shown = [row.profile.pk for row in page.context["rows"]]
    assert last().profile_ids == shown
    assert set(shown) <= set(people)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("change/", "card"),
        ("timeline/", "history"),
        ("edit/", "edit"),
        ("field/city/", "edit"),
        ("delete/", "delete"),
        ("why/", "why"),
        ("looks/", "looks"),
    ],
)
def test_each_page_about_one_person_says_what_it_was(
    address: str, kind: str, as_user: Any, ada: User
) -> None:
    ann = make_profile(first_name="Ann")
    client = as_user(ada)
    assert client.get(f"{PEOPLE}{ann.pk}/{address}").status_code == 200
    assert [(row.kind, row.profile_ids) for row in Look.objects.all()] == [(kind, [ann.pk])]


def test_a_merge_page_shows_both(as_user: Any, sam: User) -> None:
    ann, eve = make_profile(first_name="Ann"), make_profile(first_name="Eve")
    page = as_user(sam).get(f"{PEOPLE}merge/", {"winner": ann.pk, "loser": eve.pk})
    assert page.status_code == 200
    assert (last().kind, sorted(last().profile_ids)) == ("merge", [ann.pk, eve.pk])


def test_what_shows_nobody_leaves_nothing(as_user: Any, sam: User, olga: User) -> None:
    ann = make_profile(first_name="Ann")
    client = as_user(sam)
    assert client.post(f"{PEOPLE}{ann.pk}/note/", {"text": "called"}).status_code == 302
    assert client.get(f"{PEOPLE}999999/change/").status_code == 404
    assert as_user(olga).get(f"{PEOPLE}{ann.pk}/change/").status_code == 403
    assert Client().get(f"{PEOPLE}{ann.pk}/change/").status_code == 302
    assert not Look.objects.exists()


def test_a_masked_look_says_so(as_user: Any, vic: User) -> None:
    ann = make_profile(first_name="Ann")
    as_user(vic).get(f"{PEOPLE}{ann.pk}/change/")
    assert (last().profile_ids, last().is_masked) == ([ann.pk], True)


def test_what_cannot_be_recorded_is_not_shown(
    as_user: Any, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = make_profile(first_name="Zyxcanary")
    client = as_user(sam)
    client.raise_request_exception = False

    def fail(*_: Any, **__: Any) -> None:
        raise DatabaseError("no room")

    monkeypatch.setattr(Look, "save", fail)
    answer = client.get(f"{PEOPLE}{ann.pk}/change/")
    assert answer.status_code == 500
    assert "Zyxcanary" not in answer.content.decode()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("profiles/", "list"),
        ("profiles/?q=Ann", "search"),
        ("profiles/{pk}/", "card"),
        ("profiles/{pk}/timeline/", "history"),
        ("profiles/{pk}/events/", "history"),
        ("profiles/{pk}/notes/", "history"),
        ("profiles/{pk}/consents/", "history"),
    ],
)
def test_reading_by_the_api_is_a_look_of_the_key(path: str, kind: str) -> None:
    ann = make_profile(first_name="Ann")
    made = create_key(name="shop", scopes=["all"], actor=Actor.system())
    client = Client(headers={"Authorization": f"Bearer {made.secret}"})
    assert client.get("/api/v1/" + path.format(pk=ann.pk)).status_code == 200
    look = Look.objects.get()
    assert (look.kind, look.actor, look.key_id, look.user_id) == (kind, "shop", made.key.pk, None)
    assert look.profile_ids == [ann.pk]


def test_a_refused_call_is_no_look() -> None:
    ann = make_profile(first_name="Ann")
    secret = create_key(name="shop", scopes=["all"], actor=Actor.system()).secret
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    path = f"/api/v1/profiles/{ann.pk}/"
    assert client.get(path + "?include=everything").status_code == 400
    assert (
        client.patch(
            path, {"city": 7}, content_type="application/json", headers={"If-Match": '"9"'}
        ).status_code
        >= 400
    )
    assert not Look.objects.exists()


# --- Every address --------------------------------------------------------------------------------------------

CANARY = "Zyxcanary"
# Addresses that show the person without a look of theirs, each with the reason.
NO_LOOK: dict[str, str] = {}


@pytest.fixture
def world() -> World:
    """The world of the table of rights, with a mark on the person in whatever a page may show."""
    made = World()
    ann, mail = made.ann, made.objects["cdp_mail"]
    Profile.objects.filter(pk=ann.pk).update(
        first_name=CANARY, email=f"{CANARY}@example.com", attributes={"plan": CANARY}
    )
    Identifier.objects.filter(profile=ann, value="ann@example.com").update(raw=CANARY)
    Receipt.objects.update(profile=ann, payload={"traits": {"name": CANARY}}, message=CANARY, problems=[])
    HeldMerge.objects.update(value=CANARY)
    Mail.objects.update(to=[f"{CANARY}@example.com"], subject=CANARY, text=CANARY)
    Message.objects.create(profile=ann, purpose="x", address=CANARY, subject=CANARY, text=CANARY, mail=mail)
    Event.objects.filter(profile=ann).update(properties={"name": CANARY})
    return made


def shown(world: World) -> Iterator[tuple[str, list[Look]]]:
    """Route → the looks it left, of every address that shows the person on GET."""
    for client in (world.clients["superuser"], key_with_all()):
        for route in routes():
            for line, path in world.addresses(route).items():
                Look.objects.all().delete()
                body = seen_in(client.get(path))
                if CANARY in body:
                    yield line, list(Look.objects.all())


def key_with_all() -> Client:
    secret = create_key(name="walker", scopes=["all"], actor=Actor.system()).secret
    return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {secret}"})


def test_every_address_that_shows_a_person_leaves_a_look(world: World) -> None:
    forgotten, unnamed, walked = [], [], set()
    for line, left in shown(world):
        walked.add(line)
        if line in NO_LOOK:
            continue
        if not any(world.ann.pk in look.profile_ids for look in left):
            forgotten.append(line)
        if any(look.kind == looks.OTHER for look in left) or len(left) > 1:
            unnamed.append(line)
    assert forgotten == [], "call cdp.looks.saw where these pages render people"
    assert unnamed == [], "name the kind of these addresses in profiles/looks.py; one row each"
    assert walked >= set(NO_LOOK)
    assert len(walked) > 30, sorted(walked)


def test_only_addresses_there_are_have_a_kind() -> None:
    there = {route.strip("^$/") for route in routes()}
    assert [route for route in registered_routes() if route not in there] == []
    with pytest.raises(ValueError, match=r"The looks of “admin/profiles/profile” have two kinds\."):
        looks.register_pages("card", looks.kinds["card"], ["admin/profiles/profile/"])


# --- Files ----------------------------------------------------------------------------------------------------


def test_an_export_names_everybody_in_it_and_each_download(sam: User, mira: User) -> None:
    people = [make_profile(first_name=f"P{n}") for n in range(3)]
    ids = [person.pk for person in people]
    actor = Actor.of_user(mira)
    job = start_export(profile_ids=ids, columns=["email"], at_once=True, actor=actor)
    assert job.state == Job.State.DONE
    written = Look.objects.get()
    assert (written.kind, written.actor, written.subject) == ("export", "mira", f"job:{job.pk}")
    assert (sorted(written.profile_ids), written.is_masked) == (ids, False)
    open_export(job_id=job.pk, actor=actor)
    assert (last().kind, last().subject, last().profile_ids) == ("download", f"job:{job.pk}", [])
    told = export_profile(profile_id=ids[1], actor=Actor.of_user(sam))["looks"]
    assert [(row["who"], row["looked_at"], row["people_on_it"], row["of"]) for row in told] == [
        ("mira", "an export of many people", 3, f"job:{job.pk}"),
        ("mira", "a download of an export", 0, f"job:{job.pk}"),
        ("sam", "the GDPR export", 1, ""),
    ]


def test_a_long_list_is_spread_over_rows(monkeypatch: pytest.MonkeyPatch, sam: User) -> None:
    monkeypatch.setattr(looks, "MOST_IDS", 2)
    record_look("export", actor=Actor.of_user(sam), profile_ids=[1, 2, 2, 3], subject="job:1")
    assert [row.profile_ids for row in Look.objects.order_by("pk")] == [[1, 2], [3]]
    record_look("list", actor=Actor.of_user(sam), profile_ids=[])
    assert Look.objects.count() == 2, "nobody and nothing was shown"
    with pytest.raises(ValueError, match=r"“glance” is not a kind of look\."):
        record_look("glance", actor=Actor.of_user(sam), profile_ids=[1])


def test_bulk_tagging_names_everybody(by_staff: dict[str, Any]) -> None:
    from profiles.tagging import tag_profiles

    ids = [make_profile(first_name=f"P{n}").pk for n in range(3)]
    tag_profiles(profile_ids=ids, tag_names=["vip"], **by_staff)
    entries = AuditEntry.objects.filter(action="profile.tags")
    assert sorted(entries.values_list("subject", flat=True)) == [f"profile:{pk}" for pk in ids]


# --- Reading them ---------------------------------------------------------------------------------------------


@pytest.fixture
def paula(make_user: Callable[..., User]) -> User:
    return make_user("paula", "privacy officer")


def test_the_page_finds_looks_by_person_login_key_and_kind(
    as_user: Any, paula: User, sam: User, by_staff: dict[str, Any]
) -> None:
    ann, eve = make_profile(first_name="Ann"), make_profile(first_name="Eve")
    key = create_key(name="shop", scopes=["all"], actor=Actor.system()).key
    record_look("card", actor=Actor.of_user(sam), profile_ids=[eve.pk], is_masked=True)
    record_look("list", actor=Actor.of_key(key), profile_ids=[ann.pk, 7, 8, 9, 10, 11, 12])
    record_look("import", actor=Actor.of_user(sam), profile_ids=[], subject="import:7")
    merge_profiles(winner_id=ann.pk, loser_id=eve.pk, **by_staff)
    client = as_user(paula)

    def found(query: str) -> list[str]:
        page = client.get(f"{LOOKS}?{query}")
        assert page.status_code == 200
        return [look.kind for look in page.context["cl"].result_list]

    assert found("") == ["import", "list", "card"]
    assert found(f"q={ann.pk}") == ["list", "card"], "looks at whoever was merged into her as well"
    assert found(f"q=%23{eve.pk}") == ["list", "card"]
    assert found("q=sam") == ["import", "card"]
    assert found("q=shop") == ["list"]
    assert found("q=import:7") == ["import"]
    assert found("q=nobody") == []
    assert found("kind=card") == ["card"]
    assert found(f"who={sam.pk}") == ["import", "card"]
    text = client.get(LOOKS).content.decode()
    assert "and 2 more" in text
    assert '<span class="badge">masked</span>' in text
    assert client.get(f"{LOOKS}{last().pk}/change/").status_code == 302


def test_the_card_leads_to_who_looked(as_user: Any, paula: User, sam: User) -> None:
    ann = make_profile(first_name="Ann")
    record_look("list", actor=Actor.of_user(sam), profile_ids=[ann.pk, 5, 6])
    card = as_user(paula).get(f"{PEOPLE}{ann.pk}/change/").content.decode()
    assert f'href="{PEOPLE}{ann.pk}/looks/"' in card
    page = as_user(paula).get(f"{PEOPLE}{ann.pk}/looks/")
    text = " ".join(page.content.decode().split())
    assert '<th scope="row">sam</th>' in text
    assert "with 2 others" in text
    assert f"{PEOPLE}{ann.pk}/looks/" not in as_user(sam).get(f"{PEOPLE}{ann.pk}/change/").content.decode()
    assert as_user(sam).get(f"{PEOPLE}{ann.pk}/looks/").status_code == 403
    assert as_user(sam).get(LOOKS).status_code == 403


def test_the_api_lists_looks_and_answers_whose_data_a_login_saw(sam: User) -> None:
    ann, ben = make_profile(first_name="Ann"), make_profile(first_name="Ben")
    record_look("list", actor=Actor.of_user(sam), profile_ids=[ann.pk, ben.pk])
    record_look("card", actor=Actor.of_user(sam), profile_ids=[ben.pk])
    record_look("card", actor=Actor.system(), profile_ids=[ann.pk])
    secret = create_key(name="audit", scopes=["admin"], actor=Actor.system()).secret
    client = Client(headers={"Authorization": f"Bearer {secret}"})

    def ask(path: str) -> Any:
        return client.get(f"/api/v1/looks/{path}")

    rows = ask(f"?user={sam.pk}").json()["results"]
    assert [(row["kind"], row["looked_at"], row["profile_ids"]) for row in rows] == [
        ("card", "the card", [ben.pk]),
        ("list", "a list of people", [ann.pk, ben.pk]),
    ]
    assert len(ask(f"?profile={ann.pk}&kind=list").json()["results"]) == 1
    people = ask(f"people/?user={sam.pk}").json()
    assert [(row["profile_id"], row["looks"]) for row in people["results"]] == [(ann.pk, 1), (ben.pk, 2)]
    assert people["next_after"] is None
    assert [row["profile_id"] for row in ask(f"people/?user={sam.pk}&after={ann.pk}").json()["results"]] == [
        ben.pk
    ]
    later = (timezone.now() + datetime.timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert ask(f"people/?user={sam.pk}&since={later}").json()["results"] == []
    refused = ask("?profiles=1")
    assert (refused.status_code, refused.json()["detail"]) == (
        400,
        "There is no parameter “profiles” here. Known parameters: count, cursor, key, kind, page_size, profile, since,"
        " subject, until, user.",
    )
    assert ask("?kind=glance").json()["detail"].startswith("kind is one of bulk, card, ")
    reader = create_key(name="reader", scopes=["profiles:read", "pii"], actor=Actor.system()).secret
    assert Client(headers={"Authorization": f"Bearer {reader}"}).get("/api/v1/looks/").status_code == 403


# --- Keeping them ---------------------------------------------------------------------------------------------


def test_looks_leave_after_a_year(sam: User, settings: Any) -> None:
    for days in (400, 366, 364, 0):
        record_look("card", actor=Actor.of_user(sam), profile_ids=[days + 1])
        at = timezone.now() - datetime.timedelta(days=days)
        Look.objects.filter(pk=last().pk).update(at=at)
    assert looks.forget_looks(limit=1) == 1
    retention.expire()
    assert [row.profile_ids for row in Look.objects.order_by("pk")] == [[365], [1]]
    settings.CDP_LOOK_KEEP_DAYS = 30
    retention.expire()
    assert [row.profile_ids for row in Look.objects.all()] == [[1]]


def test_looks_are_outside_the_audit_chain(as_user: Any, sam: User) -> None:
    ann = make_profile(first_name="Ann")
    before = AuditEntry.objects.count()
    client = as_user(sam)
    logged_in = AuditEntry.objects.count() - before
    client.get(f"{PEOPLE}{ann.pk}/change/")
    assert AuditEntry.objects.count() == before + logged_in
    assert Look.objects.values("kind", "profile_ids").get() == {"kind": "card", "profile_ids": [ann.pk]}
