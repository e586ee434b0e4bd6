"""Views of the people list: kept, changed, shared and deleted, each by whoever may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.http import QueryDict

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from cdp.models import AuditEntry, User
from profiles.builtin_sources import builtin_source
from profiles.models import AttributeDefinition, Change, SavedView, Tag
from profiles.search.saved_views import (
    change_view,
    delete_view,
    is_same_query,
    list_query,
    save_view,
    visible_views,
)
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def mira_acts(mira: User) -> Actor:
    return Actor.of_user(mira)


@pytest.fixture
def sam_acts(sam: User) -> Actor:
    return Actor.of_user(sam)


def names(actor: Actor) -> list[str]:
    return [view.name for view in visible_views(actor)]


def sentence(call: Callable[[], Any]) -> str:
    with pytest.raises(Refused) as refusal:
        call()
    return refusal.value.message


def test_a_view_keeps_filters_order_and_columns(mira_acts: Actor) -> None:
    query = "?country=PL&country=DE&tag=&sort=seen&after=7&view=3&columns=city&status=deleted"
    view = save_view(name="  VIP   now ", query=query, columns=["seen", "country", "seen"], actor=mira_acts)
    view.refresh_from_db()
    assert (view.name, view.query, view.columns) == (
        "VIP now",
        "country=PL&country=DE&sort=seen",
        ["seen", "country"],
    )
    assert (view.owner_id, view.is_shared, view.names_people) == (mira_acts.user_id, False, False)
    entry = AuditEntry.objects.get(action="view.create")
    assert (entry.subject, entry.actor, entry.detail) == (f"view:{view.pk}", "mira", {"shared": False})


@pytest.mark.parametrize(
    ("query", "columns", "message"),
    [
        ("countries=PL", [], "There is no filter “countries”."),
        ("sort=name", [], "There is no order “name”. Orders: newest, seen."),
        ("country=Polnd", [], "Not a country."),
        ("created_at_after=soon", [], "“soon” is not a date."),
        ("attributes.x=1", [], "There is no attribute “x”."),
        ("consent=email:maybe", [], "“maybe” is not a state of a consent."),
        ("identifier=card:7", [], "“card” is not an identifier type. Known types: "),
        ("tag=gone", [], "There is no tag “gone”."),
        ("q=" + "x" * 4000, [], "These filters are too long to keep: at most 4,000 characters."),
        ("", ["shoe_size"], "There is no column “shoe_size”. Columns: city, country, language"),
        ("", "city country language gender phone birth_date tags mail seen".split(), "At most 8 columns fit"),
    ],
)
def test_what_does_not_exist_is_not_kept(
    mira_acts: Actor, query: str, columns: list[str], message: str
) -> None:
    assert message in sentence(lambda: save_view(name="a", query=query, columns=columns, actor=mira_acts))
    assert not SavedView.objects.exists()


def test_names(mira_acts: Actor, sam_acts: Actor) -> None:
    view = save_view(name="VIP", actor=mira_acts)
    for raw, message in (
        (" ", "Give the view a name."),
        ("a\x00b", "A name has no control characters."),
        ("x" * 61, "Ensure this value has at most 60 characters (it has 61)."),
        ("vip", "There is a view “vip” of yours already. Choose another name."),
    ):
        assert sentence(lambda raw=raw: save_view(name=raw, actor=mira_acts)) == message
    save_view(name="vip", actor=sam_acts)
    assert change_view(view_id=view.pk, name="Vip", actor=mira_acts).name == "Vip"
    other = save_view(name="Other", actor=mira_acts)
    with pytest.raises(Conflict):
        change_view(view_id=other.pk, name="VIP", actor=mira_acts)


def test_one_s_own_is_nobody_else_s(mira_acts: Actor, sam_acts: Actor) -> None:
    view = save_view(name="Mine", query="type=recognized", actor=mira_acts)
    assert (names(mira_acts), names(sam_acts)) == (["Mine"], [])
    for call in (
        lambda: change_view(view_id=view.pk, name="Yours", actor=sam_acts),
        lambda: delete_view(view_id=view.pk, actor=sam_acts),
    ):
        with pytest.raises(NotFound, match=f"There is no saved view #{view.pk}."):
            call()
    delete_view(view_id=view.pk, actor=mira_acts)
    assert names(mira_acts) == []


def test_sharing_is_a_right_of_its_own(mira_acts: Actor, sam_acts: Actor, ada: User) -> None:
    assert sentence(lambda: save_view(name="a", is_shared=True, actor=sam_acts)) == (
        "You may not share views with the team."
    )
    own = save_view(name="Sam's", actor=sam_acts)
    with pytest.raises(Forbidden):
        change_view(view_id=own.pk, is_shared=True, actor=sam_acts)
    team = save_view(name="Team", actor=mira_acts)
    change_view(view_id=team.pk, is_shared=True, actor=mira_acts)
    assert names(sam_acts) == ["Team", "Sam's"]
    for call in (
        lambda: change_view(view_id=team.pk, query="type=anonymous", actor=sam_acts),
        lambda: delete_view(view_id=team.pk, actor=sam_acts),
    ):
        assert sentence(call) == "“Team” is shared with the team, and you may not change views of the team."
    admin = Actor.of_user(ada)
    assert change_view(view_id=team.pk, query="type=anonymous", actor=admin).query == "type=anonymous"
    change_view(view_id=team.pk, is_shared=False, actor=admin)
    assert (names(admin), names(mira_acts)) == ([], ["Team"])
    fields = AuditEntry.objects.filter(action="view.update", subject=f"view:{team.pk}").order_by("pk")
    assert [entry.detail["fields"] for entry in fields] == [["is_shared"], ["query"], ["is_shared"]]


def test_a_change_that_is_none_leaves_no_trace(mira_acts: Actor) -> None:
    view = save_view(name="a", query="type=recognized", columns=["city"], actor=mira_acts)
    same = change_view(
        view_id=view.pk, name="a", query="type=recognized", columns=["city"], is_shared=False, actor=mira_acts
    )
    assert same.updated_at == SavedView.objects.get().created_at
    assert not AuditEntry.objects.filter(action="view.update").exists()


def test_what_may_name_somebody_is_shared_with_those_who_see_them(
    mira_acts: Actor, vic: User, sam_acts: Actor
) -> None:
    AttributeDefinition.objects.create(name="plan", sensitivity="none")
    AttributeDefinition.objects.create(name="company", sensitivity="personal")
    Tag.objects.create(name="vip")
    Change.objects.create(
        profile=make_profile(), kind="updated", source=builtin_source("import"), cause="import", cause_id=3
    )
    viewer = Actor.of_user(vic)
    for query, names_people in (
        ("q=ann", True),
        ("identifier=email:ann@example.com", True),
        ("attributes.company=Acme", True),
        ("attributes.last_name=Kowalska", True),
        ("attributes.plan=pro", False),
        ("attributes.city=Oslo", False),
        ("tag=vip&country=PL&last_seen_at_before=60d&locked=true&type=recognized&import=3", False),
    ):
        view = save_view(name=query[:60], query=query, is_shared=True, actor=mira_acts)
        assert view.names_people is names_people, query
        assert (view in visible_views(viewer)) is not names_people, query
        assert view in visible_views(sam_acts)
    own = save_view(name="own", query="q=ann", actor=viewer)
    assert own in visible_views(viewer)


def test_a_key_keeps_what_is_shared_alone(mira: User) -> None:
    key = Actor.of_key(create_key(name="shop", scopes=["all"], actor=Actor.system()).key)
    assert sentence(lambda: save_view(name="a", actor=key)) == (
        "Nobody would see this view: what an API key saves has to be shared."
    )
    view = save_view(name="a", is_shared=True, actor=key)
    with pytest.raises(Conflict):
        save_view(name="A", is_shared=True, actor=key)
    with pytest.raises(Invalid, match="“a” has no owner who could keep it. Delete it instead."):
        change_view(view_id=view.pk, is_shared=False, actor=Actor.of_user(mira))
    delete_view(view_id=view.pk, actor=Actor.of_user(mira))
    assert AuditEntry.objects.get(action="view.delete").detail == {"shared": True}


def test_what_an_owner_leaves_behind(mira: User, ada: User, mira_acts: Actor, sam_acts: Actor) -> None:
    for actor in (mira_acts, Actor.of_user(ada)):
        save_view(name="Team", is_shared=True, actor=actor)
        save_view(name="Own", actor=actor)
    mira.delete()
    ada.delete()
    assert list(SavedView.objects.values_list("name", "owner", "is_shared")) == [("Team", None, True)] * 2
    assert names(sam_acts) == ["Team", "Team"]


def test_two_ways_to_write_the_same_filters() -> None:
    one = QueryDict("country=PL&country=DE&tag=vip&sort=newest&view=3&after=9&type=")
    assert is_same_query(one, QueryDict("tag=vip&country=DE&country=PL"))
    assert not is_same_query(one, QueryDict("tag=vip&country=DE"))
    assert not is_same_query(one, QueryDict("tag=vip&country=DE&country=PL&sort=seen"))
    assert list_query(QueryDict("sort=seen&before=3&columns=city")).urlencode() == "sort=seen"
