"""Segments of abandoned carts and of what did not follow, kept by the queue and by timers from the first event on."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from profiles.builtin_sources import SOURCE_IDS
from profiles.models import Cart
from segments.membership import timers
from segments.models import Membership, NextCheck, Watch
from tests.profile_factory import make_profile
from tests.segments.test_membership import at, by, happened, members, segment, settle

__all__ = ["by"]
pytestmark = pytest.mark.django_db(transaction=True)
HOUR = datetime.timedelta(hours=1)


def test_abandoned(by: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ann = make_profile(first_name="Ann")
    idle = segment(by, "Idle cart", {"cart": "open", "idle": {"hours": 1}})
    steps = [{"event": "Added"}, {"event": "Ordered", "not": True}]
    unpaid = segment(by, "Not ordered", {"sequence": steps, "no_longer_than": {"hours": 1}})
    tokens = set(Watch.objects.values_list("token", flat=True))
    assert {"*", "cart"} < tokens
    assert len([token for token in tokens if token.startswith("event:")]) == 2, "names that no event had yet"
    added = happened(ann, "Added", ago=600)
    now = timezone.now()
    Cart.objects.create(
        profile=ann, source_id=SOURCE_IDS["web"], cart_id="c", started_at=now, last_event_at=now
    )
    settle()
    assert (members(idle), members(unpaid)) == (set(), set())
    assert NextCheck.objects.get(segment=idle).due_at == now + HOUR
    assert NextCheck.objects.get(segment=unpaid).due_at == added.occurred_at + HOUR
    at(monkeypatch, now + HOUR)
    timers.work_off()
    assert (members(idle), members(unpaid)) == ({ann.pk}, {ann.pk})
    assert Membership.objects.get(segment=unpaid).entered_at == added.occurred_at + HOUR
    # One that comes late, and the cart goes on.
    happened(ann, "Ordered", ago=60)
    Cart.objects.update(last_event_at=now + HOUR)
    settle()
    assert (members(idle), members(unpaid)) == (set(), set())
    assert set(Membership.objects.values_list("entered_by", "left_by")) == {("time", "event")}
