"""Random calls, merges, undos and deletions on a few ids: nothing is lost, nothing twice, nobody torn apart."""

from __future__ import annotations

import datetime
import os
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp.actors import Actor
from cdp.errors import Refused
from cdp.invariants import violations
from profiles.builtin_sources import builtin_source
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Event, Identifier, Merge, Profile, Receipt
from profiles.privacy.delete import delete_profiles
from profiles.privacy.restore import restore_profile
from tests.tracking.calls import call, make_sender

pytestmark = pytest.mark.django_db
SOAK = int(os.environ.get("CDP_SOAK_EXAMPLES", "1500"))

users = st.sampled_from([None, "u1", "u2", "u3"])
browsers = st.sampled_from([None, "b1", "b2", "b3"])
emails = st.sampled_from([None, None, "a@example.com", "b@example.com"])
somebody = st.tuples(users, browsers).filter(any)
identifies = st.tuples(st.just("identify"), somebody, emails)
tracks = st.tuples(st.just("track"), somebody)
aliases = st.tuples(
    st.just("alias"), st.sampled_from(["b1", "b2", "b3", "u1", "u2"]), st.sampled_from(["u1", "u2", "u3"])
)
calls = st.one_of(identifies, identifies, tracks, aliases)
places = st.integers(0, 9)
deeds = st.one_of(
    st.tuples(st.just("merge"), places, places),
    st.tuples(st.just("undo"), places),
    st.tuples(st.just("delete"), places),
    st.tuples(st.just("restore"), places),
)
batches = st.lists(calls, min_size=1, max_size=5).map(lambda found: ("calls", found))
programs = st.lists(st.one_of(batches, batches, deeds), min_size=3, max_size=10)
conversations = st.lists(calls, min_size=2, max_size=9)


@contextmanager
def example() -> Iterator[None]:
    """Each example leaves the database as it found it."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


class Talk:
    """What sources send, a minute apart, the last just now."""

    def __init__(self, count: int, kind: str = "server") -> None:
        self.sender = make_sender(kind)
        self.start = timezone.now() - datetime.timedelta(minutes=count + 1)
        self.sent = 0
        self.applied: set[str] = set()

    def item(self, what: tuple[Any, ...]) -> dict[str, Any]:
        self.sent += 1
        at = self.start + datetime.timedelta(minutes=self.sent)
        item: dict[str, Any] = {
            "type": what[0],
            "messageId": str(uuid.UUID(int=self.sent)),
            "timestamp": at.isoformat(),
        }
        if what[0] == "alias":
            return {**item, "previousId": what[1], "userId": what[2]}
        (user, browser) = what[1]
        ids = {"userId": user, "anonymousId": browser}
        item |= {name: value for name, value in ids.items() if value}
        if what[0] == "track":
            return {**item, "event": "Looked"}
        return {**item, "traits": {"email": what[2]} if what[2] else {}}

    def send(self, whats: list[tuple[Any, ...]]) -> None:
        received = call(self.sender, *(self.item(what) for what in whats))
        self.applied |= {
            result.message_id
            for result in received.results
            if result.outcome in ("applied", "merged", "conflict")
        }

    def partition(self) -> set[frozenset[int]]:
        """Which messages are one person's."""
        people: dict[int, set[int]] = defaultdict(set)
        rows = Event.objects.filter(source_id=self.sender.source.pk)
        for message, root in rows.values_list("message_id", "profile__canonical_id"):
            people[root].add(message.int)
        return {frozenset(messages) for messages in people.values()}

    def leads(self) -> set[frozenset[str]]:
        """Which ids that were sent lead to one person; browser ids that were made differ each time."""
        people: dict[int, set[str]] = defaultdict(set)
        for value, root in Identifier.objects.resolving().values_list("value", "profile__canonical_id"):
            if len(value) < len(str(uuid.UUID(int=0))):
                people[root].add(value)
        return {frozenset(values) for values in people.values()}


def do(deed: tuple[Any, ...]) -> None:
    """Something staff do to whoever is at that place; what is refused is nothing."""
    by: dict[str, Any] = {"actor": Actor.system(), "source": builtin_source("staff")}
    kind, *rest = deed
    live = list(Profile.objects.live().order_by("pk").values_list("pk", flat=True))
    try:
        if kind == "merge" and live:
            one, two = (live[place % len(live)] for place in rest)
            merge_profiles(winner_id=one, loser_id=two, **by)
        elif kind == "undo" and (merges := list(Merge.objects.active().order_by("pk"))):
            unmerge_profiles(merge_id=merges[rest[0] % len(merges)].pk, **by)
        elif kind == "delete" and live:
            delete_profiles(profile_ids=[live[rest[0] % len(live)]], reason="", **by)
        elif kind == "restore":
            gone = list(Profile.objects.filter(status="deleted").order_by("pk"))
            if gone:
                restore_profile(profile_id=gone[rest[0] % len(gone)].pk, **by)
    except Refused:
        return


def nothing_is_lost(program: list[Any]) -> None:
    with example():
        talk = Talk(sum(len(rest[0]) for kind, *rest in program if kind == "calls"))
        for kind, *rest in program:
            talk.send(rest[0]) if kind == "calls" else do((kind, *rest))
            assert violations() == []
        assert Receipt.objects.count() == talk.sent
        stored = [str(pk) for pk in Event.objects.values_list("message_id", flat=True)]
        assert (len(stored), set(stored)) == (len(set(stored)), talk.applied)
        roots = Identifier.objects.resolving().values_list("profile__canonical__status", flat=True)
        assert set(roots) <= {"live"}


def batches_are_calls_one_by_one(conversation: list[Any], cuts: int) -> None:
    told = []
    for size in (1, cuts):
        with example():
            talk = Talk(len(conversation))
            for first in range(0, len(conversation), size):
                talk.send(conversation[first : first + size])
            told.append((talk.partition(), talk.leads(), talk.applied))
            assert violations() == []
    assert told[0] == told[1]


@settings(max_examples=15)
@given(programs)
def test_nothing_is_lost_and_nobody_torn_apart(program: Any) -> None:
    nothing_is_lost(program)


@settings(max_examples=20)
@given(conversations, st.integers(2, 9))
def test_a_batch_is_its_calls_one_by_one(conversation: Any, cuts: int) -> None:
    batches_are_calls_one_by_one(conversation, cuts)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=SOAK)
@given(programs)
def test_nothing_is_lost_and_nobody_torn_apart_long(program: Any) -> None:
    nothing_is_lost(program)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=SOAK)
@given(conversations, st.integers(2, 9))
def test_a_batch_is_its_calls_one_by_one_long(conversation: Any, cuts: int) -> None:
    batches_are_calls_one_by_one(conversation, cuts)
