"""The card is made of panels: an app above adds one without the card knowing it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, get_args

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from cdp.models import User
from profiles.admin.card_panels import CardContext, CardPanel, Column, panels
from profiles.models import Profile
from profiles.privacy.delete import delete_profiles
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

Login = Callable[[User], Client]
Write = Callable[[str, str], str]
COLUMNS: tuple[Column, ...] = get_args(Column)


@contextmanager
def registered(*stubs: tuple[str, CardPanel, int]) -> Iterator[None]:
    """(name, panel, order) of panels that are there for a while."""
    for name, panel, order in stubs:
        panels.register(name, panel, order=order)
    try:
        yield
    finally:
        for name, _, _ in stubs:
            panels.unregister(name)


def card(client: Client, profile: Profile) -> str:
    response = client.get(f"/admin/profiles/profile/{profile.pk}/change/")
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def headings(page: str) -> dict[str, list[str]]:
    """Column → the titles of its panels, from the top."""
    starts = [page.index(f'card-part" id="{column}"') for column in COLUMNS]
    parts = zip(starts, [*starts[1:], len(page)], strict=True)
    titles = [re.findall(r"<h2[^>]*>(.*?)</h2>", page[start:end]) for start, end in parts]
    return dict(zip(COLUMNS, titles, strict=True))


OWN = {
    "about": [
        "Contact",
        "Consents",
        "Segments",
        "Attributes",
        "Tags",
        "Other identifiers",
        "Devices and browsers",
    ],
    "activity": ["Activity"],
    "duplicates": ["Possible duplicates", "Merged profiles", "Record"],
}


def test_a_panel_of_another_app_stands_in_its_place(
    ada: User, vic: User, as_user: Login, write_template: Write
) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com", tags=["vip"])

    def describe(context: CardContext) -> dict[str, Any]:
        emails = [row.identifier.value for row in context.identifiers if not row.is_browser]
        return {"stub_text": f"{context.root.pk} {emails} {context.may['change']}"}

    template = write_template(
        "stub/panel.html",
        "<section><h2>Segments</h2>{{ stub_text|safe }} of {{ shown.name }}, {{ may_see }}</section>",
    )
    client = as_user(ada)
    places: tuple[tuple[Column, int, int], ...] = (
        ("about", 15, 1),
        ("activity", 5, 0),
        ("duplicates", 99, 3),
    )
    for column, order, index in places:
        with registered(("stub", CardPanel(column, template, describe), order)):
            page = card(client, ann)
            titles = list(OWN[column])
            titles.insert(index, "Segments")
            assert headings(page) == {**OWN, column: titles}
            assert f"{ann.pk} ['ann@example.com'] True of Ann, True" in page
            masked = card(as_user(vic), ann)
            assert f"{ann.pk} ['a•••@e•••.com'] False of A•••, False" in masked
    assert headings(card(client, ann)) == OWN


def test_a_panel_is_there_for_who_has_its_permission(
    vic: User, as_user: Login, write_template: Write, by_staff: dict[str, Any]
) -> None:
    ann = make_profile(first_name="Ann")
    asked: list[int] = []

    def describe(context: CardContext) -> dict[str, Any]:
        asked.append(context.root.pk)
        return {"stub_text": "in Win-back"}

    template = write_template("stub/panel.html", "<h2>Segments</h2>{{ stub_text }}")
    with registered(("stub", CardPanel("about", template, describe, "profiles.merge_profile"), 0)):
        assert "in Win-back" not in card(as_user(vic), ann)
        assert asked == []
        vic.user_permissions.set(Permission.objects.filter(codename__in=["merge_profile", "view_deleted"]))
        assert "in Win-back" in card(as_user(vic), ann)
        delete_profiles(profile_ids=[ann.pk], **by_staff)
        assert "in Win-back" in card(as_user(vic), ann)
        assert asked == [ann.pk, ann.pk]


def test_two_panels_that_give_the_same_name_are_refused(ada: User, as_user: Login) -> None:
    ann, client = make_profile(first_name="Ann"), as_user(ada)

    def stub(name: str) -> CardPanel:
        return CardPanel("about", "admin/profiles/card_record.html", lambda card: {name: []})

    for name, owner in (
        ("tags", "The card panel “tags”"),
        ("stub_rows", "The card panel “one”"),
        ("may_see", "The card"),
        ("columns", "The card"),
    ):
        sentence = f"{owner} and the card panel “two” both give “{name}”."
        stubs = ("one", stub("stub_rows"), 100), ("two", stub(name), 200)
        with registered(*stubs), pytest.raises(ValueError, match=f"^{sentence}$"):
            card(client, ann)
    assert "Contact" in card(client, ann)
