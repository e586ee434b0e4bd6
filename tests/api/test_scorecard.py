"""The scorecard, alarms and rules from outside."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cdp.models import AuditEntry
from imports.models import Import
from profiles.builtin_sources import builtin_source
from profiles.models import (
    Change,
    DuplicatePair,
    DuplicatePolicy,
    ScorecardState,
    Source,
    SourceAlarm,
    SourceHour,
)
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile
from tests.tracking.rejected import make_source

pytestmark = pytest.mark.django_db


def make_alarm(source: Source, **fields: Any) -> SourceAlarm:
    defaults: dict[str, Any] = {
        "signal": "update",
        "began_at": timezone.now(),
        "usual": 0.02,
        "bound": 0.1,
        "share": 0.9,
        "calls": 80,
        "sentence": "Since 14:05 Shop sends update.",
    }
    return SourceAlarm.objects.create(source=source, **{**defaults, **fields})


def test_the_scorecard_has_a_row_for_every_source(api: Caller) -> None:
    shop = make_source(name="Shop")
    SourceHour.objects.create(
        source=shop,
        hour=timezone.now(),
        items=30,
        events=20,
        identifies=6,
        updates=4,
        unknown_events=5,
        attribute_ids=3,
        violations=2,
        late_identifies=1,
        new_profiles=200,
        duplicates=9,
    )
    ScorecardState.objects.create(pk=1, counted_to=timezone.now())
    answer = api.get("scorecard/?days=7").data
    assert (answer["days"], answer["next"], answer["previous"]) == (7, None, None)
    assert answer["counted_to"].endswith("Z")
    assert len(answer["results"]) == Source.objects.count()
    assert answer["results"][-1] == {
        "source": {"id": shop.pk, "name": "Shop"},
        "new_profiles": 200,
        "duplicates": 9,
        "duplicates_per_1000": 45.0,
        "identifiers_as_attributes": 3,
        "events": 20,
        "events_without_identity": 5,
        "schema_violations": 2,
        "late_identifies": 1,
        "identify_calls": 6,
        "update_calls": 4,
        "trend": [0, 0, 0, 0, 0, 0, 15],
    }
    assert api.get("scorecard/").data["days"] == 30
    first = api.get("scorecard/?page_size=2").data
    assert len(first["results"]) == 2
    rest = api.get(first["next"].partition("/api/v1/")[2]).data
    assert rest["results"][0]["source"]["id"] > first["results"][-1]["source"]["id"]


def test_what_cannot_be_read_is_a_400(api: Caller) -> None:
    assert refusal(api.get("scorecard/?days=8")) == (400, "days is 7, 30 or 90.")
    assert refusal(api.get("scorecard/?day=7"))[0] == 400
    assert refusal(api.get("scorecard/alarms/?source=x")) == (400, "source is a whole number.")


def test_the_same_queries_for_one_source_and_for_a_hundred(api: Caller) -> None:
    api.get("scorecard/")  # a key's first call is noted
    counts = []
    for many in (1, 99):
        for _ in range(many):
            source = make_source()
            SourceHour.objects.create(source=source, hour=timezone.now(), items=1)
            make_alarm(source)
        for path in ("scorecard/?page_size=500", "scorecard/alarms/?page_size=500"):
            with CaptureQueriesContext(connection) as caught:
                assert api.get(path).status_code == 200
            counts.append(len(caught))
    assert counts[:2] == counts[2:]


def test_the_scorecard_of_imports(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    source = builtin_source("import")
    jobs = [
        Import.objects.create(
            name=f"{days}.csv",
            size=1,
            sha256="0",
            state="done",
            source=source,
            applied_at=timezone.now() - datetime.timedelta(days=days),
            counts={"created": 4, "conflict": 1},
        )
        for days in (1, 2, 40)
    ]
    old, new = make_profile(), make_profile(source="import")
    Change.objects.filter(profile=new).update(cause="import", cause_id=jobs[0].pk)
    DuplicatePair.objects.create(a=old, b=new, tier="certain")
    answer = api.get("scorecard/imports/?days=30").data
    assert (answer["days"], [row["name"] for row in answer["results"]]) == (30, ["2.csv", "1.csv"])
    row = answer["results"][1]
    assert row.pop("applied_at").endswith("Z")
    assert row == {
        "import_id": jobs[0].pk,
        "name": "1.csv",
        "new_profiles": 4,
        "duplicates": 1,
        "duplicates_per_1000": 250.0,
        "identifiers_as_attributes": [],
        "rows_without_identifier": 0,
        "conflicts": 1,
    }
    assert with_scopes("imports").get("scorecard/imports/").status_code == 200
    assert with_scopes("profiles:read", name="reader").get("scorecard/imports/").status_code == 403


def test_alarms_are_listed_filtered_and_acknowledged_once(api: Caller) -> None:
    shop, desk = make_source(name="Shop"), make_source(name="Desk")
    alarm, other = make_alarm(shop), make_alarm(desk, signal="violation")
    rows = api.get("scorecard/alarms/").data["results"]
    assert [row["id"] for row in rows] == [other.pk, alarm.pk]
    assert rows[1]["sentence"] == "Since 14:05 Shop sends update."
    assert rows[1]["fix"].startswith("Update identifies nobody")
    assert [row["id"] for row in api.get(f"scorecard/alarms/?source={desk.pk}").data["results"]] == [other.pk]
    path = f"scorecard/alarms/{alarm.pk}/acknowledge/"
    dry = api.post(f"{path}?dry_run=true")
    assert (dry.status_code, dry.data["dry_run"]) == (200, True)
    alarm.refresh_from_db()
    assert alarm.acknowledged_at is None
    done = api.post(path)
    assert done.status_code == 200
    assert done.data["acknowledged_at"].endswith("Z")
    assert api.post(path).data["acknowledged_at"] == done.data["acknowledged_at"]
    assert (
        AuditEntry.objects.filter(action="source.alarm_read", subject=f"sourcealarm:{alarm.pk}").count() == 1
    )
    unread = api.get("scorecard/alarms/?acknowledged=false").data["results"]
    assert [row["id"] for row in unread] == [other.pk]
    assert refusal(api.post("scorecard/alarms/0/acknowledge/")) == (404, "There is no alarm #0.")


def test_the_rules_are_read_and_changed(api: Caller) -> None:
    assert api.get("duplicate-policy/").data == {
        "auto_merge": False,
        "auto_merge_cap": 100,
        "report_to": [],
        "reported_at": None,
        "line": {"slope": 1.0, "offset": 0.0, "decisions": 0, "fitted_at": None},
    }
    changed = api.patch("duplicate-policy/", {"auto_merge": True, "report_to": ["a@shop.example"]})
    assert changed.status_code == 200, changed.content
    assert (changed.data["auto_merge"], changed.data["auto_merge_cap"]) == (True, 100)
    assert DuplicatePolicy.current().report_to == ["a@shop.example"]
    assert AuditEntry.objects.filter(action="duplicate.policy").count() == 1
    dry = api.patch("duplicate-policy/?dry_run=true", {"auto_merge": False})
    assert (dry.data["auto_merge"], DuplicatePolicy.current().auto_merge) == (False, True)


def test_rules_that_cannot_be_are_a_400_naming_each(api: Caller) -> None:
    answer = api.patch("duplicate-policy/", {"auto_merge": "yes", "auto_merge_cap": 0})
    assert answer.status_code == 400
    assert [(one["pointer"], one["message"]) for one in answer.data["errors"]] == [
        ("/auto_merge", "auto_merge is true or false."),
        ("/auto_merge_cap", "Merge at least 1 and at most 10,000 pairs per hour."),
    ]
    assert api.patch("duplicate-policy/", {"color": "red"}).status_code == 400


def test_three_levels(with_scopes: Callable[..., Caller], stranger: Caller) -> None:
    alarm = make_alarm(make_source())
    reader, manager = with_scopes("profiles:read"), with_scopes("admin", "profiles:read", name="manager")
    acknowledge = f"scorecard/alarms/{alarm.pk}/acknowledge/"
    for path in ("scorecard/", "scorecard/alarms/"):
        assert [one.get(path).status_code for one in (stranger, reader, manager)] == [401, 200, 200]
    assert [one.get("duplicate-policy/").status_code for one in (stranger, reader, manager)] == [
        401,
        403,
        200,
    ]
    assert [one.post(acknowledge).status_code for one in (stranger, reader, manager)] == [401, 403, 200]
    body: dict[str, Any] = {"auto_merge": False}
    assert [one.patch("duplicate-policy/", body).status_code for one in (stranger, reader, manager)] == [
        401,
        403,
        200,
    ]
