"""Why two are separate, over HTTP: the ten causes, their fixes, rights, masking, and every refusal as a problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdp.actors import Actor
from cdp.models import AuditEntry, Look
from profiles.identity.lookup import find_profile
from profiles.models import DuplicatePair, Merge
from profiles.pairs.verdicts import set_verdict
from tests.api.caller import Caller, refusal
from tests.duplicates.causes import ANN, CAUSES, Expected, made, root_of, shop_api, site

pytestmark = pytest.mark.django_db
KEYS = {"code", "text", "value", "stored_as", "profile_id", "source", "via", "at", "fix", "fixes"}


def pair_of(expected: Expected) -> int:
    set_verdict(a_id=expected.a, b_id=expected.b, verdict="open", actor=Actor.system())
    return DuplicatePair.objects.get(a_id=min(expected.a, expected.b), b_id=max(expected.a, expected.b)).pk


@pytest.mark.parametrize("name", CAUSES)
def test_each_cause_is_named_for_a_pair_and_for_any_two(api: Caller, name: str) -> None:
    expected = CAUSES[name]()
    answer = api.get(f"profiles/{expected.a}/why/{expected.b}/")
    assert answer.status_code == 200, answer.data
    assert (answer.data["a"], answer.data["b"]) == (expected.a, expected.b)
    assert all(one.keys() == KEYS for one in answer.data["findings"])
    (found,) = [one for one in answer.data["findings"] if one["code"] == expected.code]
    assert (found["value"], found["stored_as"], found["profile_id"]) == (
        expected.value,
        expected.stored_as,
        expected.profile_id,
    )
    assert (found["source"], found["via"]) == (expected.source, expected.via)
    assert found["at"].endswith("Z")
    assert found["fix"].keys() == {"code", "text", "joins", "needs", "source"}
    assert found["fixes"][0] == found["fix"]
    (fix,) = [fix for fix in found["fixes"] if fix["code"] == expected.fix]
    assert fix["joins"] is True
    assert expected.copy in fix["source"]["code"]
    of_pair = api.get(f"duplicates/{pair_of(expected)}/why/").data["findings"]
    assert {one["code"] for one in of_pair} == {one["code"] for one in answer.data["findings"]}


@pytest.mark.parametrize("name", CAUSES)
def test_each_fix_is_rehearsed_and_joins(api: Caller, name: str) -> None:
    expected = CAUSES[name]()
    path = f"profiles/{expected.a}/why/{expected.b}/fix/"
    rehearsed = api.post(f"{path}?dry_run=true", {"code": expected.fix})
    assert rehearsed.status_code == 200, rehearsed.data
    assert rehearsed.data["dry_run"] is True
    assert rehearsed.data["joins"] is True
    assert rehearsed.data["merge"]["winner_id"] in (expected.a, expected.b)
    assert Merge.objects.count() == 0
    body = {"code": expected.fix, "preview_hash": rehearsed.data["preview_hash"]}
    done = api.post(path, body)
    assert done.status_code == 200, done.data
    assert done.data["joined"] is True
    assert done.data["profile"]["id"] == rehearsed.data["merge"]["winner_id"]
    assert find_profile(expected.a).root.pk == find_profile(expected.b).root.pk == done.data["profile"]["id"]
    assert AuditEntry.objects.filter(action="duplicate.fix").count() == 1
    undone = api.post(f"merges/{done.data['merge_id']}/unmerge/")
    assert undone.status_code == 200


def test_a_pair_is_fixed_by_its_number(api: Caller) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    pair = pair_of(expected)
    done = api.post(f"duplicates/{pair}/why/fix/", {"code": "promote_identifier"})
    assert (done.status_code, done.data["joined"]) == (200, True)
    answer = api.get(f"duplicates/{pair}/why/")
    assert refusal(answer)[0] == 422
    assert "are one person already" in refusal(answer)[1]


def test_two_are_named_by_any_identifier(api: Caller) -> None:
    expected = CAUSES["id_under_attributes"]()
    answer = api.get(f"profiles/{expected.a}/why/customer_id:C-20417/")
    assert answer.data["b"] == expected.b
    assert refusal(api.get(f"profiles/{expected.a}/why/email:nobody@example.com/")) == (
        404,
        "No profile “email:nobody@example.com”.",
    )


@pytest.mark.parametrize("name", CAUSES)
def test_a_key_without_pii_gets_everything_masked(with_scopes: Callable[..., Caller], name: str) -> None:
    expected = CAUSES[name]()
    answer = with_scopes("profiles:read", "merge").get(f"profiles/{expected.a}/why/{expected.b}/")
    assert answer.status_code == 200
    (found,) = [one for one in answer.data["findings"] if one["code"] == expected.code]
    assert "•••" in found["value"]
    assert expected.value not in str(answer.data)
    rehearsed = with_scopes("profiles:write", "merge").post(
        f"profiles/{expected.a}/why/{expected.b}/fix/?dry_run=true", {"code": expected.fix}
    )
    assert rehearsed.status_code == 200, rehearsed.data
    assert expected.value not in str(rehearsed.data)


def test_who_may(with_scopes: Callable[..., Caller], stranger: Caller) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    path = f"profiles/{expected.a}/why/{expected.b}/"
    assert stranger.get(path).status_code == 401
    assert with_scopes("exports").get(path).status_code == 403
    reader = with_scopes("profiles:read")
    assert reader.get(path).status_code == 200
    assert refusal(reader.post(f"{path}fix/", {"code": "promote_identifier"})) == (
        403,
        "The API key “shop” needs the scope merge for this.",
    )
    merger = with_scopes("merge")
    assert refusal(merger.post(f"{path}fix/", {"code": "promote_identifier"})) == (
        403,
        "“Promote to identifier and merge” needs the permission profiles.add_identifier, which you do not have.",
    )
    assert merger.post(f"{path}fix/", {"code": "keep_apart"}).status_code == 200
    assert Merge.objects.count() == 0


def test_refusals_are_sentences(api: Caller) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    path = f"profiles/{expected.a}/why/{expected.b}/fix/"
    assert api.post(path, {}).status_code == 400
    assert refusal(api.post(path, {"code": "magic"})) == (
        422,
        f"“magic” fixes nothing between #{expected.a} and #{expected.b}. Offered: promote_identifier, keep_apart.",
    )
    assert refusal(api.post(path, {"code": "promote_identifier", "preview_hash": "old"}))[0] == 409
    assert refusal(api.get("duplicates/0/why/")) == (404, "There is no pair 0.")
    assert refusal(api.get(f"profiles/{expected.a}/why/{expected.a}/")) == (
        422,
        f"“{expected.a}” and “{expected.a}” are one person already: #{expected.a}.",
    )


def test_a_look_is_recorded(api: Caller) -> None:
    expected = CAUSES["update_instead_of_identify"]()
    api.get(f"profiles/{expected.a}/why/{expected.b}/")
    look = Look.objects.latest("pk")
    assert (look.kind, look.profile_ids) == ("why", [expected.a, expected.b])


def test_the_answer_costs_the_same_whatever_they_have(api: Caller) -> None:
    expected = CAUSES["update_instead_of_identify"]()

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert api.get(f"profiles/{expected.a}/why/{expected.b}/").status_code == 200
        return len(queries)

    cost()
    before = cost()
    send: Any = site("Busy")
    for number in range(100):
        send("update", anonymousId="b-1", traits={"email": f"x{number}@example.com"})
    assert made(shop_api("other").post("profiles/", {"email": "bob@example.com"}))
    assert cost() == before
    assert root_of(f"email:{ANN}") == expected.b
