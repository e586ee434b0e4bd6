"""Starts PostgreSQL and Redis where the environment names none → the environment to reach them."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cdp.local.machine import Machine, machine_tuning, throwaway_tuning
from cdp.local.paths import Layout, throwaway_folder
from cdp.local.postgres import Postgres
from cdp.local.redis import Redis


@dataclass
class Servers:
    """The servers we run; those the environment already names are somebody else's and None here."""

    postgres: Postgres | None
    redis: Redis | None
    environment: dict[str, str] = field(default_factory=dict)


def durable_servers(paths: Layout) -> Servers:
    """For `make run`: data is kept and durable. Not started yet."""
    postgres = redis = None
    environment = {}
    if not os.environ.get("DATABASE_URL"):
        postgres = Postgres(
            cluster=paths.cluster,
            sockets=paths.postgres_sockets,
            log=paths.logs / "postgres.log",
            settings=machine_tuning(Machine.here(paths.data)),
            copies=paths.programs,
        )
        environment["DATABASE_URL"] = postgres.app_url
    if not os.environ.get("CELERY_BROKER_URL"):
        redis = Redis(home=paths.redis, sockets=paths.redis_sockets, log=paths.logs / "redis.log")
        environment["CELERY_BROKER_URL"] = redis.url
    return Servers(postgres, redis, environment)


@contextmanager
def throwaway_postgres(settings: dict[str, str] | None = None) -> Iterator[Postgres]:
    """A private, started PostgreSQL for one test to break. Further `settings` are postgresql.conf's."""
    with throwaway_folder() as folder:
        server = new_postgres(folder, settings)
        try:
            yield server.start()
        finally:
            server.stop("immediate")


@contextmanager
def throwaway_redis(maxmemory: str = "256mb") -> Iterator[Redis]:
    """A private, started Redis for one test to break."""
    with throwaway_folder() as folder:
        server = Redis(home=folder / "redis", sockets=folder, log=folder / "redis.log", maxmemory=maxmemory)
        try:
            yield server.start()
        finally:
            server.kill()


def new_postgres(folder: Path, settings: dict[str, str] | None = None, *, durable: bool = False) -> Postgres:
    """A PostgreSQL below `folder` with test tuning, or `durable` with that of `make run`; not started yet."""
    tuning = machine_tuning if durable else throwaway_tuning
    return Postgres(
        cluster=folder / "postgres",
        sockets=folder / "pg",
        log=folder / "postgres.log",
        settings=tuning(Machine.here(folder)) | (settings or {}),
        copies=folder / "programs",
    )


@contextmanager
def throwaway_servers(*, durable: bool = False) -> Iterator[dict[str, str]]:
    """For `make test`: the environment a test run needs, its servers gone afterwards."""
    with throwaway_folder() as folder:
        environment = {
            "CDP_LOCAL": "1",
            "CDP_DATA": os.environ.get("CDP_DATA") or str(folder / "data"),
            "SECRET_KEY": os.environ.get("SECRET_KEY") or secrets.token_urlsafe(64),
        }
        Path(environment["CDP_DATA"]).mkdir(parents=True, exist_ok=True)
        servers: list[Postgres | Redis] = []
        try:
            if not os.environ.get("DATABASE_URL"):
                postgres = new_postgres(folder, durable=durable)
                servers.append(postgres)
                environment["DATABASE_URL"] = postgres.start().url
            if not os.environ.get("CELERY_BROKER_URL"):
                redis = Redis(home=folder / "redis", sockets=folder, log=folder / "redis.log")
                servers.append(redis)
                environment["CELERY_BROKER_URL"] = redis.start().url
            yield environment
        finally:
            for server in servers:
                server.stop("immediate") if isinstance(server, Postgres) else server.kill()
