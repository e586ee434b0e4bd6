"""One bench for all tests of faults: they run in one process, each finding its servers and workers up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdp.local.paths import throwaway_folder
from tests.faults.harness import QUICK, Bench


@pytest.fixture(scope="session")
def quick_bench() -> Iterator[Bench]:
    with throwaway_folder() as folder, Bench.built(folder, **QUICK) as bench:
        yield bench


@pytest.fixture
def bench(quick_bench: Bench, django_db_blocker: Any, settings: Any, _own_files: None) -> Iterator[Bench]:
    """Short leases, small chunks; the ORM and ``delay`` of this test go to it."""
    settings.MEDIA_ROOT = Path(quick_bench.env["CDP_DATA"]) / "files"
    with django_db_blocker.unblock(), quick_bench.connected():
        yield quick_bench
