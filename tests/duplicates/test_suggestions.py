"""Suggestions of sources are kept, whether a search found the pair before or not."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.db import transaction

from cdp.sql import run
from profiles.duplicates.finding.store import StoreCounts, store_changed
from profiles.models import DuplicatePair
from profiles.pairs.suggestions import MAX_REASONS, suggest
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

Verdict, FoundBy = DuplicatePair.Verdict, DuplicatePair.FoundBy


def reason(value: str) -> dict[str, Any]:
    text = f"Both came with the email {value}."
    return {"code": "shared_identifier", "type": "email", "value": value, "source": "shop", "text": text}


def pair_of(*, verdict: str = Verdict.OPEN) -> tuple[int, int]:
    """Found by a search, so far suggested by nobody."""
    first, second = sorted(make_profile(first_name="Ann").pk for _ in range(2))
    DuplicatePair.objects.create(
        a_id=first, b_id=second, verdict=verdict, tier="probable", score=9.0, found_by=FoundBy.CHANGE
    )
    return first, second


def values_of(pair: tuple[int, int]) -> list[str]:
    (reasons,) = DuplicatePair.objects.filter(a_id=pair[0], b_id=pair[1]).values_list("reasons", flat=True)
    return [reason["value"] for reason in reasons]


def test_a_pair_found_before_learns_the_reason_once_and_keeps_its_score() -> None:
    known, decided = pair_of(), pair_of(verdict=Verdict.NOT_DUPLICATE)
    first, second = sorted(make_profile(first_name="Bob").pk for _ in range(2))
    for _ in range(2):
        suggest({pair: reason("a@web.de") for pair in (known, decided, (first, second))})
    suggest({known: reason("b@web.de")})
    assert (values_of(known), values_of(decided), values_of((first, second))) == (
        ["a@web.de", "b@web.de"],
        [],
        ["a@web.de"],
    )
    row = DuplicatePair.objects.filter(a_id=known[0]).values_list("tier", "score", "found_by")
    assert list(row) == [("probable", 9.0, FoundBy.SHARED_VALUE)]


def test_reasons_do_not_pile_up(django_assert_num_queries: Any) -> None:
    pair = pair_of()
    for number in range(MAX_REASONS + 3):
        suggest({pair: reason(f"{number}@web.de")})
    assert len(values_of(pair)) == MAX_REASONS
    with django_assert_num_queries(0):
        suggest({})


def test_a_suggestion_wins_over_a_search_that_removes_the_pair(two_connections: Any) -> None:
    """The search's statement began before the suggestion was committed, and waits for the pair's row."""
    pair = pair_of()
    is_locked = threading.Event()

    def door() -> None:
        with transaction.atomic():
            suggest({pair: reason("a@web.de")})
            is_locked.set()
            deadline = time.monotonic() + 30
            while not run("SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'", []):
                assert time.monotonic() < deadline, "the search does not wait"

    def search() -> StoreCounts:
        assert is_locked.wait(30)
        with transaction.atomic():
            return store_changed([], roots=pair)

    assert two_connections(door, search) == [None, StoreCounts(new=0, changed=0, withdrawn=0, before=1)]
    assert values_of(pair) == ["a@web.de"]
