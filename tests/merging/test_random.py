"""Random profiles, merges, undos and edits: nested, out of order, through members and directly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp.invariants import violations
from profiles.models import Event, Merge, Profile
from tests.merging.worlds import FIELDS, World, checksums

pytestmark = pytest.mark.django_db

some_word = st.sampled_from([None, "Ann", "Bob", "Cy"])
value_of = {
    "first_name": some_word,
    "city": some_word,
    "birth_date": st.sampled_from([None, "1990-02-28", "1991-03-01"]),
    "attributes.plan": some_word,
    "attributes.points": st.sampled_from([None, 1, 20, 300.5]),
    "attributes.best": st.sampled_from([None, 1, 2, 3]),
    "attributes.tier": some_word,
    "attributes.likes": st.none() | st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True),
}
rows = st.lists(st.fixed_dictionaries(value_of), min_size=6, max_size=6)
some_index = st.integers(0, 5)
choices = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(["winner", "loser"]), max_size=3)
merges = st.tuples(st.just("merge"), some_index, some_index, choices).filter(lambda step: step[1] != step[2])
several = st.lists(st.integers(0, 9), min_size=1, max_size=4)
undos = several.map(lambda which: ("undo", *which))
edits = st.sampled_from(FIELDS).flatmap(
    lambda key: st.tuples(st.just("edit"), some_index, st.just(key), value_of[key], st.booleans())
)
visits = st.tuples(st.just("visit"), some_index)


@contextmanager
def example() -> Iterator[None]:
    """Each example leaves the database as it found it."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def run(world: World, program: list[tuple[Any, ...]]) -> None:
    for kind, *rest in program:
        if kind == "merge":
            world.merge(world.ids[rest[0]], world.ids[rest[1]], rest[2])
        elif kind == "undo":
            world.undo(*rest)
        elif kind == "edit":
            world.edit(world.ids[rest[0]], *rest[1:])
        else:
            world.visit(world.ids[rest[0]])


def undone_leaves_no_trace(start: list[dict[str, Any]], program: list[Any], order: list[list[int]]) -> None:
    with example():
        world = World.of(start)
        before = checksums()
        run(world, program)
        assert world.actual() == world.expected()
        for which in order:
            world.undo(*which)
            assert world.actual() == world.expected()
        while world.active():
            world.undo(0)
        assert checksums() == before
        assert violations() == []


def edits_stay_where_they_belong(start: list[dict[str, Any]], program: list[Any]) -> None:
    with example():
        world = World.of(start)
        run(world, program)
        assert world.actual() == world.expected()
        effects = {merge.pk: (merge.before, merge.after) for merge in Merge.objects.active()}
        while world.active():
            world.undo(0)
            assert world.actual() == world.expected()
        assert effects.keys() <= world.undone
        assert violations() == []
        for profile in Profile.objects.filter(pk__in=world.ids):
            visits = (
                Event.objects.of_profiles(profile.pk)
                .order_by("-occurred_at")
                .values_list("occurred_at", flat=True)
            )
            assert not visits or profile.last_seen_at >= visits[0]


program_of_merges = st.lists(st.one_of(merges, merges, undos), min_size=4, max_size=12)
program_of_all = st.lists(st.one_of(merges, merges, undos, edits, edits, visits), min_size=6, max_size=20)
orders = st.lists(several, max_size=4)


@settings(max_examples=25)
@given(rows, program_of_merges, orders)
def test_merges_undone_in_any_order_leave_no_trace(start: Any, program: Any, order: Any) -> None:
    undone_leaves_no_trace(start, program, order)


@settings(max_examples=25)
@given(rows, program_of_all)
def test_after_an_undo_everybody_is_as_if_it_had_never_happened(start: Any, program: Any) -> None:
    edits_stay_where_they_belong(start, program)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=1500)
@given(rows, program_of_merges, orders)
def test_merges_undone_in_any_order_leave_no_trace_long(start: Any, program: Any, order: Any) -> None:
    undone_leaves_no_trace(start, program, order)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=1500)
@given(rows, program_of_all)
def test_after_an_undo_everybody_is_as_if_it_had_never_happened_long(start: Any, program: Any) -> None:
    edits_stay_where_they_belong(start, program)


def test_what_a_person_took_out_of_a_list_stays_out_after_undoing_twice() -> None:
    """Found by the long form: the second undo saw what the edit changed on the row, not what it took out."""
    nothing = dict.fromkeys(("first_name", "city", "birth_date", "attributes.plan", "attributes.likes"))
    start = [dict(nothing) for _ in range(4)]
    start[1]["attributes.likes"], start[3]["attributes.likes"] = ["a", "b", "d"], ["d"]
    program: list[Any] = [
        ("merge", 2, 1, {}),
        ("edit", 2, "attributes.likes", None, False),
        ("merge", 0, 1, {}),
        ("merge", 0, 3, {}),
        ("edit", 1, "attributes.likes", ["a"], True),
        ("undo", 1),
        ("undo", 0),
    ]
    edits_stay_where_they_belong(start, program)
