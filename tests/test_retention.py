"""Every table that grows has a rule: rows past their time are deleted and younger ones are not, or it is written why they stay."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.apps import apps
from django.conf import settings
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from cdp import retention
from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.models import (
    Delivery,
    IdempotencyKey,
    Job,
    LoginSession,
    Look,
    Mail,
    OutboxMessage,
    RateWindow,
    User,
    Webhook,
    Worker,
)
from cdp.retention import expiry, listed, rules, without_rule
from imports.models import Import, Row
from imports.partitions import create_partition
from profiles.builtin_sources import builtin_source
from profiles.models import DuplicateCase, Event, MergeBatch, MergeBatchRow, Receipt, SourceHour
from tests.api.caller import Caller
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


# --- Every table has a rule -------------------------------------------------------------------------------


def test_every_table_has_a_rule() -> None:
    assert list(without_rule(apps.get_models())) == []


def test_a_table_without_a_rule_is_found() -> None:
    rule = rules["cdp.Mail"]
    rules.unregister("cdp.Mail")
    try:
        assert list(without_rule(apps.get_models())) == ["cdp.Mail"]
    finally:
        rules.register("cdp.Mail", rule)


def test_rules_and_functions_name_each_other() -> None:
    """A function nobody's rule names deletes what no page speaks about; a rule may not promise what nothing does."""
    tables = {model._meta.label for model in apps.get_models()}
    assert {key for key, _ in rules.items()} - tables == {
        "files of exports",
        "files of imports",
        "rejected items",
    }
    assert {rule.by for rule in rules if rule.by} == {name for name, _ in expiry.items()}
    for key, rule in rules.items():
        assert rule.sentence.endswith("."), key
        assert ("{days}" in rule.text) == bool(rule.setting), key


# --- Rows past their time go, younger ones stay -----------------------------------------------------------

Plant = Callable[[datetime.timedelta], int]
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)


def ago(age: datetime.timedelta) -> datetime.datetime:
    return timezone.now() - age


def mail(age: datetime.timedelta) -> int:
    Mail.objects.create(to=["a@example.com"], subject="a", text="a", state="sent", created_at=ago(age))
    # One that waits is never too old.
    Mail.objects.create(to=["a@example.com"], subject="a", text="a", created_at=ago(1000 * DAY))
    return 1


def job(age: datetime.timedelta) -> int:
    Job.objects.create(kind="a", state="failed", finished_at=ago(age), is_system=True)
    Job.objects.create(kind="a", state="paused", created_at=ago(1000 * DAY), is_system=True)
    return 1


def worker(age: datetime.timedelta) -> int:
    Worker.objects.create(name=f"w{age}", seen_at=ago(age))
    return 1


def rate(age: datetime.timedelta) -> int:
    minute = int(ago(age).timestamp()) // 60
    RateWindow.objects.create(owner=f"key:{minute}", window=minute, granted=1)
    return 1


def answer(age: datetime.timedelta) -> int:
    IdempotencyKey.objects.create(owner="key:1", key=str(age), fingerprint="a", created_at=ago(age))
    return 1


def message(age: datetime.timedelta) -> int:
    OutboxMessage.objects.create(topic="profile.merged", payload={}, is_fanned_out=True, created_at=ago(age))
    return 1


def delivery(age: datetime.timedelta) -> int:
    hook = Webhook.objects.create(name="a", url="https://a.example.com/")
    rows = [
        OutboxMessage.objects.create(topic="profile.merged", payload={}, is_fanned_out=True, created_at=at)
        for at in (ago(age), ago(1000 * DAY))
    ]
    Delivery.objects.create(webhook=hook, message=rows[0], state="dead")
    Delivery.objects.create(webhook=hook, message=rows[1], state="waiting")
    return 1


def session(age: datetime.timedelta) -> int:
    key = f"{age.total_seconds():.0f}"
    LoginSession.objects.create(
        session_key=key, session_data="", expire_date=ago(age), begun_at=ago(age), last_seen_at=ago(age)
    )
    return 1


def look(age: datetime.timedelta) -> int:
    Look.objects.create(kind="card", actor="sam", profile_ids=[1], at=ago(age))
    return 1


def wrong_password(age: datetime.timedelta) -> int:
    AccessAttempt.objects.create(username="a", failures_since_start=1)
    AccessAttempt.objects.update(attempt_time=ago(age))
    return 1


def receipt(age: datetime.timedelta) -> int:
    Receipt.objects.create(source=builtin_source("web"), outcome="applied", received_at=ago(age))
    return 1


def hour(age: datetime.timedelta) -> int:
    at = ago(age).replace(minute=0, second=0, microsecond=0)
    SourceHour.objects.create(source=builtin_source("web"), hour=at)
    return 1


def batch(age: datetime.timedelta) -> int:
    made = {"title": "a", "origin": "csv", "size": 1, "source": builtin_source("staff")}
    MergeBatch.objects.create(**made, created_at=ago(age))
    MergeBatch.objects.create(**made, created_at=ago(1000 * DAY), started_at=ago(1000 * DAY))
    return 1


def batch_row(age: datetime.timedelta) -> int:
    batch(age)
    for number, row in enumerate(MergeBatch.objects.order_by("pk")):
        MergeBatchRow.objects.create(batch=row, position=number, winner_id=1, loser_id=2)
    return 1


def case(age: datetime.timedelta) -> int:
    DuplicateCase.objects.create(state="gone", updated_at=ago(age))
    DuplicateCase.objects.create(state="not_duplicates", updated_at=ago(1000 * DAY))
    return 1


def import_row(age: datetime.timedelta) -> int:
    import_ = Import.objects.create(
        name="a.csv",
        size=1,
        sha256="0",
        state="done",
        source=builtin_source("import"),
        finished_at=ago(age),
    )
    create_partition(import_)
    Row.objects.bulk_create([Row(import_id=import_.pk, line=2, outcome="created")])
    return 1


# How rows are made that ended so long ago, and for how long they are kept.
PLANTED: dict[str, tuple[Plant, datetime.timedelta]] = {
    "cdp.Delivery": (delivery, 30 * DAY),
    "cdp.IdempotencyKey": (answer, 25 * HOUR),
    "cdp.Job": (job, 180 * DAY),
    "cdp.Mail": (mail, 90 * DAY),
    "cdp.OutboxMessage": (message, 30 * DAY),
    "cdp.RateWindow": (rate, HOUR + datetime.timedelta(minutes=1)),
    "cdp.Worker": (worker, DAY),
    "imports.Row": (import_row, 30 * DAY),
    "profiles.DuplicateCase": (case, 90 * DAY),
    "profiles.MergeBatch": (batch, 30 * DAY),
    "profiles.MergeBatchRow": (batch_row, 30 * DAY),
    "profiles.Receipt": (receipt, 90 * DAY),
    "profiles.SourceHour": (hour, 98 * DAY),
    "cdp.Look": (look, 365 * DAY),
    "cdp.LoginSession": (session, datetime.timedelta()),
    "axes.AccessAttempt": (wrong_password, settings.AXES_COOLOFF_TIME),
}


def test_every_rule_that_deletes_is_tried() -> None:
    deleting = {label for label, rule in rules.items() if rule.by}
    assert sorted(PLANTED) == sorted(deleting - {"files of exports", "files of imports", "rejected items"})


@pytest.mark.parametrize("label", PLANTED)
def test_what_is_past_its_time_goes_and_the_rest_stays(label: str) -> None:
    plant, kept = PLANTED[label]
    model = apps.get_model(label)
    slack = datetime.timedelta(minutes=5) if kept < 2 * HOUR else 2 * HOUR
    delete = expiry[rules[label].by]
    plant(kept - slack)
    young = model._default_manager.count()
    assert young
    delete()
    assert model._default_manager.count() == young
    model._default_manager.all().delete() if model is not Row else None
    if model is Row:
        Import.objects.update(finished_at=ago(kept + slack))
        expected = 0
    else:
        plant(kept + slack)
        expected = model._default_manager.count() - 1
    delete()
    assert model._default_manager.count() == expected
    delete()
    assert model._default_manager.count() == expected


def test_jobs_and_mails_go_alone(by_staff: dict[str, Any]) -> None:
    """What they did, and what was written to a person, names them no longer and stays."""
    ann = make_profile()
    old = Job.objects.create(kind="a", state="done", finished_at=ago(400 * DAY), is_system=True)
    import_ = Import.objects.create(
        name="a.csv", size=1, sha256="0", source=builtin_source("import"), job=old
    )
    letter = Mail.objects.create(
        to=["a@example.com"], subject="a", text="a", state="sent", created_at=ago(400 * DAY), job=old
    )
    said = ann.messages.create(purpose="x", address="a@example.com", subject="a", text="a", mail=letter)
    retention.expire()
    import_.refresh_from_db()
    said.refresh_from_db()
    assert (import_.job, said.mail, Job.objects.count(), Mail.objects.count()) == (None, None, 0, 0)
    assert not Event.objects.exists()


# --- Where people read it ---------------------------------------------------------------------------------


def test_the_page_lists_every_rule(make_user: Callable[..., User], as_user: Callable[[User], Client]) -> None:
    page = as_user(make_user("pia", "privacy officer")).get("/admin/privacy/retention/").content.decode()
    for row in listed():
        assert escape(row.what) in page
    assert "Deleted 90 days after they were queued; one that still waits to be sent is not." in page
    assert "<code>CDP_MAIL_KEEP_DAYS</code>" in page
    assert as_user(make_user("mia", "marketer")).get("/admin/privacy/retention/").status_code == 403


def test_the_api_lists_every_rule(settings: Any) -> None:
    settings.CDP_MAIL_KEEP_DAYS = 7
    api = Caller(create_key(name="a", scopes=["admin"], actor=Actor.system()))
    rows = {row["key"]: row for row in api.get("retention/").json()["results"]}
    assert rows.keys() == {key for key, _ in rules.items()}
    assert rows["cdp.Mail"] == {
        "key": "cdp.Mail",
        "what": "Mails",
        "deleted": True,
        "text": "Deleted 7 days after they were queued; one that still waits to be sent is not.",
        "setting": "CDP_MAIL_KEEP_DAYS",
        "days": 7,
    }
    reader = Caller(create_key(name="b", scopes=["profiles:read"], actor=Actor.system()))
    assert reader.get("retention/").status_code == 403


def test_old_is_what_the_database_calls_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose clock is a year ahead deletes nothing too early."""
    mail(DAY)
    job(DAY)
    receipt(DAY)
    answer(HOUR)
    real = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: real + 365 * DAY)
    for name in ("mails", "jobs", "receipts", "saved answers", "counted minutes", "workers"):
        expiry[name]()
    assert (Mail.objects.count(), Job.objects.count()) == (2, 2)
    assert (Receipt.objects.count(), IdempotencyKey.objects.count()) == (1, 1)
