"""The review queue: by tier and filter, in a stable order, page by page."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from cdp.errors import Invalid
from profiles.duplicates.review import queue
from profiles.duplicates.review.decide import decide
from profiles.duplicates.review.queue import QueueFilter
from profiles.models import DuplicatePair
from profiles.privacy.delete import delete_profiles
from tests.duplicates.cast import make_ann, make_plain_profile, scan, twins

pytestmark = pytest.mark.django_db
CERTAIN = QueueFilter(tier="certain")


def walk(wanted: QueueFilter, size: int, *, back: bool = False) -> list[int]:
    """Every pair of a filter, page by page, from either end."""
    pairs: list[int] = []
    page = queue.page_of(wanted, size=size)
    if back:
        while page.after:
            page = queue.page_of(wanted, after=page.after, size=size)
    while True:
        ids = [pair.pk for pair in page.rows]
        pairs = ids + pairs if back else pairs + ids
        cursor = page.before if back else page.after
        if not cursor:
            return pairs
        page = (
            queue.page_of(wanted, before=cursor, size=size)
            if back
            else queue.page_of(wanted, after=cursor, size=size)
        )


def test_pages_hold_every_pair_once_in_order_of_score() -> None:
    twins(11)
    everything = [
        pk
        for pk, _ in sorted(
            DuplicatePair.objects.filter(tier="certain").values_list("pk", "score"),
            key=lambda row: (-row[1], -row[0]),
        )
    ]
    for size in (1, 3, 4, 11, 50):
        assert walk(CERTAIN, size) == everything
        assert walk(CERTAIN, size, back=True) == everything
    seen, pair = [], queue.next_pair(CERTAIN, None)
    for _ in everything:
        assert pair is not None
        seen.append(pair.pk)
        pair = queue.next_pair(CERTAIN, pair)
    assert seen == everything
    assert pair is not None
    assert pair.pk == everything[0]
    last = DuplicatePair.objects.get(pk=everything[-1])
    before = queue.previous_pair(CERTAIN, last)
    assert before is not None
    assert before.pk == everything[-2]


@given(text=st.text(max_size=30))
def test_a_broken_cursor_is_the_beginning_or_a_position(text: str) -> None:
    for state in queue.STATES:
        queue.page_of(QueueFilter(state=state), after=text)


def test_filters(by_staff: dict[str, Any], sam: Any) -> None:
    pairs = twins(3)
    pair, two, three = pairs
    make_plain_profile(source="staff", first_name="Ida", last_name="Quist", birth_date="1971-01-01")
    make_plain_profile(source="import", first_name="Ida", last_name="Quist", birth_date="1971-01-01")
    scan()
    ida = DuplicatePair.objects.exclude(pk__in=[pair.pk for pair in pairs]).get()
    DuplicatePair.objects.filter(pk=pair.pk).update(
        assignee=sam, created_at=timezone.now() - datetime.timedelta(days=40)
    )
    decide(pair_id=two.pk, verdict="later", **by_staff)
    decide(pair_id=three.pk, verdict="not_duplicate", **by_staff)

    def ids(**wanted: Any) -> set[int]:
        return {pair.pk for pair in queue.pairs(QueueFilter(**wanted))}

    assert ids() == {pair.pk, ida.pk}
    assert ids(state="later") == {two.pk}
    assert ids(state="decided") == {three.pk}
    assert ids(source="Import") == {ida.pk}
    assert ids(assignee=sam.pk) == {pair.pk}
    assert ids(assignee=0) == {ida.pk}
    assert ids(days=30) == {pair.pk}
    assert ids(profile=pair.b_id) == {pair.pk}
    assert ids(score=pair.score + 100) == set()
    assert ids(tier="related") == set()
    for wanted, message in (
        (QueueFilter(state="x"), "The state is open, later, decided."),
        (QueueFilter(tier="x"), "The tier is certain, probable, possible, related."),
        (QueueFilter(source="x"), "There is no source “x”."),
    ):
        with pytest.raises(Invalid, match=message):
            queue.pairs(wanted)
    delete_profiles(profile_ids=[pair.a_id], **by_staff)
    assert ids() == {ida.pk}


def test_counts_by_tier_and_day(by_staff: dict[str, Any]) -> None:
    pairs = twins(4)
    make_ann()
    make_ann(first_name="Robert", birth_date="1978-02-03")
    scan()
    counts = {row.tier: row.count for row in queue.tier_counts(QueueFilter())}
    assert counts == {"certain": 4, "probable": 0, "possible": 0, "related": 1}
    assert queue.first_tier(queue.tier_counts(QueueFilter())) == "certain"
    decide(pair_id=pairs[0].pk, verdict="merge", **by_staff)
    decide(pair_id=pairs[1].pk, verdict="not_duplicate", **by_staff)
    days = queue.decided_per_day(3)
    assert [(merged, apart) for _, merged, apart in days] == [(0, 0), (0, 0), (1, 1)]
    assert days[-1][0] == timezone.localdate()
    assert queue.decided_today(by_staff["actor"].user_id) == (2, 2)
    assert queue.decided_today(0) == (2, 0)
    assert [row.count for row in queue.tier_counts(replace(CERTAIN, state="decided"))] == [2, 0, 0, 0]


def test_a_page_is_read_by_the_queues_index() -> None:
    """Among many pairs a page must not sort or look through the tier."""
    people = [make_plain_profile(first_name=f"N{number}").pk for number in range(200)]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_duplicatepair (a_id, b_id, tier, score)"
            " SELECT a, b, CASE WHEN (a + b) %% 3 = 0 THEN 'certain' ELSE 'possible' END, (a * 7 + b) %% 997"
            " FROM unnest(%s::bigint[]) a, unnest(%s::bigint[]) b WHERE a < b",
            [people, people],
        )
        cursor.execute("ANALYZE profiles_duplicatepair, profiles_profile")
    first = queue.page_of(CERTAIN)
    next_page = queue.pairs(CERTAIN).filter(queue._beyond(CERTAIN, (500.0, 10**9), is_back=False))
    for pairs in (queue.pairs(CERTAIN), next_page):
        plan = str(pairs.order_by("-score", "-pk")[:51].explain())
        assert "duplicate_pair_queue" in plan, plan
        assert "Sort" not in plan, plan
    assert len(first.rows) == queue.PAGE
