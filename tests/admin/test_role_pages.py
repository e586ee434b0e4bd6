"""Roles in words: the table of what each may do, the check boxes, and what saving leaves alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from cdp.models import AuditEntry, User
from cdp.roles_and_scopes import RIGHTS

pytestmark = pytest.mark.django_db

LIST = "/admin/auth/group/"
Login = Callable[[User], Client]


def codes(holder: Any) -> set[str]:
    rows = holder.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in rows}


def permissions(*names: str) -> list[Permission]:
    return [
        Permission.objects.get(content_type__app_label=app, codename=codename)
        for app, codename in (name.split(".") for name in names)
    ]


def table(page: str) -> dict[str, list[str]]:
    """Right → what each column says, as it is read out. The first line has the roles."""
    lines = {}
    text = page[page.index('class="matrix"') : page.index("</table>", page.index('class="matrix"'))]
    for row in re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL):
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        cells = [re.sub(r'<span aria-hidden="true">.*?</span>', "", cell) for cell in cells]
        label, *rest = [re.sub(r"<[^>]+>", "", cell).strip() for cell in cells]
        lines[label] = rest
    return lines


def ticked(page: str) -> set[str]:
    boxes = re.findall(r'name="rights" value="([\w.]+)"( checked)?', page)
    assert {code for code, _ in boxes} == set(RIGHTS)
    return {code for code, state in boxes if state}


@pytest.fixture
def helpers(db: None) -> Group:
    """A role with two whole rights, a part of one, and permissions that no right has words for."""
    group = Group.objects.create(name="helpers")
    whole = RIGHTS["profiles.view_profile"].codes | RIGHTS["profiles.add_note"].codes
    group.permissions.set(
        permissions(*whole, "profiles.add_tag", "profiles.delete_note", "contenttypes.view_contenttype")
    )
    return group


def test_the_table_says_what_each_role_may_do(ada: User, helpers: Group, as_user: Login) -> None:
    page = as_user(ada).get(LIST).content.decode()
    lines = table(page)
    assert lines["Right"] == ["viewer", "support", "marketer", "data admin", "privacy officer", "helpers"]
    assert lines["See people (masked)"] == ["yes"] * 6
    assert lines["Change many at once"] == ["no", "no", "yes", "yes", "no", "no"]
    assert lines["Manage tags"] == ["no", "no", "yes", "yes", "no", "in part"]
    assert lines["Manage what each role may do"] == ["no"] * 6
    tasks = re.findall(r'scope="rowgroup"[^>]*>([^<]+)<', page)
    assert tasks == [
        "People",
        "Duplicates",
        "Segments",
        "Imports &amp; exports",
        "Sources",
        "Privacy",
        "Settings",
    ]
    assert "idempotency" not in page.lower()


def test_check_boxes_in_words(ada: User, helpers: Group, as_user: Login) -> None:
    page = as_user(ada).get(f"{LIST}{helpers.pk}/change/").content.decode()
    assert ticked(page) == {"profiles.view_profile", "profiles.add_note"}
    assert "In part: profiles.add_tag. Tick it to give all of it." in page
    assert "2 internal permissions" in page
    assert "<code>profiles.delete_note</code>" in page
    assert "profiles.view_address" not in page
    assert ticked(as_user(ada).get(f"{LIST}add/").content.decode()) == set()


def test_saving_gives_and_takes_what_was_changed_and_no_more(
    ada: User, helpers: Group, as_user: Login
) -> None:
    client, url = as_user(ada), f"{LIST}{helpers.pk}/change/"
    before = codes(helpers.permissions)
    same = {"name": "helpers", "rights": ["profiles.view_profile", "profiles.add_note"]}
    assert client.post(url, same).status_code == 302
    assert codes(helpers.permissions) == before
    assert not AuditEntry.objects.filter(action="group.rights").exists()
    changed = {
        "name": "fair",
        "rights": ["profiles.view_profile", "profiles.view_tag", "profiles.change_tag"],
    }
    assert client.post(url, changed).status_code == 302
    given = RIGHTS["profiles.view_tag"].codes | RIGHTS["profiles.change_tag"].codes
    assert codes(helpers.permissions) == (before - {"profiles.add_note"}) | given
    assert {"profiles.delete_note", "contenttypes.view_contenttype"} <= codes(helpers.permissions)
    entry = AuditEntry.objects.get(action="group.rights")
    assert (entry.actor, entry.subject) == ("ada", f"group:{helpers.pk}")
    assert entry.detail == {"given": sorted(given), "taken": ["profiles.add_note"]}
    helpers.refresh_from_db()
    assert helpers.name == "fair"


def test_a_right_of_no_use_is_refused(ada: User, helpers: Group, as_user: Login) -> None:
    client, url = as_user(ada), f"{LIST}{helpers.pk}/change/"
    before = codes(helpers.permissions)
    for rights, message in (
        (
            ["profiles.change_tag"],
            "“Manage tags” is of no use without “See tags, attributes and identity rules”.",
        ),
        (
            ["profiles.share_view"],
            "“Share views with the team” is of no use without “Save views of the people list”.",
        ),
        (
            ["profiles.change_note"],
            "Select a valid choice. profiles.change_note is not one of the available choices.",
        ),
    ):
        page = client.post(url, {"name": "helpers", "rights": ["profiles.view_profile", *rights]})
        assert message in page.content.decode()
    assert codes(helpers.permissions) == before


def test_a_role_is_made(ada: User, as_user: Login) -> None:
    sent = {"name": "importers", "rights": ["imports.view_import", "imports.add_import"]}
    assert as_user(ada).post(f"{LIST}add/", sent).status_code == 302
    expected = RIGHTS["imports.view_import"].codes | RIGHTS["imports.add_import"].codes
    assert codes(Group.objects.get(name="importers").permissions) == expected


def test_who_may_look_and_who_may_change(
    make_user: Callable[..., User], vic: User, mira: User, helpers: Group, as_user: Login
) -> None:
    url = f"{LIST}{helpers.pk}/change/"
    for user in (vic, mira):
        assert as_user(user).get(LIST).status_code == 403
        assert as_user(user).post(url, {"name": "x"}).status_code == 403
    lena = make_user("lena")
    lena.user_permissions.set(permissions("auth.view_group"))
    client = as_user(lena)
    assert table(client.get(LIST).content.decode())["Write notes"][-1] == "yes"
    page = client.get(url).content.decode()
    assert "<b>People</b>: See people (masked), Write notes" in page
    assert 'name="rights"' not in page
    assert client.post(url, {"name": "x", "rights": ["profiles.export_profile"]}).status_code == 403
    assert "profiles.export_profile" not in codes(helpers.permissions)


def test_single_rights_of_a_login(ada: User, vic: User, as_user: Login) -> None:
    client, url = as_user(ada), reverse("admin:cdp_user_change", args=[vic.pk])
    vic.user_permissions.set(permissions("contenttypes.view_contenttype", "cdp.view_mail"))
    assert ticked(client.get(url).content.decode()) == {"cdp.view_mail"}
    sent = {"username": "vic", "is_active": "on", "is_staff": "on", "rights": ["profiles.view_receipt"]}
    assert client.post(url, sent).status_code == 302
    assert codes(vic.user_permissions) == {"contenttypes.view_contenttype", "profiles.view_receipt"}
    entry = AuditEntry.objects.get(action="user.rights")
    assert entry.detail == {"given": ["profiles.view_receipt"], "taken": ["cdp.view_mail"]}
    assert "changed the single rights of the login" in client.get("/admin/cdp/auditentry/").content.decode()
