"""A cell that loses is kept: with its line, on the profile its row is about, once."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp.actors import Actor
from imports import apply as applying
from imports.alternates import alternates as listed_alternates
from imports.downloads import plan_csv
from imports.models import Import
from profiles.editing.additions import promote_alternate
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Alternate, AttributeDefinition, Profile
from profiles.values.alternates import alternates
from tests.imports.files import applied, apply, planned, some
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def lost(profile: Profile) -> list[tuple[str, Any, int | None]]:
    """(field, value, line) of a profile's alternates."""
    return [(a["field"], a["value"], a.get("line")) for a in alternates([profile.pk]).get(profile.pk, [])]


def warning(import_: Import) -> dict[str, Any]:
    return next(found for found in import_.warnings if found["code"] == "kept_as_alternates")


def test_a_value_that_does_not_fill_is_kept_with_its_line() -> None:
    ada = make_profile(email="ada@example.com", last_name="Byron", country="GB")
    import_ = planned("email,last_name,country,city\nada@example.com,Lovelace,France,London\n")
    assert some(import_) == {"updated": 1}
    assert warning(import_)["message"] == (
        "2 cells differ from the value that the person keeps (Country 1, Last name 1), the first in line 2. They are"
        " kept as alternates on the person's card. Choose “Overwrite” for a column whose values should replace them."
    )
    (row,) = csv.DictReader(io.StringIO(b"".join(plan_csv(import_, actor=Actor.system())).decode()))
    assert row["kept_as_alternates"] == "Country: France; Last name: Lovelace"
    apply(import_)
    assert lost(ada) == [("country", "FR", 2), ("last_name", "Lovelace", 2)]
    ada.refresh_from_db()
    assert (ada.last_name, ada.country, ada.city) == ("Byron", "GB", "London")
    again = applied("email,last_name,country,city\nada@example.com,Lovelace,France,London\n")
    assert some(again) == {"unchanged": 1}
    assert Alternate.objects.count() == 2


def test_nothing_is_kept_of_what_is_equal_empty_or_overwrites() -> None:
    make_profile(email="ada@example.com", last_name="Byron")
    mapping = {"email": {"to": "email"}, "last_name": {"to": "last_name", "policy": "overwrite"}}
    applied("email,last_name\nada@example.com,Lovelace\n", mapping=mapping)
    applied("email,last_name,city\nada@example.com,Lovelace,\n")
    assert not Alternate.objects.exists()


def test_rows_about_one_person_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "CHUNK_ROWS", 1)
    applied(
        "email,first_name,city\nd@example.com,Ann,Lodz\nD@example.com,Bob,Gdansk\nd@example.com,Ann,Lodz\n"
    )
    profile = Profile.objects.get(email="d@example.com")
    assert (profile.first_name, profile.city) == ("Ann", "Lodz")
    assert lost(profile) == [("city", "Gdansk", 3), ("first_name", "Bob", 3)]


def test_with_overwriting_the_earlier_row_is_the_one_that_loses() -> None:
    make_profile(email="d@example.com", first_name="Old")
    mapping = {"email": {"to": "email"}, "first_name": {"to": "first_name", "policy": "overwrite"}}
    applied("email,first_name\nd@example.com,Ann\nd@example.com,Bob\n", mapping=mapping)
    profile = Profile.objects.get(email="d@example.com")
    assert profile.first_name == "Bob"
    assert lost(profile) == [("first_name", "Ann", 2)]


def test_it_follows_a_merge_its_undo_and_becomes_the_value(by_staff: dict[str, Any]) -> None:
    ann, other = make_profile(email="ann@example.com", city="Lodz"), make_profile(email="b@example.com")
    applied("email,city\nann@example.com,Gdansk\n")
    done = merge_profiles(winner_id=other.pk, loser_id=ann.pk, **by_staff)
    assert ("city", "Gdansk", 2) in lost(other)
    unmerge_profiles(merge_id=done.merge_id, **by_staff)
    assert (lost(other), lost(ann)) == ([], [("city", "Gdansk", 2)])
    promote_alternate(profile_id=ann.pk, field="city", value="Gdansk", **by_staff)
    ann.refresh_from_db()
    assert ann.city == "Gdansk"
    assert lost(ann) == [("city", "Lodz", None)]


def listed(import_: Import) -> list[tuple[int, int, str, str]]:
    """(line, line of the person's first row, field, value) as the plan lists them."""
    keys = ("line", "same_person_as_line", "field", "value")
    return [tuple(row[key] for key in keys) for row in listed_alternates(import_)]  # type: ignore[misc]


def test_every_kind_of_cell_that_loses_is_listed_and_no_other() -> None:
    AttributeDefinition.objects.create(name="plan", type="text")
    AttributeDefinition.objects.create(name="hobbies", type="list")
    AttributeDefinition.objects.create(name="score", type="number")
    mapping: dict[str, Any] = {
        "email": "email",
        "birth": "birth_date",
        "plan": "attributes.plan",
        "score": "attributes.score",
        "hobbies": {"to": "attributes.hobbies", "policy": "append"},
        "tags": "tags",
    }
    text = (
        "email,birth,plan,score,hobbies,tags\n"
        "d@x.example,1980-01-02,free,1,a,one\nd@x.example,1980-01-03,pro,2,b,two\nd@x.example,,free,,a,\n"
    )
    lost_cells = [
        (3, 2, "attributes.plan", "pro"),
        (3, 2, "attributes.score", "2"),
        (3, 2, "birth_date", "1980-01-03"),
    ]
    assert listed(planned(text, mapping=mapping)) == lost_cells
    tags = planned(text, mapping={**mapping, "tags": {"to": "tags", "policy": "overwrite"}})
    assert listed(tags) == [(2, 2, "tags", '["one"]'), *lost_cells]
    make_profile(email="d@x.example", plan="free")
    assert (3, 2, "attributes.plan", "pro") in listed(planned(text, mapping=mapping))
    assert listed(planned("email,first_name\ne@x.example,Ann\ne@x.example,Ann\ne@x.example,\n")) == []


CELL = st.sampled_from(["", "Ann", "Bob", "Cy"])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    stored=st.tuples(CELL, CELL),
    rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5),
    policy=st.sampled_from(["fill_if_empty", "overwrite", "never"]),
)
def test_every_cell_is_the_value_or_an_alternate(
    stored: tuple[str, str], rows: list[tuple[str, str]], policy: str
) -> None:
    number = f"C-{Profile.objects.count()}"
    profile = make_profile(identifiers=[("customer_id", number)], first_name=stored[0], city=stored[1])
    mapping = {
        "customer_id": {"to": "customer_id"},
        "first_name": {"to": "first_name", "policy": policy},
        "city": {"to": "city"},
    }
    lines = "".join(f"{number},{first},{city}\n" for first, city in rows)
    applied(f"customer_id,first_name,city\n{lines}", mapping=mapping)
    profile.refresh_from_db()
    kept = {(field, value) for field, value, _ in lost(profile)}
    for first, city in rows:
        assert not first or first == profile.first_name or ("first_name", first) in kept
        assert not city or city == profile.city or ("city", city) in kept
