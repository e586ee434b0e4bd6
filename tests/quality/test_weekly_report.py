"""The weekly report over real SMTP, and the policy it follows."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.mail import send_queued
from cdp.models import AuditEntry, Mail, User
from imports.models import Import
from profiles.builtin_sources import builtin_source
from profiles.models import Change, DuplicatePair, DuplicatePolicy, SourceAlarm, SourceHour
from profiles.pairs.policy import change_policy
from profiles.quality import trend, weekly_report
from tests.profile_factory import make_profile
from tests.test_mail import Post, post  # noqa: F401  (a fixture)
from tests.tracking.rejected import make_source

pytestmark = pytest.mark.django_db
DAY = datetime.timedelta(days=1)


def pairs(count: int, tier: str = "certain", *, days: float = 1, **fields: Any) -> list[DuplicatePair]:
    created = []
    for _ in range(count):
        pair = DuplicatePair.objects.create(a=make_profile(), b=make_profile(), tier=tier, **fields)
        DuplicatePair.objects.filter(pk=pair.pk).update(created_at=timezone.now() - DAY * days)
        created.append(pair)
    return created


def test_the_report_arrives_with_counts_trend_and_the_worst(post: Post, ada: User) -> None:  # noqa: F811
    now = timezone.now()
    shop = make_source(name="Shop & Co")
    SourceHour.objects.create(source=shop, hour=now - DAY, new_profiles=100, duplicates=25)
    SourceHour.objects.create(source=make_source(name="Tiny"), hour=now - DAY, new_profiles=2, duplicates=2)
    job = Import.objects.create(
        name="people.csv",
        size=1,
        sha256="0",
        state="done",
        source=builtin_source("import"),
        applied_at=now - DAY,
        finished_at=now - DAY,
        counts={"created": 20},
    )
    certain = pairs(3)
    Change.objects.filter(profile=certain[0].b).update(cause="import", cause_id=job.pk)
    pairs(2, "probable", days=9)
    pairs(1, "possible")
    pairs(2, verdict="merged", decided_at=now - DAY, user=ada)
    pairs(1, verdict="merged", decided_at=now - DAY)
    pairs(4, verdict="not_duplicate", decided_at=now - DAY * 10, user=ada)
    SourceAlarm.objects.create(
        source=shop,
        signal="update",
        began_at=now,
        usual=0,
        bound=0,
        share=1,
        calls=9,
        sentence="Since 14:05 Shop & Co sends update.",
    )
    change_policy(changes={"report_to": ["data@shop.example", "boss@shop.example"]}, actor=Actor.of_user(ada))
    assert weekly_report.send_due(now=now) == 2
    assert weekly_report.send_due(now=now) == 0
    assert send_queued() == 2
    assert post.letters.to == ["data@shop.example", "boss@shop.example"]
    message = post.letters.arrived[0]
    text, html = (
        part.get_payload(decode=True).decode()  # type: ignore[union-attr]
        for part in message.walk()
        if part.get_content_maintype() == "text"
    )
    # 3 certain ones open, 3 merged, 4 not duplicates: ten were found this week, beside the possible one.
    assert message["Subject"] == "Duplicates: 11 found this week, 6 wait for a decision"
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "6 pairs wait for a decision:",
        "10 certain (+10)",
        "0 probable (−2)",
        "2 merged by people (+2)",
        "1 merged by rule (+1)",
        "0 not duplicates (−4)",
        "- Since 14:05 Shop & Co sends update.",
    ):
        assert line in lines, text
    assert (
        "- Shop & Co: 250.0 (25 of 100) http://127.0.0.1:8000/admin/profiles/duplicatepair/?source=Shop+%26+Co"
        in lines
    )
    assert (
        f"- people.csv: 50.0 (1 of 20) http://127.0.0.1:8000/admin/imports/import/{job.pk}/change/" in lines
    )
    assert "Tiny" not in text
    assert "Shop &amp; Co" in html
    assert "Who gets this mail" in html
    assert AuditEntry.objects.filter(action="duplicate.report", detail={"addresses": 2}).count() == 1


def test_nobody_gets_a_report_nobody_asked_for() -> None:
    assert weekly_report.send_due() == 0
    DuplicatePolicy.objects.create(pk=1)
    assert weekly_report.send_due() == 0
    assert Mail.objects.count() == 0


@pytest.mark.parametrize(
    ("last", "now", "is_due"),
    [
        (None, "2026-03-04 12:00", True),
        ("2026-03-01 12:00", "2026-03-02 06:59", False),  # Monday, before seven
        ("2026-03-01 12:00", "2026-03-02 07:00", True),
        ("2026-03-02 07:00", "2026-03-08 23:59", False),
        ("2026-02-20 12:00", "2026-03-05 12:00", True),  # nobody worked on Monday
        ("2026-03-23 07:00", "2026-03-30 06:59", False),  # summer time began on Sunday
        ("2026-03-23 07:00", "2026-03-30 07:01", True),
    ],
)
def test_it_is_due_from_monday_at_seven(settings: Any, last: str | None, now: str, is_due: bool) -> None:
    settings.TIME_ZONE = "Europe/Warsaw"
    zone = ZoneInfo("Europe/Warsaw")

    def at(text: str) -> datetime.datetime:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=zone)

    with timezone.override(zone):
        policy = DuplicatePolicy(pk=1, report_to=["a@shop.example"], reported_at=last and at(last))
        assert weekly_report.due(policy, at(now)) is is_due


def test_two_workers_send_one_report(two_connections: Any) -> None:
    DuplicatePolicy.objects.create(pk=1, report_to=["a@shop.example"])
    sent = two_connections(weekly_report.send_due, weekly_report.send_due)
    assert sorted(sent) == [0, 1]
    assert Mail.objects.count() == 1


def test_the_trend_by_day(ada: User) -> None:
    pairs(2, days=0)
    pairs(1, "probable", days=2)
    pairs(5, "related", days=0)
    pairs(3, days=31)
    pairs(1, days=40, verdict="merged", decided_at=timezone.now(), user=ada)
    found, decided = trend.found_by_day(), trend.decided_by_day()
    assert [(series.name, series.total) for series in found.series] == [
        ("Certain", 2),
        ("Probable", 1),
        ("Possible", 0),
    ]
    assert (len(found.rows), found.rows[-1][1], found.rows[-3][1]) == (30, [2, 0, 0], [0, 1, 0])
    assert [(series.name, series.total) for series in decided.series] == [
        ("Merged by people", 1),
        ("Merged by rule", 0),
        ("Not duplicates", 0),
    ]
    assert trend.open_by_tier() == {"certain": 5, "probable": 1, "related": 5}


# --- The rules --------------------------------------------------------------------------------------------


def test_rules_change_one_by_one_and_are_in_the_audit_log(ada: User) -> None:
    actor = Actor.of_user(ada)
    policy = change_policy(changes={"auto_merge": True, "auto_merge_cap": 5}, actor=actor)
    assert (policy.auto_merge, policy.auto_merge_cap, policy.report_to) == (True, 5, [])
    change_policy(changes={"report_to": [" A@shop.example ", "a@shop.example", ""]}, actor=actor)
    policy = DuplicatePolicy.current()
    assert (policy.auto_merge, policy.report_to) == (True, ["A@shop.example"])
    entries = AuditEntry.objects.filter(action="duplicate.policy").order_by("pk")
    assert [entry.detail for entry in entries] == [
        {"auto_merge": [False, True], "auto_merge_cap": [100, 5]},
        {"report_to": [0, 1]},
    ]
    change_policy(changes={"auto_merge": True}, actor=actor)
    assert entries.count() == 2


def test_rules_that_cannot_be_name_every_value(ada: User) -> None:
    with pytest.raises(Invalid) as refused:
        change_policy(
            changes={"auto_merge": "yes", "auto_merge_cap": 0, "report_to": ["a@b"], "color": "red"},
            actor=Actor.of_user(ada),
        )
    assert [(problem["field"], problem["message"]) for problem in refused.value.problems] == [
        ("auto_merge", "auto_merge is true or false."),
        ("auto_merge_cap", "Merge at least 1 and at most 10,000 pairs per hour."),
        ("report_to", "“a@b” is not an e-mail address."),
        (
            "color",
            "“color” is not a rule for duplicates. The rules are auto_merge, auto_merge_cap, report_to.",
        ),
    ]
    assert not DuplicatePolicy.objects.exists()
    with pytest.raises(Invalid, match="The report goes to at most 20 addresses; these are 21."):
        change_policy(
            changes={"report_to": [f"a{n}@shop.example" for n in range(21)]}, actor=Actor.of_user(ada)
        )
