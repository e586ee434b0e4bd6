"""SDKs of servers, as they are published, deliver to the product whatever happens to their calls on the way."""

from __future__ import annotations

import datetime
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiles.identity.lookup import find_profile
from profiles.models import Event
from profiles.tracking.sources.sources import NewSource
from tests.sdk.arrived import KINDS, check_arrival, check_story, story
from tests.sdk.conftest import HERE
from tests.sdk.relay import CUT, REFUSE, TORN, Relay

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("sdk")]

SDKS = ("node-segment", "node-rudder", "python-segment", "python-rudder")


@pytest.fixture(params=SDKS)
def send(
    request: pytest.FixtureRequest, run_child: Callable[..., str], relay: Relay, source: NewSource
) -> Callable[..., str]:
    """``send(calls)`` makes them with the SDK, in a program of its own that ends when it is done."""
    language, _, make = request.param.partition("-")

    def go(calls: list[dict[str, Any]], *, shift_ms: int = 0) -> str:
        plan = {
            "key": source.write_key,
            "host": relay.address,
            "calls": calls,
            "batch": 7,
            "gzip": True,
            "clock_shift_ms": shift_ms,
        }
        if language == "python":
            command = [sys.executable, str(HERE / "send.py"), make]
            return run_child(command, PLAN=json.dumps(plan))
        modules: Path = request.getfixturevalue("npm_sdks")
        return run_child(
            ["node", str(HERE / "send.cjs"), make], PLAN=json.dumps(plan), NODE_PATH=str(modules)
        )

    go.sdk = request.param  # type: ignore[attr-defined]
    return go


def test_every_call_arrives_once_and_whole(send: Callable[..., str], relay: Relay, source: NewSource) -> None:
    calls = story()
    assert send(calls).strip() == "failed 0"
    events = check_arrival(relay, source.source.pk)
    check_story(calls, events)
    assert {row.kind for row in events.values()} == {*KINDS}
    # Batches as full as they were asked to be; the end of the program waited for the last one.
    assert len(relay.passed) >= len(calls) / 7
    zips = [one.headers.get("content-encoding") == "gzip" for one in relay.passed]
    assert all(zips) or send.sdk == "node-segment"  # that one has no such option
    zoe = find_profile("customer_id:u-1").root
    assert (zoe.first_name, zoe.last_name, zoe.email) == ("Zoë", "Ångström", "zoe@example.com")
    assert find_profile("anonymous_id:b7d2f9a0-5d6c-4f0e-9b3a-2f1f3c1e8a11").root == zoe
    assert find_profile("anonymous_id:old-1").root == zoe
    assert find_profile("customer_id:u-2").root != zoe


def test_calls_sent_again_have_one_effect(send: Callable[..., str], relay: Relay, source: NewSource) -> None:
    """A refusal, an answer that got lost and one that was cut off: each is tried again by the SDK."""
    # That one gives up a batch whose answer is cut off, though the product has it.
    relay.faults.extend([REFUSE, CUT] if send.sdk == "node-rudder" else [REFUSE, CUT, TORN])
    calls = story()
    assert send(calls).strip() == "failed 0"
    check_story(calls, check_arrival(relay, source.source.pk))
    assert not relay.faults
    ids = [item["messageId"] for item in relay.reached()]
    assert len(ids) > len(set(ids)) == len(calls)


def before_sending(item: dict[str, Any]) -> datetime.timedelta:
    """When it happened, by the moment it was sent; items of some SDKs have one of their own."""
    moment = datetime.datetime.fromisoformat
    return moment(item.get("originalTimestamp") or item["timestamp"]) - moment(
        item.get("sentAt") or "2000-01-01T00:00:00Z"
    )


@pytest.mark.parametrize("send", [name for name in SDKS if name.startswith("node")], indirect=True)
@pytest.mark.parametrize("shift", [-7_200_000, 5_400_000])
def test_a_wrong_clock_is_corrected(
    send: Callable[..., str], relay: Relay, source: NewSource, shift: int
) -> None:
    """Events are when they happened by our clock, as far apart as they were by the client's."""
    before = datetime.datetime.now(datetime.UTC)
    send(
        [{"type": "track", "userId": "u-1", "event": "Looked", "properties": {"n": n}} for n in range(5)],
        shift_ms=shift,
    )
    after = datetime.datetime.now(datetime.UTC)
    events = check_arrival(relay, source.source.pk, by_clock=False)
    rows = sorted(events.values(), key=lambda row: row.properties["n"])
    for row in rows:
        assert before - datetime.timedelta(seconds=0.5) <= row.occurred_at <= after
        assert row.envelope["marks"] == ["skewed"]
        assert row.envelope["timestamp"]
    said = {item["properties"]["n"]: before_sending(item) for item in relay.sent().values()}
    of_one_batch = [{item["properties"]["n"] for item in one.items} for one in relay.passed]
    for one, other in itertools.pairwise(rows):
        numbers = {one.properties["n"], other.properties["n"]}
        if any(numbers <= batch for batch in of_one_batch):
            apart = said[other.properties["n"]] - said[one.properties["n"]]
            assert other.occurred_at - one.occurred_at == apart


def test_a_wrong_key_is_given_up_at_once(run_child: Callable[..., str], relay: Relay, npm_sdks: Path) -> None:
    """A permanent error is tried once, not for hours."""
    calls = [{"type": "track", "userId": "u-1", "event": "Looked"}]
    plan = {"key": "not-a-key", "host": relay.address, "calls": calls, "batch": 7, "gzip": True}
    for make in ("segment", "rudder"):
        output = run_child(
            ["node", str(HERE / "send.cjs"), make], PLAN=json.dumps(plan), NODE_PATH=str(npm_sdks)
        )
        assert output.strip() == "failed 1"
        output = run_child([sys.executable, str(HERE / "send.py"), make], PLAN=json.dumps(plan))
        assert output.startswith("failed 1")
    assert [one.status for one in relay.passed] == [401] * 4
    assert Event.objects.count() == 0
