"""Redis away, wiped, restarted or full: it only starts work, so nothing is lost or done twice.

That workers survive it is what ``ack_emulation`` and ``CELERY_BROKER_CHANNEL_ERROR_RETRY`` in the settings are for.
"""

from __future__ import annotations

from threading import Event

import pytest
from django.test import Client

from cdp.models import Job
from tests.faults import stories
from tests.faults.harness import Bench, wait_until
from tests.faults.jobs import assert_done_once, at_step, start

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]


def test_work_started_while_redis_is_away_starts_when_it_is_back(bench: Bench) -> None:
    bench.ready("one")
    bench.redis.kill()
    job = start(n=3, pause=0)
    assert job.state == "queued"
    assert Client().get("/healthz").status_code == 200
    bench.redis.start()
    assert_done_once(bench, job)


def test_wiped_messages_are_sent_anew_and_each_job_runs_once(bench: Bench) -> None:
    bench.ready("one")
    bench.kill_workers()
    bench.stop_beats()  # its ticks are messages, too
    jobs = [start(n=1, pause=0) for _ in range(200)]
    bench.wipe_redis()
    bench.redis.start()
    assert bench.redis.client().dbsize() == 0
    bench.start_beat()
    bench.start_worker("one")
    ids = [job.pk for job in jobs]
    # The first of them within the promised minute; how long 200 take is the machine's affair.
    wait_until(lambda: Job.objects.filter(pk__in=ids, state="done").exists(), what="a job done")
    wait_until(lambda: Job.objects.filter(pk__in=ids, state="done").count() == 200, 240, what="200 jobs done")
    done = bench.sql("SELECT job_id, count(*) FROM faults_done WHERE job_id = ANY(%s) GROUP BY 1", [ids])
    assert done == [(pk, 1) for pk, _ in done]
    assert len(done) == 200


def test_an_import_survives_a_restart_of_redis(bench: Bench) -> None:
    bench.ready("one")
    clean = stories.in_peace(bench, 4000)
    job = stories.start("redis", 4000, user=stories.staff(), mode="slow-0.1")
    wait_until(lambda: stories.work_of(job).kind == "import.apply" and stories.work_of(job).done > 0)
    bench.wipe_redis()
    bench.redis.start()
    wait_until(lambda: stories.has_ended(job), what="the import's end")
    stories.assert_whole(job, "redis", clean)


def test_a_full_redis_holds_nothing_up(bench: Bench) -> None:
    bench.ready("one")
    running = at_step(start(n=6), 1)
    with bench.redis.client() as client:
        client.config_set("maxmemory", "1")
        job = start(n=2, pause=0)  # accepted, though it could not be enqueued
        assert job.state == "queued"
        client.config_set("maxmemory", "256mb")
    assert_done_once(bench, running)
    assert_done_once(bench, job)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_redis_restarts_and_fills_up_again_and_again(bench: Bench) -> None:
    """Each of these once ended a worker, or left it alive and deaf; not every time, so many times."""
    bench.ready("one")
    worker = bench.workers["one"]
    for number in range(20):
        busy = start(n=10, pause=0.1)
        bench.redis.kill()
        meanwhile = start(n=1, pause=0)
        bench.redis.start()
        assert_done_once(bench, meanwhile)
        with bench.redis.client() as client:
            client.config_set("maxmemory", "1")
            meanwhile = start(n=1, pause=0)
            Event().wait(0.2 * (number % 10))  # messages are acknowledged, sent and fetched meanwhile
            client.config_set("maxmemory", "256mb")
        assert_done_once(bench, meanwhile)
        assert_done_once(bench, busy)
    assert worker.poll() is None
