"""Random kill -9 over scans for duplicates: the same pairs and cases as in peace, and no files left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.db import connection, transaction

from cdp.actors import Actor
from cdp.models import Job
from profiles.duplicates.finding.full_scan import KIND, start_scan
from profiles.duplicates.training.synthetic_people import make_people
from profiles.identity.graph import retried
from profiles.models import (
    DuplicateCase,
    DuplicatePair,
    FrequentValue,
    MatchBase,
    MatchQueue,
    MatchRarity,
    MatchRow,
)
from tests.duplicates.invented import fill_profiles
from tests.faults.harness import Bench, wait_until
from tests.faults.kills import Gate, Kills, kill_at_random
from tests.faults.worker_app import SCAN_GATES

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]

PEOPLE = 3500


@dataclass(frozen=True)
class Findings:
    """What a scan leaves behind, without ids of its own and times."""

    pairs: dict[tuple[int, int], tuple[Any, ...]]
    cases: list[tuple[Any, ...]]
    shared: list[tuple[Any, ...]]
    rarity: dict[tuple[str, str], float]
    crowds: list[tuple[Any, ...]]
    rows: int
    people: int

    @classmethod
    def now(cls) -> Findings:
        pairs = DuplicatePair.objects.values_list(
            "a_id", "b_id", "verdict", "tier", "score", "rule", "veto", "evidence", "case__anchor"
        )
        cases = DuplicateCase.objects.filter(state="open").order_by("kind", "anchor", "value")
        return cls(
            {row[:2]: (*row[2:],) for row in pairs},
            list(
                cases.filter(kind="people").values_list(
                    "anchor", "members", "size", "tier", "score", "problem"
                )
            ),
            list(cases.filter(kind="shared_value").values_list("value", "size", "members")),
            {
                (field, value): bits
                for field, value, bits in MatchRarity.objects.values_list("field", "value", "bits")
            },
            sorted(FrequentValue.objects.values_list("field", "value", "key", "holders"), key=str),
            MatchRow.objects.count(),
            MatchBase.current().people,
        )


def make_base() -> None:
    """Invented people, and a desk whose address too many share."""
    rows = [dict(row) for row in make_people(rows=PEOPLE, seed=61, share=1.0).rows]
    for number in range(0, PEOPLE, 100):
        rows[number]["email"] = "reading.room@library.example.net"
    with connection.cursor() as cursor:
        # Again when a worker that compares whoever changed at this moment was in the way.
        retried(cursor.execute)("TRUNCATE profiles_profile CASCADE")
    fill_profiles(rows)


def forget_findings() -> None:
    """As if nobody had ever looked for duplicates."""
    # Not TRUNCATE: a worker that compares whoever changed at this moment would wait for it, and it for the worker.
    with transaction.atomic():  # pairs and cases point at each other
        for table in (
            MatchQueue,
            DuplicateCase,
            DuplicatePair,
            MatchRow,
            MatchRarity,
            FrequentValue,
            MatchBase,
        ):
            table.objects.all()._raw_delete(connection.alias)


def scan() -> Job:
    forget_findings()
    # A worker starts one by itself when other tests left a long queue; it may have looked before our people were there.
    wait_until(lambda: not Job.objects.open().filter(kind=KIND).exists(), what="the end of another scan")
    forget_findings()
    return start_scan(actor=Actor.system())


def ended(job: Job) -> Job:
    def has_ended() -> bool:
        job.refresh_from_db()
        return not job.is_open

    wait_until(has_ended, what=f"the end of scan {job.pk}")
    return job


def assert_whole(bench: Bench, job: Job, clean: Findings) -> None:
    ended(job)
    assert (job.state, job.problem) == ("done", "")
    assert job.result["people"] == clean.people
    assert Findings.now() == clean
    assert not MatchQueue.objects.exists()
    folders = Path(bench.env["CDP_DATA"]) / "scans"
    assert [path.name for path in folders.rglob("*")] == []


def undisturbed(bench: Bench) -> Findings:
    for name in [*bench.workers][1:]:
        bench.kill_worker(name)
    bench.ready("one")
    make_base()
    assert ended(scan()).state == "done"
    clean = Findings.now()
    assert clean.people > PEOPLE * 0.9
    assert len(clean.pairs) > 100
    assert len(clean.cases) > 3
    assert len(clean.shared) == 1
    return clean


@pytest.mark.timeout(300)
def test_scan_kills(bench: Bench) -> None:
    """One kill in each step, with everything written and nothing committed; then some at random."""
    clean = undisturbed(bench)
    gates = [Gate(bench, name) for name in SCAN_GATES]

    def move_on(killed: int) -> None:
        gates[killed - 1].lift()
        if killed < len(gates):
            gates[killed].close_at(0)

    gates[0].close_at(0)
    job = scan()
    kills = kill_at_random(
        bench,
        [job],
        kills=len(gates),
        random=Random(5),
        longest=0.5,
        aims=[gate.is_reached for gate in gates],
        after_each=move_on,
    )
    assert kills.count == len(gates)
    assert_whole(bench, job, clean)
    assert job.resumes >= 1
    job = scan()
    print(kills, kill_at_random(bench, [job], kills=3, random=Random(7), longest=1.5))
    assert_whole(bench, job, clean)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_scan_kills(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """50 kills over as many scans as it takes."""
    clean, random, kills_so_far = undisturbed(bench), Random(11), Kills()
    while kills_so_far.count < 50:
        job = scan()
        kills = kill_at_random(bench, [job], kills=4, random=random, longest=2.5)
        assert_whole(bench, job, clean)
        kills_so_far.count += kills.count
        kills_so_far.seconds += kills.seconds
    with capsys.disabled():
        print(f"{kills_so_far.count} kills, slowest resume {kills_so_far.slowest:.1f} s")
