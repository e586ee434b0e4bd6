"""PostgreSQL crashes or drops a connection in the middle of an import."""

from __future__ import annotations

import pytest
from django.db import connection

from imports.models import Import
from tests.faults import stories
from tests.faults.harness import Bench, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]

ROWS = 4000


def midway(job: Import, phase: str) -> None:
    """Return once the import is being planned or applied and part of it is committed."""
    wait_until(
        lambda: (work := stories.work_of(job)).kind == f"import.{phase}" and 0 < work.done < ROWS,
        what=f"{phase} under way",
    )


@pytest.fixture
def clean(bench: Bench) -> stories.Story:
    bench.ready("one")
    return stories.in_peace(bench, ROWS)


def test_an_import_survives_a_crash_of_the_database(bench: Bench, clean: stories.Story) -> None:
    job = stories.start("pgcrash", ROWS, user=stories.staff(), mode="slow-0.1")
    midway(job, "apply")
    connection.close()
    bench.postgres.restart("immediate")
    wait_until(lambda: stories.has_ended(job), what="the import's end")
    stories.assert_whole(job, "pgcrash", clean)


def test_an_import_survives_a_lost_connection(bench: Bench, clean: stories.Story) -> None:
    job = stories.start("pgkill", ROWS, user=stories.staff(), mode="slow-0.15")
    midway(job, "apply")
    (victim,) = wait_until(bench.open_transactions, what="a chunk's transaction")[:1]
    bench.sql("SELECT pg_terminate_backend(%s)", [victim])
    wait_until(lambda: stories.has_ended(job), what="the import's end")
    stories.assert_whole(job, "pgkill", clean)


def test_an_import_survives_the_shutdown_of_its_worker(bench: Bench, clean: stories.Story) -> None:
    job = stories.start("deploy", ROWS, user=stories.staff(), mode="slow-0.15")
    midway(job, "apply")
    processes = list(bench.workers.values())
    bench.workers.clear()
    for process in processes:
        process.terminate()
    for process in processes:
        assert process.wait(120) == 0
    work = stories.work_of(job)
    assert (work.state, work.lease_token) == ("queued", None)
    bench.start_worker("one")
    wait_until(lambda: stories.has_ended(job), what="the import's end")
    stories.assert_whole(job, "deploy", clean)
    assert stories.work_of(job).resumes == 0
