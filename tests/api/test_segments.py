"""Segments from outside: made, listed, changed, archived and brought back, with the right of each, and counted before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdp import jobs
from cdp.limits import TooSlow
from cdp.models import AuditEntry, Job
from segments.api import preview as preview_api
from segments.models import Segment, SegmentVersion
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile
from tests.segments.filled import made, settle

pytestmark = pytest.mark.django_db
PATH = "segments/"
OSLO = {"attribute": "city", "op": "eq", "value": "Oslo"}
VIP = {"tag": "vip"}


def test_made_listed_changed_and_archived(api: Caller) -> None:
    make_profile(first_name="Ann", city="Oslo", tags=["vip"])
    answer = api.post(PATH, {"name": " In  Oslo", "description": "x", "rules": {"all": [OSLO]}})
    assert answer.status_code == 201
    pk = answer.data["id"]
    one = f"{PATH}{pk}/"
    assert (answer["Location"], answer["ETag"]) == (f"/api/v1/{one}", '"1"')
    expected = {
        "name": "In Oslo",
        "description": "x",
        "kind": "rule",
        "state": "filling",
        "problem": "",
        "rules": {"version": 1, "all": [OSLO]},
        "text": "People who meet all of these: City is “Oslo”",
        "version": 1,
        "members": 0,
        "filled_at": None,
        "behind_seconds": 0,
        "owner": None,
        "used_by": [],
    }
    assert {name: answer.data[name] for name in expected} == expected
    settle(pk)
    filled = api.get(one).data
    assert (filled["state"], filled["members"], filled["filled_at"] is not None) == ("live", 1, True)
    renamed = api.patch(one, {"name": "Oslo"})
    assert (renamed.data["name"], renamed.data["version"]) == ("Oslo", 1)
    changed = api.patch(one, {"rules": {"any": [OSLO, VIP]}, "version": 1})
    assert (changed.data["version"], changed.data["state"], changed["ETag"]) == (2, "filling", '"2"')
    settle(pk)
    user = made(api, "Not in Oslo", {"not": {"segment": pk}})
    assert api.get(one).data["used_by"] == [{"kind": "segment", "id": user, "name": "Not in Oslo"}]
    assert api.delete(f"{one}?dry_run=true").status_code == 200
    assert Segment.objects.get(pk=pk).state == "live"
    assert api.delete(one).status_code == 204
    assert api.get(one).data["state"] == "archived"
    broken = api.get(f"{PATH}{user}/").data
    assert (broken["state"], broken["problem"]) == (
        "broken",
        "It is made from the segment “Oslo”, which was archived.",
    )
    assert refusal(api.patch(one, {"name": "x"})) == (422, "“Oslo” is archived. Bring it back first.")
    back = api.patch(one, {"state": "live", "description": "again"}).data
    assert (back["state"], back["description"]) == ("filling", "again")
    api.patch(one, {"state": "archived"})
    assert api.post(f"{one}restore/").data["state"] == "filling"
    actions = (
        AuditEntry.objects.filter(subject=f"segment:{pk}").order_by("pk").values_list("action", flat=True)
    )
    assert [action.removeprefix("segment.") for action in actions] == [
        *("create", "update", "update", "archive", "restore", "update", "archive", "restore")
    ]


def test_lists_are_filtered(api: Caller) -> None:
    rule = made(api, "In Oslo", OSLO)
    friends = made(api, "Friends", description="of Oslo")
    gone = made(api, "Gone", {"type": "anonymous"})
    api.delete(f"{PATH}{gone}/")

    def ids(query: str) -> list[int]:
        return [row["id"] for row in api.get(f"{PATH}?{query}").data["results"]]

    assert ids("") == [friends, rule]
    assert ids("state=archived") == [gone]
    assert ids("kind=static") == [friends]
    assert ids("q=oslo") == [friends, rule]
    assert ids("q=%25") == []
    page = api.get(f"{PATH}?page_size=1&count=exact").data
    assert (
        page["count"],
        api.get(page["next"].removeprefix("http://testserver")).data["results"][0]["id"],
    ) == (
        2,
        rule,
    )
    assert refusal(api.get(f"{PATH}?state=on")) == (
        400,
        "state is one of filling, live, broken, archived.",
    )
    assert refusal(api.get(f"{PATH}?name=a"))[0] == 400
    assert refusal(api.get(f"{PATH}999999/")) == (404, "There is no segment #999999.")


def test_two_people_saving_at_once(api: Caller) -> None:
    pk = made(api, "In Oslo", OSLO)
    one = f"{PATH}{pk}/"
    assert api.patch(one, {"rules": {"all": [{"type": "recognized"}]}, "version": 1}).status_code == 200
    stale = (
        409,
        "Somebody saved version 2 of “In Oslo” meanwhile; you began with version 1. Look at it, then save yours again.",
    )
    assert refusal(api.patch(one, {"rules": {"all": [{"type": "anonymous"}]}, "version": 1})) == stale
    assert refusal(api.patch(one, {"description": "x"}, If_Match='"1"')) == stale
    assert api.patch(one, {"description": "x"}, If_Match='"2"').status_code == 200
    taken = api.post(PATH, {"name": "in OSLO", "rules": {"all": [OSLO]}})
    assert refusal(taken) == (409, "There is a segment “in OSLO” already. Choose another name.")


def test_a_broken_one_is_brought_back_when_its_rule_can_be_read_again(api: Caller) -> None:
    first = made(api, "First", OSLO)
    second = made(api, "Second", {"not": {"segment": first}})
    api.delete(f"{PATH}{first}/")
    one = f"{PATH}{second}/"
    assert api.get(one).data["state"] == "broken"
    assert refusal(api.patch(one, {"state": "live"})) == (400, f"There is no segment #{first}.")
    api.post(f"{PATH}{first}/restore/")
    back = api.patch(one, {"state": "live"}).data
    assert (back["state"], back["problem"], back["version"]) == ("filling", "", 1)


def test_versions(api: Caller) -> None:
    make_profile(first_name="Ann", city="Oslo")
    pk = made(api, "In Oslo", OSLO)
    api.patch(f"{PATH}{pk}/", {"rules": {"all": [{"type": "recognized"}]}})
    rows = api.get(f"{PATH}{pk}/versions/?count=exact").data
    assert rows["count"] == SegmentVersion.objects.count() == 2
    assert [
        (row["version"], row["text"], row["author"], row["entered"], row["left"]) for row in rows["results"]
    ] == [
        (2, "People who meet all of these: is recognized", "shop", None, None),
        (1, "People who meet all of these: City is “Oslo”", "shop", 1, 0),
    ]


def test_the_same_key_and_body_make_one_segment(api: Caller) -> None:
    body = {"name": "In Oslo", "rules": {"all": [OSLO]}}
    first, again = (api.post(PATH, body, Idempotency_Key="k-1") for _ in range(2))
    assert (first.data, again["Idempotent-Replayed"]) == (again.data, "true")
    assert Segment.objects.count() == 1
    dry = api.post(f"{PATH}?dry_run=true", {"name": "Rome", "rules": {"all": [OSLO]}})
    assert (dry.status_code, dry.data["dry_run"], Segment.objects.count()) == (201, True, 1)


def test_the_right_of_each(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    pk = made(api, "In Oslo", OSLO)
    reader, builder = with_scopes("profiles:read"), with_scopes("segments", name="builder")
    assert reader.get(f"{PATH}{pk}/").status_code == 200
    assert refusal(reader.post(PATH, {"name": "b"})) == (
        403,
        "The API key “shop” needs the scope segments for this.",
    )
    assert refusal(reader.delete(f"{PATH}{pk}/"))[0] == 403
    assert builder.patch(f"{PATH}{pk}/", {"name": "Oslo"}).status_code == 200
    assert refusal(builder.get(f"{PATH}{pk}/members/"))[0] == 403


# --- Counted before it is saved -----------------------------------------------------------------------------


def test_a_preview_counts_exactly(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    ann = make_profile(first_name="Ann", city="Oslo", tags=["vip"], identifiers=[("customer_id", "7")])
    ben = make_profile(first_name="Ben", city="OSLO", tags=["vip"])
    make_profile(first_name="Cid", city="Oslo")
    make_profile(first_name="Dan", tags=["vip"])
    rules = {"version": 1, "all": [OSLO, VIP]}
    answer = api.post(f"{PATH}preview/", {"rules": rules})
    assert answer.status_code == 200
    data = answer.data
    assert (data["count"], data["recognized"], data["anonymous"]) == (2, 1, 1)
    assert [row["id"] for row in data["sample"]] == [ben.pk, ann.pk]
    assert data["text"] == "People who meet all of these: City is “Oslo” and is tagged vip"
    assert data["conditions"] == [
        {"pointer": "/all/0", "text": "City is “Oslo”", "pass": 3, "alone_out": 1, "fails": 1},
        {"pointer": "/all/1", "text": "is tagged vip", "pass": 2, "alone_out": 1, "fails": 1},
    ]
    assert data["ms"] >= 0
    assert Segment.objects.count() == 0
    masked = with_scopes("segments", "profiles:read").post(f"{PATH}preview/", {"rules": rules}).data
    assert [row["first_name"] for row in masked["sample"]] == ["B•••", "A•••"]
    blind = with_scopes("segments").post(f"{PATH}preview/", {"rules": rules}).data
    assert (blind["count"], blind["sample"]) == (2, [])


def test_a_count_that_takes_long_goes_on_in_the_background(
    api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = make_profile(first_name="Ann", city="Oslo")
    real = preview_api.preview_result

    def slow(*_: Any, **__: Any) -> Any:
        raise TooSlow

    monkeypatch.setattr(preview_api, "preview_result", slow)
    answer = api.post(f"{PATH}preview/", {"rules": {"all": [OSLO]}})
    assert (answer.status_code, answer.data["kind"], answer.data["state"]) == (
        202,
        "segments.preview",
        "queued",
    )
    monkeypatch.setattr(preview_api, "preview_result", real)
    pk = answer.data["id"]
    assert answer["Location"] == f"/api/v1/jobs/{pk}/"
    jobs.run(pk)
    job = api.get(f"jobs/{pk}/").data
    assert (job["state"], job["progress"]["done"]) == ("done", 1)
    result = job["result"]
    assert (result["count"], result["sample_ids"], result["anonymous"]) == (1, [ann.pk], 1)
    assert result["conditions"][0]["alone_out"] == 0


def test_a_count_in_the_background_that_never_ends_says_so(
    api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segments.evaluate import preview_job

    def slow(*_: Any, **__: Any) -> Any:
        raise TooSlow

    monkeypatch.setattr(preview_api, "preview_result", slow)
    monkeypatch.setattr(preview_job, "preview_result", slow)
    pk = api.post(f"{PATH}preview/", {"rules": {"all": [OSLO]}}).data["id"]
    jobs.run(pk)
    job = Job.objects.get(pk=pk)
    assert (job.state, job.problem) == (
        "failed",
        "The count took too long and was stopped. Narrow the rule.",
    )
