"""Exports over HTTP: who may, which people and columns, what became of them, the file."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.jobs import cancel_job, run_to_end
from cdp.models import AuditEntry, Job, Mail, User
from profiles.bulk.exports import forget_exports
from profiles.merging.merge import merge_profiles
from profiles.models import AttributeDefinition
from profiles.privacy.delete import delete_profiles
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def work(answer: Any) -> None:
    run_to_end(Job.objects.get(pk=answer.data["id"]))


def text(answer: Any) -> str:
    return b"".join(answer.streaming_content).decode("utf-8-sig")


def test_the_way_of_an_export(with_scopes: Callable[..., Caller]) -> None:
    api = with_scopes("exports", "pii")
    AttributeDefinition.objects.create(name="plan", type="text")
    ann = make_profile(email="ann@mail.example", country="PL", plan="pro", tags=["vip"])
    make_profile(email="bob@mail.example", country="DE", plan="pro")
    body = {
        "fields": ["email", "attributes.plan", "tags"],
        "filter": {"country": ["PL", "NO"], "type": "recognized", "attributes.plan": "pro"},
    }
    answer = api.post("exports/", body)
    number = answer.data["id"]
    assert (answer.status_code, answer["Location"]) == (202, f"/api/v1/exports/{number}/")
    waiting = {name: value for name, value in answer.data.items() if not name.endswith("_at")}
    assert waiting == {
        "id": number,
        "state": "queued",
        "people": 1,
        "fields": ["id", "type", "email", "plan", "tags"],
        "filter": body["filter"],
        "format": "csv",
        "spreadsheet_safe": True,
        "masked": False,
        "progress": {"done": 0, "total": 1, "unit": "people", "rate": None, "eta_seconds": None},
        "result": {"people": 0, "left_out": []},
        "file": None,
        "problem": "",
        "actor": "shop",
    }
    assert refusal(api.get(f"exports/{number}/download")) == (
        404,
        f"Export {number} is not finished: 0 of 1 people are written.",
    )
    work(answer)
    done = api.get(f"exports/{number}/").data
    assert (done["state"], done["result"]) == ("done", {"people": 1, "left_out": []})
    expires = datetime.datetime.fromisoformat(done["file"]["expires_at"])
    assert expires - datetime.datetime.fromisoformat(done["finished_at"]) == datetime.timedelta(days=7)
    file = api.get(done["file"]["download"])
    assert (file["Content-Type"], file["Content-Disposition"]) == (
        "text/csv; charset=utf-8",
        f'attachment; filename="people-{number}.csv"',
    )
    assert text(file) == f"id,type,email,plan,tags\r\n{ann.pk},recognized,ann@mail.example,pro,vip\r\n"
    entries = AuditEntry.objects.filter(subject=f"job:{number}").order_by("pk")
    assert [entry.action for entry in entries] == ["profile.bulk_export", "profile.bulk_export.download"]
    assert entries[0].detail == {
        "people": 1,
        "columns": ["id", "type", "email", "plan", "tags"],
        "format": "csv",
        "filters": ["attributes.plan", "country", "type"],
    }
    forget_exports(days=-1)
    assert api.get(f"exports/{number}/").data["file"] is None
    assert refusal(api.get(f"exports/{number}/download")) == (
        404,
        f"The file of export {number} was deleted after 7 days. Export again.",
    )


def test_everybody_with_every_column_as_json_lines(api: Caller) -> None:
    make_profile(email="ann@mail.example", city="Oslo")
    make_profile(city="Rome")
    answer = api.post("exports/", {"format": "jsonl"})
    assert (answer.data["people"], answer.data["spreadsheet_safe"], answer.data["filter"]) == (2, False, {})
    work(answer)
    file = api.get(f"exports/{answer.data['id']}/download")
    assert file["Content-Type"] == "application/x-ndjson; charset=utf-8"
    people = [json.loads(line) for line in text(file).splitlines()]
    assert [(person["email"], person["city"]) for person in people] == [
        ("ann@mail.example", "Oslo"),
        (None, "Rome"),
    ]
    assert list(people[0]) == answer.data["fields"]


def test_nobody_is_a_file_as_well(api: Caller) -> None:
    answer = api.post("exports/", {"fields": ["email"], "filter": {"q": "nobody@mail.example"}})
    assert answer.data["people"] == 0
    work(answer)
    assert text(api.get(f"exports/{answer.data['id']}/download")) == "id,type,email\r\n"


def test_who_is_gone_meanwhile_is_left_out_with_the_reason(api: Caller, by_system: dict[str, Any]) -> None:
    ann, anna, bob, cy = (make_profile(first_name=name) for name in ("Ann", "Anna", "Bob", "Cy"))
    answer = api.post("exports/", {"fields": ["first_name"]})
    merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_system)
    delete_profiles(profile_ids=[bob.pk], reason="", **by_system)
    work(answer)
    done = api.get(f"exports/{answer.data['id']}/").data
    assert (done["people"], done["result"]) == (
        4,
        {"people": 2, "left_out": [{"reason": "merged", "count": 1}, {"reason": "deleted", "count": 1}]},
    )
    lines = text(api.get(done["file"]["download"])).splitlines()
    assert [line.split(",")[0] for line in lines] == ["id", str(ann.pk), str(cy.pk)]


@pytest.mark.parametrize(
    ("body", "pointer", "sentence"),
    [
        (
            {"fields": ["secret"]},
            "/fields",
            "“secret” is not a column of an export. Columns: id, type, customer_id, anonymous_id, first_name, last_name, email, phone, street, postcode, city, state, country, birth_date, gender, language, tags, other_identifiers, created_at, last_seen_at, consents, reachable.",
        ),
        ({"format": "xlsx"}, "/format", "“xlsx” is not a format of exports. Formats: csv, jsonl."),
        ({"segment": 3}, "/segment", "There is no segment “3”. There are: none yet."),
        ({"segment": "a"}, "/segment", "Send the id as a whole number."),
        (
            {"segment": 3, "filter": {}},
            "/segment",
            "Choose the people by “filter” or by “segment”, not by both.",
        ),
        ({"filter": {"colour": "red"}}, "/filter/colour", None),
        ({"filter": {"type": "robot"}}, "/filter/type", "“robot” is none of recognized, anonymous."),
        ({"filter": {"tag": ["vip"]}}, "/filter/tag", "There is no tag “vip”."),
        ({"filter": {"attributes.plan": "x"}}, "/filter/attributes.plan", "There is no attribute “plan”."),
        (
            {"filter": {"created_at_after": "soon"}},
            "/filter/created_at_after",
            "“soon” is not a date. Write it like 2026-03-01 or 2026-03-01T14:30:00Z.",
        ),
        ({"filter": {"country": "Atlantis"}}, "/filter/country", None),
        (
            {"filter": {"q": {"a": 1}}},
            "/filter/q",
            "Send a text, a number, true or false, or a list of them.",
        ),
        ({"filter": {"status": "deleted"}}, "/filter/status", "Deleted people cannot be exported."),
        (
            {"filters": {}},
            "/filters",
            "There is no field “filters” here. Known fields: fields, filter, segment, format, spreadsheet_safe.",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused(
    api: Caller, body: Any, pointer: str, sentence: str | None
) -> None:
    answer = api.post("exports/", body)
    assert answer.status_code == 400, answer.data
    (error,) = answer.data["errors"]
    assert error["pointer"] == pointer
    if sentence is not None:
        assert error["message"] == sentence
    assert not Job.objects.exists()


def test_an_unknown_filter_names_those_there_are(api: Caller) -> None:
    message = api.post("exports/", {"filter": {"colour": "red"}}).data["errors"][0]["message"]
    assert message.startswith("There is no filter “colour”. Known filters: ")
    known = message.removesuffix(", attributes.<name>.").partition("Known filters: ")[2].split(", ")
    assert {"q", "type", "tag", "country", "source", "import", "identifier", "created_at_after"} <= set(known)
    assert "status" not in known


def test_the_same_people_as_the_list(api: Caller) -> None:
    people = [
        make_profile(city=city, country=country)
        for city, country in (("Oslo", "NO"), ("Bergen", "NO"), ("Rome", "IT"))
    ]
    for query, given in (
        ("country=NO", {"country": "Norway"}),
        ("locked=false&country=IT", {"locked": False, "country": ["IT"]}),
        ("created_at_after=1d&q=Oslo", {"created_at_after": "1d", "q": "Oslo"}),
    ):
        listed = {row["id"] for row in api.get(f"profiles/?{query}").data["results"]}
        answer = api.post("exports/", {"filter": given, "fields": []})
        work(answer)
        rows = text(api.get(f"exports/{answer.data['id']}/download")).splitlines()[1:]
        assert {int(row.split(",")[0]) for row in rows} == listed != {person.pk for person in people}


def test_only_a_key_that_may(with_scopes: Callable[..., Caller]) -> None:
    exporting, other, reading = (
        with_scopes("exports"),
        with_scopes("exports"),
        with_scopes("profiles:read", "pii"),
    )
    for call in (lambda: reading.post("exports/", {}), lambda: reading.get("exports/")):
        assert call().status_code == 403
    answer = exporting.post("exports/", {})
    work(answer)
    number = answer.data["id"]
    assert [row["id"] for row in exporting.get("exports/").data["results"]] == [number]
    assert other.get("exports/").data["results"] == []
    for path in (f"exports/{number}/", f"exports/{number}/download"):
        assert refusal(other.get(path)) == (404, f"There is no export {number}.")
    assert exporting.get(f"exports/{number}/").data["file"]["size"]
    assert text(exporting.get(f"exports/{number}/download")).startswith("id,type,")


def test_personal_data_is_masked_for_a_key_without_the_scope(with_scopes: Callable[..., Caller]) -> None:
    make_profile(email="ann@mail.example", phone="+48600100123")
    for file_format in ("csv", "jsonl"):
        api = with_scopes("exports")
        answer = api.post("exports/", {"fields": ["email", "phone"], "format": file_format})
        assert answer.data["masked"]
        work(answer)
        content = text(api.get(f"exports/{answer.data['id']}/download"))
        assert "a•••@m•••.example" in content
        assert "ann@" not in content
        assert "600100" not in content


def test_rights_are_asked_again_for_the_file(mira: User, as_user: Any) -> None:
    make_profile(email="ann@mail.example")
    key = create_key(name="shop", scopes=("exports", "pii"), actor=Actor.system())
    key.key.owner, key.key.is_system = mira, False
    key.key.save()
    api, browser = Caller(key), Caller(None, as_user(mira))
    answer = api.post("exports/", {"fields": ["email"]})
    work(answer)
    number = answer.data["id"]
    # The mail goes to whoever owns the key, and its link works for them.
    mail = Mail.objects.get()
    assert mail.to == [mira.email]
    assert (
        "Only you and the API key can download it, for 7 days, and only while you may export people"
        in mail.text
    )
    assert [row["id"] for row in browser.get("exports/").data["results"]] == [number]
    assert "ann@mail.example" in text(browser.get(f"exports/{number}/download"))
    assert as_user(mira).get(f"/admin/profiles/profile/export/{number}/").status_code == 200
    key.key.scopes = ["exports"]
    key.key.save()
    assert refusal(api.get(f"exports/{number}/download")) == (
        403,
        f"Export {number} was written with personal data, which shop may not see. Start it again: it will be masked.",
    )
    key.key.scopes = ["pii"]
    key.key.save()
    assert api.get(f"exports/{number}/download").status_code == 403
    # The owner may export themselves; the file is the key's, and goes with it.
    assert refusal(browser.get(f"exports/{number}/download")) == (
        403,
        f"shop may no longer do this. So the file of export {number} is closed. Start the export again.",
    )
    key.key.scopes, key.key.revoked_at = ["exports", "pii"], timezone.now()
    key.key.save()
    assert refusal(browser.get(f"exports/{number}/download")) == (
        403,
        f"The API key “shop” was revoked. So the file of export {number} is closed. Start the export again.",
    )


def test_a_right_that_is_lost_meanwhile_stops_the_export(with_scopes: Callable[..., Caller]) -> None:
    api = with_scopes("exports", "pii")
    make_profile(email="ann@mail.example")
    answer = api.post("exports/", {})
    assert api.key is not None
    api.key.key.scopes = ["exports"]
    api.key.key.save()
    work(answer)
    done = api.get(f"exports/{answer.data['id']}/").data
    assert (done["state"], done["file"]) == ("failed", None)
    assert (
        done["problem"] == "shop may not see personal data any more. Start it again: the file will be masked."
    )


def test_one_call_is_one_export(api: Caller) -> None:
    make_profile(city="Oslo")
    first, second = (api.post("exports/", {"fields": ["city"]}, Idempotency_Key="a") for _ in range(2))
    assert (first.status_code, first.data) == (second.status_code, second.data)
    assert Job.objects.count() == 1
    rehearsed = api.post("exports/?dry_run=true", {"fields": ["city"]})
    assert (rehearsed.status_code, rehearsed.data["dry_run"], rehearsed.data["people"]) == (202, True, 1)
    assert Job.objects.count() == 1


def test_exports_are_listed_by_page_and_state(api: Caller) -> None:
    made = [api.post("exports/", {}).data["id"] for _ in range(5)]
    cancel_job(job_id=made[0], actor=Actor.system())
    first = api.get("exports/?page_size=2&count=exact").data
    assert ([row["id"] for row in first["results"]], first["count"]) == ([made[4], made[3]], 5)
    second = api.get(first["next"].partition("/api/v1/")[2]).data
    assert [row["id"] for row in second["results"]] == [made[2], made[1]]
    assert [row["id"] for row in api.get("exports/?state=canceled").data["results"]] == [made[0]]
    assert refusal(api.get("exports/?state=odd"))[0] == 400
    assert refusal(api.get(f"exports/{made[0]}/download")) == (
        404,
        f"Export {made[0]} was not finished, so it has no file. Start it again.",
    )
