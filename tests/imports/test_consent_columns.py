"""Columns that say who may be contacted: recognized, read in many languages, and never left out by accident."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.actors import Actor
from cdp.errors import Conflict
from imports.columns import (
    CellProblem,
    Cleaner,
    Context,
    MappingError,
    consent_reader,
    guess_mapping,
    ignored_consents,
    parse_mapping,
)
from imports.files import Row
from imports.mappings import map_import
from imports.models import Import
from profiles.identity.text import BadValue
from profiles.models import Consent, Profile
from tests.imports.files import applied, apply, plan, upload

NEWSLETTER = "consent.email.newsletter"
CONTEXT = Context()


def guessed(header: str, *values: str) -> dict[str, Any]:
    return guess_mapping([header], [[value] for value in values], CONTEXT)[header]


@pytest.mark.parametrize(
    ("header", "values", "to"),
    [
        ("Accepts Email Marketing", ("yes", "no"), NEWSLETTER),
        ("Newsletter", ("ja", "nein"), NEWSLETTER),
        ("Werbung erlaubt", ("ja", "nein"), NEWSLETTER),
        ("Zgoda marketingowa SMS", ("tak", "nie"), "consent.sms.marketing"),
        ("Inscrit à la newsletter", ("oui", "non"), NEWSLETTER),
        ("Suscrito", ("sí", "no"), NEWSLETTER),
        ("Subscription status", ("subscribed", "unsubscribed", "cleaned"), NEWSLETTER),
        ("Status", ("Active", "Unsubscribed", "Bounced"), NEWSLETTER),
        ("is_subscribed", ("1", "0"), NEWSLETTER),
        ("Email Marketing", ("yes", "no"), NEWSLETTER),
        ("Souhlas se zasíláním novinek", ("ano", "ne"), NEWSLETTER),
    ],
)
def test_a_yes_is_recognized(header: str, values: tuple[str, ...], to: str) -> None:
    assert guessed(header, *values) == {"to": to}


@pytest.mark.parametrize(
    ("header", "values", "to"),
    [
        ("Unsubscribed from all email", ("true", "false"), NEWSLETTER),
        ("HasOptedOutOfEmail", ("1", "0"), NEWSLETTER),
        ("Email Opt Out", ("x",), NEWSLETTER),
        ("Do not email", (), NEWSLETTER),
        ("opted_out_sms", ("yes",), "consent.sms.marketing"),
        ("DoNotCall", ("1", "0"), "consent.phone.marketing"),
        ("Keine Werbung", ("ja",), NEWSLETTER),
        ("Abgemeldet", ("ja", "nein"), NEWSLETTER),
        ("Désabonné", ("oui",), NEWSLETTER),
        ("Wypisany", ("tak",), NEWSLETTER),
        ("Uitgeschreven", ("ja",), NEWSLETTER),
        ("No molestar", ("sí",), NEWSLETTER),
    ],
)
def test_a_no_is_recognized(header: str, values: tuple[str, ...], to: str) -> None:
    assert guessed(header, *values) == {"to": to, "meaning": "opted_out"}


@pytest.mark.parametrize(
    "header",
    ["UNSUB_TIME", "Unsubscribed at", "Data wypisu", "Abgemeldet am", "Fecha de baja", "Désinscription"],
)
def test_a_date_of_unsubscribing_is_recognized(header: str) -> None:
    assert guessed(header, "2025-03-01 10:00:00", "2024-01-01") == {"to": f"{NEWSLETTER}.withdrawn_at"}


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("Subscription plan", ("pro", "basic")),
        ("Subscription ID", ("12", "13")),
        ("Status", ("active", "past due")),
        ("Note", ("no", "yes")),
        ("Fax", ("yes",)),
    ],
)
def test_other_columns_are_no_consents(header: str, values: tuple[str, ...]) -> None:
    assert guessed(header, *values) == {"to": "ignore"}
    mapping = parse_mapping({header: "ignore"}, [header], CONTEXT)
    assert ignored_consents(mapping, [[value] for value in values]) == {}


@pytest.mark.parametrize(
    ("headers", "left"),
    [
        (["Zgoda RODO"], ["Zgoda RODO"]),
        (["GDPR consent to newsletter"], []),
        (["Accepts terms"], ["Accepts terms"]),
        (["Opted out of email: One to One"], ["Opted out of email: One to One"]),
        (["DOUBLE_OPT-IN"], ["DOUBLE_OPT-IN"]),
        (["DOUBLE_OPT-IN", "OPT_IN"], []),
        (["Fax consent"], ["Fax consent"]),
        (["WhatsApp consent"], []),
        (["Marked email as spam"], ["Marked email as spam"]),
    ],
)
def test_what_only_a_person_can_decide_is_left_to_them(headers: list[str], left: list[str]) -> None:
    """It is not guessed, and an import that leaves it out has to be confirmed."""
    rows = [["yes"] * len(headers), ["no"] * len(headers)]
    mapping = parse_mapping(guess_mapping(headers, rows, CONTEXT), headers, CONTEXT)
    assert [headers[index] for index in ignored_consents(mapping, rows)] == left
    assert [column.key for column in mapping.used] == [
        header for header in headers if header not in (*left, "DOUBLE_OPT-IN")
    ]


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (
            "ja oui sí si tak ano igen kyllä да はい Yes TRUE x 1 subscribed opted_in Opt-In angemeldet zapisana ✓",
            "granted",
        ),
        (
            "nein non nie ne nem ei нет いいえ No false 0 unsubscribed opted-out abgemeldet wypisany désabonnée baja "
            "not_subscribed ✗",
            "withdrawn",
        ),
        ("never_subscribed cleaned pending bounced Unconfirmed HARD_BOUNCED nieznany unbekannt", "none"),
    ],
)
def test_words_of_many_languages(words: str, state: str) -> None:
    read = consent_reader()
    assert {word: read(word) for word in words.split()} == dict.fromkeys(words.split(), state)


def test_a_yes_to_the_opposite_question_is_a_no() -> None:
    read = consent_reader("opted_out")
    assert [read(word) for word in ("yes", "1", "tak", "unsubscribed")] == ["withdrawn"] * 4
    assert [read(word) for word in ("no", "0", "nie", "subscribed")] == ["none"] * 4
    given_words = consent_reader(values={"Gold": "granted", "subscribed": "none"})
    assert [given_words(word) for word in ("gold", "SUBSCRIBED", "no")] == ["granted", "none", "withdrawn"]


@given(st.text(max_size=20))
def test_a_no_is_never_read_as_a_yes(word: str) -> None:
    """Whatever a cell says: what asks who left never grants anything."""
    with suppress(BadValue):
        assert consent_reader("opted_out")(word) in ("withdrawn", "none")


def cleaned(cells: dict[str, str], **entries: Any) -> Any:
    mapping = parse_mapping({key: entries.get(key, key) for key in cells}, list(cells), CONTEXT)
    return Cleaner(mapping, CONTEXT).clean(Row(2, list(cells.values())))


def test_a_no_outlives_the_bad_cell_beside_it() -> None:
    name, at, left, proof = (
        "first_name",
        f"{NEWSLETTER}.at",
        f"{NEWSLETTER}.withdrawn_at",
        f"{NEWSLETTER}.proof",
    )
    out = cleaned({name: "Ann", NEWSLETTER: "no", at: "soon"})
    assert out.consents == [("email", "newsletter", "withdrawn", None, "")]
    assert out.warnings == [
        CellProblem(at, "soon", "Not a date and time. Write it like 2026-03-01T14:30:00Z.")
    ]
    out = cleaned({name: "Ann", left: "last week"})
    assert (out.consents, out.problems) == ([("email", "newsletter", "withdrawn", None, "")], [])
    assert [warning.column for warning in out.warnings] == [left]
    out = cleaned({name: "Ann", NEWSLETTER: "yes", proof: "form", left: "2025-03-01"})
    assert out.consents == [("email", "newsletter", "withdrawn", "2025-03-01T00:00:00Z", "form")]
    again = {NEWSLETTER: "yes", at: "2025-04-01", proof: "form", left: "2025-03-01"}
    assert cleaned({name: "Ann", **again}).consents[0][2:4] == ("granted", "2025-04-01T00:00:00Z")
    out = cleaned(
        {name: "Ann", NEWSLETTER: "2025-03-01"}, **{NEWSLETTER: {"to": NEWSLETTER, "meaning": "opted_out"}}
    )
    assert out.consents == [("email", "newsletter", "withdrawn", "2025-03-01T00:00:00Z", "")]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            {"to": NEWSLETTER, "meaning": "no"},
            "The meaning of a consent column must be one of opted_in, opted_out.",
        ),
        (
            {"to": "city", "meaning": "opted_out"},
            "Only a column that says yes or no to a consent has a meaning.",
        ),
        (
            {"to": NEWSLETTER, "values": {"a": "maybe"}},
            'The values of a consent column are written {"word": "granted", "other": "withdrawn"}.',
        ),
        (
            {"to": "city", "values": {"a": "granted"}},
            "Only a column that says yes or no to a consent has values to explain.",
        ),
    ],
)
def test_what_cannot_be_said_of_a_column(entry: dict[str, Any], sentence: str) -> None:
    with pytest.raises(MappingError) as caught:
        parse_mapping({"x": entry}, ["x"], CONTEXT)
    assert caught.value.problems == [("x", sentence)]


# --- Whole imports ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_whoever_opted_out_is_withdrawn() -> None:
    text = (
        "email,HasOptedOutOfEmail,UNSUB_TIME\nann@example.com,1,2025-03-01 10:00:00\nbob@example.com,0,\n"
        "eve@example.com,0,2025-03-02 10:00:00\n"
    )
    import_ = applied(text)
    assert import_.counts["failed"] == 0
    found = {
        consent.profile.email: (consent.state, consent.at.isoformat()) for consent in Consent.objects.all()
    }
    assert found == {
        "ann@example.com": ("withdrawn", "2025-03-01T10:00:00+00:00"),
        "eve@example.com": ("withdrawn", "2025-03-02T10:00:00+00:00"),
    }


@pytest.mark.django_db
def test_an_unknown_word_lets_the_person_in_and_is_listed() -> None:
    import_ = applied("email,newsletter\nann@example.com,nie\nbob@example.com,tak\neve@example.com,qwerty\n")
    assert (import_.counts["created"], import_.counts["failed"]) == (3, 0)
    listed = [warning for warning in import_.warnings if warning["line"] == 4] if import_.warnings else []
    assert [(item["column"], item["count"]) for item in listed] == [("newsletter", 1)]
    assert Consent.objects.get().profile.email == "ann@example.com"


@pytest.mark.django_db
def test_what_looks_like_a_consent_is_left_out_only_when_somebody_says_so() -> None:
    text = "email,Unsubscribed\nann@example.com,yes\nbob@example.com,no\n"
    actor = Actor.system()
    import_ = plan(upload(text, mapping={"email": "email"}, options={"auto_apply": True}))
    assert import_.state == Import.State.PLANNED, "it does not apply itself"
    (warning,) = [item for item in import_.warnings if item["code"] == "consent_left_out"]
    assert (warning["column"], warning["suggestion"]) == ("Unsubscribed", NEWSLETTER)
    with pytest.raises(Conflict) as caught:
        apply(import_)
    assert caught.value.message == (
        "“Unsubscribed” looks like a consent and is left out, so a “no” there would be lost. Choose where it goes, or "
        "confirm that it is left out, under Columns, and plan the import again."
    )
    assert not Profile.objects.exists()
    mapping = {"email": "email", "Unsubscribed": {"to": "ignore", "confirmed": True}}
    map_import(import_id=import_.pk, mapping=mapping, options={"auto_apply": False}, actor=actor)
    import_.refresh_from_db()
    assert apply(plan(import_)).counts["created"] == 2
