"""How often a call waits for the database: on a busy machine each time is a turn in a line."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.db import connection
from django.test import Client

from cdp.actors import Actor
from profiles.tracking.sources.sources import create_source

pytestmark = pytest.mark.django_db(transaction=True)


def waits(client: Client, write_key: str, item: dict[str, Any], trace: Path) -> int:
    """Answers waited for, BEGIN and COMMIT among them: how often the direction changed on the line."""
    connection.ensure_connection()
    pgconn = connection.connection.pgconn
    with trace.open("w+b") as file:
        pgconn.trace(file.fileno())
        try:
            answer = client.post(
                "/v1/batch",
                orjson.dumps({"batch": [item]}),
                content_type="application/json",
                headers={"X-Write-Key": write_key},
            )
        finally:
            pgconn.untrace()
        assert answer.status_code == 200, answer.content
        file.seek(0)
        lines = [line.split("\t") for line in file.read().decode().splitlines()]
    ways = [line[1] for line in lines if len(line) > 2]
    return sum(way == "F" and then == "B" for way, then in itertools.pairwise(ways))


def test_what_is_asked_together_is_waited_for_once(client: Client, tmp_path: Path) -> None:
    write_key = create_source(name="Shop", kind="server", actor=Actor.system()).write_key
    kinds: dict[str, dict[str, Any]] = {
        "known": {"anonymousId": "a"},
        "new": {},
        "identify": {"type": "identify", "traits": {"first_name": "Ann"}},
    }
    found = {}
    for kind, more in kinds.items():
        for number in range(4):  # by then its statements are prepared, its names known
            place = f"{kind}-{number}"
            item = {"type": "track", "event": "Looked", "messageId": place, "anonymousId": place} | more
            if kind == "identify":
                item |= {"userId": place, "anonymousId": f"new-{number}"}
            found[kind] = waits(client, write_key, item, tmp_path / "trace")
    assert found == {"known": 4, "new": 6, "identify": 7}
