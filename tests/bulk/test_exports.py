"""Exports of a list: their columns, consents in and out, the list of them, the mail."""

from __future__ import annotations

import csv
import datetime
import html
import io
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.jobs import run_to_end
from cdp.models import Job, Mail, User
from profiles.admin import exports as export_pages
from profiles.bulk.csv_rows import column_names, rows
from profiles.bulk.exports import exports_of, file_of, forget_exports, start_export
from profiles.consent.ledger import current_consents, record_consent
from profiles.models import AttributeDefinition, Profile
from profiles.privacy.delete import delete_profiles
from tests.imports.files import applied
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

AT = datetime.datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=datetime.UTC)


def agree(profile: Profile, state: str, by: dict[str, Any], **fields: Any) -> None:
    values = {"channel": "email", "purpose": "newsletter", "at": AT, "proof": {"proof": "form /join"}}
    record_consent(profile_id=profile.pk, state=state, **{**values, **fields}, **by)


def test_columns_are_chosen(ada: User) -> None:
    AttributeDefinition.objects.create(name="plan", type="text")
    ann = make_profile(email="ann@mail.example", first_name="Ann", plan="pro", tags=["vip"])
    assert column_names()[:4] == ["id", "type", "customer_id", "anonymous_id"]
    names = column_names(["email", "plan"])
    assert names == ["id", "type", "email", "plan"]
    assert rows([ann.pk], names, can_view_pii=True) == [
        [str(ann.pk), "recognized", "ann@mail.example", "pro"]
    ]
    with pytest.raises(Invalid, match="“secret” is not a column of an export."):
        start_export(profile_ids=[ann.pk], columns=["secret"], actor=Actor.of_user(ada))
    job = run_to_end(start_export(profile_ids=[ann.pk], columns=["tags"], actor=Actor.of_user(ada)))
    assert file_of(job).read_text("utf-8-sig").splitlines() == ["id,type,tags", f"{ann.pk},recognized,vip"]


def test_consents_leave_and_come_back_as_they_are(ada: User, by_staff: dict[str, Any]) -> None:
    ann, bob, cy = (make_profile(email=f"{name}@mail.example") for name in ("ann", "bob", "cy"))
    agree(ann, "granted", by_staff)
    agree(bob, "granted", by_staff)
    agree(bob, "withdrawn", by_staff, at=AT + datetime.timedelta(days=1))
    agree(cy, "granted", by_staff, channel="sms", purpose="marketing", proof={"form": "/x"}, wording="v2")
    names = column_names(["email", "consents"])
    assert names[3:] == [
        *("consent.email.newsletter", "consent.email.newsletter.at", "consent.email.newsletter.proof"),
        *("consent.sms.marketing", "consent.sms.marketing.at", "consent.sms.marketing.proof"),
    ]
    ids = [ann.pk, bob.pk, cy.pk]
    table = rows(ids, names, can_view_pii=True)
    assert [row[3] for row in table] == ["granted", "withdrawn", ""]
    assert [row[5] for row in table] == ["form /join", "", ""]
    assert table[2][6:] == ["granted", table[0][4], "v2, form /x"]
    assert rows([ann.pk], names, can_view_pii=False)[0][5] == "•••"
    job = run_to_end(start_export(profile_ids=ids, columns=["email", "consents"], actor=Actor.of_user(ada)))
    data = file_of(job).read_bytes()
    before = current_consents(ids)
    import_ = applied(data, user=ada)
    assert (import_.counts["unchanged"], import_.counts["rows"], current_consents(ids)) == (3, 3, before)
    # A yes that was taken back since stays taken back.
    agree(ann, "withdrawn", by_staff, at=AT + datetime.timedelta(days=2))
    applied(data, user=ada)
    assert current_consents([ann.pk])[ann.pk]["email", "newsletter"].state == "withdrawn"
    # Elsewhere they are the same consents.
    applied(data.replace(b"@mail.example", b"@other.example"), user=ada)
    others = {
        profile.email.split("@")[0]: current_consents([profile.pk])[profile.pk]
        for profile in Profile.objects.filter(email__endswith="@other.example")
    }
    states = {
        (name, *key): (current.state, current.at)
        for name, consents in others.items()
        for key, current in consents.items()
    }
    exported = {(row["email"].split("@")[0], name): row[name] for row in _read(data) for name in row}
    assert {key: state for key, (state, _) in states.items()} == {
        ("ann", "email", "newsletter"): "granted",
        ("bob", "email", "newsletter"): "withdrawn",
        ("cy", "sms", "marketing"): "granted",
    }
    for (name, channel, purpose), (_, at) in states.items():
        assert at == datetime.datetime.fromisoformat(exported[name, f"consent.{channel}.{purpose}.at"])


def _read(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


def test_a_long_export_is_listed_and_mailed(
    mira: User, ada: User, as_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_user(mira)
    ann = make_profile(first_name="Ann", email="ann@mail.example", phone="+48600100200")
    page = client.get(reverse("admin:profiles_profile_exports")).content.decode()
    assert "No exports yet" in page
    monkeypatch.setattr(export_pages, "INLINE", 0)
    confirm = client.post(reverse("admin:profiles_profile_export_people"), {"ids": [ann.pk]})
    text = confirm.content.decode()
    assert 'name="fields" value="consents" checked' in text
    frozen = text.split('name="frozen" value="')[1].split('"')[0]
    client.post(
        reverse("admin:profiles_profile_export_people"), {"frozen": frozen, "fields": ["email", "phone"]}
    )
    job = run_to_end(Job.objects.get())
    assert file_of(job).read_text("utf-8-sig").splitlines() == [
        "id,type,email,phone",
        f"{ann.pk},recognized,ann@mail.example,(+48) 600100200",
    ]
    mail = Mail.objects.get()
    assert (mail.to, mail.subject) == ([mira.email], "Export 1 person: the file is ready")
    assert f"/admin/profiles/profile/export/{job.pk}/" in mail.text
    assert "ann@" not in mail.text
    (row,) = exports_of(Actor.of_user(mira))
    assert (row.people, row.size) == (1, file_of(job).stat().st_size)
    page = client.get(reverse("admin:profiles_profile_exports")).content.decode()
    assert reverse("admin:profiles_profile_export_file", args=[job.pk]) in page
    assert "No exports yet" in as_user(ada).get(reverse("admin:profiles_profile_exports")).content.decode()
    forget_exports(days=-1)
    page = client.get(reverse("admin:profiles_profile_exports")).content.decode()
    assert "deleted" in page
    assert reverse("admin:profiles_profile_export_file", args=[job.pk]) not in page


def confirmed(client: Any, data: dict[str, Any], **chosen: Any) -> Any:
    """The export's confirmation for these people, sent with this choice of columns and format."""
    url = reverse("admin:profiles_profile_export_people")
    page = client.post(url, data).content.decode()
    return client.post(url, {"frozen": page.split('name="frozen" value="')[1].split('"')[0], **chosen})


def test_a_short_export_is_downloaded_at_once_and_listed(mira: User, as_user: Any) -> None:
    client = as_user(mira)
    ann = make_profile(first_name="Ann", email="ann@mail.example", country="PL", tags=["vip"])
    make_profile(first_name="Bob", email="bob@mail.example", country="DE")
    everyone = {"everyone": "1", "filters": "q=ann&type=recognized&country=PL&tag=vip&sort=seen&view=3"}
    answer = confirmed(client, everyone, fields=["email", "tags"], format="jsonl")
    assert (answer["Content-Type"], answer["Content-Disposition"]) == (
        "application/x-ndjson; charset=utf-8",
        'attachment; filename="people.jsonl"',
    )
    assert json.loads(answer.content) == {
        "id": ann.pk,
        "type": "recognized",
        "email": "ann@mail.example",
        "tags": ["vip"],
    }
    assert not Mail.objects.exists()
    job = Job.objects.get()
    text = words(client.get(reverse("admin:profiles_profile_exports")))
    assert "Search finds “ann” and Type is recognized and Country is Poland and Tag is vip" in text
    assert "Export 1 person" in text
    assert "E-mail, Tags" in text
    assert "by mira" in text
    again = client.get(reverse("admin:profiles_profile_export_file", args=[job.pk]))
    assert b"".join(again.streaming_content) == answer.content
    text = words(client.get(reverse("admin:profiles_profile_export", args=[job.pk])))
    assert "Columns Id, Type, E-mail, Tags Format JSON Lines Personal data as it is stored" in text


def test_the_three_formats_of_the_form(mira: User, as_user: Any) -> None:
    ann = make_profile(first_name="=1", email="ann@mail.example", phone="+48600100200")
    client, fields = as_user(mira), ["first_name", "phone"]
    contents = {
        name: confirmed(client, {"ids": [ann.pk]}, fields=fields, format=name).content.decode()
        for name in ("csv", "plain", "jsonl")
    }
    assert contents == {
        "csv": f"\ufeffid,type,first_name,phone\r\n{ann.pk},recognized,'=1,(+48) 600100200\r\n",
        "plain": f"type,id,first_name,phone\r\nrecognized,{ann.pk},=1,+48600100200\r\n",
        "jsonl": f'{{"id":{ann.pk},"type":"recognized","first_name":"=1","phone":"+48600100200"}}\n',
    }
    text = words(client.get(reverse("admin:profiles_profile_exports")))
    assert text.count("Ticked in the list") == 3
    refused = confirmed(client, {"ids": [ann.pk]}, fields=fields, format="xlsx")
    assert "“xlsx” is not a format of exports. Formats: csv, jsonl." in refused.content.decode()
    assert Job.objects.count() == 3


def test_the_page_says_who_is_left_out_and_what_is_masked(
    vic: User, as_user: Any, by_staff: dict[str, Any]
) -> None:
    vic.user_permissions.add(Permission.objects.get(codename="bulk_export"))
    ann, bob = make_profile(email="ann@mail.example"), make_profile(email="bob@mail.example")
    job = start_export(
        profile_ids=[ann.pk, bob.pk], filters="", actor=Actor.of_user(User.objects.get(pk=vic.pk))
    )
    delete_profiles(profile_ids=[bob.pk], reason="", **by_staff)
    run_to_end(job)
    client = as_user(User.objects.get(pk=vic.pk))
    text = words(client.get(reverse("admin:profiles_profile_export", args=[job.pk])))
    assert "People Everybody Left out 1 deleted after the export was started" in text
    assert "Personal data masked" in text
    # Who was given the right to personal data since gets the file that was written without.
    file = client.get(reverse("admin:profiles_profile_export_file", args=[job.pk]))
    assert b"a\xe2\x80\xa2" in b"".join(file.streaming_content)
    vic.user_permissions.clear()
    assert client.get(reverse("admin:profiles_profile_export_file", args=[job.pk])).status_code == 403


def words(answer: Any) -> str:
    """The text of a page, spaces single."""
    text = re.sub(r"<[^>]+>", " ", answer.content.decode())
    return " ".join(html.unescape(text).split()).replace(" ,", ",")


def test_an_unknown_column_is_refused_on_the_page(mira: User, as_user: Any) -> None:
    client = as_user(mira)
    ann = make_profile(email="ann@mail.example")
    url = reverse("admin:profiles_profile_export_people")
    text = client.post(url, {"ids": [ann.pk]}).content.decode()
    frozen = text.split('name="frozen" value="')[1].split('"')[0]
    answer = client.post(url, {"frozen": frozen, "fields": ["nothing"]})
    assert "“nothing” is not a column of an export." in answer.content.decode()
    done = client.post(url, {"frozen": frozen, "fields": ["email"]})
    assert done.content.decode("utf-8-sig") == f"id,type,email\r\n{ann.pk},recognized,ann@mail.example\r\n"
