"""Tracking over HTTP, against the same finished rows inserted without HTTP, and against the plain way.

gunicorn runs in two processes as it does in production, on the big base. Everything is committed: the rows stay
for the rest of the session, as more of the base.
"""

from __future__ import annotations

import gzip
import itertools
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.db import connections

from cdp.actors import Actor
from cdp.local import processes
from cdp.ttl_cache import forget_all
from profiles.models import EventName
from profiles.tracking.snippet import build
from profiles.tracking.sources.sources import NewSource, create_source
from tests.bench.conftest import SCALE, percentile, scaled
from tests.bench.finished import insert_seconds, own_connection
from tests.bench.load import UNCOUNTED, Client
from tests.bench.people_file import write_people
from tests.bench.traffic import Known, bodies, known_people
from tests.sdk.conftest import npm_sdks
from tests.sdk.served import database_url, environment, product

__all__ = ["npm_sdks"]

pytestmark = [pytest.mark.bench, pytest.mark.django_db]

ROUNDS = 5
IMPORTS = 3  # for each size of a request
# Two servers take turns; between rounds each is anywhere between 0.9 and 1.3 of the other.
TURNS = 8
# After a checkpoint turns are not counted before events change few pages that were not changed since; at most so many.
FEW_PAGES, UNSETTLED = 0.1, 20
EVENTS = {1: 4_000, 20: 20_000, 100: 60_000}
FLOOR = 0.5
SLOWEST = 0.150
_AT_WORK = (
    "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = 'active'"
    " AND backend_type = 'client backend'"
)


def events_of(size: int) -> int:
    return max(600 if size == 1 else 3_000, int(EVENTS[size] * min(1.0, SCALE * 4)))


def committed(work: Callable[[], Any]) -> Any:
    """What ``work`` gives on a connection of its own: other processes see what it wrote."""

    def alone() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(alone).result()


def new_source() -> NewSource:
    name = f"Bench {uuid.uuid4().hex[:8]}"
    return committed(lambda: create_source(name=name, kind="server", actor=Actor.system()))


@pytest.fixture
def known(big_base: None, db: None) -> Known:
    forget_all()
    # Not in the test's own transaction: its locks would be in the way of other connections until the end.
    return committed(known_people)


@pytest.fixture
def served(known: Known, tmp_path: Path) -> Iterator[str]:
    with product(tmp_path / "ours") as address:
        yield address


@pytest.fixture
def naive(known: Known, tmp_path: Path) -> Iterator[str]:
    with product(tmp_path / "naive", app="tests.bench.naive:application") as address:
        yield address


class Seeds:
    """A new one each time: no two rounds send the same."""

    def __init__(self) -> None:
        self.last = int(time.time())

    def __call__(self) -> int:
        self.last += 1
        return self.last


@pytest.fixture
def seeds() -> Seeds:
    return Seeds()


def run_ours(address: str, batches: list[bytes]) -> tuple[float, NewSource]:
    source = new_source()
    client = Client(address, "/v1/batch", {"X-Write-Key": source.write_key})
    try:
        return client.flat_out(batches), source
    finally:
        client.close()


def run_naive(address: str, events: int, size: int, known: Known, source_id: int) -> float:
    """As many events, of the same length, each about a profile that is there; a profile is looked up per event."""
    name = committed(lambda: EventName.objects.get_or_create(name="Product Viewed")[0].pk)
    context = orjson.loads(bodies(1, events=1, size=1, known=known)[0])["batch"][0]["context"]
    batches = [
        orjson.dumps(
            [
                {
                    "profile": known.low + (batch * size + number) % (known.high - known.low),
                    "name": name,
                    "kind": "track",
                    "occurred_at": "2024-06-01T10:00:00Z",
                    "message_id": uuid.uuid4(),
                    "source": source_id,
                    "properties": {"sku": f"S-{number}", "price": 9.5, "quantity": 1},
                    "context": context,
                }
                for number in range(size)
            ]
        )
        for batch in range(events // size)
    ]
    client = Client(address, "/events/", {"Content-Type": "application/json"})
    try:
        return client.flat_out(batches)
    finally:
        client.close()


def test_events_per_second(
    served: str, naive: str, known: Known, seeds: Seeds, report: Callable[..., None]
) -> None:
    run_ours(served, bodies(seeds(), events=500, size=20, known=known))
    for size in EVENTS:
        count = events_of(size)
        ours, limit, plain = [], [], []
        for _ in range(ROUNDS):
            spent, source = run_ours(served, bodies(seeds(), events=count, size=size, known=known))
            ours.append(count / spent)
            limit.append(count / insert_seconds(source.source.pk, size=size))
            fewer = count // 4
            plain.append(fewer / run_naive(naive, fewer, size, known, source.source.pk))
        to_limit = statistics.median(a / b for a, b in zip(ours, limit, strict=True))
        to_plain = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
        report(
            f"tracking over HTTP, batches of {size} ({known.high - known.low + 1:,} people)",
            measured=f"{statistics.median(ours):,.0f} events/s",
            limit=f"unnest insert of the same rows {statistics.median(limit):,.0f}/s;"
            f" DRF many=True + bulk_create {statistics.median(plain):,.0f}/s",
            ratio=f"{to_limit:.2f} × of the limit, {to_plain:.1f} × DRF",
            floor=f"≥ {FLOOR} × of the limit" if size == 100 else "",
            holds=size != 100 or to_limit >= FLOOR,
        )


def test_answers_stay_quick_at_half_load_while_an_import_runs(
    served: str, known: Known, seeds: Seeds, report: Callable[..., None], tmp_path: Path
) -> None:
    """Three imports for each size, of other people each; each beside half of what was reached just before it."""
    rows = scaled(1_000_000)
    others = itertools.count(1)
    for size in (1, 20):
        rates, alone, beside = [], [], []
        for turn in range(IMPORTS):
            folder = tmp_path / f"import-{size}-{turn}"
            folder.mkdir()
            file = write_people(folder / "people.csv", rows, others=next(others))
            os.sync()  # the benchmark's own file is not what calls wait for
            batches = bodies(seeds(), events=events_of(size), size=size, known=known)
            rate = len(batches) / run_ours(served, batches)[0] / 2
            rates.append(rate)
            alone.append(measure_at(served, known, seeds, size, rate, seconds=10 * min(1.0, SCALE * 4)))
            with importing(file, folder) as running:
                beside.append(measure_at(served, known, seeds, size, rate, seconds=60, until=running))
        (half, late), (half_alone, late_alone) = map(middle_of, (beside, alone))
        each = ", ".join(f"{percentile(taken, 0.99) * 1000:.0f}" for taken in beside)
        report(
            f"one request of {size} at half load ({statistics.median(rates):.0f}/s) while {rows:,} rows are imported"
            f" (p50 / p99; median of {IMPORTS}: p99 {each})",
            measured=f"{half * 1000:.0f} / {late * 1000:.0f} ms",
            limit=f"without the import {half_alone * 1000:.0f} / {late_alone * 1000:.0f} ms",
            ratio=f"{late / late_alone:.1f} ×",
            floor=f"p99 ≤ {SLOWEST * 1000:.0f} ms",
            holds=late <= SLOWEST,
        )


def middle_of(rounds: list[list[float]]) -> tuple[float, float]:
    """p50 and p99, each the median of the rounds: how fast a shared machine is changes within minutes."""
    half, late = (statistics.median(percentile(taken, share) for taken in rounds) for share in (0.5, 0.99))
    return half, late


def measure_at(
    address: str,
    known: Known,
    seeds: Seeds,
    size: int,
    rate: float,
    *,
    seconds: float,
    until: threading.Event | None = None,
) -> list[float]:
    """How long requests take when they come at a steady rate, for so long or ``until`` something ended."""
    source = new_source()
    client = Client(address, "/v1/batch", {"X-Write-Key": source.write_key}, connections=8)
    try:
        batches = bodies(
            seeds(), events=max(int(rate * seconds), 2 * UNCOUNTED) * size, size=size, known=known
        )
        taken = client.at_rate(batches, rate, until or threading.Event())
        assert taken, "the import ended before a call was measured; choose a bigger BENCH_SCALE"
        return taken
    finally:
        client.close()


class importing:
    """An import in a process of its own, stopped when enough was seen of it; the event is set when it ended before."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder, self.ended = path, folder, threading.Event()

    def __enter__(self) -> threading.Event:
        env = processes.environment(environment(self.folder, CELERY_BROKER_URL="memory://"))
        self.log = (self.folder / "import.log").open("wb")
        self.child = subprocess.Popen(
            [
                *processes.NICE,
                sys.executable,
                "-m",
                "tests.bench.import_child",
                str(self.path),
                "fill_if_empty",
            ],
            env=env,
            cwd=settings.BASE_DIR,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        self.watch = threading.Thread(target=self._wait)
        self.watch.start()
        return self.ended

    def _wait(self) -> None:
        self.child.wait()
        self.ended.set()

    def __exit__(self, *_: object) -> None:
        if not (is_over := self.ended.is_set()):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.watch.join()
        self._wait_for_database()
        self.log.close()
        assert self.child.returncode == (0 if is_over else -signal.SIGKILL), (
            self.folder / "import.log"
        ).read_text()[-3000:]

    def _wait_for_database(self) -> None:
        """Until nobody is at work there: a statement goes on for a while when its caller is gone."""
        with own_connection(autocommit=True) as own:
            deadline = time.monotonic() + 60
            while own.execute(_AT_WORK).fetchone() != (0,):
                assert time.monotonic() < deadline, "the database is still at work"
                time.sleep(0.2)


SMALL = "few_events"


@pytest.fixture
def small(known: Known, tmp_path: Path) -> Iterator[str]:
    """The product on the same people with a hundredth of the events: its table of events is another one."""
    with own_connection(autocommit=True) as own:
        own.execute(f"DROP SCHEMA IF EXISTS {SMALL} CASCADE")
        own.execute(f"CREATE SCHEMA {SMALL}")
        own.execute(f"CREATE TABLE {SMALL}.profiles_event (LIKE public.profiles_event INCLUDING ALL)")
        own.execute(
            f"ALTER TABLE {SMALL}.profiles_event ADD FOREIGN KEY (profile_id) REFERENCES public.profiles_profile"
            " DEFERRABLE INITIALLY DEFERRED"
        )
        names = (
            "profile_id, name_id, kind, occurred_at, received_at, message_id, source_id, properties, context"
        )
        own.execute(
            f"INSERT INTO {SMALL}.profiles_event ({names}) SELECT {names} FROM public.profiles_event LIMIT %s",
            [scaled(100_000)],
        )
        own.execute(f"VACUUM ANALYZE {SMALL}.profiles_event")
        url = database_url()
        path = f"options=-csearch_path%3D{SMALL},public"
        with product(tmp_path / "small", DATABASE_URL=f"{url}{'&' if '?' in url else '?'}{path}") as address:
            yield address
        own.execute(f"DROP SCHEMA {SMALL} CASCADE")


def pages_written_whole() -> int:
    """How many there are in the server's log: of each page one, when it is changed for the first time after a checkpoint."""
    with own_connection(autocommit=True) as own:
        row = own.execute("SELECT wal_fpi FROM pg_stat_wal").fetchone()
    assert row
    return int(row[0])


def test_an_event_costs_the_same_however_many_there_are(
    served: str, small: str, known: Known, seeds: Seeds, report: Callable[..., None]
) -> None:
    """Once most pages it changes have been: a page written whole is paid by a checkpoint's first events, in a row of its own."""
    count = events_of(100) // 2

    def a_turn() -> tuple[float, float]:
        few, many = (
            run_ours(address, bodies(seeds(), events=count, size=100, known=known))[0] / count
            for address in (small, served)
        )
        return few, many

    def show(work: str, turns: list[tuple[float, float]], **floor: Any) -> None:
        few, many = (statistics.median(figures) * 1e6 for figures in zip(*turns, strict=True))
        report(
            work,
            measured=f"{many:.0f} µs",
            limit=f"at {scaled(100_000):,} stored {few:.0f} µs",
            ratio=f"{statistics.median(b / a for a, b in turns):.2f} ×",
            **floor,
        )

    a_turn()  # warms up
    with own_connection(autocommit=True) as own:
        own.execute("CHECKPOINT")
    first: list[tuple[float, float]] = []
    while len(first) < UNSETTLED:
        before = pages_written_whole()
        first.append(a_turn())
        if (pages_written_whole() - before) / (2 * count) < FEW_PAGES:
            break
    turns = [a_turn() for _ in range(TURNS)]
    ratio = statistics.median(b / a for a, b in turns)
    show(f"cost of an event at {scaled(10_000_000):,} stored", turns, floor="≤ 1.25 ×", holds=ratio <= 1.25)
    show(f"the same of the first {count:,} after a checkpoint", first[:1], holds=True)


def test_the_snippet_is_small(npm_sdks: Path, report: Callable[..., None]) -> None:
    ours = len(gzip.compress((build.FOLDER / "cdp.min.js").read_bytes(), 9))
    theirs = len(gzip.compress((npm_sdks / "@segment/analytics-next/dist/umd/standalone.js").read_bytes(), 9))
    report(
        "the snippet a page loads, gzipped",
        measured=f"{ours:,} bytes",
        limit=f"analytics-next {theirs:,} bytes",
        ratio=f"{ours / theirs:.2f} ×",
        floor="≤ 3,072 bytes",
        holds=ours <= 3072,
    )
