"""Merges against merges, edits, events and dying connections."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Signal
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from cdp.actors import Actor
from cdp.errors import Refused, RuleForbids, Stale
from cdp.invariants import violations
from profiles.builtin_sources import builtin_source
from profiles.editing import add_event, add_note, attach_identifier, update_profile
from profiles.editing.additions import set_lock
from profiles.editing.locking import lock_root
from profiles.identity.graph import lock_profiles, retried
from profiles.identity.lookup import find_profile
from profiles.merging.merge import Merged, merge_profiles
from profiles.merging.preview import preview_merge
from profiles.merging.unmerge import Unmerged, unmerge_profiles
from profiles.models import Change, Event, EventName, Identifier, Merge, Note, Profile
from profiles.tagging import tag_profiles
from tests.merging.worlds import checksums
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db(transaction=True)

Together = Callable[..., list[Any]]


def by() -> dict[str, Any]:
    return {"actor": Actor.system(), "source": builtin_source("system")}


def merging(winner: Profile, loser: Profile, **more: Any) -> Callable[[], Merged]:
    return lambda: merge_profiles(winner_id=winner.pk, loser_id=loser.pk, **more, **by())


def people(count: int) -> list[Profile]:
    return [make_profile(email=f"p{number}@example.com") for number in range(count)]


def until_somebody_waits() -> None:
    """Return once another connection of this database waits for a lock."""
    with psycopg.connect(**raw_parameters(), autocommit=True) as watcher:
        for _ in range(3000):
            waiting = watcher.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone()
            if waiting and waiting[0]:
                return
            Signal().wait(0.01)
    raise AssertionError("nobody waits")


def raw_parameters() -> dict[str, Any]:
    wanted = ("host", "port", "user", "password", "dbname")
    return {key: value for key, value in connection.get_connection_params().items() if key in wanted}


# --- Two at once -----------------------------------------------------------------------------------------


def test_merging_in_a_row_at_once_makes_one_person(two_connections: Together) -> None:
    for _ in range(5):
        a, b, c = people_with_events(3)
        results = two_connections(merging(a, b), merging(b, c))
        assert all(isinstance(result, Merged) for result in results)
        assert set(
            Profile.objects.filter(pk__in=[a.pk, b.pk, c.pk]).values_list("canonical_id", flat=True)
        ) == {a.pk}
        assert Event.objects.of_profiles(a.pk).count() == 3
        assert violations() == []


def people_with_events(count: int) -> list[Profile]:
    made = [make_profile() for _ in range(count)]
    for person in made:
        add_event(profile_id=person.pk, name="Page", **by())
    return made


def test_merging_both_ways_at_once_merges_once(two_connections: Together) -> None:
    for directions in ((0, 1, 1, 0), (0, 1, 0, 1)):
        pair = people_with_events(2)
        first, second = pair[directions[0]], pair[directions[1]]
        third, fourth = pair[directions[2]], pair[directions[3]]
        results = two_connections(merging(first, second), merging(third, fourth))
        (done,) = [result for result in results if isinstance(result, Merged)]
        (refused,) = [result for result in results if isinstance(result, RuleForbids)]
        assert refused.message.endswith(f"are already merged: both are profile #{done.winner_id}.")
        assert Event.objects.of_profiles(done.winner_id).count() == 2
        assert violations() == []


def test_one_undo_at_once_undoes_once(two_connections: Together) -> None:
    a, b = people_with_events(2)
    merge_id = merging(a, b)().merge_id
    results = two_connections(*[lambda: unmerge_profiles(merge_id=merge_id, **by())] * 2)
    assert sorted(type(result).__name__ for result in results) == ["RuleForbids", "Unmerged"]
    assert violations() == []


def test_events_and_identifiers_come_in_while_a_merge_is_open(two_connections: Together) -> None:
    """Ingest never waits: it inserts on the loser while the merge holds every lock it takes."""
    a, b = people_with_events(2)
    name = EventName.objects.get(name="Page")
    open_, inserted = Signal(), Signal()

    def merge() -> Merged:
        with transaction.atomic():
            done = merging(a, b)()
            open_.set()
            assert inserted.wait(30)
            return done

    def ingest() -> bool:
        assert open_.wait(30)
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '5s'")
            now, message = timezone.now(), uuid.uuid4()
            Event.objects.create(profile_id=b.pk, name=name, occurred_at=now, message_id=message, source_id=5)
            Identifier.objects.create(
                profile_id=b.pk, type_id=anonymous.type_id, value="browser-9", source_id=5
            )
        inserted.set()
        return True

    anonymous = Identifier.objects.filter(type__name="anonymous_id").first()
    done, came = two_connections(merge, ingest)
    assert isinstance(done, Merged)
    assert came is True
    assert Event.objects.of_profiles(a.pk).count() == 3
    assert find_profile("anonymous_id:browser-9").root.pk == a.pk


def test_an_edit_that_waited_for_a_merge_lands_on_the_survivor(two_connections: Together) -> None:
    a, b = people_with_events(2)
    open_ = Signal()

    def merge() -> None:
        with transaction.atomic():
            merging(a, b)()
            open_.set()
            until_somebody_waits()

    def edit() -> Any:
        assert open_.wait(30)
        return update_profile(profile_id=b.pk, values={"city": "Praha"}, via_id=b.pk, **by())

    _, updated = two_connections(merge, edit)
    assert updated.profile.pk == a.pk
    assert (Profile.objects.get(pk=a.pk).city, Profile.objects.get(pk=b.pk).city) == ("Praha", None)
    assert violations() == []


def test_a_merge_that_waited_for_an_edit_finds_its_preview_stale(two_connections: Together) -> None:
    a, b = people_with_events(2)
    seen = preview_merge(winner_id=a.pk, loser_id=b.pk, **by())
    open_ = Signal()

    def edit() -> None:
        with transaction.atomic():
            update_profile(profile_id=b.pk, values={"city": "Praha"}, **by())
            open_.set()
            until_somebody_waits()

    def merge() -> Any:
        assert open_.wait(30)
        return merging(a, b, preview_hash=seen.preview_hash)()

    _, refused = two_connections(edit, merge)
    assert isinstance(refused, Stale)
    assert not Merge.objects.exists()
    fresh = preview_merge(winner_id=a.pk, loser_id=b.pk, **by())
    assert merging(a, b, preview_hash=fresh.preview_hash)().fields == {"city": [None, "Praha"]}


# --- Deadlocks and dying connections ---------------------------------------------------------------------


def test_a_merge_survives_a_deadlock(two_connections: Together) -> None:
    a, b = people_with_events(2)
    open_ = Signal()

    def crosswise() -> str:
        """Takes the two rows in the wrong order, as no verb of ours does."""
        with transaction.atomic():
            lock_profiles([b.pk])
            open_.set()
            until_somebody_waits()
            lock_profiles([a.pk])
        return "done"

    def merge() -> Merged:
        assert open_.wait(30)
        return merging(a, b)()

    crossed, merged = two_connections(crosswise, merge)
    assert isinstance(merged, Merged)
    assert crossed == "done" or isinstance(crossed, OperationalError)
    assert violations() == []


def test_three_lost_races_are_a_clean_refusal() -> None:
    tries: list[int] = []

    def losing(times: int, cause: Exception) -> str:
        tries.append(times)
        if len(tries) <= times:
            raise OperationalError("lost") from cause
        return "done"

    patient = retried(losing)
    assert patient(2, psycopg.errors.DeadlockDetected()) == "done"
    tries.clear()
    with pytest.raises(Stale) as refused:
        patient(3, psycopg.errors.SerializationFailure())
    assert refused.value.message == (
        "These profiles are being changed by others right now. Nothing was done; try again."
    )
    tries.clear()
    with pytest.raises(OperationalError):
        patient(1, psycopg.errors.AdminShutdown())
    assert len(tries) == 1


@contextmanager
def killed_before(statement: int) -> Iterator[Counter[str]]:
    """The connection is ended by the server before its n-th statement."""
    seen: Counter[str] = Counter()
    pid = connection.connection.info.backend_pid

    def kill(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen["statements"] += 1
        if seen["statements"] == statement:
            with psycopg.connect(**raw_parameters(), autocommit=True) as killer:
                killer.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(kill):
        yield seen


def test_a_killed_connection_leaves_a_whole_merge_or_none() -> None:
    a, b = people(2)
    c = make_profile(city="Kraków")
    inner = merging(b, c)().merge_id
    connection.ensure_connection()
    for verb in (merging(a, b), lambda: unmerge_profiles(merge_id=inner, **by())):
        before, changes = checksums(), Change.objects.count()
        statement = 0
        while True:
            statement += 1
            connection.ensure_connection()
            try:
                with killed_before(statement) as seen:
                    verb()
            except OperationalError:
                connection.close()
                assert checksums() == before
                assert Change.objects.count() == changes
                continue
            assert seen["statements"] < statement
            break
        assert statement > 10
        assert checksums() != before
        assert violations() == []
    assert Profile.objects.get(pk=a.pk).city is None


# --- Everybody at once -----------------------------------------------------------------------------------


class Crowd:
    """A few people that several connections merge, undo, edit and feed at random."""

    def __init__(self, size: int) -> None:
        self.ids = [person.pk for person in people(size)]
        self.made: Counter[str] = Counter()

    def act(self, luck: random.Random, serial: str) -> None:
        a, b = luck.sample(self.ids, 2)
        kind = luck.choices(
            ["merge", "undo", "edit", "event", "raw", "note", "tag", "identifier", "lock"], _ODDS
        )[0]
        # An edit that followed pointers through two merges at once may lose a deadlock; its door repeats it.
        retried(getattr(self, kind))(a, b, luck, serial)
        self.made[kind] += 1

    def merge(self, a: int, b: int, luck: random.Random, serial: str) -> None:
        hashed = None
        if luck.random() < 0.3:
            hashed = preview_merge(winner_id=a, loser_id=b, **by()).preview_hash
        merge_profiles(winner_id=a, loser_id=b, preview_hash=hashed, **by())

    def undo(self, a: int, b: int, luck: random.Random, serial: str) -> None:
        merges = list(Merge.objects.active().values_list("pk", flat=True))
        if merges:
            unmerge_profiles(merge_id=luck.choice(merges), **by())

    def edit(self, a: int, b: int, luck: random.Random, serial: str) -> None:
        values = {luck.choice(["city", "first_name", "state"]): luck.choice([None, "x", "y", serial])}
        update_profile(profile_id=a, values=values, via_id=a, **by())

    def event(self, a: int, b: int, luck: random.Random, serial: str) -> None:
        add_event(profile_id=a, name="Page", **by())

    def raw(self, a: int, b: int, luck: random.Random, serial: str) -> None:
        """As tracking will: no lock, on the member."""
        name, now = EventName.objects.get(name="Raw"), timezone.now()
        Event.objects.create(profile_id=a, name=name, occurred_at=now, message_id=uuid.uuid4(), source_id=5)

    def note(self, a: int, b: int, luck: random.Random, serial: str) -> None:
        add_note(profile_id=a, text=serial, **by())

    def tag(self, a: int, b: int, luck: random.Random, serial: str) -> None:
        tag_profiles(profile_ids=[a, b], tag_names=[luck.choice("abc")], **by())

    def identifier(self, a: int, b: int, luck: random.Random, serial: str) -> None:
        attach_identifier(profile_id=a, type_name="anonymous_id", raw=f"browser-{serial}", **by())

    def lock(self, a: int, b: int, luck: random.Random, serial: str) -> None:
        for is_locked in (True, False):
            set_lock(profile_id=a, is_locked=is_locked, **by())


_ODDS = [28, 14, 16, 8, 10, 6, 8, 8, 2]


def everybody_at_once(together: Together, seed: int, operations: int) -> None:
    EventName.objects.create(name="Raw")
    crowd = Crowd(12)
    threads = 4

    def work(number: int) -> Counter[str]:
        luck = random.Random(f"{seed}/{number}")
        refused: Counter[str] = Counter()
        for step in range(operations // threads):
            try:
                crowd.act(luck, f"{number}-{step}")
            except Refused as refusal:
                refused[refusal.code] += 1
        return refused

    results = together(*[lambda number=number: work(number) for number in range(threads)])
    for result in results:
        if isinstance(result, BaseException):
            raise AssertionError(f"seed {seed}") from result
    assert violations() == []
    everything_is_there(crowd)
    for merge_id in Merge.objects.active().order_by("?").values_list("pk", flat=True):
        unmerge_profiles(merge_id=merge_id, **by())
    assert violations() == []
    assert Profile.objects.live().filter(pk__in=crowd.ids).count() == len(crowd.ids)
    everything_is_there(crowd)


def everything_is_there(crowd: Crowd) -> None:
    """Nothing that was acknowledged is lost, and each old id and identifier still leads to one person."""
    roots = set(Profile.objects.filter(pk__in=crowd.ids).values_list("canonical_id", flat=True))
    assert (
        Event.objects.of_profiles(*roots).count()
        == crowd.made["event"] + crowd.made["raw"]
        == Event.objects.count()
    )
    assert Note.objects.filter(profile__canonical_id__in=roots).count() == crowd.made["note"]
    browsers = Identifier.objects.resolving().filter(value__startswith="browser-")
    assert browsers.filter(profile__canonical_id__in=roots).count() == crowd.made["identifier"]
    for number, pk in enumerate(crowd.ids):
        assert find_profile(pk).root.pk in roots
        assert find_profile(f"email:p{number}@example.com").root.pk == find_profile(pk).root.pk


def test_everybody_at_once_breaks_nothing(two_connections: Together) -> None:
    everybody_at_once(two_connections, seed=random.randrange(10**6), operations=300)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_everybody_at_once_for_long_breaks_nothing(two_connections: Together) -> None:
    everybody_at_once(two_connections, seed=random.randrange(10**6), operations=5000)


def test_the_lock_follows_the_pointer() -> None:
    a, b = people(2)
    merging(a, b)()
    with transaction.atomic():
        assert lock_root(b.pk).pk == a.pk
    undone = unmerge_profiles(merge_id=Merge.objects.get().pk, **by())
    assert isinstance(undone, Unmerged)
    with transaction.atomic():
        assert lock_root(b.pk).pk == b.pk
