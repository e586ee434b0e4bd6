"""The preview is the merge, rolled back."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from cdp.errors import Invalid, RuleForbids
from cdp.models import AuditEntry, OutboxMessage, Webhook
from profiles.consent.ledger import record_consent
from profiles.editing import add_event
from profiles.editing.additions import set_lock
from profiles.merging.merge import merge_profiles
from profiles.merging.preview import preview_merge
from profiles.models import AttributeDefinition, Change, Merge, Profile
from profiles.pairs.verdicts import set_verdict
from profiles.reading.profiles import as_api, profile_view
from tests.merging.worlds import checksums
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def test_it_shows_every_field_and_changes_nothing(by_staff: dict[str, Any]) -> None:
    Webhook.objects.create(name="crm", url="https://crm.example/", topics=["profile.merged"])
    Webhook.objects.create(name="off", url="https://off.example/", topics=["profile.merged"], is_active=False)
    AttributeDefinition.objects.create(name="plan", label="Plan", type="text")
    AttributeDefinition.objects.create(name="likes", type="list")
    ann = make_profile(
        first_name="Ann", last_name="Lee", email="ann@example.com", plan="pro", likes=["tea"], tags=["vip"]
    )
    anna = make_profile(
        first_name="Anna",
        last_name="Lee",
        email="a@old.example",
        city="Kraków",
        plan="team",
        likes=["jam"],
        tags=["new"],
    )
    before, change_count = checksums(), Change.objects.count()
    choices = {"first_name": "loser"}
    preview = preview_merge(winner_id=ann.pk, loser_id=anna.pk, choices=choices, **by_staff)
    assert (checksums(), Change.objects.count(), Merge.objects.count(), OutboxMessage.objects.count()) == (
        before,
        change_count,
        0,
        0,
    )
    assert not AuditEntry.objects.filter(action="profile.merge").exists()

    rows = {row.field: (row.winner, row.loser, row.result, row.rule) for row in preview.fields}
    assert {key: row for key, row in rows.items() if not key.startswith("identifiers.anonymous")} == {
        "first_name": ("Ann", "Anna", "Anna", "choice"),
        "last_name": ("Lee", "Lee", "Lee", "same"),
        "email": ("ann@example.com", "a@old.example", "ann@example.com", "winner"),
        "city": (None, "Kraków", "Kraków", "fill"),
        "attributes.plan": ("pro", "team", "pro", "winner"),
        "attributes.likes": (["tea"], ["jam"], ["tea", "jam"], "union"),
        "identifiers.email": (
            ["ann@example.com"],
            ["a@old.example"],
            ["ann@example.com", "a@old.example"],
            "union",
        ),
        "tags": (["vip"], ["new"], ["vip", "new"], "union"),
    }
    assert [row.label for row in preview.fields[:3]] == ["First name", "Last name", "E-mail"]
    assert {row.field for row in preview.fields if row.clash} == {"first_name", "email", "attributes.plan"}
    assert {row.field for row in preview.fields if row.choosable} == {
        "first_name",
        "email",
        "city",
        "attributes.plan",
        "attributes.likes",
    }
    assert (preview.winner_id, preview.loser_id, preview.webhooks, preview.warnings) == (
        ann.pk,
        anna.pk,
        ["crm"],
        [],
    )
    assert (preview.moved["identifiers"], preview.moved["tags"], preview.sections["consents"]) == (2, 1, [])

    done = merge_profiles(
        winner_id=ann.pk, loser_id=anna.pk, choices=choices, preview_hash=preview.preview_hash, **by_staff
    )
    promised, real = as_api(preview.result), as_api(profile_view(Profile.objects.get(pk=ann.pk)))
    assert {**promised, "updated_at": None} == {**real, "updated_at": None}
    assert done.moved == preview.moved


def test_consents_by_the_latest_decision(by_staff: dict[str, Any]) -> None:
    ann, anna = make_profile(), make_profile()
    spring, summer = (datetime.datetime(2025, month, 1, tzinfo=datetime.UTC) for month in (3, 6))

    def decide(profile: Profile, purpose: str, state: str, at: Any) -> None:
        record_consent(
            profile_id=profile.pk, channel="email", purpose=purpose, state=state, at=at, **by_staff
        )

    decide(ann, "newsletter", "granted", spring)
    decide(anna, "newsletter", "withdrawn", summer)
    decide(ann, "marketing", "withdrawn", spring)
    decide(anna, "marketing", "granted", summer)
    decide(ann, "profiling", "granted", spring)
    decide(anna, "profiling", "withdrawn", spring)
    decide(ann, "surveys", "granted", spring)
    decide(anna, "surveys", "withdrawn", None)
    decide(ann, "analytics", "granted", spring)
    decide(anna, "analytics", "granted", summer)
    decide(anna, "third_party", "granted", spring)
    preview = preview_merge(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    assert {
        row["purpose"]: (row["winner"], row["loser"], row["result"], row["rule"])
        for row in preview.sections["consents"]
    } == {
        "newsletter": ("granted", "withdrawn", "withdrawn", "latest"),
        "marketing": ("withdrawn", "granted", "granted", "latest"),
        "profiling": ("granted", "withdrawn", "withdrawn", "caution"),
        "surveys": ("granted", "withdrawn", "withdrawn", "caution"),
        "analytics": ("granted", "granted", "granted", "same"),
        "third_party": (None, "granted", "granted", "only"),
    }


def test_it_warns_and_it_refuses_what_the_merge_would(by_staff: dict[str, Any]) -> None:
    ann = make_profile(identifiers=[("customer_id", "1")])
    bob = make_profile(identifiers=[("customer_id", "2")])
    add_event(profile_id=bob.pk, name="Page", **by_staff)
    set_verdict(a_id=ann.pk, b_id=bob.pk, verdict="not_duplicate", actor=by_staff["actor"])
    two, verdict, busy = preview_merge(winner_id=ann.pk, loser_id=bob.pk, **by_staff).warnings
    assert two == "Customer id: 1 and 2. One person has at most 1, so these may be different people."
    assert verdict.startswith("ada decided on ")
    assert busy == f"#{bob.pk} is the more active one (events: 1 against 0). Consider swapping the two."
    with pytest.raises(Invalid, match="There is no field “x” to choose."):
        preview_merge(winner_id=ann.pk, loser_id=bob.pk, choices={"x": "loser"}, **by_staff)
    set_lock(profile_id=bob.pk, is_locked=True, **by_staff)
    with pytest.raises(RuleForbids, match="is locked against merging. Unlock it first.$"):
        preview_merge(winner_id=ann.pk, loser_id=bob.pk, **by_staff)
    with pytest.raises(RuleForbids, match="cannot be merged into itself"):
        preview_merge(winner_id=ann.pk, loser_id=ann.pk, **by_staff)
