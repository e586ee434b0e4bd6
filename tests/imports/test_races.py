"""Imports against imports, merges and staff, on real connections (R5, R6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdp.actors import Actor
from cdp.invariants import violations
from cdp.jobs import run_to_end
from imports import apply as applying
from imports.apply import apply_import
from imports.models import Import, Row
from imports.plan import plan_import
from profiles.builtin import builtin_source
from profiles.editing import create_profile, update_profile
from profiles.merging.merge import merge_profiles
from profiles.models import Change, Identifier, Profile
from tests.imports.files import planned, summed, upload
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db(transaction=True)

SYSTEM = Actor.system()


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "CHUNK_ROWS", 7)


def carry_out(import_: Import) -> Import:
    job = apply_import(import_id=import_.pk, actor=SYSTEM)
    for _ in range(20):
        run_to_end(job)
        if not job.is_open:
            break
        type(job).objects.filter(pk=job.pk).update(wake_at="2000-01-01T00:00:00Z")
    import_.refresh_from_db()
    return import_


def text(n: int, start: int = 0, step: int = 1) -> str:
    rows = [f"C{i},p{i}@example.com,Ann" for i in range(start, start + n)][::step]
    return "customer_id,email,first_name\n" + "\n".join(rows) + "\n"


def test_the_same_people_from_two_files_at_once(two_connections: Callable[..., list[Any]]) -> None:
    """One profile per key whoever comes first; what the other wanted is held, and nothing deadlocks."""
    one, other = planned(text(60)), planned(text(60, 20, step=-1))
    done = two_connections(lambda: carry_out(one), lambda: carry_out(other))
    assert [import_.state for import_ in done] == ["done", "done"], done
    assert all(map(summed, done))
    assert Profile.objects.count() == 80
    assert Identifier.objects.filter(type__name="customer_id").count() == 80
    created = sum(import_.counts["created"] for import_ in done)
    held = sum(import_.counts["held"] for import_ in done)
    assert (created, held) == (80, 40)
    assert violations() == []


def test_planning_beside_an_import(two_connections: Callable[..., list[Any]]) -> None:
    one, other = planned(text(60)), upload(text(60))

    def plan() -> Import:
        run_to_end(plan_import(import_id=other.pk, actor=SYSTEM))
        other.refresh_from_db()
        return other

    applied, second = two_connections(lambda: carry_out(one), plan)
    assert (applied.state, second.state) == ("done", "planned")
    assert carry_out(second).counts["created"] + second.counts["held"] + second.counts["unchanged"] == 60
    assert Profile.objects.count() == 60


def test_rows_land_on_people_who_are_there(two_connections: Callable[..., list[Any]]) -> None:
    """While pairs of them are merged; a row either lands on a survivor or is held, never on a tombstone."""
    pairs = [
        (make_profile(email=f"a{i}@example.com"), make_profile(email=f"b{i}@example.com")) for i in range(20)
    ]
    lines = [f"{side}{i}@example.com,Kraków" for i in range(20) for side in "ab"]
    import_ = planned("email,city\n" + "\n".join(lines) + "\n")

    def merge_all() -> None:
        for winner, loser in reversed(pairs):
            merge_profiles(
                winner_id=winner.pk, loser_id=loser.pk, actor=SYSTEM, source=builtin_source("staff")
            )

    done, merged = two_connections(lambda: carry_out(import_), merge_all)
    assert (done.state, merged) == ("done", None), (done.problem, merged)
    assert done.counts["updated"] + done.counts["held"] == 40
    written = Row.objects.filter(import_id=import_.pk, outcome="updated").count()
    assert Change.objects.filter(cause="import").count() == written
    # A loser that has a city got it before it was merged.
    for change in Change.objects.filter(cause="import").select_related("profile"):
        merged_at = change.profile.changes.filter(kind="merged").values_list("pk", flat=True).first()
        assert merged_at is None or change.profile.canonical_id == change.profile_id or change.pk < merged_at
    assert violations() == []


def test_staff_edit_the_people_of_an_import(two_connections: Callable[..., list[Any]]) -> None:
    """Nobody's value is overwritten unseen, and every value has its journal entry."""
    known = [make_profile(email=f"p{i}@example.com") for i in range(30)]
    lines = [f"p{i}@example.com,Kraków" for i in range(60)]
    import_ = planned("email,city\n" + "\n".join(lines) + "\n", options={"policy": "overwrite"})
    by = {"actor": SYSTEM, "source": builtin_source("staff")}

    def edit() -> None:
        for person in reversed(known):
            update_profile(profile_id=person.pk, values={"city": "Gdańsk"}, **by)
        for i in range(40, 50):
            create_profile(values={"email": f"new{i}@example.com"}, **by)

    done, edited = two_connections(lambda: carry_out(import_), edit)
    assert (done.state, edited) == ("done", None), (done.problem, edited)
    assert done.counts["created"] == 30
    for person in Profile.objects.filter(pk__in=[one.pk for one in known]):
        values = [
            change.fields["city"] for change in person.changes.order_by("pk") if "city" in change.fields
        ]
        assert [old for old, _ in values] == [None, *[new for _, new in values[:-1]]]
        assert person.city == values[-1][1] == "Gdańsk"
