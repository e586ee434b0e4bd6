"""The frame of the admin: who sees which menu, what every list starts from, pages of errors and logins."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib import admin
from django.contrib.admin.filters import AllValuesFieldListFilter
from django.contrib.auth.models import Group, Permission
from django.db import models
from django.test import Client, RequestFactory
from django.urls import reverse

from cdp.admin.model_admin import BoundedPaginator, CdpModelAdmin
from cdp.admin.navigation import Link, Tab, navigation, register_tab, unregister_tab
from cdp.models import AuditEntry, Job, User
from profiles.models import Tag

Login = Callable[[User], Client]


def links_of(user: User) -> list[Link]:
    """Every task and every tab a person may open."""
    links: list[Link] = []
    request = RequestFactory().get("/admin/")
    request.user = user
    for task in navigation(request).tasks:
        opened = RequestFactory().get(task.url)
        opened.user = user
        links += [task, *navigation(opened).tabs]
    return links


def menu_of(user: User) -> list[str]:
    return [link.label for link in links_of(user)]


def test_menu_shows_what_a_person_may_open(ada: User, vic: User, olga: User) -> None:
    request = RequestFactory().get("/admin/")
    request.user = ada
    assert [task.label for task in navigation(request).tasks] == [
        "Today",
        "People",
        "Duplicates",
        "Segments",
        "Imports & exports",
        "Sources",
        "Privacy",
        "Settings",
    ]
    assert {"Tags", "Attributes", "Identity", "Jobs", "Mailbox", "API keys", "Users"} <= set(menu_of(ada))
    assert {"Tags", "Attributes", "Identity"} <= set(menu_of(vic))
    assert not {"Jobs", "Mailbox", "API keys", "Users", "Roles"} & set(menu_of(vic))
    assert menu_of(olga) == ["Today"]


def test_menu_leaves_out_pages_that_do_not_exist(ada: User) -> None:
    request = RequestFactory().get("/admin/cdp/job/7/change/")
    request.user = ada
    register_tab("segments", Tab("Moon", "admin:moon_list", "cdp.view_job"), order=1)
    try:
        found = navigation(request)
    finally:
        unregister_tab("segments", "Moon")
    segments = next(task for task in found.tasks if task.label == "Segments")
    assert segments.url == reverse("admin:segments_segment_changelist")
    jobs = next(tab for tab in found.tabs if tab.label == "Jobs")
    assert (jobs.is_current, jobs.is_page, jobs.section) == (True, False, "System")
    settings = next(task for task in found.tasks if task.label == "Settings")
    assert (settings.is_current, settings.is_page) == (True, False)


def test_tabs_of_another_app_stand_in_their_task(ada: User) -> None:
    register_tab("segments", Tab("Stub", "admin:cdp_job_changelist", "cdp.view_job", query="?x=1"), order=1)
    try:
        request = RequestFactory().get("/admin/")
        request.user = ada
        tasks = navigation(request).tasks
    finally:
        unregister_tab("segments", "Stub")
    assert ("Segments", reverse("admin:cdp_job_changelist") + "?x=1") in [
        (task.label, task.url) for task in tasks
    ]
    with pytest.raises(KeyError):
        register_tab("moon", Tab("Moon", "admin:index", "cdp.view_job"))


def test_every_page_of_the_menu_opens(
    ada: User, as_user: Login, django_assert_max_num_queries: object
) -> None:
    client = as_user(ada)
    for link in links_of(ada):
        page = client.get(link.url)
        assert page.status_code == 200, link.label
        assert 'aria-current="page"' in page.content.decode(), link.label


def test_no_page_carries_inline_style_or_script(ada: User, as_user: Login) -> None:
    """What the content security policy would refuse."""
    client = as_user(ada)
    urls = [link.url for link in links_of(ada)]
    for url in [
        *urls,
        reverse("admin:profiles_tag_add"),
        reverse("admin:cdp_setup"),
        reverse("admin:cdp_user_add"),
    ]:
        html = client.get(url).content.decode()
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=\"", html), url
        for script in re.findall(r"<script[^>]*>", html):
            assert " src=" in script, (url, script)


def test_every_admin_starts_from_the_large_table_defaults() -> None:
    for model, site_admin in admin.site._registry.items():
        assert isinstance(site_admin, CdpModelAdmin), model
        assert site_admin.show_full_result_count is False, model
        assert site_admin.list_per_page <= 100, model
        for entry in site_admin.list_filter:
            parts = entry if isinstance(entry, tuple) else (entry, None)
            assert parts[1] is not AllValuesFieldListFilter, f"{model}: reads every value of {parts[0]}"
            field = (
                model._meta.get_field(parts[0])
                if isinstance(parts[0], str) and "__" not in parts[0]
                else None
            )
            if isinstance(field, models.CharField):
                assert field.choices, f"{model}: a list filter over {field.name} reads the whole table"


def test_paginator_estimates_large_tables_and_bounds_the_rest(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Tag.objects.bulk_create(Tag(name=f"t{i}") for i in range(25))
    exact = BoundedPaginator(Tag.objects.order_by("pk"), 10)
    assert (exact.count, exact.count_text, exact.is_exact) == (25, "25", True)

    monkeypatch.setattr("cdp.admin.model_admin.COUNT_LIMIT", 20)
    bounded = BoundedPaginator(Tag.objects.filter(name__startswith="t"), 10)
    assert (bounded.count, bounded.count_text, bounded.is_exact) == (21, "more than 20", False)

    monkeypatch.setattr(BoundedPaginator, "_estimate", lambda self: 1_234_567)
    estimated = BoundedPaginator(Tag.objects.all(), 10)
    assert (estimated.count, estimated.count_text, estimated.is_exact) == (1_234_567, "≈ 1,230,000", False)


def test_list_pages_by_key_forth_and_back(ada: User, as_user: Login) -> None:
    Job.objects.bulk_create(Job(kind="test", title=f"job {i:03}") for i in range(205))
    client, url = as_user(ada), reverse("admin:cdp_job_changelist")

    def titles(address: str) -> tuple[list[str], str | None, str | None]:
        html = client.get(address).content.decode()
        links = dict(re.findall(r'rel="(prev|next)" href="([^"]+)"', html))
        return re.findall(r"job \d{3}(?=</a>)", html), links.get("prev"), links.get("next")

    first, before, after = titles(url)
    assert (first[0], first[-1], before) == ("job 204", "job 105", None)
    second, before, after = titles(url + (after or ""))
    assert (second[0], second[-1]) == ("job 104", "job 005")
    third, back, after = titles(url + (after or ""))
    assert (third, after) == (["job 004", "job 003", "job 002", "job 001", "job 000"], None)
    assert titles(url + (back or ""))[0] == second
    assert titles(url + (before or ""))[:2] == (first, None)
    assert client.get(url, {"after": "x"}).status_code == 302  # to the list with ?e=1, as Django does
    assert titles(f"{url}?after=1")[0] == []


def test_list_causes_as_many_queries_for_one_row_as_for_many(
    ada: User, as_user: Login, django_assert_num_queries: Callable[..., object]
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = as_user(ada)
    for url, make in (
        (reverse("admin:cdp_job_changelist"), lambda i: Job(kind="test", user=ada)),
        (reverse("admin:profiles_tag_changelist"), lambda i: Tag(name=f"tag {i}")),
    ):
        counts = []
        for rows in (1, 60):
            make(0)._meta.model._default_manager.bulk_create(make(rows * 100 + i) for i in range(rows))
            with CaptureQueriesContext(
                connection,
            ) as caught:
                assert client.get(url).status_code == 200
            counts.append(len(caught))
        assert counts[0] == counts[1], url


def test_changes_in_the_admin_reach_the_audit_log_without_values(ada: User, as_user: Login) -> None:
    client = as_user(ada)
    client.post(reverse("admin:profiles_tag_add"), {"name": "press", "color": "red", "description": ""})
    tag = Tag.objects.get()
    entry = AuditEntry.objects.get(action="tag.add")
    assert (entry.subject, entry.actor, entry.detail) == (f"tag:{tag.pk}", "ada", {})
    url = reverse("admin:profiles_tag_change", args=[tag.pk])
    client.post(url, {"name": "press", "color": "blue", "description": "Writes about us"})
    assert AuditEntry.objects.get(action="tag.change").detail == {"fields": ["Color", "Description"]}
    history = client.get(reverse("admin:profiles_tag_history", args=[tag.pk])).content.decode()
    assert "tag.change" in history
    assert "tag.add" in history


def test_history_needs_the_right_to_read_the_audit_log(mira: User, as_user: Login) -> None:
    tag = Tag.objects.create(name="press")
    assert as_user(mira).get(reverse("admin:profiles_tag_change", args=[tag.pk])).status_code == 200
    assert as_user(mira).get(reverse("admin:profiles_tag_history", args=[tag.pk])).status_code == 403


def test_pages_for_what_went_wrong(ada: User, olga: User, as_user: Login) -> None:
    refused = as_user(olga).get(reverse("admin:cdp_apikey_changelist"))
    assert (refused.status_code, "You may not do this" in refused.content.decode()) == (403, True)
    missing = as_user(ada).get("/admin/nothing/")
    assert (missing.status_code, "Page not found" in missing.content.decode()) == (404, True)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    expired = strict.post(reverse("admin:profiles_tag_add"), {"name": "x"})
    assert (expired.status_code, "This form has expired" in expired.content.decode()) == (403, True)


def test_log_in_and_out(ada: User) -> None:
    client = Client()
    assert client.get("/admin/").status_code == 302
    wrong = client.post("/admin/login/", {"username": "ada", "password": "no", "next": "/admin/"})
    assert "Please enter the correct" in wrong.content.decode()
    right = client.post("/admin/login/", {"username": "ada", "password": "ada", "next": "/admin/"})
    assert (right.status_code, right["Location"]) == (302, "/admin/")
    assert "Today" in client.get("/admin/").content.decode()
    assert "You are logged out" in client.post("/admin/logout/").content.decode()
    assert client.get("/admin/").status_code == 302


def test_apps_have_no_page_of_their_own(ada: User, as_user: Login) -> None:
    answer = as_user(ada).get("/admin/profiles/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_who_manages_logins_makes_and_unseats_no_superuser(
    make_user: Callable[..., User], ada: User, vic: User, as_user: Login
) -> None:
    ines = make_user("ines")
    ines.user_permissions.add(*Permission.objects.filter(codename__endswith="_user"))
    client = as_user(ines)
    sent = {"username": "olga", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    olga = make_user("olga")
    assert client.post(reverse("admin:cdp_user_change", args=[olga.pk]), sent).status_code == 302
    olga.refresh_from_db()
    assert not olga.is_superuser
    # Who may read people has more rights than whoever manages logins alone.
    assert client.post(reverse("admin:cdp_user_change", args=[vic.pk]), sent).status_code == 403
    assert client.post(reverse("admin:cdp_user_change", args=[ada.pk]), sent).status_code == 403
    assert client.post(reverse("admin:cdp_user_delete", args=[ada.pk]), {"post": "yes"}).status_code == 403
    changed = client.post(reverse("admin:auth_user_password_change", args=[ada.pk]), {"password1": "x"})
    assert changed.status_code == 403


def test_an_admin_sets_a_new_password(ada: User, vic: User, as_user: Login) -> None:
    client, url = as_user(ada), reverse("admin:auth_user_password_change", args=[vic.pk])
    assert "New password for vic" in client.get(url).content.decode()
    differ = {"password1": "long-enough-9x", "password2": "another-one-9x", "set-password": "1"}
    assert "The two password fields didn’t match." in client.post(url, differ).content.decode()
    same = {**differ, "password2": "long-enough-9x"}
    assert client.post(url, same).status_code == 302
    vic.refresh_from_db()
    assert vic.check_password("long-enough-9x")


def test_staff_are_given_roles_in_words(ada: User, vic: User, as_user: Login) -> None:
    client, url = as_user(ada), reverse("admin:cdp_user_change", args=[vic.pk])
    html = client.get(url).content.decode()
    assert "<b>marketer</b> · Reads and edits people, manages tags" in html
    marketer = Group.objects.get(name="marketer")
    sent = {"username": "vic", "is_active": "on", "is_staff": "on", "groups": [marketer.pk]}
    assert client.post(url, sent).status_code == 302
    assert [group.name for group in vic.groups.all()] == ["marketer"]
    role = client.get(reverse("admin:auth_group_change", args=[marketer.pk])).content.decode()
    assert "Change many at once" in role
    assert "idempotency" not in role.lower()
