"""How many people a rule means, ten of them, and what each of its lines keeps out; held against a count by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cdp.limits import TooSlow
from profiles.merging.merge import merge_profiles
from segments.evaluate import preview
from segments.evaluate.preview import count_people, what_keeps_out
from segments.rules.parse import parse_rule
from segments.rules.tree import Rule
from segments.vocabulary import Vocabulary
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
OSLO = {"attribute": "city", "op": "eq", "value": "Oslo"}
VIP = {"tag": "vip"}
NEW = {"tag": "new"}


def rule(*parts: dict[str, Any], group: str = "all") -> Rule:
    return parse_rule({"version": 1, group: list(parts)}, Vocabulary())


@pytest.fixture
def people(by_staff: dict[str, Any]) -> None:
    make_profile(first_name="Ann", city="Oslo", tags=["vip", "new"])
    make_profile(first_name="Ben", city="OSLO", tags=["vip"], identifiers=[("customer_id", "7")])
    make_profile(first_name="Cid", city="Rome", tags=["vip", "new"])
    make_profile(first_name="Dan", city="Rome")
    winner, loser = make_profile(first_name="Eva", city="Oslo"), make_profile(first_name="Eve", tags=["new"])
    merge_profiles(winner_id=winner.pk, loser_id=loser.pk, **by_staff)


def test_everybody_once_with_what_merged_profiles_have(people: None) -> None:
    counted = count_people(rule(OSLO))
    assert (counted.people, counted.recognized, counted.anonymous) == (3, 1, 2)
    assert len(counted.sample_ids) == 3
    assert count_people(rule(OSLO, NEW)).people == 2
    assert count_people(rule({"not": OSLO})).people == 2


def test_what_each_line_keeps_out(people: None) -> None:
    """*Left* adds up line by line; *alone* counts whom one line alone keeps out; *fails* overlaps."""
    kept = what_keeps_out(rule(OSLO, VIP, NEW))
    assert [(line.text, line.passed, line.alone_out, line.fails) for line in kept] == [
        ("City is “Oslo”", 3, 1, 2),
        ("is tagged vip", 2, 1, 2),
        ("is tagged new", 1, 1, 2),
    ]
    either = what_keeps_out(rule(OSLO, VIP, group="any"))
    assert [(line.passed, line.alone_out, line.fails) for line in either] == [(3, 0, 2), (4, 0, 2)]
    none = what_keeps_out(rule(OSLO, VIP, group="none"))
    assert [(line.passed, line.alone_out, line.fails) for line in none] == [(2, 1, 3), (1, 1, 3)]


def test_a_group_is_one_line_and_what_is_off_is_none(people: None) -> None:
    kept = what_keeps_out(rule(OSLO, {"any": [VIP, NEW]}, {**NEW, "off": True}))
    assert [(line.text, line.passed) for line in kept] == [
        ("City is “Oslo”", 3),
        ("is tagged vip or is tagged new", 3),
    ]


def test_a_count_that_takes_too_long_is_cut(people: None, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = rule(OSLO)
    real = preview.count_statement
    assert count_people(slow, milliseconds=60_000).people == 3

    def sleeping(rule: Rule, **which: Any) -> Any:
        return replace(real(rule, **which), text="SELECT 0, 0, NULL FROM pg_sleep(5)")

    monkeypatch.setattr(preview, "count_statement", sleeping)
    with pytest.raises(TooSlow):
        count_people(rule(OSLO, {"type": "anonymous"}), milliseconds=50)
