"""Every address at three levels: nobody, somebody without the right, somebody with it; and parity with the admin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdp.roles_and_scopes import RIGHTS, SCOPES
from profiles.models import Profile
from tests.api.caller import Caller, refusal
from tests.api.test_docs import Permission, endpoints
from tests.profile_factory import make_profile

# Open to everybody: what the API looks like is no secret.
PUBLIC = {"v1/schema/", "v1/docs/", "^"}
ROUTES = sorted(
    route for route in endpoints() if route not in PUBLIC and (route.endswith("/") or "." in route)
)
SAMPLES = {
    "<ref:ref>": "{id}",
    "<int:pk>": "1",
    "<ref:other>": "{id}",
    "<int:merge_id>": "1",
    "<int:pair_id>": "1",
    "<int:batch_id>": "1",
    "<int:address_id>": "1",
    "<int:delivery_id>": "1",
    "<int:writekey_id>": "1",
    "<text:tag>": "vip",
    "<str:type>": "customer_id",
    "<text:value>": "C1",
}


def path_of(route: str, profile: Profile) -> str:
    for pattern, sample in SAMPLES.items():
        route = route.replace(pattern, sample)
    assert "<" not in route, f"add a sample for {route}"
    return f"/api/{route.format(id=profile.pk)}"


@pytest.mark.django_db
@pytest.mark.parametrize("route", ROUTES)
def test_three_levels(route: str, stranger: Caller, api: Caller, with_scopes: Callable[..., Caller]) -> None:
    path = path_of(route, make_profile(first_name="Ann"))
    powerless = with_scopes("pii", name="powerless")
    for method, permission in endpoints()[route].items():
        assert refusal(stranger.send(method, path, {}))[0] == 401, method
        refused = powerless.send(method, path, {})
        if permission is None:
            assert refused.status_code not in (401, 403), method
        else:
            assert refusal(refused)[0] == 403, method
            assert "powerless” needs the scope " in refused.data["detail"]
        allowed = api.send(method, path, {})
        assert allowed.status_code not in (401, 403, 405, 500), (method, allowed.status_code)


@pytest.mark.django_db
@pytest.mark.parametrize("route", ROUTES)
def test_nobody_without_rights_gets_in_by_session(route: str, olga: Any) -> None:
    from django.test import Client

    path = path_of(route, make_profile(first_name="Ann"))
    caller = Caller(None, Client())
    caller.client.force_login(olga)
    for method, permission in endpoints()[route].items():
        if permission is not None:
            assert refusal(caller.send(method, path, {})) == (
                403,
                f"Your role does not include the permission {_first(permission)}.",
            )


def _first(permissions: str | tuple[str, ...]) -> str:
    return permissions if isinstance(permissions, str) else permissions[0]


def _all(permissions: Permission) -> set[str]:
    return {permissions} if isinstance(permissions, str) else set(permissions or ())


# Rights of the admin that no endpoint asks for, each with the reason.
NOT_IN_THE_API = {
    "profiles.view_pii": "decides what every answer shows, not whether there is one",
    "profiles.regrant_consent": "asked by the call that records a consent, where a yes comes after a no",
    "profiles.share_view": "decides whether the view that is saved may be everybody's",
    "profiles.message_profile": "a message is written by a person to a person",
    "profiles.view_deleted": "asked where deleted people are listed or named by their id",
    "profiles.bulk_export": "exports come with their own endpoints",
    "profiles.bulk_update": "a client changes many by many calls",
    "profiles.bulk_delete": "a client deletes many by many calls",
    "imports.undo_import": "undoing an import comes with its own endpoint",
    "profiles.erase_profile": "erasing comes with its own endpoints",
    "cdp.change_apikey": "a key must not make keys",
    "cdp.change_user": "a key must not make logins",
    "auth.change_group": "a key must not change roles",
    "cdp.change_job": "one's own jobs need no right; of others' the same calls ask for it",
    "cdp.view_mail": "the mailbox is for people on a machine without a mail server",
}


def test_every_right_of_the_admin_opens_something_in_the_api() -> None:
    asked: set[str] = set()
    for permissions in endpoints().values():
        for needed in permissions.values():
            asked |= _all(needed)
    missing = set(RIGHTS) - asked - set(NOT_IN_THE_API)
    assert missing == set()
    assert asked & {"cdp.change_apikey", "cdp.change_user"} == set()


def test_every_permission_an_endpoint_asks_for_is_in_some_scope() -> None:
    granted = frozenset().union(*SCOPES.values())
    for route, permissions in endpoints().items():
        for needed in permissions.values():
            assert _all(needed) <= granted, route
