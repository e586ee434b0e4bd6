"""Bad JSON on every address: never a 5xx, and every item of what is taken has an outcome.

Our own cases always run; the public corpus where CDP_CORPORA names the folder it lies in:

    CDP_CORPORA=dir pytest tests/tracking/test_views_inputs.py    # dir/json-test-suite/test_parsing/*.json
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp.actors import Actor
from profiles.models import Receipt
from profiles.tracking.sources.sources import create_source
from tests.tracking.test_views import BATCHES, CALLS, KINDS

pytestmark = pytest.mark.django_db

OURS: dict[str, bytes] = {
    "nothing": b"",
    "space": b" ",
    "null": b"null",
    "text": b'"text"',
    "number": b"-1.5e3",
    "infinite number": b"1e400",
    "not a number": b"NaN",
    "array of numbers": b"[1, 2, 3]",
    "array of everything": b'[null, true, "a", 1.5, [], {}, [[]], {"type": 7}]',
    "array ends early": b'[{"type": "track"}',
    "trailing comma": b'[{"type": "track"},]',
    "single quotes": b"{'type': 'track'}",
    "comment": b'{"type": "track"} // so',
    "two documents": b"{}{}",
    "byte order mark": b'\xef\xbb\xbf{"type":"track","event":"a","userId":"1"}',
    "utf-16": '{"type":"track"}'.encode("utf-16"),
    "bad utf-8": b'{"type":"track","event":"\xff\xfe","userId":"1"}',
    "overlong utf-8": b'{"type":"track","event":"\xc0\x80","userId":"1"}',
    "raw control character": b'{"type":"track","event":"a\x00b","userId":"1"}',
    "escaped NUL": b'{"type":"track","event":"a\\u0000b","userId":"1\\u0000","properties":{"\\u0000":"\\u0000"}}',
    "only NUL": b'{"type":"track","event":"\\u0000","userId":"\\u0000"}',
    "half characters": b'{"type":"identify","userId":"1","traits":{"first_name":"\\ud800","\\udfff":"\\ud83d"}}',
    "numbers": b'{"type":"track","event":"a","userId":1e400,"anonymousId":99999999999999999999999,"properties":{"a":1e400,"b":-Infinity,"c":NaN,"d":'
    + b"9" * 500
    + b"}}",
    "duplicate keys": b'{"type":"track","type":"page","userId":"1","userId":"2","event":"a"}',
    "wrong types": b'{"type":[],"event":{},"userId":[1],"anonymousId":{"a":1},"properties":[],"context":"x","traits":7,"timestamp":{},"messageId":[],"sentAt":[]}',
    "wrong types of known parts": b'{"type":"identify","userId":"1","traits":{"email":{"a":[]},"address":"x","birthday":[1],"first_name":{"b":1},"phone":1e308},"context":{"externalIds":{"a":1},"traits":[],"userHash":{},"page":7}}',
    "odd external ids": b'{"type":"track","event":"a","userId":"1","context":{"externalIds":[null,7,{"id":1},{"type":"no_such","id":"x"},{"type":"email","id":{}},{"type":[],"id":"1"}]}}',
    "impossible times": b'{"type":"track","event":"a","userId":"1","timestamp":"0000-00-00T00:00:00Z","sentAt":"99999-01-01","originalTimestamp":-1e300}',
    "times far away": b'{"type":"track","event":"a","userId":"1","timestamp":"9999-12-31T23:59:59.999999Z","sentAt":"0001-01-01T00:00:00+14:00"}',
    "long ids": b'{"type":"track","event":"%s","userId":"%s","messageId":"%s"}' % ((b"x" * 5000,) * 3),
    "odd ids": b'{"type":"alias","userId":"","previousId":null,"groupId":false,"anonymousId":" "}',
    "ids of weight": b'{"type":"identify","userId":"\\u0130\\u0131\\ufb01\\u200b\\u202e","traits":{"email":"\\uff20a@\\u202eb.example"}}',
    "consents": b'[{"type":"consent","userId":"1","channel":[],"purpose":{},"state":7},{"type":"consent","userId":"1","channel":"e\\u0000","purpose":"p","state":"granted","proof":[1],"wording":{}}]',
    "commerce": b'[{"type":"track","event":"Added to Cart","userId":"1","properties":{"cart_id":{},"sku":[],"price":"1e400","quantity":-1}},{"type":"track","event":"Order Completed","userId":"1","properties":{"cart_id":"%s"}}]'
    % (b"c" * 400),
    "batch of everything": b'{"batch":[null,1,"a",[],{},{"type":"track","event":"a","userId":"1"},{"type":"sing"}]}',
    "batch in a batch": b'{"batch":[{"batch":[]}]}',
    "batch is text": b'{"batch":"[]"}',
    "odd context of a batch": b'{"batch":[{"type":"track","event":"a","userId":"1"}],"context":[1],"sentAt":{"a":1}}',
    "brackets": b"[" * 100_000,
    "braces": b'{"a":' * 100_000,
    "closed brackets": b"[" * 500 + b"]" * 500,
    "deep properties": b'{"type":"track","event":"a","userId":"1","properties":'
    + b'{"a":' * 200
    + b"1"
    + b"}" * 201,
    "many keys": b'{"type":"track","event":"a","userId":"1","properties":{'
    + b",".join(b'"%d":1' % n for n in range(100_000))
    + b"}}",
    "many items": b"[" + b",".join([b"{}"] * 2600) + b"]",
    "not gzip": b"\x1f\x8b" + b"x" * 20,
    "gzip bomb": gzip.compress(b" " * 50_000_000),
    "gzip of nonsense": gzip.compress(b"nonsense"),
    "form": b"data=eyJ0eXBlIjoidHJhY2sifQ%3D%3D&ip=1",
    "multipart": b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n{}\r\n--x--',
}
TAKES = (200, 400, 413)
REFUSED = ("empty_body", "invalid_json", "invalid_encoding", "too_deep")


@pytest.fixture
def key() -> str:
    return create_source(name="Backend", kind="server", actor=Actor.system()).write_key


def send(address: str, key: str, data: bytes) -> dict[str, Any]:
    """The answer, once it was found to be one of those there are."""
    client = Client(headers={"X-Write-Key": key})
    response = client.generic("POST", f"{address}?receipts=true", data, content_type="application/json")
    answer = json.loads(response.content)
    assert response.status_code in TAKES, (address, data[:100], answer)
    if response.status_code != 200:
        assert answer["code"]
        assert answer["message"].endswith(".")
        return answer
    counted = answer["accepted"] + answer["duplicates"] + answer["rejected"]
    assert counted == answer["received"] == len(answer["receipts"])
    assert [error["index"] for error in answer["receipts"]] == [*range(answer["received"])]
    assert len(answer["errors"]) == answer["rejected"]
    assert all(error["code"] and error["message"] for error in answer["errors"])
    return answer


@pytest.mark.parametrize("name", OURS)
def test_no_input_of_ours_breaks_any_address(name: str, key: str) -> None:
    """Nor stores half of something: a receipt for each item that was received."""
    received = 0
    for address in CALLS:
        received += send(address, key, OURS[name]).get("received", 0)
    assert Receipt.objects.count() == received


def corpus() -> list[Path]:
    folder = os.environ.get("CDP_CORPORA")
    return sorted(Path(folder, "json-test-suite", "test_parsing").glob("*.json")) if folder else []


@pytest.mark.skipif(not corpus(), reason="CDP_CORPORA is not set")
@pytest.mark.parametrize("address", CALLS)
def test_the_public_corpus_of_json_breaks_no_address(address: str, key: str) -> None:
    for file in corpus():
        code = send(address, key, file.read_bytes()).get("code")
        # y_ has to be read (a number by itself is no call); n_ must not be, but for what SDKs do send.
        if file.name.startswith("y_"):
            assert code in (None, "not_an_object"), file.name
        if file.name.startswith("n_") and not any(word in file.name for word in ("NaN", "nfinity")):
            assert code in REFUSED, file.name


# --- Items that look right, with anything in them ---------------------------------------------------------

TEXTS = st.text(max_size=12)
IDS = st.one_of(TEXTS, st.integers(), st.floats(), st.none(), st.booleans())
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["email", "firstName", "phone", "birthday", "address", "country", "gender", "plan", "createdAt"]
)
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.one_of(st.sampled_from(KINDS), ANY),
        "event": st.one_of(st.sampled_from(["Seen", "Added to Cart", "Order Completed"]), ANY),
        "userId": IDS,
        "anonymousId": IDS,
        "previousId": IDS,
        "groupId": IDS,
        "messageId": IDS,
        "timestamp": st.one_of(st.datetimes().map(str), ANY),
        "originalTimestamp": ANY,
        "sentAt": ANY,
        "properties": st.one_of(st.dictionaries(TEXTS, ANY, max_size=3), ANY),
        "traits": st.one_of(st.dictionaries(NAMES, ANY, max_size=4), ANY),
        "context": st.one_of(
            st.fixed_dictionaries(
                {}, optional={"externalIds": st.lists(ANY, max_size=2), "traits": ANY, "userHash": ANY}
            ),
            ANY,
        ),
        "channel": ANY,
        "purpose": ANY,
        "state": ANY,
    },
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(items=st.lists(st.one_of(ITEMS, ANY), max_size=6), address=st.sampled_from(BATCHES))
def test_whatever_items_say_each_has_an_outcome(items: list[Any], address: str, key: str) -> None:
    said = send(address, key, json.dumps({"batch": items}).encode())
    assert said["received"] == len(items)
