"""Adding, changing, deleting and restoring one person; two people changing one (R13)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cdp.models import User
from profiles.editing import update_profile
from profiles.models import AttributeDefinition, Change, Profile
from profiles.privacy.delete import delete_profiles
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

Login = Callable[[User], Client]


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:profiles_profile_{name}", args=args)


def shown(response: Any) -> str:
    return " ".join(response.content.decode().split()).replace("&#x27;", "'").replace("&quot;", '"')


def form_of(client: Client, address: str) -> dict[str, str]:
    """The fields of the page's form as a browser would send them back untouched."""
    page = client.get(address)
    assert page.status_code == 200
    form = page.context["form"]
    data = {name: form[name].value() or "" for name in form.fields}
    for name in ("version", "seen"):
        found = re.search(rf'name="{name}" value="([^"]*)"', page.content.decode())
        assert found
        data[name] = found[1].replace("&quot;", '"').replace("&#x27;", "'").replace("&amp;", "&")
    return data


@pytest.fixture
def client_of_sam(sam: User, as_user: Login) -> Client:
    return as_user(sam)


def test_a_name_is_enough_to_add_somebody(client_of_sam: Client) -> None:
    done = client_of_sam.post(url("add"), {"first_name": " Ann "}, follow=True)
    ann = Profile.objects.get()
    assert done.redirect_chain == [(url("change", ann.pk), 302)]
    assert "Ann was added." in shown(done)
    assert (ann.first_name, ann.is_recognized) == ("Ann", False)
    assert Change.objects.get().source.name == "Staff"


def test_adding_with_everything(client_of_sam: Client) -> None:
    AttributeDefinition.objects.create(name="likes", type="list")
    form = {
        "first_name": "Ann",
        "email": "Ann@Example.com",
        "phone": "+48 600 100 200",
        "country": "PL",
        "birth_date": "1990-02-28",
        "identifier.customer_id": "C-1",
        "attributes.likes": "tea\r\nbikes",
        "tags": "vip, club",
    }
    client_of_sam.post(url("add"), form)
    ann = Profile.objects.get()
    assert (ann.email, ann.phone, ann.attributes) == (
        "ann@example.com",
        "+48600100200",
        {"likes": ["tea", "bikes"]},
    )
    held = set(ann.identifiers.exclude(type__name="anonymous_id").values_list("type__name", "value"))
    assert held == {("customer_id", "C-1"), ("email", "ann@example.com"), ("phone", "+48600100200")}
    assert ann.tag_links.count() == 2


def test_what_is_wrong_is_said_at_its_field(client_of_sam: Client) -> None:
    other = make_profile(email="ann@example.com")
    page = client_of_sam.post(
        url("add"), {"first_name": "Ann", "email": "nonsense", "birth_date": "31/02/1990"}
    )
    form = page.context["form"]
    assert form.errors == {
        "email": ["Not an e-mail address: “@” is missing."],
        "birth_date": ["Not a date. Write YYYY-MM-DD, for example 1990-02-28."],
    }
    assert 'value="nonsense"' in shown(page)
    page = client_of_sam.post(url("add"), {"first_name": "Ann", "email": "ann@example.com"})
    assert f"email ann@example.com already belongs to profile #{other.pk}." in shown(page)
    assert f'href="{url("change", other.pk)}"' in shown(page)
    page = client_of_sam.post(url("add"), {"tags": "vip"})
    assert "Give at least a first name, a last name or one identifier." in shown(page)
    assert Profile.objects.count() == 1


def test_editing_changes_only_what_was_changed(client_of_sam: Client) -> None:
    AttributeDefinition.objects.create(name="plan", type="choice", choices=["free", "pro"], label="Plan")
    ann = make_profile(first_name="Ann", city="Kraków", plan="free", birth_date="1990-02-28")
    data = form_of(client_of_sam, url("edit", ann.pk))
    done = client_of_sam.post(
        url("edit", ann.pk), {**data, "attributes.plan": "pro", "city": ""}, follow=True
    )
    assert "Saved: City, Plan." in shown(done)
    assert Change.objects.latest("id").fields == {
        "city": ["Kraków", None],
        "attributes.plan": ["free", "pro"],
    }
    data = form_of(client_of_sam, url("edit", ann.pk))
    again = client_of_sam.post(url("edit", ann.pk), data, follow=True)
    assert "Nothing was changed." in shown(again)
    wrong = client_of_sam.post(url("edit", ann.pk), {**data, "attributes.plan": "gold"})
    assert wrong.context["form"].errors["attributes.plan"]


def test_the_second_of_two_editors_is_refused(
    client_of_sam: Client, ada: User, as_user: Login, by_staff: dict[str, Any]
) -> None:
    ann = make_profile(first_name="Ann", city="Kraków", gender="f")
    mine = form_of(client_of_sam, url("edit", ann.pk))
    update_profile(profile_id=ann.pk, values={"city": "Łódź", "gender": "female"}, **by_staff)
    page = client_of_sam.post(url("edit", ann.pk), {**mine, "city": "Warszawa", "first_name": "Anna"})
    said = shown(page)
    assert (
        f"Profile #{ann.pk} was changed by ada since you opened it. Nothing was saved; look again and repeat."
        in said
    )
    clashes = [(clash.label, clash.now, clash.mine) for clash in page.context["clashes"]]
    assert clashes == [("City", "Łódź", "Warszawa"), ("Gender", "female", "")]
    form = page.context["form"]
    assert [form[name].value() for name in ("first_name", "city", "gender")] == ["Anna", "Warszawa", "female"]
    ann.refresh_from_db()
    assert (ann.first_name, ann.city) == ("Ann", "Łódź")
    data = {name: form[name].value() or "" for name in form.fields}
    found = re.search(r'name="version" value="(\d+)"', said)
    assert found
    client_of_sam.post(url("edit", ann.pk), {**data, "version": found[1], "seen": page.context["seen"]})
    ann.refresh_from_db()
    assert (ann.first_name, ann.city, ann.gender) == ("Anna", "Warszawa", "female")


def test_one_field_on_a_page_and_inside_the_card(client_of_sam: Client, by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", city="Kraków")
    address = url("field", ann.pk, "city")
    data = form_of(client_of_sam, address)
    assert "<html" in shown(client_of_sam.get(address))
    done = client_of_sam.post(address, {**data, "city": "Łódź"})
    assert done.url == url("change", ann.pk)
    htmx = {"HTTP_HX_REQUEST": "true"}
    part = client_of_sam.get(address, **htmx)
    assert "<html" not in shown(part)
    stale = client_of_sam.post(address, {**data, "city": "Poznań"}, **htmx)
    assert "was changed by sam since you opened it" in shown(stale)
    assert "It is <b>Łódź</b> now; you wrote <b>Poznań</b>." in shown(stale)
    saved = client_of_sam.post(address, {**form_of(client_of_sam, address), "city": "Poznań"}, **htmx)
    assert (saved.status_code, saved["HX-Refresh"]) == (204, "true")
    assert Profile.objects.get(pk=ann.pk).city == "Poznań"
    assert client_of_sam.get(url("field", ann.pk, "shoe_size")).status_code == 404


def test_what_was_seen_may_be_nonsense(client_of_sam: Client) -> None:
    ann = make_profile(first_name="Ann")
    for seen in ("", "x", "[]", json.dumps({"city": {"a": 1}})):
        page = client_of_sam.post(url("edit", ann.pk), {"first_name": "Bob", "version": "99", "seen": seen})
        assert page.status_code == 200
    assert Profile.objects.get().first_name == "Ann"


def test_deleting_says_what_happens_and_can_be_taken_back(ada: User, as_user: Login) -> None:
    client = as_user(ada)
    ann = make_profile(first_name="Ann", email="ann@example.com")
    page = shown(client.get(url("delete", ann.pk)))
    for said in (
        "Exactly 1 person is deleted",
        "2 identifiers become free for other people",
        "Deleted people",
        "Delete 1 person",
    ):
        assert said in page
    done = client.post(url("delete", ann.pk), {"reason": "request", "note": "by phone"}, follow=True)
    assert f"#{ann.pk} was deleted." in shown(done)
    assert not Profile.objects.live().exists()
    detail = Change.objects.latest("id").detail
    assert (detail["reason"], detail["note"]) == ("request", "by phone")
    thief = make_profile(email="ann@example.com")
    assert "Restore 1 person" in shown(client.get(url("restore", ann.pk)))
    back = client.post(url("restore", ann.pk), follow=True)
    assert f"#{ann.pk} is restored." in shown(back)
    assert f"The email now belongs to profile #{thief.pk} and stays there." in shown(back)
    assert Profile.objects.live().filter(pk=ann.pk).exists()
    assert f"#{ann.pk} is not deleted." in shown(client.get(url("restore", ann.pk), follow=True))
    assert f"Profile #{ann.pk} is not deleted." in shown(client.post(url("restore", ann.pk), follow=True))


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("viewer", set()),
        ("support", {"add", "edit", "field"}),
        ("marketer", {"add", "edit", "field"}),
        ("data admin", {"add", "edit", "field", "delete", "restore"}),
        ("privacy officer", {"delete", "restore"}),
    ],
)
def test_who_may_change_people(
    make_user: Any, as_user: Login, by_staff: dict[str, Any], role: str, allowed: set[str]
) -> None:
    client = as_user(make_user("x", role))
    ann, gone = make_profile(first_name="Ann"), make_profile()
    delete_profiles(profile_ids=[gone.pk], **by_staff)
    pages = {
        "add": url("add"),
        "edit": url("edit", ann.pk),
        "field": url("field", ann.pk, "city"),
        "delete": url("delete", ann.pk),
        "restore": url("restore", gone.pk),
    }
    for name, address in pages.items():
        assert client.get(address).status_code == (200 if name in allowed else 403)
        if name not in allowed:
            assert client.post(address, {"first_name": "X"}).status_code == 403
    card = shown(client.get(url("change", ann.pk)))
    assert ("Edit profile" in card) == ("edit" in allowed)
    assert ("Delete…" in card) == ("delete" in allowed)
    assert Profile.objects.live().get().first_name == "Ann"
