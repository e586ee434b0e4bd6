"""Calls, merges, undos, deletions and restorings of the same people, met where one has read and not yet written."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from cdp.actors import Actor
from cdp.errors import Refused
from cdp.invariants import violations
from profiles.builtin_sources import builtin_source
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Event, Identifier, LinkInterval, Profile
from profiles.privacy.delete import delete_profiles
from profiles.privacy.restore import restore_profile
from profiles.tracking.ingest import ingest
from profiles.tracking.sources.write_keys import Sender
from tests.tracking.calls import holder, identify, make_sender

pytestmark = pytest.mark.django_db(transaction=True)

Together = Callable[..., list[Any]]
ORDINARY = 100
PATIENCE = 60


def by() -> dict[str, Any]:
    return {"actor": Actor.system(), "source": builtin_source("staff")}


@dataclass
class Rounds:
    """Two connections that meet, round after round, where the first has read and the second is about to write."""

    together: Together
    count: int
    seed: int
    window: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=PATIENCE))
    turn: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=PATIENCE))
    caller: int = 0
    number: int = 0
    is_open: bool = False

    def stagger(self, number: int, side: str) -> None:
        """Now one is first, now the other."""
        time.sleep(random.Random(f"{self.seed}/{number}/{side}").choice([0, 0.002, 0.006, 0.02]))

    def meet(self) -> None:
        """Called by the first where it has read; only once a round, since a call that lost is repeated."""
        if self.is_open and threading.get_ident() == self.caller:
            self.is_open = False
            self.window.wait()
            self.stagger(self.number, "first")

    def run(
        self, prepare: Callable[[int], Any], first: Callable[[Any], Any], second: Callable[[Any], Any]
    ) -> list[tuple[Any, Any, Any]]:
        """``(what was prepared, the first's result, the second's)`` of each round."""
        rounds: list[list[Any]] = []

        def one() -> None:
            self.caller = threading.get_ident()
            for number in range(self.count):
                rounds.append([prepare(number), None, None])
                self.number, self.is_open = number, True
                self.turn.wait()
                rounds[number][1] = first(rounds[number][0])
                self.meet()  # one that read nothing
                self.turn.wait()

        def two() -> None:
            for number in range(self.count):
                self.turn.wait()
                self.window.wait()
                self.stagger(number, "second")
                rounds[number][2] = second(rounds[number][0])
                self.turn.wait()

        for result in self.together(one, two):
            if isinstance(result, Exception):
                raise AssertionError(f"seed {self.seed}") from result
        return [(made, first_result, second_result) for made, first_result, second_result in rounds]


def rounds(monkeypatch: pytest.MonkeyPatch, together: Together, count: int) -> Rounds:
    made = Rounds(together, count, seed=random.randrange(10**6))
    write = ingest.write_plan

    def write_after_the_window(*args: Any, **options: Any) -> None:
        made.meet()
        write(*args, **options)

    monkeypatch.setattr(ingest, "write_plan", write_after_the_window)
    return made


@pytest.fixture
def shop(transactional_db: None) -> Sender:
    return make_sender("server")


def person(shop: Sender, name: str, **ids: Any) -> Profile:
    identify(shop, userId=name, traits={"email": f"{name}@example.com"}, **ids)
    made = holder("customer_id", name)
    assert made is not None
    return made


def visitor(shop: Sender, browser: str) -> Profile:
    identify(shop, anonymousId=browser)
    made = holder("anonymous_id", browser)
    assert made is not None
    return made


def refused(verb: Callable[[], Any]) -> Any:
    try:
        return verb()
    except Refused as refusal:
        return refusal


# --- identify ‖ unmerge -----------------------------------------------------------------------------------


def identify_while_a_merge_is_undone(race: Rounds, shop: Sender) -> None:
    def prepare(number: int) -> tuple[int, int, int, int]:
        bob = person(shop, f"bob{number}")
        # Every other one is recognized by what the loser brings alone.
        ann = person(shop, f"ann{number}") if number % 2 else visitor(shop, f"visitor{number}")
        merge_id = merge_profiles(winner_id=ann.pk, loser_id=bob.pk, **by()).merge_id
        return number, ann.pk, bob.pk, merge_id

    def call(made: tuple[int, int, int, int]) -> Any:
        traits = {"email": f"new{made[0]}@example.com", "city": "Oslo"}
        return identify(shop, userId=f"bob{made[0]}", anonymousId=f"browser{made[0]}", traits=traits)

    for (number, ann_id, bob_id, _), result, undone in race.run(
        prepare, call, lambda made: unmerge_profiles(merge_id=made[3], **by())
    ):
        assert (result.outcome, undone.loser_id) == ("applied", bob_id)
        ann, bob = Profile.objects.get(pk=ann_id), Profile.objects.get(pk=bob_id)
        assert (ann.email, ann.city) == (f"ann{number}@example.com" if number % 2 else None, None)
        assert (bob.email, bob.city) == (f"new{number}@example.com", "Oslo")
        for kind, value in (("email", f"new{number}@example.com"), ("anonymous_id", f"browser{number}")):
            assert holder(kind, value) == bob
        assert (ann.is_recognized, bob.is_recognized) == (number % 2 == 1, True)
    assert violations() == []


def test_a_call_while_a_merge_is_undone(
    monkeypatch: pytest.MonkeyPatch, two_connections: Together, shop: Sender
) -> None:
    identify_while_a_merge_is_undone(rounds(monkeypatch, two_connections, ORDINARY), shop)


# --- A browser that joins or changes hands ‖ unmerge ------------------------------------------------------


def adopt_while_a_merge_is_undone(race: Rounds, shop: Sender) -> None:
    """The browser's anonymous profile is merged into whoever the userId is by then."""

    def prepare(number: int) -> tuple[int, int, int, int]:
        ann, bob = person(shop, f"ann{number}"), person(shop, f"bob{number}")
        identify(shop, anonymousId=f"browser{number}")
        merge_id = merge_profiles(winner_id=ann.pk, loser_id=bob.pk, **by()).merge_id
        return number, ann.pk, bob.pk, merge_id

    for (number, ann_id, bob_id, _), result, undone in race.run(
        prepare,
        lambda made: identify(shop, userId=f"bob{made[0]}", anonymousId=f"browser{made[0]}"),
        lambda made: unmerge_profiles(merge_id=made[3], **by()),
    ):
        assert (result.outcome, undone.winner_id) == ("merged", ann_id)
        browser = holder("anonymous_id", f"browser{number}")
        # Before the undo it was merged into the surviving profile, after it into the one the userId is.
        assert browser is not None
        assert browser.pk == result.profile_id
        assert browser.pk in (ann_id, bob_id)
    assert violations() == []


def test_a_browser_that_joins_while_a_merge_is_undone(
    monkeypatch: pytest.MonkeyPatch, two_connections: Together, shop: Sender
) -> None:
    adopt_while_a_merge_is_undone(rounds(monkeypatch, two_connections, ORDINARY // 4), shop)


# --- identify ‖ delete ------------------------------------------------------------------------------------


def identify_while_somebody_is_deleted(race: Rounds, shop: Sender) -> None:
    def prepare(number: int) -> tuple[int, int]:
        return number, person(shop, f"ann{number}").pk

    def call(made: tuple[int, int]) -> Any:
        traits = {"email": f"new{made[0]}@example.com"}
        return identify(shop, userId=f"ann{made[0]}", anonymousId=f"browser{made[0]}", traits=traits)

    for (number, gone), result, deleted in race.run(
        prepare, call, lambda made: delete_profiles(profile_ids=[made[1]], reason="", **by())
    ):
        assert (result.outcome, deleted.profile_ids) == ("applied", [gone])
        assert not Identifier.objects.filter(profile_id=gone, resolves=True).exists()
        again = holder("customer_id", f"ann{number}")
        assert again is None if result.profile_id == gone else again is not None
        if again is not None:
            assert (again.pk, again.email) == (result.profile_id, f"new{number}@example.com")
            assert holder("anonymous_id", f"browser{number}") == again
    assert violations() == []


def test_a_call_while_somebody_is_deleted(
    monkeypatch: pytest.MonkeyPatch, two_connections: Together, shop: Sender
) -> None:
    identify_while_somebody_is_deleted(rounds(monkeypatch, two_connections, ORDINARY), shop)


def take_a_browser_while_its_owner_is_deleted(race: Rounds, shop: Sender) -> None:
    def prepare(number: int) -> tuple[int, int, int]:
        ann, bob = (
            person(shop, f"{name}{number}", anonymousId=f"browser{number}") for name in ("ann", "bob")
        )
        cleo = person(shop, f"cleo{number}")
        assert bob.pk != ann.pk
        return number, bob.pk, cleo.pk

    for (number, gone, cleo_id), result, deleted in race.run(
        prepare,
        lambda made: identify(shop, userId=f"cleo{made[0]}", anonymousId=f"browser{made[0]}"),
        lambda made: delete_profiles(profile_ids=[made[1]], reason="", **by()),
    ):
        assert (result.outcome, result.profile_id, deleted.profile_ids) == ("applied", cleo_id, [gone])
        browser = holder("anonymous_id", f"browser{number}")
        assert browser is not None
        assert browser.pk == cleo_id
        times = LinkInterval.objects.filter(value=f"browser{number}").order_by("started_at")
        assert all(
            row.ended_at is None or row.started_at is None or row.started_at <= row.ended_at for row in times
        )
    assert violations() == []


def test_a_browser_that_changes_hands_while_its_owner_is_deleted(
    monkeypatch: pytest.MonkeyPatch, two_connections: Together, shop: Sender
) -> None:
    take_a_browser_while_its_owner_is_deleted(rounds(monkeypatch, two_connections, ORDINARY // 2), shop)


# --- delete ‖ merge ‖ restore -----------------------------------------------------------------------------


def merge_while_somebody_is_deleted_and_restored(race: Rounds, shop: Sender) -> None:
    def prepare(number: int) -> tuple[int, int, int]:
        return number, person(shop, f"ann{number}").pk, person(shop, f"bob{number}").pk

    def merge(made: tuple[int, int, int]) -> Any:
        race.meet()
        return refused(lambda: merge_profiles(winner_id=made[1], loser_id=made[2], **by()))

    def delete_and_restore(made: tuple[int, int, int]) -> Any:
        gone = made[1 + made[0] % 2]
        deleted = refused(lambda: delete_profiles(profile_ids=[gone], reason="", **by()))
        race.stagger(made[0], "restore")
        return deleted, refused(lambda: restore_profile(profile_id=gone, **by()))

    for (number, ann_id, bob_id), merged, (deleted, restored) in race.run(prepare, merge, delete_and_restore):
        assert not isinstance(deleted, Refused)
        assert not isinstance(restored, Refused)
        is_merged = not isinstance(merged, Refused)
        assert is_merged or merged.message.endswith(" is deleted. Restore it first.")
        roots = {Profile.objects.get(pk=pk).canonical_id for pk in (ann_id, bob_id)}
        assert len(roots) == (1 if is_merged else 2)
        for name, pk in ((f"ann{number}", ann_id), (f"bob{number}", bob_id)):
            found = holder("customer_id", name)
            assert found is not None
            assert (found.pk, found.status) == (Profile.objects.get(pk=pk).canonical_id, "live")
    assert violations() == []
    assert Event.objects.count() == 2 * race.count


def test_a_merge_while_one_of_them_is_deleted_and_restored(
    monkeypatch: pytest.MonkeyPatch, two_connections: Together, shop: Sender
) -> None:
    merge_while_somebody_is_deleted_and_restored(rounds(monkeypatch, two_connections, ORDINARY), shop)


# --- For long ---------------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    "race",
    [
        identify_while_a_merge_is_undone,
        adopt_while_a_merge_is_undone,
        identify_while_somebody_is_deleted,
        take_a_browser_while_its_owner_is_deleted,
        merge_while_somebody_is_deleted_and_restored,
    ],
)
def test_races_for_long(
    race: Callable[[Rounds, Sender], None],
    monkeypatch: pytest.MonkeyPatch,
    two_connections: Together,
    shop: Sender,
) -> None:
    shop.source.merges_per_hour = 1_000_000
    race(rounds(monkeypatch, two_connections, 4_000), shop)
