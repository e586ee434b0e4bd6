"""The first page: true numbers, each panel for who may see it, charts a strict policy lets through."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from cdp.admin import dashboard
from cdp.admin.charts import Chart, Series, _ticks
from cdp.admin.query_timeout import within_patience
from cdp.models import Job, User
from imports.models import Import
from profiles.builtin import builtin_source
from profiles.models import Merge, Profile, Source
from tests.profile_factory import make_profile

Login = Callable[[User], Client]


def test_counts_live_people_by_kind(ada: User) -> None:
    make_profile(identifiers=[("email", "ann@example.com")])
    make_profile(identifiers=[("anonymous_id", "browser-1")])
    make_profile(identifiers=[("anonymous_id", "browser-2")])
    gone = make_profile(first_name="Gone")
    Profile.objects.filter(pk=gone.pk).update(status=Profile.Status.DELETED)
    split = dashboard.today(ada).split
    assert split is not None
    assert (split.recognized, split.anonymous, split.total) == (1, 2, 3)


def test_new_people_by_day_and_source(ada: User) -> None:
    now = timezone.now()
    for days, source in (
        (0, "staff"),
        (0, "import"),
        (0, "import"),
        (3, "api"),
        (29, "import"),
        (31, "import"),
    ):
        person = make_profile(source=source)
        Profile.objects.filter(pk=person.pk).update(created_at=now - datetime.timedelta(days=days))
    chart = dashboard.today(ada).new_people
    assert chart is not None
    assert {one.name: one.total for one in chart.series} == {"Staff": 1, "API": 1, "Import": 3}
    assert (len(chart.rows), chart.rows[-1][1:], chart.total) == (30, ([1, 0, 2], 3), 5)


def test_sources_beyond_four_are_shown_together(ada: User) -> None:
    for number in range(6):
        Source.objects.create(name=f"Shop {number}", door="api")
    for number, source in enumerate(Source.objects.filter(name__startswith="Shop")):
        for _ in range(6 - number):
            person = make_profile()
            Profile.objects.filter(pk=person.pk).update(source=source)
    chart = dashboard.today(ada).new_people
    assert chart is not None
    assert [(one.name, one.total) for one in chart.series][-1] == ("Others", 3)
    assert len(chart.series) == 5


def test_panels_only_for_who_may_see_them(ada: User, vic: User, olga: User, as_user: Login) -> None:
    ann, bob = make_profile(first_name="Ann"), make_profile(first_name="Bob")
    staff = builtin_source("staff")
    Merge.objects.create(winner=ann, loser=bob, user=ada, source=staff)
    Import.objects.create(name="people.csv", size=1, sha256="x", source=staff, counts={"rows": 1204})
    Job.objects.create(kind="test", title="Ada's job", user=ada)
    Job.objects.create(kind="test", title="Vic's job", user=vic)

    seen = as_user(ada).get("/admin/").content.decode()
    assert "people.csv" in seen
    assert "1,204" in seen
    assert f"into Ann #{ann.pk}" in " ".join(re.sub(r"<[^>]+>", "", seen).split())
    assert "Ada&#x27;s job" in seen
    assert "Vic&#x27;s job" in seen

    seen = as_user(vic).get("/admin/").content.decode()
    assert "people.csv" not in seen
    assert "Ann" not in seen
    assert f"#{ann.pk}" in seen
    assert "Ada&#x27;s job" not in seen
    assert "Vic&#x27;s job" in seen

    seen = as_user(olga).get("/admin/").content.decode()
    assert "recognized" not in seen
    assert "Recent merges" not in seen


def test_a_fresh_installation_says_how_to_begin(ada: User, vic: User, as_user: Login) -> None:
    page = as_user(ada).get("/admin/").content.decode()
    assert "Nobody here yet" in page
    assert "Make an API key" in page
    assert "Make an API key" not in as_user(vic).get("/admin/").content.decode()
    make_profile()
    assert "Nobody here yet" not in as_user(ada).get("/admin/").content.decode()


def test_the_first_page_causes_the_same_queries_for_one_person_and_for_many(
    ada: User, as_user: Login, django_assert_num_queries: Callable[..., Any]
) -> None:
    from django.test.utils import CaptureQueriesContext

    client, counts = as_user(ada), []
    for people in (1, 30):
        for _ in range(people):
            make_profile()
        Job.objects.bulk_create(Job(kind="test", user=ada) for _ in range(people))
        with CaptureQueriesContext(connection) as caught:
            assert client.get("/admin/").status_code == 200
        counts.append(len(caught))
    assert counts[0] == counts[1]


def test_a_count_that_takes_too_long_is_left_out(
    ada: User, as_user: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(10)")
        return 1

    make_profile()
    assert within_patience(slow, milliseconds=20) is None
    assert within_patience(lambda: 1) == 1
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)
    monkeypatch.setattr(dashboard, "within_patience", lambda work: None)
    assert "Counting took too long just now" in as_user(ada).get("/admin/").content.decode()


def test_chart_has_no_style_script_or_id_and_says_its_numbers() -> None:
    series = [Series("<Import>", [1, 20000]), Series("API", [4, 0])]
    svg = str(Chart("New & people", ["1 Nov", "2 Nov"], series).svg())
    root = ET.fromstring(svg)
    for element in root.iter():
        assert element.tag.rpartition("}")[2] not in ("style", "script", "defs")
        assert not {"style", "id", "onclick"} & set(element.attrib)
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "2 Nov: <Import> 20,000" in titles
    assert "1 Nov: API 4" in titles
    assert root.get("aria-label") == "New & people: 20,005. The table below has every number."


@given(st.integers(0, 10**9))
def test_ticks_are_few_even_and_reach_the_top(top: int) -> None:
    ticks = _ticks(top)
    assert 2 <= len(ticks) <= 6
    assert ticks[0] == 0
    assert ticks[-1] >= top
    assert len({after - before for before, after in itertools.pairwise(ticks)}) == 1
