"""Cells that say nothing (NULL, #N/A …) and characters nobody sees: read as empty or removed, and listed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from cdp.models import User
from imports.columns import AttributeSpec, Cleaner, Context, parse_mapping
from imports.files import Row as FileRow
from imports.models import Import, Row
from imports.report import plan_warnings
from profiles.models import Identifier, Profile
from profiles.values.attributes import display
from tests.imports.files import applied, planned, some, upload
from tests.profile_factory import make_profile

EMPTY = [
    "NULL",
    "null",
    "n/a",
    "N/A",
    "#N/A",
    "#REF!",
    "#NV",
    "#N/D!",
    "#BEZUG!",
    "#DIV/0!",
    "\\N",
    "<null>",
    "(null)",
]
EMPTY += ["NaN", "None", "(blank)", " NULL", "n.a. ", "#¡VALOR!", "#Н/Д"]
# Names of people and places, and words somebody may have chosen.
KEPT = ["Null", "Nan", "Na", "none", "NA", "Nil", "Nullmann", "n", "0", "false", "#1"]


@pytest.mark.parametrize("word", EMPTY)
def test_a_word_for_nothing_is_an_empty_cell(word: str) -> None:
    out = cleaned({"first_name": "Ann", "city": word, "attributes.plan": word, "tags": word})
    assert (out.values, out.tags, out.problems) == ({"first_name": "Ann"}, [], [])
    assert out.emptied == [(name, word.strip()) for name in ("city", "attributes.plan", "tags")]
    kept = cleaned({"first_name": "Ann", "city": word}, Context(empty_words=False))
    assert kept.values == {"first_name": "Ann", "city": word.strip()}


@pytest.mark.parametrize("word", KEPT)
def test_a_name_or_a_choice_is_a_value(word: str) -> None:
    assert cleaned({"last_name": word}).values == {"last_name": word}
    context = Context(attributes=(AttributeSpec("plan", "choice", allowed=("n/a", "Pro")),))
    assert cleaned({"attributes.plan": "n/a"}, context).values == {"attributes.plan": "n/a"}


def test_a_consent_of_null_is_no_decision() -> None:
    out = cleaned({"first_name": "Ann", "consent.email.newsletter": "NULL"})
    assert (out.consents, out.problems, out.emptied) == ([], [], [("consent.email.newsletter", "NULL")])


def cleaned(row, context=None):  # type: ignore[no-untyped-def]
    context = context or Context(attributes=(AttributeSpec("plan"),))
    mapping = parse_mapping({to: to for to in row}, list(row), context)
    return Cleaner(mapping, context).clean(FileRow(7, list(row.values())))


@pytest.mark.django_db
def test_nothing_is_overwritten_by_null_and_the_plan_counts_it() -> None:
    ada = make_profile(email="ada@example.com", first_name="Ada", city="London")
    text = "email,first_name,city\nada@example.com,NULL,#N/A\nbob@example.com,NULL,York\neve@example.com,Eve,n/a\n"
    import_ = planned(text, options={"policy": "overwrite"})
    counted = [warning for warning in import_.warnings if warning["code"] == "read_as_empty"]
    by_word = {(w["column"], w["value"]): (w["count"], w["line"]) for w in counted}
    assert by_word == {("first_name", "NULL"): (2, 2), ("city", "#N/A"): (1, 2), ("city", "n/a"): (1, 4)}
    messages = {w["value"]: w["message"] for w in counted}
    assert messages["NULL"] == (
        "2 cells, the first in line 2, with “NULL” were read as empty. "
        "To keep it as text, turn off “Read NULL, n/a and #N/A as empty”."
    )
    assert messages["#N/A"].startswith("1 cell, in line 2, with “#N/A” was read as empty.")
    assert some(applied(text, options={"policy": "overwrite"})) == {"unchanged": 1, "created": 2}
    ada.refresh_from_db()
    assert (ada.first_name, ada.city) == ("Ada", "London")
    applied(text, options={"policy": "overwrite", "empty_words": False})
    ada.refresh_from_db()
    assert (ada.first_name, ada.city) == ("NULL", "#N/A")


@pytest.mark.django_db
def test_the_columns_page_turns_it_off(ada: User, as_user: Callable[[User], Client]) -> None:
    client: Client = as_user(ada)
    import_ = upload("email,city\nada@example.com,NULL\n", user=ada)
    address = f"/admin/imports/import/{import_.pk}/columns/"
    page = client.get(address).content.decode()
    assert "Read NULL, n/a and #N/A as empty" in page
    assert "“NULL” is read as empty." in page
    form = {"policy": "fill_if_empty", "to.1": "email", "to.2": "city", "check": "1"}
    for checked, is_on in (({}, False), ({"empty_words": "on"}, True)):
        revision = Import.objects.get(pk=import_.pk).revision
        client.post(f"/admin/imports/import/{import_.pk}/map/", {**form, **checked, "revision": revision})
        assert Import.objects.get(pk=import_.pk).options["empty_words"] is is_on
        assert ("“NULL” is read as empty." in client.get(address).content.decode()) is is_on


@pytest.mark.django_db
def test_characters_nobody_sees_leave_names_and_ids_and_are_listed() -> None:
    text = (
        "customer_id,first_name,email,city\n"
        "A\x01B,An\u200bn\u202e,a\u200bda@example.com,Yo\u202erk\x02\n"
        "\ufeffC1,\u200bBob,bob@example.com,Bath\n"
    )
    import_ = applied(text)
    assert some(import_) == {"created": 2}
    ann = Profile.objects.get(email="ada@example.com")
    assert (ann.first_name, ann.city) == ("Ann", "Yo\u202erk\x02")
    assert Identifier.objects.get(profile=ann, type__name="customer_id").value == "AB"
    assert display("city", ann.city) == "Yo[U+202E]rk[U+0002]"
    bob = Profile.objects.get(email="bob@example.com")
    assert (bob.first_name, bob.identifiers.get(type__name="customer_id").value) == ("Bob", "C1")
    notices = Row.objects.get(import_id=import_.pk, line=2).notices
    assert sorted(notices, key=lambda notice: "cfe".index(notice["column"][0])) == [
        {
            "column": "customer_id",
            "value": "A[U+0001]B",
            "message": "A character that nobody sees was removed: U+0001.",
        },
        {
            "column": "first_name",
            "value": "An[U+200B]n[U+202E]",
            "message": "Characters that nobody sees were removed: U+200B, U+202E.",
        },
        {
            "column": "email",
            "value": "a[U+200B]da@example.com",
            "message": "A character that nobody sees was removed: U+200B.",
        },
    ]
    warned = {warning["column"] for warning in plan_warnings(import_)}
    assert warned == {"customer_id", "first_name", "email"}


@pytest.mark.django_db
def test_joiners_that_spell_a_name_stay() -> None:
    profile = make_profile(first_name="علی\u200cرضا", last_name="Ja\u200cne")
    assert (profile.first_name, profile.last_name) == ("علی\u200cرضا", "Jane")
