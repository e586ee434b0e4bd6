"""Signing in and what belongs to it, in a browser: locked, forgotten, confirmed, ended, invited."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

from cdp.models import LoginSession, Mail, User
from cdp.sessions import SessionStore
from tests.browser.journeys import SHAPES, check, tab_to

pytestmark = pytest.mark.browser

Go = Callable[..., Any]
NEW = "Kq8-zebra-lamp"


def forget_confirmation(user: User) -> None:
    """As a quarter of an hour later."""
    store = SessionStore()
    for row in LoginSession.objects.filter(user=user):
        row.session_data = store.encode({**store.decode(row.session_data), "confirmed": 0})
        row.save(update_fields=["session_data"])


@pytest.mark.parametrize(("width", "dark"), SHAPES)
def test_locked_out_and_forgotten(visit: Go, ada: User, width: int, dark: bool) -> None:
    opened = visit(None, "/admin/", width=width, dark=dark)
    page = opened.page
    for _ in range(5):
        page.get_by_label("Username").fill("ada")
        page.get_by_label("Password").fill("no")
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("alert").wait_for()
    assert page.get_by_text("Too many wrong passwords. Try again in 15 minutes").is_visible()
    # The browser reports every status from 400 on.
    opened.problems[:] = [problem for problem in opened.problems if "429" not in problem]
    check(opened, heading="Log in")
    page.get_by_role("link", name="Forgot your password?").click()
    check(opened, heading="Forgot your password?")
    page.get_by_label("E-mail address").fill("ada@staff.example")
    page.get_by_role("button", name="Send the link").click()
    check(opened, heading="Look into your mailbox")
    found = re.search(r"/admin/set-password/\S+", Mail.objects.get(is_secret=True).text)
    assert found is not None
    opened.open(found[0])
    check(opened, heading="Choose your password")
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password confirmation").fill(NEW)
    page.get_by_role("button", name="Save the password").click()
    check(opened, heading="Your password is saved")
    opened.open(found[0])
    check(opened, heading="The link does not work")
    opened.open("/admin/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill(NEW)
    page.get_by_label("Password").press("Enter")
    page.get_by_role("heading", name="No people yet").wait_for()


@pytest.mark.parametrize(("width", "dark"), SHAPES)
def test_what_was_entered_survives_the_question(
    visit: Go, ada: User, mira: User, width: int, dark: bool
) -> None:
    opened = visit(ada, reverse("admin:cdp_user_change", args=[mira.pk]), width=width, dark=dark)
    page = opened.page
    page.get_by_label("First name").fill("Mira")
    forget_confirmation(ada)
    page.get_by_role("button", name="Save").click()
    check(opened, heading="Confirm that it is you")
    # The field has the focus: typing and Enter are enough.
    page.keyboard.type("no")
    page.keyboard.press("Enter")
    page.get_by_text("This is not the password of your login.").wait_for()
    check(opened, heading="Confirm that it is you")
    page.keyboard.type("ada")
    tab_to(opened, "Confirm and continue", stops=3)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Users", exact=True).wait_for()
    assert User.objects.get(pk=mira.pk).first_name == "Mira"


@pytest.mark.parametrize(("width", "dark"), SHAPES)
def test_a_login_is_made_and_a_session_ended(visit: Go, ada: User, width: int, dark: bool) -> None:
    opened = visit(ada, "/admin/cdp/user/", width=width, dark=dark)
    other = visit(ada, "/admin/account/", width=width, dark=dark)
    page = opened.page
    page.get_by_role("link", name="Add login").click()
    check(opened, heading="Add login")
    page.get_by_label("Username").fill("ben")
    page.get_by_label("Email address").fill("ben@staff.example")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Choose at least one role: a login without one can do nothing.").wait_for()
    check(opened, heading="Add login")
    page.get_by_label(re.compile("viewer · ")).check()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("A link to choose a password is on its way to ben@staff.example.").wait_for()
    assert Mail.objects.get().to == ["ben@staff.example"]
    page.get_by_role("link", name="ben", exact=True).click()
    check(opened, heading="ben")
    opened.open("/admin/account/")
    check(opened, heading="Your account")
    page.get_by_role("button", name=re.compile("^End the session of")).click()
    page.get_by_text("The session is ended: that browser must sign in again.").wait_for()
    other.open("/admin/account/")
    other.page.get_by_role("heading", name="Log in").wait_for()
