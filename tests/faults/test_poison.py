"""A row that kills whoever touches it is found in few deaths and named; everything before it is done."""

from __future__ import annotations

from typing import Any

import pytest

from cdp import jobs
from cdp.actors import Actor
from cdp.models import Job
from imports import apply_sql
from imports.apply import apply_import
from imports.columns import Cleaner
from imports.models import Import
from imports.plan import plan_import
from profiles.models import Profile
from tests.imports.files import planned, upload

pytestmark = pytest.mark.django_db(transaction=True)

ROWS, POISON = 400, 333
TEXT = "customer_id,email\n" + "".join(f"C{n},p{n}@example.com\n" for n in range(2, ROWS + 2))


def deaths_until_it_ends(job: Job) -> int:
    """Work as workers would of whom each may die: then the lease runs out and the next one takes the job."""
    for deaths in range(20):
        try:
            while jobs.run(job.pk):
                pass
        except SystemExit:
            Job.objects.filter(pk=job.pk).update(lease_until="2000-01-01T00:00:00Z")
            continue
        job.refresh_from_db()
        assert not job.is_open
        return deaths
    raise AssertionError("a crash loop")


def problem_at(line: int) -> str:
    return (
        f"Stopped after 3 tries without progress at line {line}."
        " Every try was interrupted; see the worker's log, then resume."
    )


def test_a_row_that_kills_while_it_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    real = apply_sql.RowWriter.write

    def deadly(self: apply_sql.RowWriter, first: int, last: int) -> int:
        if first <= POISON <= last:
            raise SystemExit
        return real(self, first, last)

    monkeypatch.setattr(apply_sql.RowWriter, "write", deadly)
    job = planned(TEXT)
    work = apply_import(import_id=job.pk, actor=Actor.system())
    assert deaths_until_it_ends(work) <= 7
    assert (work.state, work.problem, work.done) == ("failed", problem_at(POISON), POISON - 2)
    job.refresh_from_db()
    assert (job.state, job.counts["created"], job.counts["not_applied"]) == (
        "failed",
        POISON - 2,
        ROWS - POISON + 2,
    )
    assert Profile.objects.count() == POISON - 2


def test_a_row_that_kills_while_it_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Cleaner.clean

    def deadly(self: Cleaner, row: Any) -> Any:
        if row.line_no == POISON:
            raise SystemExit
        return real(self, row)

    monkeypatch.setattr(Cleaner, "clean", deadly)
    job = upload(TEXT)
    work = plan_import(import_id=job.pk, actor=Actor.system())
    assert deaths_until_it_ends(work) <= 7
    assert (work.state, work.problem) == ("failed", problem_at(POISON))
    job.refresh_from_db()
    assert (job.state, job.problem) == (Import.State.FAILED, problem_at(POISON))
    assert not Profile.objects.exists()
