"""Every system check fails for its reason, names the fix, and is silent otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import OperationalError, connection, connections

from cdp.database_roles import Powers
from cdp.local.paths import PROJECT

PRODUCTION = {
    "SECRET_KEY": "n0t-the-default-0123456789-abcdefghijklmnopqrstuvwxyz",
    "TESTING": False,
    "CDP_LOCAL": False,
    "EMAIL_URL": "smtp://mail.example.com",
    "ALLOWED_HOSTS": ["cdp.example.com"],
    "CDP_URL": "https://cdp.example.com",
    "DEFAULT_FROM_EMAIL": "cdp@example.com",
    "CELERY_BROKER_URL": "rediss://:secret@redis.example.com/0",
    "HTTPS": True,
    "BEHIND_PROXY": True,
    "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
}


@pytest.fixture
def production(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    limited = Powers("cdp", is_superuser=False, may_change_audit=False, out_of_reach=[])
    monkeypatch.setattr("cdp.access_checks.powers", lambda: limited)
    for name, value in PRODUCTION.items():
        setattr(settings, name, value)
    settings.CDP_DATA = tmp_path
    return settings


def findings_of(**kwargs: Any) -> dict[str, str]:
    """Our own findings: id and hint."""
    return {
        str(message.id): str(message.hint)
        for message in run_checks(include_deployment_checks=True, **kwargs)
        if str(message.id).startswith("cdp.")
    }


def test_a_complete_production_has_no_findings(production: Any) -> None:
    assert findings_of() == {}


@pytest.mark.parametrize(
    ("setting", "value", "identifier", "fix"),
    [
        ("SECRET_KEY", "insecure-local-key", "cdp.E001", "Set SECRET_KEY to 50 or more random characters"),
        ("CELERY_BROKER_URL", "memory://", "cdp.E004", "Set CELERY_BROKER_URL to redis://host/0"),
        ("CELERY_BROKER_URL", "", "cdp.E004", "Set CELERY_BROKER_URL to redis://host/0"),
        ("CDP_IDENTITY_PRESET", "phone_first", "cdp.E005", "customer_id_first or email_first"),
        ("CDP_PHONE_REGION", "Germany", "cdp.E006", "two capital letters of ISO 3166"),
        ("EMAIL_URL", "", "cdp.W101", "Set EMAIL_URL to your mail server"),
        ("ALLOWED_HOSTS", ["*"], "cdp.W102", "Set ALLOWED_HOSTS to the host names"),
        ("ALLOWED_HOSTS", ["localhost"], "cdp.W102", "Set ALLOWED_HOSTS to the host names"),
        ("CDP_URL", "http://127.0.0.1:8000", "cdp.W103", "Set CDP_URL to the address people use"),
        ("DEFAULT_FROM_EMAIL", "cdp@localhost", "cdp.W104", "Set DEFAULT_FROM_EMAIL"),
        ("CDP_LOCAL", True, "cdp.W105", "Remove CDP_LOCAL"),
        ("CELERY_BROKER_URL", "redis://127.0.0.1/0", "cdp.W109", "Set requirepass in redis.conf"),
        (
            "CELERY_BROKER_URL",
            "redis://:x@far.example.com/0",
            "cdp.W112",
            "beginning with rediss:// or amqps://.",
        ),
        ("EMAIL_HOST", "mail.example.com", "cdp.W112", "EMAIL_URL, beginning with smtp+tls://."),
        ("SECURE_PROXY_SSL_HEADER", None, "cdp.W111", "Set BEHIND_PROXY=1"),
        ("AXES_COOLOFF_TIME", timedelta(0), "cdp.E011", "Set CDP_LOCKOUT_MINUTES to 1 or more"),
        ("SESSION_COOKIE_AGE", 0, "cdp.E011", "Set CDP_SESSION_HOURS to 1 or more"),
        ("CDP_SESSION_IDLE_MINUTES", -5, "cdp.E011", "Set CDP_SESSION_IDLE_MINUTES to 1 or more"),
        ("CDP_CONFIRM_MINUTES", 0, "cdp.E011", "Set CDP_CONFIRM_MINUTES to 1 or more"),
    ],
)
def test_a_wrong_setting_is_found_and_the_fix_named(
    production: Any, setting: str, value: Any, identifier: str, fix: str
) -> None:
    setattr(production, setting, value)
    findings = findings_of()
    assert list(findings) == [identifier]
    assert fix in findings[identifier]


DEFAULT_KEY = (
    "SECRET_KEY is the default, which everybody can read in the source code."
    " Set SECRET_KEY to 50 or more random characters: "
)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (None, DEFAULT_KEY),
        ("insecure-local-key", DEFAULT_KEY),
        ("", "The SECRET_KEY setting must not be empty."),
    ],
)
def test_a_server_without_a_key_of_its_own_does_not_start(
    key: str | None, problem: str, tmp_path: Path
) -> None:
    """Servers run no checks, so what they serve refuses by itself."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SECRET_KEY", "PYTEST"))}
    (tmp_path / "static").mkdir()
    env |= {"CDP_DATA": str(tmp_path)} | ({} if key is None else {"SECRET_KEY": key})
    load = [sys.executable, "-c", "import cdp.wsgi"]
    refused = subprocess.run(load, env=env, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith(f"django.core.exceptions.ImproperlyConfigured: {problem}")
    served = {**env, "SECRET_KEY": str(PRODUCTION["SECRET_KEY"])}
    done = subprocess.run(load, env=served, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_who_else_reads_files_and_changes_the_audit_log_is_found(
    production: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by itself in test_access_checks and test_database_roles; here, that `check --deploy` asks."""
    (production.CDP_DATA / "open").touch()
    (production.CDP_DATA / "open").chmod(0o644)
    all_rights = Powers("cdp", is_superuser=False, may_change_audit=True, out_of_reach=["profiles_tag"])
    monkeypatch.setattr("cdp.access_checks.powers", lambda: all_rights)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(production.CDP_DATA))
    assert sorted(findings_of()) == ["cdp.E009", "cdp.W106", "cdp.W108", "cdp.W110"]
    all_rights = Powers("cdp", is_superuser=True, may_change_audit=True, out_of_reach=[])
    (production.CDP_DATA / "open").chmod(0o600)
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    assert list(findings_of()) == ["cdp.W107"]


def test_without_a_database_its_role_is_not_spoken_of(
    production: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Powers:
        raise OperationalError("connection refused")

    monkeypatch.setattr("cdp.access_checks.powers", away)
    assert findings_of() == {}


def test_the_default_key_is_fine_where_tests_run(production: Any) -> None:
    production.SECRET_KEY, production.TESTING = production.DEFAULT_SECRET_KEY, True
    assert findings_of() == {}


def test_a_data_folder_that_cannot_be_written_is_found(
    production: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    production.CDP_DATA = tmp_path / "not" / "there" / "yet"
    assert findings_of() == {}
    monkeypatch.setattr("cdp.checks.os.access", lambda folder, mode: folder != tmp_path)
    assert list(findings_of()) == ["cdp.E007"]


def test_an_old_postgres_or_another_encoding_is_found(
    production: Any, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert findings_of(databases=["default"]) == {}

    monkeypatch.setitem(connections["default"].__dict__, "pg_version", 140_011)
    with connection.cursor() as cursor:
        real = type(cursor.cursor).fetchone
    monkeypatch.setattr(type(cursor.cursor), "fetchone", lambda self: latin_for_utf8(real(self)))
    findings = findings_of(databases=["default"])
    assert sorted(findings) == ["cdp.E002", "cdp.E003"]
    assert findings["cdp.E002"] == "Point DATABASE_URL at PostgreSQL 15 or newer."


def test_a_slowly_packed_log_is_found(production: Any, db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL wal_compression = 'on'")
        assert findings_of(databases=["default"]) == {
            "cdp.W008": "Set wal_compression to lz4, or to off where your server was built without it."
        }
        cursor.execute("SET LOCAL wal_compression = off")
    assert findings_of(databases=["default"]) == {}


def latin_for_utf8(row: Any) -> Any:
    return ("LATIN1",) if row == ("UTF8",) else row
