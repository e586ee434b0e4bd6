"""Bytes → rows: our corpus case by case, the messages, and properties over generated files."""

import csv
import io
import json
import tracemalloc
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp.spreadsheets import unsafe_cell
from imports.files import (
    MAX_CELL,
    Checkpoint,
    Dialect,
    FileRefused,
    Row,
    RowProblem,
    blocks,
    read_rows,
    shorten,
    sniff,
)
from imports.files.detect import detect_encoding
from imports.files.strict import Bare, Continued, Unclosed, examine

CORPUS = Path(__file__).parent / "corpus"
CASES = json.loads((CORPUS / "expected.json").read_text())
HEADER = b"name,email,city\n"
ANN = b"Ann,ann@example.com,Rome\n"


def read(data, **changes):
    return list(read_rows(io.BytesIO(data), replace(sniff(io.BytesIO(data)).dialect, **changes)))


def refusal(data, **changes):
    with pytest.raises(FileRefused) as caught:
        read(data, **changes)
    return caught.value


# The corpus


@pytest.mark.parametrize("name", sorted(CASES))
def test_corpus(name):
    case = CASES[name]
    sniffed = None
    with ExitStack() as stack:
        refused = stack.enter_context(pytest.raises(FileRefused)) if "refused" in case else None
        sniffed = sniff(CORPUS / name)
        reader = stack.enter_context(read_rows(CORPUS / name, sniffed.dialect))
        items = list(reader)
    if sniffed:
        assert {key: getattr(sniffed, key) for key in case["sniffed"]} == case["sniffed"]
        assert sniffed.headers == case["headers"]
    if refused:
        error = refused.value
        assert {"message": error.message, "line": error.line_no, "offset": error.offset} == case["refused"]
        return
    assert [[item.line_no, item.cells] for item in items if isinstance(item, Row)] == case["rows"]
    assert [list(item[:4]) for item in items if isinstance(item, RowProblem)] == case["problems"]
    assert reader.blank_lines == case["blank_lines"]


def test_corpus_has_a_case_per_file():
    assert {path.name for path in CORPUS.iterdir()} - {"expected.json", ".gitattributes"} == set(CASES)


@pytest.mark.parametrize("name", [name for name, case in sorted(CASES.items()) if "rows" in case])
def test_blocks_of_any_size_give_the_same_rows(name, monkeypatch):
    dialect = sniff(CORPUS / name).dialect
    whole = list(read_rows(CORPUS / name, dialect))
    for size in (4, 6, 34):
        monkeypatch.setattr(blocks, "BLOCK", size)
        assert list(read_rows(CORPUS / name, dialect)) == whole


# What nobody may swallow


@pytest.mark.parametrize("rows_after", [0, 3, 19, 20, 21, 200, 30_000])
def test_stray_quote_refuses_the_file_however_much_follows(rows_after):
    refused = refusal(HEADER + ANN * 9 + b'Bob,"bob@example.com,Oslo\n' + ANN * rows_after)
    assert refused.line_no == 11
    assert refused.message == (
        "A quote opened at line 11 is never closed. "
        "Close it, or double it where it is part of the text, and upload the file again."
    )


def test_stray_quote_that_meets_another_one():
    refused = refusal(HEADER + b'Bob,"bob@example.com,Oslo\n' + ANN * 2 + b'"Cy","cy@example.com","Bern"\n')
    assert refused.message.startswith(
        "A quote opened at line 2 is never closed: the next quote, in line 5, is inside another cell."
    )


def test_stray_quotes_that_fit_together_still_show_in_the_width():
    """Two faults that make one valid cell of three lines: its row is not as wide as the header."""
    (problem,) = read(HEADER + b'Bob,"bob@example.com,Oslo\n' + ANN + b'Cy,cy@example.com"\n')
    assert problem.line_no == 2
    assert problem.message == (
        "The header has 3 columns; this row has 2. No cell was moved. "
        "It runs from line 2 to line 4: look for a missing quote."
    )


def test_long_cell_is_asked_about():
    data = HEADER + b'Bob,"' + b"line\n" * 30 + b'",Oslo\n' + ANN
    assert refusal(data).message == (
        "A quoted cell that starts at line 2 runs over more than 20 lines. Usually a quote is missing there: "
        "correct it. If the text is meant, allow longer cells for this file."
    )
    assert [row.line_no for row in read(data, max_quoted_lines=31)] == [2, 33]


def test_many_short_multiline_cells_are_fine():
    row = ",".join(['"a\nb\nc\nd\ne\nf\ng\nh\ni\nj"'] * 3) + "\n"
    assert [item.line_no for item in read(HEADER + row.encode() + ANN)] == [2, 30]


@pytest.mark.parametrize("size", [MAX_CELL + 1, 10_000_000])
@pytest.mark.parametrize("quoted", [True, False])
def test_huge_cell_rejects_its_row_only(size, quoted):
    cell = b'"' + b"x" * size + b'"' if quoted else b"x" * size
    items = read(HEADER + ANN + b"Bob," + cell + b",Oslo\n" + ANN)
    assert [item.line_no for item in items] == [2, 3, 4]
    assert items[1] == RowProblem(
        3, None, "", "A cell has more than 131,072 characters, the most a cell may have. Shorten it."
    )


def test_huge_cell_over_several_lines():
    items = read(HEADER + b'Bob,"' + b"x" * MAX_CELL + b'\ny\nz",Oslo\n' + ANN)
    assert [(type(item), item.line_no) for item in items] == [(RowProblem, 2), (Row, 5)]


def test_largest_cell_goes_in():
    (row,) = read(HEADER + b"Bob," + b"x" * MAX_CELL + b",Oslo\n")
    assert len(row.cells[1]) == MAX_CELL


def test_line_without_end_is_refused():
    assert (
        refusal(HEADER + ANN + b"x" * 18_000_000).message
        == "Line 3 is longer than 16 MB. Is this a CSV file?"
    )


def test_too_many_columns():
    head = ",".join(f"c{number}" for number in range(10_000)).encode() + b"\n"
    assert refusal(head + ANN).message == "The file has 10,000 columns; at most 500 are possible."
    wide = ",".join(f"c{number}" for number in range(500)).encode() + b"\n" + b"x," * 499 + b"x\n"
    assert len(read(wide)[0].cells) == 500


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for rows in (60_000, 240_000):
        path = tmp_path / f"{rows}.csv"
        path.write_bytes(HEADER + ANN * rows)
        tracemalloc.start()
        assert sum(1 for _ in read_rows(path, Dialect())) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2


# Encodings


def test_other_encodings_are_refused_by_offset():
    data = "name,city\nRené,Köln\nx,".encode("cp1252") + b"\x81\n"
    with pytest.raises(FileRefused) as caught:
        list(read_rows(io.BytesIO(data), Dialect(encoding="cp1252")))
    assert caught.value.message == (
        "The byte 0x81 at offset 22 (line 3) cannot be read as Windows-1252 (Western Europe). "
        "Choose another encoding, or save the file as UTF-8."
    )
    assert (caught.value.line_no, caught.value.offset) == (3, 22)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "name,city\nMüller,Köln\nGonçalves,São Paulo\nFrançois,Orléans\n"),
        ("cp1250", "imię,miasto\nŻółć,Łódź\nŚwięty,Kraków\nZażółć,gęślą\nJaźń,Wrocław\n"),
        ("cp932", "名前,都市\n山田太郎,東京\n鈴木一郎,大阪\nさとう,なごや\n"),
        ("euc-jp", "名前,都市\n山田太郎,東京\n鈴木一郎,大阪\nさとう,なごや\n"),
        ("cp1251", "имя,город\nИван,Москва\nОльга,Санкт-Петербург\n"),
        ("koi8-r", "имя,город\nИван,Москва\nОльга,Санкт-Петербург\nНаталья,Новосибирск\n"),
        ("gb18030", "姓名,城市\n王小明,北京\n李雷,上海\n韩梅梅,广州\n"),
        ("cp949", "이름,도시\n김철수,서울\n이영희,부산\n"),
        ("cp932", "ナマエ,x\n"),
        ("cp1252", "name\nRené\n"),
    ],
)
def test_legacy_encodings_are_guessed_and_said_to_be(encoding, text):
    sniffed = detect_encoding(text.encode(encoding), [])
    assert (sniffed.name, sniffed.confidence) == (encoding, "guessed")
    assert sniffed.candidates[0] == encoding


def test_accent_far_behind_the_first_megabyte_is_seen():
    data = HEADER + ANN * 80_000 + "René,rene@example.com,Köln\n".encode("cp1252") + ANN * 10
    assert sniff(io.BytesIO(data)).encoding == "cp1252"


def test_staff_overrule_the_guess():
    data = "imię,miasto\nŁukasz,Łódź\n".encode("iso8859-2")
    sniffed = sniff(io.BytesIO(data), given={"encoding": "iso8859-2", "delimiter": ","})
    assert (sniffed.encoding, sniffed.sample_rows) == ("iso8859-2", [["Łukasz", "Łódź"]])
    assert sniffed.confidence == "certain"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"delimiter": "ab"}, "The delimiter must be one character, such as a comma, a semicolon or a tab."),
        ({"delimiter": "\n"}, "The delimiter must be one character, such as a comma, a semicolon or a tab."),
        ({"quotechar": "x"}, "The quote must be \", ' or nothing."),
        ({"header_line": 0}, "The header line is counted from 1."),
        ({"max_quoted_lines": 0}, "A quoted cell has at least 1 line."),
    ],
)
def test_impossible_choices(options, sentence):
    with pytest.raises(ValueError, match="^[A-Z]") as caught:
        Dialect(**options)
    assert str(caught.value) == sentence


def test_header_line_and_header_can_be_chosen():
    data = b"Kunde,Kontakt,Ort\n" + HEADER + ANN
    sniffed = sniff(io.BytesIO(data), given={"header_line": 2})
    assert (sniffed.headers, sniffed.sample_rows) == (
        ["name", "email", "city"],
        [["Ann", "ann@example.com", "Rome"]],
    )
    without = sniff(io.BytesIO(data), given={"has_header": False})
    assert without.headers == ["Column 1", "Column 2", "Column 3"]
    assert len(list(read_rows(io.BytesIO(data), without.dialect))) == 3
    with pytest.raises(FileRefused) as caught:
        sniff(io.BytesIO(data), given={"header_line": 9})
    assert caught.value.message == "Line 9 cannot be the header: the file ends at line 3."
    with pytest.raises(FileRefused) as caught:
        read_rows(io.BytesIO(data), Dialect(header_line=9))
    assert caught.value.message == "Line 9 cannot be the header: the file ends at line 3."


def test_preamble_may_hold_anything():
    """Lines above the header are not looked into, not even for quotes."""
    data = b'He said: "no\n\xff\x00\n' + HEADER + ANN
    (row,) = read_rows(io.BytesIO(data), Dialect(header_line=3))
    assert row == Row(4, ["Ann", "ann@example.com", "Rome"])


def test_file_that_does_not_quote():
    data = b'name\tsize\nAnn\t5"\n"Bob\t6"\n'
    assert [item.cells for item in read(data, quotechar="")] == [["Ann", '5"'], ['"Bob', '6"']]


# Going on where another reader stopped


@pytest.mark.parametrize("name", [name for name, case in sorted(CASES.items()) if case.get("rows")])
def test_checkpoint_behind_any_record(name, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 64)
    dialect = sniff(CORPUS / name).dialect
    with read_rows(CORPUS / name, dialect) as reader:
        steps = [(reader.checkpoint(), None)] + [
            (None, item) and (reader.checkpoint(), item) for item in reader
        ]
        blank_lines = reader.blank_lines
    items = [item for _, item in steps[1:]]
    for index, (checkpoint, _) in enumerate(steps):
        stored = Checkpoint.from_json(json.loads(json.dumps(checkpoint.as_json())))
        with read_rows(CORPUS / name, dialect, start=stored) as again:
            assert again.headers == reader.headers
            assert list(again) == items[index:]
            assert again.blank_lines == blank_lines


def test_progress_ends_at_the_size_of_the_file():
    data = HEADER + ANN * 50_000
    reader = read_rows(io.BytesIO(data), Dialect())
    assert 0 < reader.bytes_read < 100
    seen = [reader.bytes_read for row in reader if row.line_no % 10_000 == 0]
    assert seen == sorted(seen)
    assert reader.bytes_read == len(data)


# Properties

cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
tables = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(cell, min_size=width, max_size=width), min_size=1, max_size=12)
)
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


@quick
@given(
    tables,
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-16-le"]),
)
def test_what_csv_writes_comes_back(monkeypatch, table, delimiter, newline, encoding):
    monkeypatch.setattr(blocks, "BLOCK", 22)
    width = len(table[0])
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)
    header = [f"c{number}" for number in range(width)]
    writer.writerows([header, *table])
    data = out.getvalue().encode(encoding)
    items = list(read_rows(io.BytesIO(data), Dialect(delimiter=delimiter, encoding=encoding)))
    # A row without any cell is skipped; one of nothing but blanks may be.
    filled = [row for row in table if any(map(str.strip, row))]
    read = [item.cells for item in items if any(map(str.strip, item.cells))]
    assert read == [
        [unsafe_cell(cell) for cell in row] for row in filled if any(map(str.strip, map(unsafe_cell, row)))
    ]
    assert all(isinstance(item, Row) for item in items)


@quick
@given(st.binary(max_size=80), st.integers(1, 40))
def test_any_bytes_are_rows_problems_or_a_refusal(monkeypatch, data, size):
    """Nothing else is raised, every record is handed out once, in the order of its lines."""
    monkeypatch.setattr(blocks, "BLOCK", size)
    data = b"a,b\n" + data
    try:
        items = list(read_rows(io.BytesIO(data), Dialect()))
    except FileRefused:
        return
    lines = [item.line_no for item in items]
    assert lines == sorted(set(lines))
    for item in items:
        if isinstance(item, Row):
            assert len(item.cells) == 2
            "".join(item.cells).encode()  # nothing undecoded gets through
            assert "\x00" not in "".join(item.cells)
        else:
            json.dumps(item[:4]).encode()
            shorten(item.value).encode()


@quick
@given(st.text('a,"\n', max_size=30))
def test_strict_judge_agrees_with_csv(text):
    """What examine passes, csv reads as one record; what csv refuses, examine names."""
    lines = list(io.StringIO(text, newline=""))
    if not lines:
        return
    reader = csv.reader(lines, strict=True)
    try:
        next(reader)
        used = lines[: reader.line_num]
        assert not isinstance(examine(used, ",", '"', False), (Unclosed, Continued))
    except csv.Error:
        assert isinstance(examine(lines[: reader.line_num], ",", '"', False), (Unclosed, Continued))


def test_strict_judge_names_lines_and_cells():
    assert examine(["a,b\n"], ",", '"', False) is None
    assert examine(['a,b"c\n'], ",", '"', False) == Bare(1)
    assert examine(['a,"b\n', 'c"d\n'], ",", '"', False) == Continued(1, 0, 1)
    assert examine(["a,b\n", 'c,"d\n'], ",", '"', False) is None  # a record ends where its line does
    assert examine(['a,"b\n', "c\n"], ",", '"', False) == Unclosed(0)
    assert examine(['a, "b,c"\n'], ",", '"', True) is None
