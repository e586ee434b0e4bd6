"""The first page: true numbers, each panel for who may see it, charts a strict policy lets through."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from cdp.admin import needs_attention, today
from cdp.admin.charts import Chart, Series, _ticks
from cdp.admin.query_timeout import within_patience
from cdp.models import Job, User
from imports.models import Import
from profiles.builtin_sources import builtin_source
from profiles.models import Merge, Profile, Receipt, Source, SourceAlarm
from tests.profile_factory import make_profile

Login = Callable[[User], Client]


def part(parts: list[today.Shown[Any]], title: str) -> Any:
    return next(shown.value for shown in parts if shown.title == title)


def test_counts_live_people_by_kind(ada: User) -> None:
    make_profile(identifiers=[("email", "ann@example.com")])
    make_profile(identifiers=[("anonymous_id", "browser-1")])
    make_profile(identifiers=[("anonymous_id", "browser-2")])
    gone = make_profile(first_name="Gone")
    Profile.objects.filter(pk=gone.pk).update(status=Profile.Status.DELETED)
    people = part(today.today(ada).populations, "People")
    assert people.total == 3
    assert [(figure.label, figure.number) for figure in people.split] == [("Recognized", 1), ("Anonymous", 2)]


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
    new = part(today.today(ada).kpis, "New people, 30 days")
    assert (new.number, new.note, new.tone) == ("5", "+400 % to the 30 days before", "ok")
    assert {series.name: series.total for series in new.chart.series} == {"Staff": 1, "API": 1, "Import": 3}
    assert (len(new.chart.rows), new.chart.rows[-1][2], new.chart.total) == (30, 3, 5)


def test_sources_beyond_four_are_shown_together(ada: User) -> None:
    for number in range(6):
        Source.objects.create(name=f"Shop {number}", channel="api")
    for number, source in enumerate(Source.objects.filter(name__startswith="Shop")):
        for _ in range(6 - number):
            person = make_profile()
            Profile.objects.filter(pk=person.pk).update(source=source)
    chart = part(today.today(ada).kpis, "New people, 30 days").chart
    assert [(series.name, series.total) for series in chart.series][-1] == ("Others", 3)
    assert len(chart.series) == 5


def test_parts_only_for_who_may_see_them(ada: User, vic: User, olga: User, as_user: Login) -> None:
    ann, bob = make_profile(first_name="Ann"), make_profile(first_name="Bob")
    staff = builtin_source("staff")
    Merge.objects.create(winner=ann, loser=bob, user=ada, source=staff)
    planned = Import.objects.create(
        name="people.csv",
        size=1,
        sha256="x",
        source=staff,
        user=ada,
        state="planned",
        counts={"rows": 1204, "created": 1000, "updated": 17},
    )
    Job.objects.create(kind="test", title="Ada's job", user=ada)
    Job.objects.create(kind="test", title="Vic's job", user=vic)

    seen = as_user(ada).get("/admin/").content.decode()
    assert "people.csv is planned and waits" in seen
    assert "1,017 of 1,204 rows would be imported · uploaded by ada" in seen
    assert reverse("admin:imports_import_change", args=[planned.pk]) in seen
    assert f"#{bob.pk} into Ann #{ann.pk}" in seen
    assert "Ada&#x27;s job" in seen
    assert "Vic&#x27;s job" in seen

    seen = as_user(vic).get("/admin/").content.decode()
    assert "people.csv" not in seen
    assert "Ann" not in seen
    assert "Can be taken back" not in seen
    assert "Ada&#x27;s job" not in seen
    assert "Vic&#x27;s job" in seen

    seen = as_user(olga).get("/admin/").content.decode()
    assert "Recognized" not in seen
    assert "Can be taken back" not in seen


def test_the_worst_stands_first_and_counts_in_the_menu(ada: User, vic: User, as_user: Login) -> None:
    make_profile()
    source = builtin_source("web")
    Receipt.objects.create(source=source, kind="track", outcome="invalid", payload={})
    SourceAlarm.objects.create(
        source=source,
        signal="update",
        began_at=timezone.now(),
        usual=0,
        bound=0.1,
        share=0.9,
        calls=400,
        sentence="Since 14:05 Checkout sends update calls where it used to send identify.",
    )
    items = today.today(ada).items
    assert [(item.severity, item.title) for item in items] == [
        ("bad", "Since 14:05 Checkout sends update calls where it used to send identify."),
        ("info", "1 rejected item can be repaired"),
    ]
    needs_attention.counts.forget()
    page = as_user(ada).get("/admin/").content.decode()
    assert 'Sources<span class="waiting"><span aria-hidden="true">2</span>' in page
    assert today.today(vic).items[0].title == items[0].title, "viewers see alarms"
    assert len(today.today(vic).items) == 1, "and nothing they could not act on"


def test_a_provider_of_another_app_can_fill_every_part(ada: User) -> None:
    at = timezone.now()
    item = needs_attention.Item("bad", "Segment halved", "from 10 to 5", "Compare", "/x/", at)
    provider = needs_attention.Provider(
        permission="profiles.view_profile", task="segments", items=lambda: [item], count=lambda: 1
    )
    needs_attention.providers.register("stub", provider)
    population = today.Population(1, (today.Figure("In", 1, 1.0), today.Figure("Out", 0, 0.0)), "/x/")
    undoable = today.Undoable("Stub", "ada", at, "/x/")
    chart = Chart("Stub", ["1"], [Series("a", [1])])
    parts: list[tuple[Any, Any]] = [
        (today.populations, population),
        (today.kpis, today.Kpi("1", chart)),
        (today.undoables, [undoable]),
    ]
    for registry, value in parts:
        registry.register(
            "stub", today.Part("Stub", "profiles.view_profile", lambda user, value=value: value)
        )
    try:
        needs_attention.counts.forget()
        page = today.today(ada)
        assert page.items == [item]
        assert needs_attention.waiting_by_task(ada)["segments"] == 1
        assert part(page.populations, "Stub") == population
        assert part(page.kpis, "Stub").number == "1"
        assert page.undoables == [undoable]
    finally:
        needs_attention.providers.unregister("stub")
        for registry, _ in parts:
            registry.unregister("stub")


def test_a_fresh_installation_says_how_to_begin(ada: User, vic: User, as_user: Login) -> None:
    page = as_user(ada).get("/admin/").content.decode()
    assert "No people yet" in page
    assert "Create an API key" in page
    assert "Create an API key" not in as_user(vic).get("/admin/").content.decode()
    make_profile()
    assert "No people yet" not in as_user(ada).get("/admin/").content.decode()


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
    monkeypatch.setattr(today, "within_patience", lambda work: None)
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
