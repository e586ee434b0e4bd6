"""Random kill -9 over imports: nothing lost, nothing doubled, resumed in time.

The same harness is shown to see the two classic bugs, so that its silence means something.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cdp.local.paths import throwaway_folder
from imports.models import Import
from profiles.models import Change
from tests.faults import stories
from tests.faults.harness import Bench
from tests.faults.kills import Gate, kill_at_random

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]


def run_single_worker(bench: Bench) -> None:
    for name in [*bench.workers][1:]:
        bench.kill_worker(name)
    bench.ready("one")


def test_import_kills(bench: Bench) -> None:
    """The gate moves on with each kill, so that the import cannot end before all of them."""
    rows, wanted = 4000, 4
    run_single_worker(bench)
    ada = stories.staff()
    clean = stories.in_peace(bench, rows)
    gate = Gate(bench, stories.file_name("kills", "slow-0.02"))

    def move_on(killed: int) -> None:
        gate.close_at(rows * (killed + 1) // (wanted + 1)) if killed < wanted else gate.lift()

    move_on(0)
    job = stories.start("kills", rows, user=ada, mode="slow-0.02")
    kills = kill_at_random(bench, [job], kills=wanted, random=Random(3), longest=0.7, after_each=move_on)
    print(kills)
    assert kills.count == len(kills.seconds) == wanted
    stories.assert_whole(job, "kills", clean)


def test_the_kills_show_a_cursor_that_moves_apart_from_its_chunk(bench: Bench) -> None:
    """One kill meets both imports between their two commits, where the gate holds them; another is random."""
    rows, bugs = 4000, ("early", "late")
    run_single_worker(bench)
    ada = stories.staff()
    clean = stories.in_peace(bench, rows)
    gates = [Gate(bench, stories.file_name(bug, f"{bug}-0.05")) for bug in bugs]

    def lift(killed: int) -> None:
        for gate in gates:
            gate.lift()

    for bug, gate in zip(bugs, gates, strict=True):
        stories.know_people(bug, rows, ada)
        gate.close_at(0)
    planted = {bug: stories.send(bug, rows, user=ada, mode=f"{bug}-0.05") for bug in bugs}
    kills = kill_at_random(
        bench,
        [*planted.values()],
        kills=2,
        random=Random(1),
        longest=0.5,
        aims=[lambda: all(map(is_torn, planted.values()))],
        after_each=lift,
    )
    assert kills.count == 2
    seen = {}
    for bug, job in planted.items():
        seen[bug] = stories.differences(stories.story_of(job, bug), clean)
        with pytest.raises(AssertionError):
            stories.assert_whole(job, bug, clean)
    assert seen["early"]["people lost"] > 0  # rows nobody wrote, and the import says they are done
    assert seen["late"]["outcomes"] > 0  # the second time their identifiers are taken by the first


def is_torn(job: Import) -> bool:
    """Whether its first rows are written and not counted, or counted and not written."""
    work = stories.work_of(job)
    written = Change.objects.filter(cause="import", cause_id=job.pk).exists()
    return work.kind == "import.apply" and written != (work.done > 0)


# --- The long form, with the leases, sweeps and chunks the product ships -----------------------------------


@pytest.fixture(scope="session")
def shipped_bench() -> Iterator[Bench]:
    with throwaway_folder() as folder, Bench.built(folder) as bench:
        yield bench


@pytest.mark.soak
@pytest.mark.timeout(2 * 3600)
def test_many_import_kills(
    shipped_bench: Bench, django_db_blocker: Any, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """CDP_SOAK_KILLS (100) kills over imports of CDP_SOAK_ROWS (100,000), six at a time on four workers.

    Side by side, because after each kill an import lies still until its lease has run out. There is room in the
    pools for all six while one worker is dead, so that whoever waits, waits for the lease alone.
    """
    wanted = int(os.environ.get("CDP_SOAK_KILLS", "100"))
    rows = int(os.environ.get("CDP_SOAK_ROWS", "100000"))
    random = Random(os.environ.get("CDP_SOAK_SEED", "1"))
    settings.MEDIA_ROOT = Path(shipped_bench.env["CDP_DATA"]) / "files"
    with django_db_blocker.unblock(), shipped_bench.connected():
        shipped_bench.ready("one", "two", "three", "four")
        ada = stories.staff()
        clean = stories.in_peace(shipped_bench, rows)
        killed, number, slowest = 0, 0, 0.0
        while killed < wanted:
            prefixes = [f"soak{number + n:03}" for n in range(6)]
            number += len(prefixes)
            for prefix in prefixes:
                stories.know_people(prefix, rows, ada)
            jobs = [stories.send(prefix, rows, user=ada) for prefix in prefixes]
            kills = kill_at_random(
                shipped_bench, jobs, kills=wanted - killed, random=random, longest=4.0, at_most_each=4
            )
            killed += kills.count
            slowest = max(slowest, kills.slowest)
            for job, prefix in zip(jobs, prefixes, strict=True):
                stories.assert_whole(job, prefix, clean)
            with capsys.disabled():
                print(f"{number} imports whole: {kills}; {killed} of {wanted}", flush=True)
        with capsys.disabled():
            print(f"{killed} kills over {number} imports of {rows:,} rows, slowest resume {slowest:.1f} s")
