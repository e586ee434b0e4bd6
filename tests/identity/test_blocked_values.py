"""What identifies nobody: stand-ins, spreadsheet errors, shortened numbers; and what looks like one and is an id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.identity.blocked_values import compile_patterns, ignored_sentence, is_blocked
from profiles.identity.text import BadValue

STAND_INS = """
NULL|n/a|Undefined|N.A.|n.a|N/A|(null)|[null]|<null>|{null}|"null"|'N/A'|-none-|None|NaN|nil|(blank)|(none)|not set
(not provided)|not available|TBD|tbc|?|--|-|…|—|***|xxx|XX|aaaa|test|asdf|Guest|unknown|[object Object]|\\N|N\\A|true
kein|keine|Keine Angabe|k.A.|k. A.|nicht vorhanden|unbekannt|brak|BRAK DANYCH|b/d|nie dotyczy|nieznany|aucun|inconnu
non renseigné|ninguno|s/d|sin datos|vacío|nessuno|n.d.|nenhum|geen|n.v.t.|ingen|žádný|нет данных|{{user_id}}|${id}
%EMAIL%|[[name]]|<customer id>
"""
ERRORS = """
#N/A|#REF!|#VALUE!|#NAME?|#DIV/0!|#NULL!|#NUM!|#SPILL!|#CALC!|#GETTING_DATA|#ERROR!|#NV|#BEZUG!|#WERT!|#ZAHL!|#N/D
#ARG!|#ADR!|#NAZWA?|#LICZBA!|#DZIEL/0!|#¡VALOR!|#¿NOMBRE?|#VALEUR!|#NOM?|#NOMBRE!|#VALORE!|#ИМЯ?|#Н/Д|Err:502|########
"""
NUMBERS = "-1|0|0000|00-00|+000|00000000-0000-0000-0000-000000000000|9.87654E+11|1,23E+08|4.9151234E10|1E+12"
ADDRESSES = """
no@no.com|a@a.com|na@na.com|x@x.xx|test@example.com|Test@Test.com|NO@EMAIL.COM|none@none.com|noemail@noemail.com
noreply@firm.example|no-reply@mail.firm.example|none@firm.pl|asdf@asdf.com|abc@abc.pl|aaa@gmail.com|111@111.com
user@example.org|john.doe@example.com|no.email@gmail.com|noemail12@gmail.com|unknown@unknown.com|email@email.com
"""
PHONES = """
000000000|123456789|111111111|5555555555|(555) 555-5555|+48 111 111 111|+1 555 555 5555|+48123456789|0123456789
987654321|0048 999 999 999|99999|1-111-111-1111
"""
SOMEBODYS = """
10|100|01|1e5|12e4|7e3|C-0|C-1|ada|x|NA1|ka|nd|nana|123456789|111111111|#1001|550e8400-e29b-41d4-a716-446655440000|u_1
Nemo|5.10.2020|12.34|a/b|AB|testa|ann@example.com|nullmann@example.com|a@example.com|no@web.de|no.olsen@firm.no
kowalski@kowalski.pl|info@firm.example|d@x.example|test@brown-family.net|norely@x.pl|no@example.com|a@b.pl
"""
NUMBERS_OF_PEOPLE = "+48600100200|600 100 200|+1 415 555 2671|+49 30 123456|+48 22 1112233|+447911123456|+48 123 456 780|+48601234567|+49 30 1234567|1 415 555 2671"


def values(*tables: str) -> list[str]:
    return [value for table in tables for value in table.strip().replace("\n", "|").split("|")]


@pytest.mark.parametrize("value", ["", " ", *values(STAND_INS, ERRORS, NUMBERS, ADDRESSES)])
def test_what_identifies_nobody_in_any_type(value: str) -> None:
    for kind in ("exact", "lower", "email", "phone"):
        assert is_blocked(value, kind=kind)
    assert is_blocked(f"  {value.upper()} ")


@pytest.mark.parametrize("value", values(SOMEBODYS))
def test_what_only_looks_like_it(value: str) -> None:
    assert not is_blocked(value)


def test_numbers_nobody_has_are_blocked_as_phones_only() -> None:
    assert [value for value in values(PHONES) if not is_blocked(value, kind="phone")] == []
    assert [value for value in values(NUMBERS_OF_PEOPLE) if is_blocked(value, kind="phone")] == []
    assert not is_blocked("123456789", kind="exact")


@given(st.integers(1, 99), st.integers(1, 10**6), st.integers(1, 30), st.sampled_from(".,"))
def test_a_shortened_number_in_any_spelling(whole: int, part: int, power: int, mark: str) -> None:
    digit = str(whole)[0]
    for value in (f"{digit}{mark}{part}E+{power:02}", f"{digit}{mark}{part}e{power}"):
        assert is_blocked(value)


@given(st.uuids())
def test_no_uuid_is_a_stand_in(value: object) -> None:
    assert is_blocked(str(value)) == (not str(value).strip("0-"))
    assert is_blocked(str(value).replace("-", "")) == (not str(value).strip("0-"))


def test_an_own_list_is_added_to_the_products() -> None:
    patterns = compile_patterns(["demo-.*"])
    assert is_blocked("No card", frozenset(["no card"]), patterns)
    assert is_blocked("DEMO-7", frozenset(["no card"]), patterns)
    assert is_blocked("#N/A", frozenset(["no card"]), patterns)
    assert not is_blocked("LC-7", frozenset(["no card"]), patterns)


def test_the_sentence_says_what_to_do() -> None:
    assert ignored_sentence("#N/A") == "“#N/A” is a placeholder that identifies nobody; it was ignored."
    assert ignored_sentence("9.87654E+11") == (
        "“9.87654E+11” is a number that a spreadsheet shortened, so it identifies nobody; it was ignored. "
        "Format the column as text and export again."
    )


def test_bad_patterns() -> None:
    with pytest.raises(BadValue) as caught:
        compile_patterns(["fine", "(open"])
    assert caught.value.message == (
        "“(open” is not a regular expression we can run (no look-around, no back-references)."
    )
    with pytest.raises(BadValue) as caught:
        compile_patterns(["x" * 201])
    assert caught.value.message == "A pattern has at most 200 characters; this one has 201."
