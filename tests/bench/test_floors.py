"""A benchmark whose row is below its floor fails, with the row in its message. Not a benchmark itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.conftest import BenchRow, fail_below_floor

ROW = BenchRow("list page", "90 ms", "", "", "p95 ≤ 100 ms", holds=True)


def test_a_row_below_its_floor_fails_its_benchmark() -> None:
    fail_below_floor([ROW])
    slow = replace(ROW, measured="120 ms", holds=False)
    with pytest.raises(pytest.fail.Exception, match=r"^below its floor \(p95 ≤ 100 ms\): list page: 120 ms$"):
        fail_below_floor([ROW, slow])
