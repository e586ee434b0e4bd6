"""Segments filled, and kept by changes, events, merges, undos, time and the calendar; each stay with its cause."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from django.utils import timezone

from cdp import jobs
from cdp.models import Job, Mail, OutboxMessage, User, Webhook
from profiles.builtin_sources import SOURCE_IDS, builtin_source
from profiles.consent.ledger import record_consent
from profiles.editing import update_profile
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Event, EventName, Profile, Tag
from profiles.privacy.delete import delete_profiles
from profiles.tagging import delete_tag, rename_tag, tag_profiles, untag_profiles
from segments.editing import archive_segment, change_segment, create_segment, pick_profiles
from segments.membership import calendar, recount, refresh, timers
from segments.membership.of_profiles import current_segments
from segments.models import Membership, NextCheck, QueueEntry, Segment, SegmentVersion, Watch
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def by(ada: User) -> dict[str, Any]:
    from cdp.actors import Actor

    return {"actor": Actor.of_user(ada), "source": builtin_source("staff")}


def segment(by: dict[str, Any], name: str, *parts: dict[str, Any], group: str = "all") -> Segment:
    made = create_segment(name=name, rules={"version": 1, group: list(parts)}, actor=by["actor"])
    settle()
    made.refresh_from_db()
    assert made.state == Segment.State.LIVE
    return made


def settle() -> None:
    """Everything that waits: fills, the queue, timers."""
    for job in Job.objects.filter(kind="segments.fill", state="queued"):
        while jobs.run(job.pk):
            pass
    while refresh.work_off() or timers.work_off():
        pass


def members(made: Segment) -> set[int]:
    return set(Membership.objects.current().filter(segment=made).values_list("profile_id", flat=True))


def causes(made: Segment, profile: Profile) -> list[tuple[str, str]]:
    stays = Membership.objects.filter(segment=made, profile=profile).order_by("entered_at", "pk")
    return list(stays.values_list("entered_by", "left_by"))


def happened(profile: Profile, name: str = "View", *, ago: float = 0, **properties: Any) -> Event:
    row, _ = EventName.objects.get_or_create(name=name)
    return Event.objects.create(
        profile=profile,
        name=row,
        occurred_at=timezone.now() - datetime.timedelta(seconds=ago),
        message_id=uuid.uuid4(),
        source_id=SOURCE_IDS["web"],
        properties=properties,
    )


def test_filled_and_kept_by_changes(by: dict[str, Any]) -> None:
    ann, ben = make_profile(first_name="Ann", city="Oslo"), make_profile(first_name="Ben", city="Rome")
    oslo = segment(by, "In Oslo", {"attribute": "city", "op": "eq", "value": "oslo"})
    assert members(oslo) == {ann.pk}
    version = SegmentVersion.objects.get(segment=oslo)
    assert (version.text, version.entered, version.left) == (
        "People who meet all of these: City is “oslo”",
        1,
        0,
    )
    update_profile(profile_id=ben.pk, values={"city": "Oslo"}, **by)
    update_profile(profile_id=ann.pk, values={"city": "Bergen"}, **by)
    cid = make_profile(first_name="Cid", city="OSLO")
    settle()
    assert members(oslo) == {ben.pk, cid.pk}
    assert causes(oslo, ann) == [("rule", "change")]
    assert causes(oslo, cid) == [("change", "")]
    delete_profiles(profile_ids=[cid.pk], **by)
    settle()
    assert members(oslo) == {ben.pk}


def test_only_what_rules_read_is_queued(by: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", city="Oslo")
    update_profile(profile_id=ann.pk, values={"city": "Rome"}, **by)
    assert QueueEntry.objects.count() == 0
    segment(by, "In Oslo", {"attribute": "city", "op": "eq", "value": "Oslo"})
    assert set(Watch.objects.values_list("token", flat=True)) == {"*", "field:city"}
    update_profile(profile_id=ann.pk, values={"first_name": "Anna"}, **by)
    happened(ann)
    assert QueueEntry.objects.count() == 0
    update_profile(profile_id=ann.pk, values={"city": "Oslo"}, **by)
    assert [entry.reads for entry in QueueEntry.objects.all()] == [["field:city"]]


def test_events_and_time(by: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ann = make_profile(first_name="Ann")
    viewers = segment(by, "Viewed", {"event": "View", "within": {"hours": 1}})
    event = happened(ann, ago=3500)
    settle()
    assert members(viewers) == {ann.pk}
    due = NextCheck.objects.get(segment=viewers, profile=ann).due_at
    assert due == event.occurred_at + datetime.timedelta(hours=1)
    at(monkeypatch, due - datetime.timedelta(seconds=1))
    timers.work_off()
    assert members(viewers) == {ann.pk}
    at(monkeypatch, due)
    timers.work_off()
    stay = Membership.objects.get(segment=viewers, profile=ann)
    assert (stay.entered_by, stay.entered_ref, stay.left_by, stay.left_at) == ("event", event.pk, "time", due)
    assert not NextCheck.objects.exists()


def at(monkeypatch: pytest.MonkeyPatch, now: datetime.datetime) -> None:
    """The clock of evaluations stands here."""
    from zoneinfo import ZoneInfo

    from segments.moments import Moment

    for module in (refresh, timers, calendar):
        monkeypatch.setattr(module, "current_moment", lambda: Moment(now, ZoneInfo("UTC")))


def test_both_ends_of_a_stay_that_workers_missed(by: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a day after it happened, out a day later; workers are away for three days."""
    ann = make_profile(first_name="Ann")
    made = segment(by, "A day ago", {"event": "View", "within": {"days": [1, 2]}})
    event = happened(ann)
    settle()
    assert members(made) == set()
    day = datetime.timedelta(days=1)
    at(monkeypatch, event.occurred_at + 3 * day)
    timers.work_off()
    stay = Membership.objects.get(segment=made, profile=ann)
    assert (stay.entered_at, stay.left_at) == (event.occurred_at + day, event.occurred_at + 2 * day)
    assert (stay.entered_by, stay.left_by) == ("time", "time")
    assert stay.entered_recorded_at < stay.entered_at, "written when the test ran"


def test_a_merge_and_its_undo(by: dict[str, Any]) -> None:
    ann, anna, ben = (make_profile(first_name=name) for name in ("Ann", "Anna", "Ben"))
    often = segment(by, "Three views", {"event": "View", "count": {"op": "gte", "value": 3}})
    none = segment(by, "Bought nothing", {"event": "Buy", "count": {"op": "eq", "value": 0}})
    for profile in (ann, ann, anna):
        happened(profile)
    happened(ben, "Buy")
    settle()
    assert (members(often), members(none)) == (set(), {ann.pk, anna.pk})
    first = merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by)
    settle()
    assert (members(often), members(none)) == ({ann.pk}, {ann.pk})
    assert causes(often, ann) == [("merge", "")]
    assert causes(none, anna) == [("rule", "")], "neither ended nor counted"
    second = merge_profiles(winner_id=ann.pk, loser_id=ben.pk, **by)
    settle()
    assert members(none) == set()
    assert causes(none, ann) == [("rule", "merge")]
    unmerge_profiles(merge_id=second.merge_id, **by)
    settle()
    assert members(none) == {ann.pk}
    unmerge_profiles(merge_id=first.merge_id, **by)
    settle()
    assert (members(often), members(none)) == (set(), {ann.pk, anna.pk})
    assert causes(often, ann) == [("merge", "unmerge")]
    assert causes(none, anna) == [("rule", "")]


def test_by_hand(by: dict[str, Any]) -> None:
    ann, ben = make_profile(first_name="Ann", city="Oslo"), make_profile(first_name="Ben")
    oslo = segment(by, "In Oslo", {"attribute": "city", "op": "eq", "value": "Oslo"})
    static = create_segment(name="Friends", kind="static", actor=by["actor"])
    pick_profiles(segment_id=oslo.pk, profile_ids=[ann.pk], is_in=False, reason="Asked", actor=by["actor"])
    pick_profiles(segment_id=oslo.pk, profile_ids=[ben.pk], is_in=True, actor=by["actor"])
    assert (
        pick_profiles(segment_id=static.pk, profile_ids=[ann.pk, 10**9], is_in=True, actor=by["actor"]) == 1
    )
    settle()
    assert (members(oslo), members(static)) == ({ben.pk}, {ann.pk})
    merge = merge_profiles(winner_id=ben.pk, loser_id=ann.pk, **by)
    settle()
    assert members(static) == {ben.pk}
    unmerge_profiles(merge_id=merge.merge_id, **by)
    settle()
    assert members(static) == {ann.pk}
    pick_profiles(segment_id=oslo.pk, profile_ids=[ann.pk, ben.pk], is_in=None, actor=by["actor"])
    settle()
    assert members(oslo) == {ann.pk}


def test_segments_of_segments_at_the_same_logical_time(
    by: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = make_profile(first_name="Ann")
    viewers = segment(by, "Viewed", {"event": "View", "within": {"hours": 1}})
    others = segment(by, "Did not view", {"not": {"segment": viewers.pk}})
    happened(ann, ago=3500)
    settle()
    assert (members(viewers), members(others)) == ({ann.pk}, set())
    due = NextCheck.objects.get(segment=viewers, profile=ann).due_at
    at(monkeypatch, due + datetime.timedelta(seconds=20))
    timers.work_off()
    refresh.work_off()
    assert members(others) == {ann.pk}
    assert Membership.objects.current().get(segment=others).entered_at == due


def test_a_broken_rule_stops_no_other(by: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", tags=["vip"], city="Oslo")
    vip = segment(by, "VIP", {"tag": "vip"})
    oslo = segment(by, "In Oslo", {"attribute": "city", "op": "eq", "value": "Oslo"})
    tag_id = vip.rules["all"][0]["id"]
    rename_tag(tag_id=tag_id, name="gold", **by)
    ben = make_profile(first_name="Ben", tags=["gold"], city="Oslo")
    settle()
    assert members(vip) == {ann.pk, ben.pk}
    delete_tag(tag_id=tag_id, **by)
    settle()
    vip.refresh_from_db()
    assert (vip.state, vip.problem) == ("broken", "There is no tag “vip”.")
    assert members(vip) == {ann.pk, ben.pk}, "never silently emptied"
    assert members(oslo) == {ann.pk, ben.pk}
    assert Mail.objects.filter(subject="The segment “VIP” is no longer kept up to date").count() == 1
    change_segment(segment_id=vip.pk, rules={"version": 1, "all": [{"type": "recognized"}]}, **actor(by))
    settle()
    vip.refresh_from_db()
    assert (vip.state, vip.problem, vip.version) == ("live", "", 2)


def actor(by: dict[str, Any]) -> dict[str, Any]:
    return {"actor": by["actor"]}


def test_a_rule_that_breaks_before_it_is_filled(by: dict[str, Any]) -> None:
    """The tag is deleted between saving and filling: broken with a sentence, and not *being filled* for ever."""
    tag = Tag.objects.create(name="vip")
    made = create_segment(name="VIP", rules={"version": 1, "all": [{"tag": "vip"}]}, actor=by["actor"])
    delete_tag(tag_id=tag.pk, **by)
    settle()
    made.refresh_from_db()
    assert (made.state, made.problem, made.filled_at) == ("broken", "There is no tag “vip”.", None)
    assert Job.objects.get(kind="segments.fill").state == "done"


def test_of_two_choices_by_hand_the_latest_counts_after_a_merge(by: dict[str, Any]) -> None:
    ann, ben = make_profile(first_name="Ann"), make_profile(first_name="Ben")
    static = create_segment(name="Friends", kind="static", actor=by["actor"])
    vips = segment(by, "Recognized", {"type": "recognized"})
    for profile, is_in in ((ann, True), (ben, False), (ann, True)):
        pick_profiles(segment_id=vips.pk, profile_ids=[profile.pk], is_in=is_in, **actor(by))
    settle()
    merge_profiles(winner_id=ben.pk, loser_id=ann.pk, **by)
    settle()
    assert members(vips) == {ben.pk}
    # Whoever was in first counts: on the card as in the API.
    first = Membership.objects.get(segment=vips, profile=ann).entered_at
    (inside,) = current_segments([ben.pk])[ben.pk]
    assert (inside.id, inside.entered_at, inside.cause) == (vips.pk, first, "staff")
    assert members(static) == set()


def test_archiving_freezes_what_is_made_from_it(by: dict[str, Any]) -> None:
    vip = make_profile(first_name="Ann", tags=["vip"])
    one = segment(by, "VIP", {"tag": "vip"})
    two = segment(by, "Not VIP", {"not": {"segment": one.pk}})
    archive_segment(segment_id=one.pk, **actor(by))
    untag_profiles(profile_ids=[vip.pk], tag_names=["vip"], **by)
    settle()
    two.refresh_from_db()
    assert (two.state, two.problem) == (
        "broken",
        "It is made from the segment “VIP”, which was archived.",
    )
    assert members(two) == set(), "never everybody"


def test_a_day_begins(by: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    today = timezone.now().date()
    tomorrow = today + datetime.timedelta(days=1)
    ann = make_profile(first_name="Ann", birth_date=tomorrow.replace(year=1990).isoformat())
    made = segment(by, "Birthday", {"attribute": "birth_date", "op": "anniversary", "value": {"days": 0}})
    assert members(made) == set()
    assert calendar.start_due() == 0
    midnight = datetime.datetime.combine(tomorrow, datetime.time(), datetime.UTC)
    at(monkeypatch, midnight)
    from segments.membership import fill

    monkeypatch.setattr(fill, "current_moment", calendar.current_moment)
    assert calendar.start_due() == 1
    settle()
    assert members(made) == {ann.pk}
    stay = Membership.objects.get(segment=made)
    assert (stay.entered_by, stay.entered_at) == ("time", midnight)


def test_webhooks_carry_the_cause(by: dict[str, Any]) -> None:
    Webhook.objects.create(
        name="tool", url="https://203.0.113.1/", topics=["segment.entered", "segment.left"]
    )
    ann = make_profile(first_name="Ann")
    Tag.objects.create(name="vip")
    made = segment(by, "VIP", {"tag": "vip"})
    tag_profiles(profile_ids=[ann.pk], tag_names=["vip"], **by)
    settle()
    untag_profiles(profile_ids=[ann.pk], tag_names=["vip"], **by)
    settle()
    sent = list(OutboxMessage.objects.order_by("pk").values_list("topic", "payload"))
    assert [topic for topic, _ in sent] == ["segment.entered", "segment.left"]
    payload = sent[0][1]
    assert payload.pop("at")
    assert payload.pop("cause")["kind"] == "change"
    assert payload == {"profile_id": ann.pk, "segment_id": made.pk, "segment": "VIP", "late": False}


def test_the_nightly_comparison_finds_what_is_missing(by: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", tags=["vip"])
    made = segment(by, "VIP", {"tag": "vip"})
    assert list(recount.compare_all()) == []
    Membership.objects.all().delete()
    assert [(row.pk, entered, left) for row, entered, left in recount.compare_all()] == [(made.pk, 1, 0)]
    assert causes(made, ann) == [("recount", "")]


def test_consents_are_for_the_channels_of_the_lists(by: dict[str, Any]) -> None:
    """Changes of the ledger are queued under the name the journal gives them."""
    ann = make_profile(first_name="Ann", email="ann@example.com")
    Watch.objects.create(token="field:consents")
    record_consent(
        profile_id=ann.pk, channel="email", purpose="newsletter", state="granted", at=timezone.now(), **by
    )
    assert [entry.reads for entry in QueueEntry.objects.all()] == [["field:consents"]]
