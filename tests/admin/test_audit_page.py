"""The audit log's page: found by anything one would type, checked on a button, closed to everybody else."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from cdp import audit, audit_chain
from cdp.actors import Actor
from cdp.jobs import run_to_end
from cdp.models import AuditEntry, Job, User

pytestmark = pytest.mark.django_db
LIST = "/admin/cdp/auditentry/"


@pytest.fixture
def log(sam: User, mira: User) -> None:
    audit.record("profile.note", actor=Actor.of_user(sam), subject="profile:41")
    audit.record("profile.merge", actor=Actor.of_user(sam), subject="profile:42", detail={"loser": 43})
    audit.record("export.start", actor=Actor.of_user(mira), subject="job:7", detail={"profiles": 900})


def actions_found(client: Any, query: str) -> list[str]:
    page = client.get(f"{LIST}?{query}")
    assert page.status_code == 200
    return [entry.action for entry in page.context["cl"].result_list if entry.action != "login"]


@pytest.mark.parametrize(
    ("query", "actions"),
    [
        ("q=42", ["profile.merge"]),
        ("q=%2342", ["profile.merge"]),
        ("q=job:7", ["export.start"]),
        ("q=sam", ["profile.merge", "profile.note"]),
        ("q=export", ["export.start"]),
        ("q=nothing", []),
        ("what=merge", ["profile.merge"]),
        ("what=people", ["profile.merge", "profile.note"]),
        ("what=bogus", ["export.start", "profile.merge", "profile.note"]),
        ("when=1", ["export.start", "profile.merge", "profile.note"]),
    ],
)
def test_entries_are_found_by_what_one_would_type(
    query: str, actions: list[str], log: None, as_user: Any, ada: User
) -> None:
    assert actions_found(as_user(ada), query) == actions


def test_entries_are_filtered_by_who_did_it(log: None, as_user: Any, ada: User, mira: User) -> None:
    assert actions_found(as_user(ada), f"who={mira.pk}") == ["export.start"]


def test_the_list_costs_the_same_for_one_entry_and_a_hundred(
    as_user: Any, ada: User, django_assert_max_num_queries: Any
) -> None:
    client = as_user(ada)
    client.get(LIST)
    with django_assert_max_num_queries(9):
        client.get(LIST)
    audit.record_many("profile.note", actor=Actor.system(), subjects=[f"profile:{n}" for n in range(100)])
    with django_assert_max_num_queries(9):
        client.get(LIST)


def test_an_entry_shows_all_of_itself_and_is_escaped(as_user: Any, ada: User) -> None:
    entry = audit.record(
        "profile.delete",
        actor=Actor.system(),
        subject="profile:5",
        detail={"reason": "<script>alert(1)</script>"},
    )
    audit_chain.seal()
    text = as_user(ada).get(f"{LIST}{entry.pk}/change/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert(1)" not in text
    entry.refresh_from_db()
    assert entry.digest in text
    assert as_user(ada).get(f"{LIST}999999/change/").status_code == 404


def test_the_check_runs_as_a_job_and_says_what_is_wrong(as_user: Any, ada: User) -> None:
    audit.record_many("profile.note", actor=Actor.system(), subjects=["profile:1"] * 5)
    audit_chain.seal()
    client = as_user(ada)
    assert client.post(f"{LIST}check/").status_code == 302
    job = run_to_end(Job.objects.latest("pk"))
    assert (job.state, job.done) == ("done", AuditEntry.objects.filter(sealed__isnull=False).count())
    third = AuditEntry.objects.get(sealed=3)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cdp_auditentry DISABLE TRIGGER USER")
        cursor.execute("UPDATE cdp_auditentry SET actor = 'nobody' WHERE sealed = 3")
        cursor.execute("ALTER TABLE cdp_auditentry ENABLE TRIGGER USER")
    client.post(f"{LIST}check/")
    job = run_to_end(Job.objects.latest("pk"))
    assert job.state == "failed"
    assert job.problem == (
        f"The chain breaks at entry #{third.pk}. The row or one before it was changed after it was sealed."
    )


def test_only_those_with_the_right_come_in_and_nobody_writes(
    as_user: Any, make_user: Any, sam: User, ada: User
) -> None:
    officer = make_user("pia", "privacy officer")
    entry = audit.record("profile.note", actor=Actor.system())
    assert as_user(officer).get(LIST).status_code == 200
    for url in (LIST, f"{LIST}{entry.pk}/change/"):
        assert as_user(sam).get(url).status_code == 403
    assert as_user(sam).post(f"{LIST}check/").status_code == 403
    for url in (f"{LIST}add/", f"{LIST}{entry.pk}/delete/"):
        assert as_user(ada).get(url).status_code == 403
    assert as_user(ada).post(f"{LIST}{entry.pk}/change/", {"actor": "x"}).status_code == 405


def test_entries_read_as_sentences(log: None, as_user: Any, ada: User) -> None:
    text = as_user(ada).get(LIST).content.decode()
    assert '<b>sam</b> <span title="profile.note">wrote a note on</span> ' in text
    assert (
        'merged another profile into</span> <a href="/admin/profiles/profile/42/change/">profile #42</a>'
        in text
    )
    assert ">export start</span>" in text, "an action nobody described keeps its name"
