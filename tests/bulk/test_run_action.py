"""Doing one thing to many: a frozen list, at once when short, as a job when long, exactly once."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from cdp.actors import Actor
from cdp.errors import Forbidden, Invalid, NotFound
from cdp.jobs import cancel_job, run_to_end
from cdp.models import AuditEntry, Job, User
from cdp.spreadsheets import safe_cell, unsafe_cell
from profiles.bulk import exports, run_action
from profiles.bulk.exports import file_of, forget_exports, open_export, start_export
from profiles.bulk.run_action import freeze, pack, run_bulk, unpack
from profiles.models import AttributeDefinition, Change, Profile
from profiles.privacy.delete import delete_profiles
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile_ids() -> list[int]:
    return [make_profile(first_name=f"P{number}", country="PL").pk for number in range(7)]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_action, "INLINE", 2)
    monkeypatch.setattr(run_action, "CHUNK", 3)
    monkeypatch.setattr(exports, "CHUNK", 3)


@given(st.sets(st.integers(1, 2**40)))
def test_a_list_of_ids_survives_packing(ids: set[int]) -> None:
    assert unpack(pack(ids)) == tuple(sorted(ids))


def test_a_million_ids_fit_into_a_form() -> None:
    assert len(pack(range(1, 3_000_000, 3))) < 100_000


def test_each_action_does_what_it_says(profile_ids: list[int], by_staff: dict[str, Any]) -> None:
    AttributeDefinition.objects.create(name="plan", type="choice", choices=["free", "pro"])
    some = profile_ids[:3]

    def do(action: str, **params: Any) -> int:
        return run_bulk(action=action, profile_ids=some, params=params, **by_staff).changed

    assert do("tag", tags=["vip", "club"]) == 3
    assert do("tag", tags=["VIP"]) == 0
    assert do("untag", tags=["club"]) == 3
    assert do("set", field="attributes.plan", value="pro") == 3
    assert do("set", field="country", value="Germany") == 3
    assert do("set", field="country", value="DE") == 0
    assert do("set", field="country", value=None) == 3
    assert do("lock") == 3
    assert do("unlock") == 3
    profile = Profile.objects.get(pk=some[0])
    assert (profile.attributes, profile.country, profile.is_locked) == ({"plan": "pro"}, None, False)
    journal = [change.fields for change in Change.objects.filter(profile=profile).order_by("id")][1:]
    assert journal == [
        {"tags": [[], ["club", "vip"]]},
        {"tags": [["club"], []]},
        {"attributes.plan": [None, "pro"]},
        {"country": ["PL", "DE"]},
        {"country": ["DE", None]},
        {"locked": [False, True]},
        {"locked": [True, False]},
    ]
    assert profile.version == 1 + len(journal)
    assert do("delete", reason="asked") == 3
    assert do("delete") == 0
    assert set(Profile.objects.live().values_list("pk", flat=True)) == set(profile_ids[3:])


def test_what_is_refused_changes_nobody(profile_ids: list[int], by_staff: dict[str, Any], vic: User) -> None:
    for action, params, message in (
        ("tag", {"tags": []}, "Name at least one tag."),
        ("tag", {"tags": ["a\x00b"]}, "A tag has no comma and no line break."),
        (
            "set",
            {"field": "email", "value": "a@mail.example"},
            "E-mail belongs to one person; change it on each card.",
        ),
        ("set", {"field": "country", "value": "Polnd"}, "Not a country."),
        ("set", {"field": "attributes.x", "value": "1"}, "There is no attribute “x”."),
        ("merge", {}, "“merge” is not a bulk action."),
    ):
        with pytest.raises(Invalid, match=message):
            run_bulk(action=action, profile_ids=profile_ids, params=params, **by_staff)
    with pytest.raises(Forbidden, match="vic may not delete for many people at once."):
        run_bulk(
            action="delete", profile_ids=profile_ids, actor=Actor.of_user(vic), source=by_staff["source"]
        )
    assert not Change.objects.exclude(kind="created").exists()


def test_a_long_list_is_a_job_over_exactly_these(
    profile_ids: list[int], by_staff: dict[str, Any], small_steps: None
) -> None:
    ids = freeze(Profile.objects.live())
    started = run_bulk(action="tag", profile_ids=ids, params={"tags": ["vip"]}, **by_staff)
    assert started.job is not None
    assert (started.job.title, started.job.total, started.changed) == ("Tag 7 people", 7, 0)
    late = make_profile()
    delete_profiles(profile_ids=[profile_ids[0]], **by_staff)
    job = run_to_end(started.job)
    assert (job.state, job.done, job.result) == ("done", 7, {"people_changed": 6})
    tagged = set(Profile.objects.tagged("vip").values_list("pk", flat=True))
    assert tagged == set(profile_ids[1:])
    assert late.pk not in tagged
    causes = Change.objects.filter(fields__has_key="tags").values_list("cause", "cause_id").distinct()
    assert set(causes) == {("job", job.pk)}


def test_a_right_taken_away_stops_the_job(
    profile_ids: list[int], mira: User, small_steps: None, by_staff: dict[str, Any]
) -> None:
    job = run_bulk(
        action="lock", profile_ids=profile_ids, actor=Actor.of_user(mira), source=by_staff["source"]
    ).job
    assert job is not None
    mira.groups.clear()
    ended = run_to_end(job)
    assert (ended.state, ended.done) == ("failed", 0)
    assert ended.problem.startswith("mira may no longer do this.")
    assert not Profile.objects.filter(is_locked=True).exists()


def test_setting_many_takes_a_constant_number_of_queries(
    profile_ids: list[int], by_staff: dict[str, Any]
) -> None:
    counts = []
    for ids, value in ((profile_ids[:1], "Kraków"), (profile_ids, "Łódź")):
        with CaptureQueriesContext(connection) as queries:
            run_bulk(action="set", profile_ids=ids, params={"field": "city", "value": value}, **by_staff)
        counts.append(len(queries))
    assert counts[0] == counts[1]


# --- Export ---------------------------------------------------------------------------------------------


def read(job: Job) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file_of(job).read_text("utf-8-sig"))))


def test_an_export_holds_everybody_once(profile_ids: list[int], ada: User, small_steps: None) -> None:
    AttributeDefinition.objects.create(name="likes", type="list")
    rich = make_profile(
        first_name="=cmd|'/c calc'!A0",
        email="ann@example.com",
        likes=["tea", "bikes"],
        identifiers=[("customer_id", "C-1")],
        tags=["vip"],
    )
    job = run_to_end(start_export(profile_ids=[*profile_ids, rich.pk], actor=Actor.of_user(ada)))
    assert (job.state, job.result) == ("done", {"people_written": 8})
    rows = read(job)
    assert [int(row["id"]) for row in rows] == [*profile_ids, rich.pk]
    last = rows[-1]
    assert last["first_name"] == "'=cmd|'/c calc'!A0"
    assert {key: last[key] for key in ("customer_id", "email", "likes", "tags", "type")} == {
        "customer_id": "C-1",
        "email": "ann@example.com",
        "likes": "tea,bikes",
        "tags": "vip",
        "type": "recognized",
    }
    assert file_of(job).stat().st_mode & 0o077 == 0


def test_a_chunk_written_twice_counts_once(profile_ids: list[int], ada: User, small_steps: None) -> None:
    job = start_export(profile_ids=profile_ids, actor=Actor.of_user(ada))
    from cdp.jobs import take

    chunk = take(job.pk)
    assert chunk is not None
    exports._step(chunk)
    with file_of(job).open("ab") as file:
        file.write(b"half a row of a worker that was killed")
    Job.objects.filter(pk=job.pk).update(lease_until=None)
    assert [int(row["id"]) for row in read(run_to_end(job))] == profile_ids


def test_only_who_started_it_gets_the_file(
    profile_ids: list[int], ada: User, mira: User, small_steps: None
) -> None:
    actor = Actor.of_user(mira)
    job = start_export(profile_ids=profile_ids, actor=actor)
    with pytest.raises(NotFound, match=f"Export {job.pk} is not finished: 0 of 7 people are written."):
        open_export(job_id=job.pk, actor=actor)
    run_to_end(job)
    assert open_export(job_id=job.pk, actor=actor) == file_of(job)
    assert AuditEntry.objects.filter(action="profile.bulk_export.download").count() == 1
    with pytest.raises(NotFound, match=f"There is no export {job.pk}."):
        open_export(job_id=job.pk, actor=Actor.of_user(ada))
    assert forget_exports() == 0
    assert forget_exports(days=-1) == 1
    with pytest.raises(
        NotFound, match=f"The file of export {job.pk} was deleted after 7 days. Export again."
    ):
        open_export(job_id=job.pk, actor=actor)


def test_without_the_right_nothing_is_exported(profile_ids: list[int], sam: User) -> None:
    with pytest.raises(Forbidden, match="sam may not export many people."):
        start_export(profile_ids=profile_ids, actor=Actor.of_user(sam))
    assert not Job.objects.exists()


def test_personal_data_stays_masked(profile_ids: list[int], vic: User) -> None:
    vic.user_permissions.add(Permission.objects.get(codename="bulk_export"))
    make_profile(first_name="Ann", email="ann@example.com")
    everybody = freeze(Profile.objects.live())
    rows = read(
        run_to_end(start_export(profile_ids=everybody, actor=Actor.of_user(User.objects.get(pk=vic.pk))))
    )
    assert rows[-1]["email"] == "a•••@e•••.com"
    assert "ann@example.com" not in str(rows)


def test_a_canceled_export_leaves_no_file(profile_ids: list[int], ada: User, small_steps: None) -> None:
    actor = Actor.of_user(ada)
    job = start_export(profile_ids=profile_ids, actor=actor)
    from cdp.jobs import take

    chunk = take(job.pk)
    assert chunk is not None
    exports._step(chunk)
    assert file_of(job).exists()
    Job.objects.filter(pk=job.pk).update(lease_until=None, lease_token=None, state="queued")
    cancel_job(job_id=job.pk, actor=actor)
    assert not file_of(job).exists()


@pytest.mark.parametrize(
    "text", ["=1+1", "+48 600", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "＋1", "'=1", "''@x", " =1"]
)
def test_formulas_are_disarmed_and_come_back(text: str) -> None:
    assert safe_cell(text) == "'" + text
    assert unsafe_cell(safe_cell(text)) == text


@given(st.text())
def test_cells_come_back_as_they_were(text: str) -> None:
    safe = safe_cell(text)
    assert unsafe_cell(safe) == text
    assert safe.lstrip("'") == text.lstrip("'")
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))
