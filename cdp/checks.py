"""System checks that name the fix.

Those tagged ``security`` and run with ``check --deploy`` speak about production; those tagged
``database`` need a connection and run with ``migrate`` and ``check --database default``.
"""

import os
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import pycountry
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Advice
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from cdp.access_checks import secret_files_are_private

OLDEST_POSTGRES = 15
PRESETS = ("customer_id_first", "email_first")
# The scheme decides the transport; these keep messages over a restart and reach other machines.
BROKERS = ("redis", "rediss", "redis+socket", "amqp", "amqps", "pyamqp", "sentinel", "sqs")
_HERE = ("localhost", "127.0.0.1", "::1", "[::1]")


@register()
def secret_key_is_ours(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.SECRET_KEY != settings.DEFAULT_SECRET_KEY or settings.DEBUG or settings.TESTING:
        return []
    return [
        Error(
            "SECRET_KEY is the default, which everybody can read in the source code.",
            hint="Set SECRET_KEY to 50 or more random characters: "
            'python -c "import secrets; print(secrets.token_urlsafe(64))". To try it out, start `make run` and'
            " repeat this beside it, with the same CDP_DATA if you gave it one.",
            id="cdp.E001",
        )
    ]


def refuse_to_start() -> None:
    """Raises ImproperlyConfigured where sessions would be signed with a key that everybody knows, or others of the machine
    may read. For servers, which run no checks.
    """
    for error in (*secret_key_is_ours(None), *secret_files_are_private(None)):
        raise ImproperlyConfigured(f"{error.msg} {error.hint}")


@register()
def proxies_are_networks(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    wrong = []
    for text in settings.TRUSTED_PROXIES:
        try:
            ip_network(text, strict=False)
        except ValueError:
            wrong.append(text)
    return [
        Error(
            f"“{text}” in TRUSTED_PROXIES is no address or network.",
            hint="Write addresses and networks separated by commas: TRUSTED_PROXIES=10.0.0.7,10.0.1.0/24.",
            id="cdp.E010",
        )
        for text in wrong
    ]


@register(Tags.database)
def postgres_is_new_enough(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        major = connection.pg_version // 10_000  # type: ignore[attr-defined]
        if major < OLDEST_POSTGRES:
            problems.append(
                Error(
                    f"PostgreSQL {major} is too old.",
                    hint=f"Point DATABASE_URL at PostgreSQL {OLDEST_POSTGRES} or newer.",
                    id="cdp.E002",
                )
            )
        if (encoding := _setting(alias, "server_encoding")) != "UTF8":
            problems.append(
                Error(
                    f"The database is encoded in {encoding}, which cannot hold every name.",
                    hint="Create it anew: CREATE DATABASE cdp ENCODING 'UTF8' TEMPLATE template0.",
                    id="cdp.E003",
                )
            )
    return problems


@register(Tags.database)
def postgres_log_is_not_packed_slowly(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    return [
        Advice(
            "PostgreSQL packs its log with pglz, which takes so much processor that calls wait after each checkpoint.",
            hint="Set wal_compression to lz4, or to off where your server was built without it.",
            id="cdp.W008",
        )
        for alias in databases or ()
        if _setting(alias, "wal_compression") in ("pglz", "on")
    ]


def _setting(alias: str, name: str) -> str:
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        return str(cursor.fetchone()[0])


@register()
def broker_is_durable(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    scheme = urlsplit(settings.CELERY_BROKER_URL).scheme
    if scheme in BROKERS:
        return []
    return [
        Error(
            f"CELERY_BROKER_URL names no broker we know ({scheme or 'no scheme'}).",
            hint="Set CELERY_BROKER_URL to redis://host/0 or amqp://user:password@host//.",
            id="cdp.E004",
        )
    ]


@register()
def identity_settings_exist(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    if settings.CDP_IDENTITY_PRESET not in PRESETS:
        problems.append(
            Error(
                f"CDP_IDENTITY_PRESET is {settings.CDP_IDENTITY_PRESET!r}, which is none of our presets.",
                hint=f"Set CDP_IDENTITY_PRESET to {' or '.join(PRESETS)}.",
                id="cdp.E005",
            )
        )
    region = settings.CDP_PHONE_REGION
    if region and pycountry.countries.get(alpha_2=region) is None:
        problems.append(
            Error(
                f"CDP_PHONE_REGION is {region!r}, which is no country's code.",
                hint="Set CDP_PHONE_REGION to two capital letters of ISO 3166, such as DE, or to nothing.",
                id="cdp.E006",
            )
        )
    return problems


@register()
def data_folder_is_writable(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Uploads and exports live there; found out now rather than in the middle of an upload."""
    folder = settings.CDP_DATA
    while not folder.exists():
        folder = folder.parent
    if os.access(folder, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"CDP_DATA ({settings.CDP_DATA}) cannot be written to.",
            hint="Give that folder to the user the product runs as, or set CDP_DATA to another one.",
            id="cdp.E007",
        )
    ]


@register()
def limits_of_logins_make_sense(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A zero would lock everybody out, or end every session at once."""
    numbers = {
        "CDP_LOCKOUT_MINUTES": settings.AXES_COOLOFF_TIME.total_seconds(),
        "CDP_SESSION_HOURS": settings.SESSION_COOKIE_AGE,
        "CDP_SESSION_IDLE_MINUTES": settings.CDP_SESSION_IDLE_MINUTES,
        "CDP_CONFIRM_MINUTES": settings.CDP_CONFIRM_MINUTES,
    }
    return [
        Error(f"{name} is {value:g}.", hint=f"Set {name} to 1 or more, or to nothing.", id="cdp.E011")
        for name, value in numbers.items()
        if value <= 0
    ]


@register(Tags.security, deploy=True)
def production_is_complete(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What works on one's own machine by default and must be chosen elsewhere."""
    problems: list[CheckMessage] = []
    if not settings.EMAIL_URL:
        problems.append(
            Advice(
                "EMAIL_URL is not set: mails stay in the local mailbox and reach nobody.",
                hint="Set EMAIL_URL to your mail server: smtp+tls://user:password@host:587.",
                id="cdp.W101",
            )
        )
    if set(settings.ALLOWED_HOSTS) <= set(_HERE) or "*" in settings.ALLOWED_HOSTS:
        problems.append(
            Advice(
                "ALLOWED_HOSTS does not name the addresses people use.",
                hint="Set ALLOWED_HOSTS to the host names, separated by commas: cdp.example.com.",
                id="cdp.W102",
            )
        )
    if urlsplit(settings.CDP_URL).hostname in _HERE:
        problems.append(
            Advice(
                "CDP_URL points at this machine: links in mails do not work.",
                hint="Set CDP_URL to the address people use: https://cdp.example.com.",
                id="cdp.W103",
            )
        )
    if settings.DEFAULT_FROM_EMAIL.endswith("@localhost"):
        problems.append(
            Advice(
                "DEFAULT_FROM_EMAIL is nobody's address; mail servers will refuse it.",
                hint="Set DEFAULT_FROM_EMAIL to an address of yours.",
                id="cdp.W104",
            )
        )
    if settings.HTTPS and not settings.SECURE_PROXY_SSL_HEADER:
        problems.append(
            Advice(
                "BEHIND_PROXY is not set: everybody seems to come from the proxy's address, so that the wrong passwords of one"
                " lock out all.",
                hint="Set BEHIND_PROXY=1, and let the proxy set X-Forwarded-For and X-Forwarded-Proto as docs/operations.md shows.",
                id="cdp.W111",
            )
        )
    if settings.CDP_LOCAL:
        problems.append(
            Advice(
                "CDP_LOCAL is set: this installation takes itself for a developer's machine.",
                hint="Remove CDP_LOCAL from the environment.",
                id="cdp.W105",
            )
        )
    return problems
