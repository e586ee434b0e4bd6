"""A long stream of anything over HTTP: every item has one outcome, and sending it again changes nothing.

``STREAM_ITEMS`` is its length; `make bench` sends 100,000 items.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from django.core.management import call_command
from django.db import connection

from cdp.actors import Actor
from profiles.models import Event, Receipt
from profiles.tracking.sources.sources import create_source
from tests.sdk.served import keep_names, steady
from tests.sdk.stream import Sending, stream

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("sdk")]

SEED = int(os.environ.get("STREAM_SEED", "20240605"))
ITEMS = int(os.environ.get("STREAM_ITEMS", "1500"))

_UUID4 = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
# What is in the database of whom; a person is told by the first of their messages, since ids differ.
_EVENTS = """
    SELECT p.canonical_id, s.name, n.name, e.kind, e.message_id::text, e.properties, e.context, e.envelope,
        nullif(e.occurred_at, e.received_at)
    FROM profiles_event e JOIN profiles_eventname n ON n.id = e.name_id
    JOIN profiles_source s ON s.id = e.source_id JOIN profiles_profile p ON p.id = e.profile_id
"""
_OF_PEOPLE = {
    "profiles": """
        SELECT canonical_id, is_recognized, status, first_name, last_name, email, city, phone, birth_date,
            attributes
        FROM profiles_profile WHERE canonical_id = id
    """,
    "identifiers": """
        SELECT p.canonical_id, t.name, i.value, i.raw, i.resolves, i.is_verified, i.is_pending
        FROM profiles_identifier i JOIN profiles_profile p ON p.id = i.profile_id
        JOIN profiles_identifiertype t ON t.id = i.type_id
    """,
    "hands": """
        SELECT p.canonical_id, t.name, l.value, l.started_at IS NULL, l.ended_at IS NULL
        FROM profiles_linkinterval l JOIN profiles_profile p ON p.id = l.profile_id
        JOIN profiles_identifiertype t ON t.id = l.type_id
    """,
    "carts": """
        SELECT p.canonical_id, c.cart_id, c.state FROM profiles_cart c JOIN profiles_profile p ON p.id = c.profile_id
    """,
    "consents": """
        SELECT p.canonical_id, c.channel, c.purpose, c.state
        FROM profiles_consent c JOIN profiles_profile p ON p.id = c.profile_id
    """,
    "journal": """
        SELECT p.canonical_id, c.kind, c.cause, c.fields FROM profiles_change c JOIN profiles_profile p ON p.id = c.profile_id
        WHERE c.kind IN ('created', 'updated')
    """,
}
_WAITING = """
    SELECT DISTINCT s.name, r.kind, r.name, r.message_id, r.outcome, r.code, r.payload FROM profiles_receipt r
    JOIN profiles_source s ON s.id = r.source_id WHERE r.payload IS NOT NULL
"""


def state(sent: set[bytes]) -> dict[str, Counter[bytes]]:
    """Everything tracking writes, comparable between two databases; ids of browsers that nobody ``sent`` were made."""
    events = _rows(_EVENTS)
    first: dict[int, str] = {}
    for root, source, _, _, message_id, *_ in events:
        first[root] = min(first.get(root, "~"), f"{source} {message_id}")
    found = {"waiting": Counter(_plain(row) for row in _rows(_WAITING))}
    for name, sql in {"events": _EVENTS, **_OF_PEOPLE}.items():
        plain = (_plain((first.get(root), *rest)) for root, *rest in _rows(sql))
        found[name] = Counter(
            _UUID4.sub(lambda id_: id_[0] if id_[0] in sent else b"made", row) for row in plain
        )
    return found


def _rows(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def _plain(row: tuple[Any, ...]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)


class Sender:
    """Sends over one connection per thread; counts what it was answered."""

    def __init__(self, address: str, keys: dict[bool, str]) -> None:
        self.host = urlsplit(address).netloc
        self.keys = keys
        self.statuses: Counter[int] = Counter()
        self.told: Counter[str] = Counter()
        self.with_outcome = 0
        self.local = threading.local()
        self.opened: list[http.client.HTTPConnection] = []

    def send(self, one: Sending) -> None:
        asking = getattr(self.local, "asking", None)
        if asking is None:
            asking = self.local.asking = http.client.HTTPConnection(self.host, timeout=120)
            self.opened.append(asking)
        asking.request("POST", one.path, body=one.body, headers={"X-Write-Key": self.keys[one.is_web]})
        answer = asking.getresponse()
        content = orjson.loads(answer.read())
        self.statuses[answer.status] += 1
        assert answer.status in (200, 400), (content, one.body[:2000])
        if answer.status == 400:
            assert not one.is_readable
            assert content["code"] == "invalid_encoding"
            return
        assert content["received"] == one.count
        assert content["received"] == content["accepted"] + content["duplicates"] + content["rejected"]
        assert len(content["errors"]) == content["rejected"]
        self.with_outcome += one.count
        for name in ("accepted", "duplicates", "rejected"):
            self.told[name] += content[name]


@pytest.fixture
def empty(served: str, transactional_db: None) -> Iterator[Callable[[], Sender]]:
    """``empty()``: nothing but what ships in the database, and somebody who sends."""
    made: list[Sender] = []

    def make() -> Sender:
        keep_names()
        call_command("flush", verbosity=0, interactive=False)
        steady()
        keys = {
            is_web: create_source(name=f"{kind} shop", kind=kind, actor=Actor.system()).write_key
            for is_web, kind in ((True, "web"), (False, "server"))
        }
        made.append(Sender(served, keys))
        return made[-1]

    yield make
    keep_names()
    for asking in [asking for sender in made for asking in sender.opened]:
        asking.close()


def in_order(sender: Sender, sendings: Iterable[Sending]) -> None:
    """Every request once, one after the other."""
    for one in sendings:
        sender.send(one)


def again_and_again(sender: Sender, sendings: list[Sending], chance: random.Random) -> None:
    """Every request as often as it says: copies at the same time, others after the ones that follow it."""
    late: list[Sending] = []
    with ThreadPoolExecutor(5) as pool:
        for one in sendings:
            at_once = chance.randint(1, one.times)
            list(pool.map(sender.send, [one] * at_once))
            late += [one] * (one.times - at_once)
            if len(late) > 20:
                chance.shuffle(late)
                list(pool.map(sender.send, late))
                late.clear()
        list(pool.map(sender.send, late))


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("items", [ITEMS, pytest.param(100_000, marks=pytest.mark.bench)])
def test_every_item_has_one_outcome_and_sending_again_has_no_effect(
    empty: Callable[[], Sender], items: int
) -> None:
    sendings = list(stream(SEED, items))
    assert sum(one.count for one in sendings) == items
    once = empty()
    in_order(once, sendings)
    assert once.told.total() == once.with_outcome == Receipt.objects.count()
    assert once.with_outcome == sum(one.count for one in sendings if one.is_readable)
    assert Event.objects.count() <= once.told["accepted"]  # cart events sent twice are duplicates
    sent = {id_ for one in sendings for id_ in _UUID4.findall(one.body)}
    single = state(sent)

    often = empty()
    again_and_again(often, sendings, random.Random(SEED))
    assert often.with_outcome == sum(one.count * one.times for one in sendings if one.is_readable)
    assert often.told.total() == often.with_outcome == Receipt.objects.count()
    assert often.told["accepted"] == once.told["accepted"]
    repeated = state(sent)
    for name, rows in single.items():
        assert rows - repeated[name] == Counter(), name
        assert repeated[name] - rows == Counter(), name
