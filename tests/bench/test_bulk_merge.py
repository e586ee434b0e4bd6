"""Ten thousand pairs looked at, merged and taken back, each merge with its journal, audit entry and message."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from cdp.actors import Actor
from cdp.invariants import violations
from cdp.jobs import run_to_end
from cdp.models import AuditEntry, Webhook
from profiles.builtin_sources import SOURCE_IDS, builtin_source
from profiles.merging.batches import preview
from profiles.merging.batches.apply import start_batch
from profiles.merging.batches.freeze import make_batch
from profiles.merging.batches.preview import preview_batch
from profiles.merging.batches.undo import undo_batch
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Change, DuplicatePair, Merge, MergeBatch, Profile
from tests.bench.conftest import empty_base, scaled

pytestmark = [pytest.mark.bench, pytest.mark.django_db(transaction=True)]

_PEOPLE = """
    INSERT INTO profiles_profile (id, canonical_id, first_name, last_name, email, city, attributes, source_id,
        is_recognized, first_seen_at, last_seen_at)
    SELECT n, n, 'Ann', 'No ' || n / 2, CASE WHEN n % 2 = 0 THEN 'ann' || n || '@example.com' END,
        CASE n % 3 WHEN 0 THEN 'Oslo' WHEN 1 THEN 'Rome' END, jsonb_build_object('plan', n % 5), %(source)s, n % 2 = 0,
        now() - n * interval '1 minute', now()
    FROM generate_series(%(first)s, %(first)s + 2 * %(pairs)s - 1) n;
    INSERT INTO profiles_identifier (profile_id, type_id, value, raw, source_id)
    SELECT p.id, t.id, p.email, '', %(source)s FROM profiles_profile p, profiles_identifiertype t
    WHERE t.name = 'email' AND p.email IS NOT NULL AND p.id >= %(first)s;
    INSERT INTO profiles_event (profile_id, name_id, occurred_at, received_at, message_id, source_id, properties, context)
    SELECT p.id, e.id, now(), now(), gen_random_uuid(), %(source)s, '{}', '{}'
    FROM profiles_profile p, profiles_eventname e, generate_series(1, 5) WHERE p.id >= %(first)s;
    INSERT INTO profiles_duplicatepair (a_id, b_id, tier, score)
    SELECT id, id + 1, 'certain', 20 FROM profiles_profile WHERE id >= %(first)s AND id %% 2 = 0
"""


def people(pairs: int, *, first: int) -> None:
    """``pairs`` times two people with an identifier, five events each, and the pair of them in the queue."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO profiles_eventname (name) VALUES ('Page') ON CONFLICT DO NOTHING")
        values = {"first": first, "pairs": pairs, "source": SOURCE_IDS["web"]}
        cursor.execute(_PEOPLE.replace("n % ", "n %% "), values)
        for table in ("profile", "identifier", "event", "duplicatepair"):
            cursor.execute(f"ANALYZE profiles_{table}")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def done(batch: MergeBatch) -> MergeBatch:
    job = batch.undo_job or batch.job
    assert job is not None
    job = run_to_end(job)
    assert (job.state, job.problem) == ("done", "")
    return MergeBatch.objects.get(pk=batch.pk)


def test_ten_thousand_pairs(report: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "INLINE", 0)
    count, alone = scaled(10_000), 200
    Webhook.objects.create(name="crm", url="https://crm.example/", topics=["profile.merged"])
    empty_base()
    people(count + alone, first=1_000)
    by: Any = {"actor": Actor.system(), "source": builtin_source("staff")}
    ids = DuplicatePair.objects.order_by("pk").values_list("pk", flat=True)
    singles = list(ids[count:])
    one_by_one, _ = timed(
        lambda: [
            merge_profiles(winner_id=pair.a_id, loser_id=pair.b_id, **by)
            for pair in DuplicatePair.objects.filter(pk__in=singles)
        ]
    )
    queue = DuplicatePair.objects.exclude(pk__in=singles).order_by("pk")
    made, batch = timed(lambda: make_batch(queue, **by))
    looked, batch = timed(lambda: done(preview_batch(batch_id=batch.pk, actor=by["actor"])))
    assert batch.preview["merges"] == count
    merged, batch = timed(lambda: done(start_batch(batch_id=batch.pk, actor=by["actor"])))
    assert batch.counts == {"merged": count, "skipped": 0}
    assert Profile.objects.filter(status="merged").count() == Merge.objects.count() == count + alone
    assert Change.objects.filter(kind="merged").count() == 2 * (count + alone)
    assert AuditEntry.objects.filter(action="profile.merge").count() == count + alone
    assert violations() == []
    report(
        f"{count:,} pairs of the queue merged in bulk: freeze, look, merge",
        measured=f"{made + looked + merged:.1f} s ({count / merged:,.0f} merges/s; {made:.1f}, {looked:.1f}, {merged:.1f})",
        limit=f"one by one {one_by_one / alone * count:.0f} s ({alone / one_by_one:.0f}/s)",
        ratio=f"{merged / (one_by_one / alone * count):.2f} ×",
        floor="merge ≤ 60 s",
        holds=merged <= 60 * count / 10_000,
    )
    undone, batch = timed(lambda: done(undo_batch(batch_id=batch.pk, actor=by["actor"])))
    assert (batch.counts["undone"], batch.counts["kept"]) == (count, 0)
    left = list(Merge.objects.active().values_list("pk", flat=True))
    assert len(left) == alone
    assert violations() == []
    singly, _ = timed(lambda: [unmerge_profiles(merge_id=pk, **by) for pk in left])
    report(
        f"{count:,} of them undone",
        measured=f"{undone:.1f} s ({count / undone:,.0f}/s)",
        limit=f"one by one {singly / alone * count:.0f} s ({alone / singly:.0f}/s)",
        ratio=f"{undone / (singly / alone * count):.2f} ×",
        holds=True,
    )
