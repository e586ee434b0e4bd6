"""The product as it is run, on the database of the tests: gunicorn in processes of its own, its broker away."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from cdp.local import processes
from cdp.local.children import tail
from cdp.ttl_cache import forget_all
from profiles.models import EventName


def database_url() -> str:
    """The test database's own address, for other processes."""
    given, _, options = os.environ["DATABASE_URL"].partition("?")
    url = given.rsplit("/", 1)[0] + "/" + str(connection.settings_dict["NAME"])
    return f"{url}?{options}" if options else url


def environment(folder: Path, **more: str) -> dict[str, str]:
    """For a process of the product. Nobody answers at the address of its broker: tracking needs none."""
    metrics = folder / "metrics"
    metrics.mkdir(exist_ok=True)
    return {
        "CDP_LOCAL": "1",
        "CDP_DATA": str(folder),
        "DATABASE_URL": database_url(),
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "TRACK_RATE_PER_MINUTE": "0",
        "WEB_PROCESSES": "2",
        **more,
    }


@contextmanager
def product(folder: Path, *, app: str = "cdp.wsgi:application", **env: str) -> Iterator[str]:
    """``http://127.0.0.1:<port>`` of a gunicorn that answers; gone afterwards."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        port = listening.getsockname()[1]
        log = folder / "web.log"
        web = processes.start_web(
            env=environment(folder, **env), log=log, listening=listening.fileno(), app=app
        )
        try:
            _wait_for(port, log)
            yield f"http://127.0.0.1:{port}"
            assert web.poll() is None, tail(log, 40)
        finally:
            web.terminate()
            web.wait(30)


def _wait_for(port: int, log: Path) -> None:
    """The socket listens already: the first answer comes when a process serves it."""
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    asking.request("GET", "/healthz")
    assert asking.getresponse().status == 200, tail(log, 40)
    asking.close()


_names: dict[str, int] = {}


def keep_names() -> None:
    """Before the database is emptied: which event names the running product may remember the ids of."""
    _names.update(EventName.objects.values_list("name", "id"))


def steady() -> None:
    """Gives shipped identifier types and event names the ids a running product remembers them by.

    Emptying the database between tests makes them anew, with ids nothing else would ever change.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE profiles_identifiertype t SET id = 32000 + n.place"
            " FROM (SELECT id, row_number() OVER (ORDER BY priority, name) AS place FROM profiles_identifiertype) n"
            " WHERE n.id = t.id"
        )
        cursor.execute("DELETE FROM profiles_eventname WHERE name = ANY(%s)", [list(_names)])
        cursor.execute(
            "INSERT INTO profiles_eventname (name, id) SELECT * FROM unnest(%s::text[], %s::bigint[])",
            [list(_names), list(_names.values())],
        )
        # A flush begins counting anew.
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('profiles_eventname', 'id'), greatest(max(id), 1)) FROM profiles_eventname"
        )
    forget_all()
