"""What is kept of an item that is too large: never more than the limit, ids and times first, and what was cut is listed."""

from __future__ import annotations

import copy
import time
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.tracking.parse.sanitize import MAX_DEPTH
from profiles.tracking.parse.truncate import KEPT_BYTES, size_of, truncate

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=3000),
    lambda inner: st.lists(inner, max_size=60) | st.dictionaries(st.text(max_size=400), inner, max_size=60),
    max_leaves=300,
)


@settings(max_examples=150)
@given(_json)
def test_whatever_is_sent_is_kept_within_the_limit(raw: Any) -> None:
    before = copy.deepcopy(raw)
    kept, cuts = truncate(raw, limit=8192)
    assert repr(raw) == repr(before)
    assert size_of(kept) <= 8192
    orjson.dumps(kept)
    assert (bool([one for one in cuts if one["code"] == "cut"])) or size_of(kept) <= 4200


def test_what_fits_is_kept_whole() -> None:
    item = {
        "type": "track",
        "event": "Seen",
        "properties": {"html": "ä" * 60_000, "list": [{"a": n} for n in range(2000)], "n": 1.5, "none": None},
    }
    kept, cuts = truncate(item)
    assert kept == item
    assert cuts == [
        {"pointer": "/properties/html", "value": None, "message": "120,002 bytes.", "code": "large_part"},
        {"pointer": "/properties/list", "value": None, "message": "20,891 bytes.", "code": "large_part"},
    ]


def test_who_and_when_and_short_values_outlive_long_ones() -> None:
    item = {
        "blob": "x" * 3_000_000,
        "rows": [{"sku": f"S-{n}"} for n in range(100_000)],
        "properties": {"html": "y" * 1_000_000, "price": 12.5},
        "context": {"externalIds": [{"type": "customer_id", "id": "C-1"}], "page": {"url": "z" * 500_000}},
        "traits": {"email": "ann@example.com"},
        "timestamp": "2026-01-01T00:00:00Z",
        "anonymousId": "b-1",
        "userId": "C-1",
        "messageId": "m-1",
        "event": "Seen",
        "type": "track",
    }
    kept, cuts = truncate(item)
    assert KEPT_BYTES // 2 < size_of(kept) <= KEPT_BYTES
    for name in ("type", "event", "messageId", "userId", "anonymousId", "timestamp", "traits"):
        assert kept[name] == item[name]
    assert kept["context"]["externalIds"] == item["context"]["externalIds"]
    assert kept["properties"]["price"] == 12.5
    assert kept["blob"].startswith("x" * 100_000)
    left = 3_000_000 - kept["blob"].count("x")
    assert kept["blob"].endswith(f"x… {left:,} more characters were cut")
    rows = len(kept["rows"]) - 1
    assert kept["rows"][-1] == f"… {100_000 - rows:,} more were cut"
    said = {one["pointer"]: one["message"] for one in cuts if one["code"] == "cut"}
    assert said["/blob"] == f"3,000,000 characters; the first {3_000_000 - left:,} are kept."
    assert said["/rows"] == f"100,000 entries; the first {rows:,} are kept."
    assert next(one["pointer"] for one in cuts if one["code"] == "large_part") == "/blob"


def test_a_million_names_cost_what_is_kept() -> None:
    item = {"userId": "1", "properties": {f"a/{n}": n for n in range(1_000_000)}}
    begun = time.monotonic()
    kept, cuts = truncate(item)
    assert time.monotonic() - begun < 2
    count = len(kept["properties"]) - 1
    assert kept["properties"]["…"] == f"{1_000_000 - count:,} more were cut"
    assert cuts[0]["message"] == f"1,000,000 names; {count:,} are kept."


def test_long_names_and_deep_nesting_are_cut() -> None:
    deep: Any = "end"
    for _ in range(MAX_DEPTH + 10):
        deep = [deep]
    kept, cuts = truncate({"n" * 300: 1, "deep": deep})
    assert kept["n" * 255] == 1
    inner = kept["deep"]
    while isinstance(inner, list):
        inner = inner[0]
    assert inner == "… cut: nested too deeply"
    assert [one["message"] for one in cuts] == [
        "This name has 300 characters; the first 255 are kept.",
        "Cut: it nests more than 40 levels of lists and objects.",
    ]
