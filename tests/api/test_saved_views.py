"""Saved views from outside: by a key, which keeps what is shared, and by a login, which keeps its own as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from cdp.models import AuditEntry, User
from profiles.models import SavedView
from tests.api.caller import Caller, refusal

pytestmark = pytest.mark.django_db
PATH = "saved-views/"


@pytest.fixture
def as_login() -> Callable[[User], Caller]:
    def make(user: User) -> Caller:
        caller = Caller(None, Client())
        caller.client.force_login(user)
        return caller

    return make


def test_views_are_made_changed_and_deleted(api: Caller) -> None:
    body = {"name": "Poles", "query": "country=PL&sort=seen", "columns": ["city", "seen"], "is_shared": True}
    made = api.post(PATH, body)
    assert made.status_code == 201
    assert {name: made.data[name] for name in body} == body
    assert made.data["owner"] is None
    one = f"{PATH}{made.data['id']}/"
    assert api.get(one).data == made.data
    changed = api.patch(one, {"query": "country=PL&country=DE"}).data
    assert (changed["query"], changed["columns"]) == ("country=PL&country=DE", ["city", "seen"])
    assert changed["updated_at"] > made.data["updated_at"]
    assert [row["name"] for row in api.get(PATH).data["results"]] == ["Poles"]
    dry = api.delete(f"{one}?dry_run=true")
    assert (dry.status_code, SavedView.objects.count()) == (200, 1)
    assert api.delete(one).status_code == 204
    assert refusal(api.get(one)) == (404, f"There is no saved view #{made.data['id']}.")
    actions = AuditEntry.objects.filter(subject=f"view:{made.data['id']}").order_by("pk")
    assert [entry.action for entry in actions] == ["view.create", "view.update", "view.delete"]


def test_wrong_bodies_say_what_is_wrong(api: Caller) -> None:
    api.post(PATH, {"name": "a", "is_shared": True})
    for body, status, message in (
        ({}, 400, "This field is required."),
        ({"name": "b"}, 400, "Nobody would see this view: what an API key saves has to be shared."),
        ({"name": "A", "is_shared": True}, 409, "There is a view “A” of yours already. Choose another name."),
        ({"name": "b", "query": "country=Polnd", "is_shared": True}, 400, "Not a country."),
        ({"name": "b", "colums": [], "is_shared": True}, 400, "There is no field “colums” here."),
    ):
        found = refusal(api.post(PATH, body))
        assert (found[0], message in found[1]) == (status, True), found
    wrong = api.post(PATH, {"name": "b", "is_shared": True, "columns": ["size"]})
    assert wrong.data["errors"][0]["pointer"] == "/columns"
    assert SavedView.objects.count() == 1


def test_the_same_key_and_body_make_one_view(api: Caller) -> None:
    body = {"name": "a", "is_shared": True}
    first, again = (api.post(PATH, body, Idempotency_Key="k-1") for _ in range(2))
    assert (first.data, again["Idempotent-Replayed"]) == (again.data, "true")
    assert SavedView.objects.count() == 1


def test_a_login_keeps_its_own(as_login: Callable[[User], Caller], mira: User, sam: User) -> None:
    support, marketer = as_login(sam), as_login(mira)
    own = support.post(PATH, {"name": "Mine"}).data
    assert (own["owner"], own["is_shared"]) == ("sam", False)
    assert marketer.get(PATH).data["results"] == []
    assert refusal(marketer.get(f"{PATH}{own['id']}/"))[0] == 404
    assert refusal(support.post(PATH, {"name": "Ours", "is_shared": True})) == (
        403,
        "You may not share views with the team.",
    )
    team = marketer.post(PATH, {"name": "Ours", "is_shared": True}).data
    assert [row["name"] for row in support.get(PATH).data["results"]] == ["Mine", "Ours"]
    for answer in (
        support.patch(f"{PATH}{team['id']}/", {"name": "x"}),
        support.delete(f"{PATH}{team['id']}/"),
    ):
        assert refusal(answer) == (
            403,
            "“Ours” is shared with the team, and you may not change views of the team.",
        )


def test_rights_of_keys(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    api.post(PATH, {"name": "Open", "query": "country=PL", "is_shared": True})
    api.post(PATH, {"name": "Ann", "query": "q=ann@example.com", "is_shared": True})
    reader, full = with_scopes("profiles:read"), with_scopes("profiles:read", "pii")
    assert [row["name"] for row in reader.get(PATH).data["results"]] == ["Open"]
    assert [row["name"] for row in full.get(PATH).data["results"]] == ["Open", "Ann"]
    assert refusal(reader.post(PATH, {"name": "b", "is_shared": True})) == (
        403,
        "The API key “shop” needs the scope admin for this.",
    )
