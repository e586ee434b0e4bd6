"""Nothing reaches the database that it cannot store, and nothing else is changed."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.tracking.parse.sanitize import MAX_DEPTH, TooDeep, clean, is_fit

# Surrogates and NUL far more often than chance would have them.
TEXTS = st.text(st.one_of(st.characters(), st.sampled_from(["\x00", "\ud800", "\udfff", "a"])), max_size=8)
NUMBERS = st.one_of(st.integers(), st.integers(-(2**70), 2**70), st.floats())
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("a\x00b", "ab"),
        ("\ud83d!", "\ufffd!"),
        ("😀 été", "😀 été"),
        (math.inf, None),
        (-math.inf, None),
        (math.nan, None),
        (1e300, None),
        (1.5, 1.5),
        (-0.0, -0.0),
        (2**64 - 1, 2**64 - 1),
        (2**64, None),
        (-(2**63), -(2**63)),
        (-(2**63) - 1, None),
        (float(2**64), None),
        (True, True),
        ({"a\x00": 1, "b": [{"c": "\x00"}]}, {"a": 1, "b": [{"c": ""}]}),
        ({"a\x00": 1, "a": 2}, {"a": 2}),
    ],
)
def test_what_cannot_be_stored_is_gone_and_the_rest_stays(raw: Any, cleaned: Any) -> None:
    assert clean(raw) == cleaned


def test_two_long_customer_numbers_never_become_one() -> None:
    """The parser turns both into the same float."""
    first, second = (orjson.loads(b"1234567890123456789012%d" % last) for last in (3, 4))
    assert first == second
    assert clean(first) is None


@given(VALUES)
def test_the_result_is_json_and_cleaning_again_changes_nothing(value: Any) -> None:
    cleaned = clean(value)
    encoded = orjson.dumps(cleaned)
    assert b"\\u0000" not in encoded
    before = json.dumps(cleaned)
    assert json.dumps(clean(cleaned)) == before


@given(VALUES)
def test_values_without_fault_are_given_back_as_they_are(value: Any) -> None:
    cleaned = clean(value)
    assert clean(cleaned) is cleaned


FIT_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=4)
OBJECTS = st.dictionaries(
    FIT_TEXTS,
    st.recursive(
        st.one_of(st.none(), st.booleans(), NUMBERS, FIT_TEXTS),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(FIT_TEXTS, inner, max_size=3)),
        max_leaves=12,
    ),
    max_size=4,
)


@given(OBJECTS, st.integers(1, 5))
def test_the_quick_look_and_the_thorough_one_agree(value: dict[str, Any], depth: int) -> None:
    """On what a strict parser reads, whose whole numbers are within 64 bits."""
    parsed = orjson.loads(json.dumps(clean(value, depth=MAX_DEPTH)))
    before = json.dumps(parsed)
    try:
        is_same = json.dumps(clean(parsed, depth=depth)) == before
    except TooDeep:
        is_same = False
    assert is_fit(orjson.loads(before), depth=depth) == is_same


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_forty_levels_are_taken_and_one_more_is_not(opening: str) -> None:
    closing = "]" if opening == "[" else "}"

    def nested(levels: int) -> Any:
        return orjson.loads(opening * levels + "1" + closing * levels)

    assert clean(nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    assert is_fit(nested(MAX_DEPTH))
    assert not is_fit(nested(MAX_DEPTH + 1))
    assert not is_fit({"a": [float(2**64)]})
    with pytest.raises(TooDeep):
        clean(nested(MAX_DEPTH + 1))
