"""The people of a segment from outside: now and then, by hand, who came and went and why, who is almost in, who can be reached."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.utils import timezone

from cdp.models import Look
from cdp.times import iso
from profiles.consent.ledger import record_consent
from profiles.editing import update_profile
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import AttributeDefinition, DuplicatePair
from profiles.privacy.delete import delete_profiles
from segments.membership import refresh
from segments.models import HandPick, Membership, Segment
from tests.api.caller import Caller, refusal
from tests.consent.test_reachable import shares
from tests.profile_factory import make_profile
from tests.segments.filled import made, settle

pytestmark = pytest.mark.django_db
PATH = "segments/"
OSLO = {"attribute": "city", "op": "eq", "value": "Oslo"}
VIP = {"tag": "vip"}


def ids(api: Caller, path: str) -> list[int]:
    return [row["id"] for row in api.get(path).data["results"]]


def backdate(days: int) -> None:
    """Everything so far happened that long ago."""
    ago = datetime.timedelta(days=days)
    for stay in Membership.objects.all():
        left_at = stay.left_at and stay.left_at - ago
        Membership.objects.filter(pk=stay.pk).update(entered_at=stay.entered_at - ago, left_at=left_at)


def test_members_now_and_then(api: Caller, by_staff: dict[str, Any]) -> None:
    ann, ben, cid, dan = (make_profile(first_name=name, city="Oslo") for name in ("Ann", "Ben", "Cid", "Dan"))
    pk = made(api, "In Oslo", OSLO)
    path = f"{PATH}{pk}/members/"
    assert ids(api, path) == [dan.pk, cid.pk, ben.pk, ann.pk]
    backdate(2)
    update_profile(profile_id=ben.pk, values={"city": "Rome"}, **by_staff)
    merge_profiles(winner_id=ann.pk, loser_id=cid.pk, **by_staff)
    delete_profiles(profile_ids=[dan.pk], **by_staff)
    refresh.work_off()
    assert ids(api, path) == [ann.pk]
    assert api.get(f"{path}?count=exact").data["count"] == 1
    yesterday, long_ago = (
        quote((timezone.now() - datetime.timedelta(days=days)).isoformat()) for days in (1, 9)
    )
    # Cid is Ann by now, Dan is deleted.
    assert ids(api, f"{path}?at={yesterday}") == [ben.pk, ann.pk]
    assert ids(api, f"{path}?at={long_ago}") == []
    first = api.get(f"{path}?at={yesterday}&page_size=1").data
    assert ids(api, first["next"].removeprefix("http://testserver")) == [ann.pk]
    assert refusal(api.get(f"{path}?at=may")) == (400, "at is a time such as 2024-05-01T12:00:00Z.")
    assert refusal(api.get(f"{PATH}999999/members/")) == (404, "There is no segment #999999.")


def test_a_profile_says_its_segments(api: Caller, by_staff: dict[str, Any]) -> None:
    """Since the earliest of the merged profiles came in; with the undo each has its own again."""
    ann, anna = make_profile(first_name="Ann", city="Oslo"), make_profile(first_name="Anna")
    oslo = made(api, "In Oslo", OSLO)
    named = made(api, "anybody", {"attribute": "first_name", "op": "exists"})
    backdate(3)
    data = api.get(f"profiles/{ann.pk}/").data["segments"]
    assert [(row["id"], row["name"]) for row in data] == [(named, "anybody"), (oslo, "In Oslo")]
    since = {row["id"]: row["entered_at"] for row in data}
    assert since[oslo] == iso(Membership.objects.get(segment=oslo).entered_at)
    Membership.objects.filter(profile=anna).update(entered_at=timezone.now())
    merged = merge_profiles(winner_id=anna.pk, loser_id=ann.pk, **by_staff)
    refresh.work_off()
    assert {row["id"]: row["entered_at"] for row in api.get(f"profiles/{anna.pk}/").data["segments"]} == since
    unmerge_profiles(merge_id=merged.merge_id, **by_staff)
    refresh.work_off()
    assert [row["id"] for row in api.get(f"profiles/{anna.pk}/").data["segments"]] == [named]
    api.delete(f"{PATH}{named}/")
    rows = {row["id"]: row["segments"] for row in api.get("profiles/").data["results"]}
    assert {pk: [part["id"] for part in parts] for pk, parts in rows.items()} == {ann.pk: [oslo], anna.pk: []}


def test_the_list_of_people_by_segment(api: Caller) -> None:
    ann, _ben = make_profile(first_name="Ann", city="Oslo"), make_profile(first_name="Ben", city="Rome")
    pk = made(api, "In Oslo", OSLO)
    assert ids(api, f"profiles/?segment={pk}") == [ann.pk]
    assert ids(api, "profiles/?segment=in%20oslo") == [ann.pk]
    assert refusal(api.get("profiles/?segment=Rome")) == (
        400,
        "There is no segment “Rome”. There are: In Oslo.",
    )
    assert refusal(api.get(f"profiles/?segment={10**30}"))[0] == 400


def test_the_people_of_a_segment_are_exported(api: Caller) -> None:
    make_profile(first_name="Ann", city="Oslo")
    make_profile(first_name="Ben", city="Rome")
    pk = made(api, "In Oslo", OSLO)
    answer = api.post("exports/", {"fields": ["first_name"], "segment": pk})
    assert (answer.status_code, answer.data["people"], answer.data["filter"]) == (
        202,
        1,
        {"segment": str(pk)},
    )


def test_by_hand(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    ann, ben = make_profile(first_name="Ann", city="Oslo"), make_profile(first_name="Ben")
    friends = made(api, "Friends")
    path = f"{PATH}{friends}/members/"
    done = api.post(path, {"profile_ids": [ann.pk, str(ben.pk), 10**9], "reason": "Asked"})
    assert (done.status_code, done.data) == (200, {"profiles": 2, "skipped": [10**9]})
    refresh.work_off()
    assert ids(api, path) == [ben.pk, ann.pk]
    assert set(HandPick.objects.values_list("reason", flat=True)) == {"Asked"}
    assert api.delete(path, {"profile_ids": [ben.pk]}).data == {"profiles": 1, "skipped": []}
    refresh.work_off()
    assert ids(api, path) == [ann.pk]
    oslo = made(api, "In Oslo", OSLO)
    ruled = f"{PATH}{oslo}/members/"
    api.post(ruled, {"profile_ids": [ben.pk]})
    api.post(ruled, {"profile_ids": [ann.pk], "always": "out"})
    refresh.work_off()
    assert ids(api, ruled) == [ben.pk]
    api.delete(ruled, {"profile_ids": [ann.pk, ben.pk]})
    refresh.work_off()
    assert ids(api, ruled) == [ann.pk]
    for body, status, message in (
        ({}, 400, "This field is required."),
        ({"profile_ids": []}, 400, "This list may not be empty."),
        ({"profile_ids": ["a"]}, 400, "Send the id as a whole number."),
        ({"profile_ids": [1], "always": "maybe"}, 400, "“maybe” is not a valid choice."),
        ({"profile_ids": [1], "always": "out"}, 422, "“Friends” has no rule that could let them in."),
        (
            {"profile_ids": [1], "reason": "x" * 301},
            400,
            "Ensure this field has no more than 300 characters.",
        ),
        ({"profile_ids": list(range(1, 10_002))}, 400, "At most 10,000 people at once; these are 10,001."),
        ({"people": [1]}, 400, "There is no field “people” here."),
    ):
        found = refusal(api.post(path, body))
        assert (found[0], message.replace("“maybe”", "maybe") in found[1].replace('"', "")) == (
            status,
            True,
        ), found
    assert api.post(path, {"profile_ids": [1, "a"]}).data["errors"][0]["pointer"] == "/profile_ids/1"
    assert refusal(with_scopes("profiles:write").post(path, {"profile_ids": [ann.pk]}))[0] == 403
    api.delete(f"{PATH}{friends}/")
    assert refusal(api.post(path, {"profile_ids": [1]})) == (
        422,
        "“Friends” is archived. Bring it back first.",
    )


def test_who_came_and_went_and_why(api: Caller, by_staff: dict[str, Any]) -> None:
    ann, ben = make_profile(first_name="Ann", city="Oslo"), make_profile(first_name="Ben")
    pk = made(api, "In Oslo", OSLO)
    path = f"{PATH}{pk}/changes/"
    backdate(2)
    update_profile(profile_id=ben.pk, values={"city": "Oslo"}, **by_staff)
    refresh.work_off()
    merged = merge_profiles(winner_id=ben.pk, loser_id=ann.pk, **by_staff)
    update_profile(profile_id=ben.pk, values={"city": "Rome"}, **by_staff)
    refresh.work_off()
    rows = api.get(path).data["results"]
    assert [
        (row["change"], row["profile_id"], row["member_id"], row["cause"]["kind"], row["cause"]["text"])
        for row in rows
    ] == [
        ("left", ben.pk, ben.pk, "change", "A change of the profile"),
        ("left", ben.pk, ann.pk, "merge", "A merge"),
        ("entered", ben.pk, ben.pk, "change", "A change of the profile"),
        ("entered", ben.pk, ann.pk, "rule", "The rule was changed"),
    ]
    assert rows[1]["cause"]["id"] == merged.merge_id
    assert (rows[3]["cause"]["id"], rows[3]["recorded_at"] > rows[3]["at"]) == (1, True)
    yesterday = quote((timezone.now() - datetime.timedelta(days=1)).isoformat())
    assert len(api.get(f"{path}?since={yesterday}").data["results"]) == 3
    assert [row["change"] for row in api.get(f"{path}?kind=entered").data["results"]] == ["entered"] * 2
    walked, following = [], f"{path}?page_size=1"
    while following:
        page = api.get(following).data
        walked += page["results"]
        following = page["next"] and page["next"].removeprefix("http://testserver")
    assert walked == rows
    assert refusal(api.get(f"{path}?kind=moved")) == (400, "kind is one of entered, left.")
    assert refusal(api.get(f"{path}?cursor=x"))[0] == 400


# --- Why, and who else ----------------------------------------------------------------------------------------


def test_why_somebody_is_in_or_not(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    AttributeDefinition.objects.create(name="plan", sensitivity="none")
    ann = make_profile(first_name="Ann", city="Oslo", email="ann@example.com", plan="pro")
    make_profile(first_name="Vip", tags=["vip"])
    either = {"any": [VIP, {"attribute": "plan", "op": "eq", "value": "pro"}]}
    pk = made(api, "Anna of Oslo", OSLO, {"attribute": "first_name", "op": "eq", "value": "Anna"}, either)
    path = f"{PATH}{pk}/explain/email:ann@example.com/"
    data = api.get(path).data
    assert (data["member"], data["since"], data["by_rule"], data["changes_at"], data["picked"]) == (
        False,
        None,
        False,
        None,
        None,
    )
    assert [
        (row["pointer"], row["depth"], row["text"], row["holds"], row["actual"]) for row in data["conditions"]
    ] == [
        ("", 0, "all of", False, ""),
        ("/all/0", 1, "City is “Oslo”", True, "Oslo"),
        ("/all/1", 1, "First name is “Anna”", False, "Ann"),
        ("/all/2", 1, "any of", True, ""),
        ("/all/2/any/0", 2, "is tagged vip", False, "does not have the tag"),
        ("/all/2/any/1", 2, "plan is “pro”", True, "pro"),
    ]
    masked = with_scopes("profiles:read").get(f"{PATH}{pk}/explain/{ann.pk}/").data
    assert [row["actual"] for row in masked["conditions"]] == [
        *("", "Oslo", "•••", "", "does not have the tag", "pro")
    ]
    api.post(f"{PATH}{pk}/members/", {"profile_ids": [ann.pk], "reason": "Ann asked"})
    refresh.work_off()
    picked = api.get(path).data
    assert (picked["member"], picked["by_rule"], picked["since"] is not None) == (True, False, True)
    assert {name: picked["picked"][name] for name in ("always", "reason")} == {
        "always": "in",
        "reason": "Ann asked",
    }
    hidden = with_scopes("profiles:read").get(f"{PATH}{pk}/explain/{ann.pk}/").data
    assert hidden["picked"]["reason"] == "••• (2 words)"
    assert refusal(api.get(f"{PATH}{pk}/explain/999999/"))[0] == 404
    by_hand = made(api, "Friends")
    plain = api.get(f"{PATH}{by_hand}/explain/{ann.pk}/").data
    assert (plain["member"], plain["by_rule"], plain["conditions"]) == (False, None, [])


def test_a_rule_that_cannot_be_read_any_more_says_so(api: Caller, by_staff: dict[str, Any]) -> None:
    from profiles.tagging import delete_tag

    ann = make_profile(first_name="Ann", tags=["vip"])
    pk = made(api, "VIP", VIP)
    delete_tag(tag_id=Segment.objects.get(pk=pk).rules["all"][0]["id"], **by_staff)
    sentence = "The rule of “VIP” cannot be read any more: There is no tag “vip”."
    assert refusal(api.get(f"{PATH}{pk}/explain/{ann.pk}/")) == (422, sentence)
    assert refusal(api.get(f"{PATH}{pk}/almost/")) == (422, sentence)
    refresh.work_off()
    assert ids(api, f"{PATH}{pk}/members/") == [ann.pk], "never silently emptied"


def test_who_is_almost_in(api: Caller, by_staff: dict[str, Any]) -> None:
    make_profile(first_name="Ann", city="Oslo", tags=["vip", "new"])
    ben = make_profile(first_name="Ben", city="Oslo", tags=["vip"])
    cid = make_profile(first_name="Cid", city="Rome", tags=["vip", "new"])
    make_profile(first_name="Dan", city="Rome", tags=["new"])
    eva, eve = make_profile(first_name="Eva", city="Oslo"), make_profile(first_name="Eve", tags=["new"])
    merge_profiles(winner_id=eva.pk, loser_id=eve.pk, **by_staff)
    fay = make_profile(first_name="Fay", city="Oslo", tags=["vip"])
    make_profile(first_name="Gus", tags=["old"])
    pk = made(api, "New VIPs of Oslo", OSLO, VIP, {"any": [{"tag": "new"}, {"tag": "old"}]})
    path = f"{PATH}{pk}/almost/"
    api.post(f"{PATH}{pk}/members/", {"profile_ids": [fay.pk]})

    def missing(query: str = "") -> list[tuple[int, str, str]]:
        return [
            (row["profile"]["id"], row["missing"]["pointer"], row["missing"]["text"])
            for row in api.get(path + query).data["results"]
        ]

    expected = [
        (eva.pk, "/all/1", "is tagged vip"),
        (cid.pk, "/all/0", "City is “Oslo”"),
        (ben.pk, "/all/2", "is tagged new or is tagged old"),
    ]
    assert missing() == expected
    first = api.get(f"{path}?page_size=2").data
    assert [row["profile"]["id"] for row in first["results"]] == [eva.pk, cid.pk]
    assert ids_of_profiles(api, first["next"]) == [ben.pk]
    either = made(api, "Either", OSLO, VIP, group="any")
    assert refusal(api.get(f"{PATH}{either}/almost/")) == (
        422,
        "Who is almost in can be said of rules that begin with “all” alone: of others, one condition decides nothing.",
    )
    by_hand = made(api, "Friends")
    assert refusal(api.get(f"{PATH}{by_hand}/almost/")) == (
        422,
        "“Friends” is by hand: nobody is almost in it.",
    )


def ids_of_profiles(api: Caller, url: str) -> list[int]:
    rows = api.get(url.removeprefix("http://testserver")).data["results"]
    return [row["profile"]["id"] for row in rows]


def test_a_statement_that_is_cut_is_a_503(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from cdp.limits import TooSlow
    from segments.api import insight

    pk = made(api, "In Oslo", OSLO)

    def slow(*_: Any, **__: Any) -> Any:
        raise TooSlow

    monkeypatch.setattr(insight, "almost_in", slow)
    answer = api.get(f"{PATH}{pk}/almost/")
    assert refusal(answer) == (
        503,
        "This takes too long to be read while you wait, and was stopped. Try again when the system is less busy.",
    )
    assert answer["Retry-After"] == "10"


def test_who_can_be_reached(api: Caller, by_staff: dict[str, Any]) -> None:
    """Everybody once, in the order of the groups; somebody else's no about the address counts."""

    def yes(profile: Any) -> Any:
        at = timezone.now() - datetime.timedelta(hours=1)
        record_consent(
            profile_id=profile.pk, channel="email", purpose="newsletter", state="granted", at=at, **by_staff
        )
        return profile

    tags = ["all"]
    ann = yes(make_profile(first_name="Ann", email="ann@example.com", tags=tags))
    make_profile(first_name="Ben", email="ben@example.com", tags=tags)
    yes(make_profile(first_name="Cid", email="shared@example.com", tags=tags))
    other = shares("Cora", "shared@example.com")
    record_consent(
        profile_id=other.pk,
        channel="email",
        purpose="newsletter",
        state="withdrawn",
        at=timezone.now(),
        **by_staff,
    )
    make_profile(tags=tags)
    dan = make_profile(first_name="Dan", identifiers=[("customer_id", "7")], tags=tags)
    DuplicatePair.objects.create(a=ann, b=dan, tier="probable")
    make_profile(first_name="Eva", identifiers=[("customer_id", "8")], tags=tags)
    make_profile(first_name="Far away", email="far@example.com")
    pk = made(api, "All", {"tag": "all"})
    path = f"{PATH}{pk}/reach/"
    data = api.get(f"{path}?channel=e-mail&purpose=newsletter").data
    counts = {
        "reachable": 1,
        "no_consent": 2,
        "anonymous": 1,
        "likely_duplicate": 1,
        "no_address": 1,
    }
    assert {name: data[name] for name in ("channel", "purpose", "members", *counts)} == {
        "channel": "email",
        "purpose": "newsletter",
        "members": 6,
        **counts,
    }
    assert {row["code"]: row["count"] for row in data["groups"]} == counts
    assert api.get(f"{path}?channel=email").data["purpose"] is None
    assert api.get(f"{path}?channel=sms&purpose=newsletter").data["no_address"] == 4 - 1
    found = refusal(api.get(f"{path}?channel=pigeon"))
    assert (found[0], "Known channels: email" in found[1]) == (400, True), found
    assert "Name the channel of the consent." in refusal(api.get(path))[1]


def test_answers_that_show_people_are_looks(api: Caller) -> None:
    ann, ben = (
        make_profile(first_name="Ann", city="Oslo", tags=["vip"]),
        make_profile(first_name="Ben", city="Oslo"),
    )
    pk = made(api, "VIPs of Oslo", OSLO, VIP)
    for method, path, body, seen in (
        ("GET", f"{pk}/members/", None, [ann.pk]),
        ("GET", f"{pk}/changes/", None, [ann.pk]),
        ("GET", f"{pk}/almost/", None, [ben.pk]),
        ("GET", f"{pk}/explain/{ben.pk}/", None, [ben.pk]),
        ("POST", "preview/", {"rules": {"all": [VIP]}}, [ann.pk]),
        ("GET", f"{pk}/", None, None),
        ("GET", f"{pk}/reach/?channel=email", None, None),
    ):
        Look.objects.all().delete()
        assert api.send(method, PATH + path, body).status_code == 200, path
        found = [(look.kind, look.profile_ids) for look in Look.objects.all()]
        kind = "segment_why" if "explain" in path else "segment"
        assert found == ([(kind, seen)] if seen else []), path


def test_dry_runs_change_nobody(api: Caller) -> None:
    ann = make_profile(first_name="Ann", city="Oslo")
    pk = made(api, "In Oslo", OSLO)
    dry = api.post(f"{PATH}{pk}/members/?dry_run=true", {"profile_ids": [ann.pk], "always": "out"})
    assert (dry.data["profiles"], dry.data["dry_run"]) == (1, True)
    settle(pk)
    assert not HandPick.objects.exists()
    assert ids(api, f"{PATH}{pk}/members/") == [ann.pk]
