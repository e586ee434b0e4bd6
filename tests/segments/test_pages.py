"""The pages of segments: listed, built without JavaScript, saved as versions, explained, archived; who may do what."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from cdp import jobs
from cdp.actors import Actor
from cdp.limits import TooSlow
from cdp.models import AuditEntry, Job, Look, User
from profiles.bulk.run_action import run_bulk
from profiles.models import AttributeDefinition, EventName
from segments.editing import change_segment, create_segment, pick_profiles
from segments.membership import refresh, timers
from segments.models import HandPick, Membership, Segment
from tests.profile_factory import make_profile
from tests.segments.test_membership import happened

pytestmark = pytest.mark.django_db(transaction=True)
PAGES = "/admin/segments/segment/"
Login = Callable[[User], Client]
IN_OSLO = {"attribute": "city", "op": "eq", "value": "Oslo"}


def settle() -> None:
    """What workers would do by now."""
    for job in Job.objects.filter(kind="segments.fill", state="queued"):
        while jobs.run(job.pk):
            pass
    while refresh.work_off() or timers.work_off():
        pass


def made(user: User, name: str, *parts: dict[str, Any]) -> Segment:
    rules = {"version": 1, "all": list(parts)}
    segment = create_segment(name=name, rules=rules, actor=Actor.of_user(user))
    settle()
    segment.refresh_from_db()
    return segment


def body(response: Any) -> str:
    text: str = response.content.decode()
    return text


# --- The builder without JavaScript ------------------------------------------------------------------------


def test_a_segment_is_built_counted_and_saved(mira: User, as_user: Login) -> None:
    EventName.objects.create(name="Added to Cart")
    ann, ben, cid = (make_profile(first_name=name, city="Oslo") for name in ("Ann", "Ben", "Cid"))
    happened(ann, "Added to Cart")
    happened(ben, "Added to Cart")
    happened(ben, "Order Completed")
    client = as_user(mira)
    page = body(client.get(PAGES + "add/"))
    assert "Nobody yet: add the first condition." in page
    form = {"name": "Left a cart", "kind": "rule", "c--is": "group", "c--match": "all"}
    page = body(client.post(PAGES + "add/", {**form, "do": "add:event.0:c"}))
    assert 'name="c0-event"' in page
    assert "Event: Write a text here." in page, "what is missing is said, and nothing is lost"
    assert 'value="Left a cart"' in page
    form |= {
        "c0--is": "event",
        "c0-event": "Added to Cart",
        "c0-count-op": "gte",
        "c0-count-value": "1",
        "c0-within-mode": "last",
        "c0-within-amount": "1",
        "c0-within-unit": "days",
    }
    page = body(client.post(PAGES + "add/", {**form, "do": "add:event.1:c"}))
    assert '<option value="never" selected>' in page
    form |= {
        "c1--is": "event",
        "c1-event": "Order Completed",
        "c1-count-op": "never",
        "c1-within-mode": "last",
        "c1-within-amount": "1",
        "c1-within-unit": "days",
    }
    page = body(client.post(PAGES + "add/", {**form, "do": "refresh"}))
    assert '<div class="big">1</div>' in page
    assert "<b>2</b> <span>left · alone keeps out 1 · fails for 1</span>" in page
    assert "<b>1</b> <span>left · alone keeps out 1 · fails for 1</span>" in page
    assert f"/admin/profiles/profile/{ann.pk}/change/" in page
    saved = client.post(PAGES + "add/", {**form, "do": "save"})
    segment = Segment.objects.get()
    assert saved.headers["Location"] == f"{PAGES}{segment.pk}/change/"
    assert segment.rules == {
        "version": 1,
        "all": [
            {"event": "Added to Cart", "within": {"days": 1}},
            {"event": "Order Completed", "count": {"op": "eq", "value": 0}, "within": {"days": 1}},
        ],
    }
    settle()
    assert set(Membership.objects.current().values_list("profile_id", flat=True)) == {ann.pk}
    page = body(client.get(f"{PAGES}{segment.pk}/change/"))
    assert "did Added to Cart in the last 1 day at least once" in page
    assert ">Ann</a>" in page
    assert ">Cid</a>" not in page
    assert cid.pk not in Look.objects.order_by("-pk")[0].profile_ids


def rule_form(segment: Segment, city: str, **more: str) -> dict[str, str]:
    """What the page of a segment with one condition about the city posts."""
    return {
        "name": segment.name,
        "version": str(segment.version),
        "segment": str(segment.pk),
        "c--is": "group",
        "c--match": "all",
        "c0--is": "attribute",
        "c0-attribute": "city",
        "c0-op": "eq",
        "c0-value": city,
        **more,
    }


def test_who_comes_and_goes_is_shown_before_a_version_is_saved(mira: User, as_user: Login) -> None:
    for city in ("Oslo", "Oslo", "Rome"):
        make_profile(city=city)
    segment = made(mira, "In a city", IN_OSLO)
    client, address = as_user(mira), f"{PAGES}{segment.pk}/rule/"
    page = body(client.get(address))
    assert 'value="Oslo"' in page
    page = body(client.post(address, rule_form(segment, "Rome", do="save")))
    assert "By this version 1 person would come in and 2 would leave." in page
    segment.refresh_from_db()
    assert segment.version == 1, "nothing is saved yet"
    confirmed = page.partition('name="confirmed" value="')[2].partition('"')[0]
    # A rule that was changed since is asked about again.
    page = body(client.post(address, rule_form(segment, "Bergen", do="save", confirmed=confirmed)))
    assert "By this version 0 people would come in and 2 would leave." in page
    saved = client.post(address, rule_form(segment, "Rome", do="save", confirmed=confirmed))
    assert saved.status_code == 302
    settle()
    segment.refresh_from_db()
    assert (segment.version, segment.state) == (2, "live")
    page = body(client.get(f"{PAGES}{segment.pk}/change/"))
    assert "+1 −2" in page
    assert "3 by a new version of the rule" in page


def test_somebody_saved_meanwhile_and_nothing_is_lost(mira: User, ada: User, as_user: Login) -> None:
    segment = made(mira, "In a city", IN_OSLO)
    form = rule_form(segment, "Rome", do="save")
    rules = {"version": 1, "all": [{**IN_OSLO, "value": "Bergen"}]}
    change_segment(segment_id=segment.pk, rules=rules, actor=Actor.of_user(ada))
    client, address = as_user(mira), f"{PAGES}{segment.pk}/rule/"
    form["confirmed"] = (
        body(client.post(address, form)).partition('name="confirmed" value="')[2].partition('"')[0]
    )
    refused = client.post(address, form)
    assert refused.status_code == 409
    page = body(refused)
    assert "Somebody saved version 2 of “In a city” meanwhile; you began with version 1." in page
    assert "Version 2, saved by ada" in page
    assert "City is “Bergen”" in page
    assert 'value="Rome"' in page
    form["version"] = page.partition('name="version" value="')[2].partition('"')[0]
    assert client.post(address, form).status_code == 302
    segment.refresh_from_db()
    assert (segment.version, segment.rules["all"][0]["value"]) == (3, "Rome")


def test_what_is_wrong_stands_at_its_condition(mira: User, as_user: Login) -> None:
    segment = made(mira, "In a city", IN_OSLO)
    form = rule_form(segment, "", do="save", name="")
    form |= {
        "c1--is": "event",
        "c1-event": "View",
        "c1-count-op": "gte",
        "c1-count-value": "many",
        "c2--is": "tag",
        "c2-tag": "gone",
    }
    refused = as_user(mira).post(f"{PAGES}{segment.pk}/rule/", form)
    assert refused.status_code == 400
    page = body(refused)
    assert (
        '<div class="faults" id="c0-faults" role="alert"><p class="error-text">Write a text here.</p>' in page
    )
    assert (
        'id="c1-faults" role="alert"><p class="error-text">Write a whole number from 0 to 1,000,000.</p>'
        in page
    )
    assert 'value="many"' in page
    assert "There is no tag “gone”." in page
    empty = {"name": "x", "kind": "rule", "c--is": "group", "c--match": "all", "do": "save"}
    assert "The rule is empty. Add a condition first." in body(as_user(mira).post(PAGES + "add/", empty))


def test_buttons_change_the_tree(mira: User, as_user: Login) -> None:
    client = as_user(mira)
    form = {"c--is": "group", "c--match": "all", "c0--is": "type", "c0-type": "recognized"}

    def press(do: str, **more: str) -> str:
        answer = client.post(PAGES + "shape/", {**form, **more, "do": do})
        assert answer.headers["HX-Trigger-After-Settle"] == "rule-changed"
        return body(answer)

    assert 'name="c1-type"' in press("copy:c0")
    assert 'name="c0--not" value="1"' in press("not:c0")
    assert 'name="c0--off" value="1"' in press("off:c0")
    assert 'name="c0_0-type"' in press("wrap:c0")
    assert "Nobody yet" in press("remove:c0")
    second = {"c1--is": "segment", "c1-segment": "7"}
    assert press("up:c1", **second).index('value="segment"') < press("up:c1", **second).index('value="type"')
    assert 'name="c1--match"' in press("add:group:c")
    event = {"c1--is": "event", "c1-event": "View"}
    assert 'id="c1-where0-property"' in press("more:where:c1", **event)
    for nonsense in (
        "",
        "add:nothing:c",
        "up:c9",
        "more:event:c1",
        "drop:where:9:c1",
        "add:type.0:c0",
        "x:c",
    ):
        assert 'name="c0-type"' in press(nonsense, **event)


def test_a_kind_without_a_form_is_written_as_json(
    mira: User, as_user: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segments.conditions.person_type import TypeCondition

    monkeypatch.setattr(TypeCondition, "form", ())
    make_profile(first_name="Ann", email="ann@example.com")
    client = as_user(mira)
    form = {"name": "Known", "kind": "rule", "c--is": "group", "c--match": "all", "c0--is": "type"}
    page = body(client.post(PAGES + "add/", {**form, "c0--json": '{"type": ', "do": "save"}))
    assert "This is no JSON:" in page
    assert "{&quot;type&quot;:</textarea>" in page
    page = body(client.post(PAGES + "add/", {**form, "c0--json": '{"type": "known"}', "do": "save"}))
    assert "“known” is none of recognized, anonymous." in page
    assert client.post(PAGES + "add/", {**form, "c0--json": '{"type": "recognized"}'}).status_code == 302
    assert Segment.objects.get().rules == {"version": 1, "all": [{"type": "recognized"}]}


# --- Why, by hand, archived ----------------------------------------------------------------------------------


def test_why_somebody_is_in_it_or_not(mira: User, vic: User, as_user: Login) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com", city="Oslo")
    ben = make_profile(first_name="Ben", city="Rome", street="Via Roma 1")
    event = happened(ann, "View", ago=60)
    viewed = {"event": "View", "within": {"hours": 1}}
    segment = made(
        mira, "Viewed in Oslo", IN_OSLO, {"any": [viewed, {"attribute": "street", "op": "exists"}]}
    )
    client, address = as_user(mira), f"{PAGES}{segment.pk}/why/"
    page = body(client.get(address, {"person": "email:ann@example.com"}))
    assert f'<a href="/admin/profiles/profile/{ann.pk}/change/">Ann</a> is in it' in page
    assert "Does not hold: </span>Street has any value" in page
    assert '<span class="visually-hidden">Holds: </span>City is “Oslo”<div class="src">Oslo</div>' in page
    until = event.occurred_at + datetime.timedelta(hours=1)
    assert f'until <time datetime="{until:%Y-%m-%dT%H:%M}' in page
    page = body(client.get(address, {"person": "Ben"}))
    assert "Was never in it." in page
    assert "To come in, one thing is missing: City is “Oslo”." in page
    assert Look.objects.order_by("-pk")[0].profile_ids == [ben.pk]
    masked = body(as_user(vic).get(address, {"person": str(ben.pk)}))
    assert "Via Roma 1" in page
    assert "Via Roma 1" not in masked
    assert "B•••" in masked
    assert "Nobody is found" in body(client.get(address, {"person": "zzzz"}))
    asked = client.get(PAGES + "why/", {"segment": segment.pk, "person": ann.pk})
    assert asked.headers["Location"] == f"{address}?person={ann.pk}"
    card = body(client.get(f"/admin/profiles/profile/{ann.pk}/change/"))
    assert f'<a href="{PAGES}{segment.pk}/change/">Viewed in Oslo</a>' in card
    assert "by a new version of the rule" in card
    card = body(client.get(f"/admin/profiles/profile/{ben.pk}/change/"))
    assert f'<option value="{segment.pk}">Viewed in Oslo</option>' in card


def test_always_in_and_always_out(mira: User, vic: User, as_user: Login) -> None:
    ann, ben = make_profile(first_name="Ann", city="Oslo"), make_profile(first_name="Ben")
    segment = made(mira, "In Oslo", IN_OSLO)
    client, page_url = as_user(mira), f"{PAGES}{segment.pk}/change/"
    pick = f"{PAGES}{segment.pk}/pick/"
    client.post(pick, {"person": str(ann.pk), "choice": "out", "reason": "Asked by phone"})
    client.post(pick, {"person": f"#{ben.pk}", "choice": "in"})
    settle()
    assert set(Membership.objects.current().values_list("profile_id", flat=True)) == {ben.pk}
    page = body(client.get(page_url))
    assert "always out" in page
    assert "Asked by phone" in page
    assert "Asked by phone" not in body(as_user(vic).get(page_url))
    client.post(pick, {"person": str(ben.pk), "choice": ""})
    settle()
    assert not Membership.objects.current().exists()
    refused = client.post(pick, {"person": "nobody", "choice": "in"}, follow=True)
    assert "No profile “nobody”." in body(refused)
    assert HandPick.objects.count() == 1


def test_people_of_the_list_are_put_into_a_segment(mira: User, vic: User) -> None:
    segment = create_segment(name="Friends", kind="static", actor=Actor.of_user(mira))
    people = [make_profile().pk for _ in range(3)]
    from cdp.errors import Forbidden, Invalid
    from profiles.builtin_sources import builtin_source

    source = builtin_source("staff")
    params = {"segment": str(segment.pk), "reason": "Trade fair"}
    done = run_bulk(
        action="segment", profile_ids=people, params=params, actor=Actor.of_user(mira), source=source
    )
    assert done.changed == 3
    settle()
    assert Membership.objects.current().filter(segment=segment).count() == 3
    assert set(HandPick.objects.values_list("reason", flat=True)) == {"Trade fair"}
    with pytest.raises(Invalid, match="Choose a segment that is in use."):
        run_bulk(action="segment", profile_ids=people, params={}, actor=Actor.of_user(mira), source=source)
    with pytest.raises(Forbidden):
        run_bulk(action="segment", profile_ids=people, params=params, actor=Actor.of_user(vic), source=source)


def test_archived_and_brought_back(mira: User, as_user: Login) -> None:
    segment = made(mira, "In Oslo", IN_OSLO)
    made(mira, "Elsewhere", {"not": {"segment": segment.pk}})
    client = as_user(mira)
    assert "Elsewhere" in body(client.get(f"{PAGES}{segment.pk}/archive/"))
    client.post(f"{PAGES}{segment.pk}/archive/")
    page = body(client.get(PAGES))
    assert "In Oslo</a>" not in page
    assert "It is made from the segment “In Oslo”, which was archived." in page
    assert "In Oslo</a>" in body(client.get(PAGES + "?state=archived"))
    assert "“In Oslo” is archived. Bring it back first." in body(
        client.get(f"{PAGES}{segment.pk}/rule/", follow=True)
    )
    client.post(f"{PAGES}{segment.pk}/restore/")
    segment.refresh_from_db()
    assert segment.state == Segment.State.FILLING
    assert "It is being filled" in body(client.get(f"{PAGES}{segment.pk}/change/"))
    actions = AuditEntry.objects.filter(subject=f"segment:{segment.pk}").values_list("action", flat=True)
    assert {"segment.create", "segment.archive", "segment.restore"} <= set(actions)


# --- Who, and how many queries -------------------------------------------------------------------------------


def test_a_broken_rule_can_be_opened_and_mended(mira: User, as_user: Login) -> None:
    segment = made(mira, "In Oslo", IN_OSLO)
    Segment.objects.filter(pk=segment.pk).update(
        rules={"version": 1, "all": [{"tag": "gone", "id": 99}, {"attribute": "shoe"}, {"unheard": 1}]},
        state="broken",
        problem="There is no tag “gone”.",
    )
    client = as_user(mira)
    page = body(client.get(f"{PAGES}{segment.pk}/rule/"))
    assert '<option value="gone" selected>gone (not there any more)</option>' in page
    assert "{&quot;unheard&quot;:1}</textarea>" in page
    page = body(client.get(f"{PAGES}{segment.pk}/change/"))
    assert "<b>Not kept up to date.</b> There is no tag “gone”." in page
    assert "There is no tag “gone”." in body(client.get(PAGES + "?state=broken"))
    assert "The segment “In Oslo” is not kept up to date" in body(client.get("/admin/"))


@pytest.mark.parametrize("role", ["mira", "sam", "vic", "olga"])
def test_who_may_do_what(role: str, mira: User, request: pytest.FixtureRequest, as_user: Login) -> None:
    segment = made(mira, "In Oslo", IN_OSLO)
    client = as_user(request.getfixturevalue(role))
    reads = [PAGES, f"{PAGES}{segment.pk}/change/", f"{PAGES}{segment.pk}/why/"]
    writes = [PAGES + "add/", f"{PAGES}{segment.pk}/rule/", f"{PAGES}{segment.pk}/archive/"]
    posts = [f"{PAGES}{name}/" for name in ("shape", "preview")] + [
        f"{PAGES}{segment.pk}/{name}/" for name in ("restore", "pick")
    ]
    expected = {"mira": (200, 200), "sam": (200, 403), "vic": (200, 403), "olga": (403, 403)}[role]
    assert {client.get(page).status_code for page in reads} == {expected[0]}
    assert {client.get(page).status_code for page in writes} == {expected[1]}
    assert {client.post(page).status_code == 403 for page in posts} == {expected[1] == 403}
    assert {client.get(page).status_code for page in posts} == {405}
    if role == "vic":
        page = body(client.get(reads[1]))
        assert "Change the rule" not in page
        assert "Add an exception" not in page


def test_queries_do_not_grow(mira: User, as_user: Login) -> None:
    segment = made(mira, "In Oslo", IN_OSLO)
    ann = make_profile(first_name="Ann", city="Oslo")
    actor, client = Actor.of_user(mira), as_user(mira)
    pick_profiles(segment_id=segment.pk, profile_ids=[ann.pk], is_in=True, actor=actor)
    settle()
    addresses = [
        PAGES,
        f"{PAGES}{segment.pk}/change/",
        f"{PAGES}{segment.pk}/rule/",
        f"{PAGES}{segment.pk}/why/?person={ann.pk}",
        f"/admin/profiles/profile/{ann.pk}/change/",
    ]

    def count() -> list[int]:
        counts = []
        for address in addresses:
            client.get(address)
            with CaptureQueriesContext(connection) as caught:
                assert client.get(address).status_code == 200
            counts.append(len(caught))
        return counts

    few = count()
    Segment.objects.bulk_create(
        Segment(name=f"S{n:03}", state="live", rules=segment.rules, owner=mira) for n in range(99)
    )
    people = [make_profile(first_name=f"P{n}") for n in range(30)]
    now = ann.created_at
    Membership.objects.bulk_create(
        Membership(segment=segment, profile=person, entered_at=now, entered_by="event") for person in people
    )
    Membership.objects.bulk_create(
        Membership(segment=other, profile=ann, entered_at=now, entered_by="event")
        for other in Segment.objects.exclude(pk=segment.pk)
    )
    HandPick.objects.bulk_create(HandPick(segment=segment, profile=p, is_in=True, user=mira) for p in people)
    assert count() == few


def test_a_count_that_takes_long_says_so_and_stops_nobody(
    mira: User, as_user: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment, client = made(mira, "In a city", IN_OSLO), as_user(mira)

    def too_slow(*_: Any, **__: Any) -> None:
        raise TooSlow

    monkeypatch.setattr("segments.admin.builder.count_people", too_slow)
    page = body(client.post(PAGES + "preview/", rule_form(segment, "Rome")))
    assert "Counting takes longer than 1.5 seconds." in page
    assert "Count anyway, up to 30 seconds" in page
    patient = body(client.post(PAGES + "preview/", rule_form(segment, "Rome", do="patient")))
    assert "Counting takes longer than 30 seconds." in patient
    confirmed = page.partition('name="confirmed" value="')[2].partition('"')[0]
    address = f"{PAGES}{segment.pk}/rule/"
    assert client.post(address, rule_form(segment, "Rome", confirmed=confirmed)).status_code == 302
    segment.refresh_from_db()
    assert segment.version == 2


def test_filters_of_the_list_begin_a_segment(mira: User, vic: User, as_user: Login) -> None:
    AttributeDefinition.objects.create(name="points", type="number")
    make_profile(first_name="Ann", tags=["vip"], country="PL", points=20)
    make_profile(first_name="Ben", tags=["vip"], country="DE")
    query = "tag=vip&country=PL&country=NO&attributes.points=10&attributes.points.op=gte&q=Ann"
    people = body(as_user(mira).get(f"/admin/profiles/profile/?{query}"))
    href = people.partition('href="/admin/segments/segment/add/?from=')[2].partition('"')[0]
    assert "Save as segment" not in body(as_user(vic).get(f"/admin/profiles/profile/?{query}"))
    page = body(as_user(mira).get(f"{PAGES}add/?from={href}"))
    assert "No condition says this yet, so it is left out: the search." in page
    assert '<div class="big">1</div>' in page
    assert "is tagged vip and Country is one of “PL” or “NO” and points is at least 10" in page
    without = body(as_user(mira).get(f"{PAGES}add/?from=attributes.points.op%3Dempty%26type%3Drecognized"))
    assert "not (points has any value)" in without
