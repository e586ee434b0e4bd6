"""Pasted lists: values in any spelling, numbers of profiles merged away, and how many nobody could read."""

from __future__ import annotations

import pytest

from profiles.models import Identifier, Profile
from segments.nodes import Node
from tests.profile_factory import make_profile
from tests.segments.asked import actual, is_in, problems, read, words

pytestmark = pytest.mark.django_db
NOON = "12:00"


def test_values_are_cleaned_as_everywhere() -> None:
    ann = make_profile(email="ann@example.com", phone="+48600100200", identifiers=[("customer_id", "C-1")])
    ben = make_profile(identifiers=[("customer_id", "C-2")])
    for ids, values, found in (
        ("email", [" ANN@Example.com", "nobody"], True),
        ("email", ["ben@example.com"], False),
        ("phone", ["0048 600-100-200"], True),
        ("customer_id", ["C-1", "C-9"], True),
        ("customerId", ["C-1"], True),
        ("customer_id", ["C-10", 1], False),
    ):
        rule = {"ids": ids, "values": values}
        assert (is_in(ann, rule, NOON), is_in(ben, rule, NOON)) == (found, False), rule
    assert is_in(ben, {"not": {"ids": "customer_id", "values": ["C-1"]}}, NOON)
    assert actual(ann, {"ids": "customer_id", "values": ["C-1"]}, NOON) == "C-1"
    assert actual(ben, {"ids": "customer_id", "values": ["C-1"]}, NOON) == "not on the list"
    # Anybody may have typed what waits for confirmation.
    Identifier.objects.filter(profile=ann, type__name="customer_id").update(is_pending=True, resolves=False)
    assert not is_in(ann, {"ids": "customer_id", "values": ["C-1"]}, NOON)


def test_numbers_of_profiles() -> None:
    ann, other, ben = (make_profile(first_name=name) for name in ("Ann", "Anna", "Ben"))
    Profile.objects.filter(pk=other.pk).update(canonical=ann, status="merged")
    for value in (ann.pk, f" #{ann.pk} ", str(other.pk)):
        rule = {"ids": "id", "values": [value, "C-1", 10**25]}
        assert (is_in(ann, rule, NOON), is_in(ben, rule, NOON)) == (True, False)
    assert words(rule) == "is on a list of 1 profile number (2 more were not understood)"


def test_what_was_not_understood_stays_in_the_rule() -> None:
    raw = {
        "ids": "email",
        "values": ["A@example.com", "a@example.com ", "nobody", "", "b@example.com", "nobody"],
    }
    rule = read(raw)
    assert rule.json["all"] == [{"ids": "email", "values": ["a@example.com", "b@example.com", "nobody"]}]
    assert words(raw) == "is on a list of 2 values of E-mail (1 more was not understood)"
    assert words({**raw, "values": ["a@example.com"]}) == "is on a list of 1 value of E-mail"


def test_what_is_refused() -> None:
    known = "id, " + ", ".join(_type_names())
    assert problems({"ids": "shoe size", "values": ["1"]}) == [
        ("/all/0/ids", f"There is no identifier type “shoe size”. Known: {known}.")
    ]
    values = "/all/0/values"
    for raw, place, message in (
        ([], values, "Write a list with at least one value."),
        ("a,b", values, "Write a list with at least one value."),
        (["x"] * 10_001, values, "At most 10,000 values; this has 10,001."),
        (["a@example.com", True], f"{values}/1", "Write texts and whole numbers."),
        ([10**40], f"{values}/0", "Write texts and whole numbers."),
        (["a@example.com", "x" * 321], f"{values}/1", "At most 320 characters; this has 321."),
        (["\x00"], f"{values}/0", "The text has a character that cannot be stored. Remove it."),
        (["nobody", " "], values, "None of these is a value of the type E-mail."),
    ):
        assert problems({"ids": "email", "values": raw}) == [(place, message)]
    assert problems({"ids": "id", "values": ["Ann"]}) == [
        (values, "None of these is the number of a profile.")
    ]


def _type_names() -> list[str]:
    from profiles.identity.types import identifier_types

    return list(identifier_types())


def test_ten_thousand_values() -> None:
    ann = make_profile(identifiers=[("customer_id", "C-9999")])
    raw = {"ids": "customer_id", "values": [f"C-{number}" for number in range(10_000)]}
    assert is_in(ann, raw, NOON)
    assert Node.of(read(raw).json["all"][0]).raw == raw
