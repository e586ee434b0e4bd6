"""The change alarm: its rule by properties, the minute a change began, and the life of an alarm."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from cdp.actors import Actor
from cdp.errors import NotFound
from cdp.models import AuditEntry, Mail, OutboxMessage, User, Webhook
from profiles.models import DuplicatePolicy, Receipt, Source, SourceHour
from profiles.quality import alarms, change_detection
from profiles.quality.change_detection import BY_CODE, SIGNALS, Usual
from tests.tracking.rejected import make_source

UPDATE, MISSING = BY_CODE["update"], BY_CODE["no_identify"]
NOW = datetime.datetime(2026, 3, 4, 15, 0, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)

part = st.integers(0, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
hours = st.lists(part, max_size=60)


# --- The rule ---------------------------------------------------------------------------------------------


@given(hours, part)
def test_too_few_calls_never_raise_an_alarm(
    before: list[change_detection.Part], now: change_detection.Part
) -> None:
    usual = change_detection.usual_of(before)
    assert (usual is None) == (sum(n for _, n in before) < change_detection.MIN_USUAL)
    few = (min(now[0], change_detection.MIN_CALLS - 1), change_detection.MIN_CALLS - 1)
    if usual is not None:
        assert not any(change_detection.is_unusual(signal, usual, few) for signal in SIGNALS)


@given(hours, st.integers(0, 100))
def test_a_share_that_was_usual_before_is_no_alarm(before: list[change_detection.Part], index: int) -> None:
    usual = change_detection.usual_of(before)
    if usual is None:
        return
    assert 0 <= usual.low <= usual.share <= usual.high <= 1
    for signal in SIGNALS:
        calls = 10_000
        assert not change_detection.is_unusual(signal, usual, (round(usual.share * calls), calls))
        assert (
            not change_detection.is_unusual(signal, usual, (round(usual.high * calls), calls))
            or not signal.rises
        )
        assert (
            not change_detection.is_unusual(signal, usual, (round(usual.low * calls), calls)) or signal.rises
        )


@given(hours, part, st.integers(0, 5_000))
def test_more_of_it_never_takes_an_alarm_back(
    before: list[change_detection.Part], now: change_detection.Part, more: int
) -> None:
    usual = change_detection.usual_of(before)
    if usual is None or not now[1]:
        return
    hits, calls = now
    for signal in SIGNALS:
        worse = min(calls, hits + more) if signal.rises else max(0, hits - more)
        if change_detection.is_unusual(signal, usual, now):
            assert change_detection.is_unusual(signal, usual, (worse, calls))
            # The same share of more calls says it all the more.
            assert change_detection.is_unusual(signal, usual, (hits * 2, calls * 2))


@given(
    st.lists(part.filter(lambda hour: hour[1] >= change_detection.MIN_CALLS), min_size=4, max_size=40),
    st.randoms(),
)
def test_the_order_of_full_hours_does_not_matter(before: list[change_detection.Part], random: Any) -> None:
    shuffled = list(before)
    random.shuffle(shuffled)
    assert change_detection.usual_of(before) == change_detection.usual_of(shuffled)


@given(part, st.floats(0.5, 6))
def test_wilson_holds_the_share(counts: change_detection.Part, z: float) -> None:
    low, high = change_detection.wilson(*counts, z)
    assert 0 <= low <= high <= 1
    if counts[1]:
        assert low - 1e-9 <= counts[0] / counts[1] <= high + 1e-9


def test_one_bad_afternoon_does_not_hide_the_next_one() -> None:
    fortnight = [(2, 100)] * 330 + [(90, 100)] * 4
    usual = change_detection.usual_of(fortnight)
    assert usual is not None
    assert change_detection.is_unusual(UPDATE, usual, (90, 100))


def test_a_nightly_batch_is_usual() -> None:
    usual = change_detection.usual_of(([(2, 100)] * 23 + [(95, 100)]) * 14)
    assert usual is not None
    assert not change_detection.is_unusual(UPDATE, usual, (95, 100))


def test_what_is_missing_is_at_most_half_of_the_usual() -> None:
    usual = Usual(0.2, 0.18, 0.22)
    assert change_detection.is_unusual(MISSING, usual, (0, 400))
    assert change_detection.is_unusual(MISSING, usual, (10, 400))
    assert not change_detection.is_unusual(MISSING, usual, (60, 400))
    assert not change_detection.is_unusual(MISSING, usual, (0, 60))  # ten or so would have been expected


# --- The minute -------------------------------------------------------------------------------------------


@given(st.integers(0, 59), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_a_clean_change_is_found_to_the_minute(changed_at: int, before: int, after: int, rises: bool) -> None:
    signal = UPDATE if rises else MISSING
    usual = Usual(0.03, 0.0, 0.1) if rises else Usual(0.9, 0.8, 0.95)
    old, new = (0, 1) if rises else (1, 0)
    minutes = [
        (
            NOW + MINUTE * at,
            (new * after if at >= changed_at else old * before),
            (after if at >= changed_at else before),
        )
        for at in range(60)
    ]
    assert change_detection.began(signal, usual, minutes) == NOW + MINUTE * changed_at


@given(st.lists(st.tuples(st.integers(0, 200), part), max_size=60))
def test_the_minute_is_one_with_calls(calls_by_minute: list[tuple[int, change_detection.Part]]) -> None:
    minutes = [(NOW + MINUTE * at, *counts) for at, counts in sorted(dict(calls_by_minute).items())]
    minute = change_detection.began(UPDATE, Usual(0.1, 0.05, 0.2), minutes)
    with_calls = {at for at, _, n in minutes if n}
    assert minute in with_calls if with_calls else minute is None


def test_the_sentence() -> None:
    sentence = change_detection.sentence(
        UPDATE, source="Checkout", since="14:05", share=0.96, usual=0.031, calls=1240
    )
    assert sentence == (
        "Since 14:05 Checkout sends update calls where it used to send identify: 96 % of 1,240 calls about a person, usually 3 %."
    )
    assert [change_detection.percent(share) for share in (0, 0.0004, 0.004, 0.5, 1)] == [
        "0 %",
        "< 0.1 %",
        "0.4 %",
        "50 %",
        "100 %",
    ]


# --- Watching ---------------------------------------------------------------------------------------------


def calls(source: Source, kind: str, count: int, at: datetime.datetime, **fields: Any) -> None:
    Receipt.objects.bulk_create(
        Receipt(source=source, kind=kind, outcome="applied", received_at=at, **fields) for _ in range(count)
    )


def usually(source: Source, *, now: datetime.datetime, hours: int = 48, **counts: int) -> None:
    hour = now.replace(minute=0, second=0, microsecond=0)
    SourceHour.objects.bulk_create(
        SourceHour(source=source, hour=hour - datetime.timedelta(hours=2 + back), **counts)
        for back in range(hours)
    )


@pytest.fixture
def now() -> datetime.datetime:
    return timezone.now().replace(second=0, microsecond=0)


@pytest.fixture
def checkout(db: None, now: datetime.datetime) -> Source:
    """A source that usually identifies and, for 20 minutes, sends update instead."""
    source = make_source(name="Checkout")
    usually(source, now=now, items=60, events=20, identifies=39, updates=1)
    for minute in range(25, 55):
        calls(source, "identify", 2, now - MINUTE * minute)
    for minute in range(20):
        calls(source, "update", 4, now - MINUTE * (minute + 1))
    return source


def test_since_when_the_checkout_sends_update(checkout: Source, now: datetime.datetime) -> None:
    (raised,) = alarms.watch(now=now)
    since = now - MINUTE * 20
    assert (raised.source, raised.signal, raised.began_at) == (checkout, "update", since)
    clock = timezone.localtime(since)
    day = "" if clock.date() == timezone.localtime(now).date() else f"{clock.day} {clock:%b}, "
    assert raised.sentence == (
        f"Since {day}{clock:%H:%M} Checkout sends update calls where it used to send identify:"
        " 100 % of 80 calls about a person, usually 2 %."
    )
    assert "Send identify again" in alarms.fix_of(raised)
    assert alarms.watch(now=now) == []
    assert AuditEntry.objects.filter(action="source.alarm", subject=f"sourcealarm:{raised.pk}").count() == 1


def test_it_is_sent_once_by_mail_and_webhook(checkout: Source, now: datetime.datetime) -> None:
    DuplicatePolicy.objects.create(pk=1, report_to=["data@shop.example", "web@shop.example"])
    Webhook.objects.create(name="a", url="https://hooks.example.com/", topics=["source.changed"])
    (raised,) = alarms.watch(now=now)
    alarms.watch(now=now)
    assert [mail.to for mail in Mail.objects.order_by("pk")] == [["data@shop.example"], ["web@shop.example"]]
    mail = Mail.objects.earliest("pk")
    assert mail.subject == raised.sentence
    assert "Update identifies nobody" in mail.text
    assert "/admin/profiles/sourcealarm/" in mail.text
    (message,) = OutboxMessage.objects.all()
    assert (message.topic, message.profile_id, message.payload["sentence"]) == (
        "source.changed",
        None,
        raised.sentence,
    )


def test_it_ends_when_the_share_is_usual_again_and_may_come_back(
    checkout: Source, now: datetime.datetime
) -> None:
    (raised,) = alarms.watch(now=now)
    later = now + datetime.timedelta(hours=2)
    calls(checkout, "identify", 40, later - MINUTE)
    assert alarms.watch(now=later) == []
    raised.refresh_from_db()
    assert (raised.ended_at, raised.share) == (later, 0.0)
    again = later + datetime.timedelta(hours=2)
    calls(checkout, "update", 40, again - MINUTE)
    (second,) = alarms.watch(now=again)
    assert second.pk != raised.pk


def test_an_acknowledged_alarm_is_not_sent_again_and_is_usual_after_a_fortnight(
    checkout: Source, now: datetime.datetime, ada: User
) -> None:
    (raised,) = alarms.watch(now=now)
    done = alarms.acknowledge(alarm_id=raised.pk, actor=Actor.of_user(ada))
    assert (done.user, done.ended_at) == (ada, None)
    read_at = done.acknowledged_at
    assert alarms.acknowledge(alarm_id=raised.pk, actor=Actor.system()).acknowledged_at == read_at
    assert AuditEntry.objects.filter(action="source.alarm_read").count() == 1
    assert list(alarms.unread()) == []
    assert alarms.watch(now=now) == []
    later = now + datetime.timedelta(days=15)
    alarms.watch(now=later)
    raised.refresh_from_db()
    assert raised.ended_at == later
    with pytest.raises(NotFound, match="There is no alarm #0."):
        alarms.acknowledge(alarm_id=0, actor=Actor.system())


def test_each_signal_is_seen(db: None, now: datetime.datetime) -> None:
    violation = [{"code": "schema_violation", "pointer": "/properties/sku", "message": "a", "value": 1}]
    as_attribute = [{"code": "identifier_as_attribute", "pointer": "/traits/email", "message": "a"}]
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "unknown": ("track", {"code": "missing_identifier"}),
        "attribute": ("track", {"problems": as_attribute}),
        "violation": ("track", {"problems": violation}),
        "no_identify": ("page", {}),
    }
    for name, (kind, fields) in cases.items():
        source = make_source(name=name)
        identifies = 30 if name == "no_identify" else 0
        usually(source, now=now, items=100, events=100 - identifies, identifies=identifies)
        calls(source, kind, 100, now - MINUTE * 3, **fields)
    quiet = make_source(name="quiet")
    usually(quiet, now=now, items=100, events=100)
    calls(quiet, "track", 100, now - MINUTE * 3)
    fresh = make_source(name="fresh")
    calls(fresh, "update", 500, now - MINUTE * 3)
    assert {(alarm.source.name, alarm.signal) for alarm in alarms.watch(now=now)} == {
        (name, name) for name in cases
    }


def test_repeated_messages_and_replays_are_not_what_a_source_sends(
    checkout: Source, now: datetime.datetime
) -> None:
    Receipt.objects.filter(kind="update").update(outcome="duplicate")
    assert alarms.watch(now=now) == []


def test_the_same_queries_for_one_source_and_for_many(db: None, now: datetime.datetime) -> None:
    counts = []
    for many in (1, 1, 20):
        for _ in range(many):
            source = make_source()
            usually(source, now=now, items=60, events=20, identifies=39, updates=1)
            calls(source, "update", 60, now - MINUTE)
        with CaptureQueriesContext(connection) as caught:
            assert len(alarms.watch(now=now)) == many
        counts.append(len(caught))
    # The first time there is none to bring up to date.
    assert counts[1] == counts[2] == counts[0] + 1
