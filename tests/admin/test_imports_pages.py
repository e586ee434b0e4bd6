"""The import's pages: list, upload, columns, plan, applying and report, as staff meet them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from cdp.jobs import run_to_end
from cdp.models import AuditEntry, Job, Mail, User
from imports.models import Import, SavedMapping
from imports.partitions import drop_partition
from profiles.builtin_sources import builtin_source
from profiles.models import AttributeDefinition, Consent, Profile, ProfileTag
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

URL = "/admin/imports/import/"
Login = Callable[[User], Client]
TEXT = (
    "E-mail,First name,Plan,Birth date\n"
    "ann@example.com,Ann,pro,1990-02-28\n"
    "bob@example.com,Bob,,31/02/1990\n"
    "eve@example.com,Eve,free,\n"
    "ann@example.com,Ann,,\n"
)


@pytest.fixture
def dana(make_user: Callable[..., User]) -> User:
    """The data admin."""
    return make_user("dana", "data admin")


@pytest.fixture
def client(dana: User, as_user: Login) -> Client:
    return as_user(dana)


@pytest.fixture
def watcher(vic: User, as_user: Login) -> Client:
    """A viewer who may look at imports and do nothing else with them; personal data stays masked."""
    vic.user_permissions.add(Permission.objects.get(codename="view_import"))
    return as_user(vic)


def send(client: Client, text: str | bytes = TEXT, name: str = "people.csv") -> HttpResponse:
    data = text.encode() if isinstance(text, str) else text
    return client.post(f"{URL}add/", {"file": SimpleUploadedFile(name, data)})


def uploaded(client: Client, text: str | bytes = TEXT) -> Import:
    answer = send(client, text)
    assert answer.status_code == 302, alert_of(answer)
    import_ = Import.objects.latest("pk")
    assert answer["Location"] == f"{URL}{import_.pk}/columns/"
    return import_


def at(import_: Import, what: str = "change/") -> str:
    return f"{URL}{import_.pk}/{what}"


def page(client: Client, import_: Import, what: str = "change/", **kwargs: Any) -> str:
    answer = client.get(at(import_, what), **kwargs)
    assert answer.status_code == 200, (answer.status_code, answer.get("Location"))
    return text_of(answer)


def text_of(answer: Any) -> str:
    """The page as text, each run of white space one space."""
    inner = re.sub(r"<[^>]+>", " ", answer.content.decode())
    return " ".join(unescape(inner).replace("\xa0", " ").split())


def alert_of(answer: Any) -> str:
    """What the page's alert says."""
    match = re.search(r'role="alert">(.*?)</p>', answer.content.decode(), re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", match[1])).replace("\xa0", " ").split()) if match else ""


def message_after(client: Client, answer: Any) -> str:
    """Where a refused write leads, and the message shown there."""
    assert answer.status_code == 302
    content = client.get(answer["Location"], follow=True).content.decode()
    match = re.findall(r'<li[^>]*class="(?:error|success)[^"]*"[^>]*>(.*?)</li>', content, re.DOTALL)
    return unescape(" ".join(" ".join(match).split()))


def chosen_target(content: str, number: int) -> str:
    """What the select box of a column has chosen."""
    box = re.search(rf'<select name="to\.{number}".*?</select>', content, re.DOTALL)
    assert box
    match = re.search(r'<option value="([^"]*)" selected', box[0])
    return match[1] if match else ""


def form(import_: Import, *targets: str, **more: str) -> dict[str, str]:
    """The columns form: a target per column, in order."""
    import_.refresh_from_db()
    chosen = {f"to.{number}": to for number, to in enumerate(targets, 1)}
    return {
        "revision": str(import_.revision),
        "policy": "fill_if_empty",
        "bad_cells": "reject_row",
        **chosen,
        **more,
    }


def work(import_: Import) -> Import:
    import_.refresh_from_db()
    assert import_.job is not None
    run_to_end(import_.job)
    import_.refresh_from_db()
    return import_


def planned(client: Client, text: str = TEXT, *targets: str) -> Import:
    import_ = uploaded(client, text)
    answer = client.post(
        at(import_, "map/"), form(import_, *(targets or ("email", "first_name", "ignore", "birth_date")))
    )
    assert answer["Location"] == at(import_), alert_of(answer)
    return work(import_)


def apply(client: Client, import_: Import) -> Import:
    answer = client.post(at(import_, "apply/"), {"revision": str(import_.revision), "back": at(import_)})
    assert (answer.status_code, answer["Location"]) == (302, at(import_))
    return work(import_)


# --- The list -------------------------------------------------------------------------------------------


def make_import(**fields: Any) -> Import:
    return Import.objects.create(
        **{"name": "people.csv", "size": 1, "sha256": "0", "source": builtin_source("staff"), **fields}
    )


def test_an_empty_list_says_how_to_begin(client: Client) -> None:
    content = text_of(client.get(URL))
    assert (
        "No imports yet Upload a CSV, TSV or JSON Lines file. You see what every row would do before anything"
        in content
    )
    assert "No older imports" in text_of(client.get(URL + "?before=1"))


def test_the_list_pages_by_key(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from imports.admin import pages

    monkeypatch.setattr(pages, "PAGE", 3)
    made = [make_import().pk for _ in range(8)]
    seen, url = [], URL
    while url:
        content = client.get(url).content.decode()
        seen.append([int(pk) for pk in re.findall(rf'<th scope="row"><a href="{URL}(\d+)/change/"', content)])
        match = re.search(r'rel="next" href="([^"]+)"', content)
        url = URL + match[1] if match else ""
    newest_first = made[::-1]
    assert seen == [newest_first[:3], newest_first[3:6], newest_first[6:]]
    assert client.get(URL + "?before=x").status_code == 200
    assert client.get(URL + "?before=" + "9" * 40).status_code == 200


def test_a_long_list_costs_what_a_short_one_does(client: Client, dana: User) -> None:
    make_import(user=dana, job=Job.objects.create(kind="import.apply"), counts={"rows": 3})
    client.get(URL)
    with CaptureQueriesContext(connection) as short:
        client.get(URL)
    for _ in range(99):
        make_import(user=dana, job=Job.objects.create(kind="import.apply"), counts={"rows": 3})
    with CaptureQueriesContext(connection) as long:
        assert "50 on this page" in text_of(client.get(URL))
    assert len(long) == len(short)


def test_names_and_cells_are_text(client: Client) -> None:
    evil = "<script>alert(1)</script>"
    send(client, f"email,{evil}\nann@example.com,{evil}\nbob,{evil}\n", name=f"{evil}.csv")
    import_ = Import.objects.get()
    client.post(at(import_, "map/"), form(import_, "email", "first_name"))
    apply(client, work(import_))
    pages = [client.get(url).content.decode() for url in (URL, at(import_))]
    import_ = uploaded(client, f"email,{evil}\nann@example.com,{evil}\n")
    pages.append(client.get(at(import_, "columns/")).content.decode())
    pages.append(client.post(at(import_, "map/"), form(import_, "email", "email")).content.decode())
    assert "script&gt;.csv" in pages[0], "a name has no path"
    assert all("&lt;script&gt;alert(1)" in content for content in pages[2:])
    assert not any("<script>alert" in content for content in pages)


# --- The upload -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "name", "sentence"),
    [
        (b"", "a.csv", "a.csv: The file is empty."),
        (b"\n\n \n", "a.csv", "a.csv: The file is empty."),
        (b"email,name\n", "a.csv", "a.csv: The file has a header but no rows under it."),
        (
            b"PK\x03\x04xl/workbook.xml",
            "people.csv",
            "people.csv: This is an Excel workbook (.xlsx), not a CSV file. Save it as CSV UTF-8 and upload that.",
        ),
        (
            b"%PDF-1.7\n",
            "p.csv",
            "p.csv: This is a PDF document, not a CSV file. Upload a CSV file.",
        ),
    ],
)
def test_what_is_no_file_of_rows_is_refused(client: Client, data: bytes, name: str, sentence: str) -> None:
    answer = send(client, data, name)
    assert (answer.status_code, alert_of(answer)) == (400, sentence)
    assert not Import.objects.exists()


def test_without_a_file_or_with_too_large_a_one(client: Client, settings: Any) -> None:
    answer = client.post(f"{URL}add/")
    assert (answer.status_code, alert_of(answer)) == (400, "Choose a file.")
    settings.CDP_IMPORT_MAX_BYTES = 100
    answer = send(client)
    assert (answer.status_code, alert_of(answer)) == (
        413,
        "people.csv: The file is 149 bytes; the limit is 100 bytes. Split it, or raise CDP_IMPORT_MAX_BYTES.",
    )
    assert not Import.objects.exists()


def test_the_same_file_again_says_so(client: Client) -> None:
    first = uploaded(client)
    again = uploaded(client)
    day = first.created_at.date().isoformat()
    assert f"This is the same file as import #{first.pk} of {day} (uploaded)." in page(
        client, again, "columns/"
    )


# --- Columns --------------------------------------------------------------------------------------------


def test_the_guess_is_shown_with_examples(client: Client) -> None:
    import_ = uploaded(client)
    content = client.get(at(import_, "columns/")).content.decode()
    assert [chosen_target(content, number) for number in (1, 2, 3, 4)] == [
        "email",
        "first_name",
        "ignore",
        "birth_date",
    ]
    text = page(client, import_, "columns/")
    assert "UTF-8, comma · 4 columns" in text
    assert "ann@example.com bob@example.com eve@example.com" in text
    assert client.get(at(import_))["Location"] == at(import_, "columns/")


def test_what_identifies_nobody_or_looks_like_an_e_mail_is_pointed_out(client: Client) -> None:
    import_ = uploaded(
        client, "first name,who\nAnn,ann@example.com\nBob,bob@example.com\nEve,eve@example.com\n"
    )
    client.post(at(import_, "map/"), form(import_, "ignore", "first_name"))
    work(import_)
    text = page(client, import_, "columns/")
    assert "No column identifies people: every row creates a new profile" in text
    assert "Column who looks like an e-mail (100 % of 3 values) but goes to an attribute" in text


def group(client: Client, import_: Import, name: str) -> list[str]:
    """The headers of the columns in one group of the columns page."""
    content = unescape(client.get(at(import_, "columns/")).content.decode())
    section = re.search(rf'<section[^>]* id="{name}".*?</section>', content, re.DOTALL)
    return re.findall(r'<div class="from"><b>(.*?)</b>', section[0]) if section else []


def test_columns_stand_by_what_becomes_of_them(client: Client) -> None:
    import_ = uploaded(
        client,
        "email,first name,city,city,further,plan\n"
        "ann@example.com,Ann,Ulm,Bonn,a@example.com,pro\n"
        "bob@example.com,Bob,Ulm,Bonn,b@example.com,\n"
        "eve@example.com,Eve,Ulm,Bonn,c@example.com,\n",
    )
    assert group(client, import_, "needs-answer") == ["city", "city", "further"]
    assert group(client, import_, "goes-in") == ["email", "first name"]
    assert group(client, import_, "left-out") == ["plan"]
    text = page(client, import_, "columns/")
    for part in (
        "All 3 values look like e-mail addresses, but the column is left out.",
        "3 columns need your answer",
        "1 column with data is left out plan",
        "filled in 1 of the first 3 rows",
        "People are found by E-mail",
        "Every cell of the first 3 rows can be read",
    ):
        assert part in text, part
    client.post(
        at(import_, "map/"),
        form(import_, "email", "first_name", "city", "ignore", "ignore", "ignore", check="1"),
    )
    assert group(client, import_, "needs-answer") == [], "left out by a person"
    assert "Every column has an answer" in page(client, import_, "columns/")


def test_checking_again_saves_and_plans_nothing(client: Client) -> None:
    import_ = uploaded(client)
    answer = client.post(
        at(import_, "map/"), form(import_, "email", "last_name", "ignore", "birth_date", check="1")
    )
    assert answer["Location"] == at(import_, "columns/")
    assert message_after(client, answer) == "The columns are saved and checked again. Nothing is planned yet."
    import_.refresh_from_db()
    assert (import_.state, import_.mapping["First name"]["to"]) == ("uploaded", "last_name")


def test_a_row_is_shown_as_it_arrives(client: Client) -> None:
    import_ = uploaded(client)
    content = client.get(at(import_, "columns/")).content.decode()
    rows = [
        " ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split())
        for row in re.findall(r'data-row="\d"[^>]*>(.*?)</dl>', content, re.DOTALL)
    ]
    assert rows[0] == "Ann E-mail ann@example.com Birth date 1990-02-28 Left out Plan “pro”"
    assert rows[1] == (
        "Bob Birth date : Not a date. Write YYYY-MM-DD, for example 1990-02-28. Only this cell was left out."
        " E-mail bob@example.com"
    )
    text = page(client, import_, "columns/")
    assert "1 of 2 can be read. Not a date." in text
    assert "1 cell of the first 4 rows cannot be read and would be left out" in text
    client.post(
        at(import_, "map/"),
        {**form(import_, "email", "first_name", "ignore", "birth_date"), "check": "1"},
    )
    assert "1 of the first 4 rows would be rejected" in page(client, import_, "columns/")


def test_a_yes_asks_where_people_agreed(client: Client) -> None:
    import_ = uploaded(
        client, "email,newsletter\nann@example.com,yes\nbob@example.com,no\neve@example.com,\n"
    )
    assert group(client, import_, "needs-answer") == ["newsletter"]
    assert "1 say yes and 1 say no" in page(client, import_, "columns/")
    chosen = form(import_, "email", "consent.email.newsletter", **{"proof.2": "Sign-up form, version 3"})
    client.post(at(import_, "map/"), {**chosen, "check": "1"})
    assert group(client, import_, "goes-in") == ["email", "newsletter"]
    content = client.get(at(import_, "columns/")).content.decode()
    assert 'name="proof.2" value="Sign-up form, version 3"' in content
    assert content.count("Sign-up form, version 3") == 1, "it is no constant of the whole file"
    import_.refresh_from_db()
    assert import_.mapping["proof of newsletter"] == {
        "to": "consent.email.newsletter.proof",
        "const": "Sign-up form, version 3",
    }
    client.post(
        at(import_, "map/"), form(import_, "email", "consent.email.newsletter", **{"proof.2": "Form"})
    )
    apply(client, work(import_))
    states = {consent.profile.email: consent.state for consent in Consent.objects.select_related("profile")}
    assert states == {"ann@example.com": "granted", "bob@example.com": "withdrawn"}


def test_a_rule_of_its_own_is_linked(client: Client) -> None:
    import_ = uploaded(client)
    chosen = form(import_, "email", "first_name", "ignore", "birth_date", **{"policy.2": "overwrite"})
    client.post(at(import_, "map/"), {**chosen, "check": "1"})
    content = client.get(at(import_, "columns/")).content.decode()
    assert '<li><a href="#rule-2">First name</a>: replace it with the value in the file</li>' in content
    assert 'id="rule-2" name="policy.2"' in content
    assert "1 column has its own rule" in text_of(client.get(at(import_, "columns/")))


def test_reading_anew(client: Client) -> None:
    import_ = uploaded(client, "Kunden 2026\nE-Mail;Vorname;Größe\nann@example.com;Jörg;1\n".encode("cp1252"))
    import_.refresh_from_db()
    reading = {"encoding": "cp1250", "delimiter": "semicolon", "header_line": "2", "has_header": "on"}
    answer = client.post(at(import_, "read/"), {**reading, "revision": str(import_.revision)})
    assert message_after(client, answer) == "The file was read again. Look at the columns."
    content = client.get(at(import_, "columns/")).content.decode()
    assert [chosen_target(content, number) for number in (1, 2)] == ["email", "first_name"]
    assert "Windows-1250 (Central Europe), semicolon · 3 columns" in text_of(
        client.get(at(import_, "columns/"))
    )
    import_.refresh_from_db()
    answer = client.post(
        at(import_, "read/"),
        {"encoding": "cp1252", "delimiter": "comma", "header_line": "3", "revision": str(import_.revision)},
    )
    assert answer.status_code == 302
    import_.refresh_from_db()
    assert import_.headers == ["Column 1"]


def test_reading_anew_may_be_refused(client: Client) -> None:
    import_ = uploaded(client)
    before = (import_.revision, import_.headers)
    answer = client.post(
        at(import_, "read/"), {"header_line": "99", "has_header": "on", "revision": str(import_.revision)}
    )
    assert (answer.status_code, alert_of(answer)) == (
        400,
        "Line 99 cannot be the header: the file ends at line 5.",
    )
    answer = client.post(at(import_, "read/"), {"encoding": "klingon", "revision": str(import_.revision)})
    assert answer.status_code == 400
    assert alert_of(answer).startswith("Choose one of utf-8, utf-16-le,")
    answer = client.post(at(import_, "read/"), {"encoding": "cp1252", "revision": str(import_.revision + 1)})
    assert (answer.status_code, alert_of(answer)) == (
        409,
        "Somebody else changed the import in the meantime. Reload the page.",
    )
    import_.refresh_from_db()
    assert (import_.revision, import_.headers) == before


def test_a_new_attribute_on_the_spot(client: Client) -> None:
    import_ = uploaded(client)
    new = {"new_name.3": "plan", "new_type.3": "text"}
    answer = client.post(
        at(import_, "map/"), form(import_, "email", "first_name", "new", "birth_date", **new)
    )
    assert answer["Location"] == at(import_)
    assert AttributeDefinition.objects.get().name == "plan"
    apply(client, work(import_))
    assert Profile.objects.get(first_name="Ann").attributes == {"plan": "pro"}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("email", "“email” is a name of the system. Choose another, for example “email_custom”."),
        ("2nd", "Use letters, digits and _, starting with a letter."),
        ("", "Give the new attribute a name."),
    ],
)
def test_a_new_attribute_needs_a_name_of_its_own(client: Client, name: str, sentence: str) -> None:
    import_ = uploaded(client)
    new = {"new_name.3": name, "new_type.3": "number"}
    answer = client.post(at(import_, "map/"), form(import_, "email", "first_name", "new", "ignore", **new))
    content = answer.content.decode()
    assert answer.status_code == 400
    assert re.findall(r'class="error"[^>]*>(.*?)</p>', unescape(content)) == [sentence]
    assert (chosen_target(content, 3), chosen_target(content, 4)) == ("new", "ignore")
    assert f'name="new_name.3" value="{name}"' in content
    assert '<option value="number" selected' in content
    assert not AttributeDefinition.objects.exists()
    import_.refresh_from_db()
    assert import_.state == "uploaded"


def test_a_new_attribute_is_for_those_who_may_define_one(
    make_user: Callable[..., User], as_user: Login
) -> None:
    user = make_user("ivo")
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_import", "add_import"]))
    client = as_user(user)
    import_ = uploaded(client)
    content = client.get(at(import_, "columns/")).content.decode()
    assert "New attribute" not in content
    assert "Save this mapping" not in content
    new = {"new_name.3": "plan", "new_type.3": "text"}
    assert client.post(at(import_, "map/"), form(import_, "email", "", "new", "", **new)).status_code == 403
    keep = client.post(at(import_, "map/"), form(import_, "email", "", "", "", keep="1", name="Shop"))
    assert keep.status_code == 403
    assert not AttributeDefinition.objects.exists()
    assert not SavedMapping.objects.exists()


def test_constants(client: Client) -> None:
    import_ = uploaded(client)
    more = {"const_to.1": "tags", "const_value.1": "newsletter-2026", "const_to.2": "country"}
    more["const_value.2"] = "Atlantis"
    answer = client.post(
        at(import_, "map/"), form(import_, "email", "first_name", "ignore", "ignore", **more)
    )
    assert answer.status_code == 400
    assert alert_of(answer) == "Nothing is planned yet. Correct what is marked below."
    assert (
        'id="const-2-wrong">Not a country. Write its English name or ISO code, for example Poland or PL.</p>'
        in answer.content.decode()
    )
    more["const_value.2"] = "Poland"
    client.post(at(import_, "map/"), form(import_, "email", "first_name", "ignore", "ignore", **more))
    apply(client, work(import_))
    ann = Profile.objects.get(first_name="Ann")
    assert ann.country == "PL"
    assert [row.tag.name for row in ProfileTag.objects.filter(profile=ann)] == ["newsletter-2026"]


def test_problems_stand_at_their_column(client: Client) -> None:
    import_ = uploaded(client)
    answer = client.post(
        at(import_, "map/"), form(import_, "email", "email", "first_name", "ignore", **{"policy.3": "append"})
    )
    content = unescape(answer.content.decode())
    rows = re.findall(
        r'<li class="column is-wrong".*?<b>(.*?)</b>.*?class="error"[^>]*>(.*?)</p>', content, re.DOTALL
    )
    assert answer.status_code == 400
    assert rows == [
        ("First name", "“E-mail” and “First name” cannot all go to email. Choose one of them."),
        ("Plan", "“append” is for tags and lists. Choose fill_if_empty or overwrite."),
    ]
    answer = client.post(at(import_, "map/"), form(import_, "ignore", "ignore", "ignore", "ignore"))
    assert alert_of(answer) == "Choose for at least one column where it goes."
    assert "to.1" in answer.content.decode()


def test_columns_that_could_be_mixed_up_must_be_decided(client: Client) -> None:
    import_ = uploaded(client, "email,city,city,\nann@example.com,Ulm,Bonn,x\n")
    content = client.get(at(import_, "columns/")).content.decode()
    assert [chosen_target(content, number) for number in (1, 2, 3, 4)] == ["email", "", "", ""]
    both = "“city” (column 2) and “city” (column 3) have the same name. Choose where each goes."
    assert unescape(content).count(both) == 2
    answer = client.post(at(import_, "map/"), form(import_, "email", "city", "", ""))
    assert answer.status_code == 400
    assert unescape(answer.content.decode()).count(both) == 1
    answer = client.post(at(import_, "map/"), form(import_, "email", "city", "ignore", "ignore"))
    assert answer["Location"] == at(import_)


def test_kept_mappings(client: Client, dana: User) -> None:
    import_ = uploaded(client)
    chosen = form(import_, "email", "last_name", "ignore", "ignore", policy="overwrite")
    answer = client.post(at(import_, "map/"), {**chosen, "keep": "1", "name": " "})
    assert (answer.status_code, alert_of(answer)) == (400, "Give the mapping a name to keep it.")
    assert f'name="revision" value="{import_.revision}"' in answer.content.decode(), "nothing was changed"
    answer = client.post(at(import_, "map/"), {**chosen, "keep": "1", "name": "Shop"})
    assert message_after(client, answer) == "The mapping is saved as “Shop”."
    kept = SavedMapping.objects.get()
    assert (kept.user, kept.mapping["First name"]["to"]) == (dana, "last_name")
    entry = AuditEntry.objects.get(action="mapping.keep")
    assert (entry.user, entry.subject) == (dana, f"mapping:{kept.pk}")
    assert entry.detail == {"import": import_.pk, "columns": 4, "replaced": False}
    other = uploaded(client, "E-mail,First name\nzoe@example.com,Zoe\n")
    answer = client.post(at(other, "map/"), form(other, use="1", saved="99999"))
    assert (answer.status_code, alert_of(answer)) == (409, "Choose a saved mapping.")
    answer = client.post(at(other, "map/"), form(other, use="1", saved=str(kept.pk)))
    assert message_after(client, answer) == "“Shop” is used. 2 of its columns are not in this file."
    content = client.get(at(other, "columns/")).content.decode()
    assert [chosen_target(content, number) for number in (1, 2)] == ["email", "last_name"]
    other.refresh_from_db()
    assert other.options["policy"] == "overwrite"


def test_a_mapping_shown_before_somebody_elses_is_stale(client: Client) -> None:
    import_ = uploaded(client)
    stale = form(import_, "email", "last_name", "ignore", "ignore")
    client.post(
        at(import_, "read/"), {"encoding": "cp1252", "has_header": "on", "revision": stale["revision"]}
    )
    answer = client.post(at(import_, "map/"), stale)
    assert (answer.status_code, alert_of(answer)) == (
        409,
        "Somebody else changed the import in the meantime. Reload the page.",
    )
    assert chosen_target(answer.content.decode(), 2) == "first_name", "theirs is shown, not what was sent"


# --- Plan, apply, report --------------------------------------------------------------------------------


def test_the_plan_says_everything_and_writes_nothing(client: Client) -> None:
    eve = make_profile(email="eve@example.com", first_name="Eve")
    import_ = planned(client)
    assert Profile.objects.count() == 1
    text = page(client, import_)
    for part in (
        "· 4 rows · 149 bytes · uploaded by dana",
        "What will happen nothing has been written yet",
        "1 new person",
        "1 person kept as they were",
        "1 repeats a person of this file",
        "1 rejected",
        "1 × Birth date 31/02/1990 Not a date. Write YYYY-MM-DD, for example 1990-02-28. Line 3 Fix in mapping",
        "Apply 1 row",
        "Some of the new people All rows as CSV Line Name E-mail Phone City 2 Ann ann@example.com",
    ):
        assert part in text
    import_ = planned(
        client, "email,first name,city\neve@example.com,Evelyn,Ulm\n", "email", "first_name", "city"
    )
    text = page(client, import_)
    assert "Some of the changes All 1 as CSV" in text
    assert "· 1 row ·" in text
    assert "2 Eve City empty Ulm" in text
    assert "Evelyn" not in text, "fill_if_empty leaves the name alone"
    assert f'href="/admin/profiles/profile/{eve.pk}/change/"' in client.get(at(import_)).content.decode()


def test_problems_are_grouped_by_reason(client: Client, watcher: Client) -> None:
    rows = "".join(
        f"a{number}@example.com,{day}\n" for number, day in enumerate(["31/02/1990"] * 3 + ["soon"])
    )
    import_ = planned(client, f"email,born\n{rows}nobody,\n", "email", "birth_date")
    text = page(client, import_)
    assert "Rejected 5 rows" in text
    assert "4 × born 31/02/1990 soon Not a date." in text
    assert "First in line 2 Fix in mapping of born" in text
    assert "1 × email nobody Not an e-mail address" in text
    assert f'href="{at(import_, "columns/")}#column-2"' in client.get(at(import_)).content.decode()
    assert 'id="column-2"' in client.get(at(import_, "columns/")).content.decode()
    assert "Fix in mapping" not in page(watcher, import_)


def test_a_plan_of_nothing_but_alternates_can_be_applied(client: Client) -> None:
    ada = make_profile(email="ada@example.com", first_name="Ada")
    import_ = planned(client, "email,first_name\nada@example.com,Augusta\n", "email", "first_name")
    before = page(client, import_)
    assert "Nobody would be changed. Keep 1 alternate adds the values that differ" in before
    assert "There is nothing to import" not in before
    apply(client, import_)
    card = text_of(client.get(f"/admin/profiles/profile/{ada.pk}/change/"))
    assert f"also: “Augusta” from import #{import_.pk}, line 2" in card
    again = page(client, planned(client, "email,first_name\nada@example.com,Ada\n", "email", "first_name"))
    assert "There is nothing to import: each row was rejected or has nothing new." in again


def test_a_plan_waits_in_the_list(client: Client) -> None:
    planned(client)
    assert "Plan waits for review" in text_of(client.get(URL))


def test_settings_and_mapping_stay_to_be_read(client: Client, watcher: Client) -> None:
    import_ = apply(client, planned(client))
    for text in (page(client, import_), page(watcher, import_)):
        settings_ = text[text.index("File settings and mapping") :]
        assert "Encoding UTF-8 Delimiter comma Header in line 1 Around cells Quotes" in settings_
        assert "When a person already has a value Keep it; fill only what is empty" in settings_
        assert "E-mail E-mail – First name First name – Plan Left out – Birth date Birth date –" in settings_


def test_the_plan_is_masked_for_others(client: Client, watcher: Client) -> None:
    make_profile(email="eve@example.com", first_name="Eve")
    import_ = planned(
        client, "email,street\neve@example.com,Elm 1\nzoe.example.com,Oak 2\n", "email", "street"
    )
    assert "zoe.example.com" in page(client, import_)
    text = page(watcher, import_)
    assert "1 × email ••• " in text
    assert "Some of the new people" not in text
    for hidden in ("zoe.example.com", "Elm 1", "Eve "):
        assert hidden not in text
    for path in ("plan.csv", "rejected.csv"):
        rows = b"".join(watcher.get(at(import_, path)).streaming_content).decode("utf-8-sig")
        assert not any(hidden in rows for hidden in ("zoe.example.com", "Elm 1", "Oak 2", "Eve"))


def test_the_sample_is_masked_for_others(
    client: Client, make_user: Callable[..., User], as_user: Login
) -> None:
    """Who may import, but see nobody's data, sees the cells of their own files alone."""
    user = make_user("ivo")
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_import", "add_import"]))
    import_ = uploaded(client)
    assert "ann@example.com" in page(client, import_, "columns/")
    masked = page(as_user(user), import_, "columns/")
    assert "••• E-mail •••" in masked
    assert not any(hidden in masked for hidden in ("ann@example.com", "Ann", "31/02/1990"))


def test_a_file_that_breaks_off_is_refused_by_the_plan(client: Client) -> None:
    import_ = planned(
        client, 'email,first name\nann@example.com,"Ann\nbob@example.com,Bob\n', "email", "first_name"
    )
    assert import_.state == "failed"
    sentence = (
        "A quote opened at line 2 is never closed. Close it, or double it where it is part of the text, and"
        " upload the file again."
    )
    text = page(client, import_)
    assert alert_of(client.get(at(import_))) == sentence
    assert "Change columns" in text
    assert "What will happen" not in text


def test_nothing_to_write(client: Client) -> None:
    import_ = planned(client, "email\nnobody\n", "email")
    text = page(client, import_)
    assert "There is nothing to import: each row was rejected or has nothing new." in text
    assert re.search(r'<button class="btn primary" disabled>', client.get(at(import_)).content.decode())


def test_applying_and_the_report(client: Client) -> None:
    import_ = planned(client)
    answer = client.post(at(import_, "apply/"), {"revision": str(import_.revision)})
    assert answer["Location"] == at(import_)
    running = page(client, import_)
    assert "Applying the plan" in running
    assert "A summary comes by e-mail when it is done." in running
    work(import_)
    text = page(client, import_)
    for part in (
        "What happened",
        "2 new people",
        "1 rejected",
        "2 people imported. Show them · correct 1 rejected row",
    ):
        assert part in text
    link = f"/admin/profiles/profile/?import={import_.pk}"
    assert f'href="{link}"' in client.get(at(import_)).content.decode()
    people = text_of(client.get(link))
    assert "Ann" in people
    assert "2 people match" in people
    assert Mail.objects.get().subject == "Import of people.csv: done, 4 rows"
    listed = text_of(client.get(URL))
    assert "people.csv" in listed
    assert client.get(at(import_, "columns/"))["Location"] == at(import_)
    answer = client.post(at(import_, "apply/"), {"back": at(import_)})
    assert message_after(client, answer) == "This import is done; only a planned one can be applied."


def test_downloads(client: Client) -> None:
    import_ = apply(client, planned(client))
    answer = client.get(at(import_, "rejected.csv"))
    assert answer["Content-Disposition"] == 'attachment; filename="people-rejected.csv"'
    assert list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig")))) == [
        [
            "rejected_line",
            "rejected_column",
            "rejected_because",
            "E-mail",
            "First name",
            "Plan",
            "Birth date",
        ],
        [
            "3",
            "Birth date",
            "Not a date. Write YYYY-MM-DD, for example 1990-02-28.",
            "bob@example.com",
            "Bob",
            "",
            "31/02/1990",
        ],
    ]
    answer = client.get(at(import_, "plan.csv"))
    assert answer["Content-Disposition"] == 'attachment; filename="people-plan.csv"'
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert [row[:2] for row in rows] == [
        ["line", "outcome"],
        ["2", "created"],
        ["3", "failed"],
        ["4", "created"],
        ["5", "duplicate_in_file"],
    ]
    AttributeDefinition.objects.create(name="plan")
    answer = client.get(f"{URL}template.csv")
    assert answer["Content-Disposition"] == 'attachment; filename="people-template.csv"'
    assert answer.content == b"first_name,last_name,email,country,tags,reference_id,attributes.plan\r\n"
    assert AuditEntry.objects.filter(action="import.download").count() == 2


def test_the_template_is_guessed_completely(client: Client) -> None:
    AttributeDefinition.objects.create(name="plan")
    head = client.get(f"{URL}template.csv").content
    import_ = uploaded(client, head + b"Ann,Lee,ann@example.com,PL,vip,A1,pro\r\n")
    content = client.get(at(import_, "columns/")).content.decode()
    assert [chosen_target(content, number) for number in range(1, 8)] == head.decode().strip().split(",")


def test_rejected_rows_corrected_go_in(client: Client) -> None:
    import_ = apply(client, planned(client))
    rejected = b"".join(client.get(at(import_, "rejected.csv")).streaming_content)
    again = uploaded(client, rejected.replace(b"31/02/1990", b"1990-02-28"))
    content = client.get(at(again, "columns/")).content.decode()
    chosen = [chosen_target(content, number) for number in range(1, 8)]
    assert chosen == ["ignore", "ignore", "ignore", "email", "first_name", "ignore", "birth_date"]
    client.post(at(again, "map/"), form(again, *chosen))
    apply(client, work(again))
    assert Profile.objects.get(first_name="Bob").birth_date.isoformat() == "1990-02-28"


def test_a_plan_people_did_not_see_is_not_applied(client: Client) -> None:
    import_ = planned(client)
    answer = client.post(at(import_, "apply/"), {"revision": str(import_.revision - 1), "back": at(import_)})
    assert (
        message_after(client, answer)
        == "The mapping was changed after this plan was shown. Look at the new plan."
    )
    import_.refresh_from_db()
    assert import_.state == "planned"
    assert not Profile.objects.exists()


def test_discarding(client: Client) -> None:
    import_ = planned(client)
    answer = client.post(at(import_, "cancel/"), {"back": at(import_)})
    assert message_after(client, answer) == "Nothing was imported, and nothing will be."
    import_.refresh_from_db()
    assert import_.state == "canceled"
    answer = client.post(at(import_, "cancel/"), {"back": at(import_)})
    assert message_after(client, answer) == "This import is canceled; nothing is running."
    assert client.get(at(import_, "columns/")).status_code == 200, "it can be mapped and planned again"


def test_pausing_resuming_and_stopping(client: Client) -> None:
    import_ = planned(client)
    answer = client.post(at(import_, "pause/"), {"back": at(import_)})
    assert message_after(client, answer) == "This import is planned; nothing is running."
    client.post(at(import_, "apply/"), {"revision": str(import_.revision)})
    answer = client.post(at(import_, "pause/"))
    assert message_after(client, answer) == "The import pauses after the current step."
    work(import_)
    assert not Profile.objects.exists()
    assert "paused" in page(client, import_).lower()
    answer = client.post(at(import_, "resume/"))
    assert message_after(client, answer) == "The import continues where it stopped."
    assert (
        message_after(client, client.post(at(import_, "pause/")))
        == "The import pauses after the current step."
    )
    answer = client.post(at(import_, "cancel/"))
    assert (
        message_after(client, answer)
        == "The import stops after the current step; rows already imported stay."
    )
    import_.refresh_from_db()
    assert (import_.state, import_.counts["created"], import_.counts["not_applied"]) == ("canceled", 0, 2)
    assert "2 not imported" in page(client, import_)
    answer = client.post(at(import_, "resume/"), {"back": at(import_)})
    assert message_after(client, answer) == "This import is canceled; there is nothing to resume."


def test_a_file_that_is_gone_says_so(client: Client) -> None:
    import_ = planned(client)
    import_.file.storage.delete(import_.file.name)
    answer = client.get(at(import_, "rejected.csv"))
    assert message_after(client, answer) == (
        "The file of this import was deleted; files are kept for 30 days after the import ends."
    )
    drop_partition(import_)
    answer = client.get(at(import_, "plan.csv"))
    assert message_after(client, answer) == (
        "The rows of this import were deleted; they are kept for 30 days after it ends."
    )
    assert "The rows of this import are no longer stored, only the counts above." in page(client, import_)


# --- Who may do what ------------------------------------------------------------------------------------

READS = ("change/", "plan.csv", "rejected.csv")
WRITES = ("read/", "map/", "apply/", "pause/", "resume/", "cancel/")


def test_three_levels(olga: User, watcher: Client, client: Client, as_user: Login) -> None:
    import_ = planned(client)
    nobody = as_user(olga)
    for path in ("", "add/", "template.csv"):
        assert nobody.get(URL + path).status_code == 403, path
    for path in (*READS, "columns/"):
        assert nobody.get(at(import_, path)).status_code == 403, path
    for who in (nobody, watcher):
        for path in WRITES:
            assert who.post(at(import_, path), {"revision": import_.revision}).status_code == 403, path
        assert send(who).status_code == 403
    for path in (URL, f"{URL}template.csv", *(at(import_, path) for path in READS)):
        assert watcher.get(path).status_code == 200, path
        assert client.get(path).status_code == 200, path
    assert watcher.get(f"{URL}add/").status_code == 403
    assert watcher.get(at(import_, "columns/")).status_code == 403
    text = watcher.get(at(import_)).content.decode() + watcher.get(URL).content.decode()
    for control in ("Import a file", "Change columns", "Discard", "Apply 2"):
        assert control not in text
    import_.refresh_from_db()
    assert import_.state == "planned"
    assert client.get(at(import_, "apply/")).status_code == 405
    assert client.post(at(import_)).status_code == 405


def test_before_it_is_mapped_there_is_little_to_see(watcher: Client, client: Client) -> None:
    import_ = uploaded(client)
    text = page(watcher, import_)
    assert "Nothing is planned yet First, somebody who may import has to choose" in text
    assert "What will happen" not in text
    assert "Apply" not in text.replace("Apply Report", "")


def test_addresses_of_no_import(client: Client) -> None:
    for path in ("change/", "columns/", "plan.csv", "rejected.csv"):
        assert client.get(f"{URL}999999/{path}").status_code == 404, path


# --- Cells --------------------------------------------------------------------------------------------


def cell_rows(content: str) -> dict[str, dict[str, int]]:
    """The table of cells: ``{column: {head: count}}``, empty ones left out."""
    table = re.search(r'<table class="folded cells">.*?</table>', content, re.DOTALL)
    assert table
    rows = {}
    for row in re.findall(r"<tr><th scope=\"row\">.*?</tr>", table[0], re.DOTALL):
        name = re.search(r'<th scope="row">(.*?)</th>', row, re.DOTALL)
        assert name
        numbers = re.findall(r'data-label="([^"]+)">(.*?)</td>', row, re.DOTALL)
        rows[unescape(name[1])] = {
            head: int(re.sub(r"<span.*?</span>|<[^>]+>|\D", "", value)) for head, value in numbers
        }
    return rows


def test_each_cell_of_the_file_is_counted_once_on_plan_and_report(client: Client) -> None:
    import_ = planned(client)
    content = client.get(at(import_)).content.decode()
    rows = cell_rows(content)
    assert rows == {
        "E-mail": {"Cells": 4, "Stored": 2, "Same": 1, "Row rejected": 1},
        "First name": {"Cells": 4, "Stored": 2, "Same": 1, "Row rejected": 1},
        "Plan": {"Cells": 2, "Ignored": 2},
        "Birth date": {"Cells": 2, "Stored": 1, "Row rejected": 1},
        "Header and beside the table": {"Cells": 4, "No column": 4},
        "Cells in the file": {
            "Cells": 16,
            "Stored": 5,
            "Same": 2,
            "Row rejected": 3,
            "Ignored": 2,
            "No column": 4,
        },
    }
    for counts in rows.values():
        assert sum(counts.values()) == 2 * counts["Cells"]
    assert "16 filled cells in the file , each counted once" in page(client, import_)
    assert f'href="{URL}{import_.pk}/columns/#column-3">2<' in content
    assert 'href="#rejected-title">3<' in content
    assert "The numbers of cells do not add up" not in content
    apply(client, import_)
    content = client.get(at(import_)).content.decode()
    assert cell_rows(content) == rows
    assert f'href="/admin/profiles/profile/?import={import_.pk}">5<' in content
    import_.refresh_from_db()
    import_.cells["columns"][0] = {"stored": 1}
    import_.save()
    assert alert_of(client.get(at(import_))).startswith("The numbers of cells do not add up in: E-mail.")


def test_the_page_costs_the_same_for_one_row_and_for_many_columns(client: Client) -> None:
    header = "E-mail,First name," + ",".join(f"Extra {number}" for number in range(50))
    row = ",Ann," + ",".join(map(str, range(50)))
    counted = []
    for count in (1, 100):
        text = f"{header}\n" + "".join(f"p{number}-{count}@example.com{row}\n" for number in range(count))
        import_ = planned(client, text, "email", "first_name", *["ignore"] * 50)
        client.get(at(import_))
        with CaptureQueriesContext(connection) as queries:
            assert cell_rows(client.get(at(import_)).content.decode())["Extra 7"]["Ignored"] == count
        counted.append(len(queries))
    assert counted[0] == counted[1]


def test_who_may_only_look_sees_the_cells_without_a_way_to_change_them(
    client: Client, watcher: Client
) -> None:
    import_ = planned(client)
    content = watcher.get(at(import_)).content.decode()
    assert cell_rows(content)["Plan"] == {"Cells": 2, "Ignored": 2}
    assert 'href="#mapping">2<' in content
    assert "#column-3" not in content
