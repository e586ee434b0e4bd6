"""Any merge is taken back exactly; what arrived since goes where it belongs, what was changed since is kept."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from cdp.actors import Actor
from cdp.errors import NotFound, RuleForbids
from cdp.models import AuditEntry, OutboxMessage, User, Webhook
from cdp.times import day
from profiles.builtin_sources import builtin_source
from profiles.editing import attach_identifier, update_profile
from profiles.identity.lookup import find_profile
from profiles.journal import Cause
from profiles.merging.merge import merge_profiles
from profiles.merging.preview import preview_unmerge
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import AttributeDefinition, Change, DuplicatePair, Event, EventName, Merge, Profile
from tests.merging.worlds import checksums
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def merge(winner: Profile, loser: Profile, by: dict[str, Any], **choices: str) -> int:
    return merge_profiles(winner_id=winner.pk, loser_id=loser.pk, choices=choices, **by).merge_id


def now(profile: Profile) -> Profile:
    return Profile.objects.get(pk=profile.pk)


def test_an_undo_brings_both_back_and_remembers_it(by_staff: dict[str, Any]) -> None:
    Webhook.objects.create(name="crm", url="https://crm.example/", topics=["profile.unmerged"])
    ann = make_profile(first_name="Ann")
    anna = make_profile(first_name="Anna", email="ann@example.com", city="Kraków", tags=["vip"])
    before = checksums()
    merge_id = merge(ann, anna, by_staff, first_name="loser")
    assert checksums() != before
    done = unmerge_profiles(merge_id=merge_id, **by_staff)
    assert checksums() == before
    assert (done.winner_id, done.loser_id, done.kept, done.returned) == (ann.pk, anna.pk, [], {})
    assert done.fields == {
        "first_name": ["Anna", "Ann"],
        "city": ["Kraków", None],
        "email": ["ann@example.com", None],
    }
    assert (done.winner.is_recognized, done.loser.is_recognized, done.loser.status) == (False, True, "live")
    pair = DuplicatePair.objects.get()
    assert (pair.a_id, pair.b_id, pair.verdict, pair.user.username) == (
        ann.pk,
        anna.pk,
        "not_duplicate",
        "ada",
    )
    with pytest.raises(RuleForbids, match="are not duplicates.$"):
        merge_profiles(winner_id=ann.pk, loser_id=anna.pk, cause=Cause("event"), **by_staff)
    on_winner, on_loser = Change.objects.filter(kind="unmerged").order_by("id")
    assert (on_winner.profile_id, on_winner.fields, on_winner.cause_id) == (ann.pk, done.fields, merge_id)
    assert (on_loser.profile_id, on_loser.fields, on_loser.detail["side"]) == (anna.pk, {}, "loser")
    assert AuditEntry.objects.filter(action="profile.unmerge", subject=f"profile:{ann.pk}").count() == 1
    assert OutboxMessage.objects.get(topic="profile.unmerged").payload["loser_id"] == anna.pk
    row = Merge.objects.get(pk=merge_id)
    assert (row.undone_by.username, row.undone_at is not None) == ("ada", True)

    with pytest.raises(RuleForbids) as refused:
        unmerge_profiles(merge_id=merge_id, **by_staff)
    assert refused.value.message == f"Merge {merge_id} was already undone by ada on {day(timezone.now())}."
    with pytest.raises(NotFound, match="^There is no merge 0.$"):
        unmerge_profiles(merge_id=0, **by_staff)
    # They may be merged again by a person, and undone again.
    again = merge(ann, anna, by_staff)
    unmerge_profiles(merge_id=again, **by_staff)
    assert checksums() == before


def test_what_was_changed_since_is_kept_and_named(by_staff: dict[str, Any], sam: User) -> None:
    AttributeDefinition.objects.create(name="likes", type="list")
    ann = make_profile(first_name="Ann")
    anna = make_profile(city="Kraków", country="Poland", state="MP", street="Rynek 1", likes=["tea"])
    third = make_profile(state="MP")
    merge_id = merge(ann, anna, by_staff)
    merge(ann, third, by_staff)
    by_sam = {"actor": Actor.of_user(sam), "source": builtin_source("staff")}
    update_profile(profile_id=ann.pk, values={"city": "Praha", "attributes.likes": ["tea", "jam"]}, **by_sam)
    by_import = {
        "actor": Actor.of_user(sam),
        "source": builtin_source("import"),
        "cause": Cause("import", 12, 7),
    }
    update_profile(profile_id=ann.pk, values={"country": "Czechia"}, **by_import)
    Profile.objects.filter(pk=ann.pk).update(street="by hand")
    done = unmerge_profiles(merge_id=merge_id, **by_staff)
    today = day(timezone.now())
    assert done.kept == [
        {"field": "city", "reason": f"changed by sam on {today}"},
        {"field": "country", "reason": f"changed by import 12 on {today}"},
        {"field": "state", "reason": f"taken from profile #{third.pk}, which is merged too"},
        {"field": "street", "reason": "changed since the merge"},
    ]
    # Of a list, what came by the merge leaves and what was added since stays.
    assert done.fields == {"attributes.likes": [["tea", "jam"], ["jam"]]}
    winner = now(ann)
    assert (winner.city, winner.country, winner.state, winner.street) == ("Praha", "CZ", "MP", "by hand")
    assert now(anna).city == "Kraków"


def test_what_arrived_by_the_losers_identifiers_returns_with_it(by_staff: dict[str, Any]) -> None:
    ann, anna = (
        make_profile(first_name="Ann"),
        make_profile(identifiers=[("customer_id", "42")], city="Kraków"),
    )
    merge_id = merge(ann, anna, by_staff)
    reference = find_profile("customer_id:42")
    assert (reference.root.pk, reference.via_id) == (ann.pk, anna.pk)
    by = {"profile_id": reference.root.pk, **by_staff}
    update_profile(values={"city": "Praha", "language": "cs"}, via_id=reference.via_id, **by)
    update_profile(values={"last_name": "Lee"}, **by)
    done = unmerge_profiles(merge_id=merge_id, **by_staff)
    assert done.fields == {"city": ["Praha", None], "language": ["cs", None]}
    assert done.returned == {"city": ["Kraków", "Praha"], "language": [None, "cs"]}
    assert done.kept == []
    assert (now(ann).last_name, now(ann).city) == ("Lee", None)
    assert (now(anna).last_name, now(anna).city, now(anna).language) == (None, "Praha", "cs")


def test_what_arrived_is_passed_on_when_an_earlier_merge_is_undone_later(by_staff: dict[str, Any]) -> None:
    leaf, middle, top = make_profile(), make_profile(), make_profile()
    low = merge(middle, leaf, by_staff)
    high = merge(top, middle, by_staff)
    update_profile(profile_id=top.pk, values={"city": "Praha"}, via_id=leaf.pk, **by_staff)
    unmerge_profiles(merge_id=high, **by_staff)
    assert [now(profile).city for profile in (leaf, middle, top)] == [None, "Praha", None]
    unmerge_profiles(merge_id=low, **by_staff)
    assert [now(profile).city for profile in (leaf, middle, top)] == ["Praha", None, None]


def test_an_inner_merge_is_undone_below_others(by_staff: dict[str, Any]) -> None:
    """Values that travelled up two merges leave both rows, and later undos stay exact."""
    leaf, middle, top = make_profile(city="Kraków"), make_profile(), make_profile()
    spare = make_profile(city="Praha")
    before = checksums()
    low = merge(middle, leaf, by_staff)
    high = merge(top, middle, by_staff)
    late = merge(top, spare, by_staff)
    done = unmerge_profiles(merge_id=low, **by_staff)
    # The spare one's city fills what is empty now, as it would have then.
    assert done.fields == {"city": ["Kraków", "Praha"]}
    assert (now(middle).city, now(leaf).city, now(leaf).canonical_id) == (None, "Kraków", leaf.pk)
    assert (now(middle).canonical_id, now(spare).canonical_id) == (top.pk, top.pk)
    assert "city" not in Merge.objects.get(pk=high).after
    assert Merge.objects.get(pk=late).after["city"] == "Praha"
    unmerge_profiles(merge_id=late, **by_staff)
    unmerge_profiles(merge_id=high, **by_staff)
    assert checksums() == before


def test_each_side_was_last_seen_when_its_own_events_say(by_staff: dict[str, Any]) -> None:
    ann, anna = make_profile(), make_profile()
    start = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    for profile in (ann, anna):
        Profile.objects.filter(pk=profile.pk).update(first_seen_at=start, last_seen_at=start)
    merge_id = merge(ann, anna, by_staff)
    later = start + datetime.timedelta(days=30)
    page = EventName.objects.create(name="Page")
    Event.objects.create(
        profile=anna,
        name=page,
        occurred_at=later,
        message_id="6c8f6a0a-0000-4000-8000-000000000001",
        source_id=5,
    )
    Profile.objects.filter(pk=ann.pk).update(last_seen_at=later)
    unmerge_profiles(merge_id=merge_id, **by_staff)
    assert (now(ann).last_seen_at, now(anna).last_seen_at) == (start, later)
    # A visit no event tells of stays with the survivor.
    merge_id = merge(ann, anna, by_staff)
    visit = later + datetime.timedelta(days=1)
    Profile.objects.filter(pk=ann.pk).update(last_seen_at=visit)
    unmerge_profiles(merge_id=merge_id, **by_staff)
    assert (now(ann).last_seen_at, now(anna).last_seen_at) == (visit, later)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("deleted", "Profile #{} is deleted. Restore it first."),
        ("erased", "Profile #{} is erased; a merge with it cannot be undone."),
        ("anonymized", "Profile #{} is anonymized; a merge with it cannot be undone."),
    ],
)
def test_who_is_gone_does_not_come_back(by_staff: dict[str, Any], status: str, sentence: str) -> None:
    ann, anna = make_profile(), make_profile()
    merge_id = merge(ann, anna, by_staff)
    Profile.objects.filter(pk=ann.pk).update(status=status)
    with pytest.raises(RuleForbids) as refused:
        unmerge_profiles(merge_id=merge_id, **by_staff)
    assert refused.value.message == sentence.format(ann.pk)
    Profile.objects.filter(pk=ann.pk).update(status="live")
    assert unmerge_profiles(merge_id=merge_id, **by_staff).loser_id == anna.pk


def test_the_undo_is_shown_before(by_staff: dict[str, Any]) -> None:
    Webhook.objects.create(name="shop", url="https://shop.example/", topics=["profile.unmerged"])
    ann = make_profile(first_name="Ann", last_name="Lee")
    anna = make_profile(email="ann@example.com", city="Kraków", country="Poland", tags=["vip"])
    merge_id = merge(ann, anna, by_staff)
    update_profile(profile_id=ann.pk, values={"country": "Czechia"}, **by_staff)
    update_profile(profile_id=ann.pk, values={"language": "cs"}, via_id=anna.pk, **by_staff)
    attach_identifier(profile_id=ann.pk, type_name="customer_id", raw="7", **by_staff)
    before, change_count = checksums(), Change.objects.count()
    preview = preview_unmerge(merge_id=merge_id, **by_staff)
    assert (
        checksums(),
        Change.objects.count(),
        AuditEntry.objects.filter(action="profile.unmerge").count(),
    ) == (
        before,
        change_count,
        0,
    )
    assert [(row.field, row.label, row.now, row.winner, row.loser) for row in preview.fields] == [
        ("email", "E-mail", "ann@example.com", None, "ann@example.com"),
        ("city", "City", "Kraków", None, "Kraków"),
        ("language", "Language", "cs", None, "cs"),
    ]
    assert [row["field"] for row in preview.kept] == ["country"]
    assert (preview.moved["tags"], preview.moved["identifiers"], preview.webhooks) == (1, 2, ["shop"])
    assert (preview.winner.id, preview.loser.id) == (ann.pk, anna.pk)
    assert [tag.name for tag in preview.loser.tags] == ["vip"]
    # The browser id and the customer id given since stay.
    assert {row.type.name for row in preview.winner.identifiers} == {"anonymous_id", "customer_id"}
    done = unmerge_profiles(merge_id=merge_id, **by_staff)
    assert done.kept == preview.kept
    assert as_rows(done.winner) == as_rows(preview.winner.profile)


def as_rows(profile: Profile) -> tuple[Any, ...]:
    return tuple(getattr(profile, name) for name in Profile.FIELDS)


def test_an_undo_repeats_what_earlier_undos_decided(by_staff: dict[str, Any]) -> None:
    """A value edited over a merge stays edited when another merge of the profile is undone later."""
    ann, bob, cy = make_profile(), make_profile(city="Kraków"), make_profile(city="Praha")
    first, second = merge(ann, bob, by_staff), merge(ann, cy, by_staff)
    update_profile(profile_id=ann.pk, values={"city": None}, **by_staff)
    done = unmerge_profiles(merge_id=first, **by_staff)
    assert [kept["field"] for kept in done.kept] == ["city"]
    # Without the first, the second merge would have brought the city that was cleared.
    assert [kept["field"] for kept in unmerge_profiles(merge_id=second, **by_staff).kept] == ["city"]
    assert [now(profile).city for profile in (ann, bob, cy)] == [None, "Kraków", "Praha"]
