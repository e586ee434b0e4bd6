"""Thousands of merges by one call: a job, what became of each pair, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdp.jobs import run_to_end
from cdp.models import Job
from profiles.models import Merge, MergeBatch, Profile
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def pairs_of(*pairs: tuple[int, int]) -> dict[str, Any]:
    return {"pairs": [{"winner_id": winner, "loser_id": loser} for winner, loser in pairs]}


def test_a_call_merges_thousands_and_says_what_became_of_each(api: Caller) -> None:
    ann, anna, bob = (make_profile(city=city).pk for city in ("Oslo", "Rome", "Bonn"))
    body = {**pairs_of((ann, anna), (anna, bob), (bob, ann), (ann, 10**12)), "title": "Clean-up"}
    rehearsed = api.post("merges/bulk/?dry_run=true", body)
    assert (rehearsed.status_code, rehearsed.data["dry_run"]) == (202, True)
    assert rehearsed.data["preview"]["merges"] == 2
    assert rehearsed.data["preview"]["skipped"] == {"one": 1, "missing": 1}
    assert rehearsed.data["preview"]["fields"] == {"city": 2}
    assert rehearsed.data["effects"] == [{"kind": "profile.merged", "count": 2}]
    assert not MergeBatch.objects.exists()

    started = api.post("merges/bulk/", body)
    assert (started.status_code, started.data["kind"], started.data["state"]) == (
        202,
        "merges.apply",
        "queued",
    )
    assert (started.data["title"], started.data["progress"]["total"]) == ("Clean-up", 4)
    run_to_end(Job.objects.get(pk=started.data["id"]))
    assert api.get(f"jobs/{started.data['id']}/").data["result"] == {"merged": 2, "skipped": 2}

    batch_id = started.data["batch_id"]
    batch = api.get(f"merges/batches/{batch_id}/").data
    assert (batch["state"], batch["origin"], batch["size"], batch["actor"]) == ("done", "api", 4, "shop")
    assert batch["counts"] == {"merged": 2, "skipped": 2}
    rows = api.get(f"merges/batches/{batch_id}/rows/").data["results"]
    assert [(row["position"], row["outcome"], row["code"], row["reason"]) for row in rows] == [
        (1, "merged", "", ""),
        (2, "merged", "", ""),
        (3, "skipped", "one", f"Profiles #{bob} and #{ann} are already merged: both are profile #{ann}."),
        (4, "skipped", "missing", f"No profile “{10**12}”."),
    ]
    assert {row["merge_id"] for row in rows} == {*Merge.objects.values_list("pk", flat=True), None}
    skipped = api.get(f"merges/batches/{batch_id}/rows/?outcome=skipped&page_size=1").data
    assert [row["position"] for row in skipped["results"]] == [3]
    assert skipped["next"]
    assert [row["id"] for row in api.get("merges/batches/?origin=api&state=done").data["results"]] == [
        batch_id
    ]
    assert api.get("merges/batches/?origin=rule").data["results"] == []

    back = api.post(f"merges/batches/{batch_id}/undo/")
    assert (back.status_code, back.data["kind"], back.data["progress"]["total"]) == (202, "merges.undo", 2)
    assert refusal(api.post(f"merges/batches/{batch_id}/undo/")) == (
        409,
        "“Clean-up” is being undone. Wait for its end, or cancel it.",
    )
    run_to_end(Job.objects.get(pk=back.data["id"]))
    assert api.get(f"merges/batches/{batch_id}/").data["state"] == "undone"
    assert Profile.objects.live().count() == 3


def test_the_same_call_twice_merges_once(api: Caller) -> None:
    body = pairs_of((make_profile().pk, make_profile().pk))
    first, second = (api.post("merges/bulk/", body, Idempotency_Key="k1") for _ in range(2))
    assert first.data == second.data
    assert MergeBatch.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "pointer", "message"),
    [
        ({}, "/pairs", "Send {“pairs”: [{“winner_id”, “loser_id”}]}."),
        ({"pairs": []}, "/pairs", "Send at least one pair."),
        ({"pairs": [{"winner_id": 1}]}, "/pairs/0", "Send {“winner_id”, “loser_id”}."),
        (
            {"pairs": [{"winner_id": 1, "loser_id": "2a"}]},
            "/pairs/0/loser_id",
            "Send the id as a whole number.",
        ),
        (
            {"pairs": [{"winner_id": True, "loser_id": 2}]},
            "/pairs/0/winner_id",
            "Send the id as a whole number.",
        ),
        (
            {"pairs": [{"winner_id": 1, "loser_id": 2}], "force": True},
            "/force",
            "There is no field “force” here. Known fields: pairs, title.",
        ),
        (
            {"pairs": [{"winner_id": 1, "loser_id": 2}] * 10_001},
            "/pairs",
            "At most 10,000 pairs in one call; these are 10,001.",
        ),
    ],
)
def test_bodies_that_are_none(api: Caller, body: Any, pointer: str, message: str) -> None:
    refused = api.post("merges/bulk/", body)
    assert refusal(refused) == (400, message)
    assert refused.data["errors"][0]["pointer"] == pointer


def test_rights(with_scopes: Callable[..., Caller], stranger: Caller, api: Caller) -> None:
    body = pairs_of((make_profile().pk, make_profile().pk))
    batch_id = api.post("merges/bulk/", body).data["batch_id"]
    for caller, read, write in (
        (stranger, 401, 401),
        (with_scopes("profiles:write"), 200, 403),
        (with_scopes("merge", name="merger"), 200, 202),
    ):
        assert caller.get(f"merges/batches/{batch_id}/").status_code == read
        assert caller.post("merges/bulk/", body).status_code == write
    assert with_scopes("profiles:read").post(f"merges/batches/{batch_id}/undo/").status_code == 403
    assert refusal(api.get("merges/batches/0/")) == (404, "There is no batch 0 of merges.")
    assert refusal(api.get("merges/batches/?state=odd"))[0] == 400
    assert refusal(api.get(f"merges/batches/{batch_id}/rows/?outcome=odd"))[0] == 400


def test_lists_take_as_many_queries_at_fifty_rows_as_at_one(api: Caller) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert api.get("merges/batches/").status_code == 200
        return len(seen)

    body = pairs_of((make_profile().pk, make_profile().pk))
    api.post("merges/bulk/", body)
    queries()
    one = queries()
    for _ in range(20):
        api.post("merges/bulk/", body)
    assert queries() == one
