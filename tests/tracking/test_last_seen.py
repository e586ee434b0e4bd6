"""When profiles were last active: written as visits, applied by a worker, right after a merge and its undo."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Profile, Visit
from profiles.tracking.ingest import last_seen
from tests.tracking.calls import holder, identify, make_sender, track

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def ago(**delta: float) -> str:
    return (NOW - datetime.timedelta(**delta)).isoformat()


def seen(profile: Profile) -> tuple[datetime.datetime | None, datetime.datetime | None]:
    profile.refresh_from_db()
    return profile.first_seen_at, profile.last_seen_at


def profile_of(user: str, **fields: Any) -> Profile:
    profile = holder("customer_id", user)
    assert profile is not None
    return profile


def test_calls_of_one_person_are_taken_over_at_once() -> None:
    shop = make_sender("server")
    identify(shop, userId="1", timestamp=ago(days=9))
    one = profile_of("1")
    first, _ = seen(one)
    for days in (3, 5, 4):
        track(shop, userId="1", timestamp=ago(days=days))
    assert seen(one)[0] == first
    assert Visit.objects.count() > 0
    count = Visit.objects.count()
    assert last_seen.apply_visits() == count
    assert (Visit.objects.count(), last_seen.apply_visits()) == (0, 0)
    assert seen(one) == (first, NOW - datetime.timedelta(days=3))
    track(shop, userId="1", timestamp=ago(days=3, minutes=-2))
    assert Visit.objects.count() == 0, "to five minutes is near enough"


@pytest.mark.parametrize("is_undone", [False, True])
def test_a_merge_meanwhile_decides_whose_visit_it_was(is_undone: bool, by_staff: dict[str, Any]) -> None:
    shop = make_sender("server")
    for user in ("1", "2"):
        identify(shop, userId=user, timestamp=ago(days=9))
    one, two = profile_of("1"), profile_of("2")
    before = seen(one)
    done = merge_profiles(winner_id=one.pk, loser_id=two.pk, **by_staff)
    track(shop, userId="2", timestamp=ago(days=2))
    if is_undone:
        unmerge_profiles(merge_id=done.merge_id, **by_staff)
    last_seen.apply_visits()
    late = NOW - datetime.timedelta(days=2)
    assert (seen(one)[1], seen(two)[1] == late) == (before[1] if is_undone else late, is_undone)


def test_more_than_a_batch() -> None:
    shop = make_sender("server")
    identify(shop, userId="1", timestamp=ago(days=9))
    one = profile_of("1")
    Visit.objects.bulk_create(
        Visit(profile=one, since=NOW, until=NOW + datetime.timedelta(seconds=number))
        for number in range(last_seen.BATCH + 3)
    )
    assert last_seen.apply_visits() == last_seen.BATCH + 3
    assert seen(one)[1] == NOW + datetime.timedelta(seconds=last_seen.BATCH + 2)
