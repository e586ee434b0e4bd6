"""Files, secrets and broker that others of the machine can reach are named, with the command that closes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cdp import access_checks
from cdp.local.paths import PROJECT, LocalError, keep_secret, read_secret

BEGINNINGS = {
    "settings": "import cdp.settings",
    "gunicorn": "import cdp.gunicorn",
    "celery": "import cdp.celery",
    "web": "import cdp.wsgi",
    "make run": "import cdp.local.run",
    "command": "import manage, sys; sys.argv = ['manage.py', 'check']; manage.main()",
}
WRITE = (
    "import os, pathlib\n"
    "folder = pathlib.Path(os.environ['CDP_DATA']) / 'written'\n"
    "folder.mkdir()\n"
    "(folder / 'by-itself').touch()\n"
    "os.system(f'touch {folder}/by-a-child')\n"
)


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_every_process_writes_for_its_user_alone(tmp_path: Path, beginning: str) -> None:
    """Whatever mask it was started with, and so do the processes it starts."""
    done = subprocess.run(
        [sys.executable, "-c", f"import os; os.umask(0)\n{beginning}\n{WRITE}"],
        cwd=PROJECT,
        env={**os.environ, "CDP_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = tmp_path / "written"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (written, *written.iterdir())}
    assert modes == {"written": 0o700, "by-itself": 0o600, "by-a-child": 0o600}


def test_open_files_are_counted_and_named(tmp_path: Path, settings: Any) -> None:
    settings.CDP_DATA, settings.CDP_LOCAL = tmp_path, False
    scans = tmp_path / "scans" / "7"
    scans.mkdir(parents=True)
    (scans / "rows.csv").write_text("ann@example.com")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert access_checks.files_are_private(None) == []
    scans.chmod(0o755)
    (scans / "rows.csv").chmod(0o640)
    (finding,) = access_checks.files_are_private(None)
    assert (finding.id, finding.msg) == (
        "cdp.W106",
        f"Other users of this machine may read or enter 2 entries of CDP_DATA, for example {scans}.",
    )
    assert str(finding.hint).startswith(f"Run: chmod -R go= {tmp_path}.")
    subprocess.run(["chmod", "-R", "go=", tmp_path], check=True)
    assert access_checks.files_are_private(None) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the database to another user")
def test_folders_on_the_way_to_the_database_may_be_passed_but_not_listed(
    tmp_path: Path, settings: Any
) -> None:
    settings.CDP_DATA, settings.CDP_LOCAL = tmp_path, True
    tmp_path.chmod(0o711)
    assert access_checks.files_are_private(None) == []
    tmp_path.chmod(0o755)
    assert len(access_checks.files_are_private(None)) == 1
    settings.CDP_LOCAL = False
    tmp_path.chmod(0o711)
    assert len(access_checks.files_are_private(None)) == 1


def test_a_secret_that_others_can_read_stops_the_server(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("n0t-the-default-0123456789-abcdefghijklmnopqrstuvwxyz")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SECRET_KEY", "PYTEST"))}
    (tmp_path / "static").mkdir()
    env |= {"CDP_DATA": str(tmp_path), "SECRET_KEY_FILE": str(file)}

    def load() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "import cdp.wsgi"], env=env, cwd=PROJECT, capture_output=True, text=True
        )

    for mode in (0o644, 0o604, 0o620):
        file.chmod(mode)
        refused = load()
        assert refused.returncode == 1
        assert refused.stderr.strip().splitlines()[-1] == (
            "django.core.exceptions.ImproperlyConfigured: SECRET_KEY_FILE: other users of this machine may read or change"
            f" {file}. Run: chmod o=,g-w {file}. Give it a new value if somebody else may have read it."
        )
    for mode in (0o640, 0o400):
        file.chmod(mode)
        done = load()
        assert (done.returncode, done.stderr) == (0, "")


def test_a_local_secret_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    keep_secret(tmp_path / "secret-key", "s3cret")
    assert read_secret(tmp_path / "secret-key") == "s3cret"
    (tmp_path / "secret-key").chmod(0o644)
    with pytest.raises(
        LocalError, match="^Other users of this machine may read .*/secret-key. Run: chmod 600 "
    ):
        read_secret(tmp_path / "secret-key")


@pytest.mark.parametrize(
    ("url", "is_open"),
    [
        ("redis://127.0.0.1:6379/0", True),
        ("rediss://redis.example.com/0", True),
        ("redis://:secret@127.0.0.1:6379/0", False),
        ("redis+socket:///run/redis/cdp.sock", False),
        ("amqp://cdp:secret@rabbit.example.com//", False),
    ],
)
def test_a_redis_without_a_password_is_named(settings: Any, url: str, is_open: bool) -> None:
    settings.CELERY_BROKER_URL = url
    findings = access_checks.broker_asks_who_it_is(None)
    assert [finding.id for finding in findings] == ["cdp.W109"] * is_open
    assert all("Set requirepass in redis.conf" in str(finding.hint) for finding in findings)


def test_connections_to_other_machines_without_tls_are_named(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = settings.DATABASES["default"]

    def found(host: str, sslmode: str, broker: str, has_mail_tls: bool) -> list[str]:
        monkeypatch.setitem(database, "HOST", host)
        monkeypatch.setitem(database, "OPTIONS", {"sslmode": sslmode} if sslmode else {})
        settings.CELERY_BROKER_URL = broker
        settings.EMAIL_HOST, settings.EMAIL_USE_TLS = "mail.example.com", has_mail_tls
        return [
            f"{finding.msg} {finding.hint}"
            for finding in access_checks.other_machines_are_reached_by_tls(None)
        ]

    assert found("10.0.0.5", "require", "redis://:x@10.0.0.6/0", False) == [
        "3 connections to other machines may be read on the way. Use TLS, unless the network between them encrypts by"
        " itself: DATABASE_URL, ending in ?sslmode=verify-full; CELERY_BROKER_URL, beginning with rediss:// or amqps://;"
        " EMAIL_URL, beginning with smtp+tls://."
    ]
    assert len(found("10.0.0.5", "", "redis+socket:///run/redis.sock", True)) == 1
    assert found("10.0.0.5", "verify-full", "rediss://:x@10.0.0.6/0", True) == []
    for host in ("", "/run/postgresql", "localhost", "::1"):
        assert found(host, "", "redis://:x@127.0.0.1/0", True) == []


def test_figures_on_the_disk_of_the_data_are_named(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CDP_DATA = tmp_path
    assert access_checks.metrics_are_in_memory(None) == []
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    (finding,) = access_checks.metrics_are_in_memory(None)
    assert finding.id == "cdp.W110"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/proc")
    assert access_checks.metrics_are_in_memory(None) == []
