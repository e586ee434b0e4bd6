"""Wrong passwords: who must wait where, who need not, what is said and recorded, and how a lock is lifted."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cdp import lockout, retention
from cdp.client_address import network_of
from cdp.management.commands.doctor import check_logins
from cdp.models import AuditEntry, Mail, User

pytestmark = pytest.mark.django_db

HERE, ELSEWHERE = "203.0.113.7", "198.51.100.20"
WRONG = "Please enter the correct username and password for a staff account."
LOCKED = (
    "Too many wrong passwords. Try again in 15 minutes, or ask somebody who manages logins to unlock yours."
)


def sign_in(name: str, password: str, address: str = HERE, **extra: Any) -> Any:
    return Client().post(
        "/admin/login/", {"username": name, "password": password}, REMOTE_ADDR=address, **extra
    )


def outcome(answer: Any) -> tuple[int, str]:
    if answer.status_code == 302:
        return 302, "in"
    page = answer.content.decode()
    return answer.status_code, "locked" if LOCKED in page else "wrong" if WRONG in page else page


def fail(name: str, times: int, address: str = HERE) -> list[tuple[int, str]]:
    return [outcome(sign_in(name, "no", address)) for _ in range(times)]


def actions(user: User | None = None) -> list[str]:
    entries = AuditEntry.objects.filter(subject=f"user:{user.pk}" if user else "")
    return list(entries.order_by("pk").values_list("action", flat=True))


def test_the_fifth_wrong_password_locks_the_login_at_that_address(ada: User, mira: User) -> None:
    assert fail("ada", 5) == [(200, "wrong")] * 4 + [(429, "locked")]
    locked = sign_in("ada", "ada")
    assert outcome(locked) == (429, "locked")
    assert locked["Retry-After"] == "900"
    assert outcome(sign_in("ada", "ada", HTTP_USER_AGENT="Another/1.0")) == (429, "locked")
    assert actions(ada) == ["login.failed"] * 5 + ["login.locked_out"]
    assert AuditEntry.objects.get(action="login.locked_out").detail == {"failures": 5, "minutes": 15}
    mail = Mail.objects.get()
    assert (mail.to, mail.subject) == (["ada@staff.example"], "Wrong passwords for your login")
    assert "From: 203.0.113.7" in mail.text
    # Neither she elsewhere nor somebody else here is kept out.
    assert outcome(sign_in("ada", "ada", ELSEWHERE)) == (302, "in")
    assert outcome(sign_in("mira", "mira")) == (302, "in")


def test_a_login_there_is_and_one_there_is_not_look_the_same(ada: User) -> None:
    def plain(answer: Any) -> tuple[int, str]:
        page = re.sub(
            r'(name="csrfmiddlewaretoken" value|name="username" value)="[^"]*"', "", answer.content.decode()
        )
        return answer.status_code, page

    for _ in range(6):
        known, unknown = sign_in("ada", "no"), sign_in("hunter2-secret", "no", ELSEWHERE)
        assert plain(known) == plain(unknown)
    assert outcome(unknown) == (429, "locked")
    # People type passwords into the name's field.
    assert "hunter2" not in str(
        [*AccessAttempt.objects.values_list(), *AuditEntry.objects.values_list("actor", "detail")]
    )
    assert Mail.objects.count() == 1


def test_the_lock_passes_and_trying_on_does_not_make_it_longer(ada: User) -> None:
    fail("ada", 5)
    before = AccessAttempt.objects.get().attempt_time
    fail("ada", 3)
    attempt = AccessAttempt.objects.get()
    assert (attempt.attempt_time, attempt.failures_since_start) == (before, 5)
    assert actions(ada).count("login.failed") == 5  # who is locked out does not fill the log
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=14))
    assert outcome(sign_in("ada", "ada")) == (429, "locked")
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=1))
    assert outcome(sign_in("ada", "ada")) == (302, "in")


def test_an_address_that_tries_many_logins_waits_altogether(ada: User, mira: User) -> None:
    fail("mira", 1)
    for number in range(19):
        assert fail(f"name{number}", 1) == [(429, "locked") if number == 18 else (200, "wrong")]
    assert outcome(sign_in("ada", "ada")) == (429, "locked")
    assert outcome(sign_in("ada", "ada", ELSEWHERE)) == (302, "in")


def test_signing_in_forgets_one_s_own_wrong_passwords_alone(ada: User, mira: User) -> None:
    fail("ada", 4)
    fail("mira", 4)
    assert outcome(sign_in("ada", "ada")) == (302, "in")
    assert AccessAttempt.objects.get().username == f"user:{mira.pk}"
    assert fail("ada", 4) == [(200, "wrong")] * 4
    assert fail("mira", 1) == [(429, "locked")]


def test_a_login_tried_from_everywhere_can_be_used_where_it_was_before(ada: User) -> None:
    assert outcome(sign_in("ada", "ada", "2001:db8:1:2::10")) == (302, "in")
    for number in range(10):
        AccessAttempt.objects.create(
            username=f"user:{ada.pk}", ip_address=f"192.0.2.{number}", failures_since_start=5
        )
    assert outcome(sign_in("ada", "ada")) == (429, "locked")
    assert outcome(sign_in("ada", "ada", "2001:db8:1:2:ffff::1")) == (302, "in")
    lock = lockout.lock_of(ada)
    assert lock is not None
    assert (lock.failures, lock.addresses) == (50, 10)


def test_behind_a_proxy_its_callers_count_and_nobody_chooses_their_address(ada: User, settings: Any) -> None:
    settings.BEHIND_PROXY = True

    def by_proxy(forwarded: str, password: str = "no") -> tuple[int, str]:
        return outcome(sign_in("ada", password, "127.0.0.1", HTTP_X_FORWARDED_FOR=forwarded))

    tries = [by_proxy(f"192.0.2.{number}, {HERE}") for number in range(5)]
    assert tries == [(200, "wrong")] * 4 + [(429, "locked")]
    assert by_proxy(HERE, "ada") == (429, "locked")
    assert by_proxy(ELSEWHERE, "ada") == (302, "in")


def test_ipv6_counts_by_its_first_64_bits() -> None:
    assert network_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::"
    assert network_of(HERE) == HERE
    assert network_of("") is None


def test_mails_of_locks_come_once_an_hour(ada: User) -> None:
    fail("ada", 5)
    fail("ada", 5, ELSEWHERE)
    assert actions(ada).count("login.locked_out") == 2
    assert Mail.objects.count() == 1


# --- Lifting a lock -----------------------------------------------------------------------------------------


def test_whoever_manages_logins_unlocks_on_the_page(ada: User, mira: User, vic: User, as_user: Any) -> None:
    fail("mira", 5)
    page, unlock = (
        reverse("admin:cdp_user_change", args=[mira.pk]),
        reverse("admin:cdp_user_unlock", args=[mira.pk]),
    )
    text = as_user(ada).get(page).content.decode()
    assert "Locked after 5 wrong passwords from 1 address. It can be used from there again at " in text
    assert as_user(vic).post(unlock).status_code == 403
    assert outcome(sign_in("mira", "mira")) == (429, "locked")
    done = as_user(ada).post(unlock, follow=True).content.decode()
    assert "The login “mira” is unlocked: it may sign in at once." in done
    assert "Locked after" not in done
    assert outcome(sign_in("mira", "mira")) == (302, "in")
    again = as_user(ada).post(unlock, follow=True).content.decode()
    assert "The login “mira” was not locked." in again
    assert actions(mira).count("login.unlock") == 1
    assert as_user(ada).post(reverse("admin:cdp_user_unlock", args=[404404])).status_code == 404


def test_on_the_command_line(ada: User, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        call_command("login", *words)
        return capsys.readouterr().out

    assert said("locked") == "No login is locked.\n"
    assert [finding.state for finding in check_logins()] == ["ok"]
    fail("ada", 5)
    assert re.fullmatch(r"ada  5 wrong passwords from 1 address, until \d\d:\d\d\n", said("locked"))
    advice = check_logins()[0]
    assert (advice.state, advice.problem) == ("advice", "1 login; manage.py login locked names them.")
    assert said("unlock", "ada") == "The login “ada” is unlocked.\n"
    assert said("unlock", "ada") == "The login “ada” was not locked.\n"
    with pytest.raises(CommandError, match="^There is no login “nobody”.$"):
        call_command("login", "unlock", "nobody")
    for number in range(20):
        fail(f"name{number}", 1)
    assert outcome(sign_in("ada", "ada")) == (429, "locked")
    assert said("unlock-address", HERE) == f"Wrong passwords from {HERE} are forgotten.\n"
    assert outcome(sign_in("ada", "ada")) == (302, "in")
    with pytest.raises(CommandError, match=f"^No wrong passwords from {HERE} are remembered.$"):
        call_command("login", "unlock-address", HERE)


def test_what_counts_no_more_is_deleted(ada: User) -> None:
    fail("ada", 1)
    expire = dict(retention.expiry.items())["wrong passwords"]
    assert expire() == 0
    AccessAttempt.objects.update(attempt_time=timezone.now() - settings.AXES_COOLOFF_TIME)
    assert expire() == 1
