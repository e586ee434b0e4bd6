"""The shipped model: its weights and explanations, and that DuckDB scores many pairs as Python scores one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import duckdb
import pytest

from profiles.duplicates.scoring import duckdb_compare
from profiles.duplicates.scoring.features import match_keys, read_features
from profiles.duplicates.scoring.households import with_household_values
from profiles.duplicates.scoring.interaction_kinds import SHARED
from profiles.duplicates.scoring.interaction_terms import INTERACTIONS
from profiles.duplicates.scoring.levels import COMPARISONS
from profiles.duplicates.scoring.model import FILE, PairScore, Rarity, shipped
from profiles.duplicates.training.fit import CLAMP, load
from profiles.duplicates.training.synthetic_people import make_people
from tests.duplicates.near import add_neighbours

ANN = {
    "first_name": "Ann",
    "last_name": "Brown",
    "email": "ann.brown@web.de",
    "phone": "+48600100200",
    "birth_date": "1980-05-17",
    "city": "Gdańsk",
    "street": "12 Rynek Główny",
}


def score(left: dict[str, Any], right: dict[str, Any]) -> PairScore:
    features = (read_features(left), read_features(right))
    forward, backward = (
        shipped().score(*pair, profile_count=100_000, rarity=Rarity()) for pair in (features, features[::-1])
    )
    assert forward == backward
    return forward


def test_the_file_is_whole_and_its_weights_keep_their_order() -> None:
    model_json = json.loads(FILE.read_text())
    assert set(model_json["thresholds"]) == {"probable", "possible"}
    assert model_json["thresholds"]["probable"] > model_json["thresholds"]["possible"]
    for comparison in COMPARISONS:
        levels = model_json["fields"][comparison.field]["levels"]
        assert tuple(levels) == comparison.names
        weights = [levels[name]["weight"] for name in comparison.names]
        assert weights == sorted(weights, reverse=True), comparison.field
        assert all(entry["label"] for entry in levels.values())
    assert set(model_json["shared"]) == set(SHARED)
    assert set(model_json["adjustments"]) == {entry.name for entry in INTERACTIONS}
    assert all(abs(entry["weight"]) <= CLAMP for entry in model_json["adjustments"].values())


def test_an_explanation_adds_up_and_names_its_levels() -> None:
    changed = {
        **ANN,
        "first_name": "Anna",
        "birth_date": "1980-05-18",
        "email": "sailor80@gmail.com",
        "phone": "",
    }
    scored = score(ANN, changed)
    assert scored.score == pytest.approx(
        shipped().prior(100_000) + sum(item.weight for item in scored.evidence)
    )
    levels = {item.field: item.level for item in scored.evidence if item.field}
    assert levels == {
        "first_name": "nickname",
        "last_name": "equal",
        "email": "differs",
        "birth_date": "slip",
        "city": "equal",
        "street": "equal",
    }
    assert {"name_and_date", "name_and_city"} <= {item.level for item in scored.evidence if not item.field}


@pytest.mark.parametrize(
    ("changes", "field", "level"),
    [
        ({"first_name": "Brown", "last_name": "Ann"}, "first_name", "swapped"),
        ({"first_name": "Ann Marie"}, "first_name", "part"),
        ({"first_name": "A."}, "first_name", "initial"),
        ({"first_name": "Bertha"}, "first_name", "differs"),
        ({"last_name": "Brown-Kowalska"}, "last_name", "part"),
        ({"last_name": "Brwon"}, "last_name", "slip"),
        ({"last_name": None}, "last_name", "unknown"),
        ({"email": "ann.brown@wbe.de"}, "email", "domain_slip"),
        ({"email": "ann.borwn@web.de"}, "email", "slip"),
        ({"email": "ann.brown@proton.me"}, "email", "mailbox"),
        ({"phone": "600100200"}, "phone", "tail"),
        ({"phone": "+48600100201"}, "phone", "slip"),
        ({"birth_date": "1981-05-17"}, "birth_date", "slip"),
        ({"birth_date": "1999-12-31"}, "birth_date", "differs"),
        ({"birth_date": "1949-05-17"}, "birth_date", "parted"),
        ({"first_name": "Brwn", "last_name": "Ann"}, "first_name", "swapped"),
        ({"first_name": "Ewa", "last_name": "Ann"}, "first_name", "crossed"),
        ({"street": "12 Rynek Glowny"}, "street", "equal"),
        ({"street": "Rynek Główny 12"}, "street", "alike"),
        ({"street": "12 Rynekglowny"}, "street", "equal"),
        ({"street": "12 Rynek Glony"}, "street", "alike"),
        ({"street": "21 Rynek Główny"}, "street", "street"),
        ({"street": "12 Długa"}, "street", "house"),
        ({"street": "3 Długa"}, "street", "differs"),
    ],
)
def test_levels(changes: dict[str, Any], field: str, level: str) -> None:
    number = score(ANN, {**ANN, **changes}).levels[field]
    names = next(comparison.names for comparison in COMPARISONS if comparison.field == field)
    assert (names[number] if number >= 0 else "unknown") == level


def test_a_household_is_not_one_person() -> None:
    """Families share surname, city, phone and e-mail together; that is what the adjustments are for."""
    possible = shipped().thresholds["possible"]
    husband = {**ANN, "first_name": "Robert", "birth_date": "1978-02-03"}
    assert score(ANN, husband).score < possible
    assert score(ANN, {**husband, "birth_date": None}).score < shipped().thresholds["probable"]
    assert score(ANN, {**ANN, "email": "annbrown7@gmail.com"}).score > shipped().thresholds["probable"]


def test_a_mailbox_tells_a_missing_first_name() -> None:
    """Of two with one address, the nameless is whom the mailbox names, or somebody else of the household."""
    shared = {"last_name": "Brown", "email": "ann.brown@web.de"}
    ann, robert = (score({**shared, "first_name": name}, shared) for name in ("Ann", "Robert"))
    assert {item.field: item.level for item in ann.evidence}["mailbox_name"] == "name"
    assert {item.field: item.level for item in robert.evidence}["mailbox_name"] == "differs"
    assert ann.score > robert.score + 3
    assert "mailbox_name" not in {item.field for item in score(ANN, ANN).evidence}


def test_an_address_says_what_it_says_in_this_base() -> None:
    """Where nobody shares, equal is the same; where families do, it is a household."""
    left, right = (
        read_features({"last_name": "Brown", "street": "12 High St", "first_name": name})
        for name in ("Ann", "Bob")
    )
    alone, family = (
        shipped().score(
            left, right, profile_count=1000, rarity=Rarity({"shared": {"shared_home": bits, "doubled": 0.0}})
        )
        for bits in (4.0, -3.0)
    )
    assert alone.score - family.score == pytest.approx(7 * shipped().shared["shared_home"])
    assert "shared_home" in {left.level for left in alone.evidence}
    twice = shipped().score(left, right, profile_count=1000, rarity=Rarity({"shared": {"doubled": 2.0}}))
    once = shipped().score(left, right, profile_count=1000, rarity=Rarity())
    assert twice.score - once.score == pytest.approx(2 * shipped().shared["doubled"])


def test_a_value_of_a_third_person_is_a_households() -> None:
    rows = (
        {"first_name": name, "email": "browns@web.de", "last_name": "Brown"}
        for name in ("Ann", "Anna", "Robert")
    )
    three = with_household_values(dict(enumerate(map(read_features, rows))))
    assert {item.household_values for item in three.values()} == {("browns@web.de",)}
    two = with_household_values({number: three[number] for number in (0, 1)})
    assert {item.household_values for item in two.values()} == {()}
    shared, own = (
        shipped().score(pair[0], pair[1], profile_count=1000, rarity=Rarity()) for pair in (three, two)
    )
    assert own.score - shared.score > 2
    assert {item.field for item in shared.evidence} - {item.field for item in own.evidence} == {"home"}


def test_a_rare_last_name_says_less_where_a_family_may_share_it() -> None:
    def gained(**shared: str) -> float:
        features = read_features({"first_name": "Ann", "last_name": "Pucllar", **shared})
        rare, usual = (
            shipped().score(
                features, features, profile_count=80_000, rarity=Rarity({"last_name": {"pucllar": bits}})
            )
            for bits in (3.0, 0.0)
        )
        return rare.score - usual.score

    assert gained(phone="+48600100200") < gained(birth_date="1980-05-17")


def test_more_people_are_alike_by_chance() -> None:
    left, right = read_features(ANN), read_features({**ANN, "email": "", "phone": "", "city": "Łódź"})
    few, many = (
        shipped().score(left, right, profile_count=size, rarity=Rarity()) for size in (80_000, 800_000)
    )
    near, far = (
        shipped().score(left, left, profile_count=size, rarity=Rarity()) for size in (80_000, 800_000)
    )
    assert few.score - many.score > 2 * (near.score - far.score) > 0


def test_a_rare_name_says_more_than_a_common_one() -> None:
    rarity = Rarity({"last_name": {"brown": -3.0, "pucllar": 2.5}})
    profiles = [
        read_features({"last_name": name, "birth_date": "1980-05-17"}) for name in ("Brown", "Pucllar")
    ]
    common, rare = (
        shipped().score(features, features, profile_count=1000, rarity=rarity) for features in profiles
    )
    assert rare.score - common.score == pytest.approx(5.5 * shipped().rarity["last_name"])


@pytest.mark.parametrize("rows", [2_000, pytest.param(22_000, marks=pytest.mark.soak)])
def test_all_pairs_at_once_are_scored_as_each_alone(rows: int) -> None:
    people = make_people(rows=rows, seed=int(os.environ.get("PEOPLE_SEED", "901")))
    db, model = load(people), shipped()
    add_neighbours(db)
    duckdb_compare.compare(db)
    features = with_household_values(
        {number: read_features(row) for number, row in enumerate(people.rows, 1)}
    )
    bits: dict[str, dict[str, float]] = {}
    for field, value, number in db.execute("SELECT field, value, bits FROM rarity").fetchall():
        bits.setdefault(field, {})[value] = number
    fields = [left.field for left in COMPARISONS]
    compared = db.execute(
        f"SELECT l, r, {', '.join(fields)}, {duckdb_compare.score_sql(model, rows)} FROM compared"
    ).fetchall()
    assert len(compared) > 4.5 * rows
    rarity = Rarity(bits)
    for left, right, *levels, total in compared:
        scored = model.score(features[left], features[right], profile_count=rows, rarity=rarity)
        assert list(scored.levels.values()) == levels, (people.rows[left - 1], people.rows[right - 1])
        assert scored.score == pytest.approx(float(total), abs=1e-6)


@pytest.mark.parametrize("people", [2_345, 49_999, 1_000_003])
def test_results_are_written_for_a_base_of_any_size(people: int, tmp_path: Path) -> None:
    db = load(make_people(rows=400, seed=31))
    duckdb_compare.remove_frequent_values(db)
    duckdb_compare.compare(db)
    duckdb_compare.classify(db, shipped(), people)
    assert duckdb_compare.write_results(db, shipped(), people, tmp_path)["pairs"] > 0


def test_a_frequent_key_is_reported_and_makes_no_pairs() -> None:
    db = duckdb.connect()
    db.execute(duckdb_compare.CREATE_TABLE)
    many = [[number, [7, 1000 + number]] for number in range(duckdb_compare.MAX_KEY_HOLDERS + 1)]
    two = [[9001, [42]], [9002, [42]]]
    db.executemany("INSERT INTO profiles (id, keys) VALUES (?, ?)", [*many, *two])
    duckdb_compare.find_candidates(db)
    assert db.execute("SELECT * FROM pair").fetchall() == [(9001, 9002)]
    assert db.execute("SELECT * FROM frequent_key").fetchall() == [(7, duckdb_compare.MAX_KEY_HOLDERS + 1)]


def test_invented_people_follow_from_their_seed() -> None:
    people, same, different = (make_people(rows=2_000, seed=seed) for seed in (5, 5, 6))
    assert (people.rows, people.truth, people.traps) == (same.rows, same.truth, same.traps)
    assert people.rows != different.rows
    assert len(people.rows) == 2_000
    assert all(low < high for low, high in people.truth)
    # Who comes back shares a key with who they were nearly always.
    keys = [set(match_keys(read_features(row))) for row in people.rows]
    sharing = sum(bool(keys[a - 1] & keys[b - 1]) for a, b in people.truth)
    assert sharing / len(people.truth) > 0.9
