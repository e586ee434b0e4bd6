"""Health pages: what is wrong is named, and asking costs little."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from threading import Event
from time import monotonic
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Now
from django.test import Client

from cdp import readiness, worker
from cdp.mail import queue_mail
from cdp.models import Job, Worker


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that answers, wherever the tests run."""
    monkeypatch.setattr(readiness, "_broker", lambda: "ok")


def checks(client: Client, status: int) -> dict[str, str]:
    response = client.get("/readyz")
    assert response.status_code == status
    body = json.loads(response.content)
    assert body["status"] == ("ok" if status == 200 else "failing")
    assert response.has_header("Retry-After") is (status == 503)
    return dict(body["checks"])


def test_healthz_needs_nothing(client: Client) -> None:
    response = client.get("/healthz")  # no database fixture: a query would fail
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response["Cache-Control"] == "no-store"
    assert client.post("/healthz").status_code == 405


def test_ready_when_all_parts_are(client: Client, transactional_db: None, broker: None) -> None:
    worker.beat("worker@here")
    assert checks(client, 200) == dict.fromkeys(("database", "migrations", "broker", "worker"), "ok")


def test_a_worker_that_fell_silent_is_missed(client: Client, transactional_db: None, broker: None) -> None:
    worker.beat("worker@here")
    Worker.objects.update(seen_at=Now() - timedelta(seconds=31))
    assert checks(client, 503)["worker"] == (
        "none heard of for 30 s; start one with celery -A cdp.celery worker"
    )
    worker.beat("worker@there")
    assert checks(client, 200)["worker"] == "ok"


@pytest.mark.parametrize(
    ("queues", "sentence"),
    [
        (
            ["housekeeping"],
            "none takes people's jobs (imports, exports, bulk work); "
            "start one with celery -A cdp.celery worker --queues jobs",
        ),
        (
            ["jobs"],
            "none takes housekeeping (webhooks, mail, duplicate scans); "
            "start one with celery -A cdp.celery worker --queues housekeeping",
        ),
    ],
)
def test_a_queue_that_nobody_takes_from_is_named(
    client: Client, transactional_db: None, broker: None, queues: list[str], sentence: str
) -> None:
    worker.beat("one@here", queues)
    assert checks(client, 503)["worker"] == sentence
    worker.beat("two@here", sorted({"jobs", "housekeeping"} - set(queues)))
    assert checks(client, 200)["worker"] == "ok"


@pytest.mark.parametrize("part", ["database", "broker"])
def test_a_part_that_hangs_is_named_in_time_and_costs_one_thread(
    client: Client, transactional_db: None, broker: None, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    worker.beat("worker@here")
    thawed = Event()
    asked: list[str] = []

    def hang() -> str:
        asked.append(part)
        thawed.wait(60)
        return "ok"

    with monkeypatch.context() as patch:
        patch.setattr(readiness, f"_{part}", hang)
        for _ in range(3):
            started = monotonic()
            failing = checks(client, 503)
            assert monotonic() - started < 2
            assert failing[part].startswith("does not answer within 1.5 s; is ")
        assert asked == [part]
        thawed.set()
        checks(client, 200)
    assert checks(client, 200)[part] == "ok"


def test_missing_migrations_are_counted(
    client: Client, transactional_db: None, broker: None, django_assert_max_num_queries: Any
) -> None:
    worker.beat("worker@here")
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM django_migrations WHERE id = (SELECT max(id) FROM django_migrations) RETURNING app, name, applied"
        )
        (row,) = cursor.fetchall()
    try:
        failing = checks(client, 503)
        with django_assert_max_num_queries(4):
            assert readiness.database_checks() == {
                part: failing[part] for part in ("database", "migrations", "worker")
            }
    finally:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", row)
    assert failing["migrations"] == "1 to apply; run manage.py migrate"
    assert failing["worker"] == "unknown until the migrations are applied"


def test_a_broker_that_is_away_is_named(
    client: Client, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.beat("worker@here")
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")  # Celery reads it before its settings
    failing = checks(client, 503)
    assert failing["broker"] == "does not answer; is CELERY_BROKER_URL right and the broker running?"
    assert failing["database"] == "ok"


def test_a_database_that_is_away_is_named(
    client: Client, broker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(BaseDatabaseWrapper, "cursor", fail)
    failing = checks(client, 503)
    assert failing["database"].startswith("does not answer; is DATABASE_URL right")
    assert failing["migrations"] == failing["worker"] == "unknown while the database does not answer"


def test_metrics_count_jobs_mails_and_workers(client: Client, transactional_db: None, settings: Any) -> None:
    settings.EMAIL_URL = "smtp://mail.example.com"
    worker.beat("worker@here")
    queue_mail(to=["ann@shop.example"], subject="Hello", text="Hello")
    text = client.get("/metrics").content.decode()
    assert 'cdp_mails{state="queued"} 1.0' in text
    assert "cdp_workers 1.0" in text
    assert "cdp_http_requests_total" in text
    assert "ann@" not in text


def test_metrics_of_several_processes_are_summed(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    response = client.get("/metrics")
    assert response.status_code == 200
    assert "cdp_workers 0.0" in response.content.decode()


def test_metrics_without_a_database_are_those_of_the_process(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(Job.objects, "order_by", fail)
    text = client.get("/metrics").content.decode()
    assert "cdp_http_requests_total" in text
    assert "cdp_workers" not in text


def test_a_csp_report_is_counted_and_logged_without_values(
    client: Client, caplog: pytest.LogCaptureFixture, db: None
) -> None:
    report = {
        "document-uri": "https://cdp.example.com/people/?q=ann@shop.example",
        "effective-directive": "img-src",
        "blocked-uri": "https://evil.example/pixel.gif?who=ann",
    }
    with caplog.at_level(logging.WARNING, "cdp.health"):
        response = client.post(
            "/csp-report/", json.dumps({"csp-report": report}), content_type="application/csp-report"
        )
    assert response.status_code == 204
    (record,) = [record for record in caplog.records if record.name == "cdp.health"]
    logged = vars(record)
    assert (logged["directive"], logged["page"]) == ("img-src", "https://cdp.example.com")
    assert logged["blocked"] == "https://evil.example"
    assert 'cdp_csp_reports_total{directive="img-src"}' in client.get("/metrics").content.decode()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"csp-report": 1}', 400),
        (b'{"csp-report": {}}', 204),
        (b"x" * 20_000, 413),
    ],
)
def test_a_csp_report_that_is_none_is_refused(client: Client, body: bytes, status: int) -> None:
    assert client.post("/csp-report/", body, content_type="application/csp-report").status_code == status


def test_a_worker_takes_its_row_along_and_forgets_the_dead(transactional_db: None) -> None:
    Worker.objects.create(name="killed@long-ago", seen_at=Now() - timedelta(days=2))
    Worker.objects.create(name="killed@just-now", seen_at=Now() - timedelta(minutes=5))
    heart = worker.Heart("worker@here")
    heart.start()
    heart.stop()
    assert list(Worker.objects.values_list("name", flat=True)) == ["killed@just-now"]
