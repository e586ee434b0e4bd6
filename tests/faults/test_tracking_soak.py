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
from cdp.api.keys import create_key
from cdp.invariants import violations
from cdp.local.processes import environment, start_web
from profiles.models import Event, Identifier, Receipt
from profiles.tracking.sources.sources import create_source
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


def a_client(address: str, write_key: str, api_key: str, seed: int) -> Counter[str]:
    """Sends its share; every tenth batch twice, and merges and undoes in between. What was answered, counted."""
    dice, counts = random.Random(seed), Counter[str]()
    merges: list[int] = []
    for turn in range(ITEMS // CLIENTS // BATCH):
        body = json.dumps({"batch": [an_item(dice) for _ in range(BATCH)]}).encode()
        for _ in range(2 if turn % 10 == 0 else 1):
            answer = post(address, write_key, body)
            counts["sent"] += BATCH
            for name in ("received", "accepted", "duplicates", "rejected"):
                counts[name] += answer.get(name, 0)
        if turn % 2:
            join_or_part(address, api_key, dice, merges, counts)
    return counts


def join_or_part(
    address: str, api_key: str, dice: random.Random, merges: list[int], counts: Counter[str]
) -> None:
    """One merge of two people, or the undo of one of this client's; a refusal is an answer, too."""
    if merges and dice.random() < 0.5:
        merge_id = merges.pop(dice.randrange(len(merges)))
        if ask(address, f"merges/{merge_id}/unmerge/", api_key, {}, counts):
            counts["unmerged"] += 1
        return
    wanted = [{"type": "customer_id", "value": f"u{dice.randrange(PEOPLE)}"} for _ in range(2)]
    resolved = ask(address, "resolve/", api_key, {"identifiers": wanted}, counts) or {"results": []}
    ids = [row["id"] for row in resolved["results"] if row["id"]]
    if len(ids) == 2 and (
        merged := ask(address, f"profiles/{ids[0]}/merge/", api_key, {"loser_id": ids[1]}, counts)
    ):
        counts["merged"] += 1
        merges.append(merged["merge_id"])


def ask(
    address: str, path: str, api_key: str, body: dict[str, Any], counts: Counter[str]
) -> dict[str, Any] | None:
    """One REST call; None when it was refused: changed meanwhile, one person already, undone already …"""
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/api/v1/{path}", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        if error.code not in (404, 409, 422):
            raise
        counts[f"refused with {error.code}"] += 1
        return None


def post(address: str, write_key: str, body: bytes) -> dict[str, Any]:
    headers = {"X-Write-Key": write_key, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/v1/batch", body, headers)
    with urllib.request.urlopen(request, timeout=120) as answer:  # anything but a 200 raises
        return dict(json.load(answer))


def test_a_day_of_traffic(bench: Bench, tmp_path: Path) -> None:
    made = create_source(name="Soak", kind="server", actor=Actor.system())
    staff = create_key(name="soak", scopes=["profiles:read", "merge"], actor=Actor.system())
    before = Receipt.objects.filter(source=made.source).count()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(256)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        rates = {"TRACK_RATE_PER_MINUTE": "100000000", "API_RATE_PER_MINUTE": "100000000"}
        env = environment({**bench.env, "WEB_PROCESSES": "2", **rates})
        web = start_web(env=env, log=tmp_path / "web.log", listening=listening.fileno())
        try:
            wait_until(lambda: is_up(address), what="the door answers")
            with ThreadPoolExecutor(CLIENTS) as clients:
                results = clients.map(
                    lambda seed: a_client(address, made.write_key, staff.secret, seed), range(CLIENTS)
                )
                counts = sum(results, Counter[str]())
        finally:
            web.terminate()
            web.wait(60)
    items = ITEMS // CLIENTS // BATCH * BATCH * CLIENTS
    assert counts["rejected"] == 0
    assert counts["merged"]
    assert counts["unmerged"]
    assert Receipt.objects.filter(source=made.source).count() - before == counts["sent"] == counts["received"]
    events = Event.objects.filter(source=made.source)
    assert events.count() == items
    assert not Identifier.objects.resolving().exclude(profile__canonical__status="live").exists()
    assert violations() == []
    print(dict(counts))


def is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
