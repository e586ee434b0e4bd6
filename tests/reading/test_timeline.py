"""The whole history of a profile, of all members, in pages that neither lose nor repeat an entry."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp.errors import Invalid
from cdp.models import User
from cdp.user_agents import describe
from profiles.builtin_sources import builtin_source
from profiles.editing import add_event, add_note, update_profile
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Change, Event, Message, Note, Profile
from profiles.reading.devices import devices_of
from profiles.reading.timeline import TimelineItem, event_names, timeline
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

NOW = timezone.now()
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/17.5 Mobile/15E148 Safari/604.1"
)


def event(
    profile: Profile, name: str = "Viewed", *, hours: float = 1, agent: str = "", source: str = "web"
) -> Event:
    return add_event(
        profile_id=profile.pk,
        name=name,
        occurred_at=NOW - datetime.timedelta(hours=hours),
        context={"userAgent": agent} if agent else {},
        actor=_system(),
        source=builtin_source(source),
    )


def _system() -> Any:
    from cdp.actors import Actor

    return Actor.system()


def walk(root: Profile, limit: int, **filters: Any) -> list[TimelineItem]:
    items: list[TimelineItem] = []
    older = ""
    while True:
        page = timeline(root.pk, older_than=older, limit=limit, **filters)
        items += page.items
        older = page.older
        if not older:
            return items


def test_every_kind_newest_first(ada: User, by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
    event(ann, "Order Completed", hours=2)
    add_note(profile_id=ann.pk, text="Called.", **by_staff)
    Message.objects.create(
        profile=ann, purpose="service", address="a@mail.example", subject="Hi", text="x", user=ada
    )
    items = timeline(ann.pk).items
    assert [item.kind for item in items] == ["message", "note", "change", "event"]
    assert [type(item.row) for item in items] == [Message, Note, Change, Event]
    assert items[3].row.name.name == "Order Completed"
    assert items == sorted(items, key=lambda item: item.at, reverse=True)


def test_filters_by_kind_name_and_source(by_staff: dict[str, Any]) -> None:
    ann = make_profile()
    event(ann, "Viewed")
    event(ann, "Bought", source="api")
    note = add_note(profile_id=ann.pk, text="x", **by_staff)
    kinds = {
        kind: [item.kind for item in timeline(ann.pk, kind=kind).items]
        for kind in ("event", "change", "note")
    }
    assert kinds == {"event": ["event", "event"], "change": ["change"], "note": ["note"]}
    assert [item.row.name.name for item in timeline(ann.pk, name="Bought").items] == ["Bought"]
    assert timeline(ann.pk, name="Nothing").items == []
    assert timeline(ann.pk, kind="change", name="Bought").items == []
    assert [item.kind for item in timeline(ann.pk, source="Web").items] == ["event"]
    assert [item.kind for item in timeline(ann.pk, source="Staff").items] == ["change"]
    assert timeline(ann.pk, kind="note", source="Staff").items == []
    assert timeline(ann.pk, kind="note").items[0].id == note.pk
    assert event_names(ann.pk) == ["Bought", "Viewed"]
    with pytest.raises(
        Invalid, match="“visit” is not a kind of entry. Known kinds: event, change, merge, note, message."
    ):
        timeline(ann.pk, kind="visit")


@pytest.mark.parametrize("older", ["x", "1.2", "1.2.x", "..", "9" * 40 + ".0.1"])
def test_a_broken_page_link_says_so(older: str) -> None:
    ann = make_profile()
    with pytest.raises(Invalid, match="This page link is broken. Start again from the newest entry."):
        timeline(ann.pk, older_than=older)


def test_merged_profiles_share_one_history_without_repeats(by_staff: dict[str, Any]) -> None:
    ann, bob = make_profile(first_name="Ann"), make_profile(first_name="Bob")
    mine, theirs = event(ann, hours=1), event(bob, hours=2)
    merge = merge_profiles(winner_id=ann.pk, loser_id=bob.pk, **by_staff)
    assert [item.id for item in timeline(ann.pk, kind="event").items] == [mine.pk, theirs.pk]
    merges = timeline(ann.pk, kind="merge").items
    assert [(item.profile_id, item.row.detail["loser_id"]) for item in merges] == [(ann.pk, bob.pk)]
    unmerge_profiles(merge_id=merge.merge_id, **by_staff)
    assert [item.id for item in timeline(ann.pk, kind="event").items] == [mine.pk]
    assert [item.id for item in timeline(bob.pk, kind="event").items] == [theirs.pk]
    assert [item.row.kind for item in timeline(bob.pk, kind="merge").items] == ["unmerged", "merged"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hours=st.lists(
        st.tuples(st.booleans(), st.sampled_from(["event", "note"]), st.integers(0, 3)), max_size=14
    ),
    limit=st.integers(1, 5),
)
def test_pages_lose_and_repeat_nothing(db: None, hours: list[tuple[bool, str, int]], limit: int) -> None:
    from profiles.merging.merge import merge_profiles

    who = {"actor": _system(), "source": builtin_source("system")}
    ann, bob = make_profile(), make_profile()
    moment = NOW - datetime.timedelta(days=3)
    for is_bob, kind, hour in hours:
        at, owner = moment + datetime.timedelta(hours=hour), bob if is_bob else ann
        if kind == "event":
            row = event(owner)
            Event.objects.filter(pk=row.pk).update(occurred_at=at)
        else:
            note = add_note(profile_id=owner.pk, text="x", **who)
            Note.objects.filter(pk=note.pk).update(created_at=at)
    Change.objects.filter(profile__in=[ann, bob]).update(at=moment)
    merge_profiles(winner_id=ann.pk, loser_id=bob.pk, **who)
    whole = timeline(ann.pk, limit=100).items
    assert len(whole) == len(hours) + 3
    assert [(item.kind, item.id) for item in walk(ann, limit)] == [(item.kind, item.id) for item in whole]
    assert [item.id for item in walk(ann, limit, kind="note")] == [i.id for i in whole if i.kind == "note"]


def test_long_histories_take_no_more_queries(by_staff: dict[str, Any]) -> None:
    ann = make_profile()
    event(ann)
    add_note(profile_id=ann.pk, text="x", **by_staff)
    with CaptureQueriesContext(connection) as short:
        timeline(ann.pk)
    for number in range(40):
        event(ann, f"Event {number}", hours=number + 2)
        update_profile(profile_id=ann.pk, values={"city": f"City {number}"}, **by_staff)
    with CaptureQueriesContext(connection) as long:
        assert len(timeline(ann.pk, limit=100).items) == 83
    assert len(short) == len(long) <= 5


def test_devices_by_name_over_all_members(by_staff: dict[str, Any]) -> None:
    ann, bob = make_profile(), make_profile()
    event(ann, agent=FIREFOX, hours=5)
    event(ann, agent=FIREFOX.replace("128", "127"), hours=9)
    event(bob, agent=IPHONE, hours=1)
    event(ann)
    merge_profiles(winner_id=ann.pk, loser_id=bob.pk, **by_staff)
    assert [(device.name, device.is_mobile, device.events) for device in devices_of(ann.pk)] == [
        ("Safari on iPhone", True, 1),
        ("Firefox on Linux", False, 2),
    ]


@pytest.mark.parametrize("agent", ["", "<script>", "\x7f", "a" * 500, "Mozilla/5.0"])
def test_a_text_that_is_no_user_agent_is_an_unknown_device(agent: str) -> None:
    assert describe(agent) == ("an unknown device", False)
