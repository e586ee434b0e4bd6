"""How a file is read is guessed well, asked about where it is not certain, and never jumps over a line."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.jobs import run_to_end
from cdp.models import Job
from imports.files import FileRefused, Row, RowProblem, read_rows, sniff
from imports.files.letters import mend
from imports.models import Import
from profiles.models import Profile
from tests.api.caller import Caller, refusal
from tests.imports.files import planned, upload
from tests.imports.test_api import send

PEOPLE = "".join(f"p{number}@x.example,Name{number},Rome\n" for number in range(30))


def rows(text: str | bytes, **given: Any) -> tuple[Any, list[Any]]:
    data = text.encode() if isinstance(text, str) else text
    sniffed = sniff(io.BytesIO(data), given=given)
    items = list(read_rows(io.BytesIO(data), sniffed.dialect))
    return sniffed, [item.cells if isinstance(item, Row) else item.message for item in items]


def refused(text: str | bytes, **given: Any) -> str:
    with pytest.raises(FileRefused) as caught:
        rows(text, **given)
    return caught.value.message


def codes(sniffed: Any) -> list[str]:
    return [doubt.code for doubt in sniffed.doubts]


# --- Lines above the header -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '"email,name,city\n' + PEOPLE,
        '"email,name,city\n' + PEOPLE + 'q@x.example,Bob "B" Smith,Oslo\n' + PEOPLE,
        '"email,name,city\n' + PEOPLE + 'q@x.example,"Bob",Oslo\n' + PEOPLE,
        '"email,name,city\n' + PEOPLE + 'q@x.example,Bob,5"\n' + PEOPLE,
        'email,"name,city\n' + PEOPLE + 'q@x.example,Bob,5"\n' + PEOPLE,
    ],
)
def test_stray_quote_in_the_header_hides_nobody(text: str) -> None:
    assert refused(text) == (
        "The header in line 1 cannot be read. A quote in it is not closed. Correct it, or choose another line as the header."
    )


@pytest.mark.parametrize(
    ("header", "cells"), [("email", "1 cell"), ("email name city", "1 cell"), ("email;name;city", "1 cell")]
)
def test_header_with_other_delimiters_than_the_rows(header: str, cells: str) -> None:
    assert refused(f"{header}\n{PEOPLE}") == (
        f"Line 2 looks like data, not like a header, and line 1 above it has {cells} where the rows have 3. "
        "Correct the header, or choose the header's line and the delimiter."
    )
    sniffed, read = rows(f"{header}\n{PEOPLE}", header_line=2)
    assert (len(read), sniffed.has_header, sniffed.above) == (30, False, [(1, header)])


def test_quotes_above_a_chosen_header_do_not_count() -> None:
    sniffed, read = rows('say "no\nemail,name\na@x.example,Ann\n', header_line=2)
    assert (sniffed.headers, read) == (["email", "name"], [["a@x.example", "Ann"]])
    assert refused("email\na@x.example\n\n", header_line=5) == (
        "Line 5 cannot be the header: the file ends at line 2."
    )


@pytest.mark.parametrize(
    ("title", "what"),
    [
        ("Exported by ann@x.example", "an e-mail address"),
        ('List of "friends"', "a quote"),
        ("Anna,Nowak,Oslo,1990", "many cells"),
        ("long " * 200, "a long text"),
    ],
)
def test_what_looks_like_data_above_the_header(title: str, what: str) -> None:
    header = "email,name,city,born,plan,note,x,y,z,q\n"
    people = "".join(f"p{number}@x.example,N,Rome,,,,,,,\n" for number in range(5))
    text = f"{title}\n\n{header}{people}".replace(",N,Rome,", ",N,Rome,1990,pro,hi,1,2,3,")[:-1]
    text = f"{title}\n\n{header}" + "p@x.example,N,Rome,b,c,d,e,f,g,h\n" * 5
    assert refused(text) == (
        f"Line 1 is above the header (line 3) and looks like data: it has {what}. "
        "Remove or correct the line, or choose the header's line."
    )
    sniffed, read = rows(text, header_line=3)
    assert (len(read), len(sniffed.headers), sniffed.above[0][0]) == (5, 10, 1)


@pytest.mark.django_db
def test_lines_above_the_header_are_counted_and_listed() -> None:
    import_ = planned(
        "Customers of May\nexported,2026-05-31\n\nemail,first_name,city,plan\na@x.example,Ann,Rome,pro\n"
    )
    assert {name: count for name, count in import_.counts.items() if count} == {
        "rows": 3,
        "created": 1,
        "skipped": 2,
    }
    assert next(warning for warning in import_.warnings if warning["code"] == "above_header") == {
        "code": "above_header",
        "column": None,
        "message": "2 lines are above the header and not imported: Customers of May / exported,2026-05-31",
        "count": 2,
        "line": 1,
    }
    assert import_.doubts == []


# --- Delimiter and quotes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "delimiter", "columns"),
    [
        ("email;name;address\n" + "a@x.example;Ann;Main St 1, 00-001 Warsaw, Poland, EU\n" * 9, ";", 3),
        ("email;name;address\n" + "a@x.example;Ann;1, 2, 3, 4, 5, 6\n" * 300, ";", 3),
        ("email\tname\ttags\n" + "a@x.example\tAnn\tvip,new,buyer\n" * 9, "\t", 3),
        ("email\ttags\n" + "a@x.example\tvip,new,buyer,x,y\n" * 9, "\t", 2),
        ("email|note\n" + "a@x.example|one; two; three\n" * 9, "|", 2),
        ("name;amount\n" + "Ann;1,50\n" * 9, ";", 2),
        ('email;"Address, street, city, country"\n' + 'a@x.example;"1, 2, 3, 4"\n' * 9, ";", 2),
        ("a@x.example;Ann;Main St 1, Warsaw, PL, EU\n" * 9, ";", 3),
        ("Name, first;Email\n" + "Smith, Ann, B;a@x.example\n" * 9, ";", 2),
    ],
)
def test_the_delimiter_is_the_headers(text: str, delimiter: str, columns: int) -> None:
    sniffed, read = rows(text)
    assert (sniffed.delimiter, len(sniffed.headers)) == (delimiter, columns)
    assert not any(isinstance(item, str) for item in read)
    assert "delimiter_guessed" not in codes(sniffed)


@pytest.mark.parametrize("delimiter", [":", "^", " ", "~"])
def test_rare_delimiters_are_read_and_asked_about(delimiter: str) -> None:
    text = f"email{delimiter}name\na@x.example{delimiter}Ann\nb@x.example{delimiter}Bob\n"
    sniffed, read = rows(text)
    assert (sniffed.headers, read[1], codes(sniffed)) == (
        ["email", "name"],
        ["b@x.example", "Bob"],
        ["delimiter_guessed"],
    )
    sniffed, again = rows(text, delimiter=delimiter)
    assert (again, codes(sniffed)) == (read, [])


@pytest.mark.parametrize(
    "text", ["Full name\nAnn Smith\nBob Jones\n", "email#name\na@x.example#Ann\nb@x.example#Bob\n"]
)
def test_only_one_column_was_found(text: str) -> None:
    sniffed, read = rows(text)
    header = text.splitlines()[0]
    assert [doubt.message for doubt in sniffed.doubts] == [
        f"Only one column was found: “{header}”. If the file has more, choose the delimiter between them."
    ]
    assert len(read) == 2
    assert codes(rows("email\na@x.example\nb@x.example\n")[0]) == []


@pytest.mark.parametrize(
    "text",
    [
        "'name','email'\n'Smith, Ann','a@x.example'\n'O''Brien','b@x.example'\n",
        "name,email\n'Smith, Ann',a@x.example\nO''Brien,b@x.example\n".replace("O''", "'O''").replace(
            "en,b", "en',b"
        ),
        "'name';'email'\n'Smith, Ann';'a@x.example'\n'O''Brien';'b@x.example'\n",
    ],
)
def test_apostrophes_as_quotes(text: str) -> None:
    sniffed, read = rows(text)
    assert sniffed.quotechar == "'"
    assert read == [["Smith, Ann", "a@x.example"], ["O'Brien", "b@x.example"]]


def test_apostrophes_that_are_none() -> None:
    sniffed, read = rows("name,email\nO'Brien,a@x.example\n'=1+1,b@x.example\nd'Arc 'n' x,c@x.example\n")
    assert sniffed.quotechar == '"'
    assert [row[0] for row in read] == ["O'Brien", "=1+1", "d'Arc 'n' x"]


@pytest.mark.parametrize("marks", [1, 2, 3])
def test_byte_order_marks(marks: int) -> None:
    sniffed, read = rows(b"\xef\xbb\xbf" * marks + b"email,name\na@x.example,Ann\n")
    assert (sniffed.headers, read) == (["email", "name"], [["a@x.example", "Ann"]])
    (again,) = [
        item
        for item in read_rows(
            io.BytesIO("email,name\n\ufeffemail,name\na@x.example,Ann\n".encode()), sniffed.dialect
        )
        if isinstance(item, RowProblem)
    ]
    assert again.message == "This row repeats the header."


@pytest.mark.parametrize("size", [80, 400, 5_000])
def test_bytes_that_are_no_text(size: int) -> None:
    source = random.Random(size)
    for _ in range(20):
        data = bytes(source.randrange(256) for _ in range(size))
        with pytest.raises(FileRefused):
            sniff(io.BytesIO(b"\x01\x02\x03\x04\x05\x06\x07" + data))
    assert rows("email,name\n" + "a@x.example,A\x01B\n" * 30)[1][0] == ["a@x.example", "A\x01B"]


# --- Encodings ------------------------------------------------------------------------------------------

POLISH = ["Żaneta Łęcka", "Paweł Gębicz", "Świętosław Jóźwiak", "Łucja Żółć", "Grażyna Ćma"]
FRENCH = ["René Lefèvre", "François Béranger", "Zoë Müller", "Núñez Peña"]


@pytest.mark.parametrize(
    ("encoding", "names"),
    [("cp1250", POLISH), ("cp852", POLISH), ("iso8859-2", POLISH), ("mac-roman", FRENCH), ("cp1252", FRENCH)],
)
def test_a_guessed_encoding_shows_its_cells(encoding: str, names: list[str]) -> None:
    data = "email,name\n" + "".join(f"p{number}@x.example,{name}\n" for number, name in enumerate(names))
    sniffed, _ = rows(data.encode(encoding))
    assert codes(sniffed) == ["encoding_guessed"]
    assert len(sniffed.doubts[0].sample) == len(names)
    chosen, read = rows(data.encode(encoding), encoding=encoding)
    assert (codes(chosen), [row[1] for row in read]) == ([], names)


@pytest.mark.parametrize(
    ("cell", "mended"),
    [
        ("Å»aneta", "Żaneta"),
        ("ZoÃ«", "Zoë"),
        ("MÃ¼ller", "Müller"),
        ("Ĺ\u0081ukasz", "Łukasz"),
        ("donâ€™t", "don’t"),
        ("PaweÅ‚ GÄ™bicz", "Paweł Gębicz"),
        ("Żaneta", "Żaneta"),
        ("PÓŁNOC", "PÓŁNOC"),
        ("Señor Ñandú", "Señor Ñandú"),
        ("Łódź ŚRÓDMIEŚCIE", "Łódź ŚRÓDMIEŚCIE"),
        ("Straße", "Straße"),
        ("ÅÄÖ", "ÅÄÖ"),
        ("日本", "日本"),
        ("plain", "plain"),
    ],
)
def test_letters_garbled_before(cell: str, mended: str) -> None:
    assert mend(cell) == mended
    sniffed, _ = rows(f"email,name\na@x.example,{cell}\n")
    assert codes(sniffed) == (["double_encoded"] if cell != mended else [])


# --- Through the API ------------------------------------------------------------------------------------


@pytest.fixture
def api(db: None) -> Caller:
    return Caller(create_key(name="shop", scopes=("imports", "pii"), actor=Actor.system()))


def finished(answer: Any) -> Import:
    """The import after everything that goes on by itself."""
    assert answer.status_code == 201, answer.content
    for _ in range(2):
        import_ = Import.objects.get(pk=answer.data["id"])
        run_to_end(Job.objects.get(pk=import_.job_id))
    import_.refresh_from_db()
    return import_


DOUBTFUL = {
    "encoding_guessed": (
        "email,name\n" + "".join(f"p{n}@x.example,{name}\n" for n, name in enumerate(POLISH))
    ).encode("cp1250"),
    "double_encoded": "email,first_name\na@x.example,Å»aneta\n".encode(),
    "delimiter_guessed": b"email^first_name\na@x.example^Ann\nb@x.example^Bob\n",
    "one_column": b"Full name\nAnn Smith\nBob Jones\n",
    "no_header": b"a@x.example,Ann\nb@x.example,Bob\n",
    "no_identifier": b"first_name,city\nAnn,Rome\nBob,Oslo\n",
}


@pytest.mark.parametrize("code", DOUBTFUL)
def test_a_doubt_stops_at_the_plan(api: Caller, code: str) -> None:
    import_ = finished(send(api, DOUBTFUL[code], options='{"auto_apply": true}'))
    assert (import_.state, Profile.objects.count()) == ("planned", 0)
    answer = api.get(f"imports/{import_.pk}/").data
    doubts = {doubt["code"]: doubt for doubt in answer["file"]["doubts"]}
    assert code in doubts
    assert doubts[code]["sample"]
    assert {code, "not_auto_applied"} <= {warning["code"] for warning in answer["warnings"]}
    other = Caller(create_key(name="other", scopes=("imports",), actor=Actor.system()))
    masked = other.get(f"imports/{import_.pk}/").data["file"]["doubts"]
    assert {cell for doubt in masked for cell in doubt["sample"]} == {"•••"}
    assert api.post(f"imports/{import_.pk}/apply/").status_code == 202


def test_settled_doubts_go_on(api: Caller) -> None:
    options = {"auto_apply": True, "encoding": "cp1250"}
    import_ = finished(send(api, DOUBTFUL["encoding_guessed"], options=json.dumps(options)))
    assert import_.state == "done"
    options = {"auto_apply": True, "delimiter": "caret"}
    assert finished(send(api, DOUBTFUL["delimiter_guessed"], options=json.dumps(options))).state == "done"
    mapping = json.dumps({"#1": "email", "#2": "first_name"})
    options = {"auto_apply": True, "has_header": False}
    no_header = finished(send(api, DOUBTFUL["no_header"], options=json.dumps(options), mapping=mapping))
    assert no_header.state == "done"
    assert (
        finished(send(api, "email,first_name\na@x.example,Ann\n", options='{"auto_apply": true}')).state
        == "done"
    )


def test_every_setting_of_reading_is_correctable(api: Caller) -> None:
    text = "title\n'email': 'first_name'\n'a@x.example': 'Ann'\n"
    answer = send(api, text, options='{"header_line": 2}')
    path = f"imports/{answer.data['id']}/"
    settings = {
        "encoding": "cp1250",
        "delimiter": "colon",
        "quotechar": "'",
        "skip_space": True,
        "header_line": 2,
        "has_header": True,
        "max_quoted_lines": 50,
    }
    run_to_end(Job.objects.get(pk=answer.data["job_id"]))
    changed = api.patch(path, {"options": settings})
    assert changed.status_code == 200, changed.data
    file = changed.data["file"]
    assert {name: file[name] for name in settings} == {**settings, "delimiter": ":"}
    assert file["above_header"] == [{"line": 1, "text": "title"}]
    assert (changed.data["headers"], changed.data["state"]) == (["email", "first_name"], "planning")
    assert changed.data["mapping"]["email"] == {"to": "email", "policy": "fill_if_empty"}
    run_to_end(Job.objects.get(pk=changed.data["job_id"]))
    bad = api.patch(path, {"options": {"quotechar": "x"}})
    assert refusal(bad) == (400, "Choose one of \", ', none.")
    assert api.get(path).data["file"]["quotechar"] == "'"


def test_a_refused_file_goes_in_with_its_header_line(api: Caller) -> None:
    text = "by ann@x.example\nemail,first_name,city,plan\na@x.example,Ann,Rome,pro\n"
    assert refusal(send(api, text)) == (
        400,
        "Line 1 is above the header (line 2) and looks like data: it has an e-mail address. "
        "Remove or correct the line, or choose the header's line.",
    )
    import_ = finished(send(api, text, options='{"header_line": 2, "auto_apply": true}'))
    assert (import_.state, import_.counts["skipped"], import_.counts["created"]) == ("done", 1, 1)


@pytest.mark.django_db
def test_the_upload_page_takes_the_header_line(ada: Any, as_user: Any) -> None:
    client = as_user(ada)
    text = "by ann@x.example\nemail,first_name,city,plan\na@x.example,Ann,Rome,pro\n"
    address = "/admin/imports/import/add/"
    page = client.post(address, {"file": SimpleUploadedFile("people.csv", text.encode())})
    assert page.status_code == 400
    assert "Line 1 is above the header (line 2) and looks like data" in page.content.decode()
    done = client.post(
        address, {"file": SimpleUploadedFile("people.csv", text.encode()), "header_line": "2"}, follow=True
    )
    shown = done.content.decode()
    assert "Above the header, not imported:" in shown
    assert "by ann@x.example" in shown
    wrong = client.post(
        address, {"file": SimpleUploadedFile("people.csv", text.encode()), "header_line": "0"}
    )
    assert "Write a number from 1 to 1,000,000." in wrong.content.decode()


@pytest.mark.django_db
def test_a_finished_import_shows_how_it_was_read(ada: Any, as_user: Any) -> None:
    import_ = upload("'email';'first_name'\n'a@x.example';'Ann'\n", user=ada)
    client = as_user(ada)
    page = client.get(f"/admin/imports/import/{import_.pk}/columns/").content.decode()
    for name in (
        "encoding",
        "delimiter",
        "quotechar",
        "skip_space",
        "header_line",
        "has_header",
        "max_quoted_lines",
    ):
        assert f'name="{name}"' in page
    read = client.post(
        f"/admin/imports/import/{import_.pk}/read/",
        {
            "quotechar": "none",
            "header_line": "1",
            "has_header": "on",
            "max_quoted_lines": "30",
            "delimiter": "semicolon",
        },
        follow=True,
    )
    assert "The file was read again." in read.content.decode()
    import_.refresh_from_db()
    assert (import_.headers, import_.dialect["quotechar"], import_.dialect["max_quoted_lines"]) == (
        ["'email'", "'first_name'"],
        "",
        30,
    )
    Import.objects.filter(pk=import_.pk).update(
        state="done", applied_at="2026-01-01T00:00Z", counts={"rows": 1}
    )
    shown = client.get(f"/admin/imports/import/{import_.pk}/change/").content.decode()
    for text in ("File settings and mapping", "Around cells", "Nothing", "Longest cell", "30 lines"):
        assert text in shown
