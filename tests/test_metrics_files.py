"""The figures of a web process have their room before it answers, or it counts for itself; a dead one gives room back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdp import metrics_files
from cdp.local.paths import PROJECT

COUNT = (
    "import os\n"
    "from cdp import metrics_files\n"
    "print(metrics_files.reserve(os.getpid()))\n"
    "from cdp import metrics\n"
    "metrics.requests.labels('GET', 'people/', 200).inc(3)\n"
    "metrics.request_seconds.labels('GET', 'people/').observe(0.2)\n"
    "print(os.getpid())\n"
)


def counted(folder: Path) -> tuple[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**os.environ, metrics_files.VARIABLE: str(folder)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    reserved, pid = done.stdout.split()
    return reserved, int(pid)


def allocated(file: Path) -> int:
    return file.stat().st_blocks * 512


def test_room_is_taken_whole_and_what_was_not_used_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserved, pid = counted(tmp_path)
    assert reserved == "True"
    files = {kind: tmp_path / f"{kind}_{pid}.db" for kind in metrics_files.SIZES}
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in files.values()}
    for kind, file in files.items():
        assert file.stat().st_size == metrics_files.SIZES[kind]
        assert allocated(file) >= metrics_files.SIZES[kind], "no holes"
    monkeypatch.setenv(metrics_files.VARIABLE, str(tmp_path))
    metrics_files.give_back(pid)
    metrics_files.give_back(pid + 1)  # one that had no files
    assert all(file.stat().st_size < 8192 for file in files.values())
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    text = generate_latest(registry).decode()
    assert 'cdp_http_requests_total{method="GET",route="people/",status="200"} 3.0' in text
    assert 'cdp_http_request_seconds_count{method="GET",route="people/"} 1.0' in text


def test_without_room_a_process_counts_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(metrics_files.VARIABLE, raising=False)
    assert metrics_files.reserve(1) is False
    monkeypatch.setenv(metrics_files.VARIABLE, str(tmp_path))
    (tmp_path / "histogram_1.db").symlink_to("/dev/full")
    assert metrics_files.reserve(1) is False
    assert metrics_files.VARIABLE not in os.environ
    assert list(tmp_path.iterdir()) == []
    assert "no room for the figures of a process" in caplog.text
