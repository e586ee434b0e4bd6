"""`make bench`: every figure is a ratio to a limit measured in the same run, printed as one table at the end.

Sizes are cut down with ``BENCH_SCALE`` (1 is the full size: a million profiles, ten million events).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

SCALE = float(os.environ.get("BENCH_SCALE", "1"))


@dataclass(frozen=True)
class Row:
    """``measured`` and ``limit`` are words with units; ``ratio`` may be empty; ``floor`` is what must hold."""

    work: str
    measured: str
    limit: str
    ratio: str
    floor: str
    holds: bool


_rows: list[Row] = []


def scaled(count: int) -> int:
    return max(1000, int(count * SCALE))


@pytest.fixture
def report() -> Callable[..., None]:
    """``report("merge …", measured="3.5 ms", limit="…", ratio="1.2 ×", floor="≤ 50 ms", holds=True)``."""

    def add(
        work: str, *, measured: str, limit: str = "", ratio: str = "", floor: str = "", holds: bool
    ) -> None:
        _rows.append(Row(work, measured, limit, ratio, floor, holds))

    return add


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
