"""Export → import → export through the HTTP API: the same bytes, whatever people have stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.errors import Invalid
from cdp.jobs import run_to_end
from cdp.models import Job
from imports.models import Row
from profiles.models import AttributeDefinition, Change, Identifier, Profile
from profiles.values.attributes import attribute_specs
from tests.api.caller import Caller
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "＝1",
    "－1",
    '=HYPERLINK("http://x")',
    "=cmd|'/c calc'!A0",
    "-",
    "+",
    "=",
]
GUARDED = [
    "'=1",
    "''=1",
    "'''=1",
    "'",
    "''",
    "'-5",
    "' =1",
    "'\n=1",
    "'\nx",
    "'\t=1",
    "'plain",
    "'5",
    "'01234",
    '"\'=1"',
]
NUMBERS = [
    "007",
    "0",
    "-5",
    "1e5",
    "1.50",
    "12345678901234567890",
    "1,5",
    "+48600100200",
    "(+48) 600",
    "0x1F",
    "٣",
    "½",
]
NOTHING = [
    "NULL",
    "null",
    "#N/A",
    "n/a",
    "None",
    "NaN",
    "undefined",
    "Infinity",
    "<clear>",
    "#REF!",
    "\\N",
    "(blank)",
    "true",
]
MARKS = [
    '"',
    '""',
    '"""',
    '"a","b"',
    '"a";"b"',
    'a "b" c',
    '"x',
    'x"',
    ",",
    ";",
    "a;b,c|d",
    "a\tb",
    "|",
    ":::",
    " ::: ",
]
LINES = [
    "a\nb",
    "a\n\nb",
    "a\n=1\nb",
    "\n".join(["line"] * 50),
    "a\x0bb",
    "a\x0cb",
    "a\x1eb",
    "a\x85b",
    "a\u2028b",
]
HIDDEN = [
    "a\x01b",
    "\x1b[31mred",
    "\u202egnp.exe",
    "\u200fأحمد",
    "a\u200bb",
    "\ufeffx",
    "e\u0301",
    "\x7f",
    "a\xa0b",
]
WORDS = [
    "rejected_line",
    "sep=;",
    "Total",
    "Sum:",
    "id,type",
    "first_name",
    "recognized",
    "{",
    '{"a": 1}',
    "[1]",
    "\\u0000",
]
WORDS += [
    "田中さん",
    "😀 👨‍👩‍👧",
    "Å»aneta",
    "<script>alert(1)</script>",
    "Robert'); DROP TABLE x;--",
    "a@b.example",
    "%s{{x}}",
    r"\x00",
]
NAUGHTY = [*FORMULAS, *GUARDED, *NUMBERS, *NOTHING, *MARKS, *LINES, *HIDDEN, *WORDS, "x" * 9_000, "ą" * 240]

FORMATS: dict[str, dict[str, Any]] = {
    "csv": {"format": "csv"},
    "csv for programs": {"format": "csv", "spreadsheet_safe": False},
    "jsonl": {"format": "jsonl", "spreadsheet_safe": True},
    "jsonl for programs": {"format": "jsonl", "spreadsheet_safe": False},
}


def attributes() -> None:
    for name, kind in (
        ("remark", "text"),
        ("likes", "list"),
        ("points", "number"),
        ("happy", "boolean"),
        ("seen", "date"),
    ):
        AttributeDefinition.objects.create(name=name, type=kind)


def person(text: str, number: int) -> None:
    """Somebody who has the text wherever it may stand; what refuses it goes without it."""
    named: dict[str, Any] = {"email": f"p{number}@mail.example", "phone": f"+4860010{number % 10_000:04}"}
    for field in ("first_name", "last_name", "street", "postcode", "city", "state", "gender", "remark"):
        if _takes(field, text):
            named[field] = text
    if _takes("likes", [text, "tea"]):
        named["likes"] = [text, "tea"] if number % 2 else [text]
    tags = [text] if text.strip() and "," not in text and len(text) <= 60 and text.isprintable() else []
    named |= {"points": -1.5 if number % 2 else 1500000, "happy": number % 3 == 0, "seen": "2026-02-28"}
    customer = (
        f"{text}-{number}" if len(text) < 200 and text.isprintable() and text.isascii() else f"C{number}"
    )
    make_profile(identifiers=[("customer_id", customer)], tags=[*tags, "vip"], **named)


def _takes(field: str, value: Any) -> bool:
    from profiles.values.attributes import clean_values

    specs = attribute_specs()
    key = field if field in specs else f"attributes.{field}"
    try:
        return clean_values({key: value}, specs)[key] is not None
    except Invalid:
        return False


def caller() -> Caller:
    return Caller(
        create_key(name="back and forth", scopes=("exports", "imports", "pii"), actor=Actor.system())
    )


def exported(api: Caller, body: dict[str, Any]) -> bytes:
    started = api.post("exports/", body)
    assert started.status_code == 202, started.data
    run_to_end(Job.objects.get(pk=started.data["id"]))
    done = api.get(f"exports/{started.data['id']}/").data
    assert (done["state"], done["problem"]) == ("done", "")
    answer = api.get(done["file"]["download"])
    assert answer.status_code == 200
    data = b"".join(answer.streaming_content)
    assert len(data) == done["file"]["size"]
    return data


def imported(api: Caller, data: bytes, policy: str) -> dict[str, Any]:
    answer = api.client.post(
        "/api/v1/imports/",
        {"file": SimpleUploadedFile("people.txt", data), "options": json.dumps({"policy": policy})},
        headers={"Authorization": f"Bearer {api.key.secret}"} if api.key else {},
    )
    assert answer.status_code == 201, answer.content
    run_to_end(Job.objects.get(pk=answer.json()["job_id"]))
    planned: dict[str, Any] = api.get(f"imports/{answer.json()['id']}/").data
    assert (planned["state"], planned["problem"]) == ("planned", "")
    return planned


def check(api: Caller, body: dict[str, Any]) -> None:
    """Out, in and out again; both ways of meeting a value that is there."""
    before = exported(api, body)
    counts = (Profile.objects.count(), Identifier.objects.count(), Change.objects.count())
    for policy in ("fill_if_empty", "overwrite"):
        plan = imported(api, before, policy)
        left = Row.objects.filter(import_id=plan["id"]).exclude(outcome="unchanged")
        assert [(row.line, row.outcome, row.diff, row.problems) for row in left] == []
        assert plan["counts"]["unchanged"] == plan["counts"]["rows"] == Profile.objects.count()
        assert plan["alternates"] == []
    applied = api.post(f"imports/{plan['id']}/apply/", {})
    assert applied.status_code == 202, applied.data
    run_to_end(Job.objects.get(pk=applied.data["job_id"]))
    assert counts == (Profile.objects.count(), Identifier.objects.count(), Change.objects.count())
    assert exported(api, body) == before


@pytest.mark.parametrize("name", FORMATS)
def test_whatever_people_have_comes_back(name: str) -> None:
    attributes()
    for number, text in enumerate(NAUGHTY):
        person(text, number)
    make_profile(first_name="Without", phone="+48600999999")
    check(caller(), FORMATS[name])


def test_a_file_for_programs_has_every_cell_as_it_is() -> None:
    attributes()
    make_profile(remark="'=1+1", first_name="=2", phone="+48600100200", email="a@mail.example")
    fields = ["first_name", "phone", "remark"]
    safe = exported(caller(), {"fields": fields}).decode()
    plain = exported(caller(), {"fields": fields, "spreadsheet_safe": False}).decode()
    own = Profile.objects.get().pk
    assert safe == f"\ufeffid,type,first_name,phone,remark\r\n{own},recognized,'=2,(+48) 600100200,''=1+1\r\n"
    assert plain == f"type,id,first_name,phone,remark\r\nrecognized,{own},=2,+48600100200,'=1+1\r\n"


def test_json_lines_have_types() -> None:
    attributes()
    ann = make_profile(
        email="a@mail.example",
        likes=["tea", "a;b"],
        points=1.5,
        happy=False,
        tags=["vip", "old"],
        phone="+48600100200",
    )
    fields = ["email", "phone", "likes", "points", "happy", "tags", "seen", "customer_id"]
    (line,) = exported(caller(), {"format": "jsonl", "fields": fields}).decode().splitlines()
    assert json.loads(line) == {
        "id": ann.pk,
        "type": "recognized",
        "customer_id": None,
        "email": "a@mail.example",
        "phone": "+48600100200",
        "likes": ["tea", "a;b"],
        "points": 1.5,
        "happy": False,
        "seen": None,
        "tags": ["vip", "old"],
    } | {"tags": ["old", "vip"]}


anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
tricky = st.text(st.sampled_from("'=+-@\t\n\r\",;:| ＝0aé\u202e\x0b\x1c\x85{}[]\\"), max_size=12)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(texts=st.lists(anything | tricky, min_size=1, max_size=6), name=st.sampled_from(sorted(FORMATS)))
def test_any_text_comes_back(texts: list[str], name: str) -> None:
    from django.db import transaction

    with transaction.atomic():
        attributes()
        for number, text in enumerate(texts):
            person(text, number)
        check(caller(), FORMATS[name])
        transaction.set_rollback(True)
