"""The admin's frame and the platform's own pages in a browser: policy, accessibility, narrow, dark, no script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import Group, Permission

from cdp.actors import Actor
from cdp.looks import record_look
from cdp.models import ApiKey, Job, Mail, User
from profiles.models import AttributeDefinition, IdentifierType, Tag
from tests.profile_factory import make_profile

pytestmark = pytest.mark.browser

PATHS = (
    "/admin/",
    "/admin/cdp/job/",
    "/admin/cdp/job/{job}/change/",
    "/admin/cdp/mail/",
    "/admin/cdp/mail/{mail}/change/",
    "/admin/cdp/apikey/",
    "/admin/cdp/apikey/add/",
    "/admin/cdp/user/",
    "/admin/cdp/user/{user}/change/",
    "/admin/cdp/user/{user}/password/",
    "/admin/auth/group/",
    "/admin/auth/group/{group}/change/",
    "/admin/profiles/tag/",
    "/admin/profiles/tag/{tag}/change/",
    "/admin/profiles/tag/{tag}/merge/",
    "/admin/profiles/tag/{tag}/delete/",
    "/admin/profiles/tag/export/",
    "/admin/profiles/tag/import/",
    "/admin/profiles/attributedefinition/",
    "/admin/profiles/attributedefinition/add/",
    "/admin/profiles/identifiertype/",
    "/admin/profiles/identifiertype/{type}/change/",
    "/admin/profiles/source/",
    "/admin/setup/",
    "/admin/password_change/",
    "/admin/account/",
    "/admin/cdp/user/add/",
    "/admin/cdp/auditentry/",
    "/admin/cdp/look/",
    "/admin/privacy/retention/",
)

Go = Callable[..., Any]


@pytest.fixture
def content(ada: User) -> dict[str, int]:
    """Something to see on every page."""
    person = make_profile(identifiers=[("email", "ann@example.com")], tags=["vip"])
    AttributeDefinition.objects.create(name="plan", sensitivity="sensitive")
    ApiKey.objects.create(name="shop", prefix="cdp_x", digest="x", scopes=["merge"], owner=ada)
    record_look("list", actor=Actor.of_user(ada), profile_ids=[person.pk, 7, 8], is_masked=True)
    record_look("import", actor=Actor.system(), profile_ids=[person.pk], subject="import:7")
    job = Job.objects.create(
        kind="test", title="Apply people.csv", state="running", total=10, done=4, user=ada
    )
    mail = Mail.objects.create(to=["ada@staff.example"], subject="Done", text="Fine.", state="kept")
    kind = IdentifierType.objects.get(name="email")
    group = Group.objects.create(name="helpers")
    group.permissions.set(
        Permission.objects.filter(codename__in=("add_tag", "view_mail", "view_contenttype"))
    )
    AccessAttempt.objects.create(username=f"user:{ada.pk}", ip_address="203.0.113.7", failures_since_start=5)
    return {
        "group": group.pk,
        "job": job.pk,
        "mail": mail.pk,
        "user": ada.pk,
        "tag": Tag.objects.get().pk,
        "type": kind.pk,
    }


def test_pages_are_clean(visit: Go, ada: User, content: dict[str, int]) -> None:
    opened = visit(ada, "/admin/")
    for path in PATHS:
        opened.open(path.format(**content)).check_shapes()


def test_login_and_empty_first_page(visit: Go, ada: User) -> None:
    opened = visit(None, "/admin/", width=390)
    opened.check()
    opened.page.get_by_label("Username").fill("ada")
    opened.page.get_by_label("Password").fill("ada")
    opened.page.get_by_role("button", name="Log in").click()
    opened.page.get_by_role("heading", name="No people yet. Three ways to start").wait_for()
    opened.check()


def test_the_narrow_menu_needs_no_script(visit: Go, ada: User) -> None:
    page = visit(ada, "/admin/", width=390, js=False).page
    settings = page.locator(".menu").get_by_role("link", name="Settings")
    assert not settings.is_visible()
    page.locator("summary", has_text="Menu").click()
    settings.click()
    page.get_by_role("navigation", name="Settings").get_by_role("link", name="Tags").click()
    page.get_by_role("heading", name="Tags", exact=True).wait_for()


def test_the_theme_is_kept(visit: Go, ada: User) -> None:
    opened = visit(ada, "/admin/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = opened.page.evaluate(ground)
    opened.page.locator(".side .me summary").click()
    opened.page.get_by_role("button", name="Theme: as the system").click()
    opened.page.get_by_role("button", name="Theme: dark").wait_for()
    dark = opened.page.evaluate(ground)
    assert dark != light
    opened.open("/admin/profiles/tag/")
    assert opened.page.evaluate(ground) == dark


def test_keyboard_reaches_the_content_first(visit: Go, ada: User) -> None:
    page = visit(ada, "/admin/profiles/tag/").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_a_job_is_followed_to_its_end(visit: Go, ada: User) -> None:
    job = Job.objects.create(
        kind="test", title="Apply people.csv", state="running", total=10, done=4, user=ada
    )
    opened = visit(ada, f"/admin/cdp/job/{job.pk}/change/")
    opened.page.get_by_text("40 %", exact=True).first.wait_for()
    Job.objects.filter(pk=job.pk).update(done=7)
    opened.page.get_by_text("70 %", exact=True).first.wait_for()
    Job.objects.filter(pk=job.pk).update(done=10, state="done", result={"created": 10})
    opened.page.get_by_text("Created", exact=True).wait_for()  # the whole page came anew
    assert opened.page.locator("[hx-get]").count() == 0
    opened.check()
