"""Every filled cell of a file has one outcome: which, by which reason, in the plan, the report, the API, the mail."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdp.actors import Actor
from cdp.invariants import violations
from cdp.jobs import run_to_end
from cdp.models import Mail, User
from imports import stage
from imports.apply import apply_import
from imports.cells import OUTCOMES, REASONS
from imports.downloads import plan_csv
from imports.job_controls import cancel_import
from imports.models import Import
from profiles.models import Alternate, AttributeDefinition, IdentifierType, Profile
from tests.imports.files import applied, apply, cells, planned, reasons, some, summed
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

IGNORE: dict[str, Any] = {"to": "ignore"}


def csv_cells(import_: Import) -> dict[str, str]:
    """``{line: cells}`` of the plan as CSV."""
    rows = csv.DictReader(io.StringIO(b"".join(plan_csv(import_, actor=Actor.system())).decode()))
    return {row["line"]: row["cells"] for row in rows}


def test_each_cell_is_stored_the_same_an_alternate_or_left_out() -> None:
    AttributeDefinition.objects.create(name="score", type="number")
    make_profile(email="ada@x.example", last_name="Byron", city="London")
    text = (
        "email,last_name,city,score,junk\n"
        "ada@x.example,Lovelace,London,many,x\n"  # an alternate, the same, unreadable
        "new@x.example,NULL,Rome,3,\n"  # a word for empty
        "not an address,Cy,Oslo,4,y\n"  # the row is rejected
        "short,row\n"
    )
    mapping = {"email": "email", "last_name": "last_name", "city": "city", "score": "attributes.score"}
    import_ = planned(text, mapping=mapping)
    expected = {
        "email": {"stored": 1, "same": 1, "row_rejected": 2},
        "last_name": {"alternate": 1, "left_out": 1, "row_rejected": 2},
        "city": {"stored": 1, "same": 1, "row_rejected": 1},
        "score": {"stored": 1, "left_out": 1, "row_rejected": 1},
        "junk": {"ignored": 2},
        "": {"outside_table": 5},
    }
    assert cells(import_) == expected
    assert csv_cells(import_) == {
        "2": "email: same; last_name: alternate; city: same; score: left_out",
        "3": "email: stored; last_name: left_out; city: stored; score: stored",
        "4": "email: row_rejected; last_name: row_rejected; city: row_rejected; score: row_rejected",
        "5": "email: row_rejected; last_name: row_rejected",
    }
    done = apply(import_)
    assert cells(done) == expected
    assert reasons(done) == {
        "stored": 3,
        "same": 2,
        "alternate": 1,
        "unreadable": 1,
        "empty_word": 1,
        "failed": 6,
        "ignored": 2,
        "header": 5,
    }


def test_the_same_file_again_is_the_same_even_where_values_lost() -> None:
    make_profile(email="ada@x.example", last_name="Byron")
    text = "email,full name,tags\nada@x.example,Ada Lovelace,vip\nada@x.example,Ann Lovelace,\n"
    mapping = {"email": "email", "full name": "full_name", "tags": "tags"}
    first = applied(text, mapping=mapping)
    # “Ada Lovelace”: Ada is stored, so the cell is; “Ann Lovelace” loses both names.
    assert cells(first)["full name"] == {"stored": 1, "alternate": 1}
    assert cells(first)["tags"] == {"stored": 1}
    alternates = Alternate.objects.count()
    again = planned(text, mapping=mapping)
    assert cells(again) == {
        "email": {"same": 2},
        "full name": {"same": 2},
        "tags": {"same": 1},
        "": {"outside_table": 3},
    }
    assert reasons(again)["known_alternate"] == 1  # the other cell has a part that the person has
    assert [warning for warning in again.warnings if warning["code"] == "kept_as_alternates"] == []
    assert cells(apply(again)) == cells(again)
    assert Alternate.objects.count() == alternates


def test_rows_about_one_person_share_out_what_they_bring() -> None:
    AttributeDefinition.objects.create(name="hobbies", type="list")
    AttributeDefinition.objects.create(name="plan", type="text")
    mapping = {
        "customer_id": "customer_id",
        "email": "email",
        "city": "city",
        "plan": {"to": "attributes.plan", "policy": "overwrite"},
        "hobbies": {"to": "attributes.hobbies", "policy": "append"},
        "tags": "tags",
    }
    text = (
        "customer_id,email,city,plan,hobbies,tags\n"
        "c1,a@x.example,,free,chess,vip\n"
        "c1,a@x.example,Rome,pro,chess,VIP\n"
        "c1,b@x.example,Oslo,pro,chess;go,\n"
    )
    expected = {
        "customer_id": {"stored": 1, "same": 2},
        "email": {"stored": 2, "same": 1},
        "city": {"stored": 1, "alternate": 1},
        "plan": {"stored": 1, "same": 1, "alternate": 1},
        "hobbies": {"stored": 2, "same": 1},
        "tags": {"stored": 1, "same": 1},
        "": {"outside_table": 6},
    }
    import_ = planned(text, mapping=mapping)
    assert cells(import_) == expected
    assert cells(apply(import_)) == expected
    again = planned(text, mapping=mapping)
    # Overwriting writes row after row: “free” would come and go again.
    assert cells(again)["plan"] == {"same": 3}
    assert {name: set(counts) for name, counts in cells(again).items() if name} == {
        name: {"same"} for name in mapping
    }


def test_identifiers_of_nobody_are_left_out_with_their_reason() -> None:
    text = "email,phone,card\na@x.example,000000000,NULL\nb@x.example,+48 600 100 200,77\n"
    IdentifierType.objects.create(name="card", priority=4)
    import_ = applied(text, mapping={"email": "email", "phone": "phone", "card": "identifier.card"})
    assert cells(import_)["phone"] == {"stored": 1, "left_out": 1}
    assert cells(import_)["card"] == {"stored": 1, "left_out": 1}
    assert reasons(import_)["stand_in"] == 2


def test_an_identifier_that_unlike_people_share_is_left_out_and_its_address_stored() -> None:
    IdentifierType.objects.create(name="card", priority=1)
    rows = "".join(f"p{number}@x.example,Name{number},same-card\n" for number in range(8))
    import_ = planned(
        f"email,first_name,card\n{rows}",
        mapping={"email": "email", "first_name": "first_name", "card": "identifier.card"},
    )
    assert cells(import_) == {
        "email": {"stored": 8},
        "first_name": {"stored": 8},
        "card": {"left_out": 8},
        "": {"outside_table": 3},
    }
    assert reasons(import_)["shared_identifier"] == 8
    assert cells(apply(import_)) == cells(import_)


def test_tags_and_consents_that_the_person_keeps_are_kept_out_and_listed() -> None:
    make_profile(email="ada@x.example", tags=["vip"])
    mapping = {"email": "email", "tags": {"to": "tags", "policy": "fill_if_empty"}}
    import_ = planned("email,tags\nada@x.example,VIP\nada@x.example,other\n", mapping=mapping)
    assert cells(import_)["tags"] == {"same": 1, "kept_out": 1}
    (warning,) = [warning for warning in import_.warnings if warning["code"] == "kept_out"]
    assert warning["message"] == (
        "Tags or consents of 1 row were kept out (tags 1), the first in line 3: the person keeps what they have. The"
        " plan as CSV lists them."
    )
    apply(import_)
    assert not Alternate.objects.exists()
    consent = {
        "email": "email",
        "news": "consent.email.newsletter",
        "where": "consent.email.newsletter.proof",
    }
    text = "email,news,where\nada@x.example,no,\nbob@x.example,yes,form\ncy@x.example,yes,\ndee@x.example,perhaps,x\n"
    first = applied(text, mapping=consent)
    assert cells(first)["news"] == {"stored": 2, "left_out": 2}
    assert cells(first)["where"] == {"stored": 1, "left_out": 1}
    second = applied("email,news,where\nada@x.example,yes,form\nbob@x.example,yes,form\n", mapping=consent)
    assert cells(second)["news"] == cells(second)["where"] == {"kept_out": 1, "same": 1}
    both = planned(
        "email,news,where\nz@x.example,yes,form\nz@x.example,no,\nz@x.example,no,\n", mapping=consent
    )
    assert cells(both)["news"] == {"kept_out": 1, "stored": 1, "same": 1}
    assert cells(apply(both)) == cells(both)


def test_empty_rows_are_skipped_rows_and_no_failures() -> None:
    text = (
        "Report of May\n\nemail,first_name,city\na@x.example,Ann,Rome,,\n,,\n ; \n , ,\nb@x.example,Bob,,\n\n"
    )
    import_ = planned(text, options={"header_line": 3})
    done = apply(import_)
    # “ ; ” is one cell with a semicolon: too few cells.
    assert some(done) == {"created": 2, "failed": 1, "skipped": 4}
    assert summed(done)
    assert done.job is not None
    assert (done.job.done, done.job.total) == (4, 4)
    assert cells(done)[""] == {"outside_table": 4}
    assert reasons(done)["above_header"] == 1
    only = planned("email,first_name\n,\n,,\n")
    assert (some(only), summed(only)) == ({"skipped": 2}, True)
    assert cells(only) == {"": {"outside_table": 2}}


def test_cells_beside_the_table_are_in_no_column() -> None:
    import_ = planned('email,first_name\na@x.example,Ann,x,,y\nb"b@x.example,Bob\nc@x.example,Cy\n')
    assert cells(import_) == {
        "email": {"stored": 1, "row_rejected": 2},
        "first_name": {"stored": 1, "row_rejected": 2},
        "": {"outside_table": 4},
    }
    assert csv_cells(import_)["2"] == "email: row_rejected; first_name: row_rejected; 2 in no column"


def test_after_applying_the_cells_are_what_happened() -> None:
    ada = make_profile(email="ada@x.example")
    text = "email,city\nada@x.example,London\nnew@x.example,Rome\nada@x.example,Paris\n"
    import_ = planned(text)
    assert cells(import_)["city"] == {"stored": 2, "alternate": 1}
    Profile.objects.filter(pk=ada.pk).update(city="Bern", version=ada.version + 1)
    done = apply(import_)
    assert some(done) == {"created": 1, "held": 2}
    assert cells(done)["city"] == {"stored": 1, "row_rejected": 2}
    assert reasons(done)["held"] == 4


def test_cells_behind_the_line_where_the_import_ended_were_not_written() -> None:
    import_ = planned("email,city\na@x.example,London\nb@x.example,Rome\n")
    job = apply_import(import_id=import_.pk, actor=Actor.system())
    cancel_import(import_id=import_.pk, actor=Actor.system())
    run_to_end(job)
    import_.refresh_from_db()
    assert import_.state == "canceled"
    assert cells(import_)["city"] == {"row_rejected": 2}
    assert reasons(import_)["not_applied"] == 4


def test_the_doctor_and_the_page_name_an_import_whose_cells_do_not_add_up() -> None:
    import_ = applied("email,city\na@x.example,London\n")
    name = "every cell of an imported file has one outcome"
    assert name not in {violation.name for violation in violations()}
    import_.cells["columns"][1] = {"stored": 2}
    import_.save()
    (violation,) = [violation for violation in violations() if violation.name == name]
    assert (violation.count, violation.sample_ids) == (1, [import_.pk])


def test_the_mail_says_it_in_one_sentence(make_user: Callable[..., User]) -> None:
    dana = make_user("dana", "data admin")
    applied("email,city,other\na@x.example,London,1\na@x.example,Rome,\n", user=dana)
    mail = Mail.objects.latest("pk")
    sentence = (
        "The file has 8 filled cells: 2 stored, 1 the same already, 1 kept as alternates, 1 in ignored columns and 3 in"
        " no column."
    )
    assert sentence in mail.text
    assert sentence in mail.html


def test_a_plan_of_before_cells_were_counted_has_none() -> None:
    import_ = planned("email\na@x.example\n")
    Import.objects.filter(pk=import_.pk).update(cells={})
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {import_.partition} SET cells = NULL")
    run_to_end(apply_import(import_id=import_.pk, actor=Actor.system()))
    import_.refresh_from_db()
    assert (import_.state, import_.cells) == ("done", {})


def test_reasons_and_outcomes_are_closed_lists() -> None:
    assert {outcome for outcome, _ in REASONS.values()} == set(OUTCOMES)
    assert all(sentence.endswith(".") for _, sentence in REASONS.values())


# --- Many rows of one person ------------------------------------------------------------------------------


def statements(text: str, **kwargs: Any) -> tuple[Import, int]:
    """The import, planned, and how many statements its plan took."""
    with CaptureQueriesContext(connection) as queries:
        import_ = planned(text, **kwargs)
    assert import_.state == "planned", import_.problem
    return import_, len(queries)


def test_ten_thousand_alternates_of_one_person_are_one_line_and_no_more_statements() -> None:
    make_profile(email="ada@x.example", city="London")
    mapping = {"email": "email", "city": "city"}
    few = "".join(f"ada@x.example,Town{number}\n" for number in range(3))
    many = "".join(f"ada@x.example,Town{number}\n" for number in range(10_000))
    statements(f"email,city\n{few}", mapping=mapping)  # what a process asks once
    _, some_statements = statements(f"email,city\n{few}", mapping=mapping)
    import_, more_statements = statements(f"email,city\n{many}", mapping=mapping)
    assert more_statements == some_statements
    (warning,) = [warning for warning in import_.warnings if warning["code"] == "kept_as_alternates"]
    assert warning["message"].startswith(
        "10,000 cells differ from the value that the person keeps (City 10,000)"
    )
    assert cells(import_)["city"] == {"alternate": 10_000}
    assert cells(apply(import_))["city"] == {"alternate": 10_000}
    assert Alternate.objects.count() == 10_000


def test_twenty_thousand_rows_with_one_stand_in_are_one_line_and_no_more_statements(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage, "BATCH_ROWS", 50_000)  # as many batches for many rows as for few
    few = "".join(f"p{number}@x.example,CARD\n" for number in range(6))
    many = "".join(f"p{number}@x.example,CARD\n" for number in range(20_000))
    IdentifierType.objects.create(name="card", priority=1)
    mapping = {"email": "email", "card": "identifier.card"}
    statements(f"email,card\n{few}", mapping=mapping)  # what a process asks once
    _, some_statements = statements(f"email,card\n{few}", mapping=mapping)
    import_, more_statements = statements(f"email,card\n{many}", mapping=mapping)
    assert more_statements == some_statements
    shared = [warning for warning in import_.warnings if "identifiers" in warning]
    assert [warning["message"] for warning in shared] == [
        "1 identifier is shared by unlike rows. It leads to too many people to identify one: the rows go in without it."
    ]
    assert cells(import_)["card"] == {"left_out": 20_000}
    assert some(import_) == {"created": 20_000}
