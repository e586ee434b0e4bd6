"""A merge moves a pointer; everything a profile has is what its members have."""

from __future__ import annotations

from typing import Any

import pytest

from cdp.errors import Invalid, NotFound, RuleForbids, Stale
from cdp.models import AuditEntry, OutboxMessage, Webhook
from profiles.editing import add_event, add_note, update_profile
from profiles.editing.additions import promote_alternate, set_lock
from profiles.identity.lookup import find_profile
from profiles.journal import Cause
from profiles.merging.merge import merge_many, merge_profiles
from profiles.merging.preview import preview_merge
from profiles.merging.suggest_winner import suggest_winner
from profiles.models import AttributeDefinition, Change, DuplicatePair, Event, Identifier, Merge, Profile
from profiles.pairs.verdicts import set_verdict
from profiles.reading.profiles import as_api, profile_view
from profiles.values.alternates import alternates
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan() -> None:
    AttributeDefinition.objects.create(name="plan", type="text")
    AttributeDefinition.objects.create(name="likes", type="list")


@pytest.mark.usefixtures("plan")
def test_the_winner_gets_what_it_lacks_and_nothing_is_moved(by_staff: dict[str, Any]) -> None:
    Webhook.objects.create(name="crm", url="https://crm.example/", topics=["profile.merged"])
    ann = make_profile(first_name="Ann", email="ann@example.com", plan="pro", likes=["tea"], tags=["vip"])
    anna = make_profile(
        first_name="Anna", city="Kraków", plan="team", likes=["tea", "jam"], tags=["vip", "new"]
    )
    event = add_event(profile_id=anna.pk, name="Order Completed", **by_staff)
    note = add_note(profile_id=anna.pk, text="Called.", **by_staff)
    done = merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    assert done.fields == {"city": [None, "Kraków"], "attributes.likes": [["tea"], ["tea", "jam"]]}
    assert done.moved == {
        "profiles": 1,
        "identifiers": 1,
        "tags": 2,
        "addresses": 0,
        "consents": 0,
        "notes": 1,
        "messages": 0,
        "events": 1,
    }
    event.refresh_from_db()
    note.refresh_from_db()
    assert (event.profile_id, note.profile_id) == (anna.pk, anna.pk)
    anna.refresh_from_db()
    assert (anna.status, anna.canonical_id, anna.first_name, anna.attributes["plan"]) == (
        "merged",
        ann.pk,
        "Anna",
        "team",
    )
    view = as_api(profile_view(Profile.objects.get(pk=ann.pk)))
    assert (view["first_name"], view["city"], view["attributes"]) == (
        "Ann",
        "Kraków",
        {"plan": "pro", "likes": ["tea", "jam"]},
    )
    assert (view["tags"], view["merged_ids"], len(view["identifiers"])) == (["new", "vip"], [anna.pk], 3)
    assert view["alternates"] == [
        {"field": "first_name", "value": "Anna", "from_id": anna.pk},
        {"field": "attributes.plan", "value": "team", "from_id": anna.pk},
    ]
    assert Event.objects.of_profiles(ann.pk).count() == 1
    assert find_profile(anna.pk).root.pk == ann.pk

    merge = Merge.objects.get(pk=done.merge_id)
    assert (merge.before, merge.after) == (
        {"city": None, "attributes.likes": ["tea"], "last_seen_at": merge.before["last_seen_at"]},
        {"city": "Kraków", "attributes.likes": ["tea", "jam"], "last_seen_at": merge.after["last_seen_at"]},
    )
    on_winner, on_loser = Change.objects.filter(kind="merged").order_by("id")
    assert (on_winner.profile_id, on_winner.fields) == (ann.pk, done.fields)
    assert (on_loser.profile_id, on_loser.fields, on_loser.detail["winner_id"]) == (anna.pk, {}, ann.pk)
    assert AuditEntry.objects.get(action="profile.merge").subject == f"profile:{ann.pk}"
    payload = OutboxMessage.objects.get(topic="profile.merged").payload
    assert (payload["winner_id"], payload["loser_id"]) == (ann.pk, anna.pk)


@pytest.mark.usefixtures("plan")
def test_a_choice_takes_that_side_and_the_other_value_stays_as_alternate(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", last_name="Lee", plan="pro", city="Kraków")
    anna = make_profile(first_name="Anna", plan="team", postcode="30-001")
    choices = {"first_name": "loser", "attributes.plan": "winner", "city": "loser", "postcode": "winner"}
    done = merge_profiles(winner_id=ann.pk, loser_id=anna.pk, choices=choices, **by_staff)
    # A merge never empties a field, and a choice may leave one empty.
    assert done.fields == {"first_name": ["Ann", "Anna"]}
    assert alternates([ann.pk])[ann.pk] == [
        {"field": "postcode", "value": "30-001", "from_id": anna.pk},
        {"field": "attributes.plan", "value": "team", "from_id": anna.pk},
        {"field": "first_name", "value": "Ann", "from_id": ann.pk},
    ]
    promote_alternate(profile_id=ann.pk, field="first_name", value="Ann", **by_staff)
    assert Profile.objects.get(pk=ann.pk).first_name == "Ann"
    assert {"field": "first_name", "value": "Anna", "from_id": anna.pk} in alternates([ann.pk])[ann.pk]
    second = make_profile()
    with pytest.raises(Invalid) as refused:
        merge_profiles(
            winner_id=ann.pk, loser_id=second.pk, choices={"nickname": "loser", "city": "left"}, **by_staff
        )
    assert [problem["message"] for problem in refused.value.problems] == [
        "There is no field “nickname” to choose.",
        "Choose “winner” or “loser” for city, not “left”.",
    ]


def test_what_is_refused(by_staff: dict[str, Any]) -> None:
    ann, anna, bob = make_profile(), make_profile(), make_profile()
    with pytest.raises(RuleForbids, match="^A profile cannot be merged into itself.$"):
        merge_profiles(winner_id=ann.pk, loser_id=ann.pk, **by_staff)
    with pytest.raises(NotFound, match="^No profile “0”.$"):
        merge_profiles(winner_id=ann.pk, loser_id=0, **by_staff)
    merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    for first, second in ((ann, anna), (anna, ann)):
        with pytest.raises(RuleForbids) as refused:
            merge_profiles(winner_id=first.pk, loser_id=second.pk, **by_staff)
        assert refused.value.message == (
            f"Profiles #{first.pk} and #{second.pk} are already merged: both are profile #{ann.pk}."
        )
    set_lock(profile_id=bob.pk, is_locked=True, **by_staff)
    for first, second in ((ann, bob), (bob, ann)):
        with pytest.raises(
            RuleForbids, match=f"^Profile #{bob.pk} is locked against merging. Unlock it first.$"
        ):
            merge_profiles(winner_id=first.pk, loser_id=second.pk, **by_staff)
    set_lock(profile_id=bob.pk, is_locked=False, **by_staff)
    for status, sentence in (
        ("deleted", f"Profile #{bob.pk} is deleted. Restore it first."),
        ("erased", f"Profile #{bob.pk} is erased and cannot be merged."),
        ("anonymized", f"Profile #{bob.pk} is anonymized and cannot be merged."),
    ):
        Profile.objects.filter(pk=bob.pk).update(status=status)
        with pytest.raises(RuleForbids) as refused:
            merge_profiles(winner_id=ann.pk, loser_id=bob.pk, **by_staff)
        assert refused.value.message == sentence
    Profile.objects.filter(pk=bob.pk).update(status="live")
    # A merged-away id stands for its surviving profile on either side.
    done = merge_profiles(winner_id=anna.pk, loser_id=bob.pk, **by_staff)
    assert (done.winner_id, done.loser_id) == (ann.pk, bob.pk)


def test_a_stale_preview_applies_nothing(by_staff: dict[str, Any]) -> None:
    ann, anna = make_profile(first_name="Ann"), make_profile(first_name="Anna")

    def preview_hash() -> str:
        return preview_merge(winner_id=ann.pk, loser_id=anna.pk, **by_staff).preview_hash

    swapped = preview_merge(winner_id=anna.pk, loser_id=ann.pk, **by_staff).preview_hash
    hashes = [swapped, "nonsense", preview_hash()]
    update_profile(profile_id=anna.pk, values={"city": "Kraków"}, **by_staff)
    hashes.append(preview_hash())
    add_note(profile_id=ann.pk, text="Called.", **by_staff)
    hashes.append(preview_hash())
    merge_profiles(winner_id=anna.pk, loser_id=make_profile().pk, **by_staff)
    for stale in hashes:
        with pytest.raises(Stale) as refused:
            merge_profiles(winner_id=ann.pk, loser_id=anna.pk, preview_hash=stale, **by_staff)
        assert refused.value.message == (
            f"Profile #{ann.pk} or #{anna.pk} changed since the preview. Nothing was merged; look again."
        )
    assert Profile.objects.get(pk=anna.pk).is_live
    fresh = preview_hash()
    add_event(profile_id=anna.pk, name="Page", **by_staff)
    assert preview_hash() == fresh
    merge_profiles(
        winner_id=ann.pk, loser_id=anna.pk, preview_hash=fresh, choices={"first_name": "loser"}, **by_staff
    )


def test_a_decision_of_staff_binds_imports_and_events(by_staff: dict[str, Any]) -> None:
    ann, anna = make_profile(), make_profile()
    pair = set_verdict(a_id=anna.pk, b_id=ann.pk, verdict="not_duplicate", actor=by_staff["actor"])
    assert (pair.a_id, pair.b_id) == (ann.pk, anna.pk)
    with pytest.raises(RuleForbids) as refused:
        merge_profiles(winner_id=ann.pk, loser_id=anna.pk, cause=Cause("import", 1), **by_staff)
    assert refused.value.message.startswith("ada decided on ")
    assert refused.value.message.endswith(f" that #{ann.pk} and #{anna.pk} are not duplicates.")
    merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    assert DuplicatePair.objects.get().verdict == "merged"
    with pytest.raises(RuleForbids, match=f"are one person: #{ann.pk}.$"):
        set_verdict(a_id=anna.pk, b_id=ann.pk, verdict="later", actor=by_staff["actor"])
    with pytest.raises(RuleForbids, match="cannot be set as a verdict"):
        set_verdict(a_id=anna.pk, b_id=make_profile().pk, verdict="merged", actor=by_staff["actor"])


def test_anonymous_history_becomes_a_recognized_persons(by_staff: dict[str, Any]) -> None:
    visitor, ann = make_profile(), make_profile(email="ann@example.com")
    assert not visitor.is_recognized
    done = merge_profiles(winner_id=visitor.pk, loser_id=ann.pk, **by_staff)
    assert done.winner.is_recognized
    assert Profile.objects.get(pk=visitor.pk).is_recognized
    assert Identifier.objects.get(value="ann@example.com").profile_id == ann.pk
    assert find_profile("email:ann@example.com").root.pk == visitor.pk


def test_several_losers_stop_at_the_first_surprise(by_staff: dict[str, Any]) -> None:
    ann, *losers = [make_profile() for _ in range(5)]
    ids = [loser.pk for loser in losers]
    set_lock(profile_id=ids[2], is_locked=True, **by_staff)
    done = merge_many(winner_id=ann.pk, loser_ids=[*ids[:2], *ids], **by_staff)
    assert [merged.loser_id for merged in done.merged] == ids[:2]
    assert (done.stopped_at, done.untouched) == (ids[2], ids[3:])
    assert done.problem == f"Profile #{ids[2]} is locked against merging. Unlock it first."
    assert Profile.objects.members_of(ann.pk).count() == 3
    assert merge_many(winner_id=ann.pk, loser_ids=[ids[3]], **by_staff).stopped_at is None


def test_the_suggested_winner() -> None:
    visitor = make_profile()
    known = make_profile(identifiers=[("customer_id", "42")])
    ann = make_profile(email="ann@example.com")
    older = make_profile(first_name="Old")
    Profile.objects.filter(pk=older.pk).update(first_seen_at="2020-01-01T00:00:00Z")

    def suggested(a: Profile, b: Profile) -> tuple[int, str]:
        suggestion = suggest_winner(a.pk, b.pk)
        assert suggestion == suggest_winner(b.pk, a.pk)
        return suggestion.winner_id, suggestion.reason

    assert suggested(known, ann) == (ann.pk, "it has a valid e-mail")
    assert suggested(visitor, known) == (known.pk, "it is a recognized person")
    assert suggested(visitor, older) == (older.pk, "it was active first")
    with pytest.raises(NotFound, match="^No profile “0”.$"):
        suggest_winner(ann.pk, 0)


def test_a_merge_takes_the_same_few_statements_whatever_there_is(
    by_staff: dict[str, Any], django_assert_num_queries: Any
) -> None:
    ann, anna, bob = make_profile(), make_profile(), make_profile(city="Kraków")
    for number in range(20):
        add_event(profile_id=anna.pk, name=f"Event {number}", **by_staff)
    with django_assert_num_queries(13):
        merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    with django_assert_num_queries(13):
        merge_profiles(winner_id=ann.pk, loser_id=bob.pk, **by_staff)
