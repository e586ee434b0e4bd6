"""Imports against imports, merges and staff, on real connections."""

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
from profiles.builtin_sources import builtin_source
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


def test_the_same_profiles_from_two_files_at_once(two_connections: Callable[..., list[Any]]) -> None:
    """One profile per identifier whichever is first; the other import leaves its row out, and nothing deadlocks."""
    first, second = planned(text(60)), planned(text(60, 20, step=-1))
    done = two_connections(lambda: carry_out(first), lambda: carry_out(second))
    assert [import_.state for import_ in done] == ["done", "done"], done
    assert all(map(summed, done))
    assert Profile.objects.count() == 80
    assert Identifier.objects.filter(type__name="customer_id").count() == 80
    created = sum(import_.counts["created"] for import_ in done)
    left_out = sum(import_.counts["held"] for import_ in done)
    assert (created, left_out) == (80, 40)
    assert violations() == []


def test_planning_beside_an_import(two_connections: Callable[..., list[Any]]) -> None:
    first, second = planned(text(60)), upload(text(60))

    def plan() -> Import:
        run_to_end(plan_import(import_id=second.pk, actor=SYSTEM))
        second.refresh_from_db()
        return second

    applied, replanned = two_connections(lambda: carry_out(first), plan)
    assert (applied.state, replanned.state) == ("done", "planned")
    assert (
        carry_out(replanned).counts["created"] + replanned.counts["held"] + replanned.counts["unchanged"]
        == 60
    )
    assert Profile.objects.count() == 60


def test_rows_are_written_to_roots_while_profiles_are_merged(
    two_connections: Callable[..., list[Any]],
) -> None:
    """While pairs of them are merged; a row is either written to the root or left out, never written to a loser."""
    pairs = [
        (make_profile(email=f"a{i}@example.com"), make_profile(email=f"b{i}@example.com")) for i in range(20)
    ]
    rows = [f"{side}{i}@example.com,Kraków" for i in range(20) for side in "ab"]
    import_ = planned("email,city\n" + "\n".join(rows) + "\n")

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


def test_staff_edit_the_profiles_of_an_import(two_connections: Callable[..., list[Any]]) -> None:
    """No concurrent edit is overwritten, and every value has its journal entry."""
    known = [make_profile(email=f"p{i}@example.com") for i in range(30)]
    rows = [f"p{i}@example.com,Kraków" for i in range(60)]
    import_ = planned("email,city\n" + "\n".join(rows) + "\n", options={"policy": "overwrite"})
    by = {"actor": SYSTEM, "source": builtin_source("staff")}

    def edit() -> None:
        for profile in reversed(known):
            update_profile(profile_id=profile.pk, values={"city": "Gdańsk"}, **by)
        for i in range(40, 50):
            create_profile(values={"email": f"new{i}@example.com"}, **by)

    done, edited = two_connections(lambda: carry_out(import_), edit)
    assert (done.state, edited) == ("done", None), (done.problem, edited)
    assert done.counts["created"] == 30
    for profile in Profile.objects.filter(pk__in=[profile.pk for profile in known]):
        values = [
            change.fields["city"] for change in profile.changes.order_by("pk") if "city" in change.fields
        ]
        assert [old for old, _ in values] == [None, *[new for _, new in values[:-1]]]
        assert profile.city == values[-1][1] == "Gdańsk"
