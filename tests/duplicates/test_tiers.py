"""Tiers: what makes a pair certain, what forbids a merge, and that DuckDB classifies many pairs as Python
classifies one.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from profiles.duplicates.scoring import duckdb_compare
from profiles.duplicates.scoring.conditions import DESPITE, RULES, VETOES
from profiles.duplicates.scoring.features import read_features
from profiles.duplicates.scoring.households import with_household_values
from profiles.duplicates.scoring.levels import Levels
from profiles.duplicates.scoring.model import Rarity, shipped
from profiles.duplicates.scoring.tiers import (
    Classification,
    ComparedProfile,
    adult_since,
    classify,
    compare_facts,
    is_nothing,
    single_of,
    tier_reason,
)
from profiles.duplicates.training.fit import load
from profiles.duplicates.training.synthetic_people import make_people
from tests.duplicates.near import add_neighbours

TODAY = date(2026, 2, 28)
ANN: dict[str, Any] = {
    "first_name": "Ann",
    "last_name": "Brown",
    "email": "ann.brown@web.de",
    "phone": "+48600100200",
    "birth_date": "1980-05-17",
    "city": "Gdańsk",
    "street": "Długa 7",
    "postcode": "80-001",
}


def side(
    values: dict[str, Any], *, ids: tuple[int, ...] = (), singles: tuple[int, ...] = ()
) -> ComparedProfile:
    emails = values.get("emails", ())
    return ComparedProfile(read_features(values, emails=emails), frozenset(ids), frozenset(singles))


def classify_pair(
    left: ComparedProfile, right: ComparedProfile, rarity: Rarity | None = None
) -> Classification:
    def classified(a: ComparedProfile, b: ComparedProfile) -> Classification:
        statistics = rarity or Rarity()
        scored = shipped().score(a.features, b.features, profile_count=10_000, rarity=statistics)
        facts = compare_facts(a, b, scored.levels, today=TODAY, often_shared=statistics.often_shared)
        return classify(facts, scored, model=shipped())

    assert classified(left, right) == classified(right, left)
    return classified(left, right)


@pytest.mark.parametrize(
    ("right", "tier", "rule", "veto"),
    [
        ({"phone": "", "birth_date": ""}, "certain", "email", ""),
        ({"email": "", "birth_date": "", "first_name": "Annie"}, "certain", "phone", ""),
        ({"email": "", "phone": ""}, "certain", "name_and_birth_date", ""),
        ({"email": "x@web.de", "emails": ["ann.brown@web.de"], "birth_date": ""}, "certain", "email", ""),
        # One household, not one person.
        ({"first_name": "Robert", "birth_date": ""}, "related", "", "first_names"),
        ({"birth_date": "1952-01-09"}, "related", "", "birth_dates"),
        ({"first_name": "Robert", "email": "", "phone": "", "birth_date": ""}, "related", "", "first_names"),
        (
            {"first_name": "Robert", "last_name": "Smith", "email": "", "phone": "", "street": ""},
            "",
            "",
            "first_names",
        ),
        # One name or date is mistaken, and everything else of the two is one: for people to look at.
        (
            {"first_name": "Robert", "email": "", "phone": ""},
            "possible",
            "despite_first_names",
            "first_names",
        ),
        (
            {"birth_date": "1952-01-09", "email": "", "phone": ""},
            "possible",
            "despite_birth_dates",
            "birth_dates",
        ),
        ({"first_name": "Robert", "birth_date": "1952-01-09", "email": ""}, "related", "", "first_names"),
        # The same name in another town, and nothing else.
        (
            {"email": "", "phone": "", "birth_date": "", "city": "Łódź", "street": "", "postcode": ""},
            "",
            "",
            "",
        ),
    ],
)
def test_what_two_people_are_to_each_other(right: dict[str, Any], tier: str, rule: str, veto: str) -> None:
    seen = classify_pair(side(ANN), side({**ANN, **right}))
    assert (seen.tier, seen.rule, seen.veto) == (tier, rule, veto) or (
        tier == "" and seen.tier in ("", "possible")
    )
    condition = DESPITE.get(rule) or VETOES.get(veto) or RULES.get(rule)
    assert tier_reason(seen.rule, seen.veto) == (condition.text if condition else "")


def test_what_a_household_shares_needs_a_birth_date() -> None:
    """Two Anns and a Robert at one e-mail may be three people."""
    dateless = {**ANN, "birth_date": "", "phone": ""}
    robert = side({**dateless, "first_name": "Robert"})

    def at_one_home(left: ComparedProfile, right: ComparedProfile) -> Classification:
        features = with_household_values({1: left.features, 2: right.features, 3: robert.features})
        return classify_pair(replace(left, features=features[1]), replace(right, features=features[2]))

    assert at_one_home(side(dateless), side(dateless)) == Classification("possible", "home")
    assert at_one_home(side(ANN), side(ANN)) == Classification("certain", "name_and_birth_date")
    # A birth date tells father from son, but no twins of whom one has no name.
    assert at_one_home(side({**ANN, "first_name": ""}), side(ANN)) == Classification(
        "possible", "nameless_home"
    )
    assert classify_pair(side({**ANN, "first_name": ""}), side(ANN)).tier == "probable"
    assert at_one_home(side(dateless, ids=(1,)), side(dateless, ids=(1,))) == Classification(
        "certain", "same_id"
    )
    assert classify_pair(side(dateless), side(dateless)) == Classification("certain", "email")


def test_one_phone_and_two_mailboxes_are_not_enough() -> None:
    right = {**ANN, "email": "sailor80@gmail.com", "birth_date": ""}
    assert classify_pair(side(ANN), side(right)).tier == "possible"
    assert classify_pair(side(ANN), side({**right, "birth_date": "1980-05-18"})).tier == "probable"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        # Father and son of one name: at one e-mail with two phones, and at one address.
        ({}, {"phone": "+48600999888"}),
        ({"email": ""}, {"phone": ""}),
        # Somebody of the family at Ann's e-mail, whoever it is.
        ({"phone": ""}, {"first_name": ""}),
    ],
)
def test_without_a_birth_date_a_household_is_left_to_people(
    left: dict[str, Any], right: dict[str, Any]
) -> None:
    dateless = {**ANN, "birth_date": ""}
    assert classify_pair(side({**ANN, **left}), side({**dateless, **right})).tier in ("possible", "")
    assert (
        classify_pair(side({**ANN, **left}, ids=(1,)), side({**dateless, **right}, ids=(1,))).rule
        == "same_id"
    )


@pytest.mark.parametrize(("shared", "missing"), [("email", "phone"), ("phone", "email")])
def test_where_families_often_share_one_address_is_not_enough(shared: str, missing: str) -> None:
    left, right = {**ANN, "birth_date": ""}, {**ANN, "birth_date": "", missing: ""}
    here = Rarity({"shared": {f"often_{shared}": 1.0}})
    assert classify_pair(side(left), side(right)) == Classification("certain", shared)
    doubted = classify_pair(side(left), side(right), here)
    assert doubted == Classification("possible", f"often_{shared}")
    assert tier_reason(doubted.rule, "").startswith(
        f"Here families often share {'an e-mail address' if shared == 'email' else 'a phone'}, and no"
    )
    # Who shares both, or a birth date too, is one person here as well.
    assert classify_pair(side(left), side(left), here) == Classification("certain", "email")
    assert classify_pair(side(ANN), side({**ANN, missing: ""}), here).rule == "name_and_birth_date"


def test_where_families_often_share_both_a_birth_date_decides() -> None:
    left, here = {**ANN, "birth_date": ""}, Rarity({"shared": {"often_email": 1.0, "often_phone": 1.0}})
    assert classify_pair(side(left), side(left), here) == Classification("possible", "often_both")
    assert classify_pair(side(ANN), side(ANN), here) == Classification("certain", "name_and_birth_date")
    assert classify_pair(side(left, ids=(1,)), side(left, ids=(1,)), here) == Classification(
        "certain", "same_id"
    )


@pytest.mark.parametrize(("shared", "missing"), [("email", "phone"), ("phone", "email")])
def test_where_families_often_share_twins_without_first_names_are_left_to_people(
    shared: str, missing: str
) -> None:
    """A mailbox that says the missing name tells them apart."""
    left = {**ANN, "first_name": "", missing: ""}
    if shared == "email":
        left |= {"email": "pucllar1980@web.de"}
    here = Rarity({"shared": {f"often_{shared}": 1.0}})
    assert classify_pair(side(left), side(left)) == Classification("probable")
    assert classify_pair(side(left), side(left), here) == Classification("possible", f"nameless_{shared}")
    if shared == "email":
        assert classify_pair(side(left), side({**left, "first_name": "Ann"}), here) == Classification(
            "possible", "nameless_email"
        )
        assert classify_pair(side({**ANN, "first_name": "", "phone": ""}), side(ANN), here) == Classification(
            "probable"
        )


def test_addresses_a_digit_apart_may_be_those_of_namesakes() -> None:
    left = {**ANN, "email": "ann.brown88@web.de", "birth_date": "", "phone": ""}
    right = {**left, "email": "ann.brown78@web.de"}
    assert classify_pair(side(left), side(right)) == Classification("possible", "mail_slip")
    phone = {"phone": ANN["phone"]}
    assert classify_pair(side({**left, **phone}), side({**right, **phone})).tier in ("certain", "probable")
    assert classify_pair(
        side({**left, "birth_date": "1980-05-17"}), side({**right, "birth_date": "1980-05-17"})
    ).tier == ("certain")


def test_a_last_name_for_a_first_name_is_not_enough() -> None:
    """Charles Charles and Aurélie Charles may be twins."""
    home = {"last_name": "Charles", "birth_date": "1972-05-27", "city": "Łódź", "postcode": "21203"}
    left = {**home, "first_name": "Charles", "email": "charles.charles@gmx.de"}
    right = {**home, "first_name": "Aurélie", "email": "aurelie.charles@gmail.com"}
    assert classify_pair(side(left), side(right)) == Classification("possible", "crossed")
    phone = {"phone": ANN["phone"]}
    assert classify_pair(side({**left, **phone}), side({**right, **phone})) == Classification("probable")


def test_nicknames_where_somebody_else_lives_are_left_to_people() -> None:
    robert = side({**ANN, "first_name": "Robert", "birth_date": "1950-01-02"})

    def at_one_home(first: str) -> Classification:
        left, right = side(ANN), side({**ANN, "first_name": first})
        features = with_household_values({1: left.features, 2: right.features, 3: robert.features})
        return classify_pair(replace(left, features=features[1]), replace(right, features=features[2]))

    assert at_one_home("Annie") == Classification("possible", "home_name")
    assert at_one_home("Ann") == Classification("certain", "name_and_birth_date")


def test_namesakes_born_on_one_day_are_left_to_people() -> None:
    """Seven of a hundred are two people where name and date are all they have in common, and the name is common."""
    left = {**ANN, "street": ""}
    right = {**left, "email": "sailor80@gmail.com", "phone": "+48600999888", "city": "Gdynia", "postcode": ""}
    common = Rarity({name: {value: -6.0} for name, value in (("first_name", "ann"), ("last_name", "brown"))})
    assert classify_pair(side(left), side(right)) == Classification("certain", "name_and_birth_date")
    doubted = classify_pair(side(left), side(right), common)
    assert doubted == Classification("possible", "unlikely")
    assert tier_reason(doubted.rule, "") == (
        "What they share may be the same by chance, and not enough else suggests one person."
    )
    assert classify_pair(side(left, ids=(1,)), side(right, ids=(1,)), common) == Classification(
        "certain", "same_id"
    )


def test_twins_are_left_to_people() -> None:
    left, right = {**ANN, "email": "", "phone": ""}, {**ANN, "first_name": "", "email": "", "phone": ""}
    assert classify_pair(side(left), side(right)).tier == "possible"
    assert classify_pair(
        side({**left, "phone": ANN["phone"]}), side({**right, "phone": ANN["phone"]})
    ).tier == ("probable")


def test_identifiers_match_and_forbid() -> None:
    shared, right = single_of(3, 111), single_of(3, 222)
    stranger = {"first_name": "Ann", "city": "Łódź"}
    assert classify_pair(side(ANN, ids=(5, 6)), side(stranger, ids=(6,))) == Classification(
        "certain", "same_id"
    )
    both = side(ANN, singles=(shared,)), side(ANN, singles=(right,))
    assert classify_pair(*both) == Classification("related", "", "identifiers")
    assert classify_pair(both[0], side(ANN, singles=(shared, right))).tier == "certain"
    assert classify_pair(both[0], side(ANN, singles=(single_of(4, 222),))).tier == "certain"


def test_a_minor_is_not_merged_with_an_adult() -> None:
    assert adult_since(TODAY) == "2008-02-28"
    left, child = side({**ANN, "birth_date": "2004-05-17"}), side({**ANN, "birth_date": "2014-05-17"})
    assert classify_pair(left, child) == Classification("related", "", "minor")


def test_a_leap_day_has_a_birthday_every_year() -> None:
    assert adult_since(date(2028, 2, 29)) == "2010-02-28"


@pytest.mark.parametrize("rows", [3_000, pytest.param(22_000, marks=pytest.mark.soak)])
def test_all_pairs_at_once_are_classified_as_each_alone(rows: int) -> None:
    people, model, chance = make_people(rows=rows, seed=77), shipped(), random.Random(7)
    sides, updates = [], []
    for number, row in enumerate(people.rows, 1):
        features = read_features(row)
        if features.email and number % 5 == 0:
            features = read_features(row, emails=[f"second.{number // 3}@web.de"])
        ids = frozenset(chance.sample(range(rows), 2)) if number % 3 == 0 else frozenset[int]()
        singles = frozenset({single_of(number % 2 + 1, number // 4)}) if number % 3 else frozenset[int]()
        sides.append(ComparedProfile(features, ids, singles))
        updates.append([list(ids), list(singles), list(features.emails), number])
    household_values = with_household_values({number: left.features for number, left in enumerate(sides, 1)})
    sides = [replace(left, features=household_values[number]) for number, left in enumerate(sides, 1)]
    db = load(people)
    db.executemany("UPDATE profiles SET ids = ?, singles = ?, emails = ? WHERE id = ?", updates)
    add_neighbours(db)
    duckdb_compare.compare(db, today=TODAY)
    duckdb_compare.classify(db, model, rows)
    rarity: dict[str, dict[str, float]] = {}
    for field, value, bits in db.execute("SELECT field, value, bits FROM rarity").fetchall():
        rarity.setdefault(field, {})[value] = bits
    classified = {
        (left, right): Classification(tier, rule, veto)
        for left, right, tier, rule, veto in db.execute(
            "SELECT l, r, tier, rule, veto FROM classified"
        ).fetchall()
    }
    seen = set()
    for left, right in db.execute("SELECT l, r FROM compared").fetchall():
        a, b = sides[left - 1], sides[right - 1]
        scored = model.score(a.features, b.features, profile_count=rows, rarity=Rarity(rarity))
        facts = compare_facts(
            a, b, Levels(a.features, b.features), today=TODAY, often_shared=Rarity(rarity).often_shared
        )
        is_ruled_out, alone = is_nothing(facts), classify(facts, scored, model=model)
        assert not (alone.tier and is_ruled_out)
        assert classified.get((left, right), Classification("")).tier == alone.tier, (
            people.rows[left - 1],
            people.rows[right - 1],
        )
        if alone.tier:
            assert classified[left, right] == alone
            seen.add((alone.tier, alone.rule or alone.veto))
    assert {tier for tier, _ in seen} == {"certain", "probable", "possible", "related"}
    assert len(classified) > 100


def test_one_name_born_on_new_years_day_is_no_proof() -> None:
    """1 January often stands for a year alone: a rule that rests on the date does not count it."""
    left = {**ANN, "email": "", "phone": "", "street": "", "postcode": "", "birth_date": "1985-01-01"}
    seen = classify_pair(side(left), side(left))
    assert (seen.tier != "certain", seen.rule) == (True, "")
    assert classify_pair(
        side({**left, "birth_date": "1985-01-02"}), side({**left, "birth_date": "1985-01-02"})
    ).rule in (
        "name_and_birth_date",
        "unlikely",
    )


@pytest.mark.parametrize("rarity", [0.0, -3.0, -6.0])
def test_certain_needs_the_score_of_a_probable_pair(rarity: float) -> None:
    left = {**ANN, "street": ""}
    right = {**left, "email": "sailor80@gmail.com", "phone": "+48600999888", "city": "Gdynia", "postcode": ""}
    statistics = Rarity(
        {name: {value: rarity} for name, value in (("first_name", "ann"), ("last_name", "brown"))}
    )
    scored = shipped().score(
        side(left).features, side(right).features, profile_count=10_000, rarity=statistics
    )
    is_probable = scored.score >= shipped().thresholds["probable"]
    assert classify_pair(side(left), side(right), statistics).tier == (
        "certain" if is_probable else "possible"
    )
