"""Raw items of calls into Items and RefusedItems."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.tracking.parse.item_types import KINDS, Item, RefusedItem
from profiles.tracking.parse.items import read_item
from profiles.tracking.parse.message_ids import column_text, message_uuid

NOW = datetime.datetime(2024, 6, 1, 12, 0, 0, tzinfo=datetime.UTC)
UUID = "0190a3c4-7f1e-7c52-9b1a-1f2e3d4c5b6a"


def read(raw: Any, **options: Any) -> Any:
    return read_item(raw, index=3, received_at=NOW, **options)


def track(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Order Completed", "userId": "42", "messageId": UUID, **fields}


def test_a_track_call() -> None:
    raw = track(
        anonymousId="b-1",
        properties={"sku": "A"},
        context={"userAgent": "Firefox", "userHash": "abc"},
        timestamp="2024-06-01T11:00:00Z",
        integrations={},
        channel="server",
    )
    assert read(raw) == Item(
        index=3,
        kind="track",
        name="Order Completed",
        message_id=uuid.UUID(UUID),
        message_text=UUID,
        user_id="42",
        anonymous_id="b-1",
        previous_id=None,
        group_id=None,
        external_ids=(),
        user_hash="abc",
        properties={"sku": "A"},
        context={"userAgent": "Firefox", "userHash": "abc"},
        occurred_at=NOW - datetime.timedelta(hours=1),
        received_at=NOW,
        envelope={"user_id": "42", "anonymous_id": "b-1", "channel": "server"},
        raw=raw,
    )


def test_the_path_says_what_it_is() -> None:
    assert read({"userId": "1", "traits": {"plan": "pro"}}, kind="identify").traits == {"plan": "pro"}
    assert read({"userId": "1", "type": "TRACK", "event": "X"}).kind == "track"
    entry = read({"userId": "1", "type": "order"})
    assert (entry.code, entry.message) == (
        "unknown_type",
        "“order” is not a type of call. Give one of identify, track, page, screen, group, alias, update, consent.",
    )
    assert read({"userId": "1"}).message.startswith("This item has no “type”. Give one of identify")


def refusals() -> list[tuple[Any, str, str]]:
    long = "x" * 256
    return [
        ("text", "not_an_object", "This item is not a JSON object."),
        (None, "not_an_object", "This item is not a JSON object."),
        (track(event=" "), "missing_event_name", "A track call needs the event's name in “event”."),
        (track(event={"a": 1}), "missing_event_name", "A track call needs the event's name in “event”."),
        (track(event=long), "name_too_long", "The event's name has 256 characters; the limit is 255."),
        (track(messageId=["a"]), "bad_message_id", "The messageId is neither a text nor a number."),
        (track(messageId=True), "bad_message_id", "The messageId is neither a text nor a number."),
        (track(userId=long), "id_too_long", "The userId has 256 characters; the limit is 255."),
        (track(userId={"id": 1}), "bad_id", "The userId is neither a text nor a number."),
        (track(userId=True), "bad_id", "The userId is neither a text nor a number."),
        (
            track(userId=""),
            "missing_identifier",
            "Give a userId, an anonymousId or one of context.externalIds.",
        ),
        (
            {"type": "identify", "traits": {"firstName": "Ann", "email": " "}},
            "missing_identifier",
            "Give a userId, an anonymousId, one of context.externalIds, or traits.email.",
        ),
        (
            {"type": "update", "traits": {"email": "ann@example.com"}},
            "missing_identifier",
            "Give a userId, an anonymousId or one of context.externalIds.",
        ),
        (
            {"type": "alias", "userId": "1"},
            "missing_identifier",
            "An alias call needs a previousId and a userId (or anonymousId).",
        ),
        (
            {"type": "alias", "previousId": "1"},
            "missing_identifier",
            "An alias call needs a previousId and a userId (or anonymousId).",
        ),
        ({"type": "group", "userId": "1"}, "missing_group_id", "A group call needs a groupId."),
        (
            {"type": "consent", "userId": "1", "channel": "email", "purpose": "news", "state": "maybe"},
            "bad_consent",
            "A consent's “state” is “granted” or “withdrawn”.",
        ),
        (
            {"type": "consent", "userId": "1", "purpose": "news", "state": "granted"},
            "bad_consent",
            "A consent needs a “channel” of 1 to 30 characters.",
        ),
    ]


@pytest.mark.parametrize(("raw", "code", "message"), refusals())
def test_refusals_say_why(raw: Any, code: str, message: str) -> None:
    entry = read(raw)
    assert isinstance(entry, RefusedItem)
    assert (entry.index, entry.code, entry.message, entry.raw, entry.outcome) == (
        3,
        code,
        message,
        raw,
        "invalid",
    )


def test_a_refusal_says_what_it_was() -> None:
    entry = read(track(userId={"id": 1}))
    assert (entry.kind, entry.name, entry.message_text) == ("track", "Order Completed", UUID)
    assert entry.problems == (
        {
            "pointer": "/userId",
            "value": "an object",
            "message": "The userId is neither a text nor a number.",
            "code": "bad_id",
        },
    )


def test_ids() -> None:
    for sent, kept in ((42, "42"), (42.0, "42"), (1.5, "1.5"), (" 42 ", " 42 "), (0, "0")):
        assert read(track(userId=sent)).user_id == kept
    assert read(track(userId=None, anonymousId="b")).user_id is None
    external = [
        {"type": "loyalty_card", "id": 7, "collection": "users", "encoding": "none"},
        {"type": "email", "id": "ann@example.com", "verified": True},
        {"type": "phone", "id": ""},
        {"id": "9"},
    ]
    item = read(track(userId=None, context={"externalIds": external}))
    assert item.external_ids == (("loyalty_card", "7", False), ("email", "ann@example.com", True))
    assert [problem["pointer"] for problem in item.problems] == ["/context/externalIds/3"]
    entry = read(track(context={"externalIds": [{"type": "email", "id": "x" * 300}]}))
    assert entry.code == "id_too_long"


def test_message_ids() -> None:
    item = read(track(messageId="ajs-1-abc"))
    assert item.message_id == message_uuid("ajs-1-abc") == read(track(messageId="ajs-1-abc")).message_id
    assert item.envelope["message_id"] == item.message_text == "ajs-1-abc"
    # Two spellings are two ids: whether a sender means the same by them is not ours to guess.
    assert message_uuid(UUID.upper()) != message_uuid(UUID) == uuid.UUID(UUID)
    made = read(track(messageId=None))
    assert made.message_id.version == 4
    assert made.message_text == str(made.message_id)
    assert read(track(messageId="")).message_id != made.message_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x" * 300 + "a", "x" * 300 + "b"),
        ("x" * 255, "x" * 256),
        ("é" * 400, "é" * 401),
        (7, 8),
        (2**63, 2**63 + 1),
        (0, "00"),
    ],
)
def test_message_ids_are_compared_whole(one: Any, other: Any) -> None:
    first, second = read(track(messageId=one)), read(track(messageId=other))
    assert first.message_id != second.message_id
    assert first.message_id == read(track(messageId=one)).message_id
    assert (first.message_text, first.envelope["message_id"]) == (str(one), str(one))
    # What the column of receipts has leads to the same event.
    kept = column_text(first.message_text)
    assert len(kept) <= 255
    assert message_uuid(kept) == first.message_id
    assert kept != column_text(second.message_text)


def test_a_whole_number_is_the_message_id_it_is_as_text() -> None:
    assert read(track(messageId=12)).message_id == read(track(messageId="12")).message_id
    assert read(track(messageId=12.0)).message_text == "12"


def test_a_batch_says_what_its_items_do_not() -> None:
    item = read(
        track(context={"ip": "1.1.1.1"}, timestamp="2024-05-01T10:00:00Z"),
        sent_at="2024-05-01T10:00:30Z",
        context={"ip": "2.2.2.2", "app": {"name": "Shop"}},
    )
    assert item.context == {"ip": "1.1.1.1", "app": {"name": "Shop"}}
    assert item.occurred_at == NOW - datetime.timedelta(seconds=30)
    assert item.envelope == {
        "user_id": "42",
        "marks": ["skewed"],
        "timestamp": "2024-05-01T10:00:00Z",
        "sent_at": "2024-05-01T10:00:30Z",
    }
    own = read(track(timestamp="2024-06-01T10:00:00Z", sentAt="2024-06-01T12:00:10Z"), sent_at="2020-01-01")
    assert own.occurred_at == NOW - datetime.timedelta(hours=2)
    # The client's first word on the time goes before one somebody corrected on the way.
    both = track(originalTimestamp="2024-06-01T09:00:00Z", timestamp="2024-06-01T10:00:00Z")
    assert read(both).occurred_at == NOW - datetime.timedelta(hours=3)


def test_what_is_wrong_is_left_out_and_said() -> None:
    item = read(track(properties=[1], context="x", timestamp="soon", sentAt="then"))
    assert (item.properties, item.context, item.occurred_at) == ({}, {}, NOW)
    assert [(problem["pointer"], problem["value"], problem["message"]) for problem in item.problems] == [
        ("/context", "x", "“context” is not an object, so it was not used; it stays with the event."),
        (
            "/properties",
            "a list",
            "“properties” is not an object, so it was not used; it stays with the event.",
        ),
        (
            "/timestamp",
            "soon",
            "The timestamp is not a time that can be stored; the time it arrived is used instead.",
        ),
    ]
    assert item.envelope["timestamp"] == "soon"


def test_traits_are_where_each_sdk_puts_them() -> None:
    around = {"traits": {"email": "ann@example.com", "plan": "free"}}
    item = read({"type": "identify", "userId": "1", "traits": {"plan": "pro"}, "context": around})
    assert item.traits == {"email": "ann@example.com", "plan": "pro"}
    # On other calls they are a copy of old news.
    assert read(track(context=around)).traits == {}
    assert read({"type": "update", "userId": "1", "context": around}).traits == {}
    group = read({"type": "group", "userId": "1", "groupId": 7, "traits": {"name": "Acme"}})
    assert (group.group_id, group.properties, group.traits) == ("7", {"name": "Acme"}, {})
    assert group.envelope == {"user_id": "1", "group_id": "7"}


def test_pages_consents_and_aliases() -> None:
    page = read(
        {"type": "page", "anonymousId": "b", "category": "Shop", "properties": {"name": "Home", "url": "/"}}
    )
    assert (page.name, page.properties) == ("Home", {"name": "Home", "url": "/", "category": "Shop"})
    assert read({"type": "screen", "anonymousId": "b"}).name == ""
    consent = {"channel": "email", "purpose": "newsletter", "state": "granted", "proof": {"form": "/signup"}}
    for said in (consent, {"properties": consent}):
        assert read({"type": "consent", "userId": "1", **said}).properties == consent
    words = {
        True: "granted",
        False: "withdrawn",
        "YES": "granted",
        " no ": "withdrawn",
        "denied": "withdrawn",
    }
    for word, state in words.items():
        assert read({"type": "consent", "userId": "1", **consent, "state": word}).properties["state"] == state
    for word in (None, "", 1, "maybe", ["granted"], {"granted": True}):
        assert read({"type": "consent", "userId": "1", **consent, "state": word}).code == "bad_consent"
    alias = read({"type": "alias", "previousId": "b", "userId": "1"})
    assert (alias.previous_id, alias.user_id) == ("b", "1")
    assert alias.envelope["previous_id"] == "b"


@pytest.mark.parametrize("kind", ["page", "screen"])
def test_what_a_page_or_screen_is_called_is_among_its_properties(kind: str) -> None:
    item = read({"type": kind, "anonymousId": "b", "name": "Pricing", "category": "Shop"})
    assert (item.name, item.properties) == ("Pricing", {"name": "Pricing", "category": "Shop"})
    # The SDK's own property wins; the other is kept as well.
    both = {"name": "pricing-page", "category": "shop", "url": "/"}
    item = read({"type": kind, "anonymousId": "b", "name": "Pricing", "category": "Shop", "properties": both})
    assert (item.name, item.properties) == ("Pricing", both)
    assert item.envelope == {"anonymous_id": "b", "name": "Pricing", "category": "Shop"}


_BESIDE: dict[str, Any] = {
    "channel": "mobile",
    "groupId": 7,
    "traits": {"plan": "pro"},
    "category": "Shop",
    "name": "Home",
    "previousId": "old",
    "properties": {"a": 1},
    "purpose": "newsletter",
    "state": "granted",
    "wording": "v1",
    "event": "Looked",
    "anything": [1],
}
_WHOLE: dict[str, dict[str, Any]] = {
    "track": {"event": "Looked"},
    "page": {},
    "screen": {},
    "identify": {},
    "update": {},
    "group": {"groupId": 7},
    "alias": {"previousId": "old"},
    "consent": {"channel": "email", "purpose": "newsletter", "state": "granted"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_an_item_is_lost(kind: str) -> None:
    """Whatever else a kind of call is sent with is found again on its event."""
    item = read({"type": kind, "userId": "42", **_BESIDE, **_WHOLE[kind]})
    assert isinstance(item, Item)
    envelope = dict(item.envelope or {})
    kept = {**envelope.pop("rest", {}), **envelope}
    if kind == "track":
        kept["event"] = item.name
    if kind != "consent":  # whose properties are the words of the consent
        own = "traits" if kind in ("identify", "update", "group") else "properties"
        kept[own] = {name: item.properties[name] for name in _BESIDE[own]}
    kept = {**item.properties, **kept}
    for name, value in {**_BESIDE, **_WHOLE[kind]}.items():
        column = {"groupId": "group_id", "previousId": "previous_id"}.get(name, name)
        if (kind, name) != ("consent", "properties"):
            assert kept.get(column, kept.get(name)) in (value, str(value)), (name, kept)


def test_names_nobody_knows_stay_in_the_envelope() -> None:
    item = read(track(integrations={"All": False}, campaign="spring", empty={}))
    assert item.envelope["rest"] == {"integrations": {"All": False}, "campaign": "spring"}


_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**63), max_value=2**64 - 1),
    st.floats(),
    st.text(max_size=300),
)
_json = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
_item = st.dictionaries(
    st.sampled_from(
        "type event name category userId anonymousId previousId groupId messageId properties traits context"
        " timestamp originalTimestamp sentAt channel purpose state other".split()
    ),
    _json | st.sampled_from(KINDS),
    max_size=12,
)
_likely = st.builds(
    lambda kind, ids, rest: {**rest, "type": kind, **ids},
    st.sampled_from(KINDS),
    st.fixed_dictionaries({"userId": _scalars, "previousId": _scalars}),
    _item,
)


@given(
    raw=st.one_of(_json, _item, _likely),
    kind=st.none() | st.sampled_from(KINDS),
    sent_at=_json,
    context=st.none() | st.dictionaries(st.sampled_from(["externalIds", "traits", "userHash", "x"]), _json),
)
def test_never_raises(raw: Any, kind: Any, sent_at: Any, context: Any) -> None:
    entry = read(raw, kind=kind, sent_at=sent_at, context=context)
    if isinstance(entry, RefusedItem):
        assert entry.code
        assert entry.message.endswith(".")
        assert len(entry.kind) <= 20
        assert max(len(entry.name), len(entry.message_text)) <= 255
        return
    assert entry.occurred_at.tzinfo is not None
    assert entry.occurred_at <= entry.received_at
    assert isinstance(entry.properties, dict)
    assert isinstance(entry.context, dict)
    assert entry.kind in KINDS
    assert entry.user_id or entry.anonymous_id or entry.external_ids
    assert message_uuid(entry.message_text) == entry.message_id


@given(st.text(max_size=255))
def test_one_text_is_one_id(text: str) -> None:
    assert message_uuid(text) == message_uuid(text)
    assert message_uuid(text + "x") != message_uuid(text)
