"""Files, secrets, database role and broker → system checks: who else may read or change what the product keeps."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Advice
from django.db import OperationalError

from cdp.database_roles import powers
from cdp.metrics_files import VARIABLE as METRICS
from cdp.plurals import counted

SECRETS = ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL")
_HERE = ("localhost", "127.0.0.1", "::1")
_VERIFYING = ("verify-ca", "verify-full")
_PLAIN_BROKERS = ("redis", "amqp", "pyamqp", "sentinel")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PASSABLE = stat.S_IXGRP | stat.S_IXOTH
_ROLE_HINT = "See “PostgreSQL” in docs/operations.md: web and workers connect as a role of their own."


@register()
def secret_files_are_private(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Files named by SECRET_KEY_FILE and its like. Their group may read them, as where root hands them to a service."""
    named = ((f"{name}_FILE", os.environ.get(f"{name}_FILE")) for name in SECRETS)
    return [
        Error(
            f"{variable}: other users of this machine may read or change {file}.",
            hint=f"Run: chmod o=,g-w {file}. Give it a new value if somebody else may have read it.",
            id="cdp.E008",
        )
        for variable, file in named
        if file and Path(file).exists() and Path(file).stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP)
    ]


@register(Tags.security, deploy=True)
def files_are_private(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Looks at every file: for ``check --deploy`` and ``doctor``, not for each command."""
    files = [*open_to_others(settings.CDP_DATA)]
    if not files:
        return []
    return [
        Advice(
            f"Other users of this machine may read or enter {counted(len(files), 'entries')} of CDP_DATA,"
            f" for example {files[0]}.",
            hint=f"Run: chmod -R go= {settings.CDP_DATA}. What the product writes is private (umask 077).",
            id="cdp.W106",
        )
    ]


def open_to_others(folder: Path) -> Iterator[Path]:
    """What is not for its owner alone, ``folder`` first. Where `make run` is root's, folders may be passed through."""
    allowed = _PASSABLE if settings.CDP_LOCAL and os.geteuid() == 0 else 0
    if folder.exists():
        yield from _open_to_others(folder, allowed)


def _open_to_others(path: Path, allowed: int) -> Iterator[Path]:
    try:
        info = path.lstat()
        is_folder = stat.S_ISDIR(info.st_mode)
        # A link's own mode says nothing; a folder's socket or file is its own.
        if not stat.S_ISLNK(info.st_mode) and info.st_mode & _OTHERS & ~(allowed if is_folder else 0):
            yield path
        children = sorted(path.iterdir()) if is_folder else []
    except (FileNotFoundError, PermissionError):
        return  # gone meanwhile, or the database server's own
    for child in children:
        yield from _open_to_others(child, allowed)


@register(Tags.security, deploy=True)
def database_role_is_limited(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Silent while the database does not answer: ``/readyz`` and ``doctor`` say that."""
    try:
        found = powers()
    except OperationalError:
        return []
    problems: list[CheckMessage] = []
    if found.is_superuser:
        problems.append(
            Advice(
                f"The database role “{found.role}” is a superuser: it may change the audit log and everything else on that"
                " server.",
                hint=_ROLE_HINT,
                id="cdp.W107",
            )
        )
    elif found.may_change_audit:
        problems.append(
            Advice(
                f"The database role “{found.role}” may change and delete the audit log.",
                hint=f"Run as the owner of the database: python manage.py grant_rights {found.role}. {_ROLE_HINT}",
                id="cdp.W108",
            )
        )
    if found.out_of_reach:
        problems.append(
            Error(
                f"The database role “{found.role}” may not use {counted(len(found.out_of_reach), 'tables')}, for"
                f" example {found.out_of_reach[0]}.",
                hint=f"Run as the owner of the database, after each migrate: python manage.py grant_rights {found.role}.",
                id="cdp.E009",
            )
        )
    return problems


@register(Tags.security, deploy=True)
def broker_asks_who_it_is(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Whoever reaches a Redis over the network without a password reads its messages and sends workers some."""
    url = urlsplit(settings.CELERY_BROKER_URL)
    if url.scheme not in ("redis", "rediss") or url.password:
        return []
    return [
        Advice(
            "CELERY_BROKER_URL names a Redis without a password: everybody who reaches its port gives orders to workers.",
            hint="Set requirepass in redis.conf and CELERY_BROKER_URL to redis://:password@host/0, or use a socket that"
            " only the product's user may open: redis+socket:///run/redis/cdp.sock.",
            id="cdp.W109",
        )
    ]


@register(Tags.security, deploy=True)
def other_machines_are_reached_by_tls(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Without it, who listens between two machines reads people and passwords; libpq by default asks for no certificate."""
    database, broker = settings.DATABASES["default"], urlsplit(settings.CELERY_BROKER_URL)
    mode = str(database["OPTIONS"].get("sslmode", ""))
    has_mail_tls = settings.EMAIL_USE_TLS or settings.EMAIL_USE_SSL
    fixes = {
        "DATABASE_URL, ending in ?sslmode=verify-full": _is_far(database.get("HOST"))
        and mode not in _VERIFYING,
        "CELERY_BROKER_URL, beginning with rediss:// or amqps://": broker.scheme in _PLAIN_BROKERS
        and _is_far(broker.hostname),
        "EMAIL_URL, beginning with smtp+tls://": _is_far(settings.EMAIL_HOST) and not has_mail_tls,
    }
    wrong = [fix for fix, is_needed in fixes.items() if is_needed]
    if not wrong:
        return []
    return [
        Advice(
            f"{counted(len(wrong), 'connections')} to other machines may be read on the way.",
            hint=f"Use TLS, unless the network between them encrypts by itself: {'; '.join(wrong)}.",
            id="cdp.W112",
        )
    ]


def _is_far(host: str | None) -> bool:
    """Whether the host is another machine; empty and a path are sockets of this one."""
    return bool(host) and not str(host).startswith("/") and host not in _HERE


@register(Tags.security, deploy=True)
def metrics_are_in_memory(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    folder = Path(os.environ.get(METRICS) or "/nowhere")
    if not (folder.exists() and settings.CDP_DATA.exists()):
        return []
    if folder.stat().st_dev != settings.CDP_DATA.stat().st_dev:
        return []
    return [
        Advice(
            f"{METRICS} is on the disk of CDP_DATA: once that is full, new web processes count for themselves alone.",
            hint=f"Set {METRICS} to a folder in memory, such as systemd's RuntimeDirectory (/run/cdp).",
            id="cdp.W110",
        )
    ]
