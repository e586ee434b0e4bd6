"""Managing tags: counts, rename, merge, delete with a preview, small files in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from cdp.models import AuditEntry, User
from profiles.models import Change, Profile, Tag
from tests.profile_factory import make_profile

Login = Callable[[User], Client]


def tags_of(profile: Profile) -> list[str]:
    return sorted(Tag.objects.filter(links__profile__canonical=profile).values_list("name", flat=True))


def url(name: str, *tags: Tag) -> str:
    return reverse(f"admin:profiles_tag_{name}", args=[tag.pk for tag in tags])


@pytest.fixture
def vip(db: None) -> Tag:
    return Tag.objects.create(name="vip", color="amber")


def test_lists_how_many_people_carry_each(mira: User, as_user: Login, vip: Tag, monkeypatch: Any) -> None:
    people = [make_profile(tags=["vip"]) for _ in range(3)]
    Profile.objects.filter(pk=people[0].pk).update(canonical=people[1], status=Profile.Status.MERGED)
    Profile.objects.filter(pk=people[2].pk).update(status=Profile.Status.DELETED)
    html = as_user(mira).get(url("changelist")).content.decode()
    assert '<span class="badge amber">vip</span>' in html
    assert '<td class="field-people_count">1</td>' in html
    monkeypatch.setattr("profiles.admin.tags.within_patience", lambda work: None)
    assert '<td class="field-people_count">…</td>' in as_user(mira).get(url("changelist")).content.decode()


def test_a_name_is_taken_in_any_case(mira: User, as_user: Login, vip: Tag) -> None:
    client = as_user(mira)
    refused = client.post(url("add"), {"name": "VIP", "color": "gray", "description": ""}).content.decode()
    assert "There is a tag “VIP” already. Merge the two instead." in refused
    assert "A tag has no comma" in client.post(url("add"), {"name": "a,b", "color": "gray"}).content.decode()
    assert client.post(url("add"), {"name": " press ", "color": "red", "description": ""}).status_code == 302
    assert set(Tag.objects.values_list("name", flat=True)) == {"vip", "press"}


def test_rename(mira: User, as_user: Login, vip: Tag) -> None:
    ann = make_profile(tags=["vip"])
    answer = as_user(mira).post(url("change", vip), {"name": "VIP", "color": "blue", "description": "Big"})
    assert answer.status_code == 302
    vip.refresh_from_db()
    assert (vip.name, vip.color, vip.description) == ("VIP", "blue", "Big")
    assert tags_of(ann) == ["VIP"]
    assert AuditEntry.objects.filter(action="tag.rename", subject=f"tag:{vip.pk}").count() == 1


def test_merge_shows_how_many_before_it_does_anything(mira: User, as_user: Login, vip: Tag) -> None:
    old = Tag.objects.create(name="very important")
    ann, bob = make_profile(tags=["vip", "very important"]), make_profile(tags=["very important"])
    preview = as_user(mira).get(url("merge", vip), {"loser": old.pk}).content.decode()
    assert "<b>2 people</b>" in preview
    assert "(1 person does already)" in preview
    assert tags_of(bob) == ["very important"]

    done = as_user(mira).post(url("merge", vip), {"loser": old.pk}, follow=True).content.decode()
    assert "“very important” is now “vip”. 1 person got the tag." in done
    assert (tags_of(ann), tags_of(bob)) == (["vip"], ["vip"])
    assert not Tag.objects.filter(pk=old.pk).exists()

    itself = as_user(mira).post(url("merge", vip), {"loser": vip.pk}).content.decode()
    assert "Choose two different tags." in itself
    assert as_user(mira).get("/admin/profiles/tag/404404/merge/").status_code == 404


def test_delete_says_how_many_people_lose_it(mira: User, as_user: Login, vip: Tag) -> None:
    ann = make_profile(tags=["vip"])
    make_profile(tags=["vip"])
    preview = as_user(mira).get(url("delete", vip)).content.decode()
    assert "<b>2 people lose</b>" in preview
    assert as_user(mira).post(url("delete", vip), {"post": "yes"}).status_code == 302
    assert not Tag.objects.exists()
    assert tags_of(ann) == []
    assert Change.objects.filter(profile=ann, fields__tags=[["vip"], []]).exists()
    assert AuditEntry.objects.filter(action="tag.delete").count() == 1


def test_only_for_who_may(vic: User, olga: User, as_user: Login, vip: Tag) -> None:
    other = Tag.objects.create(name="other")
    assert as_user(vic).get(url("changelist")).status_code == 200
    assert as_user(olga).get(url("changelist")).status_code == 403
    sent = {"name": "x", "color": "red", "description": "", "loser": other.pk, "post": "yes"}
    for user in (vic, olga):
        for address in (url("add"), url("change", vip), url("merge", vip), url("delete", vip), url("import")):
            assert as_user(user).post(address, sent).status_code == 403, address
        assert as_user(user).get(url("export")).status_code == 403
    assert set(Tag.objects.values_list("name", flat=True)) == {"vip", "other"}


def test_out_as_csv_and_in_again(mira: User, as_user: Login, vip: Tag) -> None:
    client = as_user(mira)
    assert "Export tags" in client.get(url("export")).content.decode()
    fields = {f"tagresource_{name}": "on" for name in ("name", "color", "description")}
    out = client.post(url("export"), {"format": "0", "resource": "", **fields})
    assert out.content.decode().splitlines() == ["name,color,description", "vip,amber,"]

    rows = "name,color,description\nVIP,red,<b>Big</b>\npress,,\n"
    upload = SimpleUploadedFile("tags.csv", rows.encode(), content_type="text/csv")
    preview = client.post(url("import"), {"import_file": upload, "format": "0"})
    html = preview.content.decode()
    assert "&lt;b&gt;Big&lt;/b&gt;" in html
    assert "amber → red" in html
    assert "style=" not in html
    assert Tag.objects.count() == 1  # nothing before the confirmation
    confirmed = client.post(url("process_import"), preview.context["confirm_form"].initial, follow=True)
    assert confirmed.status_code == 200
    assert AuditEntry.objects.get(action="tag.import").detail == {"new": 1, "update": 1}
    vip.refresh_from_db()
    assert (vip.color, Tag.objects.get(name="press").color) == ("red", "gray")

    Tag.objects.all().delete()
    Tag.objects.create(name="=1+1", description="-5")
    out = client.post(url("export"), {"format": "0", "resource": "", **fields})
    assert out.content.decode().splitlines()[1] == "'=1+1,gray,'-5"
    again = SimpleUploadedFile("tags.csv", out.content, content_type="text/csv")
    preview = client.post(url("import"), {"import_file": again, "format": "0"})
    client.post(url("process_import"), preview.context["confirm_form"].initial, follow=True)
    assert list(Tag.objects.values_list("name", "description")) == [("=1+1", "-5")]

    bad = SimpleUploadedFile("tags.csv", b"name,color\nx,purple\n", content_type="text/csv")
    assert (
        "is not a valid choice"
        in client.post(url("import"), {"import_file": bad, "format": "0"}).content.decode()
    )
    assert Tag.objects.count() == 1
