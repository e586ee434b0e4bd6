"""Duplicates through the API: the contract's rows, decisions, fresh states on a 409, cases, scans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdp.models import Job
from profiles.editing import update_profile
from profiles.models import DuplicateCase, DuplicatePair, Merge
from tests.api.caller import Caller, refusal
from tests.duplicates.cast import ANN, make_ann, make_plain_profile, scan, twins

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair() -> DuplicatePair:
    ann, again = make_ann(), make_ann(email="", phone="", city="")
    scan()
    return DuplicatePair.objects.get(a=ann, b=again)


def test_the_list_explains_each_pair(api: Caller, pair: DuplicatePair) -> None:
    (row,) = api.get("duplicates/").data["results"]
    assert (row["id"], row["a"], row["b"], row["tier"], row["verdict"]) == (
        pair.pk,
        pair.a_id,
        pair.b_id,
        "certain",
        "open",
    )
    assert row["score"] == round(pair.score, 2)
    assert 0.5 < row["probability"] <= 1
    first = row["reasons"][0]
    assert (first["field"], first["a"], first["b"], first["text"]) == (
        "first_name",
        "Ann",
        "Ann",
        "First names are equal",
    )
    assert first["weight"] > 0
    assert (row["rule"], row["through"]) == ("Their full names and birth dates are equal.", None)
    assert api.get(f"duplicates/{pair.pk}/").data == row


def test_filters_and_what_they_refuse(api: Caller, pair: DuplicatePair) -> None:
    def ids(query: str) -> list[int]:
        return [row["id"] for row in api.get(f"duplicates/?{query}").data["results"]]

    for query in (
        "",
        "verdict=open",
        "tier=certain",
        "min_score=1",
        f"profile={pair.a_id}",
        "source=API",
        "source=2",
        "verdict=any",
    ):
        assert ids(query) == [pair.pk], query
    for query in ("verdict=merged", "tier=possible", "min_score=99", "source=Import"):
        assert ids(query) == [], query
    assert refusal(api.get("duplicates/?tier=sure")) == (
        400,
        "tier is one of certain, probable, possible, related.",
    )
    assert refusal(api.get("duplicates/?min_score=high")) == (
        400,
        "min_score is a number of bits, such as 3.5.",
    )
    assert refusal(api.get("duplicates/?source=x")) == (400, "There is no source “x”.")
    assert refusal(api.get("duplicates/?score=3"))[0] == 400
    assert api.get("duplicates/?count=exact").data["count"] == 1


def test_decisions_and_fresh_states(api: Caller, pair: DuplicatePair, by_staff: dict[str, Any]) -> None:
    url = f"duplicates/{pair.pk}/decide/"
    state = api.get(f"duplicates/{pair.pk}/").data["state"]
    update_profile(profile_id=pair.b_id, values={"city": "Bergen"}, **by_staff)
    stale = api.post(url, {"verdict": "merge", "state": state})
    assert refusal(stale) == (
        409,
        f"#{pair.a_id} or #{pair.b_id} changed since you looked. Nothing was done; look again.",
    )
    fresh = stale.data["pair"]
    assert fresh["state"] != state
    assert refusal(api.post(url, {"verdict": "yes"}))[0] == 400
    assert refusal(api.post(url, {"verdict": "merge", "winner_id": 999}))[1].startswith("The winner is #")
    later = api.post(url, {"verdict": "later", "days": 2}).data
    assert (later["verdict"], later["merge_id"]) == ("later", None)
    fresh = api.get(f"duplicates/{pair.pk}/").data
    merged = api.post(url, {"verdict": "merge", "winner_id": pair.b_id, "state": fresh["state"]})
    assert merged.status_code == 200, merged.data
    assert (merged.data["winner_id"], merged.data["loser_id"]) == (pair.b_id, pair.a_id)
    assert Merge.objects.get().pk == merged.data["merge_id"]
    again = api.post(url, {"verdict": "not_duplicate"})
    assert refusal(again)[0] == 409
    assert again.data["pair"]["verdict"] == "merged"
    assert api.get(f"duplicates/{pair.pk}/").data["verdict"] == "merged"
    DuplicatePair.objects.all().delete()
    gone = api.post(url, {"verdict": "merge"})
    assert refusal(gone)[0] == 409
    assert gone.data["pair"] is None
    assert refusal(api.post("duplicates/99999999/decide/", {"verdict": "merge"})) == (
        404,
        "There is no pair 99999999.",
    )


def test_a_dry_run_decides_nothing(api: Caller, pair: DuplicatePair) -> None:
    answer = api.post(f"duplicates/{pair.pk}/decide/?dry_run=true", {"verdict": "not_duplicate"})
    assert answer.status_code == 200, answer.data
    pair.refresh_from_db()
    assert pair.verdict == "open"


def test_scopes_and_masking(
    with_scopes: Callable[..., Caller], stranger: Caller, pair: DuplicatePair
) -> None:
    reader, merger = with_scopes("profiles:read"), with_scopes("merge", name="merger")
    assert stranger.get("duplicates/").status_code == 401
    (row,) = reader.get("duplicates/").data["results"]
    assert "Pucllar" not in str(row)
    assert row["reasons"][0]["a"] == "A•••"
    for path, body in (
        (f"duplicates/{pair.pk}/decide/", {"verdict": "later"}),
        ("duplicates/scan/", None),
    ):
        assert reader.post(path, body).status_code == 403, path
        assert stranger.post(path, body).status_code == 401, path
    assert merger.post(f"duplicates/{pair.pk}/decide/", {"verdict": "later"}).status_code == 200
    answer = merger.post("duplicates/scan/")
    assert (answer.status_code, answer.data["kind"]) == (202, "duplicates.scan")
    assert Job.objects.filter(kind="duplicates.scan", state="queued").count() == 1


def test_cases(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    for number in range(3):
        make_ann(email=f"a{number}@web.de", phone="")
    for number in range(210):
        make_plain_profile(first_name=f"Name{number}", email="no@web.de")
    scan()
    shared, people = api.get("duplicate-cases/").data["results"]
    if shared["kind"] == "people":
        shared, people = people, shared
    assert (people["size"], people["problem"], shared["value"], shared["size"]) == (3, "", "no@web.de", 210)
    masked = with_scopes("profiles:read").get(f"duplicate-cases/{shared['id']}/").data
    assert masked["value"] == "n•••@w•••.de"
    merger = with_scopes("merge", name="merger")
    url = f"duplicate-cases/{people['id']}/"
    state = merger.get(url).data["state_hash"]
    assert refusal(merger.post(f"{url}decide/", {"decision": "merge"})) == (400, "Name the profile to keep.")
    assert refusal(merger.post(f"{url}decide/", {"decision": "join"}))[1] == (
        "The decision is one of merge, separate, block, share, not “join”."
    )
    done = merger.post(
        f"{url}decide/", {"decision": "merge", "winner_id": people["members"][1], "state": state}
    )
    assert (done.status_code, len(done.data["merge_ids"])) == (200, 2), done.data
    assert refusal(merger.post(f"{url}decide/", {"decision": "separate"})) == (
        409,
        f"Case {people['id']} is closed: merged.",
    )
    block = {"decision": "block"}
    assert merger.post(f"duplicate-cases/{shared['id']}/decide/", block).status_code == 403
    assert api.post(f"duplicate-cases/{shared['id']}/decide/", block).data["state"] == "blocked"
    assert DuplicateCase.objects.filter(state="open").count() == 0
    assert refusal(api.get("duplicate-cases/?state=x"))[0] == 400


def test_a_page_costs_the_same_for_one_and_many(api: Caller) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert api.get("duplicates/").status_code == 200
        return len(queries)

    twins(1)
    cost()
    few = cost()
    twins(60, start=100)
    assert len(api.get("duplicates/").data["results"]) == 50
    assert cost() == few


def test_no_value_is_named_to_whoever_may_not_view_it(with_scopes: Callable[..., Caller]) -> None:
    one, other = make_ann(), make_ann(first_name="Zoe", email="z@web.de", phone="", birth_date="")
    DuplicatePair.objects.create(
        a=one, b=other, reasons=[{"type": "email", "value": ANN["email"], "text": f"Both: {ANN['email']}"}]
    )
    (row,) = with_scopes("profiles:read").get("duplicates/").data["results"]
    assert row["reasons"][0]["text"] == "Same email"
