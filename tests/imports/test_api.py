"""Imports over HTTP, by the contract."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.jobs import run_to_end
from cdp.models import Job
from imports.models import Import
from profiles.models import AttributeDefinition, Profile
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

TEXT = "email,first_name,plan,birth_date\nann@example.com,Ann,pro,\nbob@example.com,Bob,,31/02/1990\nann@example.com,,,\n"


@pytest.fixture
def api(db: None) -> Caller:
    return Caller(create_key(name="shop", scopes=("imports", "pii"), actor=Actor.system()))


def send(api: Caller, text: str | bytes = TEXT, name: str = "people.csv", **fields: str) -> Any:
    data = text.encode() if isinstance(text, str) else text
    answer = api.client.post(
        "/api/v1/imports/",
        {"file": SimpleUploadedFile(name, data), **fields},
        headers={"Authorization": f"Bearer {api.key.secret}"} if api.key else {},
    )
    answer.data = answer.json() if "json" in answer["Content-Type"] else None
    return answer


def work(answer: Any) -> None:
    run_to_end(Job.objects.get(pk=answer.data["job_id"]))


def body(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))


def test_the_way_of_an_import(api: Caller) -> None:
    answer = send(api, options='{"bad_cells": "reject_row"}')
    assert answer.status_code == 201, answer.content
    assert (answer.data["state"], answer["Location"]) == ("planning", f"/api/v1/imports/{answer.data['id']}/")
    path = f"imports/{answer.data['id']}/"
    assert answer.data["file"]["name"] == "people.csv"
    assert (answer.data["file"]["encoding"], answer.data["file"]["delimiter"]) == ("utf-8", ",")
    assert answer.data["mapping"]["email"] == {"to": "email", "policy": "fill_if_empty"}
    assert (answer.data["counts"]["rows"], answer.data["cells"]) == (0, None)
    assert refusal(api.post(f"{path}apply/")) == (
        409,
        "This import is planning; only a planned one can be applied.",
    )
    work(answer)
    planned = api.get(path).data
    assert planned["state"] == "planned"
    counts = {name: count for name, count in planned["counts"].items() if name != "cells"}
    assert counts == {
        "rows": 3,
        "created": 1,
        "updated": 0,
        "unchanged": 0,
        "failed": 1,
        "conflict": 0,
        "duplicate_in_file": 1,
        "suppressed": 0,
        "held": 0,
    }
    sums = {name: count for name, count in planned["cells"].items() if name not in ("columns", "reasons")}
    assert sums == {
        "total": 11,
        "stored": 2,
        "same": 1,
        "kept_out": 0,
        "alternate": 0,
        "left_out": 0,
        "row_rejected": 3,
        "ignored": 1,
        "outside_table": 4,
    }
    assert planned["counts"]["cells"] == {**sums, "columns": planned["cells"]["columns"]}
    for part in planned["cells"]["columns"]:
        assert part["total"] == sum(part[name] for name in sums if name != "total"), part
    assert {"outcome": "outside_table", "reason": "header", "message": "In the header.", "count": 4} in (
        planned["cells"]["reasons"]
    )
    assert sum(part["count"] for part in planned["cells"]["reasons"]) == 11
    assert planned["problems"] == [
        {
            "line": 3,
            "column": "birth_date",
            "value": "31/02/1990",
            "message": "Not a date. Write YYYY-MM-DD, for example 1990-02-28.",
            "outcome": "failed",
        }
    ]
    assert not Profile.objects.exists()
    plan = body(api.get(f"{path}plan.csv"))
    assert plan[0] == [
        "line",
        "outcome",
        "profile_id",
        "same_person_as_line",
        "changes",
        "problem",
        "warnings",
        "kept_as_alternates",
        "cells",
    ]
    assert [row[:2] for row in plan[1:]] == [["2", "created"], ["3", "failed"], ["4", "duplicate_in_file"]]
    assert plan[3][3] == "2"
    assert refusal(api.post(f"{path}apply/", {"revision": 9}))[0] == 409
    applied = api.post(f"{path}apply/", {"revision": planned["revision"]})
    assert (applied.status_code, applied.data["state"]) == (202, "applying")
    work(applied)
    done = api.get(path).data
    assert (done["state"], done["counts"]) == ("done", planned["counts"])
    assert done["progress"]["done"] == done["progress"]["total"] == 3
    assert Profile.objects.get().first_name == "Ann"
    rejected = body(api.get(f"{path}rejected.csv"))
    assert rejected == [
        ["rejected_line", "rejected_column", "rejected_because", "email", "first_name", "plan", "birth_date"],
        [
            "3",
            "birth_date",
            "Not a date. Write YYYY-MM-DD, for example 1990-02-28.",
            "bob@example.com",
            "Bob",
            "",
            "31/02/1990",
        ],
    ]
    (listed,) = api.get("imports/").data["results"]
    assert (listed["id"], listed["counts"]["cells"]) == (done["id"], sums)
    assert api.get("imports/?state=failed").data["results"] == []
    assert refusal(api.post(f"{path}apply/")) == (
        409,
        "This import is done; only a planned one can be applied.",
    )
    assert refusal(api.post(f"{path}pause/")) == (409, "This import is done; nothing is running.")
    assert refusal(api.get("imports/999999/")) == (404, "There is no import #999999.")


def test_a_corrected_file_of_rejected_rows_goes_in(api: Caller) -> None:
    answer = send(api, options='{"auto_apply": true, "bad_cells": "reject_row"}')
    work(answer)
    import_ = Import.objects.get()
    assert import_.state == "applying"
    run_to_end(import_.job or Job())
    rejected = b"".join(api.get(f"imports/{import_.pk}/rejected.csv").streaming_content)
    answer = send(api, rejected.replace(b"31/02/1990", b"1990-02-28"), options='{"auto_apply": true}')
    assert answer.data["mapping"]["rejected_because"] == {"to": "ignore", "policy": "fill_if_empty"}
    work(answer)
    again = Import.objects.order_by("pk").last()
    assert again is not None
    assert {name: count for name, count in again.counts.items() if count} == {"rows": 1, "created": 1}


def test_mapping_and_options(api: Caller) -> None:
    AttributeDefinition.objects.create(name="plan", type="text")
    make_profile(email="ann@example.com", first_name="Anna")
    mapping = '{"email": {"to": "email"}, "first_name": {"to": "first_name", "policy": "overwrite"}, "plan": "attributes.plan"}'
    answer = send(api, mapping=mapping, options='{"policy": "overwrite", "on_conflict": "hold"}')
    assert answer.data["mapping"]["plan"] == {"to": "attributes.plan", "policy": "overwrite"}
    work(answer)
    import_ = api.get(f"imports/{answer.data['id']}/").data
    assert (
        import_["counts"]["updated"],
        import_["counts"]["created"],
        import_["options"]["on_conflict"],
    ) == (
        1,
        1,
        "hold",
    )
    changed = api.patch(
        f"imports/{import_['id']}/", {"mapping": {"email": "email"}, "revision": import_["revision"]}
    )
    assert (changed.data["state"], changed.data["revision"]) == ("planning", import_["revision"] + 1)
    work(changed)
    assert api.get(f"imports/{import_['id']}/").data["counts"]["unchanged"] == 1
    assert refusal(api.post(f"imports/{import_['id']}/apply/", {"revision": import_["revision"]})) == (
        409,
        "The mapping was changed after this plan was shown. Look at the new plan.",
    )
    assert api.post(f"imports/{import_['id']}/cancel/").data["state"] == "canceled"


@pytest.mark.parametrize(
    ("text", "fields", "status", "detail"),
    [
        ("", {}, 400, "The file is empty."),
        ("email,name\n", {}, 400, "The file has a header but no rows under it."),
        (b"PK\x03\x04" + b"\x00" * 100, {}, 400, None),
        ("email\na@example.com\n", {"mapping": '{"email": "mail"}'}, 400, None),
        (
            "email\na@example.com\n",
            {"mapping": '{"e/mail": "email"}'},
            400,
            "The file has no column “e/mail”.",
        ),
        ("email\na@example.com\n", {"mapping": "[]"}, 400, "mapping is a JSON object."),
        ("email\na@example.com\n", {"options": '{"colour": 1}'}, 400, "There is no such option."),
        (
            "email\na@example.com\n",
            {"options": '{"kind": "events"}'},
            400,
            "Importing events is not possible yet. Send them through the API, or import people.",
        ),
        ("email,email\na@example.com,b@example.com\n", {}, 400, None),
    ],
)
def test_refused_and_nothing_left_behind(
    api: Caller, settings: Any, text: str | bytes, fields: dict[str, str], status: int, detail: str | None
) -> None:
    answer = send(api, text, **fields)
    assert answer.status_code == status, answer.data
    if detail:
        assert answer.data["detail"] == detail
    assert not Import.objects.exists()
    assert answer["Content-Type"] == "application/problem+json"


def test_where_in_the_mapping_it_is_wrong(api: Caller) -> None:
    answer = send(api, "e/mail\na@example.com\n", mapping='{"e/mail": "mail"}')
    assert answer.data["errors"] == [
        {
            "pointer": "/mapping/e~1mail",
            "column": "e/mail",
            "message": "A column cannot go to “mail”. Did you mean “email”?",
        }
    ]


def test_a_file_over_the_limit(api: Caller, settings: Any) -> None:
    settings.CDP_IMPORT_MAX_BYTES = 10
    answer = send(api)
    assert refusal(answer)[0] == 413
    assert answer.data["detail"].startswith("The file is ")


def test_who_may(api: Caller, make_user: Callable[..., Any]) -> None:
    reader = Caller(create_key(name="reader", scopes=("profiles:read",), actor=Actor.system()))
    assert send(reader).status_code == 403
    assert refusal(reader.get("imports/")) == (403, "The API key “reader” needs the scope imports for this.")
    assert not Import.objects.exists()
    work(send(api, options='{"bad_cells": "reject_row"}'))
    other = Caller(create_key(name="other", scopes=("imports",), actor=Actor.system()))
    pk = Import.objects.get().pk
    assert other.get(f"imports/{pk}/").data["problems"][0]["value"] == "•••"
    rows = body(other.get(f"imports/{pk}/rejected.csv"))
    assert rows[1][3:] == ["•••", "•••", "", "•••"]


def test_what_is_stored_of_people_is_not_shown_to_whoever_uploads(api: Caller) -> None:
    """A key that may only import sends ids with junk: the plan must not show whom they belong to."""
    AttributeDefinition.objects.create(name="hobbies", type="list")
    make_profile(
        identifiers=[("customer_id", "C-1")],
        first_name="Annabella",
        email="annabella@example.com",
        phone="+48600100123",
        street="Secret Street 5",
        birth_date="1990-02-28",
        hobbies=["chess"],
    )
    text = "customer_id,first_name,phone,street,birth_date,hobbies\nC-1,Junk,+48600999999,Junk 1,2000-01-01,golf\n"
    mapping = {name: {"to": name, "policy": "overwrite"} for name in text.splitlines()[0].split(",")[1:]}
    mapping |= {
        "customer_id": {"to": "identifier.customer_id"},
        "hobbies": {"to": "attributes.hobbies", "policy": "append"},
    }
    key = create_key(name="loader", scopes=("imports",), actor=Actor.system())
    loader = Caller(key)
    work(send(loader, text, mapping=json.dumps(mapping)))
    pk = Import.objects.get().pk
    (header, row) = body(loader.get(f"imports/{pk}/plan.csv"))
    changes = row[header.index("changes")]
    for shown in ("A••• → Junk", "••• → Junk 1", "+48 ••• ••• 123 → +48600999999", "→ 2000-01-01", "golf"):
        assert shown in changes
    stored = ("Annabella", "annabella@", "600100123", "Secret", "1990-02", "chess")
    for hidden in stored:
        assert hidden not in changes
        assert hidden not in json.dumps(loader.get(f"imports/{pk}/").data)
    other = Caller(create_key(name="seer", scopes=("imports", "pii"), actor=Actor.system()))
    whole = body(other.get(f"imports/{pk}/plan.csv"))[1][header.index("changes")]
    for shown in ("Annabella → Junk", "+48600100123 → +48600999999", "Secret Street 5 → Junk 1", "chess"):
        assert shown in whole
    # Whoever may see jobs sees their titles; a file's name may be that of a person.
    assert Job.objects.get().title == f"Plan of import #{pk}"


def test_dry_run_and_idempotency(api: Caller) -> None:
    answer = api.client.post(
        "/api/v1/imports/?dry_run=true",
        {"file": SimpleUploadedFile("people.csv", TEXT.encode())},
        headers={"Authorization": f"Bearer {api.key.secret}"} if api.key else {},
    )
    assert (answer.status_code, answer.json()["dry_run"]) == (201, True)
    assert not Import.objects.exists()


def test_template(api: Caller) -> None:
    AttributeDefinition.objects.create(name="plan", type="text")
    answer = api.get("imports/template.csv")
    assert b"".join(answer.streaming_content) == (
        b"first_name,last_name,email,country,tags,reference_id,attributes.plan\r\n"
    )
