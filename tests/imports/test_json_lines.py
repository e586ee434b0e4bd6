"""Files of JSON Lines: what is recognized, how values become cells, lines that are no rows, and back out."""

from __future__ import annotations

import io
import json
from itertools import islice
from typing import Any

import pytest

from cdp.actors import Actor
from imports.downloads import rejected_csv
from imports.files import Checkpoint, FileRefused, Row, read_rows, sniff
from imports.models import Import
from imports.models import Row as StagedRow
from imports.upload import BadFile
from profiles.models import AttributeDefinition, Profile, ProfileTag
from tests.imports.files import applied, planned, some, upload

ONE_OBJECT = "Write one object per line, such as {“email”: “ann@example.com”}."


def read(*lines: Any) -> tuple[list[str], list[Any]]:
    """Columns, and the cells of each row or the sentence about it."""
    data = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    sniffed = sniff(io.BytesIO(data))
    assert sniffed.format == "jsonl"
    items = list(read_rows(io.BytesIO(data), sniffed.dialect))
    return sniffed.headers, [
        item.cells if isinstance(item, Row) else (item.line_no, item.column, item.message) for item in items
    ]


def test_values_become_cells() -> None:
    assert read({"a": "x", "b": 1, "c": 1.50, "d": True, "e": False, "f": None, "g": ""}) == (
        ["a", "b", "c", "d", "e", "f", "g"],
        [["x", "1", "1.5", "true", "false", "", ""]],
    )
    numbers = b'{"a": 12345678901234567890123, "b": 1.10, "c": 1.5e3, "d": -2E-2, "e": 1e999999999}'
    assert read(numbers)[1] == [["12345678901234567890123", "1.10", "1500", "-0.02", "1e999999999"]]


def test_nested_objects_are_columns_with_dots() -> None:
    headers, rows = read(
        {"email": "a@x.example", "attributes": {"plan": "pro", "more": {"x": 1}}},
        {"attributes": {"plan": "free"}},
    )
    assert headers == ["email", "attributes.plan", "attributes.more.x"]
    assert rows == [["a@x.example", "pro", "1"], ["", "free", ""]]


def test_lists_are_cells_that_are_read_back() -> None:
    lists = [["a", "b"], ["a,b"], ["a,b", "c"], ["a;b"], ["a;b", '"c"'], ['"x"'], ["a", None, 1, True], []]
    cells = ["a;b", "a,b;", "a,b;c", '"a;b"', '"a;b";"""c"""', '"""x"""', "a;1;true"]
    assert read(*({"likes": values} for values in lists))[1] == [[cell] for cell in cells]
    assert read({"at": [{"city": "Oslo", "no": 1}, []]})[1] == [['[{"city":"Oslo","no":1},[]]']]


def test_columns_of_later_lines_count() -> None:
    headers, rows = read({"a": 1}, {}, {"b": 2, "a": None}, {"a": None}, {"c": 3})
    assert (headers, rows) == (["a", "b", "c"], [["1", "", ""], ["", "2", ""], ["", "", "3"]])


def test_a_bad_line_is_a_rejected_row_and_the_rest_goes_on() -> None:
    deep = b'{"a":' * 30 + b"1" + b"}" * 30
    deeper = b'{"a":' * 100_000
    lines = [
        b'{"a": "x"}',
        b'{"a": "x"',
        b"[1, 2]",
        b'"text"',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1}, "a.b": 2}',
        b'{"a": "caf\xe9"}',
        b'{"a": NaN}',
        rb'{"a": "x\u0000y"}',
        rb'{"a": "x\ud800y"}',
        deep,
        deeper,
        b"",
        b'{"a": "' + b"y" * 140_000 + b'"}',
        rb'{"a": "\ud83d\ude00"}',
    ]
    _, rows = read(*lines)
    texts = [row[0] if isinstance(row, list) else row for row in rows]
    assert texts == [
        "x",
        (2, None, f"This line is not JSON: Expecting ',' delimiter at character 10. {ONE_OBJECT}"),
        (3, None, f"This line is JSON, but not an object. {ONE_OBJECT}"),
        (4, None, f"This line is JSON, but not an object. {ONE_OBJECT}"),
        (5, "a", "The key “a” is in this line twice. Keep one of them."),
        (6, "a.b", "The key “a.b” is in this line twice. Keep one of them."),
        (7, None, "This line is not UTF-8. JSON Lines are always written in UTF-8."),
        (8, None, f"This line is not JSON: NaN is no number at character 1. {ONE_OBJECT}"),
        (9, "a", "The value has a control character (U+0000). Remove it."),
        (10, "a", "The value has half of a broken character (U+D800). Remove it."),
        (11, None, "This line has objects inside objects more than 20 deep."),
        (12, None, "This line has objects inside objects more than 20 deep."),
        (14, None, "A cell has more than 131,072 characters, the most a cell may have. Shorten it."),
        "😀",
    ]


def test_reading_goes_on_where_it_stopped() -> None:
    data = b'\xef\xbb\xbf{"a": 1}\n\n{"a": 2}\r\n{"a": 3}\nnothing\n{"a": 4}'
    dialect = sniff(io.BytesIO(data)).dialect
    whole = [(item.line_no, item.cells) for item in read_rows(io.BytesIO(data), dialect)]
    assert [line for line, _ in whole] == [1, 3, 4, 5, 6]
    for count in range(len(whole) + 1):
        reader = read_rows(io.BytesIO(data), dialect)
        first = [(item.line_no, item.cells) for item in islice(reader, count)]
        stored = Checkpoint.from_json(json.loads(json.dumps(reader.checkpoint().as_json())))
        again = read_rows(io.BytesIO(data), dialect, start=stored)
        assert [*first, *((item.line_no, item.cells) for item in again)] == whole
        assert again.bytes_read == len(data)
        assert again.blank_lines == 1


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            b'[{"a": 1},\n{"a": 2}]',
            "This is JSON, but not JSON Lines. Write one object per line, without commas between them, or save it as CSV UTF-8.",
        ),
        (
            b'{\n  "a": 1,\n  "b": 2\n}\n',
            "This is JSON, but not JSON Lines. Write one object per line, without commas between them, or save it as CSV UTF-8.",
        ),
        (
            b"\n".join(b'{"k%d": 1}' % number for number in range(501)),
            "The file has 501 columns; at most 500 are possible.",
        ),
    ],
)
def test_what_is_no_json_lines_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(FileRefused) as refusal:
        sniff(io.BytesIO(data))
    assert refusal.value.message == sentence


def test_text_with_braces_is_still_csv() -> None:
    sniffed = sniff(io.BytesIO(b'email,note\na@x.example,"{""a"": 1}"\nb@x.example,{b}\n'))
    assert (sniffed.format, sniffed.headers) == ("csv", ["email", "note"])


# --- As imports -----------------------------------------------------------------------------------------


def lines(*objects: Any) -> bytes:
    return b"".join(
        item if isinstance(item, bytes) else json.dumps(item).encode() + b"\n" for item in objects
    )


@pytest.mark.django_db
def test_people_of_json_lines_are_imported() -> None:
    AttributeDefinition.objects.create(name="likes", type="list")
    AttributeDefinition.objects.create(name="points", type="number")
    data = lines(
        {
            "email": "a@x.example",
            "first_name": "Ann",
            "tags": ["vip", "a;b"],
            "attributes": {"likes": ["x;y", "z"], "points": 2.5},
        },
        b'{"email": "broken"\n',
        {
            "email": ["b@x.example", "b2@x.example"],
            "first_name": "Bob",
            "consent": {"email": {"newsletter": "withdrawn"}},
        },
    )
    import_ = applied(data, name="people.jsonl")
    assert some(import_) == {"created": 2, "failed": 1}
    ann = Profile.objects.get(first_name="Ann")
    assert ann.attributes == {"likes": ["x;y", "z"], "points": 2.5}
    assert sorted(ProfileTag.objects.filter(profile=ann).values_list("tag__name", flat=True)) == [
        "a;b",
        "vip",
    ]
    bob = Profile.objects.get(first_name="Bob")
    emails = bob.identifiers.filter(type__name="email").values_list("value", flat=True)
    assert sorted(emails) == ["b2@x.example", "b@x.example"]
    assert bob.consents.get().state == "withdrawn"
    problems = StagedRow.objects.get(import_id=import_.pk, outcome="failed").problems
    assert (
        problems[0]["message"]
        == f"This line is not JSON: Expecting ',' delimiter at character 19. {ONE_OBJECT}"
    )


@pytest.mark.django_db
def test_rejected_lines_come_back_and_are_rejected_again() -> None:
    data = lines(
        {"email": "a@x.example", "birth_date": "1990-01-01"},
        b'{"email": "b@x.example", "birth_date": \n',
        b'{"email": "caf\xe9@x.example"}\n',
        b'{"email": "x\\u0000@x.example"}\n',
        b'["=1+1"]\n',
        {"email": "c@x.example", "birth_date": "31.31.1990"},
    )
    first = planned(data, options={"bad_cells": "reject_row"})
    assert some(first) == {"created": 1, "failed": 5}
    before = reasons(first)
    import_ = first
    for _ in range(2):
        import_ = planned(
            b"".join(rejected_csv(import_, actor=Actor.system())), options={"bad_cells": "reject_row"}
        )
        assert some(import_) == {"failed": 5}
        assert reasons(import_) == before
    corrected = b"".join(rejected_csv(import_, actor=Actor.system())).replace(b"31.31.1990", b"1990-12-31")
    assert some(planned(corrected, options={"bad_cells": "reject_row"})) == {"created": 1, "failed": 4}


def reasons(import_: Import) -> list[str]:
    failed = StagedRow.objects.filter(import_id=import_.pk, outcome="failed").order_by("line")
    return [row.problems[0]["message"] for row in failed]


@pytest.mark.django_db
def test_there_is_no_delimiter_to_choose() -> None:
    data = lines({"email": "a@x.example"})
    with pytest.raises(BadFile) as refusal:
        upload(data, options={"delimiter": ";"})
    assert refusal.value.message == (
        "This is JSON Lines: each line names its columns itself, in UTF-8. There is no encoding, delimiter or header to choose."
    )
    assert upload(data, options={"encoding": "utf-8"}).dialect["format"] == "jsonl"
