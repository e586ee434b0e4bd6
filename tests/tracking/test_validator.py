"""Specs of an event's properties: which can be kept, and the sentences about events that break them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.tracking.schemas.builtin import SCHEMAS
from profiles.tracking.schemas.specs import clean_specs
from profiles.tracking.schemas.validator import MAX_PROBLEMS, compile_schema


def told(specs: dict[str, Any], properties: dict[str, Any], name: str = "Added to Cart") -> list[str]:
    cleaned, faults = clean_specs(specs)
    assert faults == []
    return [problem["message"] for problem in compile_schema(name, cleaned).problems(properties)]


def test_sentences_say_what_to_do() -> None:
    cases: list[tuple[dict[str, Any], Any, str]] = [
        ({"type": "number"}, "19.90", "“x” is the text “19.90”; send it as a number, without quotes: 19.90."),
        ({"type": "number"}, "19,90", "“x” is the text “19,90”; send it as a number, without quotes: 19.90."),
        ({"type": "number"}, "many", "“x” is the text “many”; it must be a number."),
        ({"type": "integer"}, 1.5, "“x” is the number 1.5; it must be a whole number."),
        ({"type": "string"}, 42, '“x” is the number 42; send it as text, in quotes: "42".'),
        ({"type": "string"}, True, "“x” is true; it must be text."),
        ({"type": "boolean"}, "yes", "“x” is the text “yes”; it must be true or false."),
        (
            {"type": "datetime"},
            "soon",
            "“x” is the text “soon”; it must be a time like 2024-01-05T10:10:10Z.",
        ),
        ({"type": "array"}, {}, "“x” is an object; it must be a list."),
        ({"type": "object"}, [], "“x” is a list; it must be an object."),
        ({"type": "string", "enum": ["EUR", "USD"]}, "DM", "“x” is the text “DM”; allowed are EUR, USD."),
        ({"type": "number", "minimum": 0}, -1, "“x” is the number -1; it must be at least 0."),
        ({"type": "number", "maximum": 5}, 6, "“x” is the number 6; it must be at most 5."),
        (
            {"type": "string", "pattern": "^[A-Z]+$"},
            "a1",
            "“x” is the text “a1”, which does not match ^[A-Z]+$.",
        ),
        ({"type": "string", "required": True}, None, "Added to Cart needs “x”, which is missing."),
        ({"type": "string", "required": True}, "", "Added to Cart needs “x”, which is empty."),
        ({"required": True}, None, "Added to Cart needs “x”, which is missing."),
    ]
    for spec, value, sentence in cases:
        assert told({"x": spec}, {"x": value}) == [sentence], spec
    assert told({"x": {"type": "number", "required": True}}, {}) == [
        "Added to Cart needs “x”, which is missing."
    ]


def test_what_is_right_is_right() -> None:
    for spec, value in (
        ({"type": "number"}, 1),
        ({"type": "number"}, 1.5),
        ({"type": "integer"}, 2.0),
        ({"type": "datetime"}, "2024-01-05T10:10:10+02:00"),
        ({"type": "datetime"}, "2024-01-05"),
        ({"type": "string", "enum": ["a"]}, "a"),
        ({"type": "number", "minimum": 0}, None),  # null is not given
        ({"type": "string", "pattern": "^a"}, None),
        ({}, {"anything": []}),
        ({"required": True}, 0),
    ):
        assert told({"x": spec}, {"x": value}) == [], spec
    assert told({"x": {"type": "string"}}, {}) == []
    assert told({}, {"unlisted": 1}) == []


def test_entries_of_lists() -> None:
    specs = {
        "products": {
            "type": "array",
            "items": {"sku": {"type": "string", "required": True, "aliases": ["SKU"]}},
        }
    }
    cleaned, _ = clean_specs(specs)
    contract = compile_schema("Order Completed", cleaned)
    sent = {"products": [{"SKU": "a"}, {"sku": 7}, {}, "x"]}
    renamed = contract.renamed(sent)
    assert renamed == {"products": [{"sku": "a"}, {"sku": 7}, {}, "x"]}
    assert sent["products"][0] == {"SKU": "a"}  # what was sent is not touched
    assert [(one["pointer"], one["message"]) for one in contract.problems(renamed)] == [
        (
            "/properties/products/1/sku",
            '“sku” in entry 2 of “products” is the number 7; send it as text, in quotes: "7".',
        ),
        (
            "/properties/products/2/sku",
            "Order Completed needs “sku” in entry 3 of “products”, which is missing.",
        ),
        ("/properties/products/3", "Entry 4 of “products” is the text “x”; it must be an object."),
    ]
    many = contract.problems({"products": [{}] * 500})
    assert len(many) == MAX_PROBLEMS


def test_aliases_are_renamed_unless_the_name_has_a_value() -> None:
    contract = compile_schema("x", {"sku": {"type": "string", "aliases": ["product_sku", "SKU"]}})
    plain = {"sku": "a", "other": 1}
    assert contract.renamed(plain) is plain
    assert contract.renamed({"product_sku": "a", "n": 1}) == {"sku": "a", "n": 1}
    assert contract.renamed({"product_sku": "a", "sku": "b"}) == {"product_sku": "a", "sku": "b"}
    assert contract.renamed({"sku": None, "product_sku": "a"}) == {"sku": "a"}
    assert contract.renamed({"product_sku": "a", "SKU": "b"}) == {"sku": "a", "SKU": "b"}
    assert contract.renamed({"product_sku": None}) == {"product_sku": None}


def test_names_in_pointers_are_escaped() -> None:
    problems = compile_schema("x", {"a/b~c": {"type": "number"}}).problems({"a/b~c": "x"})
    assert problems[0]["pointer"] == "/properties/a~1b~0c"


def test_patterns_take_linear_time() -> None:
    """A pattern that backtracks for ever elsewhere."""
    specs = {"x": {"type": "string", "pattern": "^(a+)+$"}}
    assert len(told(specs, {"x": "a" * 200 + "!"})) == 1


def test_faults_of_specs() -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        (
            {"type": "text"},
            "properties.x.type",
            "The type of “x” is one of string, number, integer, boolean, datetime, array, object.",
        ),
        ({"required": "yes"}, "properties.x.required", "Whether “x” is required is true or false."),
        (
            {"aliases": "y"},
            "properties.x.aliases",
            "The aliases of “x” are a list of texts, at most 200 of 100 characters.",
        ),
        (
            {"type": "number", "enum": ["a"]},
            "properties.x.enum",
            "The allowed value 'a' of “x” is not a number.",
        ),
        (
            {"type": "array", "enum": ["a"]},
            "properties.x.enum",
            "The type of “x” cannot have allowed values.",
        ),
        (
            {"type": "string", "minimum": 1},
            "properties.x.minimum",
            "A minimum is for numbers; “x” is not a number.",
        ),
        ({"type": "number", "minimum": "1"}, "properties.x.minimum", "The minimum of “x” is a number."),
        (
            {"type": "number", "minimum": 2, "maximum": 1},
            "properties.x.maximum",
            "The maximum of “x” is below its minimum.",
        ),
        (
            {"type": "number", "pattern": "a"},
            "properties.x.pattern",
            "A pattern is for text; “x” is not text.",
        ),
        (
            {"type": "string", "pattern": "(?=a)"},
            "properties.x.pattern",
            "The pattern of “x” is not a regular expression we can run (no look-around, no back-references).",
        ),
        (
            {"type": "string", "items": {"a": {}}},
            "properties.x.items",
            "Entries are for lists; “x” is not a list.",
        ),
        (
            {"type": "array", "items": {"a": {"type": "array", "items": {"b": {}}}}},
            "properties.x.items.a.items",
            "“a” is inside a list already; one level can be described.",
        ),
        (
            {"kind": 1},
            "properties.x.kind",
            "There is no “kind” of a property. Known: type, required, aliases, enum, minimum, maximum, pattern,"
            " description, items.",
        ),
    ]
    for spec, field, message in cases:
        _, faults = clean_specs({"x": spec})
        assert [(one["field"], one["message"]) for one in faults] == [(field, message)], spec
    assert clean_specs({"x": 1})[1][0]["message"] == "Say what “x” is: an object with a “type”."
    assert clean_specs([])[1][0]["message"].startswith("Describe the properties as an object")
    assert clean_specs({" x": {}})[1][0]["message"].startswith("A property's name has 1 to 100 characters")
    _, faults = clean_specs({"sku": {"aliases": ["price", "a"]}, "price": {"aliases": ["a"]}})
    assert [one["message"] for one in faults] == [
        "“price” is a property itself, so it cannot be another spelling of “sku”.",
        "“a” is another spelling of “sku” already.",
    ]


def test_shipped_schemas_are_clean() -> None:
    assert list(SCHEMAS) == ["Product Viewed", "Added to Cart", "Checkout Started", "Order Completed"]
    for _, specs in SCHEMAS.values():
        assert {"sku", "variant", "price", "quantity", "cart_id"} <= specs.keys()
        assert clean_specs(specs) == (specs, [])


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
_spec = st.dictionaries(
    st.sampled_from("type required aliases enum minimum maximum pattern description items other".split()),
    _json | st.sampled_from(["string", "number", "array", "datetime", "(", "^a$"]),
)


@given(specs=st.dictionaries(st.text(max_size=3), _spec | _json, max_size=3) | _json, properties=_json)
def test_any_specs_are_faulty_or_run(specs: Any, properties: Any) -> None:
    cleaned, faults = clean_specs(specs)
    assert all(one["message"] for one in faults)
    if faults:
        return
    assert clean_specs(cleaned) == (cleaned, [])
    contract = compile_schema("x", cleaned)
    sent = properties if isinstance(properties, dict) else dict.fromkeys(cleaned, properties)
    problems = contract.problems(contract.renamed(sent))
    assert len(problems) <= MAX_PROBLEMS
    assert bool(problems) != contract.validator.is_valid(contract.renamed(sent))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**64, "\ud800"])
def test_odd_values_do_not_raise(value: Any) -> None:
    contract = compile_schema("x", {"x": {"type": "number", "maximum": 5}})
    try:
        assert contract.problems({"x": value})
    except UnicodeEncodeError:
        assert isinstance(value, str)  # sanitizing has replaced those
