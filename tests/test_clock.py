"""Machines whose clocks differ agree about time: keys, confirmations, counted minutes and leases go by the database's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.signing import BadSignature
from django.db import OperationalError, connection
from django.utils import timezone

from cdp import clock, jobs
from cdp.actors import Actor
from cdp.api import throttling
from cdp.job_steps import Chunk, handlers
from cdp.jobs import start_job, take
from cdp.models import Job, RateWindow
from profiles.models import Source, WriteKey
from profiles.tracking.sources import write_keys
from profiles.tracking.sources.signing_secrets import rotate_secret
from profiles.tracking.sources.sources import create_source, rotate_key
from profiles.tracking.sources.user_hash import accepts_old_secret

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
# Hours that the clock of this process's machine is wrong.
SKEWS = (-3, 3)


@pytest.fixture
def off_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set this machine's clock forward or back by some hours, and ask the database anew."""
    wall, now = time.time, timezone.now

    def turn(hours: float) -> None:
        monkeypatch.setattr(clock, "_asked", None)
        monkeypatch.setattr(time, "time", lambda: wall() + hours * 3600)
        monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(hours=hours))

    return turn


def database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


@pytest.mark.parametrize("hours", SKEWS)
def test_the_time_is_the_databases(hours: float, off_by: Callable[[float], None]) -> None:
    off_by(hours)
    assert abs(clock.now() - database_time()) < timedelta(minutes=1)


def test_the_database_is_asked_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(clock, "_asked", None)
    with django_assert_num_queries(1):
        clock.now()
        clock.now()
    asked, answer = clock._asked or (0.0, 0.0)
    monkeypatch.setattr(clock, "_asked", (asked - clock.ASK_AGAIN_AFTER - 1, answer - 99))
    with django_assert_num_queries(1):
        assert abs(clock.epoch() - time.time()) < 60


def test_without_the_database_the_last_answer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise OperationalError

    monkeypatch.setattr(clock, "connection", type("Away", (), {"cursor": away}))
    long_ago = time.monotonic() - clock.ASK_AGAIN_AFTER - 1
    monkeypatch.setattr(clock, "_asked", (long_ago, 1000.0))
    assert 1000 + clock.ASK_AGAIN_AFTER < clock.epoch() < 1000 + clock.ASK_AGAIN_AFTER + 60
    monkeypatch.setattr(clock, "_asked", None)
    assert abs(clock.epoch() - time.time()) < 60


@pytest.mark.parametrize("hours", SKEWS)
def test_a_confirmation_made_on_one_machine_is_as_old_on_another(
    hours: float, off_by: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = clock.sign({"ids": [1]}, salt="x")
    off_by(hours)
    assert clock.unsign(text, salt="x", max_age=3600) == {"ids": [1]}
    late = clock.epoch() + 3700
    monkeypatch.setattr(clock, "epoch", lambda: late)
    with pytest.raises(BadSignature):
        clock.unsign(text, salt="x", max_age=3600)


@pytest.mark.parametrize("hours", SKEWS)
def test_a_rotated_write_key_ends_when_the_database_says(
    hours: float, off_by: Callable[[float], None]
) -> None:
    made = create_source(name="Shop", kind="server", actor=SYSTEM)
    old = WriteKey.objects.get()
    off_by(hours)
    rotate_key(key_id=old.pk, overlap_hours=2, actor=SYSTEM)
    old.refresh_from_db()
    assert old.expires_at is not None
    assert timedelta(hours=1.9) < old.expires_at - database_time() <= timedelta(hours=2)
    for _ in range(2):  # looked up, then remembered
        assert write_keys.find_sender(made.write_key) is not None
    WriteKey.objects.filter(pk=old.pk).update(expires_at=database_time() - timedelta(seconds=1))
    write_keys.forget_known_keys()
    assert write_keys.find_sender(made.write_key) is None


@pytest.mark.parametrize("hours", SKEWS)
def test_an_old_signing_secret_ends_when_the_database_says(
    hours: float, off_by: Callable[[float], None]
) -> None:
    source = create_source(name="Shop", kind="web", actor=SYSTEM).source
    off_by(hours)
    rotate_secret(source_id=source.pk, overlap_days=1, actor=SYSTEM)
    source = Source.objects.get(pk=source.pk)
    assert accepts_old_secret(source)
    source.old_hash_secret_until = database_time() - timedelta(seconds=1)
    assert not accepts_old_secret(source)


def test_web_machines_count_one_minute_together(off_by: Callable[[float], None], monkeypatch: Any) -> None:
    """A machine whose clock is wrong would begin the minute of the others anew, and the limit with it."""
    monkeypatch.undo()
    granted = 0
    for hours in (0, 3, -3, 0):
        off_by(hours)
        throttling._shares.clear()
        granted += sum(not throttling.count("key:1", 100).is_over for _ in range(60))
    # The real minute may have ended in between, once.
    assert granted <= 200
    assert len(set(RateWindow.objects.values_list("window", flat=True))) == 1
    assert abs(RateWindow.objects.get().window * 60 - database_time().timestamp()) < 120


@pytest.mark.parametrize("hours", SKEWS)
def test_a_lease_is_held_and_lost_by_the_databases_clock(
    hours: float, off_by: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(handlers, "test.clock", jobs.Handler("test.clock", lambda chunk: False))
    job = start_job(kind="test.clock", actor=SYSTEM)
    first = take(job.pk)
    assert isinstance(first, Chunk)
    off_by(hours)
    # However wrong the other worker's clock is, the lease is neither over early nor kept for ever.
    assert take(job.pk) is None
    assert jobs.sweep() == 0
    Job.objects.filter(pk=job.pk).update(lease_until=database_time() - timedelta(seconds=1))
    second = take(job.pk)
    assert isinstance(second, Chunk)
    first_again = Job.objects.get(pk=job.pk)
    assert first_again.lease_token == second.token
    assert abs((first_again.lease_until or database_time()) - database_time()) < timedelta(minutes=5)
