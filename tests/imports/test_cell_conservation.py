"""Generated ugly files, through upload, plan and apply: cells in = cells accounted for, per column and in all."""

from __future__ import annotations

import csv
import io

import pytest

from cdp.actors import Actor
from cdp.errors import Refused
from cdp.invariants import violations
from cdp.jobs import run_to_end
from cdp.models import User
from imports.cells import cell_account
from imports.downloads import plan_csv, rejected_csv
from imports.files import Dialect, FileRefused, Row, lines_above, read_rows
from imports.models import Import
from profiles.bulk.exports import file_of, start_export
from profiles.models import Alternate, AttributeDefinition, Profile
from tests.imports.files import applied, apply, cells, planned, summed
from tests.imports.ugly_people import UglyPeople
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

# What the same file imported again still says of cells that no person got the first time.
LEFT_AGAIN = {"same", "left_out", "row_rejected", "ignored", "outside_table", "kept_out"}


@pytest.fixture(autouse=True)
def _attributes() -> None:
    AttributeDefinition.objects.create(name="plan", type="text")
    AttributeDefinition.objects.create(name="score", type="number")
    AttributeDefinition.objects.create(name="hobbies", type="list")
    AttributeDefinition.objects.create(name="birthday", type="text")


def cells_in_file(import_: Import) -> tuple[list[int], int]:
    """The filled cells of the stored file, by column and in no column, counted cell by cell."""
    dialect = Dialect.from_json(import_.dialect)
    by_column = [0] * len(import_.headers)
    outside = sum(bool(header) for header in import_.headers) if dialect.has_header else 0
    with import_.file.open("rb") as file:
        for _, text in lines_above(file.file, dialect):
            (line,) = csv.reader([text], delimiter=dialect.delimiter, quotechar=dialect.quotechar or None)
            outside += sum(bool(cell.strip()) for cell in line)
    with import_.file.open("rb") as file:
        reader = read_rows(file.file, dialect)
        for item in reader:
            if not isinstance(item, Row) and item.cells is None:
                raise FileRefused("Its cells cannot be told apart.")
            for index, cell in enumerate(item.cells or ()):
                if cell.strip() and index < len(by_column):
                    by_column[index] += 1
                else:
                    outside += bool(cell.strip())
    return by_column, outside


def check(import_: Import) -> None:
    """Both counts agree with a third one of the file itself."""
    account = cell_account(import_)
    assert account is not None
    try:
        by_column, outside = cells_in_file(import_)
    except FileRefused:
        return
    assert [part.read for part in account.columns] == by_column
    assert account.outside.read == outside
    assert account.total.read == account.total.accounted == sum(by_column) + outside
    assert summed(import_)


def check_again(file: UglyPeople, again: Import) -> None:
    """Of the same file once more: whom it does not change, nothing of theirs is stored or an alternate again."""
    rows = list(csv.DictReader(io.StringIO(b"".join(plan_csv(again, actor=Actor.system())).decode())))
    outcomes = {row["line"]: row["outcome"] for row in rows}
    for row in rows:
        if outcomes[row["same_person_as_line"] or row["line"]] == "unchanged":
            said = {cell.rpartition(": ")[2] for cell in row["cells"].split("; ") if ": " in cell}
            assert said <= LEFT_AGAIN, (file.seed, row)


def go_through(seeds: range) -> int:
    """Plan and apply each file on top of the others; how many of them could be read."""
    done = 0
    for seed in seeds:
        file = UglyPeople(seed)
        try:
            import_ = planned(file.data, mapping=file.mapping, options=file.options)
        except Refused:
            continue
        if import_.state == "failed":
            assert import_.problem
            continue
        check(import_)
        before = cells(import_)
        apply(import_)
        check(import_)
        # Nobody changed anything meanwhile: what happened is what was planned.
        assert cells(import_) == before, seed
        again = planned(file.data, mapping=file.mapping, options=file.options)
        check(again)
        check_again(file, again)
        done += 1
    assert [violation.name for violation in violations() if "cell" in violation.name] == []
    return done


def test_cells_of_ugly_files_are_all_accounted_for() -> None:
    assert go_through(range(14)) > 6


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_cells_of_a_thousand_ugly_files_are_all_accounted_for(block: int) -> None:
    first = 1_000 + 50 * block
    assert go_through(range(first, first + 50)) > 25


TEXT = (
    "email,first_name,last_name,city,tags,plan,score\n"
    'ann@x.example,Ann,Lee,Rome,"vip,club",pro,1\n'
    "bob@x.example,Bob,,Oslo,vip,,2.5\n"
    "ann@x.example,Anna,Lee,Rome,new,pro,1\n"
    "cy@x.example,Cy,O'Neil,Łódź,,free,\n"
)
MAPPING = {
    **{name: name for name in ("email", "first_name", "last_name", "city", "tags")},
    "plan": "attributes.plan",
    "score": "attributes.score",
}


def test_the_same_file_again_says_all_the_same() -> None:
    applied(TEXT, mapping=MAPPING)
    again = applied(TEXT, mapping=MAPPING)
    assert {outcome for name, counts in cells(again).items() if name for outcome in counts} == {"same"}
    assert Alternate.objects.count() == 1


def test_an_export_imported_again_says_all_the_same(ada: User) -> None:
    applied(TEXT, mapping=MAPPING)
    make_profile(
        email="dee@x.example", first_name="=1+1", birth_date="1990-02-28", country="PL", tags=["vip"]
    )
    export = start_export(
        profile_ids=list(Profile.objects.values_list("pk", flat=True)),
        columns=[
            "email",
            "first_name",
            "last_name",
            "city",
            "country",
            "birth_date",
            "tags",
            "plan",
            "score",
        ],
        actor=Actor.of_user(ada),
    )
    run_to_end(export)
    back = planned(file_of(export).read_bytes(), name="export.csv")
    people = Profile.objects.live().count()
    assert back.counts["unchanged"] == back.counts["rows"] == people
    found = {outcome for name, counts in cells(back).items() if name for outcome in counts}
    assert found <= {"same", "ignored"}
    assert cells(back)["email"] == {"same": people}
    assert cells(apply(back)) == cells(back)


def test_rejected_rows_that_come_back_have_the_same_cells() -> None:
    text = "email,city,born\na@x.example,Rome,1990-01-01\nb@x.example,Oslo,31/02/1990\nc@x.example\n"
    mapping = {"email": "email", "city": "city", "born": "birth_date"}
    first = planned(text, mapping=mapping, options={"bad_cells": "reject_row"})
    assert cells(first)["city"] == {"stored": 1, "row_rejected": 1}
    data = b"".join(rejected_csv(first, actor=Actor.system()))
    assert next(csv.reader(io.StringIO(data.decode("utf-8-sig"))))[3:] == ["email", "city", "born"]
    again = planned(data, options={"bad_cells": "reject_row"}, name="rejected.csv")
    assert cells(again)["rejected_because"] == {"ignored": 2}
    assert cells(again)["email"] == {"row_rejected": 2}
    assert cells(again)["city"] == {"row_rejected": 1}
