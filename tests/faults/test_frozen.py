"""Servers that are frozen, not gone: they take connections and say nothing. Somebody who asks learns so in time."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from django.db import connections

from cdp.local.postgres import processes_in
from tests.faults.harness import Bench, served, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]


@pytest.fixture
def address(bench: Bench, tmp_path: Path) -> Iterator[str]:
    """The address of a product on the bench's servers, with one web process."""
    bench.ready("one", beat=False)
    with served(bench, tmp_path / "web.log") as address:
        wait_until(lambda: answer_of(address, "/readyz")[0] == 200, what="ready")
        yield address


def answer_of(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address + path, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def checks_in_time(address: str) -> dict[str, Any]:
    started = monotonic()
    status, text = answer_of(address, "/readyz")
    assert monotonic() - started < 2
    assert status == 503
    checks: dict[str, Any] = json.loads(text)["checks"]
    return checks


@contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_frozen_database_is_named_in_time(bench: Bench, address: str) -> None:
    connections.close_all()
    with frozen(processes_in(bench.postgres.cluster)):
        for _ in range(3):
            checks = checks_in_time(address)
            assert checks == {
                "database": "does not answer within 1.5 s; is PostgreSQL frozen, its disk hanging, or every "
                "connection in use?",
                "migrations": "unknown while the database does not answer",
                "broker": "ok",
                "worker": "unknown while the database does not answer",
            }
        started = monotonic()
        status, text = answer_of(address, "/metrics")
        assert monotonic() - started < 2
        assert (status, "cdp_workers" in text) == (200, False)
        assert "cdp_http_requests_total" in text
    wait_until(lambda: answer_of(address, "/readyz")[0] == 200, what="ready again")


def test_a_frozen_broker_is_named_in_time(bench: Bench, address: str) -> None:
    assert bench.redis.process is not None
    with frozen([bench.redis.process.pid]):
        checks = checks_in_time(address)
        assert checks["broker"] == ("does not answer within 1.5 s; is the broker frozen or its disk hanging?")
        assert checks["database"] == checks["migrations"] == "ok"
    wait_until(lambda: answer_of(address, "/readyz")[0] == 200, what="ready again")
