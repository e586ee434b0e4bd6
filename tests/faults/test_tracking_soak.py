"""Eight clients at the real door for long: what was answered is stored, once, and everybody is somebody."""

from __future__ import annotations

import json
import os
import random
import socket
import urllib.error
import urllib.request
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cdp.actors import Actor
from cdp.local.processes import environment, start_web
from profiles.integrity import violations
from profiles.models import Event, Identifier, Receipt
from profiles.sources import create_source
from tests.faults.harness import Bench, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.soak, pytest.mark.timeout(7200)]

ITEMS = int(os.environ.get("CDP_SOAK_ITEMS", "1000000"))
CLIENTS = 8
BATCH = 100
# Few enough people that clients meet about them all the time.
PEOPLE = max(50, ITEMS // 200)


def an_item(dice: random.Random) -> dict[str, Any]:
    number, kind = dice.randrange(PEOPLE), dice.random()
    item: dict[str, Any] = {
        "messageId": str(uuid.UUID(int=dice.getrandbits(128))),
        "anonymousId": f"b{number}",
    }
    if kind < 0.2:
        traits = {"email": f"p{number}@example.com", "city": dice.choice(["Oslo", "Rome"])}
        return {**item, "type": "identify", "userId": f"u{number}", "traits": traits}
    if kind < 0.22:
        return {**item, "type": "alias", "userId": f"u{number}", "previousId": f"b{dice.randrange(PEOPLE)}"}
    if kind < 0.23:  # a shared browser
        return {**item, "type": "identify", "userId": f"u{dice.randrange(PEOPLE)}"}
    return {**item, "type": "track", "event": dice.choice(["Looked", "Bought"])}


def a_client(address: str, write_key: str, seed: int) -> Counter[str]:
    """Sends its share; every tenth batch twice. What the door answered, counted."""
    dice, said = random.Random(seed), Counter[str]()
    for turn in range(ITEMS // CLIENTS // BATCH):
        body = json.dumps({"batch": [an_item(dice) for _ in range(BATCH)]}).encode()
        for _ in range(2 if turn % 10 == 0 else 1):
            told = post(address, write_key, body, said)
            said["sent"] += BATCH
            for name in ("received", "accepted", "duplicates", "rejected"):
                said[name] += told.get(name, 0)
    return said


def post(address: str, write_key: str, body: bytes, said: Counter[str]) -> dict[str, Any]:
    """As SDKs do: sent again when the door is too busy."""
    headers = {"X-Write-Key": write_key, "Content-Type": "application/json"}
    for _ in range(10):
        request = urllib.request.Request(f"{address}/v1/batch", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            said["turned away"] += 1
    raise AssertionError("turned away ten times")


def test_a_day_of_traffic_at_the_door(bench: Bench, tmp_path: Path) -> None:
    made = create_source(name="Soak", kind="server", actor=Actor.system())
    before = Receipt.objects.filter(source=made.source).count()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(256)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        env = environment({**bench.env, "WEB_PROCESSES": "2", "TRACK_RATE_PER_MINUTE": "100000000"})
        web = start_web(env=env, log=tmp_path / "web.log", listening=listening.fileno())
        try:
            wait_until(lambda: is_up(address), what="the door answers")
            with ThreadPoolExecutor(CLIENTS) as clients:
                told = clients.map(lambda seed: a_client(address, made.write_key, seed), range(CLIENTS))
                said = sum(told, Counter[str]())
        finally:
            web.terminate()
            web.wait(60)
    items = ITEMS // CLIENTS // BATCH * BATCH * CLIENTS
    assert said["rejected"] == 0
    assert said["turned away"] <= said["sent"] / BATCH / 100
    assert Receipt.objects.filter(source=made.source).count() - before == said["sent"] == said["received"]
    events = Event.objects.filter(source=made.source)
    assert events.count() == items
    assert not Identifier.objects.resolving().exclude(profile__canonical__status="live").exists()
    assert violations() == []


def is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
