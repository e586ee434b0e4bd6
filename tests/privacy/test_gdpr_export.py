"""The file for an access request: for people to read, whole, without other people in it, and noted in the log."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from cdp.actors import Actor
from cdp.errors import NotFound, RuleForbids
from cdp.looks import record_look
from cdp.models import AuditEntry, User
from profiles.consent.ledger import record_consent
from profiles.editing import add_event, add_note, update_profile
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import AttributeDefinition, Event, EventName, Profile, Source
from profiles.privacy.delete import delete_profiles
from profiles.privacy.gdpr_export import export_profile, stream_profile
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()


def test_the_file_tells_what_it_is_and_has_every_part(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", last_name="Novak", email="ann@example.com", tags=["vip"])
    add_note(profile_id=ann.pk, text="Called twice", **by_staff)
    add_event(profile_id=ann.pk, name="Order Completed", properties={"total": 12.5}, **by_staff)
    at = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    record_consent(
        profile_id=ann.pk,
        channel="email",
        purpose="newsletter",
        state="granted",
        at=at,
        wording="v3",
        proof={"form": "/join"},
        **by_staff,
    )
    found = export_profile(profile_id=ann.pk, actor=by_staff["actor"])
    assert found["about"]["title"] == "Everything stored about Ann Novak"
    assert "Article 15" in found["about"]["what_this_is"]
    assert list(found["about"]["parts"]) == list(found)[1:]
    assert found["about"]["made_by"] == "ada"
    assert found["person"]["values"]["email"] == "ann@example.com"
    assert found["tags"][0]["tag"] == "vip"
    assert found["notes"][0] == {**found["notes"][0], "text": "Called twice", "written_by": "ada"}
    assert found["events"][0]["properties"] == {"total": 12.5}
    assert found["consents"]["now"][0]["state"] == "granted"
    decision = found["consents"]["decisions"][0]
    assert (decision["wording"], decision["proof"], decision["decided_at"]) == (
        "v3",
        {"form": "/join"},
        "2026-01-02T00:00:00Z",
    )
    assert "email:ann@example.com" in found["history"][0]["changes"]["identifiers"][1]


def test_each_value_says_where_it_came_from_and_since_when(by_staff: dict[str, Any]) -> None:
    AttributeDefinition.objects.create(name="plan", label="Plan")
    ann = make_profile(first_name="Ann", city="Oslo", plan="pro", source="import")
    update_profile(profile_id=ann.pk, values={"city": "Bergen"}, **by_staff)
    rows = {row["name"]: row for row in export_profile(profile_id=ann.pk, actor=SYSTEM)["attributes"]}
    assert (rows["first_name"]["source"], rows["first_name"]["set_by"]) == ("Import", "system")
    assert (rows["city"]["value"], rows["city"]["source"], rows["city"]["set_by"]) == (
        "Bergen",
        "Staff",
        "ada",
    )
    assert rows["city"]["first_set_at"] < rows["city"]["last_set_at"]
    assert rows["attributes.plan"]["label"] == "Plan"


def test_everybody_merged_is_in_it_with_their_own_values(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com")
    old = make_profile(first_name="Anna", city="Oslo", email="old@example.com")
    add_note(profile_id=old.pk, text="Old note", **by_staff)
    merge_profiles(winner_id=ann.pk, loser_id=old.pk, **by_staff)
    found = export_profile(profile_id=old.pk, actor=SYSTEM)
    assert found["about"]["profile_ids"] == [ann.pk, old.pk]
    assert found["person"]["id"] == ann.pk
    assert found["merged_profiles"][0]["values"]["first_name"] == "Anna"
    assert {"field": "first_name", "value": "Anna", "from_id": old.pk} in found["other_values"]
    assert {row["value"] for row in found["identifiers"] if row["type"] == "email"} == {
        "ann@example.com",
        "old@example.com",
    }
    assert [note["text"] for note in found["notes"]] == ["Old note"]
    assert found["merges"][0]["profile_id"] == old.pk
    city = next(row for row in found["attributes"] if row["name"] == "city")
    assert city["value"] == "Oslo"
    assert city["first_set_at"] is not None, "as the merged profile knew it"


def test_nothing_of_somebody_merged_by_mistake_is_in_it(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com")
    eve = make_profile(first_name="Eve", city="Secretville", phone="+48600100200", email="eve@example.com")
    merged = merge_profiles(winner_id=ann.pk, loser_id=eve.pk, **by_staff)
    assert "Secretville" in json.dumps(export_profile(profile_id=ann.pk, actor=SYSTEM))
    unmerge_profiles(merge_id=merged.merge_id, **by_staff)
    text = json.dumps(export_profile(profile_id=ann.pk, actor=SYSTEM))
    for secret in ("Secretville", "eve@example.com", "+48600100200", '"Eve"'):
        assert secret not in text
    assert json.loads(text)["merges"][0]["undone_by"] == "ada"
    assert "Secretville" in json.dumps(export_profile(profile_id=eve.pk, actor=SYSTEM))


def test_it_tells_who_looked_and_is_noted_itself(sam: User) -> None:
    ann = make_profile(first_name="Ann")
    record_look("card", actor=Actor.of_user(sam), profile_ids=[ann.pk])
    found = export_profile(profile_id=ann.pk, actor=Actor.of_user(sam))
    assert [(entry["who"], entry["did"]) for entry in found["access"]] == [
        ("system", "profile.create"),
        ("sam", "profile.export"),
    ]
    assert [(entry["who"], entry["looked_at"]) for entry in found["looks"]] == [
        ("sam", "the card"),
        ("sam", "the GDPR export"),
    ]
    assert AuditEntry.objects.get(action="profile.export").subject == f"profile:{ann.pk}"


def test_deleted_people_can_be_exported_erased_and_unknown_ones_not(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
    delete_profiles(profile_ids=[ann.pk], **by_staff)
    assert export_profile(profile_id=ann.pk, actor=SYSTEM)["person"]["status"] == "deleted"
    Profile.objects.filter(pk=ann.pk).update(status="erased")
    with pytest.raises(RuleForbids, match=f"Profile #{ann.pk} was erased; nothing is left to export."):
        export_profile(profile_id=ann.pk, actor=SYSTEM)
    with pytest.raises(NotFound, match="No profile “999999”."):
        export_profile(profile_id=999_999, actor=SYSTEM)


def test_many_events_are_read_in_pieces(django_assert_max_num_queries: Any) -> None:
    ann = make_profile(first_name="Ann")
    name, source = EventName.objects.create(name="Seen"), Source.objects.get(channel="web")
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    Event.objects.bulk_create(
        Event(
            profile=ann, name=name, source=source, occurred_at=at, message_id=f"{n:032x}", properties={"n": n}
        )
        for n in range(3000)
    )
    with django_assert_max_num_queries(45):
        pieces = list(stream_profile(profile_id=ann.pk, actor=SYSTEM))
    assert max(map(len, pieces)) < 5000
    found = json.loads(b"".join(pieces))
    assert [event["properties"]["n"] for event in found["events"]] == list(range(3000))
