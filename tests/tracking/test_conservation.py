"""Whatever an item says is in its event, on the profile, an alternate of it, or named in the receipt with a reason."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles.identity.field_names import fold_name, is_address, is_full_name
from profiles.identity.normalize import BadValue
from profiles.identity.values import decimal_text
from profiles.models import Alternate, Event, Identifier, Profile, Receipt
from profiles.tracking.http.batch import open_batch, read_entries
from profiles.tracking.http.body import parse
from profiles.tracking.ingest.ingest import ingest_items
from profiles.tracking.parse.item_types import ItemResult
from profiles.tracking.parse.message_ids import message_uuid
from profiles.tracking.parse.trait_names import field_of
from profiles.tracking.sources.write_keys import Sender
from profiles.values.attributes import CUSTOM, DEFAULTS, attribute_specs, clean_value, get_value
from tests.tracking.calls import make_sender

pytestmark = pytest.mark.django_db

_serial = itertools.count(1)
TEXTS = st.one_of(
    st.text(st.one_of(st.characters(), st.sampled_from(["\x00", "\ud800", "a", "/", "~"])), max_size=6),
    st.sampled_from(["Ann", "Lee, Ann", "1990-01-02", "+4790000000", "DE", "vip, new", "x" * 300]),
)
NUMBERS = st.one_of(st.integers(), st.integers(-(2**70), 2**90), st.floats())
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, TEXTS)
NAMES = st.one_of(
    st.sampled_from(
        "firstName first_name GivenName lastName surname name fullName phone mobile Mobile address city town address_city"
        " zip state country birthday gender locale language Plan plan tags Tags uuid clientId"
        " segments createdAt two\N{SPACE}words".split(" ")
    ),
    st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("\x00/~")), max_size=6),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.one_of(st.dictionaries(NAMES, JSON, max_size=6), st.dictionaries(NAMES, JSON, max_size=6), JSON)
ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["identify", "identify", "update", "track", "page", "screen", "group"])},
    optional={
        "traits": OBJECTS,
        "properties": OBJECTS,
        "context": OBJECTS,
        "name": JSON,
        "category": JSON,
        "channel": st.sampled_from(["web", "server"]),
        "integrations": JSON,
        "note": JSON,
    },
)


def leaves(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """Every value that is none in itself, with its JSON pointer, as names and texts can be stored."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{pointer}/{part(fit(name))}")
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from leaves(inner, f"{pointer}/{position}")
    elif value not in (None, ""):
        yield pointer, fit(value) if isinstance(value, str) else value


def part(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def fit(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text if char != "\x00")


def stored_parts(event: Event, kind: str) -> dict[str, Any]:
    """The event as the item it was."""
    envelope = event.envelope or {}
    main = "traits" if kind in ("identify", "update", "group") else "properties"
    named = event.properties if kind in ("page", "screen") else {}
    parts = {
        main: event.properties,
        "context": event.context,
        "channel": envelope.get("channel"),
        "name": envelope.get("name") or named.get("name"),
        "category": envelope.get("category") or named.get("category"),
    }
    return {**parts, **envelope.get("rest", {})}


class Kept:
    """What became of one item."""

    def __init__(self, item: dict[str, Any], result: ItemResult, receipt: Receipt) -> None:
        self.item, self.result, self.problems = item, result, receipt.problems or []
        self.places = [str(problem["pointer"]) for problem in self.problems]
        self.payload = receipt.payload
        self.event = Event.objects.filter(message_id=message_uuid(item["messageId"])).first()
        self.profile = Profile.objects.filter(pk=result.profile_id).first() if result.profile_id else None

    def check(self) -> None:
        kept = self.payload if self.result.is_rejected else stored_parts(self._event(), self.item["type"])
        stored = dict(leaves(kept, ""))
        for name in (
            "traits",
            "properties",
            "context",
            "name",
            "category",
            "channel",
            "integrations",
            "note",
        ):
            for pointer, leaf in leaves(self.item.get(name), f"/{name}"):
                is_stored = pointer in stored and same(stored[pointer], leaf)
                assert is_stored or self.is_named(pointer, leaf), (pointer, leaf, kept, self.problems)
        if self.profile is not None and self.item["type"] in ("identify", "update"):
            for name, raw in self._event().properties.items():
                self.check_trait(name, raw)

    def _event(self) -> Event:
        assert self.event is not None, (self.item, self.result)
        return self.event

    def is_named(self, pointer: str, leaf: Any) -> bool:
        """Whether a problem has the value, or the sentence about a part of the item that it is in."""
        for problem in self.problems:
            if problem["pointer"] == pointer and str(problem["value"]) in (str(leaf), f"{leaf}"[:255]):
                return True
            if problem["code"] == "not_storable" or (
                problem["code"] == "name_taken" and pointer.startswith(problem["pointer"])
            ):
                return True
        return False

    def check_trait(self, name: str, raw: Any) -> None:
        """A trait is on the profile, an alternate, an identifier or tags of it, or named in the receipt."""
        if raw in (None, "", [], {}) or (isinstance(raw, str) and not raw.strip()):
            return
        path = f"/traits/{part(name)}"
        match = field_of(name)
        fields = [match[0]] if match else ["first_name", "last_name"] if is_full_name(name) else []
        if is_address(name) and isinstance(raw, dict):
            named = {f"/traits/{field}" for field in Profile.FIELDS}
            for inner, value in raw.items():
                if value not in (None, "", [], {}):
                    is_named = (named | {f"/traits/address_{part(inner)}"}) & set(self.places)
                    assert is_named or self.has_anywhere(value), (name, raw, self.problems)
            return
        if is_address(name):
            fields = ["street"]
        if any(place in (path, *(f"/traits/{field}" for field in fields)) for place in self.places):
            return
        if fold_name(name) == "tags":
            return  # its own test
        specs = attribute_specs()
        spec = next((spec for key, spec in specs.items() if key.lower() == (CUSTOM + name).lower()), None)
        wanted = {json.dumps(cleaned(DEFAULTS[field], raw)) for field in fields if not is_full_name(name)}
        if spec is not None:
            wanted.add(json.dumps(cleaned(spec, raw)))
        if is_full_name(name):
            own = [value for field in fields for value in self.values_of(field) if value]
            assert own or cleaned(DEFAULTS["last_name"], raw) is None, raw
            return
        keys = [*fields, *([spec.field] if spec is not None else [])]
        have = {json.dumps(value) for key in keys for value in self.values_of(key)}
        assert wanted & have, (name, raw, wanted, have, self.problems)

    def values_of(self, key: str) -> list[Any]:
        assert self.profile is not None
        others = Alternate.objects.filter(profile=self.profile, field=key).values_list("value", flat=True)
        return [get_value(self.profile, key), *others]

    def has_anywhere(self, raw: Any) -> bool:
        for key in Profile.FIELDS:
            if json.dumps(cleaned(DEFAULTS[key], raw)) in {
                json.dumps(value) for value in self.values_of(key)
            }:
                return True
        own = self.profile.attributes if self.profile is not None else {}
        return any(str(raw).strip() == str(value).strip() or raw == value for value in own.values())


def same(stored: Any, sent: Any) -> bool:
    """PostgreSQL keeps the digits of a float, and gives them back as a whole number where they are one."""
    if isinstance(sent, float) and isinstance(stored, (int, float)) and not isinstance(stored, bool):
        return float(stored) == sent
    return bool(stored == sent) and isinstance(stored, bool) == isinstance(sent, bool)


def cleaned(spec: Any, raw: Any) -> Any:
    if not spec.is_custom and isinstance(raw, (int, float)) and not isinstance(raw, bool):
        raw = decimal_text(raw)
    try:
        return clean_value(spec, raw)
    except BadValue:
        return "a value that cannot be read"


def send(sender: Sender, items: list[dict[str, Any]]) -> list[Kept]:
    """Through the body's parser, as they come over the wire."""
    sent = []
    for item in items:
        number = next(_serial)
        named = {**item, "messageId": f"m-{number}", "anonymousId": f"b-{number}"}
        sent.append({**named, "event": "Looked"} if item["type"] == "track" else named)
        if item["type"] == "group":
            sent[-1]["groupId"] = "g"
    body = json.dumps({"batch": sent}).encode()
    entries = list(read_entries(open_batch(parse(body), kind=None), received_at=timezone.now()))
    results = ingest_items(entries, sender=sender).results
    by_message = {row.message_id: row for row in Receipt.objects.order_by("-pk")[: len(sent)]}
    return [
        Kept(item, result, by_message[item["messageId"]]) for item, result in zip(sent, results, strict=True)
    ]


def play(items: list[dict[str, Any]], kind: str) -> None:
    with transaction.atomic():
        for kept in send(make_sender(kind), items):
            kept.check()
        transaction.set_rollback(True)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(ITEMS, min_size=1, max_size=6), st.sampled_from(["server", "web"]))
def test_nothing_an_item_says_vanishes(items: list[dict[str, Any]], kind: str) -> None:
    play(items, kind)


@pytest.mark.soak
@settings(max_examples=4_000, suppress_health_check=list(HealthCheck))
@given(st.lists(ITEMS, min_size=25, max_size=25), st.sampled_from(["server", "web"]))
def test_nothing_of_100_000_items_vanishes(items: list[dict[str, Any]], kind: str) -> None:
    play(items, kind)


# --- The parts, one by one --------------------------------------------------------------------------------


@pytest.fixture
def server(db: None) -> Sender:
    return make_sender("server")


def problems_of(kept: Kept) -> list[tuple[str, str, Any]]:
    return [(problem["code"], problem["pointer"], problem["value"]) for problem in kept.problems]


def test_what_cannot_be_stored_is_named_with_its_value(server: Sender) -> None:
    properties = {"a": float("inf"), "b": 12345678901234567890123, "c\x00": "x\x00y", "c": 2, "d": 1.5}
    (kept,) = send(server, [{"type": "track", "properties": properties}])
    assert kept._event().properties == {"a": None, "b": None, "c": 2, "d": 1.5}
    assert problems_of(kept) == [
        ("name_taken", "/properties/c", "xy"),
        ("number_too_large", "/properties/a", "inf"),
        ("number_too_large", "/properties/b", "12345678901234567890123"),
        ("text_cleaned", "/properties/c", "xy"),
    ]
    sentence = "This number has more digits than can be kept, so it was left out. Send it as text."
    assert sentence in [problem["message"] for problem in kept.problems]


@pytest.mark.parametrize("count", [60, 3000])
def test_of_very_many_the_rest_is_counted(server: Sender, count: int) -> None:
    (kept,) = send(server, [{"type": "track", "properties": {"list": [float("inf")] * count}}])
    assert len(kept.problems) == 51
    assert kept.problems[-1]["message"] == f"{count - 50:,} more values cannot be stored as they were sent."


@pytest.mark.parametrize("part", ["traits", "context"])
def test_what_is_no_object_stays_with_the_event(server: Sender, part: str) -> None:
    (kept,) = send(server, [{"type": "identify", part: ["a", {"b": 1}]}])
    assert (kept._event().envelope or {})["rest"] == {part: ["a", {"b": 1}]}
    (problem,) = kept.problems
    assert problem["message"] == f"“{part}” is not an object, so it was not used; it stays with the event."


def test_what_a_consent_says_besides_stays_with_the_event(server: Sender) -> None:
    about = {"channel": "email", "purpose": "news", "state": "granted", "note": "by phone", "wording": "Yes!"}
    (kept,) = send(server, [{"type": "consent", "properties": about}])
    event = kept._event()
    assert event.properties == {name: about[name] for name in ("channel", "purpose", "state", "wording")}
    assert (event.envelope or {})["rest"] == {"properties": {"note": "by phone"}}


def test_a_browser_that_a_call_does_not_give_to_anybody(server: Sender) -> None:
    """The sender's own wish: nothing to report."""
    (kept,) = send(server, [{"type": "identify", "traits": {"customId": "42"}, "context": {"adopt": False}}])
    assert (kept.result.outcome, kept.problems) == ("applied", [])
    # The profile has a browser id of its own, as every one does.
    made = Identifier.objects.get(type__name="anonymous_id")
    assert made.value != kept.item["anonymousId"]
    assert (kept._event().envelope or {})["anonymous_id"] == kept.item["anonymousId"]


@pytest.mark.parametrize("rest", ["", ', "properties": {"x": NaN}'])
def test_ids_keep_all_their_digits(server: Sender, rest: str) -> None:
    """Also where the parser would make the nearest float of them: two customers' ids would become one."""
    digits = "1" + "0" * 20
    ids = f'{{"type": "customId", "id": {digits}3}}'
    body = (
        f'{{"batch": [{{"type": "track", "event": "A", "userId": {digits}, "anonymousId": false{rest}}},'
        f' {{"type": "identify", "traits": {{"customId": {digits}1}}}},'
        f' {{"type": "track", "event": "B", "custom_identify": {digits}2, "messageId": {digits}}},'
        f' {{"type": "track", "event": "C", "context": {{"externalIds": [{ids}]}}}}]}}'
    )
    entries = list(read_entries(open_batch(parse(body.encode()), kind=None), received_at=timezone.now()))
    results = ingest_items(entries, sender=server).results
    assert [result.outcome for result in results] == ["applied"] * 4
    values = set(Identifier.objects.exclude(type__name="anonymous_id").values_list("type__name", "value"))
    assert values == {("customer_id", value) for value in (digits, f"{digits}1", f"{digits}2", f"{digits}3")}
    assert results[2].message_id == digits
