"""A value of a call that loses to the stored one is an alternate with its source, and the receipt says so."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from cdp.models import User
from profiles.editing.additions import promote_alternate
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Alternate, Identifier, Profile, Receipt
from profiles.tracking.ingest import profile_sql
from profiles.tracking.sources.sources import create_source
from profiles.tracking.sources.write_keys import Sender
from profiles.values.alternates import alternates
from tests.api.caller import Caller
from tests.profile_factory import make_profile
from tests.tracking.calls import call, holder, identify, make_sender, send_item

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(db: None) -> Sender:
    return make_sender("server")


@pytest.fixture
def web(db: None) -> Sender:
    return make_sender("web", name="Site")


def person(user: str = "42") -> Profile:
    found = holder("customer_id", user)
    assert found is not None
    return found


def lost(profile: Profile) -> list[tuple[str, Any, str | None]]:
    """(field, value, source) of a profile's alternates."""
    return [(a["field"], a["value"], a.get("source")) for a in alternates([profile.pk]).get(profile.pk, [])]


@pytest.mark.parametrize("kind", ["identify", "update"])
def test_what_an_unsigned_page_says_otherwise(
    server: Sender, web: Sender, kind: str, with_scopes: Callable[..., Caller]
) -> None:
    stored = {"firstName": "Ann", "birthday": "1990-01-02", "points": 9, "hobbies": ["a"], "vip": False}
    identify(server, userId="42", traits=stored)
    sent = {
        "firstName": "Eve",
        "birthday": "1991-01-02",
        "points": 0,
        "hobbies": ["b"],
        "vip": True,
        "city": "Oslo",
    }
    for _ in range(3):
        result = send_item(web, kind, userId="42", anonymousId="b1", traits=sent)
        assert {problem["code"] for problem in result.problems} == {"kept_value"}
        assert result.problems[0]["message"] == (
            "first_name was not changed: the call is not signed, and the stored value did not come from a page's call."
            " The value sent is kept as an alternate."
        )
    expected = [
        ("attributes.hobbies", ["b"], "Site"),
        ("attributes.points", 0, "Site"),
        ("attributes.vip", True, "Site"),
        ("birth_date", "1991-01-02", "Site"),
        ("first_name", "Eve", "Site"),
    ]
    assert sorted(lost(person())) == expected
    assert Alternate.objects.count() == len(expected)
    api = with_scopes("all")
    shown = api.get(f"profiles/{person().pk}/").data["alternates"]
    assert sorted((row["field"], row["value"], row["source"]) for row in shown) == expected
    pack = api.get(f"profiles/{person().pk}/gdpr-export/").getvalue().decode()
    assert '"Eve"' in pack


def test_late_and_verified(server: Sender, web: Sender) -> None:
    identify(server, userId="42", traits={"firstName": "Ann", "email": "ann@example.com"})
    Identifier.objects.filter(type__name="email").update(is_verified=True)
    old = (timezone.now() - datetime.timedelta(days=3)).isoformat()
    identify(server, userId="42", traits={"firstName": "Anna", "city": "Oslo"}, timestamp=old)
    # A late call that clears brings no value.
    identify(server, userId="42", traits={"firstName": None}, timestamp=old)
    identify(web, userId="42", traits={"email": "eve@example.com"})
    assert sorted(lost(person())) == [
        ("email", "eve@example.com", "Site"),
        ("first_name", "Anna", server.source.name),
    ]
    assert person().city == "Oslo"


def test_several_items_of_one_call_in_one_statement(server: Sender, web: Sender) -> None:
    identify(server, userId="42", traits={"city": "Oslo"})
    identify(server, userId="43", traits={"city": "Oslo"})

    def queries(*items: dict[str, Any]) -> int:
        with CaptureQueriesContext(connection) as seen:
            call(web, *items)
        return len(seen)

    def item(user: str, **traits: Any) -> dict[str, Any]:
        return {"type": "identify", "userId": user, "traits": traits}

    queries(item("42", plan="a"))  # what is read once
    without = queries(item("42", plan="b"))
    one = queries(item("42", plan="c", city="A"))
    many = queries(*(item(user, plan="d", city=f"{user} {n}") for user in ("42", "43") for n in range(8)))
    assert one == many <= without + 2  # the look at who set the stored value, and the alternates
    assert len(lost(person("42"))) == 9
    assert len(lost(person("43"))) == 8


def test_of_a_person_made_by_the_same_call(server: Sender) -> None:
    """The first item of a batch counts, what is late beside it does not."""
    old = (timezone.now() - datetime.timedelta(days=3)).isoformat()
    call(
        server,
        {"type": "identify", "userId": "42", "traits": {"city": "Oslo"}},
        {"type": "identify", "userId": "42", "traits": {"city": "Rome"}, "timestamp": old},
    )
    assert (person().city, lost(person())) == ("Oslo", [("city", "Rome", server.source.name)])


def test_it_goes_with_whom_it_came_by(server: Sender, web: Sender, by_staff: dict[str, Any]) -> None:
    one = make_profile(identifiers=[("customer_id", "1")], city="Oslo")
    two = make_profile(identifiers=[("customer_id", "2")], city="Oslo")
    merge_id = merge_profiles(winner_id=one.pk, loser_id=two.pk, **by_staff).merge_id
    identify(web, userId="1", traits={"city": "A"})
    identify(web, userId="2", traits={"city": "B"})
    assert sorted(lost(one)) == [("city", "A", "Site"), ("city", "B", "Site")]
    unmerge_profiles(merge_id=merge_id, **by_staff)
    assert (lost(one), lost(two)) == ([("city", "A", "Site")], [("city", "B", "Site")])
    promote_alternate(profile_id=two.pk, field="city", value="B", **by_staff)
    two.refresh_from_db()
    assert two.city == "B"
    assert lost(two) == [("city", "Oslo", "Staff")]


def test_everybody_may_send_and_so_there_is_an_end(
    server: Sender, web: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile_sql, "MOST_ALTERNATES", 3)
    identify(server, userId="42", traits={"city": "Oslo", "firstName": "Ann"})
    items = [
        {"type": "identify", "userId": "42", "traits": {"city": f"City {n}", "firstName": "Eve"}}
        for n in range(5)
    ]
    results = call(web, *items[:2]).results + call(web, *items).results
    assert len([row for row in lost(person()) if row[0] == "city"]) == 3
    assert ("first_name", "Eve", "Site") in lost(person())
    last = {problem["pointer"]: problem for problem in results[-1].problems}
    assert last["/traits/city"]["code"] == "too_many_alternates"
    assert last["/traits/city"]["message"].endswith(
        "The person has 3 other values already; the one sent stays in the event only."
    )
    assert last["/traits/first_name"]["code"] == "kept_value"


def test_the_card_and_the_receipt_show_it(server: Sender, web: Sender, ada: User, client: Client) -> None:
    identify(server, userId="42", traits={"city": "Oslo"})
    identify(web, userId="42", traits={"city": "Rome", "no name": "x"})
    client.force_login(ada)
    card = client.get(reverse("admin:profiles_profile_change", args=[person().pk])).content.decode()
    assert "also: “Rome” from Site" in card
    receipt = Receipt.objects.latest("pk")
    page = client.get(reverse("admin:profiles_receipt_change", args=[receipt.pk])).content.decode()
    assert "What was not stored as sent" in page
    assert '<span class="badge">kept as an alternate</span>' in page
    assert '<span class="badge">kept in the event only</span>' in page


def test_receipts_say_where_each_value_is(
    with_scopes: Callable[..., Caller], client: Client, by_staff: dict[str, Any]
) -> None:
    key = create_source(name="Shop", kind="server", actor=by_staff["actor"]).write_key
    old = (timezone.now() - datetime.timedelta(days=3)).isoformat()

    def send(*items: dict[str, Any]) -> list[dict[str, Any]]:
        answer = client.post(
            "/v1/batch?receipts=true",
            {"batch": items},
            content_type="application/json",
            headers={"X-Write-Key": key},
        ).json()
        rows: list[dict[str, Any]] = answer["receipts"]
        return rows

    send({"type": "identify", "userId": "1", "traits": {"city": "Oslo"}})
    traits = {"city": "Rome", "no name": "x", "birthday": "yesterday"}
    about = {"type": "identify", "userId": "1", "traits": traits, "timestamp": old}
    (row,) = send(about)
    kept = {problem["pointer"]: problem["kept"] for problem in row["problems"]}
    expected = {"/traits/city": "alternate", "/traits/no name": "event", "/traits/birth_date": "event"}
    assert kept == expected
    listed = with_scopes("all").get("receipts/").data["results"]
    newest = {problem["pointer"]: problem["kept"] for problem in listed[0]["problems"]}
    assert newest == expected
    (row,) = send({"type": "track", "event": "x" * 300, "userId": "1"})
    assert [problem["kept"] for problem in row["problems"]] == ["rejected"]
