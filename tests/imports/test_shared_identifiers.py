"""Identifiers that unlike rows share: too many of them are held; the plan lists them before anything is applied."""

from __future__ import annotations

from typing import Any

import pytest

from imports.models import Row
from imports.shared_identifiers import shared_identifiers
from profiles.models import Identifier, IdentifierType, Profile
from tests.imports.files import applied, apply, outcomes, planned, some
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def crowd(identifier: str, count: int, *, start: int = 0) -> str:
    return "".join(f"{identifier},First{n} Q{n},person{n}@example.com\n" for n in range(start, start + count))


HEADER = "customer_id,first_name,email\n"
# Whoever maps the column by hand: a column whose values repeat is not taken for an identifier by itself.
MAPPING = {"customer_id": "customer_id", "first_name": "first_name", "email": "email"}


def test_an_id_of_thirty_people_is_nobodys() -> None:
    import_ = planned(
        mapping=MAPPING, text=HEADER + crowd("C1", 30) + "C2,Zoe,zoe@example.com\nC2,Zoe,zoe@example.com\n"
    )
    assert some(import_) == {"created": 31, "duplicate_in_file": 1}
    warning = next(w for w in import_.warnings if w["code"] == "shared_identifier")
    assert warning["message"] == (
        "1 identifier is shared by unlike rows. It leads to too many people to identify one: "
        "the rows go in without it."
    )
    assert shared_identifiers(import_) == [
        {
            "type": "customer_id",
            "value": "C1",
            "line": 2,
            "rows": 30,
            "names": 30,
            "emails": 30,
            "birth_dates": 0,
            "is_held": True,
        }
    ]
    notice = Row.objects.get(import_id=import_.pk, line=31).notices[0]
    assert (notice["column"], notice["value"]) == ("customer_id", "C1")
    assert notice["message"] == (
        "customer_id “C1” is in 30 rows with 30 names and 30 e-mail addresses. "
        "It identifies nobody, so this row goes in without it."
    )
    apply(import_)
    assert Profile.objects.count() == 31
    assert not Identifier.objects.filter(type__name="customer_id", value="C1").exists()
    assert Identifier.objects.filter(type__name="customer_id", value="C2").exists()


@pytest.mark.parametrize(("rows", "is_held"), [(2, False), (4, False), (5, True), (6, True)])
def test_from_the_fifth_on(rows: int, is_held: bool) -> None:
    import_ = applied(mapping=MAPPING, text=HEADER + crowd("C1", rows))
    assert [item["is_held"] for item in shared_identifiers(import_)] == [is_held]
    assert Profile.objects.count() == (rows if is_held else 1)
    assert Identifier.objects.filter(type__name="customer_id", value="C1").exists() != is_held


def test_the_number_is_a_setting(settings: Any) -> None:
    settings.CDP_BREAKER_PEOPLE = 3
    assert some(planned(mapping=MAPPING, text=HEADER + crowd("C1", 3))) == {"created": 3}
    assert some(planned(mapping=MAPPING, text=HEADER + crowd("C1", 2))) == {
        "created": 1,
        "duplicate_in_file": 1,
    }


@pytest.mark.parametrize("kind", ["customer_id", "loyalty_card", "anonymous_id"])
def test_in_every_type_by_names_or_addresses_alone(kind: str) -> None:
    IdentifierType.objects.get_or_create(name="loyalty_card")
    names = "".join(f"C1,Name{chr(97 + n) * 3}\n" for n in range(6))
    import_ = planned(
        f"id,first_name\n{names}", mapping={"id": f"identifier.{kind}", "first_name": "first_name"}
    )
    assert some(import_) == {"created": 6}
    mails = "".join(f"C1,p{n}@example.com\n" for n in range(6))
    import_ = planned(f"id,email\n{mails}", mapping={"id": f"identifier.{kind}", "email": "email"})
    assert some(import_) == {"created": 6}


def test_one_person_with_many_rows_is_one_person() -> None:
    spellings = [
        "Łucja,Kowalska",
        "łucja,KOWALSKA",
        "Łucja ,Kowalska",
        "ŁUCJA,kowalska",
        " łucja,Kowalska",
    ] * 3
    text = "customer_id,first_name,last_name\n" + "".join(f"C1,{name}\n" for name in spellings)
    import_ = planned(text)
    assert some(import_) == {"created": 1, "duplicate_in_file": 14}
    assert shared_identifiers(import_) == []


def test_an_id_a_stored_person_has_is_held_with_their_name_counted() -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com", identifiers=[("customer_id", "C1")])
    import_ = applied(mapping=MAPPING, text=HEADER + "C1,Ann,\n" + crowd("C1", 4))
    assert outcomes(import_) == {2: "unchanged", 3: "created", 4: "created", 5: "created", 6: "created"}
    ann.refresh_from_db()
    assert (ann.first_name, ann.email, ann.identifiers.filter(type__name="email").count()) == (
        "Ann",
        "ann@example.com",
        1,
    )
    # With other names alone, so that no identifier of the rows is new.
    names = "".join(f"C1,Name{n}\n" for n in "abcde")
    import_ = planned(f"customer_id,first_name\n{names}", options={"policy": "overwrite"})
    assert some(import_) == {"created": 5}
    few = planned("customer_id,first_name\nC1,Anna\n", options={"policy": "overwrite"})
    assert some(few) == {"updated": 1}


def test_most_repeated_first() -> None:
    text = HEADER + crowd("C1", 6) + crowd("C2", 9, start=10) + crowd("C3", 2, start=20)
    import_ = planned(text, mapping=MAPPING)
    listed = [(item["value"], item["rows"], item["is_held"]) for item in shared_identifiers(import_)]
    assert listed == [("C2", 9, True), ("C1", 6, True), ("C3", 2, False)]
    warning = next(w for w in import_.warnings if w["code"] == "shared_identifier")
    assert warning["message"] == (
        "3 identifiers are shared by unlike rows. 2 of them lead to too many people to identify one: "
        "the rows go in without it. Check that the rows of each other one are about one person."
    )


# --- Shared addresses -------------------------------------------------------------------------------------


def test_a_role_address_is_not_one_person() -> None:
    text = (
        "email,first_name,birth_date\n"
        "info@firm.example,Ann,1980-02-03\ninfo@firm.example,Bob,1990-05-06\n"
        "biuro@firma.example,Ewa,1980-02-03\nbiuro@firma.example,Ewa,1990-05-06\n"
        "sales@firm.example,Zoe,\nsales@firm.example,Zoe,\n"
    )
    import_ = applied(text)
    assert some(import_) == {"created": 5, "duplicate_in_file": 1}
    ann = Profile.objects.get(first_name="Ann")
    assert ann.email == "info@firm.example"  # to write to
    assert not ann.identifiers.filter(type__name="email").exists()
    assert Identifier.objects.filter(value="sales@firm.example", resolves=True).exists()


def test_a_persons_address_with_two_names_is_a_warning() -> None:
    import_ = planned("email,first_name\nfamily@home.example,Ann\nFamily@home.example,Bob\n")
    assert some(import_) == {"created": 1, "duplicate_in_file": 1}
    assert [(item["value"], item["names"], item["is_held"]) for item in shared_identifiers(import_)] == [
        ("family@home.example", 2, False)
    ]
    many = planned(
        "email,first_name\n"
        + "".join(f"family@home.example,{name}\n" for name in "Ann Bob Cid Dan Eve".split())
    )
    assert some(many) == {"created": 5}
