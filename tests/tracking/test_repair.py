"""Repairs: JSON that staff type, and changes made to many items at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.errors import Invalid
from profiles.tracking.rejected.repair import (
    Repair,
    as_number,
    changes_any,
    pretty,
    read_payload,
    read_repairs,
    repaired,
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,}', "Line 1, column 9: this is not JSON, "),
        ('{\n  "a" 1\n}', "Line 2, column 7: this is not JSON, expecting ':' delimiter."),
        ("", "Line 1, column 1: this is not JSON, expecting value."),
        ('{"a": NaN}', "NaN is not a value JSON knows. Write a number, or null."),
        ("[1]", "An item is a JSON object, written in curly brackets."),
        ("[" * 20_000, "This is nested too deeply."),
        ('"' + "x" * 40_000 + '"', "An item has at most 32,768 bytes; this one has 40,002."),
    ],
)
def test_what_is_no_item_says_where(text: str, said: str) -> None:
    assert read_payload('{"type": "track"}') == {"type": "track"}
    with pytest.raises(Invalid) as refused:
        read_payload(text)
    assert refused.value.message.startswith(said)


def test_where_it_stops_being_json() -> None:
    with pytest.raises(Invalid) as refused:
        read_payload('{\n  "a": tru\n}')
    assert (refused.value.problems[0]["line"], refused.value.problems[0]["column"]) == (2, 8)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_is_shown_is_what_is_read(value: Any) -> None:
    item = {"type": "track", "properties": {"value": value}}
    assert read_payload(pretty(item)) == item


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("12", 12),
        (" -12.50 ", -12.5),
        ("12,5", 12.5),
        ("12,50", 12.5),
        ("€ 1,234.50", 1234.5),
        ("1.234,50 €", 1234.5),
        ("1 234,50 zł", 1234.5),
        ("EUR 99", 99),
        ("1,234,567", 1234567),
        ("1.234.567", 1234567),
        ("1,234", "1,234"),  # a thousand, or one and a bit
        ("12 pcs", "12 pcs"),
        ("", ""),
        ("1e5", "1e5"),
        (None, None),
        (True, True),
        (7, 7),
    ],
)
def test_numbers_in_texts(sent: Any, read: Any) -> None:
    found = as_number(sent)
    assert found == read
    assert type(found) is type(read)


def test_repairs_apply_where_they_fit() -> None:
    item = {
        "type": "track",
        "event": "Added to Cart",
        "user_id": "7",
        "properties": {"product_sku": "S", "price": "12,50"},
    }
    repairs = [
        Repair("rename", "product_sku", "sku"),
        Repair("number", "price"),
        Repair("set", "currency", "EUR"),
        Repair("rename", "/user_id", "/userId"),
    ]
    fixed = repaired(item, repairs)
    assert fixed == {
        "type": "track",
        "event": "Added to Cart",
        "userId": "7",
        "properties": {"sku": "S", "price": 12.5, "currency": "EUR"},
    }
    assert item["properties"] == {"product_sku": "S", "price": "12,50"}, (
        "the item itself stays as it was sent"
    )
    assert repaired(fixed, repairs) == fixed, "once is enough"


def test_repairs_lose_nothing() -> None:
    both = {"properties": {"sku": "A", "product_sku": "B"}}
    assert repaired(both, [Repair("rename", "product_sku", "sku")], kind="track") == both
    assert repaired(both, [Repair("set", "sku", "C")], kind="track") == both
    assert repaired("text", [Repair("set", "sku", "C")]) == "text"
    assert repaired({"properties": [1]}, [Repair("number", "price")], kind="track") == {"properties": [1]}


def test_traits_of_calls_about_people() -> None:
    repairs = [Repair("rename", "mail", "email")]
    assert repaired({"traits": {"mail": "a@b.com"}}, repairs, kind="identify") == {
        "traits": {"email": "a@b.com"}
    }
    assert repaired({"type": "group", "traits": {"mail": "x"}}, repairs)["traits"] == {"email": "x"}
    assert (
        changes_any([({"traits": {"mail": "x"}}, "track"), ({"traits": {"mail": "x"}}, "update")], repairs)
        == 1
    )


@pytest.mark.parametrize(
    ("raw", "pointer", "said"),
    [
        ({}, "/repairs", "repairs is a list."),
        ([{}], "/repairs/0/do", "A repair is one of rename, set, number."),
        ([{"do": "number"}], "/repairs/0/name", "Name the property that is to be repaired."),
        ([{"do": "number", "name": " / "}], "/repairs/0/name", "Name the property that is to be repaired."),
        ([{"do": "rename", "name": "a"}], "/repairs/0/value", "Say what “a” is to be called."),
        ([{"do": "rename", "name": "a", "value": "a "}], "/repairs/0/value", "“a” is called that already."),
        ([{"do": "set", "name": "a", "value": ""}], "/repairs/0/value", "Say what “a” is to be set to."),
        ([{"do": "number", "name": "a"}] * 11, "/repairs", "At most 10 repairs at once; these are 11."),
    ],
)
def test_what_is_no_repair(raw: Any, pointer: str, said: str) -> None:
    assert read_repairs([{"do": "number", "name": "price"}]) == [Repair("number", "price")]
    with pytest.raises(Invalid) as refused:
        read_repairs(raw)
    assert (refused.value.problems[0]["pointer"], refused.value.message) == (pointer, said)
