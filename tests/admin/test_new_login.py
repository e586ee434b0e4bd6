"""A new login: one form with its role, and a password or an invitation by mail."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from cdp.models import AuditEntry, Mail, User

pytestmark = pytest.mark.django_db

ADD = "/admin/cdp/user/add/"
NEW = "Kq8-zebra-lamp"


def sent(*roles: str, **changes: Any) -> dict[str, Any]:
    groups = list(Group.objects.filter(name__in=roles).values_list("pk", flat=True))
    person = {"username": "ben", "email": "ben@staff.example", "first_name": "Ben", "last_name": "Oak"}
    return {**person, "groups": groups, "how": "invite", **changes}


def details() -> dict[str, Any]:
    return dict(AuditEntry.objects.filter(action__startswith="user.").values_list("action", "detail"))


def test_invited_with_a_role_in_one_form(ada: User, as_user: Any) -> None:
    client = as_user(ada)
    page = client.get(ADD).content.decode()
    assert "Reads and edits people, manages tags" in page
    done = client.post(ADD, sent("marketer"), follow=True)
    assert done.redirect_chain[-1][0] == reverse("admin:cdp_user_changelist")
    assert (
        "The login “ben” is ready. A link to choose a password is on its way to ben@staff.example."
        in done.content.decode()
    )
    ben = User.objects.get(username="ben")
    assert (ben.is_staff, ben.is_active, ben.is_superuser, ben.get_full_name()) == (
        True,
        True,
        False,
        "Ben Oak",
    )
    assert [group.name for group in ben.groups.all()] == ["marketer"]
    assert details() == {
        "user.add": {},
        "user.roles": {"given": ["marketer"], "taken": []},
        "user.invite": {},
    }
    mail = Mail.objects.get()
    assert mail.subject == "Your login is ready: choose its password"
    assert mail.text.startswith("ada made a login for you, “ben”. Choose its password here:\n\nhttp://")
    assert "The link works once and for 24 hours." in mail.text
    found = re.search(r"/admin/set-password/\S+", mail.text)
    assert found is not None
    invited = Client()
    form = invited.get(found[0], follow=True)
    invited.post(form.request["PATH_INFO"], {"new_password1": NEW, "new_password2": NEW})
    assert invited.post("/admin/login/", {"username": "ben", "password": NEW}).status_code == 302
    assert invited.get("/admin/profiles/profile/").status_code == 200


def test_with_a_password_at_once(ada: User, as_user: Any) -> None:
    form = sent("support", how="set", email="", password1=NEW, password2=NEW)
    done = as_user(ada).post(ADD, form, follow=True).content.decode()
    assert "The login “ben” is ready to sign in." in done
    assert not Mail.objects.exists()
    assert Client().post("/admin/login/", {"username": "ben", "password": NEW}).status_code == 302


@pytest.mark.parametrize(
    ("roles", "changes", "sentence"),
    [
        ((), {}, "Choose at least one role: a login without one can do nothing."),
        (("viewer",), {"email": ""}, "An invitation needs an e-mail address."),
        (("viewer",), {"how": "set"}, "Enter a password, or send an invitation."),
        (
            ("viewer",),
            {"how": "set", "password1": NEW, "password2": "other"},
            "The two passwords are not the same.",
        ),
        (("viewer",), {"how": "set", "password1": "ben", "password2": "ben"}, "This password is too short."),
        (("viewer",), {"username": "ada"}, "A user with that username already exists."),
    ],
)
def test_what_is_missing_is_said(
    ada: User, as_user: Any, roles: tuple[str, ...], changes: dict[str, Any], sentence: str
) -> None:
    assert sentence in as_user(ada).post(ADD, sent(*roles, **changes)).content.decode()
    assert not User.objects.filter(username="ben").exists()
    assert not Mail.objects.exists()


def test_nobody_gives_a_role_beyond_their_own(make_user: Any, as_user: Any, vic: User) -> None:
    lena = make_user("lena", "marketer", "support")
    lena.user_permissions.set(
        Permission.objects.filter(
            content_type__app_label="cdp", codename__in=("view_user", "add_user", "change_user")
        )
    )
    client = as_user(lena)
    page = client.post(ADD, sent("privacy officer")).content.decode()
    assert "You cannot give the role “privacy officer”: it includes rights you do not have (" in page
    assert 'name="is_superuser"' not in page
    assert "Choose at least one role" in client.post(ADD, sent(is_superuser="on")).content.decode()
    assert not User.objects.filter(username="ben").exists()
    assert client.post(ADD, sent("marketer", is_superuser="on")).status_code == 302
    assert not User.objects.get(username="ben").is_superuser
    assert as_user(vic).get(ADD).status_code == 403
    assert as_user(vic).post(ADD, sent("viewer")).status_code == 403


def test_everything_needs_no_role_but_somebody_who_has_it(ada: User, as_user: Any) -> None:
    assert as_user(ada).post(ADD, sent(is_superuser="on")).status_code == 302
    assert User.objects.get(username="ben").is_superuser
    assert details()["user.status"] == {"given": ["is_superuser"], "taken": []}


def test_a_role_brings_staff_status_along(ada: User, as_user: Any) -> None:
    old = User.objects.create_user("old", "old@staff.example")
    page = reverse("admin:cdp_user_change", args=[old.pk])
    form = {"username": "old", "email": old.email, "is_active": "on"}
    assert as_user(ada).post(page, form).status_code == 302
    assert not User.objects.get(pk=old.pk).is_staff
    viewer = Group.objects.get(name="viewer")
    as_user(ada).post(page, {**form, "groups": [viewer.pk]})
    assert User.objects.get(pk=old.pk).is_staff
    assert details()["user.status"] == {"given": ["is_staff"], "taken": []}
    # Taking it away goes on being possible without taking the role.
    as_user(ada).post(page, {**form, "groups": [viewer.pk]})
    assert not User.objects.get(pk=old.pk).is_staff


def test_another_link_from_its_page(ada: User, mira: User, vic: User, as_user: Any) -> None:
    invite = reverse("admin:cdp_user_invite", args=[mira.pk])
    assert as_user(vic).post(invite).status_code == 403
    done = as_user(ada).post(invite, follow=True).content.decode()
    assert "A link to choose a password is on its way to mira@staff.example." in done
    assert Mail.objects.get().text.startswith(
        "ada sends you this link to choose a new password of your login “mira”:\n\n"
    )
    User.objects.filter(pk=mira.pk).update(email="")
    done = as_user(ada).post(invite, follow=True).content.decode()
    assert "The login “mira” has no e-mail address to send a link to." in done
    assert Mail.objects.count() == 1
