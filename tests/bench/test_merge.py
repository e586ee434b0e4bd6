"""Merging a person with 100,000 events costs a pointer, and nobody who sends events waits for it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection, connections

from cdp.actors import Actor
from profiles.builtin_sources import SOURCE_IDS, builtin_source
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Event, EventName, Profile
from tests.bench.conftest import percentile, scaled
from tests.profile_factory import make_profile

pytestmark = [pytest.mark.bench, pytest.mark.django_db(transaction=True)]

ROUNDS = 15


def add_events(profile: Profile, count: int) -> None:
    name, _ = EventName.objects.get_or_create(name="Product Viewed")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_event (profile_id, name_id, occurred_at, received_at, message_id, source_id,"
            " properties, context) SELECT %s, %s, now() - g * interval '1 minute', now(), gen_random_uuid(), %s,"
            " '{}', '{}' FROM generate_series(1, %s) g",
            [profile.pk, name.pk, SOURCE_IDS["web"], count],
        )
        cursor.execute("VACUUM ANALYZE profiles_event")


class Ingest(threading.Thread):
    """Inserts an event for the loser as fast as it can, on a connection of its own, and remembers each wait."""

    def __init__(self, profile_id: int, name_id: int) -> None:
        super().__init__(daemon=True)
        self.row = (profile_id, name_id, SOURCE_IDS["web"])
        self.waits: list[float] = []
        self.ending = threading.Event()

    def run(self) -> None:
        try:
            with connection.cursor() as cursor:
                while not self.ending.is_set():
                    started = time.perf_counter()
                    cursor.execute(
                        "INSERT INTO profiles_event (profile_id, name_id, occurred_at, received_at, message_id,"
                        " source_id, properties, context) VALUES (%s, %s, now(), now(), %s, %s, '{}', '{}')",
                        [self.row[0], self.row[1], uuid.uuid4(), self.row[2]],
                    )
                    self.waits.append(time.perf_counter() - started)
        finally:
            connections.close_all()


def test_merge_and_unmerge_with_ingest_running(report: Callable[..., None]) -> None:
    count = scaled(100_000)
    winner = make_profile(first_name="Ann", email="ann@example.com")
    loser = make_profile(first_name="Anna", city="Berlin", email="anna@example.com")
    add_events(loser, count)
    by: Any = {"actor": Actor.system(), "source": builtin_source("staff")}
    ingest = Ingest(loser.pk, EventName.objects.get().pk)
    merges, unmerges, pointers = [], [], []
    ingest.start()
    for _ in range(ROUNDS):
        started = time.perf_counter()
        merged = merge_profiles(winner_id=winner.pk, loser_id=loser.pk, **by)
        merges.append(time.perf_counter() - started)
        started = time.perf_counter()
        unmerge_profiles(merge_id=merged.merge_id, **by)
        unmerges.append(time.perf_counter() - started)
        started = time.perf_counter()
        Profile.objects.filter(pk=loser.pk).update(version=loser.version + 100)
        pointers.append(time.perf_counter() - started)
    ingest.ending.set()
    ingest.join()
    assert Event.objects.filter(profile=loser).count() == count + len(ingest.waits)
    base = percentile(pointers, 0.5)
    for work, times in (("merge", merges), ("unmerge", unmerges)):
        middle = percentile(times, 0.5)
        report(
            f"{work}, {count:,} events, ingest running (p50)",
            measured=f"{middle * 1000:.1f} ms",
            limit=f"one pointer update {base * 1000:.1f} ms",
            ratio=f"{middle / base:.1f} ×",
            floor="≤ 50 ms",
            holds=middle <= 0.050,
        )
    longest = max(ingest.waits)
    report(
        "one event's longest wait meanwhile",
        measured=f"{longest * 1000:.1f} ms",
        limit=f"p50 {percentile(ingest.waits, 0.5) * 1000:.2f} ms",
        floor="≤ 50 ms",
        holds=longest <= 0.050,
    )


def test_re_pointing_every_row_is_what_it_is_spared(report: Callable[..., None]) -> None:
    """The usual way, for comparison: UPDATE event SET profile_id on every row."""
    count = scaled(100_000)
    winner, loser = make_profile(), make_profile()
    add_events(loser, count)
    connection.ensure_connection()
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as own:
        started = time.perf_counter()
        own.execute("UPDATE profiles_event SET profile_id = %s WHERE profile_id = %s", [winner.pk, loser.pk])
        own.commit()
        took = time.perf_counter() - started
    report(f"(re-pointing {count:,} events instead)", measured=f"{took:.2f} s", holds=True)
