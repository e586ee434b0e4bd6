"""Every kind of value: its normal form, the sentence for what has none, and idempotence over any text."""

import json
import os
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.identity import normalize as n
from profiles.identity.normalize import BadValue, normalize
from profiles.identity.phones import _E164, _is_settled, _read

CORPORA = os.environ.get("CDP_CORPORA", "")
needs_corpora = pytest.mark.skipif(
    not CORPORA, reason="set CDP_CORPORA to the folder with the public corpora (isemail, blns, fuzzdb …)"
)


def complaint(kind, raw, **options):
    with pytest.raises(BadValue) as caught:
        normalize(kind, raw, **options)
    assert str(caught.value) == caught.value.message
    return caught.value.message


NORMAL = {
    "email": [
        ("ann@example.com", "ann@example.com"),
        (" Ann@Example.COM\n", "ann@example.com"),
        ("ann＠example.com", "ann@example.com"),
        ("ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ", "ann@example.com"),
        ("ann\u200b@example.com\ufeff", "ann@example.com"),
        ("an\x00na@example.com", "anna@example.com"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("ann@例え.テスト", "ann@xn--r8jz45g.xn--zckzah"),
        ("zoe\u0308@example.com", "zoë@example.com"),
        ("a.b+c_d-e/f@sub.example.co.uk", "a.b+c_d-e/f@sub.example.co.uk"),
        ("ann@company.test", "ann@company.test"),
        ("ann@printer.local", "ann@printer.local"),
        ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
    ],
    "phone": [
        ("+48600100200", "+48600100200"),
        ("+48 600-100-200", "+48600100200"),
        ("(+49) 030/123456", "+4930123456"),
        ("0048 600 100 200", "+48600100200"),
        ("＋４８６００１００２００", "+48600100200"),
        ("٠٠٤٨٦٠٠١٠٠٢٠٠", "+48600100200"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+39 06 1234 5678", "+390612345678"),
    ],
    "country": [
        ("PL", "PL"),
        ("pl", "PL"),
        ("POL", "PL"),
        ("Poland", "PL"),
        ("UK", "GB"),
        ("England", "GB"),
        ("U.S.A.", "US"),
        ("united states of america", "US"),
        ("Holland", "NL"),
        ("Czech Republic", "CZ"),
        ("Czechia", "CZ"),
        ("cote d’ivoire", "CI"),
        ("Türkiye", "TR"),
        ("Turkey", "TR"),
        ("South Korea", "KR"),
        ("Kosovo", "XK"),
    ],
    "birth_date": [
        ("1990-02-28", "1990-02-28"),
        (" 1990-02-28T00:00:00 ", "1990-02-28"),
        ("1900-01-01", "1900-01-01"),
    ],
    "date": [("2031-12-31", "2031-12-31"), ("1800-01-01 00:00", "1800-01-01")],
    "datetime": [
        ("2026-03-01T14:30:00Z", "2026-03-01T14:30:00Z"),
        ("2026-03-01 14:30", "2026-03-01T14:30:00Z"),
        ("2026-03-01", "2026-03-01T00:00:00Z"),
        ("2026-03-01T14:30:00.25+02:00", "2026-03-01T12:30:00.250000Z"),
    ],
    "number": [
        ("12.50", "12.5"),
        ("-3", "-3"),
        ("0", "0"),
        ("0.0", "0"),
        ("123456789012345", "123456789012345"),
    ],
    "boolean": [("TRUE", "true"), ("yes", "true"), ("1", "true"), ("No", "false"), ("0", "false")],
    "language": [
        ("PL", "pl"),
        ("en_gb", "en-GB"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("German", "de"),
        ("deu", "de"),
    ],
    "gender": [(" non-binary ", "non-binary")],
    "text": [
        (" Ann ", "Ann"),
        ("cafe\u0301", "café"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("00123", "00123"),
        ("-0", "-0"),
        ("=1+1", "=1+1"),
        ("\u202etest", "\u202etest"),
        ("\x1b[31mred", "\x1b[31mred"),
    ],
    "exact": [(" C-1001\t", "C-1001"), ("\u200bAb ", "Ab"), ("A\x01B\u202e1\u200d2", "AB12")],
    "lower": [(" ÄBC-1 ", "äbc-1")],
    "reference": [("A1001", "A1001"), ("3f2a-77_b", "3f2a-77_b"), ("Żółć9", "Żółć9")],
    "list": [("a, b,,a", "a;b"), ("a,b;c", "a,b;c"), ("a,b;", "a,b;"), ("one", "one")],
    "tags": [("vip,  Big  spender ,VIP,", "vip,Big spender")],
}


@pytest.mark.parametrize(
    ("kind", "raw", "normal"), [(kind, *pair) for kind, pairs in NORMAL.items() for pair in pairs]
)
def test_normal_form(kind, raw, normal):
    assert normalize(kind, raw) == normal
    assert normalize(kind, normal) == normal


SENTENCES = [
    ("email", "anna.example.com", "Not an e-mail address: “@” is missing."),
    ("email", "  ", "Not an e-mail address: it is empty."),
    ("email", "a@@b.pl", "Not an e-mail address: there is more than one “@”."),
    ("email", "a@b.pl; c@d.pl", "Not an e-mail address: there is more than one “@”."),
    ("email", "an na@example.com", "Not an e-mail address: there is a space in it."),
    (
        "email",
        "Ann <ann@example.com>",
        "Not an e-mail address: write the address alone, without a name and “<>”.",
    ),
    ("email", "@example.com", "Not an e-mail address: nothing is before the “@”."),
    ("email", "ann@", "Not an e-mail address: nothing is after the “@”."),
    ("email", "ann..b@example.com", "Not an e-mail address: a dot is out of place."),
    ("email", "ann@gmail", "Not an e-mail address: the domain “gmail” has no dot."),
    ("email", "an,na@example.com", "Not an e-mail address: “,” cannot stand before the “@”."),
    ("email", "ann@exa_mple.com", "Not an e-mail address: “exa_mple.com” is not a valid domain."),
    (
        "email",
        "ann@192.0.2.1",
        "Not an e-mail address: the domain must be a name, not the number of a machine.",
    ),
    (
        "email",
        "ann@[192.0.2.1]",
        "Not an e-mail address: the domain must be a name, not the number of a machine.",
    ),
    (
        "email",
        "x" * 65 + "@example.com",
        "Not an e-mail address: more than 64 characters are before the “@”.",
    ),
    ("email", "ann@" + "x." * 125 + "pl", "Not an e-mail address: it is longer than 254 characters."),
    (
        "phone",
        "600 100 200",
        "Not a phone number: the country code is missing. Write it like +48 600 100 200.",
    ),
    ("phone", "00123", "Not a phone number: it has too few digits."),
    ("phone", "+48 600 100 200 300 400", "Not a phone number: it has too many digits."),
    ("phone", "+1 555 0123", "Not a phone number: the area code is missing."),
    ("phone", "+999 123 456", "Not a phone number: no country has the code it starts with."),
    ("phone", "call me", "Not a phone number: there are letters in it."),
    ("phone", "+48600100200 ext. 5", "Not a phone number: leave out the extension “ext. 5”."),
    (
        "phone",
        "4.86E+10",
        "Not a phone number: a spreadsheet shortened it and lost digits. Format the column as text and export again.",
    ),
    ("phone", "+48;600100200", "Not a phone number: “;” cannot stand in one."),
    ("country", "Atlantis", "Not a country. Write its English name or ISO code, for example Poland or PL."),
    ("birth_date", "31/02/1990", "Not a date. Write YYYY-MM-DD, for example 1990-02-28."),
    ("birth_date", "1990-02-31", "Not a date. Write YYYY-MM-DD, for example 1990-02-28."),
    ("birth_date", "19900228", "Not a date. Write YYYY-MM-DD, for example 1990-02-28."),
    (
        "birth_date",
        "1990-02-28T23:00:00Z",
        "This is a moment, not a date: which day it was depends on the place. Write YYYY-MM-DD, or midnight UTC, for example 1990-02-28T00:00:00Z.",
    ),
    (
        "birth_date",
        "1899-12-31",
        "A birth date before 1900 is not accepted. Write YYYY-MM-DD, for example 1990-02-28.",
    ),
    ("birth_date", "2999-01-01", "A birth date cannot be in the future."),
    ("datetime", "tomorrow", "Not a date and time. Write it like 2026-03-01T14:30:00Z."),
    ("datetime", "0001-01-01T00:00+14:00", "Not a date and time. Write it like 2026-03-01T14:30:00Z."),
    (
        "number",
        "1,234.5",
        "Not a plain number. Write “.” before decimals and nothing between thousands, for example 1234.5.",
    ),
    (
        "number",
        "1.234,5",
        "Not a plain number. Write “.” before decimals and nothing between thousands, for example 1234.5.",
    ),
    (
        "number",
        "1e309",
        "Not a plain number: write it out without an exponent, for example 1500 instead of 1.5E3.",
    ),
    ("number", "-0", "Not a plain number: write 0 without a sign."),
    (
        "number",
        "00123",
        "Not a plain number: it starts with a zero, like a code. Keep codes in a text attribute.",
    ),
    (
        "number",
        "1234567890123456",
        "Not a plain number: more than 15 digits, like a code. Keep codes in a text attribute.",
    ),
    ("number", "0x1F", "Not a number. Write digits, with “.” before the decimals, for example 1234.5."),
    ("number", "NaN", "Not a number. Write digits, with “.” before the decimals, for example 1234.5."),
    ("number", "١٢", "Not a number. Write digits, with “.” before the decimals, for example 1234.5."),
    ("boolean", "maybe", "Not a yes or no. Write true or false."),
    ("language", "Klingon", "Not a language. Write a two-letter code, for example pl or en-GB."),
    ("text", "a\x00b", "The value has a control character (U+0000). Remove it."),
    ("text", "ż\x00", "The value has a control character (U+0000). Remove it."),
    ("text", "a\ud800b", "The value has half of a broken character (U+D800). Remove it."),
    ("text", "x" * 10_001, "Longer than 10,000 characters (this one has 10,001). Shorten it."),
    ("list", "x" * 1001, "Longer than 1,000 characters (this one has 1,001). Shorten it."),
    ("exact", "a\tb", "The value has a control character (U+0009). Remove it."),
    ("exact", "x" * 256, "Longer than 255 characters (this one has 256). Shorten it."),
    (
        "reference",
        "A 1001!",
        "Not a reference_id. Use letters and digits only (“-” and “_” may stand between them).",
    ),
    ("tags", "x" * 61, "A tag has at most 60 characters; one here has 61."),
    ("tags", ",".join(map(str, range(101))), "A row gives at most 100 tags; this one has 101."),
]


@pytest.mark.parametrize(("kind", "raw", "sentence"), SENTENCES)
def test_sentence(kind, raw, sentence):
    assert complaint(kind, raw) == sentence


def test_unknown_kind():
    with pytest.raises(ValueError, match="unknown kind 'colour'"):
        normalize("colour", "red")


def test_phone_region():
    assert normalize("phone", "600 100 200", region="PL") == "+48600100200"
    assert normalize("phone", "600 100 200", region="pl") == "+48600100200"
    assert normalize("phone", "+44 20 7946 0958", region="PL") == "+442079460958"
    assert complaint("phone", "12", region="PL") == "Not a phone number: it has too few digits."


def test_birth_date_today_and_tomorrow():
    today = datetime.now(UTC).date()
    assert normalize("birth_date", today.isoformat()) == today.isoformat()
    tomorrow = today + timedelta(days=2)
    assert complaint("birth_date", tomorrow.isoformat()) == "A birth date cannot be in the future."


def test_choice_takes_any_case_and_gives_the_registered_spelling():
    assert n.choice(" PRO ", ["Basic", "Pro"]) == "Pro"
    with pytest.raises(BadValue) as caught:
        n.choice("gold", ["Basic", "Pro"])
    assert caught.value.message == "Not one of the allowed values: Basic, Pro."


def test_limits_of_default_attributes():
    assert n.default_cleaner("postcode")("30-001") == "30-001"
    with pytest.raises(BadValue) as caught:
        n.default_cleaner("postcode")("9" * 21)
    assert caught.value.message == "Longer than 20 characters (this one has 21). Shorten it."
    assert n.default_cleaner("phone", region="PL")("600100200") == "+48600100200"


def test_country_names():
    assert n.country_name("GB") == "United Kingdom"
    assert n.country_name("CZ") == "Czechia"
    assert n.country_name("??") == "??"
    choices = n.country_choices()
    assert len(choices) > 240
    for code, name in choices:
        assert n.country(name) == n.country(code) == code


# Attributes with a type


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("text", " a ", "a"),
        ("number", "12.50", 12.5),
        ("number", 12, 12),
        ("number", 1e3, 1000.0),
        ("number", -0.0, 0),
        ("boolean", "no", False),
        ("boolean", True, True),
        ("date", "2026-01-31", "2026-01-31"),
        ("datetime", "2026-01-31T10:00+01:00", "2026-01-31T09:00:00Z"),
        ("choice", "pro", "Pro"),
        ("list", "a,b", ["a", "b"]),
        ("list", ["a,b", "a,b", " "], ["a,b"]),
    ],
)
def test_attribute_values(kind, raw, value):
    allowed = ("Pro",) if kind == "choice" else ()
    cleaned = n.attribute(kind, raw, allowed=allowed)
    assert (cleaned, type(cleaned)) == (value, type(value)) or cleaned == value
    assert json.loads(json.dumps(cleaned)) == value


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("text", 5),
        ("number", True),
        ("number", float("nan")),
        ("number", float("inf")),
        ("number", 1e300),
        ("boolean", 1),
        ("list", [1]),
        ("date", 20260131),
        ("number", None),
    ],
)
def test_json_of_another_type_is_not_bent_to_fit(kind, raw):
    with pytest.raises(BadValue):
        n.attribute(kind, raw)


# Properties

near_misses = st.one_of(
    st.text(max_size=40),
    st.text("aAbİßςΣﬁ＠@..-+ \u200b０1٢", max_size=20),
    st.builds(
        "{}@{}.{}".format,
        st.text(min_size=1, max_size=8),
        st.text(min_size=1, max_size=8),
        st.text("abcüß", min_size=2, max_size=4),
    ),
    st.builds("+{}".format, st.text("0123456789 -()", min_size=5, max_size=16)),
    st.from_regex(r"-?[0-9]{1,8}(\.[0-9]{1,8})?", fullmatch=True),
    st.datetimes().map(str),
)


@settings(max_examples=1500)
@given(st.sampled_from(sorted(n.KINDS)), near_misses)
def test_any_text_has_one_normal_form_or_a_sentence(kind, raw):
    try:
        value = normalize(kind, raw)
    except BadValue as bad:
        sentence = bad.message
    else:
        sentence = "Fine."
        assert normalize(kind, value) == value
        value.encode()
        assert "\x00" not in value
    assert sentence.endswith(".")
    assert sentence[0].isupper() or sentence.startswith("“")


@settings(max_examples=400)
@given(st.lists(st.text("ab ,", min_size=1, max_size=5), max_size=4))
def test_lists_come_back_from_their_cell(values):
    wanted = list(dict.fromkeys(value.strip() for value in values if value.strip()))
    assert n.items(n.join_items(wanted)) == wanted


@settings(max_examples=1500)
@given(st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)), st.integers(10**3, 10**12))
def test_the_quick_look_at_a_phone_number_agrees_with_the_library(code, national):
    raw = f"+{code}{national}"
    if _E164.fullmatch(raw) and _is_settled(raw):
        assert _read(raw, "") == raw


# Public corpora


@needs_corpora
@pytest.mark.parametrize("name", ["tests.xml", "tests-original.xml"])
def test_isemail(name):
    """Addresses that are right are taken, those that are wrong for any purpose are not."""
    tree = ElementTree.parse(Path(CORPORA) / "isemail" / "test" / name)
    for test in tree.getroot().iter("test"):
        raw, category = test.findtext("address") or "", test.findtext("category") or ""
        raw = "".join(chr(ord(char) - 0x2400) if 0x2400 <= ord(char) <= 0x2420 else char for char in raw)
        try:
            taken = normalize("email", raw)
        except BadValue:
            taken = ""
        if category == "ISEMAIL_VALID_CATEGORY":
            # One of them has no dot in its domain, which people only write by mistake.
            assert taken or "." not in raw.partition("@")[2], raw
        elif category == "ISEMAIL_ERR":
            # Space around an address is cut off, not an error.
            assert not taken or raw != raw.strip(), raw


@needs_corpora
def test_naughty_strings_stay_as_they_are():
    strings = json.loads((Path(CORPORA) / "blns" / "blns.json").read_text())
    for raw in strings:
        assert normalize("text", raw) == raw.strip()
        for kind in n.KINDS:
            try:
                value = normalize(kind, raw)
            except BadValue:
                continue
            assert normalize(kind, value) == value
    assert len(strings) >= 500
