"""Sessions of a login, the links by which passwords are set, and the notices a login gets."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cdp import accounts, retention, sessions
from cdp.actors import Actor
from cdp.api.keys import create_key, hand_over_key, revoke_key
from cdp.errors import Invalid, RuleForbids
from cdp.mail import send_queued
from cdp.models import AuditEntry, LoginSession, Mail, User
from tests.api.caller import Caller

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
ACCOUNT = "/admin/account/"
NEW = "Kq8-zebra-lamp"


def browser(name: str, address: str = "203.0.113.7", agent: str = FIREFOX) -> Client:
    """A client signed in by the login page; password = the name."""
    client = Client(REMOTE_ADDR=address, HTTP_USER_AGENT=agent)
    assert client.post("/admin/login/", {"username": name, "password": name}).status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/admin/account/").status_code == 200


def references(client: Client, page: str = ACCOUNT) -> list[str]:
    return re.findall(r'name="session" value="(\w+)"', client.get(page).content.decode())


def subjects() -> list[tuple[str, str]]:
    return [(mail.to[0], mail.subject) for mail in Mail.objects.order_by("pk")]


def entries(action: str) -> list[Any]:
    return list(AuditEntry.objects.filter(action=action).order_by("pk").values_list("actor", "detail"))


# --- Sessions -------------------------------------------------------------------------------------------


def test_one_s_own_sessions_are_listed_and_ended(ada: User, mira: User) -> None:
    here, phone, third, hers = (
        browser("ada"),
        browser("ada", "198.51.100.4", "x"),
        browser("ada"),
        browser("mira"),
    )
    page = here.get(ACCOUNT).content.decode()
    assert page.count("Firefox on Linux") >= 2
    assert "198.51.100.4" in page
    assert "An unknown device" in page
    assert page.count("this one") == 1
    # What names a session opens none.
    keys = set(LoginSession.objects.values_list("pk", flat=True))
    assert not any(key in page for key in keys)
    assert len(references(here)) == 2
    end = reverse("admin:cdp_account_end_session")
    mine = references(phone)
    done = here.post(end, {"session": references(here)[0]}, follow=True).content.decode()
    assert "The session is ended: that browser must sign in again." in done
    assert (
        "This session has ended already."
        in here.post(end, {"session": references(hers)[:1] or "x"}, follow=True).content.decode()
    )
    assert (is_in(third), is_in(phone), is_in(here), is_in(hers)) == (False, True, True, True)
    assert len(mine) == 2
    assert "1 session ended." in here.post(end, {"others": "1"}, follow=True).content.decode()
    assert (is_in(phone), is_in(here), is_in(hers)) == (False, True, True)
    assert "There was no session to end." in here.post(end, {"others": "1"}, follow=True).content.decode()
    assert entries("user.end_sessions") == [("ada", {"count": 1})] * 2


def test_another_s_session_is_not_ended_by_its_reference(ada: User, mira: User) -> None:
    here, hers, phone = browser("ada"), browser("mira"), browser("mira")
    stolen = references(hers)
    here.post(reverse("admin:cdp_account_end_session"), {"session": stolen[0]})
    assert is_in(hers)
    assert is_in(phone)


def test_whoever_manages_logins_sees_and_ends_them(ada: User, mira: User, vic: User, as_user: Any) -> None:
    hers, rest = browser("mira"), Caller(None, browser("mira", "198.51.100.4"))
    page = reverse("admin:cdp_user_change", args=[mira.pk])
    end = reverse("admin:cdp_user_end_session", args=[mira.pk])
    admin = as_user(ada)
    assert "198.51.100.4" in admin.get(page).content.decode()
    assert as_user(vic).post(end, {"others": "1"}).status_code == 403
    assert rest.get("jobs/").status_code == 200
    assert (
        "The session is ended"
        in admin.post(end, {"session": references(admin, page)[0]}, follow=True).content.decode()
    )
    assert rest.get("jobs/").status_code == 401
    assert is_in(hers)
    assert "1 session ended." in admin.post(end, {"others": "1"}, follow=True).content.decode()
    assert not is_in(hers)
    browser("mira")
    call_command("login", "end-sessions", "mira")
    assert not LoginSession.objects.filter(user=mira).exists()
    assert LoginSession.objects.filter(user=ada).exists()
    call_command("login", "end-sessions", "--all")
    assert not LoginSession.objects.exists()


def test_a_session_ends_when_nobody_uses_it_and_in_the_end_anyway(
    ada: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SEEN_EVERY", timedelta(minutes=5))
    client = browser("ada")
    row = LoginSession.objects.get()
    assert row.expire_date - row.last_seen_at == timedelta(minutes=120)

    def later(minutes: int) -> None:
        """As if the session were so much older."""
        shift = timedelta(minutes=minutes)
        LoginSession.objects.update(
            last_seen_at=F("last_seen_at") - shift,
            expire_date=F("expire_date") - shift,
            begun_at=F("begun_at") - shift,
        )

    later(119)
    assert is_in(client)  # which puts off its end
    later(119)
    client.get(ACCOUNT, headers={"HX-Request": "true"})  # which does not: a page asks by itself
    later(2)
    assert not is_in(client)
    client = browser("ada")
    later(11 * 60)
    LoginSession.objects.update(expire_date=timezone.now() + timedelta(minutes=1))
    assert is_in(client)
    row = LoginSession.objects.latest("begun_at")
    assert row.expire_date - row.begun_at == timedelta(hours=12)
    expire = dict(retention.expiry.items())["sessions"]
    LoginSession.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert expire() >= 1
    assert not LoginSession.objects.exists()


def test_sessions_do_not_come_back_with_a_login(ada: User, mira: User, as_user: Any) -> None:
    hers = browser("mira")
    for field in ("is_active", "is_staff"):
        sent: dict[str, Any] = {"username": "mira", "email": mira.email, "is_active": "on", "is_staff": "on"}
        sent |= {"groups": [group.pk for group in mira.groups.all()]}
        page = reverse("admin:cdp_user_change", args=[mira.pk])
        assert as_user(ada).post(page, {key: sent[key] for key in sent if key != field}).status_code == 302
        assert as_user(ada).post(page, sent).status_code == 302
        assert not is_in(hers)
        hers = browser("mira")


# --- Passwords ------------------------------------------------------------------------------------------


def test_one_s_own_password_is_changed(ada: User) -> None:
    here, other = browser("ada"), browser("ada")
    change = reverse("admin:password_change")
    sent = {"old_password": "wrong", "new_password1": NEW, "new_password2": NEW}
    assert "This is not the password of your login." in here.post(change, sent).content.decode()
    assert entries("user.password") == []
    assert here.post(change, {**sent, "old_password": "ada"}).status_code == 302
    assert is_in(here)
    assert not is_in(other)
    assert LoginSession.objects.filter(user=ada).count() == 1
    assert entries("user.password") == [("ada", {})]
    assert subjects() == [("ada@staff.example", "Your password was changed")]
    assert "By: you" in Mail.objects.get().text


def test_a_browser_left_open_is_no_place_to_guess(ada: User) -> None:
    here, change = browser("ada"), reverse("admin:password_change")
    sent = {"old_password": "wrong", "new_password1": NEW, "new_password2": NEW}
    answers = [here.post(change, sent) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert "Too many wrong passwords." in answers[-1].content.decode()
    assert here.post(change, {**sent, "old_password": "ada"}).status_code == 429
    assert User.objects.get(pk=ada.pk).check_password("ada")


def test_a_password_set_by_somebody_else(ada: User, mira: User, as_user: Any) -> None:
    hers = browser("mira")
    page = f"/admin/cdp/user/{mira.pk}/password/"
    sent = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    admin = as_user(ada)
    assert admin.post(page, sent).status_code == 302
    assert not is_in(hers)
    assert is_in(admin)
    assert entries("user.password") == [("ada", {})]
    assert subjects() == [("mira@staff.example", "Your password was changed")]
    assert "By: ada" in Mail.objects.get().text


def ask(email: str, address: str = "203.0.113.7") -> Any:
    return Client().post("/admin/forgot-password/", {"email": email}, REMOTE_ADDR=address)


def link(mail: Mail) -> str:
    found = re.search(r"http://127.0.0.1:8000(/admin/set-password/\S+)", mail.text)
    assert found is not None
    return found[1]


def choose(client: Client, path: str) -> Any:
    form = client.get(path, follow=True)
    return client.post(form.request["PATH_INFO"], {"new_password1": NEW, "new_password2": NEW})


def test_a_forgotten_password(ada: User, mira: User) -> None:
    assert "Forgot your password?" in Client().get("/admin/login/").content.decode()
    hers = browser("mira")
    known, unknown = ask("MIRA@staff.example"), ask("nobody@staff.example")
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert (
        "If a login has this address, a link is on its way there."
        in Client().get(known["Location"]).content.decode()
    )
    mail = Mail.objects.get()
    assert (mail.to, mail.subject, mail.is_secret) == (["mira@staff.example"], "Choose a new password", True)
    assert entries("login.link_asked") == [("mira", {})]
    # Nothing has happened yet.
    assert is_in(hers)
    client = Client()
    assert "For the login <b>mira</b>" in client.get(link(mail), follow=True).content.decode()
    assert choose(client, link(mail))["Location"] == "/admin/set-password/done/"
    assert not is_in(client)
    assert not is_in(hers)
    assert User.objects.get(pk=mira.pk).check_password(NEW)
    assert entries("user.password") == [("mira", {})]
    assert subjects()[-1] == ("mira@staff.example", "Your password was changed")
    # Once.
    assert "The link does not work" in Client().get(link(mail), follow=True).content.decode()


def test_a_link_is_for_a_day_and_for_who_may_sign_in(mira: User, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(mira.email)
    path = link(Mail.objects.get())
    User.objects.filter(pk=mira.pk).update(is_staff=False)
    assert "The link does not work" in Client().get(path, follow=True).content.decode()
    User.objects.filter(pk=mira.pk).update(is_staff=True)
    assert "Choose your password" in Client().get(path, follow=True).content.decode()
    from django.contrib.auth.tokens import default_token_generator

    now = default_token_generator._now()
    monkeypatch.setattr(default_token_generator, "_now", lambda: now + timedelta(hours=24, seconds=2))
    assert "The link does not work" in Client().get(path, follow=True).content.decode()


def test_links_are_not_sent_without_end(mira: User, olga: User) -> None:
    User.objects.filter(pk=olga.pk).update(is_active=False)
    ask(olga.email)
    assert not Mail.objects.exists()
    for number in range(4):
        assert ask(mira.email, f"192.0.2.{number}").status_code == 302
    assert Mail.objects.count() == 3
    answers = [ask("nobody@staff.example", "198.51.100.9") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [302] * 5 + [429]
    assert "Too many requests from your address. Try again in a minute." in answers[-1].content.decode()
    assert ask(mira.email, "198.51.100.10").status_code == 302


def test_a_link_lifts_the_lock(mira: User) -> None:
    wrong = {"username": "mira", "password": "no"}
    assert [Client().post("/admin/login/", wrong).status_code for _ in range(5)][-1] == 429
    ask(mira.email)
    choose(Client(), link(Mail.objects.latest("pk")))
    right = {"username": "mira", "password": NEW}
    assert Client().post("/admin/login/", right).status_code == 302


def test_links_are_not_read_in_the_mailbox(
    mira: User, ada: User, make_user: Any, as_user: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(mira.email)
    mail = Mail.objects.get()
    page = reverse("admin:cdp_mail_change", args=[mail.pk])
    keeper = as_user(make_user("dan", "data admin")).get(page).content.decode()
    assert "so only its recipient may read it." in keeper
    assert link(mail) not in keeper
    assert link(mail) in as_user(ada).get(page).content.decode()
    settings.EMAIL_URL = "smtp://localhost"
    monkeypatch.setattr("cdp.mail._deliver", lambda mail, connection: None)
    Mail.objects.update(state="queued")
    assert send_queued() == 1
    assert Mail.objects.get().text == ""
    assert "Its text was deleted when it was sent." in as_user(ada).get(page).content.decode()


def test_inviting_is_refused_where_no_mail_or_login_would_come_of_it(mira: User) -> None:
    actor = Actor.system()
    mira.is_active = False
    with pytest.raises(RuleForbids, match="^The login “mira” is deactivated.$"):
        accounts.invite(user=mira, actor=actor)
    mira.is_active, mira.email = True, ""
    with pytest.raises(Invalid, match="^The login “mira” has no e-mail address to send a link to.$"):
        accounts.invite(user=mira, actor=actor)
    assert not Mail.objects.exists()


# --- Notices --------------------------------------------------------------------------------------------


def test_keys_in_somebody_s_name(ada: User, make_user: Any) -> None:
    mira = make_user("mira", "marketer", "support")
    key = create_key(name="shop", scopes=["profiles:read"], actor=Actor.of_user(mira)).key
    hand_over_key(key_id=key.pk, user_id=ada.pk, actor=Actor.of_user(ada))
    revoke_key(key_id=key.pk, actor=Actor.system())
    revoke_key(key_id=key.pk, actor=Actor.system())
    assert subjects() == [
        ("mira@staff.example", "An API key was created in your name"),
        ("mira@staff.example", "An API key is no longer in your name"),
        ("ada@staff.example", "An API key is in your name now"),
        ("ada@staff.example", "An API key in your name was revoked"),
    ]
    first, *_, last = Mail.objects.order_by("pk")
    assert first.text.startswith(
        "An API key, “shop”, was created in your name. It may: profiles:read.\n\nWhen: "
    )
    assert first.text.endswith(
        "By: you\n\nIf you know nothing of this, change your password and tell whoever manages logins at once:"
        " http://127.0.0.1:8000\n"
    )
    assert "By: system" in last.text
    create_key(name="cron", scopes=["profiles:read"], actor=Actor.system())
    assert Mail.objects.count() == 4


def test_a_new_address_and_new_roles(ada: User, mira: User, as_user: Any) -> None:
    page = reverse("admin:cdp_user_change", args=[mira.pk])
    sent = {"username": "mira", "is_active": "on", "is_staff": "on", "email": "new@staff.example"}
    groups = [group.pk for group in mira.groups.all()]
    assert as_user(ada).post(page, {**sent, "groups": groups}).status_code == 302
    assert subjects() == [
        ("mira@staff.example", "Your e-mail address was changed"),
        ("new@staff.example", "Your e-mail address was changed"),
    ]
    assert "was changed from mira@staff.example to new@staff.example." in Mail.objects.latest("pk").text
    assert entries("user.email") == [("ada", {})]
    support = type(mira.groups.get()).objects.get(name="support")
    as_user(ada).post(page, {**sent, "groups": [support.pk], "rights": ["cdp.view_mail"]})
    mail = Mail.objects.latest("pk")
    assert mail.text.startswith(
        "What your login “mira” may do was changed. You were given: the role “support”, “Read mails the product sent”."
        " Taken away: the role “marketer”."
    )
    as_user(ada).post(page, {**sent, "groups": [support.pk], "rights": ["cdp.view_mail"]})
    assert Mail.objects.count() == 3
