"""Benchmark figures → one table at the end of `make bench`, and a failed test for each row below its floor.

Every figure is a ratio to a limit measured in the same run. ``BENCH_SCALE`` cuts sizes down (1 is the full size: a
million profiles, ten million events).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection

SCALE = float(os.environ.get("BENCH_SCALE", "1"))


@dataclass(frozen=True)
class BenchRow:
    """``measured`` and ``limit`` are text with units; ``ratio`` may be empty; ``floor`` is what must hold."""

    work: str
    measured: str
    limit: str
    ratio: str
    floor: str
    holds: bool


_rows: list[BenchRow] = []


def scaled(count: int) -> int:
    return max(1000, int(count * SCALE))


@pytest.fixture
def report() -> Callable[..., None]:
    """``report("merge …", measured="3.5 ms", limit="…", ratio="1.2 ×", floor="≤ 50 ms", holds=True)``."""

    def add(
        work: str, *, measured: str, limit: str = "", ratio: str = "", floor: str = "", holds: bool
    ) -> None:
        _rows.append(BenchRow(work, measured, limit, ratio, floor, holds))

    return add


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """A benchmark that reported a row below its floor fails, after it has reported all of its rows."""
    before = len(_rows)
    result = yield
    fail_below_floor(_rows[before:])
    return result


def fail_below_floor(rows: list[BenchRow]) -> None:
    if missed := [row for row in rows if not row.holds]:
        pytest.fail(
            "\n".join(f"below its floor ({row.floor}): {row.work}: {row.measured}" for row in missed),
            pytrace=False,
        )


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@pytest.fixture(scope="session")
def big_base(django_db_setup: None, django_db_blocker: Any) -> None:
    """A million profiles and ten million events, there for every benchmark of a session."""
    from tests.bench.base import fill_events, fill_profiles

    with django_db_blocker.unblock():
        fill_profiles(scaled(1_000_000))
        fill_events(scaled(10_000_000))


def empty_base() -> None:
    """Deletes the big base with all that belongs to profiles, for benchmarks that begin with empty tables."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE profiles_profile CASCADE")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _rows:
        return
    write = terminalreporter.write_line
    write("")
    write(f"| work (scale {SCALE:g}) | measured | limit, same run | ratio | floor | |")
    write("| --- | --- | --- | --- | --- | --- |")
    for row in _rows:
        mark = "holds" if row.holds else "**missed**"
        write(f"| {row.work} | {row.measured} | {row.limit} | {row.ratio} | {row.floor} | {mark} |")
    write("")
