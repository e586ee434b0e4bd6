"""Applying: exactly the plan, once, whatever changed or fails meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.errors import Conflict, Stale
from cdp.jobs import run, run_to_end
from cdp.models import AuditEntry, Job, Mail, OutboxMessage, User, Webhook
from imports import apply as applying
from imports.apply import apply_import
from imports.apply_sql import IDENTIFIER_TAKEN, PROFILE_CHANGED
from imports.job_controls import cancel_import, pause_import, resume_import
from imports.models import Import, Row
from imports.partitions import has_rows
from imports.report import row_problems
from imports.retention import expire_imports
from profiles.editing import create_profile, update_profile
from profiles.merging.merge import merge_profiles
from profiles.models import DuplicatePair, Identifier, Profile
from profiles.privacy.delete import delete_profiles
from tests.imports.files import applied, apply, outcomes, plan, planned, some, summed, upload
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

SYSTEM = Actor.system()


def people_csv(n: int, **cells: str) -> str:
    """``n`` new people, two rows per chunk of the tests below."""
    return "email,first_name\n" + "".join(f"p{i}@example.com,{cells.get(f'p{i}', 'Ann')}\n" for i in range(n))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "CHUNK_ROWS", 2)


@pytest.fixture
def poison(db: None) -> None:
    """The database refuses a profile called Poison, with its e-mail address in the message as PostgreSQL does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF NEW.first_name = 'Poison' THEN RAISE EXCEPTION 'no %', NEW.email USING ERRCODE = '22000'; END IF;"
            " RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON profiles_profile FOR EACH ROW EXECUTE FUNCTION refuse()"
        )


# --- What changed since the plan ----------------------------------------------------------------------


def test_rows_whose_profile_changed_are_left_out_and_listed(by_staff: dict[str, Any]) -> None:
    ann, bob = make_profile(email="ann@example.com"), make_profile(email="bob@example.com")
    import_ = planned("email,city\nann@example.com,Kraków\nbob@example.com,Gdańsk\nann@example.com,Poznań\n")
    assert some(import_) == {"updated": 2, "duplicate_in_file": 1}
    update_profile(profile_id=ann.pk, values={"first_name": "Ann"}, **by_staff)
    import_ = apply(import_)
    assert outcomes(import_) == {2: "held", 3: "updated", 4: "held"}
    assert some(import_) == {"updated": 1, "held": 2}
    assert {row["message"] for row in row_problems(import_)} == {PROFILE_CHANGED}
    ann.refresh_from_db()
    bob.refresh_from_db()
    assert (ann.city, bob.city) == (None, "Gdańsk")


def test_rows_of_a_merged_or_deleted_profile_are_left_out(by_staff: dict[str, Any]) -> None:
    from profiles.privacy.delete import delete_profiles

    ann, old = make_profile(email="ann@example.com"), make_profile(email="old@example.com")
    gone = make_profile(email="gone@example.com")
    import_ = planned("email,city\nold@example.com,Kraków\ngone@example.com,Gdańsk\n")
    merge_profiles(winner_id=ann.pk, loser_id=old.pk, **by_staff)
    delete_profiles(profile_ids=[gone.pk], **by_staff)
    assert outcomes(apply(import_)) == {2: "held", 3: "held"}
    old.refresh_from_db()
    assert old.city is None
    # Planned again, they go where they belong now.
    again = applied("email,city\nold@example.com,Kraków\ngone@example.com,Gdańsk\n")
    assert outcomes(again) == {2: "updated", 3: "created"}
    ann.refresh_from_db()
    assert ann.city == "Kraków"


def test_an_identifier_another_profile_got_meanwhile(by_staff: dict[str, Any]) -> None:
    ann = make_profile(email="ann@example.com")
    import_ = planned(
        "customer_id,email,first_name\nC1,new@example.com,New\nC2,ann@example.com,\nC3,other@example.com,Other\n"
    )
    assert outcomes(import_) == {2: "created", 3: "updated", 4: "created"}
    create_profile(values={"email": "new@example.com"}, **by_staff)
    create_profile(identifiers=[("customer_id", "C2")], **by_staff)
    import_ = apply(import_)
    assert outcomes(import_) == {2: "held", 3: "held", 4: "created"}
    assert [row["message"] for row in row_problems(import_)] == [IDENTIFIER_TAKEN, IDENTIFIER_TAKEN]
    assert not Profile.objects.filter(first_name="New").exists()
    assert not ann.identifiers.filter(value="C2").exists()
    assert Identifier.objects.filter(value="C1").count() == 0
    assert summed(import_)


# --- Rows the database refuses --------------------------------------------------------------------------


def test_a_poison_row_is_rejected_and_all_others_are_written(poison: None, monkeypatch: Any) -> None:
    make_profile(email="p3@example.com")
    import_ = planned(people_csv(9, p3="Poison", p6="Poison") + "p6@example.com,Again\n")
    assert some(import_) == {"created": 8, "updated": 1, "duplicate_in_file": 1}
    import_ = apply(import_)
    assert import_.state == "done"
    assert some(import_) == {"created": 7, "failed": 3}
    assert {line for line, outcome in outcomes(import_).items() if outcome == "failed"} == {5, 8, 11}
    assert row_problems(import_)[0]["message"] == "The database refused this row (data exception)."
    assert Profile.objects.count() == 8
    assert Profile.objects.filter(changes__cause="import").distinct().count() == 7
    assert not [entry for entry in AuditEntry.objects.all() if "p6@" in str(entry.detail)]


def test_a_failure_that_blames_no_row_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import_ = planned(people_csv(3))
    tries = iter([True, False])
    real = applying.write_rows

    def flaky(writer: Any, first: int, last: int) -> int:
        if next(tries):
            raise OperationalError("the connection is lost")
        return real(writer, first, last)

    monkeypatch.setattr(applying, "write_rows", flaky)
    job = run_to_end(apply_import(import_id=import_.pk, actor=SYSTEM))
    assert (job.state, Profile.objects.count()) == ("queued", 0)
    Job.objects.update(wake_at="2000-01-01T00:00:00Z")
    assert (run_to_end(job).state, Profile.objects.count()) == ("done", 3)


# --- Pause, resume, cancel ------------------------------------------------------------------------------


def one_chunk(job: Job) -> None:
    """As a worker whose slice is over after one chunk."""
    run(job.pk, slice_seconds=0)


def test_pause_resume_and_cancel(small_chunks: None) -> None:
    import_ = planned(people_csv(7))
    job = apply_import(import_id=import_.pk, actor=SYSTEM)
    one_chunk(job)
    assert pause_import(import_id=import_.pk, actor=SYSTEM).display_state == "paused"
    run_to_end(job)
    assert Profile.objects.count() == 2
    assert resume_import(import_id=import_.pk, actor=SYSTEM).display_state == "applying"
    one_chunk(job)
    import_ = cancel_import(import_id=import_.pk, actor=SYSTEM)
    assert (import_.state, Profile.objects.count()) == ("canceled", 4)
    assert some(import_) == {"created": 4, "not_applied": 3}
    assert summed(import_)
    with pytest.raises(Conflict) as refusal:
        resume_import(import_id=import_.pk, actor=SYSTEM)
    assert refusal.value.message == "This import is canceled; there is nothing to resume."


def test_a_discarded_plan_can_be_planned_again() -> None:
    import_ = planned(people_csv(2))
    import_ = cancel_import(import_id=import_.pk, actor=SYSTEM)
    assert import_.state == "canceled"
    with pytest.raises(Conflict) as refusal:
        apply_import(import_id=import_.pk, actor=SYSTEM)
    assert refusal.value.message == "This import is canceled; only a planned one can be applied."
    assert apply(plan(import_)).state == "done"


def test_losing_the_permission_stops_before_the_next_chunk(
    small_chunks: None, make_user: Callable[..., User]
) -> None:
    dan = make_user("dan", "data admin")
    import_ = planned(people_csv(7), user=dan)
    job = apply_import(import_id=import_.pk, actor=Actor.of_user(dan))
    one_chunk(job)
    dan.is_active = False
    dan.save()
    run_to_end(job)
    import_.refresh_from_db()
    assert (import_.state, Profile.objects.count()) == ("failed", 2)
    assert import_.problem == (
        "The login “dan” is deactivated. Stopped before the next step; what was done stays done."
        " Everything up to line 3 is done."
    )
    assert some(import_) == {"created": 2, "not_applied": 5}
    dan.is_active = True
    dan.save()
    resume_import(import_id=import_.pk, actor=Actor.of_user(dan))
    run_to_end(job)
    import_.refresh_from_db()
    assert (import_.state, import_.problem, some(import_)) == ("done", "", {"created": 7})


def test_only_the_plan_that_was_looked_at() -> None:
    import_ = planned(people_csv(2))
    with pytest.raises(Stale) as stale:
        apply_import(import_id=import_.pk, revision=import_.revision + 1, actor=SYSTEM)
    assert stale.value.message == "The mapping was changed after this plan was shown. Look at the new plan."
    assert apply(import_).state == "done"


# --- The uploaded file ----------------------------------------------------------------------------------


def test_staged_rows_are_applied_whatever_became_of_the_file() -> None:
    overwritten, removed = planned(people_csv(2)), planned("email,first_name\neve@example.com,Eve\n")
    Path(overwritten.file.path).chmod(0o600)
    Path(overwritten.file.path).write_text(people_csv(2).replace("Ann", "Mallory"))
    Path(removed.file.path).unlink()
    assert some(apply(overwritten)) == {"created": 2}
    assert some(apply(removed)) == {"created": 1}
    assert sorted(Profile.objects.values_list("first_name", flat=True)) == ["Ann", "Ann", "Eve"]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (people_csv(3), "The stored file is not the one that was uploaded. Upload it again."),
        (None, "The uploaded file is gone. Upload it again."),
    ],
)
def test_only_the_uploaded_file_is_planned(changed: str | None, problem: str) -> None:
    import_ = upload(people_csv(2))
    path = Path(import_.file.path)
    if changed is None:
        path.unlink()
    else:
        path.chmod(0o600)
        path.write_text(changed)
    import_ = plan(import_)
    assert (import_.state, import_.problem) == ("failed", problem)
    assert not has_rows(import_)


# --- Mail and webhooks ----------------------------------------------------------------------------------


def test_the_summary_mail_has_the_outcomes(make_user: Callable[..., User], settings: Any) -> None:
    settings.CDP_IMPORT_MAIL_EVERY = 2
    dan = make_user("dan", "data admin")
    make_profile(email="p0@example.com", first_name="Ann")
    make_profile(email="p1@example.com")
    applied(people_csv(5) + "nobody,Bob\n", user=dan)
    summary, *_ = Mail.objects.all()
    assert summary.to == ["dan@staff.example"]
    assert summary.subject == "Import of people.csv: done, 6 rows"
    for sentence in (
        "6 rows, 4 people imported",
        "3  new people",
        "1  updated with new information",
        "1  kept as they were",
        "1  rejected",
        "- line 7, email: Not an e-mail address: “@” is missing.",
    ):
        assert sentence in summary.text
    assert "<b>4 people imported</b>" in summary.html
    assert [mail.subject for mail in Mail.objects.order_by("pk")] == [
        "Import of people.csv: 2 people",
        "Import of people.csv: 4 people",
        summary.subject,
    ]


def test_one_person_is_one_and_a_keys_mails_go_to_its_owner(
    make_user: Callable[..., User], settings: Any
) -> None:
    settings.CDP_IMPORT_MAIL_EVERY = 1
    dan = make_user("dan", "data admin")
    made = create_key(name="nightly", scopes=["imports"], actor=Actor.of_user(dan)).key
    import_ = planned("email\nann@example.com\n")
    Import.objects.filter(pk=import_.pk).update(user=None, key=made)
    Mail.objects.all().delete()  # that the key was made
    apply(Import.objects.get(pk=import_.pk))
    mails = Mail.objects.order_by("pk")
    assert [mail.to for mail in mails] == [["dan@staff.example"]] * 2
    assert [mail.subject for mail in mails] == [
        "Import of people.csv: 1 person",
        "Import of people.csv: done, 1 row",
    ]
    assert mails[0].text.startswith("1 person of people.csv is imported.")
    assert "1 row, 1 person imported" in mails[1].text


def test_webhooks_are_sent(db: None) -> None:
    Webhook.objects.create(
        name="shop",
        url="https://shop.example/",
        secret="s",
        topics=["profile.created", "profile.updated", "import.finished"],
    )
    ann = make_profile(email="p0@example.com")
    OutboxMessage.objects.all().delete()
    import_ = applied(people_csv(2))
    messages = OutboxMessage.objects.order_by("pk").values_list("topic", "profile_id", "payload")
    new = Profile.objects.exclude(pk=ann.pk).get()
    assert list(messages) == [
        ("profile.created", new.pk, {"profile_id": new.pk}),
        ("profile.updated", ann.pk, {"profile_id": ann.pk, "fields": ["first_name"]}),
        ("import.finished", None, {"import_id": import_.pk, "state": "done", "counts": import_.counts}),
    ]


# --- Retention ------------------------------------------------------------------------------------------


def test_files_and_rows_are_removed_in_time(
    settings: Any, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    old, new, unfinished = applied(people_csv(2)), applied(people_csv(3)), upload(people_csv(4))
    month = timezone.now() - timedelta(days=31)
    Import.objects.filter(pk=old.pk).update(finished_at=month)
    Import.objects.filter(pk=unfinished.pk).update(created_at=month)
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    for name in ("a.upload.csv", "b.upload.csv"):
        (tmp_path / name).write_text("partial")
    import os

    os.utime(tmp_path / "a.upload.csv", (0, 0))
    stray = Path(old.file.path).with_name("stray.csv")
    stray.write_text("x")
    os.utime(stray, (0, 0))
    with django_capture_on_commit_callbacks(execute=True):
        assert expire_imports() == 4
    old.refresh_from_db()
    unfinished.refresh_from_db()
    assert (old.state, bool(old.file), old.sample, has_rows(old)) == ("done", False, [], False)
    assert old.counts["created"] == 2
    assert (unfinished.state, bool(unfinished.file)) == ("canceled", False)
    assert has_rows(new)
    assert Row.objects.filter(import_id=new.pk).count() == 3
    assert not stray.exists()
    assert [path.name for path in tmp_path.glob("*.csv")] == ["b.upload.csv"]
    assert [path.name for path in Path(new.file.path).parent.iterdir()] == [Path(new.file.name).name]
    assert expire_imports() == 0


# --- Duplicates the import itself brought -----------------------------------------------------------------

# The last row is about the first profile again, with the address of a profile a chunk later.
SHARED_EMAIL = "customer_id,email\nC1,a@example.com\nC9,z@example.com\nC2,b@example.com\nC1,b@example.com\n"


def pairs() -> list[tuple[str, str, str, int]]:
    """The suggested pairs and why; profiles by their customer id."""
    rows = DuplicatePair.objects.order_by("pk").values_list("a_id", "b_id", "reasons")
    ids = dict(Identifier.objects.filter(type__name="customer_id").values_list("profile_id", "value"))
    return [(ids[a], ids[b], reasons[0]["text"], reasons[0]["line"]) for a, b, reasons in rows]


def test_a_profile_of_a_later_chunk_is_suggested_as_a_duplicate(small_chunks: None) -> None:
    import_ = planned(SHARED_EMAIL)
    assert outcomes(import_) == {2: "created", 3: "created", 4: "created", 5: "duplicate_in_file"}
    assert import_.warnings[0]["code"] == "two_people"
    apply(import_)
    assert pairs() == [("C1", "C2", "Both came with the email b@example.com.", 2)]
    DuplicatePair.objects.update(verdict="not_duplicate")
    Identifier.objects.filter(value="b@example.com", resolves=False).delete()
    assert some(applied(SHARED_EMAIL)) == {"updated": 1, "unchanged": 2, "duplicate_in_file": 1}
    assert DuplicatePair.objects.get().verdict == "not_duplicate"


def test_a_known_profile_that_gets_the_shared_value_in_a_later_chunk(small_chunks: None) -> None:
    make_profile(identifiers=[("customer_id", "C2")])
    apply(planned(SHARED_EMAIL))
    assert sorted(pairs()[0][:2]) == ["C1", "C2"]
    assert len(pairs()) == 1


def test_rows_that_a_stopped_import_did_not_write_are_no_duplicates(small_chunks: None) -> None:
    import_ = planned(SHARED_EMAIL)
    job = apply_import(import_id=import_.pk, actor=SYSTEM)
    run(job.pk, slice_seconds=0)
    assert Job.objects.get(pk=job.pk).done == 2
    cancel_import(import_id=import_.pk, actor=SYSTEM)
    run_to_end(job)
    import_.refresh_from_db()
    assert (import_.state, pairs()) == ("canceled", [])


def test_a_profile_deleted_meanwhile_is_not_suggested(small_chunks: None, by_staff: dict[str, Any]) -> None:
    import_ = planned(SHARED_EMAIL)
    job = apply_import(import_id=import_.pk, actor=SYSTEM)
    run(job.pk, slice_seconds=0)
    first = Identifier.objects.get(value="C1").profile
    delete_profiles(profile_ids=[first.pk], **by_staff)
    run_to_end(job)
    import_.refresh_from_db()
    assert (import_.state, pairs()) == ("done", [])
