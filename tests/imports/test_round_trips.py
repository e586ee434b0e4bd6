"""Files that leave and come back: rejected rows any number of times, exports of people, every naughty text."""

from __future__ import annotations

import csv
import io
import re

import pytest

from cdp.actors import Actor
from cdp.jobs import run_to_end
from cdp.models import User
from cdp.spreadsheets import as_csv, safe_cell
from imports.downloads import plan_csv, rejected_csv
from imports.models import Import, Row
from profiles.bulk.csv_rows import spreadsheet_phone
from profiles.bulk.exports import file_of, start_export
from profiles.identity.normalize import phone
from profiles.models import AttributeDefinition, Change, Consent, Identifier, Profile
from tests.imports.files import applied, apply, planned
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

ACTOR = Actor.system()
LIVE = re.compile(r"^'*\s*[=+\-@\t\r＝＋－＠]")


def rejected(import_: Import) -> bytes:
    return b"".join(rejected_csv(import_, actor=ACTOR))


def reasons(import_: Import) -> list[str]:
    problems = Row.objects.filter(import_id=import_.pk, outcome="failed").order_by("line")
    return [row.problems[0]["message"] for row in problems]


def rounds(data: bytes, count: int = 3) -> list[Import]:
    """The file planned, then its rejected rows as they are, again and again."""
    options = {"bad_cells": "reject_row"}
    imports = [planned(data, options=options)]
    for _ in range(count):
        imports.append(planned(rejected(imports[-1]), name="rejected.csv", options=options))
    return imports


BAD = {
    "a stray quote": b'Bob 6" tall,b@x.example,Oslo,1990-01-01',
    "text behind a quote": b'"Bob" Jr,b@x.example,Oslo,1990-01-01',
    "a bad byte": b"Caf\xe9,b@x.example,Oslo,1990-01-01",
    "a stray quote and a bad byte": b'Caf\xe9 6" tall,b@x.example,Oslo,1990-01-01',
    "text behind a quote and a bad byte": b'"Caf\xe9" Jr,b@x.example,Oslo,1990-01-01',
    "a NUL": b"An\x00n,b@x.example,Oslo,1990-01-01",
    "a NUL and a stray quote": b'An\x00n 5",b@x.example,Oslo,1990-01-01',
    "too few cells": b"Bob,b@x.example",
    "too many cells": b"Bob,b@x.example,Oslo,1990-01-01,more,and more",
    "far too many cells": b",".join([b"x"] * 600),
    "the header again": b"first_name,email,city,birth_date",
    "totals": b"Total,2,3,4",
    "a huge cell": b"x" * 140_000 + b",b@x.example,Oslo,1990-01-01",
    "a bad date": b"Bob,b@x.example,Oslo,31.31.1990",
    "a formula and a bad date": b'"=1+1",b@x.example,"-5",31.31.1990',
    "a formula, badly quoted": b'=1+1,b@x.example,@SUM "x",1990-01-01',
    "a formula in bad quotes": b'"=1+1" x,b@x.example,Oslo,1990-01-01',
    "a formula in a row too wide": b'"=1,1",+2,-3,@4,"+5",=6',
}
HEADER = b"first_name,email,city,birth_date\n"
ANN = "Zoë,zoe@x.example,Łódź,1990-01-01\n".encode()


@pytest.mark.parametrize("name", BAD)
def test_a_rejected_row_comes_back_with_its_reason(name: str) -> None:
    first, *later = rounds(HEADER + ANN + BAD[name] + b"\n" + ANN)
    assert first.counts["failed"] == 1
    for import_ in later:
        assert {key: count for key, count in import_.counts.items() if count} == {"rows": 1, "failed": 1}
        assert reasons(import_) == reasons(first)
        assert import_.headers[3:] == first.headers
    assert len({rejected(import_).partition(b"\n")[2].split(b",", 1)[1] for import_ in later}) == 1


def test_all_of_them_at_once() -> None:
    first, *later = rounds(HEADER + b"".join(row + b"\n" + ANN for row in BAD.values()))
    assert first.counts["failed"] == len(BAD)
    for import_ in later:
        assert (import_.counts["rows"], import_.counts["failed"]) == (len(BAD), len(BAD))
        assert reasons(import_) == reasons(first)


@pytest.mark.parametrize(
    "data",
    [
        b'name;email;city\n"Ann";a@x.example;Rome\nBob 6" tall;b@x.example;Oslo\n"Cy" Jr;c@x.example;Bern\nDee;d@x.example\n',
        b"'name','email','city'\n'Ann','a@x.example','Rome'\n'Bob' Jr,'b@x.example','Oslo'\nC'y,'c@x.example','=1'\n",
        "name\temail\tcity\nZoë\ta@x.example\tŁódź\nBob\tb@x.example\n".encode()
        + b"\xe9\tc@x.example\t=1+1\n",
        b'name, email, city\n"Ann", "a@x.example", "Rome"\n"Bob" Jr, "b@x.example", "Oslo"\n"Cy", "c@x.example"\n',
        'name,email,city\nAnn,a@x.example,Rome\n"Bob" Jr,b@x.example,Łódź\nCy,c@x.example\n'.encode("utf-16"),
    ],
)
def test_in_the_dialect_of_the_file(data: bytes) -> None:
    first, *later = rounds(data)
    assert first.counts["failed"] >= 2
    for import_ in later:
        assert import_.dialect["delimiter"] == first.dialect["delimiter"]
        assert import_.counts["failed"] == import_.counts["rows"] == first.counts["failed"]
        assert reasons(import_) == reasons(first)
    assert rejected(first).startswith(b"\xef\xbb\xbf")


def test_corrected_rows_go_in_at_any_round() -> None:
    _, second, third = rounds(HEADER + ANN + BAD["a bad byte"] + b"\n" + BAD["too few cells"] + b"\n", 2)
    for number, import_ in enumerate((second, third)):
        data = (
            rejected(import_)
            .replace(rb"Caf\xe9", "Café".encode())
            .replace(b"Bob,b@x.example", f"Bob,bob{number}@x.example,Oslo,".encode())
        )
        done = applied(data)
        assert done.counts["failed"] == 0
        assert done.counts["created"] + done.counts["updated"] + done.counts["unchanged"] == 2
    assert set(Profile.objects.values_list("first_name", flat=True)) == {"Café", "Bob"}


def test_every_rejected_row_can_be_had() -> None:
    data = HEADER + b"".join(row + b"\n" for row in BAD.values()) + ANN
    import_ = planned(data, options={"bad_cells": "reject_row"})
    text = rejected(import_).decode("utf-8-sig")
    csv.field_size_limit(200_000)
    lines = list(csv.reader(io.StringIO(text)))
    csv.field_size_limit(131_072)
    assert [line[0] for line in lines[1:]] == [str(number) for number in range(2, len(BAD) + 2)]
    assert all(line[2] for line in lines[1:])
    assert r"Caf\xe9" in lines[3]
    assert r"An\x00n" in lines[6]


# --- No formula leaves ----------------------------------------------------------------------------------

FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "＝1", " =1", "'=1", '=HYPERLINK("http://x")']


def test_no_file_has_a_live_cell() -> None:
    names = ["first_name", "email", "=city", "birth_date"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([names, *([formula, "x", formula, "1990"] for formula in FORMULAS)])
    import_ = planned(text.getvalue(), mapping={"first_name": "first_name", "email": "email"})
    assert import_.counts["failed"] == len(FORMULAS)
    files = [rejected(import_), b"".join(plan_csv(import_, actor=ACTOR)), as_csv([FORMULAS])]
    for data in files:
        cells = [cell for row in csv.reader(io.StringIO(data.decode("utf-8-sig"))) for cell in row]
        assert not [cell for cell in cells if LIVE.match(cell) and not cell.startswith("'")]
    again = planned(files[0])
    assert again.headers[5] == "=city"
    assert [row[3] for row in again.sample] == [row[0] for row in import_.sample]


# --- People out and in again ----------------------------------------------------------------------------

NAUGHTY = [
    *FORMULAS,
    *["-5", "+48", "''", "'", "'-5", "''=x", "'+48600100200"],
    *["NULL", "null", "None", "undefined", "true", "0", "1e5", "NaN", "Infinity", "<clear>", "#REF!"],
    *['"', '""', 'a "b" c', ", ", ";", "a;b,c|d", "\\", "\\N", "\\x00", r"caf\xe9", "|", "\u200f", "%s{{x}}"],
    *[
        "<script>alert(1)</script>",
        "Robert'); DROP TABLE x;--",
        "田中さん",
        "Å»aneta",
        "😀 👨‍👩‍👧",
        "Ω≈ç√∫",
        "أحمد",
    ],
    *["rejected_line", "sep=;", "a@b.example", "Total", "first_name", "x" * 190],
]


def snapshot() -> dict[str, object]:
    return {
        "profiles": list(
            Profile.objects.order_by("pk").values("pk", "version", "attributes", *Profile.FIELDS)
        ),
        "identifiers": list(Identifier.objects.order_by("pk").values_list("profile_id", "type", "value")),
        "consents": list(Consent.objects.order_by("pk").values_list("pk", "state")),
        "changes": Change.objects.count(),
    }


def test_an_export_imported_again_changes_nothing(ada: User) -> None:
    AttributeDefinition.objects.create(name="note", type="text")
    AttributeDefinition.objects.create(name="likes", type="list")
    AttributeDefinition.objects.create(name="emails", type="text")
    AttributeDefinition.objects.create(name="points", type="number")
    ids = [
        make_profile(
            first_name=text.strip() or None,
            last_name="x" + text,
            email=f"p{number}@mail.example",
            phone=f"+486001002{number:02}",
            city=text.strip()[:190] or None,
            note=text,
            emails=text,
            likes=["tea", "a,b"],
            points=1500000.25 if number % 2 else -5,
            identifiers=[("customer_id", f"-C{number}")],
            tags=["vip", "=tag"],
        ).pk
        for number, text in enumerate(NAUGHTY)
    ]
    ids.append(make_profile(first_name="No ids").pk)
    ids.append(make_profile(note="\n".join(["line"] * 40), email="long@mail.example").pk)
    job = run_to_end(start_export(profile_ids=ids, actor=Actor.of_user(ada)))
    data = file_of(job).read_bytes()
    before = snapshot()
    for policy in ("fill_if_empty", "overwrite"):
        import_ = planned(data, user=ada, options={"policy": policy})
        assert import_.problem == ""
        left = Row.objects.filter(import_id=import_.pk).exclude(outcome="unchanged")
        assert [(row.line, row.outcome, row.diff, row.problems) for row in left] == []
    apply(import_, user=ada)
    assert snapshot() == before
    assert import_.mapping["emails"] == {"to": "attributes.emails"}


def test_a_file_that_begins_like_an_export_is_none() -> None:
    import_ = planned("id,type,e-mail\n7,customer,a@mail.example\n")
    assert (import_.dialect["is_own"], import_.options["clear_marker"]) == (False, "<clear>")
    assert import_.mapping["e-mail"] == {"to": "email"}


def test_phones_are_text_to_a_spreadsheet_and_phones_to_an_import() -> None:
    for number in ("+48600100200", "+14155552671", "+390612345678", "+4930901820", "+999123"):
        cell = spreadsheet_phone(number)
        assert safe_cell(cell) == cell or number == "+999123"
        if number != "+999123":
            assert phone(cell) == number
    assert spreadsheet_phone("+48 ••• ••• 123") == "(+48) ••• ••• 123"
    assert spreadsheet_phone("") == ""
