"""Merging in bulk from the admin: a file, the look, the merge, the report, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cdp.jobs import run_to_end
from cdp.models import AuditEntry, User
from profiles.editing import update_profile
from profiles.editing.additions import set_lock
from profiles.models import DuplicatePair, Merge, MergeBatch, Profile
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
AsUser = Callable[[User], Client]
LIST, ADD = "/admin/profiles/mergebatch/", "/admin/profiles/mergebatch/add/"


@pytest.fixture
def dan(make_user: Callable[..., User]) -> User:
    return make_user("dan", "data admin")


def upload(client: Client, text: str, **fields: str) -> Any:
    file = SimpleUploadedFile("pairs.csv", text.encode(), "text/csv")
    return client.post(ADD, {"file": file, **fields})


def page(client: Client, url: str, status: int = 200) -> str:
    answer = client.get(url)
    assert answer.status_code == status
    return answer.content.decode()


def address(name: str, batch: MergeBatch) -> str:
    return reverse(f"admin:profiles_mergebatch_{name}", args=[batch.pk])


def test_from_a_file_to_the_report_and_back(as_user: AsUser, dan: User, by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com")
    anna, bob = make_profile(first_name="Anna", city="Oslo"), make_profile(first_name="Bob")
    locked = make_profile(first_name="Lock")
    set_lock(profile_id=locked.pk, is_locked=True, **by_staff)
    client = as_user(dan)
    assert "Nothing was merged in bulk yet" in page(client, LIST)
    assert "two columns" in page(client, ADD)
    text = f"winner,loser\nann@example.com,#{anna.pk}\nann@example.com,#{bob.pk}\n#{ann.pk},#{locked.pk}\n"
    sent = upload(client, text)
    batch = MergeBatch.objects.get()
    assert sent["Location"] == address("change", batch)
    assert (batch.state, batch.origin, batch.title) == ("ready", "csv", "Pairs of pairs.csv")
    shown = page(client, sent["Location"])
    assert "nothing has been merged yet" in shown
    assert "Merge 2 pairs" in shown
    assert "Profile #" + f"{locked.pk} is locked against merging. Unlock it first." in shown
    assert "First name" in shown

    assert client.post(address("start", batch))["Location"] == address("change", batch)
    assert "Merging" in page(client, address("change", batch))
    batch.refresh_from_db()
    assert batch.job is not None
    run_to_end(batch.job)
    report = page(client, address("change", batch))
    assert "What happened" in report
    assert "Undo all…" in report
    file = client.get(address("left_csv", batch))
    lines = b"".join(file).decode("utf-8-sig").splitlines()  # type: ignore[arg-type]
    assert lines[0] == "position,line,winner,loser,outcome,code,reason"
    assert lines[1].startswith(f"3,4,#{ann.pk},#{locked.pk},skipped,locked,")
    assert AuditEntry.objects.filter(
        action="merge.batch.download", subject=f"merge_batch:{batch.pk}"
    ).exists()

    update_profile(profile_id=ann.pk, values={"city": "Bergen"}, **by_staff)
    assert "<b>2 merges</b>" in page(client, address("undo", batch))
    client.post(address("undo", batch))
    batch.refresh_from_db()
    assert batch.undo_job is not None
    assert "Undoing, the latest merge first" in page(client, address("change", batch))
    run_to_end(batch.undo_job)
    report = page(client, address("change", batch))
    assert "Undo all…" not in report
    assert "Undo this one…" not in report
    # What the page before promised: who is back, and what stays.
    assert report.count('data-label="State">undone<') == 2
    assert "Left out, or not fully undone" in report
    assert "undone, except for what was changed since" in report
    assert "Stays: city (changed by ada on " in report
    file = client.get(address("left_csv", batch))
    lines = b"".join(file).decode("utf-8-sig").splitlines()  # type: ignore[arg-type]
    assert [line.split(",")[4:6] for line in lines[1:]] == [["undone", "stays"], ["skipped", "locked"]]
    assert Profile.objects.live().count() == 4
    assert "Pairs of pairs.csv" in page(client, LIST)
    again = client.get(address("undo", batch), follow=True).content.decode()
    assert "There is nothing to undo here right now." in again


def test_lines_that_name_nobody_are_shown_and_left_out_only_when_asked(as_user: AsUser, dan: User) -> None:
    ann, anna = make_profile(), make_profile()
    client = as_user(dan)
    text = f"winner,loser\n#{ann.pk},#{anna.pk}\n#{ann.pk},nobody@example.com\n"
    refused = upload(client, text)
    assert refused.status_code == 400
    shown = refused.content.decode()
    assert "“nobody@example.com” matches nobody." in shown
    assert "1 problem." in shown
    assert not MergeBatch.objects.exists()
    assert upload(client, text, rest="skip").status_code == 302
    assert MergeBatch.objects.get().size == 1
    assert (
        "Line 2 is not UTF-8."
        in client.post(ADD, {"file": SimpleUploadedFile("a.csv", b"winner,loser\n\xff,b\n")}).content.decode()
    )
    assert client.post(ADD, {}).status_code == 400


def test_discarding_merges_nothing(as_user: AsUser, dan: User) -> None:
    client = as_user(dan)
    upload(client, f"#{make_profile().pk},#{make_profile().pk}\n")
    batch = MergeBatch.objects.get()
    client.post(address("discard", batch))
    said = client.post(address("start", batch), {"back": address("change", batch)}, follow=True)
    assert "is discarded; it cannot be started." in said.content.decode()
    assert not Merge.objects.exists()


def test_the_page_says_will_only_while_it_will(as_user: AsUser, dan: User) -> None:
    ann, anna = make_profile(first_name="Ann"), make_profile(first_name="Anna")
    client = as_user(dan)
    upload(client, f"winner,loser\n#{ann.pk},#{anna.pk}\n")
    batch = MergeBatch.objects.get()
    here = address("change", batch)
    assert "<h2>What will happen</h2>" in page(client, here)
    client.post(address("discard", batch))
    shown = page(client, here)
    assert "<h2>What will happen</h2>" not in shown
    assert "<h2>What would have happened</h2>" in shown
    assert "This batch was discarded: nothing was merged, and nothing will be." in shown
    MergeBatch.objects.filter(pk=batch.pk).update(preview={})
    assert "The check of these pairs did not finish. Nothing was merged; make the batch again." in page(
        client, here
    )
    MergeBatch.objects.filter(pk=batch.pk).update(state="checking")
    assert "These pairs were not checked yet, so there is nothing to confirm." in page(client, here)


def test_who_may(
    as_user: AsUser, vic: User, sam: User, olga: User, dan: User, by_staff: dict[str, Any]
) -> None:
    ann, anna = make_profile(first_name="Ann"), make_profile(first_name="Anna")
    upload(as_user(dan), f"#{ann.pk},#{anna.pk}\n")
    batch = MergeBatch.objects.get()
    for user, sees in ((vic, 200), (sam, 200), (olga, 403)):
        client = as_user(user)
        for url in (LIST, address("change", batch), address("left_csv", batch)):
            assert client.get(url).status_code == sees, (user, url)
        assert client.get(ADD).status_code == 403
        for name in ("start", "discard", "undo"):
            assert client.post(address(name, batch)).status_code == 403, (user, name)
    masked = page(as_user(vic), address("change", batch))
    assert "Anna" not in masked
    assert f"#{anna.pk}" in masked
    assert "Merge 1 pair" not in masked
    assert "Anna" in page(as_user(sam), address("change", batch))


def test_all_the_queue_shows_becomes_a_batch(as_user: AsUser, dan: User, sam: User) -> None:
    def pair(**values: Any) -> DuplicatePair:
        return DuplicatePair.objects.create(a=make_profile(), b=make_profile(), **values)

    sure, _, done = (
        pair(tier="certain", score=9),
        pair(tier="possible"),
        pair(tier="certain", verdict="merged"),
    )
    client = as_user(dan)
    shown = page(client, reverse("admin:profiles_duplicatepair_changelist") + "?tier=certain")
    assert reverse("admin:profiles_mergebatch_queue") in shown
    sent = client.post(reverse("admin:profiles_mergebatch_queue") + "?tier=certain")
    batch = MergeBatch.objects.get()
    assert sent["Location"] == address("change", batch)
    assert (batch.origin, batch.state) == ("queue", "ready")
    assert list(batch.rows.values_list("pair_id", flat=True)) == [sure.pk]
    assert done.pk != sure.pk
    assert as_user(sam).post(reverse("admin:profiles_mergebatch_queue")).status_code == 403
    hidden = page(as_user(sam), reverse("admin:profiles_duplicatepair_changelist") + "?tier=certain")
    assert reverse("admin:profiles_mergebatch_queue") not in hidden


def test_pages_take_as_many_queries_at_a_hundred_rows_as_at_one(as_user: AsUser, dan: User) -> None:
    client = as_user(dan)

    def queries(count: int) -> tuple[int, int]:
        pairs = [(make_profile().pk, make_profile().pk) for _ in range(count)]
        upload(client, "".join(f"#{a},#{b}\n" for a, b in pairs))
        batch = MergeBatch.objects.latest("pk")
        found = []
        for url in (LIST, address("change", batch)):
            with CaptureQueriesContext(connection) as seen:
                page(client, url)
            found.append(len(seen))
        return found[0], found[1]

    queries(1)
    assert queries(1) == queries(100)
