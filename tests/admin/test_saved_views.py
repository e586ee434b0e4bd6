"""Saved views as tabs of the people list: opened, changed, saved, renamed, shared and deleted."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client

from cdp.actors import Actor
from cdp.models import AuditEntry, User
from profiles.admin import saved_views as pages
from profiles.models import AttributeDefinition, SavedView, Tag
from profiles.search.saved_views import save_view
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

URL = "/admin/profiles/profile/"
Login = Callable[[User], Client]


def tabs(page: str) -> list[tuple[str, str]]:
    """(label, aria-current) of each tab, as they are read out."""
    row = page[page.index('aria-label="Views"') : page.index("</nav>", page.index('aria-label="Views"'))]
    found = re.findall(r"<a ([^>]*)>(.*?)</a>", row)
    return [
        (
            unescape(re.sub(r"<[^>]+>", "", text)).strip(),
            (re.findall(r'aria-current="(\w+)"', attributes) or [""])[0],
        )
        for attributes, text in found
    ]


def heads(page: str) -> list[str]:
    head = page[page.index("<thead>") : page.index("</thead>")]
    return [re.sub(r"<[^>]+>", "", cell).strip(" ↓") for cell in re.findall(r"<th[^>]*>(.*?)</th>", head)]


def html(client: Client, address: str, **kwargs: Any) -> str:
    answer = client.get(address, **kwargs)
    assert answer.status_code == 200, address
    return answer.content.decode()


def view_url(view: SavedView, part: str = "") -> str:
    return f"{URL}views/{view.pk}/{part}"


@pytest.fixture
def people() -> None:
    make_profile(first_name="Ann", country="PL", city="Oslo", tags=["vip"])
    make_profile(first_name="Bob", country="DE")


@pytest.mark.usefixtures("people")
def test_what_is_filtered_becomes_a_tab(mira: User, as_user: Login) -> None:
    client = as_user(mira)
    assert tabs(html(client, URL)) == [("Everyone", "page")]
    assert tabs(html(client, f"{URL}?sort=seen")) == [("Everyone", "page")]
    page = html(client, f"{URL}?country=PL&sort=seen")
    assert tabs(page) == [("Everyone", ""), ("Filtered new", "page")]
    assert "Save as view…" in page
    assert "Country is <b>Poland</b>, last seen first, with the columns you see now." in page
    sent = {"name": "Poles", "query": "country=PL&sort=seen", "columns": ["city", "seen"]}
    saved = client.post(f"{URL}views/add/", sent, follow=True)
    page = saved.content.decode()
    assert "The view “Poles” is saved." in page
    assert saved.redirect_chain[-1][0] == f"{URL}?country=PL&sort=seen&view={SavedView.objects.get().pk}"
    assert tabs(page) == [("Everyone", ""), ("Poles", "page")]
    assert heads(page) == ["Tick", "Name", "City", "Last seen", "Actions"]
    assert "Bob" not in page
    assert "Save changes" not in page
    again = client.post(f"{URL}views/add/", {**sent, "back": f"{URL}?country=PL"}, follow=True)
    assert again.redirect_chain[-1][0] == f"{URL}?country=PL"
    assert "There is a view “Poles” of yours already. Choose another name." in again.content.decode()


@pytest.mark.usefixtures("people")
def test_a_changed_view_is_saved_or_left_as_it_was(mira: User, as_user: Login) -> None:
    client, actor = as_user(mira), Actor.of_user(mira)
    view = save_view(name="Poles", query="country=PL", columns=["city"], actor=actor)
    opened = client.get(view_url(view))
    assert opened.url == f"{URL}?country=PL&view={view.pk}"
    page = html(client, opened.url)
    assert tabs(page) == [("Everyone", ""), ("Poles", "page")]
    # The chips, the kinds and the panel of filters stay within the view.
    assert f'href="?view={view.pk}" aria-label="Remove the filter Country"' in page
    assert f'<input type="hidden" name="view" value="{view.pk}">' in page
    changed = f"{URL}?country=PL&country=DE&view={view.pk}"
    page = html(client, changed)
    assert tabs(page) == [("Everyone", ""), ("Poles changed", "true")]
    assert "Save changes" in page
    assert f'href="{view_url(view)}">Discard changes' in page
    sent = {"query": "country=PL&country=DE", "columns": ["city"], "back": changed}
    done = client.post(view_url(view, "save/"), sent, follow=True)
    assert "The changes of “Poles” are saved." in done.content.decode()
    assert tabs(done.content.decode())[1] == ("Poles", "page")
    assert SavedView.objects.get().query == "country=PL&country=DE"


@pytest.mark.usefixtures("people")
def test_columns_of_a_view_are_its_own(mira: User, as_user: Login) -> None:
    client = as_user(mira)
    view = save_view(name="Cities", columns=["city"], actor=Actor.of_user(mira))
    here = f"{URL}?view={view.pk}"
    chosen = client.post(f"{URL}columns/", {"column": ["phone", "city"], "back": here})
    assert chosen.url == f"{here}&columns=city&columns=phone"
    page = html(client, chosen.url)
    assert heads(page) == ["Tick", "Name", "City", "Phone", "Actions"]
    assert tabs(page)[-1] == ("Cities changed", "true")
    assert heads(html(client, here)) == ["Tick", "Name", "City", "Actions"]
    assert "City" not in heads(html(client, URL))
    usual = client.post(f"{URL}columns/", {"back": here})
    assert heads(html(client, usual.url))[2:4] == ["Country", "Tags"]
    client.post(view_url(view, "save/"), {"query": "", "columns": ["phone", "city"]})
    assert SavedView.objects.get().columns == ["phone", "city"]
    assert tabs(html(client, here))[-1] == ("Cities", "page")


@pytest.mark.usefixtures("people")
def test_renaming_sharing_and_deleting(mira: User, sam: User, as_user: Login) -> None:
    client = as_user(mira)
    view = save_view(name="Poles", query="country=PL", actor=Actor.of_user(mira))
    here = f"{URL}?country=PL&view={view.pk}"

    def change(**sent: str) -> str:
        answer = client.post(view_url(view, "change/"), {"back": here, **sent}, follow=True)
        assert answer.redirect_chain[-1][0] == here
        return str(answer.content.decode())

    assert "“Poles” is called “Poland” now." in change(name="Poland")
    page = change(name="Poland", is_shared="1")
    assert "The view “Poland” is shared with the team." in page
    assert tabs(page)[1] == ("Poland, shared by you", "page")
    assert "The tab goes for the whole team. The people in it stay as they are." in page
    assert tabs(html(as_user(sam), here))[1] == ("Poland, shared by mira", "page")
    assert "is no longer shared." in change(name="Poland")
    assert "Give the view a name." in change(name=" ")
    gone = client.post(view_url(view, "delete/"), {"back": here}, follow=True)
    assert "The view “Poland” is deleted. The people in it stay as they are." in gone.content.decode()
    assert tabs(gone.content.decode()) == [("Everyone", "page")]
    page = html(client, here)
    assert "This view was deleted, or is no longer shared with you." in page
    assert tabs(page) == [("Everyone", ""), ("Filtered new", "page")]
    actions = AuditEntry.objects.filter(subject=f"view:{view.pk}").order_by("pk")
    assert [entry.action for entry in actions] == [
        "view.create",
        *["view.update"] * 3,
        "view.delete",
    ]


@pytest.mark.usefixtures("people")
def test_each_does_what_their_role_may(mira: User, sam: User, vic: User, olga: User, as_user: Login) -> None:
    team = save_view(name="Team", query="country=PL", is_shared=True, actor=Actor.of_user(mira))
    own = save_view(name="Own", actor=Actor.of_user(mira))
    page = html(as_user(vic), f"{URL}?country=DE&view={team.pk}")
    assert tabs(page)[1] == ("Team, shared by mira changed", "true")
    assert "Save as…" in page
    for text in ("Save changes", "Edit view…", "Share with the team"):
        assert text not in page
    for user in (sam, vic):
        client = as_user(user)
        for part in ("change/", "save/", "delete/"):
            assert client.post(view_url(team, part), {"name": "x"}).status_code == 403
            client.post(view_url(own, part), {"name": "x"})
        assert client.get(view_url(own)).status_code == 404
        assert client.post(f"{URL}views/add/", {"name": "a", "is_shared": "1"}).status_code == 403
        assert client.post(f"{URL}views/add/", {"name": "a"}).status_code == 302
    assert set(SavedView.objects.values_list("name", "owner__username")) == {
        ("Team", "mira"),
        ("Own", "mira"),
        ("a", "sam"),
        ("a", "vic"),
    }
    assert as_user(olga).get(view_url(team)).status_code == 403
    assert as_user(mira).get(view_url(team, "delete/")).status_code == 405


@pytest.mark.usefixtures("people")
def test_a_view_whose_filters_are_gone_says_so(mira: User, as_user: Login) -> None:
    client, actor = as_user(mira), Actor.of_user(mira)
    AttributeDefinition.objects.create(name="plan")
    by_tag = save_view(name="VIP", query="tag=vip", actor=actor)
    by_attribute = save_view(
        name="Plan", query="attributes.plan=pro", columns=["attributes.plan"], actor=actor
    )
    Tag.objects.all().delete()
    AttributeDefinition.objects.all().delete()
    for view, message in (
        (by_tag, "There is no tag “vip”."),
        (by_attribute, "There is no attribute “plan”."),
    ):
        page = html(client, view_url(view), follow=True)
        assert f'role="alert">{message}' in page
        assert "Nobody matches" in page
        assert "Edit view…" in page
    for broken in (
        "attributes.%00=1&q=%00",
        "view=x",
        "view=99999999999999999999",
        "view=",
        "columns=x&view=1",
    ):
        assert client.get(f"{URL}?{broken}").status_code == 200, broken
    assert client.get(f"{URL}views/999/").status_code == 404


@pytest.mark.usefixtures("people")
def test_many_views_are_tabs_and_a_menu(mira: User, as_user: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    client = as_user(mira)
    made = [save_view(name=f"View {number}", actor=Actor.of_user(mira)) for number in range(1, 6)]
    assert "views</button>" not in html(client, URL)
    monkeypatch.setattr(pages, "MENU_FROM", 5)
    monkeypatch.setattr(pages, "MOST_TABS", 3)
    page = html(client, URL)
    assert [label for label, _ in tabs(page)] == ["Everyone", "View 1", "View 2", "View 3"]
    assert "All 5 views</button>" in page
    page = html(client, f"{URL}?view={made[4].pk}")
    assert tabs(page)[1:] == [("View 1", ""), ("View 2", ""), ("View 5", "page")]
    menu = page[page.index('id="all-views"') :]
    assert re.findall(r'aria-current="page">([^<]+)<', menu) == ["View 5"]


@pytest.mark.usefixtures("people")
def test_deleted_people_are_a_tab_of_the_same_row(ada: User, as_user: Login) -> None:
    client = as_user(ada)
    save_view(name="Poles", query="country=PL", actor=Actor.of_user(ada))
    assert tabs(html(client, URL)) == [("Everyone", "page"), ("Poles", ""), ("Deleted", "")]
    page = html(client, f"{URL}deleted/")
    assert tabs(page) == [("Everyone", ""), ("Poles", ""), ("Deleted", "page")]
    assert "Save as view" not in page
