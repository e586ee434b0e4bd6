"""Why somebody is in a segment or not: each condition with what they have, and when time will change it."""

from __future__ import annotations

import datetime
import uuid

import pytest
from django.utils import timezone

from profiles.builtin_sources import SOURCE_IDS
from profiles.models import Event, EventName
from segments.evaluate.explain import explain
from segments.rules.parse import parse_rule
from segments.vocabulary import Vocabulary
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def test_each_condition_with_what_they_have() -> None:
    ann = make_profile(first_name="Ann", city="Rome", tags=["vip"])
    cart, _ = EventName.objects.get_or_create(name="Added to Cart")
    at = timezone.now() - datetime.timedelta(hours=3)
    Event.objects.create(
        profile=ann, name=cart, occurred_at=at, message_id=uuid.uuid4(), source_id=SOURCE_IDS["web"]
    )
    rule = parse_rule(
        {
            "version": 1,
            "all": [
                {"event": "Added to Cart", "within": {"days": 1}},
                {"event": "Order Completed", "count": {"op": "eq", "value": 0}},
                {"any": [{"attribute": "city", "op": "in", "value": ["Oslo", "Bergen"]}, {"tag": "vip"}]},
                {"attribute": "country", "op": "exists"},
            ],
        },
        Vocabulary(),
    )
    explanation = explain(rule, ann.pk)
    assert explanation is not None
    day = datetime.timedelta(days=1)
    assert [
        (part.pointer, part.depth, part.text, part.holds, part.finding.actual if part.finding else None)
        for part in explanation.parts
    ] == [
        ("", 0, "all of", False, None),
        (
            "/all/0",
            1,
            "did Added to Cart in the last 1 day at least once",
            True,
            f"once, the last on {at:%Y-%m-%d %H:%M} UTC",
        ),
        ("/all/1", 1, "did not do Order Completed", True, "never"),
        ("/all/2", 1, "any of", True, None),
        ("/all/2/any/0", 2, "City is one of “Oslo” or “Bergen”", False, "Rome"),
        ("/all/2/any/1", 2, "is tagged vip", True, "has the tag"),
        ("/all/3", 1, "Country has any value", False, "unknown"),
    ]
    assert explanation.parts[1].finding is not None
    assert explanation.parts[1].finding.changes_at == at + day
    # The country keeps Ann out, whatever time does.
    assert (explanation.is_in, explanation.changes_at) == (False, None)
    assert explain(rule, 10**9) is None
