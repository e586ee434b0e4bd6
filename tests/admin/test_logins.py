"""Logins: what ends when one is deactivated, who may change whom, and what the audit log says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.db.models import ProtectedError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cdp.actors import Actor
from cdp.api.keys import NewKey, create_key, hand_over_key
from cdp.errors import Conflict, Forbidden, Invalid, NotFound
from cdp.models import ApiKey, AuditEntry, Job, User
from cdp.roles_and_scopes import ROLES
from profiles.builtin_sources import builtin_source
from profiles.bulk.exports import start_export
from profiles.consent.ledger import record_consent
from profiles.editing import add_note
from profiles.models import Change, Consent, Note
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

Login = Callable[[User], Client]
MakeUser = Callable[..., User]


def permissions(*codes: str) -> list[Permission]:
    return [
        Permission.objects.get(content_type__app_label=app, codename=codename)
        for app, codename in (code.split(".") for code in codes)
    ]


REFUSED_RIGHT = (
    "You cannot give the right “Read the audit log and who looked at whom”: you do not have it yourself."
)


def url(user: User, page: str = "change") -> str:
    if page == "password":
        return f"/admin/cdp/user/{user.pk}/password/"
    return reverse(f"admin:cdp_user_{page}", args=[user.pk])


def form(user: User, **changes: Any) -> dict[str, Any]:
    """What the login's page sends; a field that is None is left out, as an unticked box is."""
    fields = {
        "username": user.username,
        "email": user.email,
        "is_active": "on" if user.is_active else None,
        "is_staff": "on" if user.is_staff else None,
        "is_superuser": "on" if user.is_superuser else None,
        "groups": [group.pk for group in user.groups.all()],
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def details(action: str) -> dict[str, Any]:
    detail: dict[str, Any] = AuditEntry.objects.get(action=action).detail
    return detail


@pytest.fixture
def mira(make_user: MakeUser) -> User:
    """Has all the rights of the scope *profiles:read*."""
    return make_user("mira", "marketer", "support")


@pytest.fixture
def lena(make_user: MakeUser) -> User:
    """Manages logins, roles and keys, and else is a marketer who supports."""
    lena = make_user("lena", "marketer", "support")
    lena.user_permissions.set(
        permissions(
            *("cdp.view_user", "cdp.add_user", "cdp.change_user"),
            *("auth.view_group", "auth.add_group", "auth.change_group", "auth.delete_group"),
            *("cdp.view_apikey", "cdp.add_apikey", "cdp.change_apikey"),
        )
    )
    return lena


@pytest.fixture
def key(mira: User) -> NewKey:
    return create_key(name="shop", scopes=["profiles:read"], actor=Actor.of_user(mira))


# --- Leaving ------------------------------------------------------------------------------------------------

OWNER = {"is_active": "deactivated", "is_staff": "no staff login any more"}


@pytest.mark.parametrize("field", OWNER)
def test_every_door_closes_at_once(
    field: str, mira: User, ada: User, key: NewKey, as_user: Login, settings: Any
) -> None:
    session, by_key = as_user(mira), Caller(key)
    rest = Caller(None, session)
    export = start_export(profile_ids=[make_profile().pk], at_once=True, actor=Actor.of_user(mira))
    file = reverse("admin:profiles_profile_export_file", args=[export.pk])
    download: Any = session.get(file)
    assert b"first_name" in b"".join(download.streaming_content)
    assert (rest.get("jobs/").status_code, rest.get("profiles/").status_code) == (200, 200)
    assert by_key.get("profiles/").status_code == 200
    assert as_user(ada).post(url(mira), form(mira, **{field: None})).status_code == 302
    assert session.get(file).status_code == 302  # to the page that asks who it is
    assert session.get("/admin/").status_code == 302
    for path in ("jobs/", "profiles/", f"exports/{export.pk}/download/"):
        status, sentence = refusal(rest.get(path))
        assert status == 401
        assert sentence.startswith("Send an API key as ")  # the session has ended
    assert refusal(by_key.get("profiles/")) == (
        401,
        f"The API key “shop” belongs to the login “mira”, which is {OWNER[field]}."
        " Hand the key over to another login, or revoke it.",
    )
    assert as_user(ada).post(url(mira), form(mira, **{field: "on"})).status_code == 302
    assert by_key.get("profiles/").status_code == 200


def test_a_session_that_is_left_opens_nothing_either(mira: User, as_user: Login) -> None:
    """As when the login is changed in the database."""
    rest = Caller(None, as_user(mira))
    User.objects.filter(pk=mira.pk).update(is_staff=False)
    assert refusal(rest.get("jobs/")) == (401, "The login “mira” is no staff login any more.")


def test_a_leavers_page_lists_what_is_left_behind(mira: User, ada: User, key: NewKey, as_user: Login) -> None:
    create_key(name="gone", scopes=["merge"], actor=Actor.of_user(ada))
    client = as_user(ada)
    Job.objects.create(kind="test", user=mira)
    Job.objects.create(kind="test", key=key.key)
    before = client.get(url(mira)).content.decode()
    assert "API keys of this login" in before
    assert '<span class="badge ok">active</span>' in before
    assert "gone" not in before
    answer = client.post(url(mira), form(mira, is_active=None), follow=True)
    assert answer.redirect_chain[-1][0] == url(mira)
    page = answer.content.decode()
    assert "2 jobs of mira will stop before the next step; nothing runs on." in page
    assert (
        "The login “mira” owns 1 API key, refused from now on. Hand over below what other systems still need, and revoke the rest."
        in page
    )
    assert '<span class="badge warn">refused</span>' in page
    # One by one: handed over, and the secret goes on working.
    hand_over = reverse("admin:cdp_apikey_hand_over", args=[key.key.pk])
    done = client.post(hand_over, {"owner": ada.pk, "back": url(mira)}, follow=True)
    assert done.redirect_chain[-1][0] == url(mira)
    assert "The login “ada” answers for the key of shop from now on." in done.content.decode()
    assert "This login owns no API keys." in done.content.decode()
    assert Caller(key).get("profiles/").status_code == 200
    assert details("key.hand_over") == {"from": mira.pk, "to": ada.pk}
    assert details("user.deactivate") == {}
    shown = client.get(reverse("admin:cdp_apikey_change", args=[key.key.pk])).content.decode()
    assert "by mira" in shown
    assert "<dt>Owner</dt><dd>ada" in shown


def test_revoking_from_the_login_leads_back(mira: User, ada: User, key: NewKey, as_user: Login) -> None:
    revoke = reverse("admin:cdp_apikey_revoke", args=[key.key.pk])
    answer = as_user(ada).post(revoke, {"back": url(mira)})
    assert answer["Location"] == url(mira)
    assert refusal(Caller(key).get("profiles/")) == (
        401,
        "The API key “shop” was revoked. Use another key.",
    )


def test_who_does_not_see_keys_sees_none(
    mira: User, key: NewKey, make_user: MakeUser, as_user: Login
) -> None:
    clerk = make_user("clerk")
    clerk.user_permissions.set(permissions("cdp.view_user"))
    page = as_user(clerk).get(url(mira)).content.decode()
    assert "shop" not in page
    assert as_user(clerk).post(reverse("admin:cdp_apikey_hand_over", args=[key.key.pk])).status_code == 403


def test_handing_over_is_refused_where_it_would_give_more(
    mira: User, ada: User, vic: User, lena: User, key: NewKey
) -> None:
    def refused(error: type[Exception], user: User, actor: User, key_id: int = key.key.pk) -> str:
        with pytest.raises(error) as caught:
            hand_over_key(key_id=key_id, user_id=user.pk, actor=Actor.of_user(actor))
        return str(caught.value)

    powerful = create_key(name="big", scopes=["profiles:read", "privacy"], actor=Actor.of_user(ada)).key
    assert refused(Forbidden, mira, lena, powerful.pk) == (
        "lena may not hand over the key “big”: its scope “privacy” includes rights lena does not have."
        " Revoke it, or ask somebody who has them."
    )
    assert refused(Invalid, mira, ada, powerful.pk) == (
        "The login “mira” has fewer rights than the key: those of the scope “privacy” are missing. Choose another login."
    )
    User.objects.filter(pk=vic.pk).update(is_active=False)
    assert refused(Invalid, vic, ada) == "The login “vic” is deactivated. Choose another login."
    assert refused(NotFound, vic, ada, 404404) == "There is no API key #404404."
    ApiKey.objects.update(revoked_at="2026-01-01T00:00:00Z")
    assert refused(Conflict, mira, ada) == "The API key “shop” was revoked, for good. Create a new one."
    assert not AuditEntry.objects.filter(action="key.hand_over").exists()
    assert hand_over_key_owner(key) == mira


def hand_over_key_owner(key: NewKey) -> User | None:
    return ApiKey.objects.select_related("owner").get(pk=key.key.pk).owner


def test_keys_on_the_command_line(mira: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("apikey", "create", "cron", "--scopes", "profiles:read")
    call_command("apikey", "create", "hers", "--scopes", "profiles:read", "--owner", "mira")
    cron, hers = ApiKey.objects.order_by("pk")
    assert (cron.is_system, cron.owner, hers.is_system, hers.owner) == (True, None, False, mira)
    with pytest.raises(CommandError, match="^There is no login “nobody”.$"):
        call_command("apikey", "create", "x", "--scopes", "profiles:read", "--owner", "nobody")
    assert ApiKey.objects.count() == 2
    call_command("apikey", "hand-over", str(cron.pk), "mira")
    assert f"mira answers for the API key #{cron.pk} “cron” from now on." in capsys.readouterr().out
    User.objects.filter(pk=mira.pk).update(is_active=False)
    call_command("apikey", "list")
    assert capsys.readouterr().out.count("(refused, owner mira)") == 2


def test_a_key_whose_owner_is_gone_is_refused(key: NewKey) -> None:
    ApiKey.objects.filter(pk=key.key.pk).update(owner=None)
    assert refusal(Caller(key).get("profiles/")) == (
        401,
        "The API key “shop” belongs to a login that is gone. Hand it over to another login, or revoke it.",
    )


# --- Never deleted ------------------------------------------------------------------------------------------


def test_a_login_is_deactivated_and_never_deleted(mira: User, ada: User, as_user: Login) -> None:
    by_mira = {"actor": Actor.of_user(mira), "source": builtin_source("staff")}
    ann = make_profile(actor=Actor.of_user(mira), email="ann@example.com")
    add_note(profile_id=ann.pk, text="Called.", **by_mira)
    record_consent(
        profile_id=ann.pk, channel="email", purpose="marketing", state="granted", at=timezone.now(), **by_mira
    )
    client = as_user(ada)
    assert client.get(url(mira, "delete")).status_code == 403
    assert client.post(url(mira, "delete"), {"post": "yes"}).status_code == 403
    bulk = {"action": "delete_selected", "_selected_action": [mira.pk], "post": "yes"}
    client.post(reverse("admin:cdp_user_changelist"), bulk)
    assert User.objects.filter(pk=mira.pk).exists()
    page = client.get(url(mira)).content.decode()
    assert "Logins are never deleted" in page
    assert 'class="deletelink"' not in page
    with pytest.raises(ProtectedError):
        mira.delete()
    client.post(url(mira), form(mira, is_active=None))
    for model in (Change, Note, Consent):
        assert set(model.objects.values_list("user__username", flat=True)) == {"mira"}, model


# --- Nobody gives more than they have ----------------------------------------------------------------------


def test_a_manager_of_logins_does_not_give_themselves_all_rights(lena: User, as_user: Login) -> None:
    client = as_user(lena)
    officer = Group.objects.get(name="privacy officer")
    page = client.post(url(lena), form(lena, groups=[officer.pk])).content.decode()
    assert "You cannot give the role “privacy officer”: it includes rights you do not have (" in page
    page = client.post(
        url(lena), form(lena, rights=["cdp.change_user", "cdp.view_auditentry"])
    ).content.decode()
    assert REFUSED_RIGHT in page
    client.post(url(lena), form(lena, is_superuser="on", rights=["cdp.change_user"]))
    lena = User.objects.get(pk=lena.pk)
    assert not lena.is_superuser
    assert sorted(group.name for group in lena.groups.all()) == ["marketer", "support"]
    assert not lena.has_perm("cdp.view_auditentry")


def test_nor_by_a_login_of_their_own_making(lena: User, make_user: MakeUser, as_user: Login) -> None:
    client, puppet = as_user(lena), make_user("puppet")
    officer, viewer = (Group.objects.get(name=name) for name in ("privacy officer", "viewer"))
    for sent in ({"groups": [officer.pk]}, {"rights": ["profiles.erase_profile"]}, {"is_superuser": "on"}):
        client.post(url(puppet), form(puppet, **sent))
        puppet = User.objects.get(pk=puppet.pk)
        assert (puppet.is_superuser, puppet.groups.count(), puppet.user_permissions.count()) == (False, 0, 0)
    marketer = Group.objects.get(name="marketer")
    assert client.post(url(puppet), form(puppet, groups=[viewer.pk, marketer.pk])).status_code == 302
    assert details("user.roles") == {"given": ["marketer", "viewer"], "taken": []}


@pytest.mark.parametrize("is_active", [True, False])
def test_nobody_acts_on_a_login_with_more_rights(
    is_active: bool, lena: User, ada: User, make_user: MakeUser, as_user: Login
) -> None:
    client = as_user(lena)
    olaf = make_user("olaf", "privacy officer")
    pia = make_user("pia")
    pia.user_permissions.set(permissions("profiles.erase_profile"))
    weak = make_user("weak", "viewer")
    User.objects.exclude(pk=lena.pk).update(is_active=is_active)
    passwords = {"password1": "Kq8-zebra-lamp", "password2": "Kq8-zebra-lamp", "usable_password": "true"}
    for strong in (ada, olaf, pia):
        strong.refresh_from_db()
        looked = client.get(url(strong))
        assert looked.status_code == 200
        assert (
            "This login has rights that you do not have, so you can look at it and not change it."
            in looked.content.decode()
        )
        for sent in (
            form(strong, is_active="on", groups=[]),
            form(strong, is_active=None, email="x@x.example"),
        ):
            assert client.post(url(strong), sent).status_code == 403
        assert client.post(url(strong, "password"), passwords).status_code == 403
        before, strong.password = strong.password, ""
        strong.refresh_from_db()
        assert (strong.password, strong.is_active) == (before, is_active)
    assert client.post(url(weak, "password"), passwords).status_code == 302
    weak = User.objects.get(pk=weak.pk)
    assert weak.check_password("Kq8-zebra-lamp")


@pytest.mark.parametrize("name", ROLES)
def test_shipped_roles_are_changed_by_those_who_have_their_rights(
    name: str, lena: User, ada: User, as_user: Login
) -> None:
    role = Group.objects.get(name=name)
    before = set(role.permissions.values_list("pk", flat=True))
    change, delete = (reverse(f"admin:auth_group_{page}", args=[role.pk]) for page in ("change", "delete"))
    may = name in ("viewer", "support", "marketer")
    assert (ROLES[name].permissions <= lena.get_all_permissions()) is may
    client = as_user(lena)
    answer = client.post(change, {"name": name, "rights": ["profiles.view_profile"]})
    assert answer.status_code == (302 if may else 403)
    if not may:
        assert client.post(delete, {"post": "yes"}).status_code == 403
        assert set(role.permissions.values_list("pk", flat=True)) == before
    assert as_user(ada).post(change, {"name": name, "rights": ["cdp.view_auditentry"]}).status_code == 302


def test_a_role_gets_no_right_its_maker_lacks(lena: User, as_user: Login) -> None:
    client, add = as_user(lena), reverse("admin:auth_group_add")
    page = client.get(add).content.decode()
    assert 'value="cdp.view_auditentry" disabled' in page
    assert 'value="profiles.view_profile" disabled' not in page
    sent = {"name": "mine", "rights": ["profiles.view_profile", "cdp.view_auditentry"]}
    refused = client.post(add, sent).content.decode()
    assert REFUSED_RIGHT in refused
    assert not Group.objects.filter(name="mine").exists()
    assert client.post(add, {"name": "mine", "rights": ["profiles.view_profile"]}).status_code == 302


def test_a_key_gets_no_scope_its_maker_lacks(lena: User) -> None:
    for scopes in (["privacy"], ["all"]):
        with pytest.raises(
            Forbidden, match="^lena may not give a key the scope “.*: it includes rights lena does"
        ):
            create_key(name="x", scopes=scopes, actor=Actor.of_user(lena))
    assert not ApiKey.objects.exists()
    key = create_key(name="x", scopes=["profiles:read"], actor=Actor.of_user(lena)).key
    assert (key.created_by, key.owner, key.is_system) == (lena, lena, False)


# --- The audit log ------------------------------------------------------------------------------------------


def test_the_audit_names_what_was_given_and_taken(mira: User, ada: User, as_user: Login) -> None:
    client = as_user(ada)
    kept, new = Group.objects.get(name="support"), Group.objects.get(name="viewer")
    client.post(url(mira), form(mira, groups=[kept.pk, new.pk], is_superuser="on", rights=["cdp.view_mail"]))
    assert details("user.roles") == {"given": ["viewer"], "taken": ["marketer"]}
    assert details("user.status") == {"given": ["is_superuser"], "taken": []}
    assert details("user.rights") == {"given": ["cdp.view_mail"], "taken": []}
    mira = User.objects.get(pk=mira.pk)
    client.post(url(mira), form(mira, is_active=None, is_staff=None, rights=["cdp.view_mail"]))
    assert details("user.deactivate") == {}
    assert AuditEntry.objects.filter(action="user.status").first().detail == {  # type: ignore[union-attr]
        "given": [],
        "taken": ["is_staff"],
    }
    role = Group.objects.create(name="helpers")
    role.permissions.set(permissions("profiles.view_profile"))
    mira.groups.add(role)
    client.post(reverse("admin:auth_group_delete", args=[role.pk]), {"post": "yes"})
    assert details("group.delete") == {"name": "helpers", "taken": ["profiles.view_profile"], "logins": 1}
    page = client.get("/admin/cdp/auditentry/").content.decode()
    for words in (
        "changed the roles of the login",
        "deactivated the login",
        "changed the status of the login",
    ):
        assert words in page
