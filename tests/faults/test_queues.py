"""People's jobs begin at once, whatever waits behind them; ticks wait for nobody and never pile up."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest

from cdp.actors import Actor
from cdp.beat import MOST_WAITING
from cdp.celery import app
from cdp.models import Job, Worker
from cdp.queues import waiting
from imports.plan import plan_import
from profiles.duplicates.finding import full_scan
from tests.faults.harness import Bench, wait_until
from tests.faults.jobs import assert_done_once
from tests.faults.stories import lines, staff, upload
from tests.faults.worker_app import STEPS

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]

TICKS = 10_000


@pytest.fixture
def emptied(bench: Bench) -> Iterator[Bench]:
    """No worker, no clock, nothing in the queues before and after."""
    bench.ready(beat=False)
    empty(bench)
    yield bench
    bench.ready(beat=False)
    empty(bench)


def empty(bench: Bench) -> None:
    with bench.redis.client() as client:
        client.delete("jobs", "housekeeping")


def queue_ticks(bench: Bench, number: int) -> None:
    """Ticks as beat sends them, none of them expired."""
    app.send_task("cdp.tasks.seal_audit", queue="housekeeping", expires=3600)
    with bench.redis.client() as client:
        (tick,) = client.lrange("housekeeping", 0, -1)
        client.rpush("housekeeping", *[tick] * (number - 1))
    assert waiting("housekeeping") == number


def test_a_small_plan_begins_at_once_beside_ticks_and_a_scan(emptied: Bench) -> None:
    bench = emptied
    ada = staff()
    queue_ticks(bench, TICKS)
    bench.sql("INSERT INTO faults_gate (name, line) VALUES ('scan-rows', 0)")
    try:
        # A person's scan, and nobody but one process for people's jobs: it must not be the scan's.
        scan = full_scan.start_scan(actor=Actor.of_user(ada))
        bench.start_worker("people", concurrency=1, queues="jobs")
        bench.start_worker("rest", concurrency=1, queues="housekeeping")
        bench.await_worker("people")
        bench.await_worker("rest")
        file = upload(lines("beside", 1), name="beside.csv", user=ada)
        started = monotonic()
        plan_import(import_id=file.pk, actor=Actor.of_user(ada))

        def is_planned() -> bool:
            file.refresh_from_db()
            return file.state in ("planned", "applying", "done")

        wait_until(is_planned, 10, what="the plan of one row")
        assert monotonic() - started < 10
        assert Job.objects.get(pk=scan.pk).state in ("queued", "running")
    finally:
        bench.sql("DELETE FROM faults_gate")


def test_each_worker_says_which_queue_it_takes_from(emptied: Bench) -> None:
    Worker.objects.all().delete()
    emptied.start_worker("people", concurrency=1, queues="jobs")
    emptied.await_worker("people")
    wait_until(lambda: [worker.queues for worker in Worker.objects.all()] == [["jobs"]], what="its row")


def test_without_workers_ticks_stop_piling_up_and_come_back_with_them(emptied: Bench) -> None:
    bench = emptied
    queue_ticks(bench, MOST_WAITING - 1)
    bench.start_beat()
    log = bench.folder / f"beat-{len(bench.beats) - 1}.log"
    wait_until(
        lambda: "tick left out: no worker takes housekeeping" in log.read_text(), what="a tick left out"
    )
    assert waiting("housekeeping") == MOST_WAITING
    bench.start_worker("rest", concurrency=1, queues="housekeeping")
    wait_until(lambda: waiting("housekeeping") < 20, what="an empty queue")
    never_sent = Job.objects.create(kind=STEPS, params={"n": 2}, total=2, is_system=True)
    assert_done_once(bench, never_sent)  # a tick found it
