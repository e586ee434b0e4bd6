"""Calls against calls, merges, undos, deletions and imports at the same moment."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from cdp.actors import Actor
from cdp.errors import Refused
from cdp.invariants import violations
from cdp.jobs import run_to_end
from imports.apply import apply_import
from profiles.builtin_sources import builtin_source
from profiles.editing import create_profile
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Change, Event, HeldMerge, Identifier, Merge, Profile, Receipt
from profiles.privacy.delete import delete_profiles
from profiles.tracking.ingest import event_sql
from profiles.tracking.parse.item_types import BatchResult
from profiles.tracking.pending.decide_held import decide_held_merge
from profiles.tracking.pending.double_opt_in import confirm_identifier
from profiles.tracking.pending.reopen_held import reopen_held_merge
from profiles.tracking.sources.write_keys import Sender
from tests.imports.files import planned
from tests.tracking.calls import call, events_of, holder, identify, make_sender, track

pytestmark = pytest.mark.django_db(transaction=True)

Together = Callable[..., list[Any]]
SYSTEM: dict[str, Any] = {"actor": Actor.system()}
ANN = "ann@example.com"


def by() -> dict[str, Any]:
    return {"actor": Actor.system(), "source": builtin_source("staff")}


@pytest.fixture
def shop(transactional_db: None) -> Sender:
    return make_sender("server")


def known(user: str) -> Profile:
    profile = holder("customer_id", user)
    assert profile is not None
    return profile


def all_went_well(results: list[Any]) -> list[BatchResult]:
    """Nobody's call raised, and what each was told about its event is so."""
    received = [result for result in results if isinstance(result, BatchResult)]
    assert [result for result in results if isinstance(result, Exception)] == []
    for one in received:
        for result in one.results:
            if result.outcome in ("applied", "merged", "conflict"):
                event = Event.objects.select_related("profile__canonical").get(message_id=result.message_id)
                assert event.profile.canonical.status in ("live", "deleted")
    assert violations() == []
    return received


def sending(sender: Sender, *items: dict[str, Any]) -> Callable[[], BatchResult]:
    made = [{"messageId": str(uuid.uuid4()), **item} for item in items]
    return lambda: call(sender, *made)


def test_fifty_identical_identifies_make_one_person(two_connections: Together, shop: Sender) -> None:
    """R4: fifty calls, eight at a time."""
    item = {"type": "identify", "anonymousId": "b1", "traits": {"email": ANN}}

    def several() -> list[BatchResult]:
        return [sending(shop, item)() for _ in range(7)]

    results = two_connections(*[several] * 7, sending(shop, item))
    received = [one for result in results for one in (result if isinstance(result, list) else [result])]
    assert len(all_went_well(received)) == 50
    assert Counter(one.results[0].outcome for one in received) == {"applied": 50}
    assert {one.results[0].profile_id for one in received} == {Profile.objects.get().pk}
    assert (Event.objects.count(), Receipt.objects.count()) == (50, 50)


def test_the_same_request_sent_at_once_has_one_effect(two_connections: Together, shop: Sender) -> None:
    for times in range(1, 6):
        item = {"type": "identify", "userId": f"u{times}", "messageId": str(uuid.uuid4())}
        received = all_went_well(two_connections(*[lambda item=item: call(shop, item, {**item})] * times))
        outcomes = Counter(result.outcome for one in received for result in one.results)
        assert outcomes == Counter({"applied": 1, "duplicate": 2 * times - 1})
        assert events_of(known(f"u{times}")) == ["identify"]
    assert (Event.objects.count(), Profile.objects.count()) == (5, 5)


def test_a_copy_that_overlaps_its_first_changes_nothing_anew(
    two_connections: Together, shop: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked before the first was committed, and would put back what a later call has changed since."""
    identify(shop, userId="u1")
    item = {"type": "identify", "userId": "u1", "messageId": str(uuid.uuid4()), "traits": {"city": "Oslo"}}
    looked, committed = threading.Event(), threading.Event()
    insert = event_sql.insert_events
    waiting_threads: list[int] = []

    def waits(source_id: int, rows: Any) -> Any:
        if threading.get_ident() in waiting_threads:
            waiting_threads.clear()
            looked.set()
            assert committed.wait(20)
        return insert(source_id, rows)

    monkeypatch.setattr(event_sql, "insert_events", waits)

    def copy() -> BatchResult:
        waiting_threads.append(threading.get_ident())
        return call(shop, item)

    def first_and_newer() -> BatchResult:
        assert looked.wait(20)
        call(shop, item)
        newer = identify(shop, userId="u1", traits={"city": "Rome"})
        assert newer.outcome == "applied"
        committed.set()
        return call(shop, item)

    received = all_went_well(two_connections(copy, first_and_newer))
    assert [one.results[0].outcome for one in received] == ["duplicate", "duplicate"]
    assert known("u1").city == "Rome"
    changes = Change.objects.filter(profile=known("u1"), fields__has_key="city").order_by("id")
    assert [row.fields["city"] for row in changes] == [[None, "Oslo"], ["Oslo", "Rome"]]


def test_batches_about_the_same_people_in_opposite_orders_both_arrive(
    two_connections: Together, shop: Sender
) -> None:
    users = [f"u{number}" for number in range(12)]
    for turn in range(3):
        there = [{"type": "identify", "userId": user, "traits": {"city": f"A{turn}"}} for user in users]
        back = [{"type": "identify", "userId": user, "traits": {"city": f"B{turn}"}} for user in users[::-1]]
        received = all_went_well(two_connections(sending(shop, *there), sending(shop, *back)))
        assert {result.outcome for one in received for result in one.results} == {"applied"}
    assert (Profile.objects.count(), Event.objects.count()) == (12, 72)
    assert len(set(Profile.objects.values_list("city", flat=True))) == 1


def test_calls_while_two_are_merged_and_torn_apart_end_on_somebody(
    two_connections: Together, shop: Sender
) -> None:
    """R3."""
    for turn in range(3):
        a, b = f"a{turn}", f"b{turn}"
        identify(shop, userId=a)
        identify(shop, userId=b)
        one, two = known(a).pk, known(b).pk

        def merge(one: int = one, two: int = two) -> Any:
            return merge_profiles(winner_id=one, loser_id=two, **by())

        about_b = sending(
            shop,
            {"type": "track", "event": "Looked", "userId": b},
            {"type": "identify", "userId": b, "anonymousId": f"browser{turn}", "traits": {"city": "Oslo"}},
        )
        all_went_well(two_connections(merge, about_b))
        assert known(a) == known(b)
        assert known(b).city == "Oslo"
        assert Counter(events_of(known(a))) == {"identify": 3, "Looked": 1}
        merge_id = Merge.objects.active().get(loser_id=two).pk

        def undo(merge_id: int = merge_id) -> Any:
            return unmerge_profiles(merge_id=merge_id, **by())

        all_went_well(two_connections(undo, sending(shop, {"type": "track", "event": "After", "userId": b})))
        assert (known(a).pk, known(b).pk) == (one, two)
        assert Counter(events_of(known(b))) == {"identify": 2, "Looked": 1, "After": 1}


def test_calls_that_join_while_staff_merge_the_same_two(two_connections: Together, shop: Sender) -> None:
    for turn in range(3):
        user, browser = f"u{turn}", f"b{turn}"
        identify(shop, userId=user)
        track(shop, anonymousId=browser)
        one, two = known(user).pk, holder("anonymous_id", browser).pk  # type: ignore[union-attr]

        def merge(one: int = one, two: int = two) -> Any:
            try:
                return merge_profiles(winner_id=one, loser_id=two, **by())
            except Refused:
                return None

        join = sending(shop, {"type": "identify", "userId": user, "anonymousId": browser})
        received = all_went_well(two_connections(merge, join))
        assert received[0].results[0].outcome in ("applied", "merged")
        assert known(user) == holder("anonymous_id", browser)
    assert Merge.objects.count() == 3


def test_calls_about_somebody_who_is_being_deleted(two_connections: Together, shop: Sender) -> None:
    """R8, with deletion: before it the person is meant, after it somebody new."""
    for turn in range(3):
        user = f"u{turn}"
        identify(shop, userId=user)
        gone = known(user).pk

        def delete(gone: int = gone) -> Any:
            return delete_profiles(profile_ids=[gone], reason="", **by())

        about = sending(shop, *[{"type": "identify", "userId": user, "traits": {"city": "Oslo"}}] * 3)
        all_went_well(two_connections(delete, about))
        again = identify(shop, userId=user)
        assert again.outcome == "applied"
        assert again.profile_id != gone
        assert not Identifier.objects.filter(profile_id=gone, resolves=True).exists()


def test_somebody_made_by_staff_and_by_a_call_at_once_is_one(two_connections: Together, shop: Sender) -> None:
    for turn in range(3):
        email = f"ann{turn}@example.com"

        def add(email: str = email) -> Any:
            try:
                return create_profile(values={"email": email}, **by())
            except Refused as refusal:  # the call was first
                return refusal.message

        call_ = sending(shop, {"type": "identify", "userId": f"u{turn}", "traits": {"email": email}})
        all_went_well(two_connections(add, call_))
        assert holder("email", email) == known(f"u{turn}")
    assert Profile.objects.count() == 3


def test_an_import_and_a_call_about_somebody_new_make_one(two_connections: Together, shop: Sender) -> None:
    for turn in range(3):
        email = f"ann{turn}@example.com"
        job = planned(f"email,city\n{email},Oslo\n")
        call_ = sending(shop, {"type": "identify", "userId": f"u{turn}", "traits": {"email": email}})
        all_went_well(
            two_connections(lambda job=job: run_to_end(apply_import(import_id=job.pk, **SYSTEM)), call_)
        )
        assert holder("email", email) == known(f"u{turn}")
    assert Profile.objects.count() == 3


def test_a_confirmation_twice_at_once_merges_once(two_connections: Together) -> None:
    shop = make_sender("server", needs_confirmation=True)
    ann = create_profile(values={"email": ANN}, **by()).profile
    identify(shop, anonymousId="b1", traits={"email": ANN})
    visitor = holder("anonymous_id", "b1")
    assert visitor is not None

    def confirm() -> str:
        return confirm_identifier(profile_id=visitor.pk, type_name="email", raw=ANN, **by()).outcome

    results = two_connections(
        confirm, confirm, sending(shop, {"type": "track", "event": "A", "anonymousId": "b1"})
    )
    all_went_well(results)
    assert sorted(results[:2]) == ["merged", "unchanged"]
    assert holder("anonymous_id", "b1") == ann


def test_a_held_join_is_decided_once(two_connections: Together, settings: Any) -> None:
    settings.CDP_BREAKER_PEOPLE = 2
    web = make_sender("web")
    identify(web, anonymousId="tablet", userId="1")
    identify(web, anonymousId="tablet", userId="2")
    held_merge = HeldMerge.objects.get()

    def decide() -> Any:
        try:
            return decide_held_merge(held_merge_id=held_merge.pk, decision="shared", actor=Actor.system())
        except Refused as refusal:
            return refusal.message

    calls = [sending(web, {"type": "identify", "anonymousId": "tablet", "userId": user}) for user in "34"]
    results = two_connections(decide, decide, *calls)
    all_went_well(results)
    assert f"Waiting merge {held_merge.pk} was decided already: shared device." in results
    assert Profile.objects.filter(is_recognized=False).count() == 1


def test_a_shared_device_taken_back_while_it_sends(
    two_connections: Together, shop: Sender, settings: Any
) -> None:
    """Every event is with somebody who is there: the device's own profile goes only when it is empty."""
    settings.CDP_BREAKER_PEOPLE = 2
    for user in ("1", "2", "3"):
        identify(shop, anonymousId="tablet", userId=user)
    held_merge = HeldMerge.objects.first()
    assert held_merge is not None
    for attempt in range(6):
        device = decide_held_merge(held_merge_id=held_merge.pk, decision="shared", **SYSTEM).profile_id
        name = f"Looked {attempt}"
        sent, done = two_connections(
            lambda name=name: track(shop, name, anonymousId="tablet"),
            lambda: reopen_held_merge(held_merge_id=held_merge.pk, **SYSTEM),
        )
        assert sent.outcome == "applied", sent
        assert done.was == "shared", done
        root = Event.objects.get(name__name=name).profile.canonical
        assert root.status == "live"
        assert (root.pk == device) == done.message.endswith(f" in the meantime stays with #{device}.")
    assert violations() == []
