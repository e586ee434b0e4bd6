"""The rule merges certain pairs where it is switched on, up to the cap per hour, undone like any batch."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models.functions import Now

from cdp.jobs import run_to_end
from profiles.duplicates.merge_certain import merge_certain
from profiles.editing.additions import set_lock
from profiles.merging.batches.undo import undo_batch
from profiles.models import DuplicateCase, DuplicatePair, DuplicatePolicy, Merge, MergeBatch
from profiles.tasks import merge_certain_pairs
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def policy() -> DuplicatePolicy:
    return DuplicatePolicy.objects.create(pk=1, auto_merge=True, auto_merge_cap=3)


def certain(count: int = 1, **values: Any) -> list[DuplicatePair]:
    fields = {"tier": "certain", "score": 20.0, "rule": "email", **values}
    return [
        DuplicatePair.objects.create(
            a=make_profile(), b=make_profile(), **{**fields, "score": fields["score"] - n}
        )
        for n in range(count)
    ]


def work_off(batch: MergeBatch | None) -> MergeBatch:
    assert batch is not None
    assert batch.job is not None
    run_to_end(batch.job)
    batch.refresh_from_db()
    return batch


def test_off_as_shipped(db: None) -> None:
    certain()
    assert merge_certain() is None
    merge_certain_pairs()
    assert not MergeBatch.objects.exists()


@pytest.mark.usefixtures("policy")
def test_only_what_nothing_speaks_against(by_staff: dict[str, Any]) -> None:
    good = certain()[0]
    certain(veto="birth_dates")
    certain(tier="probable")
    certain(verdict="later", later_until=Now())
    certain(assignee=by_staff["actor"].user)
    troubled, fine = certain(2)
    for pair, problem in ((troubled, "#1 and #2 are two people."), (fine, "")):
        pair.case = DuplicateCase.objects.create(anchor=pair.a_id, problem=problem)
        pair.save()
    locked = certain()[0]
    set_lock(profile_id=locked.b_id, is_locked=True, **by_staff)
    batch = work_off(merge_certain())
    assert (batch.origin, batch.state, batch.counts) == ("rule", "done", {"merged": 2, "skipped": 0})
    assert set(batch.rows.values_list("pair_id", flat=True)) == {good.pk, fine.pk}
    assert merge_certain() is None


def test_so_many_an_hour_the_surest_first(policy: DuplicatePolicy, by_staff: dict[str, Any]) -> None:
    pairs = certain(5)
    batch = merge_certain()
    assert merge_certain() is None, "one at a time"
    work_off(batch)
    assert list(Merge.objects.order_by("pk").values_list("loser_id", flat=True)) == [
        p.b_id for p in pairs[:3]
    ]
    assert merge_certain() is None, "three an hour"
    # Undoing does not make room, and what was undone is not merged again.
    assert batch is not None
    undone = undo_batch(batch_id=batch.pk, actor=by_staff["actor"])
    assert undone.undo_job is not None
    run_to_end(undone.undo_job)
    assert merge_certain() is None
    Merge.objects.update(created_at="2025-01-01T00:00:00Z")
    rest = work_off(merge_certain())
    assert list(rest.rows.values_list("pair_id", flat=True)) == [p.pk for p in pairs[3:]]


@pytest.mark.usefixtures("policy")
def test_what_was_tried_in_vain_rests_a_day() -> None:
    pair = certain()[0]
    other = DuplicatePair.objects.create(a_id=pair.a_id, b=make_profile(), verdict="open")
    batch = merge_certain()
    DuplicatePair.objects.filter(pk=pair.pk).update(veto="minor")
    assert work_off(batch).counts == {"merged": 0, "skipped": 1}
    DuplicatePair.objects.filter(pk=pair.pk).update(veto="")
    assert merge_certain() is None
    MergeBatch.objects.update(created_at="2025-01-01T00:00:00Z")
    assert work_off(merge_certain()).counts == {"merged": 1, "skipped": 0}
    other.refresh_from_db()
    assert other.verdict == "open"


def test_switched_off_while_it_waits(policy: DuplicatePolicy) -> None:
    certain(2)
    batch = merge_certain()
    policy.auto_merge = False
    policy.save()
    done = work_off(batch)
    assert done.counts == {"merged": 0, "skipped": 2}
    assert done.rows.first().reason == "Automatic merging was switched off before its turn came."  # type: ignore[union-attr]
    assert not Merge.objects.exists()
