"""The pages of event schemas: list, form row by row, what breaks them, adopting (T5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cdp.models import User
from cdp.ttl_cache import forget_all
from profiles.admin.schema_form_rows import read_rows, rows_of, specs_of
from profiles.models import EventSchema
from profiles.tracking.schemas.builtin import SCHEMAS
from profiles.tracking.schemas.edit import create_schema
from profiles.tracking.schemas.specs import clean_specs
from tests.tracking.calls import call, make_sender

pytestmark = pytest.mark.django_db
Login = Callable[[User], Client]


@pytest.fixture(autouse=True)
def _read_anew() -> None:
    forget_all()


@pytest.fixture
def dan(make_user: Callable[..., User]) -> User:
    """The data admin."""
    return make_user("dan", "data admin")


def url(page: str, *args: Any) -> str:
    return reverse(f"admin:profiles_eventschema_{page}", args=args)


def text(answer: Any) -> str:
    """The page's words, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def filled(**rows: dict[str, str]) -> dict[str, str]:
    """``filled(price={"type": "number"})``: the form's fields of properties."""
    found = {}
    for place, (name, fields) in enumerate(rows.items()):
        found[f"p{place}-name"] = name
        found |= {f"p{place}-{key}": value for key, value in fields.items()}
    return found


def form(**rows: dict[str, str]) -> dict[str, str]:
    return {"name": "Subscribed", "description": "", "mode": "", **filled(**rows)}


def messages(client: Client, answer: Any) -> str:
    return text(client.get(answer.headers["Location"]))


# --- Rights ---------------------------------------------------------------------------------------------


def test_who_may(olga: User, vic: User, dan: User, as_user: Login, by_system: dict[str, Any]) -> None:
    """Without rights nothing, viewers read, data admins write."""
    row = create_schema(name="Subscribed", properties={}, **by_system).schema
    call(make_sender("server"), {"type": "track", "event": "Seen", "userId": "1"})
    reads = [url("changelist"), url("change", row.pk), url("seen") + "?name=Seen"]
    forms = [url("add"), url("edit", row.pk), url("delete", row.pk)]
    nobody, viewer, admin = as_user(olga), as_user(vic), as_user(dan)
    assert {nobody.get(page).status_code for page in reads + forms} == {403}
    assert {viewer.get(page).status_code for page in reads} == {200}
    assert {viewer.get(page).status_code for page in forms} == {403}
    assert {viewer.post(page).status_code for page in [*forms, url("seen")]} == {403}
    assert {admin.get(page).status_code for page in reads + forms} == {200}
    assert "Add an event schema" not in text(viewer.get(url("changelist")))
    assert "Change the schema" not in text(viewer.get(url("change", row.pk)))
    assert admin.get(url("change", 10**9)).status_code == 404


# --- The list -------------------------------------------------------------------------------------------


def test_the_list_and_adopting(dan: User, as_user: Login) -> None:
    client = as_user(dan)
    page = text(client.get(url("changelist")))
    assert "Product Viewed built in" in page
    assert "Nothing else is sent Events without a schema appear here" in page
    sent = {"type": "track", "event": "Plan Chosen", "userId": "1", "properties": {"plan": "pro"}}
    call(make_sender("server", name="Billing"), sent)
    assert "Plan Chosen 1" in text(client.get(url("changelist")))
    page = text(client.get(url("seen") + "?name=Plan+Chosen"))
    assert "As the newest 1 event looks: Billing (1). It has no schema yet." in page
    answer = client.post(url("seen"), {"name": "Plan Chosen"})
    made = EventSchema.objects.get(name="Plan Chosen")
    assert answer.headers["Location"] == url("change", made.pk)
    assert (
        "“Plan Chosen” now has a schema. Events that do not fit are still stored until the schema or the source is set to reject them."
        in messages(client, answer)
    )
    assert client.get(url("seen") + "?name=Plan+Chosen").headers["Location"] == url("change", made.pk)
    again = client.post(url("seen"), {"name": "Plan Chosen"})
    assert "There is a schema of “Plan Chosen” already. Change that one." in messages(client, again)
    never = client.post(url("seen"), {"name": "Never"})
    assert "No event “Never” was seen yet." in messages(client, never)
    assert "No event of this name was seen" in text(client.get(url("seen") + "?name=Never"))
    assert client.get(url("seen")).status_code == 404


def test_adjusting_before_adopting(dan: User, as_user: Login) -> None:
    sent = {
        "type": "track",
        "event": "Plan Chosen",
        "userId": "1",
        "properties": {"plan": "pro", "cartId": "c"},
    }
    call(make_sender("server"), sent)
    page = as_user(dan).get(url("add") + "?name=Plan+Chosen").content.decode()
    assert 'value="Plan Chosen"' in page
    assert 'value="plan"' in page
    assert 'value="cart_id"' in page
    assert 'value="cartId"' in page


# --- The form -------------------------------------------------------------------------------------------


def test_describe_change_remove(dan: User, as_user: Login) -> None:
    client = as_user(dan)
    sent = form(
        plan={"type": "string", "required": "on", "aliases": "planName, Plan", "enum": "free\r\npro"},
        price={"type": "number", "minimum": "0", "maximum": "99.5", "description": "A month."},
        **{"seats[].email": {"type": "string"}, " ": {"type": "string"}},
    )
    answer = client.post(url("add"), sent)
    row = EventSchema.objects.get(name="Subscribed")
    assert answer.headers["Location"] == url("change", row.pk)
    assert "Saved. Events “Subscribed” are checked by it within five seconds." in messages(client, answer)
    assert row.properties == {
        "plan": {
            "type": "string",
            "required": True,
            "aliases": ["planName", "Plan"],
            "enum": ["free", "pro"],
        },
        "price": {"type": "number", "minimum": 0, "maximum": 99.5, "description": "A month."},
        "seats": {"type": "array", "items": {"email": {"type": "string"}}},
    }
    page = client.get(url("edit", row.pk)).content.decode()
    assert 'value="seats[].email"' in page
    # The form as it stands changes nothing.
    same = filled(**{one.name: fields_of(one) for one in rows_of(row.properties)})
    answer = client.post(url("edit", row.pk), {"mode": "", "version": "1", **same})
    assert "Nothing was changed." in messages(client, answer)
    answer = client.post(url("edit", row.pk), {"mode": "warn", "version": "1", **same})
    row.refresh_from_db()
    assert (row.mode, row.version) == ("warn", 2)
    assert "If an event does not fit: warn – store the event, report what is wrong here." in messages(
        client, answer
    )
    stale = client.post(url("edit", row.pk), {"mode": "", "version": "1", **same})
    assert "was changed by somebody else meanwhile. Look at it again; nothing was saved." in text(stale)
    assert "Exactly 1 schema is removed : Subscribed." in text(client.get(url("delete", row.pk)))
    answer = client.post(url("delete", row.pk))
    assert "Events “Subscribed” come in unchecked again." in messages(client, answer)
    assert not EventSchema.objects.filter(pk=row.pk).exists()


def fields_of(row: Any) -> dict[str, str]:
    names = ("type", "aliases", "enum", "minimum", "maximum", "pattern", "description")
    found = {name: getattr(row, name) for name in names}
    return {**found, "required": "on"} if row.is_required else found


def test_faults_stand_at_their_rows_and_nothing_is_lost(dan: User, as_user: Login) -> None:
    client = as_user(dan)
    sent = form(
        price={"type": "number", "minimum": "none"},
        name={"type": "string", "pattern": "(", "aliases": "price"},
        **{"list[].a": {"type": "text"}},
    )
    answer = client.post(url("add"), sent)
    page = answer.content.decode()
    assert answer.status_code == 200
    for sentence in (
        "The minimum of “price” is a number.",
        "The pattern of “name” is not a regular expression we can run (no look-around, no back-references).",
        "“price” is a property itself, so it cannot be another spelling of “name”.",
        "The type of “a” is one of string, number, integer, boolean, datetime, array, object.",
    ):
        assert page.count(sentence) == 1
    assert 'value="none"' in page
    assert page.count('aria-invalid="true"') == 3
    assert "Nothing was saved. Correct the marked properties." in page
    twice = {**form(price={"type": "number"}), "p7-name": "price", "p7-type": "string"}
    assert "“price” is described twice." in text(client.post(url("add"), twice))
    empty = {**form(), "name": " "}
    assert "Give the event's name, exactly as it is sent, of 1 to 255 characters." in text(
        client.post(url("add"), empty)
    ).replace("&#x27;", "'")
    assert not EventSchema.objects.filter(is_builtin=False).exists()


def test_more_rows_without_javascript(dan: User, as_user: Login) -> None:
    client = as_user(dan)
    before = client.get(url("add")).content.decode().count('class="prop"')
    sent = {**form(a={"type": "number"}, b={}, c={}, d={}), "more": "1"}
    page = client.post(url("add"), sent).content.decode()
    assert page.count('class="prop"') == before + 4
    assert not EventSchema.objects.filter(name="Subscribed").exists()


def test_a_shipped_one_stays(dan: User, as_user: Login) -> None:
    row = EventSchema.objects.get(name="Added to Cart")
    client = as_user(dan)
    assert "ships with the product and stays" in text(client.get(url("delete", row.pk)))
    answer = client.post(url("delete", row.pk))
    assert "ships with the product and stays." in messages(client, answer)
    assert EventSchema.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_rows_and_specs_are_the_same_thing(name: str) -> None:
    specs = SCHEMAS[name][1]
    rows = rows_of(specs)
    again = read_rows(filled(**{row.name: fields_of(row) for row in rows}))
    assert again == rows
    made, faults = specs_of(again)
    assert (clean_specs(made), faults) == ((specs, []), [])


# --- What breaks it -------------------------------------------------------------------------------------


def test_what_breaks_it(dan: User, vic: User, as_user: Login, by_system: dict[str, Any]) -> None:
    row = create_schema(
        name="Subscribed", properties={"email": {"type": "number"}}, mode="warn", **by_system
    ).schema
    forget_all()
    page = text(as_user(dan).get(url("change", row.pk)))
    assert "Every event of the last 14 days fitted." in page
    assert "Nobody has sent it yet." in page
    sent = [
        {
            "type": "track",
            "event": "Subscribed",
            "userId": "1",
            "properties": {"email": f"ann{place}@example.com"},
        }
        for place in range(25)
    ]
    call(make_sender("web", name="Shop"), *sent)
    call(make_sender("server", name="Billing"), {**sent[0], "properties": {"email": 1, "<blink>": 1}})
    answer = as_user(dan).get(url("change", row.pk))
    page = text(answer)
    assert "“email” is the text “ann24@example.com”; it must be a number." in page
    assert "Events that broke their schema, last 14 days" in answer.content.decode()
    assert "Newest events that did not fit" in page
    assert "25 from browsers, 1 from servers" in page
    assert "The browser sends text, the server a number." in page
    assert "<blink>" not in answer.content.decode()
    assert "&lt;blink&gt;" in answer.content.decode()
    older = re.search(r'rel="next" href="(\?after=\d+)', answer.content.decode())
    page = text(as_user(dan).get(url("change", row.pk) + older[1]))
    assert "ann4@example.com" in page
    assert "Newest events that did not fit" in page
    masked = as_user(vic).get(url("change", row.pk)).content.decode()
    assert "ann" not in masked.split("<main")[1]
    assert "“email” is •••, which breaks the schema." in masked
    listed = text(as_user(vic).get(url("changelist")))
    assert "Subscribed nothing 1 Warn 25 1" in listed


def test_query_counts(dan: User, as_user: Login, by_system: dict[str, Any]) -> None:
    client = as_user(dan)
    row = create_schema(
        name="Subscribed", properties={"a": {"type": "number"}}, mode="warn", **by_system
    ).schema
    forget_all()

    def count(page: str) -> int:
        client.get(page)  # the menu's counts are read anew after some seconds
        with CaptureQueriesContext(connection) as seen:
            assert client.get(page).status_code == 200
        return len(seen)

    def send(number: int, start: int) -> None:
        item = {"type": "track", "event": "Subscribed", "userId": "1"}
        many = [{**item, "properties": {"a": "x", f"b{place}": 1}} for place in range(start, start + number)]
        call(make_sender("server"), *many)
        call(make_sender("web"), {**item, "event": f"Other {start}"})

    send(1, 0)
    pages = (url("changelist"), url("change", row.pk), url("edit", row.pk), url("seen") + "?name=Other+0")
    before = [count(page) for page in pages]
    send(100, 1)
    for place in range(50):
        create_schema(name=f"Event {place}", properties={}, **by_system)
    assert [count(page) for page in pages] == before
