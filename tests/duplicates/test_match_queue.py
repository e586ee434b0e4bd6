"""The queue of changed profiles: every verb that changes what is compared fills it, and imports do not clog
it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from cdp.actors import Actor
from cdp.jobs import run, run_to_end, start_job
from cdp.models import Job
from profiles.builtin_sources import builtin_source
from profiles.duplicates.finding import full_scan, match_queue
from profiles.editing import update_profile
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import DuplicatePair, Identifier, IdentifierType, MatchQueue, MatchRow
from profiles.privacy.delete import delete_profiles
from profiles.privacy.restore import restore_profile
from profiles.tracking.pending.double_opt_in import confirm_identifier
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
MAIL = "ann.brown@web.de"


def queued() -> set[int]:
    """Who is in the queue, which is empty afterwards."""
    ids = set(MatchQueue.objects.values_list("profile_id", flat=True))
    MatchQueue.objects.all().delete()
    return ids


def test_a_confirmed_value_counts_from_then_on(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", last_name="Brown")
    kind = IdentifierType.objects.get(name="email")
    Identifier.objects.create(
        profile=ann, type=kind, value=MAIL, source=builtin_source("web"), resolves=False, is_pending=True
    )
    match_queue.work_off()
    assert MatchRow.objects.get(pk=ann.pk).email is None, "what waits is nobody's yet"
    confirm_identifier(profile_id=ann.pk, type_name="email", raw=MAIL, **by_staff)
    assert queued() == {ann.pk}
    match_queue.refresh([ann.pk])
    assert MatchRow.objects.get(pk=ann.pk).email == MAIL


def test_verbs_that_move_people_fill_the_queue(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", email=MAIL)
    bob = make_profile(first_name="Bob", email="bob@web.de")
    assert queued() == {ann.pk, bob.pk}
    merged = merge_profiles(winner_id=ann.pk, loser_id=bob.pk, **by_staff)
    assert queued() == {ann.pk, bob.pk}
    unmerge_profiles(merge_id=merged.merge_id, **by_staff)
    assert queued() >= {ann.pk, bob.pk}
    delete_profiles(profile_ids=[bob.pk], **by_staff)
    assert queued() == {bob.pk}
    restore_profile(profile_id=bob.pk, **by_staff)
    assert queued() == {bob.pk}
    update_profile(profile_id=ann.pk, values={"language": "pl"}, **by_staff)
    assert queued() == set(), "of this nobody is compared"


def test_a_change_of_an_identifier_alone_fills_the_queue() -> None:
    ann, bob = make_profile(first_name="Ann", email=MAIL), make_profile(first_name="Bob")
    browser = IdentifierType.objects.get(name="anonymous_id")
    soft = Identifier.objects.create(
        profile=ann, type=browser, value="b-1", source=builtin_source("web"), resolves=True
    )
    queued()
    email = Identifier.objects.filter(profile=ann, type__name="email")
    for changes, expected in (
        ({"resolves": False}, {ann.pk}),
        ({"is_pending": True}, {ann.pk}),
        ({"is_pending": True}, set()),
        ({"last_seen_at": timezone.now()}, set()),
        ({"profile": bob}, {ann.pk, bob.pk}),
    ):
        Identifier.objects.filter(pk=email.model.objects.get(type__name="email").pk).update(**changes)
        assert queued() == expected, changes
    Identifier.objects.filter(pk=soft.pk).update(resolves=False)
    assert queued() == set(), "a browser says nothing about who somebody is"


# --- Imports ---------------------------------------------------------------------------------------------------


def import_of(count: int, *, ago: timedelta = timedelta()) -> list[int]:
    """So many people queued by one transaction, as an import's chunk does."""
    ids = [make_profile(first_name=f"Name{number}", last_name="Brown").pk for number in range(count)]
    MatchQueue.objects.all().delete()
    MatchQueue.objects.bulk_create(
        MatchQueue(profile_id=pk, xact=7, queued_at=timezone.now() - ago) for pk in ids
    )
    return ids


def importing() -> Job:
    job = start_job(kind=match_queue.IMPORT_KIND, actor=Actor.system())
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING)
    return job


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_queue, "SCAN_FROM", 8)
    monkeypatch.setattr(match_queue, "MAX_EDIT_ENTRIES", 3)


@pytest.mark.usefixtures("small")
def test_an_edit_does_not_wait_behind_an_import() -> None:
    many = import_of(6)
    job = importing()
    ann = make_profile(first_name="Ann", email=MAIL)
    MatchQueue.objects.filter(profile_id=ann.pk).update(xact=8)
    assert match_queue.work_off() == 1
    assert set(MatchRow.objects.values_list("pk", flat=True)) == {ann.pk}
    assert match_queue.queue_length() == len(many)
    Job.objects.filter(pk=job.pk).update(state=Job.State.DONE)
    assert match_queue.work_off() == len(many), "few enough for batches once it has ended"
    assert match_queue.queue_length() == 0
    assert not Job.objects.filter(kind=full_scan.KIND).exists()


@pytest.mark.usefixtures("small")
def test_others_have_their_turn_between_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit is before what is left of an import; a worker leaves when its time is over, at the end of a batch."""
    ann = make_profile(first_name="Ann", email=MAIL)
    import_of(6)
    MatchQueue.objects.create(profile_id=ann.pk, xact=8)
    monkeypatch.setattr(match_queue, "BATCH", 4)
    assert match_queue.work_off(seconds=0) == 1
    assert set(MatchRow.objects.values_list("pk", flat=True)) == {ann.pk}
    assert match_queue.work_off(seconds=0) == 4
    assert match_queue.queue_length() == 2
    assert match_queue.work_off() == 2
    assert match_queue.work_off() == 0


@pytest.mark.usefixtures("small")
def test_an_import_that_does_not_end_is_not_waited_for() -> None:
    import_of(6, ago=match_queue.MAX_WAIT + timedelta(seconds=1))
    importing()
    assert match_queue.work_off() == 6


@pytest.mark.usefixtures("small")
def test_many_are_left_to_one_scan() -> None:
    many = import_of(12)
    assert match_queue.work_off() == match_queue.work_off() == 0
    job = Job.objects.get(kind=full_scan.KIND)
    assert (job.user, job.is_system, job.permission) == (None, True, "profiles.scan_duplicates")
    assert run_to_end(job).state == "done"
    assert match_queue.queue_length() == 0
    assert set(MatchRow.objects.values_list("pk", flat=True)) == set(many)
    assert match_queue.work_off() == 0
    assert Job.objects.filter(kind=full_scan.KIND).count() == 1


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("state", [Job.State.PAUSED, Job.State.FAILED, Job.State.CANCELED])
def test_many_do_not_wait_for_a_scan_that_does_not_run(state: str) -> None:
    import_of(12)
    match_queue.work_off()
    ended = None if state == Job.State.PAUSED else timezone.now()
    Job.objects.filter(kind=full_scan.KIND).update(state=state, finished_at=ended)
    assert match_queue.work_off() == 12
    assert match_queue.queue_length() == 0


def test_transactions_are_distinguished() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT txid_current()")
        (own,) = cursor.fetchone()
    make_profile(first_name="Ann")
    assert set(MatchQueue.objects.values_list("xact", flat=True)) == {own}


# --- Beside a scan ---------------------------------------------------------------------------------------------


def test_who_changes_during_a_scan_is_compared_after_it(by_staff: dict[str, Any]) -> None:
    """The scan's file is of a moment ago: it neither takes away what was found since nor brings back what went."""
    same = {"last_name": "Pucllar", "birth_date": "1980-05-17"}
    first, second = (make_profile(first_name="Ann", **same) for _ in range(2))
    late = make_profile(first_name="Zoe", last_name="Quist")
    match_queue.work_off()
    job = full_scan.start_scan(actor=by_staff["actor"])
    while job.cursor.get("step") != "store":
        run(job.pk, slice_seconds=0)
        job.refresh_from_db()
    update_profile(
        profile_id=second.pk, values={"first_name": "Olaf", "birth_date": "1950-01-02"}, **by_staff
    )
    update_profile(profile_id=late.pk, values={"first_name": "Ann", **same}, **by_staff)
    match_queue.work_off()
    now = [(first.pk, late.pk)]
    assert list(DuplicatePair.objects.values_list("a_id", "b_id").filter(tier="certain")) == now
    assert run_to_end(job).state == "done"
    match_queue.work_off()
    assert list(DuplicatePair.objects.values_list("a_id", "b_id").filter(tier="certain")) == now
