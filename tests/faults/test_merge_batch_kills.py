"""kill -9 in the middle of a bulk merge and of its undo: no merge lost, none done twice.

A lock keeps the worker at the last statement of a chunk, when all its merges are written and nothing is committed:
the moment in which a cursor that moved apart from its chunk would show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection

from cdp.actors import Actor
from cdp.invariants import violations
from cdp.models import AuditEntry, Job, OutboxMessage, Webhook
from profiles.builtin_sources import SOURCE_IDS, builtin_source
from profiles.merging.batches.apply import start_batch
from profiles.merging.batches.freeze import BatchPair, make_batch
from profiles.merging.batches.preview import preview_batch
from profiles.merging.batches.undo import undo_batch
from profiles.models import Change, Merge, MergeBatch, Profile
from tests.faults.harness import RESUMED_WITHIN, Bench, wait_until
from tests.faults.test_import_kills import run_single_worker

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]

CHAINS, LONG = 40, 4
KILLS = 3


def people(count: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_profile (id, canonical_id, first_name, city, source_id)"
            " SELECT n, n, 'Ann', 'City ' || n, %s"
            " FROM (SELECT nextval(pg_get_serial_sequence('profiles_profile', 'id')) n FROM generate_series(1, %s)) s"
            " RETURNING id",
            [SOURCE_IDS["web"], count],
        )
        return [pk for (pk,) in cursor.fetchall()]


def rows_of(ids: list[int]) -> list[tuple[Any, ...]]:
    columns = ("pk", "canonical_id", "status", "first_name", "city", "is_recognized", "attributes")
    return list(Profile.objects.filter(pk__in=ids).order_by("pk").values_list(*columns))


@contextmanager
def paused_at_the_end_of_a_chunk(bench: Bench) -> Iterator[int]:
    """While this lasts, a worker waits with a chunk written and not committed; gives its backend's process id."""
    with psycopg.connect(bench.postgres.url) as lock:
        lock.execute("LOCK TABLE profiles_mergebatchrow IN SHARE MODE")

        def waiting() -> int:
            rows = bench.sql(
                "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND query ILIKE '%UPDATE profiles_mergebatchrow%' AND pid <> pg_backend_pid()"
            )
            return int(rows[0][0]) if rows else 0

        yield wait_until(waiting, what="a worker at the end of a chunk")


def kill_some_times(bench: Bench, job: Job) -> None:
    """Kill whoever holds the job at the end of a chunk, its pool and the whole worker by turns."""
    for turn in range(KILLS):
        with paused_at_the_end_of_a_chunk(bench):
            before = committed(job)
            if turn % 2:
                bench.kill_worker("one")
            else:
                bench.kill_children("one")
        assert committed(job) == before, "nothing of the chunk stays"
        if turn % 2:
            bench.start_worker("one")
        wait_until(lambda before=before: committed(job) > before, RESUMED_WITHIN, what="somebody went on")
    wait_until(lambda: not Job.objects.get(pk=job.pk).is_open, 300, what="the job's end")


def committed(job: Job) -> int:
    return Job.objects.values_list("done", flat=True).get(pk=job.pk)


@pytest.mark.timeout(900)
def test_a_killed_bulk_merge_goes_on_without_repeating_or_losing_one(bench: Bench) -> None:
    run_single_worker(bench)
    Webhook.objects.create(
        name="crm", url="https://203.0.113.1/", topics=["profile.merged", "profile.unmerged"]
    )
    ids = people(CHAINS * LONG)
    before = rows_of(ids)
    chains = [ids[start : start + LONG] for start in range(0, len(ids), LONG)]
    # The first of each chain is the survivor of all; turns are mixed so that chains span chunks.
    pairs = [
        BatchPair(chain[index], chain[index + 1]) for index in reversed(range(LONG - 1)) for chain in chains
    ]
    by: Any = {"actor": Actor.system(), "source": builtin_source("staff")}
    batch = make_batch(pairs, **by)
    preview_batch(batch_id=batch.pk, actor=by["actor"])
    wait_until(lambda: MergeBatch.objects.get(pk=batch.pk).state == "ready", what="the look")
    started = start_batch(batch_id=batch.pk, actor=by["actor"])
    assert started.job is not None
    kill_some_times(bench, started.job)

    batch = MergeBatch.objects.select_related("job").get(pk=batch.pk)
    assert (batch.state, batch.counts) == ("done", {"merged": len(pairs), "skipped": 0})
    assert batch.job is not None
    assert (batch.job.done, batch.job.resumes >= 1) == (len(pairs), True)
    merges = Merge.objects.filter(job=batch.job)
    assert Counter(merges.values_list("winner_id", "loser_id")) == Counter(
        (pair.winner_id, pair.loser_id) for pair in pairs
    )
    assert list(merges.order_by("pk").values_list("loser_id", flat=True)) == [pair.loser_id for pair in pairs]
    roots = dict(Profile.objects.filter(pk__in=ids).values_list("pk", "canonical_id"))
    assert roots == {pk: chain[0] for chain in chains for pk in chain}
    assert set(batch.rows.values_list("merge_id", flat=True)) == set(merges.values_list("pk", flat=True))
    assert Change.objects.filter(kind="merged", profile_id__in=ids).count() == 2 * len(pairs)
    assert AuditEntry.objects.filter(action="profile.merge").count() == len(pairs)
    assert OutboxMessage.objects.filter(topic="profile.merged").count() == len(pairs)
    assert violations() == []

    undoing = undo_batch(batch_id=batch.pk, actor=by["actor"])
    assert undoing.undo_job is not None
    kill_some_times(bench, undoing.undo_job)
    batch = MergeBatch.objects.get(pk=batch.pk)
    assert (batch.state, batch.counts["undone"], batch.counts["kept"]) == ("undone", len(pairs), 0)
    assert rows_of(ids) == before
    assert Change.objects.filter(kind="unmerged", detail__side="loser").count() == len(pairs)
    assert violations() == []
    Webhook.objects.all().delete()
