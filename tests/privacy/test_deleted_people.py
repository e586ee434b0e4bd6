"""One right to see deleted people: the list, cards, histories, search, the API and the GDPR export ask the same question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.errors import NotFound
from cdp.models import User
from cdp.roles_and_scopes import ROLES, SCOPES
from profiles.identity.lookup import VIEW_DELETED, find_visible, may_open
from profiles.merging.merge import merge_profiles
from profiles.models import Profile
from profiles.privacy.delete import delete_profiles
from profiles.privacy.gdpr_export import export_profile
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
PEOPLE = "/admin/profiles/profile/"


@pytest.fixture
def gone(by_staff: dict[str, Any]) -> Profile:
    """Ann, into whom Eve was merged, deleted."""
    ann, eve = make_profile(first_name="Zyxann"), make_profile(first_name="Zyxeve")
    merge_profiles(winner_id=ann.pk, loser_id=eve.pk, **by_staff)
    delete_profiles(profile_ids=[ann.pk], **by_staff)
    return Profile.objects.get(pk=ann.pk)


def test_admins_and_privacy_have_the_right_and_whoever_restores() -> None:
    assert {name for name, role in ROLES.items() if VIEW_DELETED in role.permissions} == {
        "data admin",
        "privacy officer",
    }
    assert {name for name, codes in SCOPES.items() if VIEW_DELETED in codes} == {
        "privacy",
        "profiles:write",  # whoever restores by a key finds whom
    }
    restoring = [role for role in ROLES.values() if "profiles.restore_profile" in role.permissions]
    assert all(VIEW_DELETED in role.permissions for role in restoring)


@pytest.mark.parametrize(
    ("role", "opens"), [("support", False), ("marketer", False), ("privacy officer", True)]
)
def test_every_page_asks_for_it(
    role: str, opens: bool, gone: Profile, make_user: Callable[..., User], as_user: Any
) -> None:
    client = as_user(make_user("somebody", role))
    card = client.get(f"{PEOPLE}{gone.pk}/change/")
    assert card.status_code == (200 if opens else 404)
    for path in (f"{gone.pk}/", f"{gone.pk}/timeline/"):
        assert (client.get(PEOPLE + path).status_code < 400) == opens
    assert (client.get(f"{PEOPLE}deleted/").status_code == 200) == opens
    searched = client.get(PEOPLE, {"q": f"#{gone.pk}"})
    assert (f"{PEOPLE}deleted/?q=" in searched.content.decode()) == opens
    history = client.get("/admin/profiles/merge/")
    assert ("Zyxann" in history.content.decode()) == opens
    narrowed = client.get("/admin/profiles/merge/", {"profile": gone.pk}).content.decode()
    assert (f"No profile “{gone.pk}”." in narrowed) != opens


def test_the_gdpr_export_asks_for_it(
    gone: Profile, sam: User, make_user: Callable[..., User], as_user: Any
) -> None:
    with pytest.raises(NotFound, match=f"No profile “{gone.pk}”."):
        export_profile(profile_id=gone.pk, actor=Actor.of_user(sam))
    paula = make_user("paula", "privacy officer")
    assert export_profile(profile_id=gone.pk, actor=Actor.of_user(paula))["person"]["status"] == "deleted"
    refused = as_user(sam).post(f"{PEOPLE}{gone.pk}/gdpr-export/", follow=True)
    assert "Zyxann" not in refused.content.decode()


def test_the_api_asks_for_it(gone: Profile) -> None:
    def client(*scopes: str) -> Client:
        secret = create_key(name="key", scopes=scopes, actor=Actor.system()).secret
        return Client(headers={"Authorization": f"Bearer {secret}"})

    reader = client("profiles:read", "merge", "exports", "pii")
    privacy = client("profiles:read", "privacy", "pii")
    listed = "/api/v1/profiles/?status=deleted"
    assert reader.get(listed).status_code == 403
    assert [row["id"] for row in privacy.get(listed).json()["results"]] == [gone.pk]
    for path in (
        f"/api/v1/profiles/{gone.pk}/gdpr-export/",
        f"/api/v1/events/?profile={gone.pk}",
        f"/api/v1/merges/?profile={gone.pk}",
        f"/api/v1/duplicates/?profile={gone.pk}",
    ):
        refused = reader.get(path)
        assert (refused.status_code, refused.json()["detail"]) == (404, f"No profile “{gone.pk}”."), path
        assert privacy.get(path).status_code == 200, path


def test_the_rule_itself(gone: Profile, sam: User, make_user: Callable[..., User]) -> None:
    live = make_profile(first_name="Ben")
    support, privacy = Actor.of_user(sam), Actor.of_user(make_user("paula", "privacy officer"))
    assert may_open(support, live)
    assert not may_open(support, gone)
    assert may_open(privacy, gone)
    assert may_open(Actor.system(), gone)
    with pytest.raises(NotFound, match=f"No profile “{gone.pk}”."):
        find_visible(gone.pk, actor=support)
    assert find_visible(gone.pk, actor=privacy).root == gone
