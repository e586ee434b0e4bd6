"""A scan of a million people from PostgreSQL to stored, explained pairs, beside Splink with the same weights by hand;
and one changed person to their updated pairs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction

from cdp.gc_tuning import settle
from profiles.duplicates.finding import match_queue
from profiles.duplicates.training.synthetic_people import make_people
from profiles.models import DuplicatePair, MatchRow, Profile
from tests.bench.conftest import percentile, scaled
from tests.bench.test_import import database_url
from tests.duplicates.invented import fill_profiles

pytestmark = [pytest.mark.bench, pytest.mark.django_db(transaction=True)]
CHANGES = 1_000


def fill(count: int) -> None:
    fill_profiles(make_people(rows=count, seed=504).rows)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE profiles_profile")


def child(mode: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.scan_child", mode, str(folder)],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "cdp.settings",
            "CDP_LOCAL": "1",
            "CDP_DATA": str(folder),
            "DATABASE_URL": database_url(),
            "CELERY_BROKER_URL": "memory://",
        },
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def test_scan(report: Any, tmp_path: Path) -> None:
    count = scaled(1_000_000)
    fill(count)
    first = child("scan", tmp_path)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    again = child("scan", tmp_path)
    rival = child("splink", tmp_path)
    ours, theirs = sum(again["seconds"].values()), rival["seconds"]["all"]
    parts = ", ".join(f"{step} {seconds:.1f}" for step, seconds in again["seconds"].items())
    result = again["result"]
    assert DuplicatePair.objects.count() == result["pairs"] + result["through"] > 0
    report(
        f"scan {count:,} people for duplicates: {result['pairs']:,} pairs of {result['candidates']:,} candidates"
        f" and {result['through']:,} through a third profile, stored",
        measured=f"{ours:.1f} s ({parts})",
        limit=f"Splink, same weights, by hand {theirs:.1f} s ({rival['seconds']['predict']:.1f} predicting)",
        ratio=f"{ours / theirs:.2f} ×",
        floor="≤ 1.0 ×",
        holds=ours <= theirs,
    )
    report(
        "memory of that worker",
        measured=f"{again['memory']:.0f} MB",
        limit=f"Splink {rival['memory']:.0f} MB",
        floor="≤ 2,048 MB",
        holds=again["memory"] <= 2048,
    )
    rows = first["seconds"]["rows"]
    report(
        f"the first scan, which builds {count:,} match rows",
        measured=f"{sum(first['seconds'].values()):.1f} s (rows {rows:.1f}, {count / rows:,.0f}/s)",
        holds=True,
    )
    change_profiles(report, count)


def change_profiles(report: Any, count: int) -> None:
    """Somebody gets another's city, last name, birth date or street, or a phone nobody had (one of so many people to
    share one would be a crowd); timed is what a worker does about it, commit included."""
    settle()  # as a worker does when it starts
    dice = Random(9)
    ids = list(MatchRow.objects.values_list("pk", flat=True))
    seconds, pairs = [], 0
    fields = ("city", "last_name", "phone", "birth_date", "street")
    for number, pk in enumerate(dice.sample(ids, CHANGES + 20)):
        field = fields[number % len(fields)]
        value = Profile.objects.values_list(field, flat=True).get(pk=dice.choice(ids))
        if field == "phone":
            value = f"+4860{dice.randrange(10**7):07}"
        Profile.objects.filter(pk=pk).update(**{field: value})
        started = time.perf_counter()
        with transaction.atomic():
            match_queue.refresh([pk])
        if number >= 20:
            seconds.append(time.perf_counter() - started)
        pairs += DuplicatePair.objects.filter(a_id=pk).count()
    assert pairs > 0
    middle, slowest = (percentile(seconds, share) * 1000 for share in (0.5, 0.99))
    report(
        f"one of {count:,} changed → pairs up to date (p50 / p99)",
        measured=f"{middle:.1f} / {slowest:.1f} ms",
        floor="p99 ≤ 10 ms",
        holds=slowest <= 10,
    )
