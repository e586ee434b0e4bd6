"""The scorecard's figures: what real calls leave behind is counted once."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from cdp.errors import Invalid
from imports.models import Import
from profiles.builtin_sources import builtin_source
from profiles.merging.merge import merge_profiles
from profiles.models import (
    Change,
    DuplicatePair,
    EventSchema,
    Profile,
    Receipt,
    ScorecardState,
    Source,
    SourceHour,
)
from profiles.quality import hourly_counts, import_figures, scorecard
from tests.profile_factory import make_profile
from tests.tracking.rejected import make_source, send

pytestmark = pytest.mark.django_db
HOUR = datetime.timedelta(hours=1)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else is writing, so what came a moment ago can be counted."""
    monkeypatch.setattr(hourly_counts, "MARGIN", datetime.timedelta())


def count(**later: float) -> int:
    return hourly_counts.count_new(now=timezone.now() + datetime.timedelta(**later))


def figures(source: Source, days: int = 7) -> scorecard.Figures:
    return scorecard.cards(days, sources=[source])[0].figures


def pair(a: Profile, b: Profile, tier: str = "certain", **fields: Any) -> DuplicatePair:
    first, second = sorted((a, b), key=lambda profile: profile.pk)
    return DuplicatePair.objects.create(a=first, b=second, tier=tier, **fields)


# --- What calls leave behind ------------------------------------------------------------------------------


def test_calls_by_kind_and_what_is_wrong_with_them() -> None:
    shop = make_source(name="Shop")
    Source.objects.filter(pk=shop.pk).update(schema_mode="warn")
    EventSchema.objects.create(name="Ordered", properties={"sku": {"type": "string", "required": True}})
    send(
        shop,
        {"type": "identify", "userId": "C-1", "anonymousId": "b-1", "traits": {"email": "ann@example.com"}},
        {"type": "track", "event": "Looked", "anonymousId": "b-1"},
        {"type": "page", "anonymousId": "b-2"},
        {
            "type": "track",
            "event": "Looked",
            "properties": {"email": "ben@example.com"},
            "anonymousId": "b-2",
        },
        {"type": "update", "anonymousId": "b-2", "traits": {"email": "ben@example.com"}},
        {"type": "track", "event": "Ordered", "userId": "C-1"},
        {"type": "track", "event": "Looked"},
    )
    assert count() > 0
    counted = figures(shop)
    assert (counted.items, counted.events, counted.identifies, counted.updates) == (7, 5, 1, 1)
    # Two of b-2, who is anonymous, and the one about nobody.
    assert (counted.unknown_events, counted.unknown_share_text) == (3, "60 %")
    assert (counted.attribute_ids, counted.violations) == (2, 1)
    assert counted.new_profiles == 2


def test_everything_is_counted_once_however_often_it_is_asked() -> None:
    shop = make_source()
    item = {"type": "page", "anonymousId": "b-1", "messageId": "once"}
    send(shop, item)
    send(shop, item)  # repeated: dropped, and not counted
    count()
    count()
    assert figures(shop).items == 1
    send(shop, {"type": "page", "anonymousId": "b-1"})
    count()
    assert figures(shop).items == 2


def test_what_is_younger_than_the_margin_waits_and_the_past_is_caught_up_with_day_by_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hourly_counts, "MARGIN", datetime.timedelta(minutes=5))
    shop, now = make_source(), timezone.now()
    for days in (0, 3, 40, 120):
        send(shop, {"type": "page", "anonymousId": "b-1"})
        Receipt.objects.filter(pk=Receipt.objects.latest("pk").pk).update(
            received_at=now - datetime.timedelta(days=days)
        )
    assert hourly_counts.count_new(now=now) > 90
    assert figures(shop, 90).items == 2  # not the one of a moment ago, nor the one older than the scorecard
    hourly_counts.count_new(now=now + datetime.timedelta(minutes=6))
    assert (figures(shop, 90).items, figures(shop, 30).items, figures(shop, 7).items) == (3, 2, 2)


def test_a_run_that_is_cut_short_goes_on_where_it_was() -> None:
    shop = make_source()
    send(shop, {"type": "page", "anonymousId": "b-1"})
    runs, now = 0, timezone.now()
    while hourly_counts.count_new(now=now, seconds=0):
        runs += 1
    assert 90 < runs < 110
    assert figures(shop).items == 1


def test_an_order_before_its_buyer_is_identified() -> None:
    shop = make_source()
    order = {"type": "track", "event": "Order Completed", "anonymousId": "b-1"}
    who = {"type": "identify", "anonymousId": "b-1", "userId": "C-1"}
    send(
        shop, {**order, "timestamp": _ago(60)}, {**who, "timestamp": _ago(30)}, {**who, "timestamp": _ago(20)}
    )
    # Known before: by the same browser, by its own userId.
    send(shop, {**order, "timestamp": _ago(10)}, {**who, "timestamp": _ago(5)})
    send(shop, {**order, "anonymousId": "b-2", "userId": "C-2", "timestamp": _ago(10)})
    send(shop, {**who, "anonymousId": "b-2", "userId": "C-2", "timestamp": _ago(5)})
    count()
    assert figures(shop).late_identifies == 1
    send(shop, who)
    count()
    assert figures(shop).late_identifies == 1


def test_an_order_of_a_known_customer_on_a_new_browser_is_late_too() -> None:
    shop = make_source()
    make_profile(identifiers=[("customer_id", "C-1")])
    send(shop, {"type": "track", "event": "Order Completed", "anonymousId": "new", "timestamp": _ago(60)})
    send(shop, {"type": "identify", "anonymousId": "new", "userId": "C-1", "timestamp": _ago(30)})
    count()
    assert figures(shop).late_identifies == 1


def _ago(minutes: int) -> str:
    return (timezone.now() - datetime.timedelta(minutes=minutes)).isoformat()


# --- Duplicates -------------------------------------------------------------------------------------------


def test_the_newer_side_of_a_sure_pair_is_a_duplicate_of_its_source(by_staff: dict[str, Any]) -> None:
    desk, api = builtin_source("staff"), builtin_source("api")
    known = [make_profile(source="staff") for _ in range(4)]
    new = [make_profile(source="api") for _ in range(6)]
    pair(known[0], new[0])
    pair(known[1], new[0], "probable")  # one profile, one duplicate
    pair(known[1], new[1], "probable")
    pair(known[2], new[2], "possible")
    pair(known[2], new[3], "related")
    pair(known[3], new[4], verdict="not_duplicate", decided_at=timezone.now())
    merged = pair(known[3], new[5], "possible")
    count()
    assert (figures(api).new_profiles, figures(api).duplicates) == (6, 2)
    assert figures(desk).duplicates == 0
    merge_profiles(winner_id=known[3].pk, loser_id=new[5].pk, **by_staff)
    DuplicatePair.objects.filter(pk=merged.pk).update(verdict="merged", decided_at=timezone.now())
    count()
    assert (figures(api).duplicates, figures(api).duplicates_per_1000) == (3, 500.0)


def test_a_pair_found_later_counts_for_the_day_its_profile_was_made() -> None:
    old, new = make_profile(source="api"), make_profile(source="api")
    made_at = timezone.now() - datetime.timedelta(days=20)
    Profile.objects.update(created_at=made_at)
    count()
    api = builtin_source("api")
    assert figures(api, 30).duplicates == 0
    later_pair = pair(old, new)
    count()
    assert (figures(api, 30).duplicates, figures(api, 7).duplicates) == (1, 0)
    DuplicatePair.objects.filter(pk=later_pair.pk).update(verdict="not_duplicate", decided_at=timezone.now())
    count()
    assert figures(api, 30).duplicates == 0


def test_pairs_that_were_withdrawn_are_gone_the_next_day() -> None:
    pair(make_profile(source="api"), make_profile(source="api"))
    count()
    api = builtin_source("api")
    DuplicatePair.objects.all().delete()
    count()
    assert figures(api).duplicates == 1
    count(hours=25)
    assert figures(api).duplicates == 0


def test_figures_nobody_goes_back_to_are_removed() -> None:
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    shop = make_source()
    for days in (1, 95, 120):
        SourceHour.objects.create(source=shop, hour=now - datetime.timedelta(days=days), items=1)
    assert hourly_counts.forget_hours() == 1
    assert SourceHour.objects.count() == 2


# --- Reading ----------------------------------------------------------------------------------------------


def test_a_card_holds_the_days_asked_for_and_its_trend() -> None:
    shop = make_source()
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for days, violations in ((0, 2), (6, 3), (8, 5), (89, 7), (91, 11)):
        SourceHour.objects.create(
            source=shop, hour=now - datetime.timedelta(days=days), items=10, violations=violations
        )
    (card,) = scorecard.cards(7, sources=[shop])
    assert card.trend == [3, 0, 0, 0, 0, 0, 2]
    assert (figures(shop, 7).violations, figures(shop, 30).violations, figures(shop, 90).violations) == (
        5,
        10,
        17,
    )


def test_worst_first_and_silent_last() -> None:
    sources = [make_source(name=name) for name in ("silent", "good", "bad", "worse")]
    now = timezone.now()
    for source, duplicates in zip(sources[1:], (0, 5, 9), strict=True):
        SourceHour.objects.create(source=source, hour=now, items=1, new_profiles=100, duplicates=duplicates)
    cards = scorecard.worst_first(scorecard.cards(7, sources=sources))
    assert [card.source.name for card in cards] == ["worse", "bad", "good", "silent"]
    assert scorecard.total_of(cards).duplicates_per_1000 == 46.7
    assert figures(sources[0]).duplicates_per_1000 is None


def test_only_three_spans_can_be_asked_for() -> None:
    assert [scorecard.days_of(raw) for raw in (None, "", "7", 90)] == [30, 30, 7, 90]
    for raw in ("8", "x", "-7", "７"):
        with pytest.raises(Invalid, match="days is 7, 30 or 90."):
            scorecard.days_of(raw)


# --- Imports ----------------------------------------------------------------------------------------------


def imported(count: int, **fields: Any) -> tuple[Import, list[Profile]]:
    source = builtin_source("import")
    defaults: dict[str, Any] = {"state": "done", "applied_at": timezone.now(), "counts": {"created": count}}
    job = Import.objects.create(name="a.csv", size=1, sha256="0", source=source, **{**defaults, **fields})
    profiles = [make_profile(source="import") for _ in range(count)]
    Change.objects.filter(profile__in=profiles).update(cause="import", cause_id=job.pk)
    return job, profiles


def test_an_import_and_the_duplicates_it_brought() -> None:
    ann = make_profile()
    hidden = {"code": "looks_like_identifier", "column": "Mail", "message": "a"}
    nobody = {"code": "no_identifier", "column": None, "message": "b", "count": 3}
    job, profiles = imported(4, counts={"created": 4, "conflict": 2}, warnings=[hidden, nobody])
    second_job, more = imported(2)
    pair(ann, profiles[0])
    pair(ann, profiles[1], "possible")
    pair(profiles[2], profiles[3])
    pair(profiles[2], more[0], "probable")
    card, second = import_figures.figures_of([job, second_job])
    assert (card.created, card.duplicates, card.duplicates_per_1000) == (4, 2, 500.0)
    assert (card.attribute_columns, card.without_identifier, card.conflicts) == (["Mail"], 3, 2)
    assert (second.duplicates, second.duplicates_per_1000) == (1, 500.0)
    assert list(import_figures.recent_imports(7)) == [second_job, job]
    assert import_figures.duplicates_by_import([job.pk, second_job.pk]) == {job.pk: 2, second_job.pk: 1}


# --- At size ----------------------------------------------------------------------------------------------


def test_new_rows_are_read_by_their_time() -> None:
    """What the plan looks like on a table in which the new hour is a small part."""
    shop = make_source()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_receipt (source_id, received_at, kind, name, message_id, outcome, code, message,"
            " resolution) SELECT %s, now() - n * interval '1 minute', 'page', '', '', 'applied', '', '', ''"
            " FROM generate_series(60000, 1, -1) n",
            [shop.pk],
        )
        cursor.execute("ANALYZE profiles_receipt")
        params = {
            "unit": "hour",
            "start": timezone.now() - HOUR,
            "end": timezone.now(),
            "events": list(hourly_counts.EVENT_KINDS),
        }
        cursor.execute(f"EXPLAIN {hourly_counts.CALL_COUNTS_SQL}", params)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "receipt_by_time" in plan, plan
    assert "Seq Scan on profiles_receipt" not in plan, plan


def test_two_workers_count_everything_once(two_connections: Any) -> None:
    shop = make_source()
    send(shop, *({"type": "page", "anonymousId": f"b-{n}"} for n in range(5)))
    now = timezone.now()
    two_connections(lambda: hourly_counts.count_new(now=now), lambda: hourly_counts.count_new(now=now))
    assert figures(shop).items == 5
    assert ScorecardState.objects.get().counted_to == now
