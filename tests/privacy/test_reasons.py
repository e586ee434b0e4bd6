"""Reasons are choices in the audit log; what people type stands in rows that leave with the person."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.models import AuditEntry, User
from profiles.builtin_sources import builtin_source
from profiles.bulk.run_action import run_bulk
from profiles.models import Change, Receipt
from profiles.privacy.delete import DeleteReason, delete_profiles, read_reason
from profiles.privacy.restore import restore_profile
from profiles.tracking.rejected.replay import dismiss, dismiss_many
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
TYPED = "Zyxcanary called on Monday"


def audited() -> str:
    return repr(list(AuditEntry.objects.values_list("detail", flat=True)))


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (("request", ""), ("request", "")),
        (("request", f" {TYPED} "), ("request", TYPED)),
        ((TYPED, ""), ("other", TYPED)),
        ((TYPED, "twice"), ("other", f"{TYPED}; twice")),
        (("", TYPED), ("other", TYPED)),
        (("", ""), ("", "")),
        (("request", "x" * 501), ("request", "x" * 500)),
    ],
)
def test_a_reason_is_one_of_the_choices_and_all_else_a_note(
    sent: tuple[str, str], read: tuple[str, str]
) -> None:
    assert read_reason(*sent) == read


@pytest.mark.parametrize(("reason", "note"), [("request", TYPED), (TYPED, "")])
def test_a_deletion_keeps_typed_text_out_of_the_audit_log(
    reason: str, note: str, by_staff: dict[str, Any]
) -> None:
    ann = make_profile(first_name="Ann")
    delete_profiles(profile_ids=[ann.pk], reason=reason, note=note, **by_staff)
    choice = reason if reason in DeleteReason.values else "other"
    assert AuditEntry.objects.get(action="profile.delete").detail == {"reason": choice}
    change = Change.objects.get(profile=ann, kind="deleted")
    assert change.detail is not None
    assert (change.detail["reason"], change.detail["note"]) == (choice, TYPED)
    assert "Zyxcanary" not in audited()
    restore_profile(profile_id=ann.pk, **by_staff)


def test_so_do_bulk_deletions_the_page_and_the_api(by_staff: dict[str, Any], as_user: Any, ada: User) -> None:
    ann, ben, eve = (make_profile(first_name=name) for name in ("Ann", "Ben", "Eve"))
    run_bulk(action="delete", profile_ids=[ann.pk], params={"reason": "test", "note": TYPED}, **by_staff)
    client = as_user(ada)
    page = client.get(f"/admin/profiles/profile/{ben.pk}/delete/").content.decode()
    assert '<option value="request">They asked for it</option>' in page
    client.post(f"/admin/profiles/profile/{ben.pk}/delete/", {"reason": "request", "note": TYPED})
    secret = create_key(name="shop", scopes=["all"], actor=Actor.system()).secret
    done = Client(headers={"Authorization": f"Bearer {secret}"}).delete(
        f"/api/v1/profiles/{eve.pk}/", {"reason": TYPED}, content_type="application/json"
    )
    assert done.status_code == 204
    entries = AuditEntry.objects.filter(action="profile.delete").order_by("pk")
    assert [entry.detail for entry in entries] == [
        {"reason": "test"},
        {"reason": "request"},
        {"reason": "other"},
    ]
    assert "Zyxcanary" not in audited()
    assert Change.objects.filter(kind="deleted", detail__note=TYPED).count() == 3
    card = client.get(f"/admin/profiles/profile/{ben.pk}/change/").content.decode()
    assert f"They asked for it: {TYPED}" in card


def test_why_an_item_was_dismissed_stands_on_its_receipt(ada: User) -> None:
    source, actor = builtin_source("web"), Actor.of_user(ada)
    one, other = (Receipt.objects.create(source=source, outcome="invalid", payload={}) for _ in range(2))
    assert dismiss(receipt_ids=[one.pk], reason=TYPED, actor=actor) == 1
    from cdp.jobs import run_to_end

    run_to_end(dismiss_many(ids=[other.pk], reason=TYPED, actor=actor))
    assert set(Receipt.objects.values_list("note", flat=True)) == {TYPED}
    assert AuditEntry.objects.filter(action="receipt.dismiss").count() == 2
    assert "Zyxcanary" not in audited()
