"""Random kill -9 over imports: nothing lost, nothing doubled, resumed in time (FAULTS P1, P2, V2, V7).

The same harness is shown to see the two classic bugs, so that its silence means something.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cdp.local.places import throwaway_folder
from tests.faults import stories
from tests.faults.harness import RESUMED_WITHIN, Bench, wait_until
from tests.faults.kills import kill_at_random

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]


def only_one_worker(bench: Bench) -> None:
    for name in [*bench.workers][1:]:
        bench.kill_worker(name)
    bench.ready("one")


def test_import_kills(bench: Bench) -> None:
    only_one_worker(bench)
    ada = stories.staff()
    clean = stories.in_peace(bench, 10_000)
    job = stories.start("kills", 10_000, user=ada, mode="slow-0.02")
    kills = kill_at_random(bench, job, kills=5, random=Random(7), longest=1.0)
    print(kills)
    assert kills.count == 5
    stories.assert_whole(job, "kills", clean)


@pytest.mark.soak  # three random kills meet the half second between the two most times, not every time
def test_the_kills_show_a_cursor_that_moves_apart_from_its_chunk(bench: Bench) -> None:
    only_one_worker(bench)
    ada = stories.staff()
    clean = stories.in_peace(bench, 4000)
    planted = {bug: stories.start(bug, 4000, user=ada, mode=f"{bug}-0.7") for bug in ("early", "late")}
    kills = kill_at_random(
        bench, planted["late"], kills=3, random=Random(1), longest=0.5, kind="import.apply"
    )
    assert kills.count == 3
    wait_until(lambda: stories.has_ended(planted["early"]), what="the other import's end")
    seen = {}
    for bug, job in planted.items():
        seen[bug] = stories.differences(stories.story_of(job, bug), clean)
        with pytest.raises(AssertionError):
            stories.assert_whole(job, bug, clean)
    assert seen["early"]["people lost"] > 0  # rows nobody wrote, and the import says they are done
    assert seen["late"]["outcomes"] > 0  # the second time their identifiers are taken by the first


# --- The long form, with the leases, sweeps and chunks the product ships -----------------------------------


@pytest.fixture(scope="session")
def shipped_bench() -> Iterator[Bench]:
    with throwaway_folder() as folder, Bench.built(folder) as bench:
        yield bench


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_many_import_kills(
    shipped_bench: Bench, django_db_blocker: Any, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """CDP_SOAK_KILLS (100) kills over imports of CDP_SOAK_ROWS (100,000)."""
    wanted, rows = (
        int(os.environ.get("CDP_SOAK_KILLS", "100")),
        int(os.environ.get("CDP_SOAK_ROWS", "100000")),
    )
    random = Random(os.environ.get("CDP_SOAK_SEED", "1"))
    settings.MEDIA_ROOT = Path(shipped_bench.env["CDP_DATA"]) / "files"
    with django_db_blocker.unblock(), shipped_bench.connected():
        shipped_bench.ready("one")
        ada = stories.staff()
        clean = stories.in_peace(shipped_bench, rows)
        killed, number, slowest = 0, 0, 0.0
        while killed < wanted:
            number += 1
            job = stories.start(f"soak{number:03}", rows, user=ada)
            kills = kill_at_random(
                shipped_bench, job, kills=min(8, wanted - killed), random=random, longest=4.0
            )
            killed += kills.count
            slowest = max(slowest, *kills.seconds, 0.0)
            with capsys.disabled():
                print(f"import {number}: {kills}; {killed} of {wanted}", flush=True)
            stories.assert_whole(job, f"soak{number:03}", clean)
        assert slowest <= RESUMED_WITHIN
