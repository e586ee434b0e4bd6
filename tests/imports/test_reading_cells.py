"""How a file writes dates, phone numbers, names, tags and countries: found out where the cells show it, asked where not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from cdp.models import User
from imports.columns import (
    AttributeSpec,
    CellProblem,
    Cleaner,
    Context,
    advise,
    guess_mapping,
    guess_settings,
    parse_mapping,
)
from imports.columns.dates import order_of
from imports.files import Row
from profiles.identity.person_names import split_name
from profiles.identity.values import split_cell
from profiles.models import AttributeDefinition, Profile
from tests.imports.files import applied, planned, some, summed, upload

CONTEXT = Context(attributes=(AttributeSpec("birthday"), AttributeSpec("joined", "date")))
LEFT_OUT = " Only this cell was left out."
AMBIGUOUS = "Day or month first? Say for the whole file which comes first in its dates (option date_order: dmy or mdy)."


def values(cells: dict[str, str], context: Context = CONTEXT, **entries: Any) -> Any:
    mapping = parse_mapping({key: entries.get(key, key) for key in cells}, list(cells), context)
    out = Cleaner(mapping, context).clean(Row(2, list(cells.values())))
    return out.values or [problem.message for problem in out.problems]


# --- Dates --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "order"),
    [
        (["03/04/1985", "25/12/1990"], "dmy"),
        (["03/04/1985", "12/25/90"], "mdy"),
        (["03-04-1985", "18-07-1969"], "dmy"),
        (["03/04/1985", "01/02/1990"], ""),
        (["25/12/1990", "12/25/1990"], ""),
        (["10.01.1960", "1990-02-28"], ""),
        (["07/19", "01/10"], "mdy"),
        (["0/0/00", "3/31/1990 0:00"], "mdy"),
    ],
)
def test_the_order_of_dates(cells: list[str], order: str) -> None:
    assert order_of(cells) == order


@pytest.mark.parametrize(
    ("cell", "order", "stored"),
    [
        ("03/04/1985", "dmy", {"birth_date": "1985-04-03"}),
        ("03/04/1985", "mdy", {"birth_date": "1985-03-04"}),
        ("03/04/1985", "", [AMBIGUOUS]),
        ("25/12/1990", "", {"birth_date": "1990-12-25"}),
        ("04/04/1990", "", {"birth_date": "1990-04-04"}),
        ("10.01.1960", "", {"birth_date": "1960-01-10"}),
        ("10.01.1960", "mdy", {"birth_date": "1960-01-10"}),
        ("1.2.85", "", {"birth_date": "1985-02-01"}),
        ("1985/3/4", "dmy", {"birth_date": "1985-03-04"}),
        ("12/25/1990", "dmy", ["Not a date with the day first, as the other dates of this file."]),
        ("31/04/1990", "dmy", ["Not a date. Write YYYY-MM-DD, for example 1990-02-28."]),
        ("0/0/00", "mdy", ["Nothing to import: every mapped cell of the row is empty."]),
        ("01/10", "mdy", {"attributes.birthday": "01-10"}),
        ("01/10", "", [AMBIGUOUS]),
        ("--03-12", "", {"attributes.birthday": "03-12"}),
        (" --03-12", "", {"attributes.birthday": "03-12"}),
        ("24.12.", "", {"attributes.birthday": "12-24"}),
        ("31.02.", "", ["Not a day of the year. Write month and day, for example 02-28."]),
        ("1993-01-11T00:00:00.000Z", "", {"birth_date": "1993-01-11"}),
    ],
)
def test_a_birth_date(cell: str, order: str, stored: Any) -> None:
    assert values({"birth_date": cell}, replace(CONTEXT, date_order=order)) == stored


def test_a_moment_is_no_date_but_midnight_is() -> None:
    moment = (
        "This is a moment, not a date: which day it was depends on the place. Write YYYY-MM-DD, or midnight UTC, for "
        "example 1990-02-28T00:00:00Z."
    )
    for cell in ("1993-01-11T23:00:00.000Z", "1993-01-11T00:00:00+01:00", "1993-01-11 08:30"):
        assert values({"birth_date": cell}) == [moment]
        assert values({"attributes.joined": cell}) == [moment]
    for cell in ("1993-01-11T00:00:00Z", "1993-01-11 00:00:00+00:00", "1993-01-11T00:00"):
        assert values({"attributes.joined": cell}) == {"attributes.joined": "1993-01-11"}


@pytest.mark.django_db
def test_a_birthday_without_a_year_is_an_attribute_of_its_own() -> None:
    import_ = applied(
        "email,Birthday\nann@example.com,01/31\nbob@example.com,02/10\neve@example.com,1990-02-28\n"
    )
    assert import_.counts["failed"] == 0
    assert AttributeDefinition.objects.get().name == "birthday"
    text = (
        "email,Birthday\nann@example.com,1990-02-28\nbob@example.com, --02-10\neve@example.com,1991-03-01\n"
    )
    applied(text)
    people = {person.email: person for person in Profile.objects.all()}
    assert str(people["ann@example.com"].birth_date) == "1990-02-28"
    assert people["ann@example.com"].attributes == {"birthday": "01-31"}
    assert people["bob@example.com"].birth_date is None


@pytest.mark.django_db
def test_no_attribute_is_made_by_somebody_who_may_only_import() -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.add(*Permission.objects.filter(content_type__app_label="imports"))
    import_ = planned(
        "email,Birthday\nann@example.com,01/31\nbob@example.com,02/10\neve@example.com,1990-02-28\n",
        user=clerk,
    )
    assert not AttributeDefinition.objects.exists()
    assert (import_.counts["created"], import_.counts["failed"]) == (3, 0)
    assert [warning["message"] for warning in import_.warnings] == [
        "1 column with data is left out: Birthday."
    ]


@pytest.mark.django_db
def test_an_order_nobody_can_tell_is_asked_for() -> None:
    text = "email,born\nann@example.com,03/04/1985\nbob@example.com,01/02/1990\n"
    import_ = planned(text)
    assert import_.options["date_order"] == ""
    assert "date_order" in {warning["code"] for warning in import_.warnings}
    cell = next(warning for warning in import_.warnings if warning["code"] == "value")
    assert (cell["column"], cell["count"], cell["line"], cell["message"]) == (
        "born",
        2,
        2,
        AMBIGUOUS + LEFT_OUT,
    )
    import_ = applied(text, options={"date_order": "dmy"})
    assert {str(person.birth_date) for person in Profile.objects.all()} == {"1985-04-03", "1990-02-01"}
    # One cell far down settles it for all.
    rows = "".join(f"p{number}@example.com,03/04/1985\n" for number in range(300))
    assert upload(f"email,born\n{rows}last@example.com,25/12/1990\n").options["date_order"] == "dmy"


# --- Phones and countries -----------------------------------------------------------------------------


def test_numbers_are_at_home_where_the_file_says() -> None:
    row = {"phone": "030 23125809", "country": "Niemcy"}
    assert values(row, replace(CONTEXT, phone_country="row"))["phone"] == "+493023125809"
    nowhere = replace(CONTEXT, phone_country="row")
    assert "phone" not in values({**row, "country": ""} | {"first_name": "Ann"}, nowhere)
    assert (
        values({"phone": "030 23125809"}, replace(CONTEXT, phone_country="row:DE"))["phone"]
        == "+493023125809"
    )
    assert values({"phone": "600 100 200"}, replace(CONTEXT, phone_country="PL"))["phone"] == "+48600100200"
    bare = replace(CONTEXT, phone_country="international")
    assert values({"phone": "48501234888"}, bare)["phone"] == "+48501234888"
    assert values({"phone": "+48501234888"}, bare)["phone"] == "+48501234888"
    assert values({"phone": "'+48501234888"})["phone"] == "+48501234888"


@pytest.mark.parametrize(
    ("headers", "rows", "where"),
    [
        (["phone"], [["48501234888"], ["4915112345678"], ["33639988422"]], "international"),
        (["phone", "Land"], [["030 23125809", "Deutschland"], ["0664 1234567", "Österreich"]], "row"),
        (["phone", "Kraj"], [["600 100 200", "Polska"], ["600 100 201", ""]], "row:PL"),
        (["phone"], [["600 100 200"]], ""),
        (["phone", "country"], [["+48600100200", "PL"]], ""),
    ],
)
def test_the_country_of_phone_numbers(headers: list[str], rows: list[list[str]], where: str) -> None:
    mapping = parse_mapping(guess_mapping(headers, rows, CONTEXT), headers, CONTEXT)
    assert guess_settings(mapping, rows, CONTEXT).get("phone_country", "") == where
    asked = [item.code for item in advise(mapping, rows, replace(CONTEXT, phone_country=where))]
    assert ("phone_country" in asked) is (where == "" and rows[0][0][0] != "+")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ("Österreich, Austria, Autriche, Oostenrijk, Rakousko, Österrike, Австрия", "AT"),
        ("Türkei, Turcja, Turquie, Turquía, Turkije, Turkey", "TR"),
        ("Tschechien, Czechy, Tchéquie, Chequia, Česko", "CZ"),
        ("Vereinigtes Königreich, Wielka Brytania, Royaume-Uni, Reino Unido, Großbritannien", "GB"),
        ("Stany Zjednoczone, États-Unis, Estados Unidos, Vereinigte Staaten, США", "US"),
        ("Niemcy, Allemagne, Alemania, Germania, Duitsland, Německo, Германия, ドイツ", "DE"),
    ],
)
def test_names_of_countries_in_the_languages_of_headers(names: str, code: str) -> None:
    assert [values({"country": name}) for name in names.split(", ")] == [{"country": code}] * len(
        names.split(", ")
    )


# --- Bad cells ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_bad_cell_loses_neither_the_row_nor_its_own_trace() -> None:
    AttributeDefinition.objects.create(name="is_member", type="boolean")
    text = (
        "email,first_name,birth_date,phone,country,attributes.is_member\n"
        "ann@example.com,Ann,soon,12,Atlantis,perhaps\n"
        "no address,Bob,1990-02-28,+48600100200,PL,yes\n"
    )
    import_ = applied(text)
    ann = Profile.objects.get()
    assert (ann.email, ann.first_name, ann.birth_date, ann.country) == ("ann@example.com", "Ann", None, None)
    assert import_.counts["failed"] == 1, "an identifier that cannot be read rejects its row, as ever"
    listed = {
        warning["column"]: warning["message"] for warning in import_.warnings if warning["code"] == "value"
    }
    assert listed["birth_date"] == "Not a date. Write YYYY-MM-DD, for example 1990-02-28." + LEFT_OUT
    assert set(listed) == {"birth_date", "phone", "country", "attributes.is_member"}
    strict = planned(text, options={"bad_cells": "reject_row"})
    assert strict.counts["failed"] == 2


def test_a_row_of_bad_cells_alone_is_rejected_with_their_reasons() -> None:
    mapping = parse_mapping({"birth_date": "birth_date"}, ["birth_date"], CONTEXT)
    out = Cleaner(mapping, CONTEXT).clean(Row(2, ["soon"]))
    assert out.problems == [
        CellProblem("birth_date", "soon", "Not a date. Write YYYY-MM-DD, for example 1990-02-28.")
    ]


# --- Names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Heike von Zabern", ("Heike", "von Zabern")),
        ("Jan van der Berg", ("Jan", "van der Berg")),
        ("Juan de la Cruz", ("Juan", "de la Cruz")),
        ("Van Morrison", ("Van", "Morrison")),
        ("Müller, Hans Peter", ("Hans Peter", "Müller")),
        ("John Smith Jr.", ("John", "Smith Jr.")),
        ("Dr. Anna Nowak", ("Anna", "Nowak")),
        ("Anna Maria Nowak-Kowalska", ("Anna Maria", "Nowak-Kowalska")),
        ("Madonna", ("Madonna", "")),
        ("山田 太郎", ("太郎", "山田")),
        ("  ", ("", "")),
    ],
)
def test_a_whole_name_is_split(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts


@pytest.mark.parametrize(
    ("headers", "targets"),
    [
        (["Name", "Email"], ["full_name", "email"]),
        (["Full name", "Email"], ["full_name", "email"]),
        (["Imię i nazwisko", "Adres e-mail"], ["full_name", "email"]),
        (["Name", "First Name", "Last Name"], ["ignore", "first_name", "last_name"]),
        (["Vorname", "Name"], ["first_name", "last_name"]),
        (["customId", "Mobile Phone Number"], ["customer_id", "phone"]),
        (["custom_identify", "billing_city"], ["customer_id", "city"]),
        (["Default Address City", "Default Address Zip"], ["city", "postcode"]),
        (
            ["E-mail 1 - Value", "E-mail 2 - Value", "E-mail 1 - Label"],
            ["email", "identifier.email", "ignore"],
        ),
        (["Address 1 - Street", "Address 1 - Formatted"], ["street", "ignore"]),
        (["Home Phone", "Mobile Phone"], ["identifier.phone", "phone"]),
        (
            ["Ort", "Straße privat", "Ort privat", "Postleitzahl privat"],
            ["ignore", "street", "city", "postcode"],
        ),
    ],
)
def test_headers_of_exports(headers: list[str], targets: list[str]) -> None:
    assert [entry["to"] for entry in guess_mapping(headers, [], CONTEXT).values()] == targets


# --- Identifiers that repeat ----------------------------------------------------------------------------


def test_an_address_that_repeats_is_never_guessed_to_identify() -> None:
    rows = [[f"Person {number}", "owner@example.com"] for number in range(30)]
    for header in ("Account Owner", "Contact", "Email"):
        assert guess_mapping(["Name", header], rows, CONTEXT)[header] == {"to": "ignore"}
    couple = [["Ann", "home@example.com"], ["Bob", "home@example.com"], ["Eve", "eve@example.com"]]
    assert guess_mapping(["Name", "Email"], couple, CONTEXT)["Email"] == {"to": "email"}
    orders = [["Ann", "ann@example.com"]] * 20
    assert guess_mapping(["Name", "Email"], orders, CONTEXT)["Email"] == {"to": "email"}, (
        "one person's orders"
    )
    distinct = [[f"Person {number}", f"p{number}@example.com"] for number in range(30)]
    assert guess_mapping(["Name", "Account Owner"], distinct, CONTEXT)["Account Owner"] == {"to": "ignore"}


def test_a_shared_identifier_that_was_chosen_is_pointed_out() -> None:
    rows = [[f"Person {number}", "owner@example.com"] for number in range(30)]
    mapping = parse_mapping({"Name": "full_name", "Owner": "email"}, ["Name", "Owner"], CONTEXT)
    (advice,) = [item for item in advise(mapping, rows, CONTEXT) if item.code == "shared_identifier"]
    assert advice.message == (
        "One value of column Owner stands in 30 of 30 rows: all of them become one person. Leave the column out if it "
        "says something else, such as who looks after them."
    )


# --- Several values in a cell ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "separator", "first"),
    [
        (["vip;newsletter", "vip"], ";", ["vip", "newsletter"]),
        (['"vip","old, buyers"', '"vip"'], "", ["vip", "old, buyers"]),
        (["* myContacts ::: Navy", "* myContacts"], " ::: ", ["Navy"]),
        (["vip|new"], "|", ["vip", "new"]),
        (["loyalty räder_teile", "loyalty", "räder_teile"], " ", ["loyalty", "räder_teile"]),
        (["new customer", "vip"], "", ["new customer"]),
        (["vip, new"], "", ["vip", "new"]),
    ],
)
def test_tags_are_split_at_what_stands_between_them(
    cells: list[str], separator: str, first: list[str]
) -> None:
    rows = [[cell] for cell in cells]
    guess = guess_mapping(["Tags"], rows, CONTEXT)
    assert guess["Tags"].get("separator", "") == separator
    out = Cleaner(parse_mapping(guess, ["Tags"], CONTEXT), CONTEXT).clean(Row(2, [cells[0]]))
    assert out.tags == first
    if separator not in ("", " "):
        mapping = parse_mapping({"Tags": "tags"}, ["Tags"], CONTEXT)
        assert "separator" in [item.code for item in advise(mapping, rows, CONTEXT)]


def test_quotes_that_are_part_of_the_text_stay() -> None:
    assert split_cell('5" pipe, 6" pipe', ",") == ['5" pipe', ' 6" pipe']
    assert split_cell('"a" b, c', ",") == ['"a" b', " c"]


@pytest.mark.django_db
def test_several_addresses_in_one_cell_find_one_person() -> None:
    text = "email\nann@example.com ::: ann@work.example\nbob@example.com\n"
    import_ = applied(text)
    assert (import_.mapping, import_.counts["created"]) == (
        {"email": {"to": "email", "separator": " ::: "}},
        2,
    )
    ann = Profile.objects.get(email="ann@example.com")
    values_ = set(ann.identifiers.filter(type__name="email").values_list("value", flat=True))
    assert values_ == {"ann@example.com", "ann@work.example"}
    assert applied("email\nann@work.example\n").counts["unchanged"] == 1


# --- Rows -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_cells_and_rows_with_nothing_in_them_are_nothing() -> None:
    text = (
        "email;first_name\nann@example.com;Ann;\n;;\nbob@example.com;Bob;;\n ; \n;\neve@example.com;Eve;x\n"
    )
    import_ = planned(text)
    assert some(import_) == {"created": 2, "failed": 1, "skipped": 3}
    assert summed(import_)
    assert "3 empty rows were skipped." in [warning["message"] for warning in import_.warnings]
