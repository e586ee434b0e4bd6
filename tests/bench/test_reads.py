"""List, search and card as the browser asks for them, at a million profiles and ten million events."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from cdp.models import User
from profiles.models import Profile
from tests.bench.base import FIRST, LAST
from tests.bench.conftest import percentile

pytestmark = [pytest.mark.bench, pytest.mark.django_db]

ROUNDS = 60


@pytest.fixture
def client(big_base: None, db: None) -> Client:
    user = User.objects.create_superuser("ada", "ada@staff.example", "ada")
    client = Client()
    client.force_login(user)
    return client


def times_of(client: Client, urls: Iterator[str]) -> tuple[list[float], list[float]]:
    """Seconds of each page asked for the first time, and once more when what it needs is in memory."""
    asked = [next(urls) for _ in range(ROUNDS)]
    first, again = ([_seconds(client, url) for url in asked] for _ in range(2))
    return first, again


def _seconds(client: Client, url: str) -> float:
    started = time.perf_counter()
    response = client.get(url)
    taken = time.perf_counter() - started
    assert response.status_code == 200, url
    return taken


def ids(chance: random.Random) -> Iterator[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(id), max(id) FROM profiles_profile")
        low, high = cursor.fetchone()
    while True:
        yield chance.randint(low, high)


def queries(chance: random.Random) -> Iterator[str]:
    """What people type: whole addresses, ids, phones, names, and beginnings of them."""
    for pk in ids(chance):
        first, last = chance.choice(FIRST), chance.choice(LAST)
        yield chance.choice(
            [
                f"p{pk}@example.com",
                f"C-{pk}",
                f"#{pk}",
                f"+4860{pk:07}",
                f"{first} {last}",
                first[:2],
                last[:3],
                f"p{pk}",
            ]
        )


def test_list_search_card(client: Client, report: Callable[..., None]) -> None:
    chance = random.Random(7)
    people = reverse("admin:profiles_profile_changelist")
    card = "admin:profiles_profile_change"
    works: list[tuple[str, Iterator[str], float]] = [
        ("list page", (people for _ in iter(int, 1)), 0.100),
        (
            "search",
            (f"{people}?q={text.replace('+', '%2B').replace('#', '%23')}" for text in queries(chance)),
            0.100,
        ),
        ("card", (reverse(card, args=[pk]) for pk in ids(chance)), 0.150),
        ("card of a very active person", (reverse(card, args=[busiest()]) for _ in iter(int, 1)), 0.150),
    ]
    for work, urls, floor in works:
        taken, again = times_of(client, urls)
        late = percentile(taken, 0.95)
        report(
            f"{work}, {Profile.objects.count():,} profiles (p50 / p95)",
            measured=f"{percentile(taken, 0.5) * 1000:.0f} / {late * 1000:.0f} ms",
            limit="the same pages asked again"
            f" {percentile(again, 0.5) * 1000:.0f} / {percentile(again, 0.95) * 1000:.0f} ms",
            floor=f"p95 ≤ {floor * 1000:.0f} ms",
            holds=late <= floor,
        )


def busiest() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(profile_id) FROM profiles_event")
        return cursor.fetchone()[0]
