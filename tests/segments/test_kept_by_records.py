"""Segments kept by consents, imports, pairs, changes and other segments: through the queue and timers, from end to end."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from cdp.actors import Actor
from cdp.models import User
from profiles.builtin_sources import builtin_source
from profiles.consent.ledger import record_consent
from profiles.editing import update_profile
from profiles.journal import Cause, Entry, record
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import DuplicatePair, Identifier, IdentifierType, Profile
from profiles.pairs.verdicts import set_verdict
from profiles.privacy.delete import delete_profiles
from profiles.privacy.restore import restore_profiles
from profiles.tagging import tag_profiles, untag_profiles
from segments.editing import archive_segment
from segments.membership import refresh, timers
from segments.models import NextCheck, QueueEntry, Segment, Watch
from tests.profile_factory import make_profile
from tests.segments.test_membership import at, causes, members, segment, settle

pytestmark = pytest.mark.django_db(transaction=True)
NEWSLETTER = {"channel": "email", "purpose": "newsletter"}
WEEK = datetime.timedelta(days=7)


@pytest.fixture
def by(ada: User) -> dict[str, Any]:
    return {"actor": Actor.of_user(ada), "source": builtin_source("staff")}


def decide(profile: Profile, state: str, by: dict[str, Any]) -> None:
    record_consent(profile_id=profile.pk, state=state, at=timezone.now(), **NEWSLETTER, **by)


def share(profile: Profile, address: str, by: dict[str, Any]) -> None:
    """They have an address that somebody else is found by, as a call or a file brings it."""
    old = Profile.objects.get(pk=profile.pk).email
    Profile.objects.filter(pk=profile.pk).update(email=address)
    Identifier.objects.get_or_create(
        profile=profile,
        type=IdentifierType.objects.get(name="email"),
        value=address,
        defaults={"resolves": False, "source": profile.source},
    )
    record(entry=Entry(profile.pk, "updated", {"email": [old, address]}), **by)


def read() -> set[str]:
    """The tokens that wait in the queue."""
    return {token for entry in QueueEntry.objects.all() for token in entry.reads}


def test_a_no_of_one_is_a_no_of_whoever_has_the_address(by: dict[str, Any]) -> None:
    ann, ben = make_profile(first_name="Ann", email="we@example.com"), make_profile(first_name="Ben")
    share(ben, "we@example.com", by)
    decide(ann, "granted", by)
    reachable = segment(by, "Reachable", {"reachable": NEWSLETTER})
    undecided = segment(by, "Never asked", {"consent": NEWSLETTER, "state": "none"})
    assert (members(reachable), members(undecided)) == ({ann.pk}, {ben.pk})
    decide(ben, "withdrawn", by)
    settle()
    assert (members(reachable), members(undecided)) == (set(), set())
    assert causes(reachable, ann) == [("rule", "other")]
    decide(ann, "granted", by)
    settle()
    assert members(reachable) == {ann.pk}
    # The address itself goes, and comes back.
    update_profile(profile_id=ann.pk, values={"email": None}, **by)
    settle()
    assert members(reachable) == set()


def test_a_no_on_the_address_somebody_has_now_goes_with_it(by: dict[str, Any]) -> None:
    """Ben's no was about another address; it stands on Ann's while he has hers, however often he changed it at once."""
    ann, ben = make_profile(first_name="Ann", email="we@example.com"), make_profile(first_name="Ben")
    update_profile(profile_id=ben.pk, values={"email": "ben@example.com"}, **by)
    decide(ann, "granted", by)
    decide(ben, "withdrawn", by)
    reachable = segment(by, "Reachable", {"reachable": NEWSLETTER})
    assert members(reachable) == {ann.pk}
    share(ben, "we@example.com", by)
    settle()
    assert members(reachable) == set()
    update_profile(profile_id=ben.pk, values={"email": "b@example.com"}, **by)
    update_profile(profile_id=ben.pk, values={"email": "b2@example.com"}, **by)
    settle()
    assert members(reachable) == {ann.pk}


def test_a_merge_takes_a_no_off_an_address(by: dict[str, Any]) -> None:
    """Ben's no was about another address, and he has Ann's; merged into Cid, who has a third one, he has it no longer."""
    ann, ben = make_profile(first_name="Ann", email="we@example.com"), make_profile(first_name="Ben")
    cid = make_profile(first_name="Cid", email="cid@example.com")
    update_profile(profile_id=ben.pk, values={"email": "ben@example.com"}, **by)
    decide(ann, "granted", by)
    decide(ben, "withdrawn", by)
    share(ben, "we@example.com", by)
    reachable = segment(by, "Reachable", {"reachable": NEWSLETTER})
    assert members(reachable) == set()
    merge = merge_profiles(winner_id=cid.pk, loser_id=ben.pk, **by)
    settle()
    assert members(reachable) == {ann.pk}
    unmerge_profiles(merge_id=merge.merge_id, **by)
    settle()
    assert members(reachable) == set()


def test_only_the_import_a_rule_names_is_queued(by: dict[str, Any]) -> None:
    ann, ben = make_profile(first_name="Ann"), make_profile(first_name="Ben")
    of_import = segment(by, "Of import 88", {"import": 88})
    assert set(Watch.objects.values_list("token", flat=True)) == {"*", "import:88"}
    update_profile(profile_id=ann.pk, values={"city": "Oslo"}, cause=Cause("import", 89), **by)
    update_profile(profile_id=ann.pk, values={"city": "Rome"}, **by)
    assert read() == set()
    update_profile(profile_id=ben.pk, values={"city": "Oslo"}, cause=Cause("import", 88), **by)
    assert read() == {"import:88"}
    settle()
    assert members(of_import) == {ben.pk}
    assert causes(of_import, ben) == [("import", "")]


def test_a_source_comes_and_goes_with_a_merge(by: dict[str, Any]) -> None:
    ann, ben = make_profile(first_name="Ann", source="api"), make_profile(first_name="Ben")
    made = segment(by, "Through the API", {"source": "API"})
    assert members(made) == {ann.pk}
    merge = merge_profiles(winner_id=ben.pk, loser_id=ann.pk, **by)
    settle()
    assert members(made) == {ben.pk}
    unmerge_profiles(merge_id=merge.merge_id, **by)
    settle()
    assert members(made) == {ann.pk}
    cid = make_profile(first_name="Cid", source="api")
    settle()
    assert members(made) == {ann.pk, cid.pk}


def test_both_sides_of_a_pair(by: dict[str, Any]) -> None:
    ann, ben, cid = (make_profile(first_name=name) for name in ("Ann", "Ben", "Cid"))
    DuplicatePair.objects.create(a=ann, b=ben)
    assert read() == set()
    made = segment(by, "Duplicates", {"duplicate": True})
    certain = segment(by, "Certain ones", {"duplicate": True, "tier": "certain"})
    assert members(made) == {ann.pk, ben.pk}
    set_verdict(a_id=ann.pk, b_id=ben.pk, verdict="not_duplicate", actor=by["actor"])
    assert read() == {"duplicate"}
    settle()
    assert members(made) == set()
    assert causes(made, ann) == [("rule", "other")]
    pair = DuplicatePair.objects.create(a=ben, b=cid)
    settle()
    assert members(made) == {ben.pk, cid.pk}
    DuplicatePair.objects.filter(pk=pair.pk).update(score=3)
    assert read() == set(), "a score changes nothing"
    DuplicatePair.objects.filter(pk=pair.pk).update(tier="certain")
    settle()
    assert members(certain) == {ben.pk, cid.pk}
    # Pairs go with somebody who is deleted; who comes back is suggested anew.
    delete_profiles(profile_ids=[cid.pk], **by)
    settle()
    assert members(made) == set()
    restore_profiles(profile_ids=[cid.pk], **by)
    DuplicatePair.objects.create(a=ben, b=cid)
    settle()
    assert members(made) == {ben.pk, cid.pk}
    merge_profiles(winner_id=ann.pk, loser_id=ben.pk, **by)
    settle()
    assert members(made) == {ann.pk, cid.pk}
    merge_profiles(winner_id=ann.pk, loser_id=cid.pk, **by)
    settle()
    assert members(made) == set()
    DuplicatePair.objects.create(a=ann, b=make_profile(first_name="Dan"))
    settle()
    assert len(members(made)) == 2
    DuplicatePair.objects.all().delete()
    settle()
    assert members(made) == set()
    archive_segment(segment_id=made.pk, actor=by["actor"])
    archive_segment(segment_id=certain.pk, actor=by["actor"])
    DuplicatePair.objects.create(a=ann, b=make_profile(first_name="Eve"))
    assert read() == set(), "no rule reads it any more"


def test_an_attribute_that_changed_and_what_it_was(
    by: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = make_profile(first_name="Ann", city="Oslo")
    changed = segment(by, "Moved", {"changed": "city", "within": {"days": 7}})
    was = segment(by, "Was in Oslo", {"was": "city", "op": "eq", "value": "Oslo"})
    assert (members(changed), members(was)) == (set(), {ann.pk})
    update_profile(profile_id=ann.pk, values={"first_name": "Anna"}, **by)
    assert read() == set()
    update_profile(profile_id=ann.pk, values={"city": "Rome"}, **by)
    settle()
    assert (members(changed), members(was)) == ({ann.pk}, {ann.pk})
    due = NextCheck.objects.get(segment=changed).due_at
    moved_at = ann.changes.filter(fields__has_key="city").order_by("-pk")[0].at
    assert due == moved_at + WEEK
    assert not NextCheck.objects.filter(segment=was).exists()
    at(monkeypatch, due)
    timers.work_off()
    assert members(changed) == set()
    assert causes(changed, ann) == [("change", "time")]


def test_last_seen(by: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ann = make_profile(first_name="Ann")
    made = segment(by, "Seen", {"profile": "last_seen_at", "op": "in_last", "value": {"days": 7}})
    seen_at = timezone.now()
    Profile.objects.filter(pk=ann.pk).update(last_seen_at=seen_at)
    assert read() == {"seen"}
    settle()
    assert members(made) == {ann.pk}
    at(monkeypatch, seen_at + WEEK)
    timers.work_off()
    assert members(made) == set()


def test_the_past_in_another_segment(by: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ann, ben = make_profile(first_name="Ann", tags=["vip"]), make_profile(first_name="Ben")
    vip = segment(by, "VIP", {"tag": "vip"})
    week = {"within": {"days": 7}}
    was_in = segment(by, "Was VIP", {"was_in": vip.pk, **week})
    entered = segment(by, "New VIP", {"entered": vip.pk, **week})
    left = segment(by, "No VIP any more", {"left": vip.pk, **week})
    assert [members(one) for one in (was_in, entered, left)] == [{ann.pk}, {ann.pk}, set()]
    untag_profiles(profile_ids=[ann.pk], tag_names=["vip"], **by)
    tag_profiles(profile_ids=[ben.pk], tag_names=["vip"], **by)
    settle()
    assert [members(one) for one in (was_in, entered, left)] == [
        {ann.pk, ben.pk},
        {ann.pk, ben.pk},
        {ann.pk},
    ]
    assert causes(left, ann) == [("segment", "")]
    due = NextCheck.objects.get(segment=left).due_at
    at(monkeypatch, due)
    timers.work_off()
    refresh.work_off()
    assert [members(one) for one in (was_in, entered, left)] == [{ben.pk}, {ben.pk}, set()]
    assert causes(left, ann) == [("segment", "time")]


def test_a_merge_with_a_member_enters_nobody(by: dict[str, Any]) -> None:
    """Whoever came in long ago came in then, under whichever profile."""
    ann, ben = make_profile(first_name="Ann"), make_profile(first_name="Ben", tags=["vip"])
    vip = segment(by, "VIP", {"tag": "vip"})
    vip.memberships.update(entered_at=timezone.now() - 2 * WEEK)
    entered = segment(by, "New VIP", {"entered": vip.pk, "within": {"days": 7}})
    was_in = segment(by, "Was VIP", {"was_in": vip.pk, "within": {"days": [8, 10]}})
    assert (members(entered), members(was_in)) == (set(), {ben.pk})
    merge = merge_profiles(winner_id=ann.pk, loser_id=ben.pk, **by)
    settle()
    assert members(vip) == {ann.pk}
    assert (members(entered), members(was_in)) == (set(), {ann.pk})
    unmerge_profiles(merge_id=merge.merge_id, **by)
    settle()
    assert (members(vip), members(was_in)) == ({ben.pk}, {ben.pk})


def test_a_segment_whose_past_another_reads_is_not_silently_gone(by: dict[str, Any]) -> None:
    vip = segment(by, "VIP", {"tag": "vip"}) if make_profile(first_name="Ann", tags=["vip"]) else None
    assert vip is not None
    left = segment(by, "No VIP any more", {"left": vip.pk})
    archive_segment(segment_id=vip.pk, actor=by["actor"])
    left.refresh_from_db()
    assert (left.state, left.problem) == (
        Segment.State.BROKEN,
        "It is made from the segment “VIP”, which was archived.",
    )
