"""The tracking API's contract: every path, slash and method, three kinds of keys, exact bodies, limits, CORS.

Storing is played by ``Shelf``; tests/tracking/test_views_storing.py goes all the way.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest
from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import include, path

from cdp import ttl_cache
from cdp.actors import Actor
from cdp.api import throttling
from profiles.models import WriteKey
from profiles.tracking.http import urls as tracking_urls
from profiles.tracking.http import views
from profiles.tracking.ingest import ingest
from profiles.tracking.ingest.event_sql import Collision
from profiles.tracking.parse.item_types import (
    APPLIED,
    DUPLICATE,
    MERGED,
    QUARANTINED,
    SUPPRESSED,
    BatchEntry,
    BatchResult,
    ItemResult,
    RefusedItem,
)
from profiles.tracking.sources.sources import change_source, create_key, create_source, revoke_key

pytestmark = pytest.mark.django_db
urlpatterns = [path("collect/", include(tracking_urls))]

SYSTEM = Actor.system()
PAGE = "https://shop.example.com"
KINDS = ["identify", "track", "page", "screen", "group", "alias", "update", "consent"]
SHORT = dict(zip("itpsga", ["identify", "track", "page", "screen", "group", "alias"], strict=True))
SINGLES = {
    **{f"/v1/{kind}": kind for kind in KINDS},
    **{f"/v1/{letter}": kind for letter, kind in SHORT.items()},
    **{f"/api/s/{kind}": kind for kind in KINDS},
    **{f"/api/s/s2s/{kind}": kind for kind in KINDS},
}
BATCHES = ["/v1/batch", "/v1/b", "/beacon/v1/batch", "/v1/import", "/api/s/batch"]
CALLS = [*SINGLES, *BATCHES]
ENDS = ["", "/"]
TRACK = {"type": "track", "event": "Seen", "userId": "42", "messageId": "m-1"}


class Shelf:
    """Takes the place of storing: remembers what came, gives every item an outcome."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[BatchEntry], Any, dict[str, Any]]] = []
        self.outcomes: dict[int, str] = {}
        self.error: Exception | Callable[[Sequence[BatchEntry]], Exception | None] | None = None

    def ingest_items(self, entries: Sequence[BatchEntry], *, sender: Any, **options: Any) -> BatchResult:
        error = self.error(entries) if callable(self.error) else self.error
        if error is not None:
            raise error
        self.calls.append(([*entries], sender, options))
        results = [self._result(entry) for entry in entries]
        if options.get("is_strict") and any(result.is_rejected for result in results):
            raise ingest.StrictModeRefused([result for result in results if result.is_rejected])
        return BatchResult(results)

    def _result(self, entry: BatchEntry) -> ItemResult:
        if isinstance(entry, RefusedItem):
            return ItemResult(entry.index, entry.message_text, entry.outcome, entry.code, entry.message)
        outcome = self.outcomes.get(entry.index, APPLIED)
        return ItemResult(entry.index, entry.message_text, outcome, profile_id=7)

    @property
    def items(self) -> list[BatchEntry]:
        return self.calls[-1][0]

    @property
    def sender(self) -> Any:
        return self.calls[-1][1]


@pytest.fixture(autouse=True)
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    made = Shelf()
    monkeypatch.setattr(views, "ingest_items", made.ingest_items)
    return made


@pytest.fixture
def web_key() -> str:
    return create_source(name="Website", kind="web", actor=SYSTEM).write_key


@pytest.fixture
def server_key() -> str:
    return create_source(name="Backend", kind="server", actor=SYSTEM).write_key


def basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def post(address: str, content: Any, key: str | None = None, **headers: str) -> Any:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    if key is not None:
        headers["Authorization"] = basic(key)
    return Client(raise_request_exception=False).generic(
        "POST", address, data, content_type="text/plain", headers=headers
    )


def problem(response: HttpResponse) -> tuple[int, str, str]:
    """Status, code and message; and that the rest of the problem document fits them."""
    content = json.loads(response.content)
    assert response["Content-Type"] == "application/problem+json"
    assert content["status"] == response.status_code
    assert content["detail"] == content["message"]
    assert isinstance(content["code"], str)
    assert content["type"] == f"urn:cdp:problem:{content['code']}"
    assert content["title"]
    return response.status_code, content["code"], content["message"]


# --- Addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("address", "kind"), SINGLES.items())
def test_a_call_of_each_kind_is_taken(
    address: str, kind: str, end: str, server_key: str, shelf: Shelf
) -> None:
    answer = {"userId": "42", "previousId": "41", "groupId": "7", "event": "Seen", "messageId": "m-1"}
    if kind == "consent":
        answer |= {"channel": "email", "purpose": "newsletter", "state": "withdrawn"}
    response = post(address + end, answer, server_key)
    assert response.status_code == 200
    assert response.json() == {
        "success": True,
        "received": 1,
        "accepted": 1,
        "duplicates": 0,
        "rejected": 0,
        "errors": [],
    }
    (item,) = shelf.items
    assert (item.kind, item.message_text) == (kind, "m-1")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("address", BATCHES)
def test_a_batch_is_taken(address: str, end: str, server_key: str, shelf: Shelf) -> None:
    response = post(address + end, {"batch": [TRACK, {**TRACK, "messageId": "m-2"}]}, server_key)
    assert response.json()["accepted"] == 2
    assert [item.message_text for item in shelf.items] == ["m-1", "m-2"]
    assert shelf.calls[0][2]["is_quiet"] is (address == "/v1/import")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("address", CALLS)
def test_no_other_method_is_taken_nor_redirected(
    address: str, end: str, server_key: str, shelf: Shelf
) -> None:
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"):
        response = Client().generic(method, address + end, headers={"Authorization": basic(server_key)})
        assert (response.status_code, response["Allow"]) == (405, "POST, OPTIONS")
        if method != "HEAD":
            assert problem(response) == (
                405,
                "method_not_allowed",
                f"{method} is not allowed here. Use POST.",
            )
    assert shelf.calls == []


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("address", "methods"),
    [
        *[(address, "POST, OPTIONS") for address in CALLS],
        ("/v1/projects/nobodys/settings", "GET, HEAD, OPTIONS"),
        ("/sourceConfig", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_are_answered_before_anybody_is_asked(
    address: str, methods: str, end: str, django_assert_num_queries: Any
) -> None:
    asked = "authorization, anonymousid, x-something-of-next-year"
    headers = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }
    with django_assert_num_queries(0):
        response = Client().options(address + end, headers=headers)
    assert response.status_code == 204
    assert response["Access-Control-Allow-Origin"] == PAGE
    assert response["Access-Control-Allow-Headers"] == asked
    assert response["Access-Control-Allow-Methods"] == methods
    assert response["Access-Control-Max-Age"] == "86400"
    assert "Origin" in response["Vary"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("address", ["/v1/projects/x/settings", "/sourceConfig"])
def test_settings_are_not_posted_to(address: str, end: str) -> None:
    response = post(address + end, {})
    assert problem(response) == (405, "method_not_allowed", "POST is not allowed here. Use GET.")


def test_the_door_works_alone_and_under_a_prefix(web_key: str) -> None:
    with override_settings(ROOT_URLCONF="profiles.tracking.http.urls"):
        assert post("/v1/track", TRACK, web_key).status_code == 200
        assert Client().get(f"/v1/projects/{web_key}/settings").status_code == 200
    with override_settings(ROOT_URLCONF=__name__):
        assert post("/collect/v1/t/", TRACK, web_key).status_code == 200
        settings = Client().get(f"/collect/v1/projects/{web_key}/settings").json()
    assert settings["integrations"]["Segment.io"]["apiHost"] == "testserver/collect/v1"


def test_a_kind_that_is_none_is_named(server_key: str) -> None:
    message = f"“sing” is not a kind of call. Known kinds: {', '.join(KINDS)}."
    assert problem(post("/api/s/sing", TRACK, server_key)) == (400, "unknown_type", message)


@override_settings(SECURE_SSL_REDIRECT=True)
def test_plain_http_is_refused_and_not_redirected(server_key: str, shelf: Shelf) -> None:
    refused = (403, "https_required", "Write keys travel over HTTPS only. Use https:// in the address.")
    for address in ("/v1/track", "/beacon/v1/batch/", "/api/s/track"):
        assert problem(post(address, TRACK, server_key)) == refused
    assert problem(Client().get("/sourceConfig/?writeKey=x")) == refused
    assert shelf.calls == []
    secure = Client().post(
        "/v1/track",
        json.dumps(TRACK),
        content_type="text/plain",
        secure=True,
        headers={"X-Write-Key": server_key},
    )
    assert secure.status_code == 200


# --- Keys -------------------------------------------------------------------------------------------------


def test_a_key_is_taken_from_each_of_its_places(server_key: str, shelf: Shelf) -> None:
    with_key = {**TRACK, "writeKey": server_key}
    calls = [
        post("/v1/track", TRACK, server_key),
        post("/v1/track", TRACK, Authorization=basic(server_key, "secret")),
        post("/v1/track", TRACK, Authorization=basic(server_key).rstrip("=").replace("Basic", "basic")),
        post("/v1/track", TRACK, **{"X-Write-Key": server_key}),
        post(f"/v1/track?writeKey={server_key}", TRACK),
        post("/v1/track", with_key),
        post("/v1/batch", {"batch": [TRACK], "writeKey": server_key}),
        post("/v1/batch", {"batch": [with_key]}),
        post("/v1/batch", [with_key]),
        # As Jitsu's clients want it, and in small letters.
        post("/v1/track", TRACK, **{"X-Write-Key": f"{server_key}:secret"}),
        post("/v1/batch", {"batch": [TRACK], "writeKey": f"{server_key}:secret"}),
        post(f"/v1/track?writekey={server_key}", TRACK),
        post("/v1/track", {**TRACK, "writekey": server_key}),
        post("/v1/batch", {"batch": [TRACK], "writekey": server_key}),
    ]
    assert [call.status_code for call in calls] == [200] * len(calls)
    for entries, sender, _ in shelf.calls:
        assert sender.source.name == "Backend"
        assert not {"writeKey", "writekey"} & entries[0].raw.keys()


def test_the_first_place_that_has_a_key_decides(server_key: str, web_key: str, shelf: Shelf) -> None:
    everywhere = post(
        f"/v1/track?writeKey={web_key}",
        {**TRACK, "writeKey": "body"},
        Authorization=basic(server_key),
        **{"X-Write-Key": web_key},
    )
    assert everywhere.status_code == 200
    assert shelf.sender.source.name == "Backend"
    wrong_first = post(f"/v1/track?writeKey={web_key}", TRACK, "wrong")
    assert wrong_first.status_code == 401
    not_basic = post(f"/v1/track?writeKey={web_key}", TRACK, Authorization="Bearer of-another-kind")
    assert not_basic.status_code == 200
    unreadable = post(f"/v1/track?writeKey={web_key}", TRACK, Authorization="Basic \xff%")
    assert unreadable.status_code == 200
    assert shelf.sender.source.name == "Website"


NO_KEY = (
    401,
    "missing_write_key",
    "The call has no write key. Send it as the user name of Basic authentication, X-Write-Key or writeKey.",
)
WRONG_KEY = (
    401,
    "unknown_write_key",
    "This write key is unknown or was revoked. A source's page shows its keys.",
)


@pytest.mark.parametrize("address", CALLS)
def test_without_a_key_that_works_nothing_is_taken(address: str, server_key: str, shelf: Shelf) -> None:
    answer = {"batch": [TRACK]} if address in BATCHES else TRACK
    assert problem(post(address, answer)) == NO_KEY
    assert problem(post(address, {**answer, "writeKey": 5})) == NO_KEY
    assert problem(post(address, answer, "not-a-key")) == WRONG_KEY
    assert problem(post(address, {**answer, "writeKey": "x" * 999})) == WRONG_KEY
    revoke_key(key_id=WriteKey.objects.get().pk, actor=SYSTEM)
    revoked = post(address, answer, server_key)
    assert problem(revoked) == WRONG_KEY
    # A browser would open a password window.
    assert "WWW-Authenticate" not in revoked
    assert shelf.calls == []


def test_a_wrong_key_in_a_header_is_refused_before_the_body_is_read(shelf: Shelf) -> None:
    assert problem(post("/v1/batch", b"[" * 100_000, "wrong")) == WRONG_KEY
    assert problem(post("/v1/batch", b" " * (4 * 1024 * 1024 + 1)))[0] == 413


def test_made_up_keys_stop_reaching_the_database(
    server_key: str, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post("/v1/track", TRACK, server_key).status_code == 200
    monkeypatch.setattr(throttling, "STRANGERS_PER_MINUTE", 20)
    guesses = [post("/v1/track", TRACK, uuid.uuid4().hex) for _ in range(25)]
    assert [guess.status_code for guess in guesses] == [401] * 20 + [429] * 5
    with django_assert_num_queries(0):
        assert post("/v1/track", TRACK, uuid.uuid4().hex).status_code == 429
    # A key in use is not held up by those who guess.
    assert post("/v1/track", TRACK, server_key).status_code == 200


# --- What comes back --------------------------------------------------------------------------------------


def test_every_item_has_its_outcome_and_rejected_ones_their_reason(server_key: str, shelf: Shelf) -> None:
    shelf.outcomes = {1: DUPLICATE, 2: MERGED, 3: SUPPRESSED, 4: QUARANTINED}
    items = [*({**TRACK, "messageId": f"m-{n}"} for n in range(5)), {"type": "track", "messageId": "bad"}, 7]
    answer = post("/v1/batch", {"batch": items}, server_key).json()
    errors = answer.pop("errors")
    assert answer == {"success": True, "received": 7, "accepted": 3, "duplicates": 1, "rejected": 3}
    assert [(error["index"], error["messageId"], error["code"]) for error in errors] == [
        (4, "m-4", "quarantined"),
        (5, "bad", errors[1]["code"]),
        (6, "", "not_an_object"),
    ]
    assert all(set(error) == {"index", "messageId", "code", "message"} for error in errors)
    assert errors[2]["message"].endswith(".")


def test_receipts_are_for_server_keys_that_ask(server_key: str, web_key: str, shelf: Shelf) -> None:
    shelf.outcomes = {1: DUPLICATE, 2: SUPPRESSED}
    call = {
        "batch": [{**TRACK, "messageId": f"m-{n}"} for n in range(3)] + [{"type": "sing", "messageId": "x"}]
    }
    assert "receipts" not in post("/v1/batch", call, server_key).json()
    answer = post("/v1/batch?receipts=true", call, server_key).json()
    assert answer["receipts"] == [
        {"index": 0, "messageId": "m-0", "outcome": "applied", "profile_id": 7, "problems": []},
        {"index": 1, "messageId": "m-1", "outcome": "duplicate", "problems": []},
        {"index": 2, "messageId": "m-2", "outcome": "suppressed", "problems": []},
        {"index": 3, "messageId": "x", "outcome": "invalid", "code": "unknown_type", "problems": []},
    ]
    for key, origin in ((web_key, {}), (web_key, {"Origin": PAGE}), (server_key, {"Origin": PAGE})):
        answer = post("/v1/batch?receipts=true", call, key, **origin).json()
        assert "receipts" not in answer
        assert "7" not in json.dumps(answer)


def test_a_server_key_in_a_page_has_the_rights_of_a_web_key(server_key: str, shelf: Shelf) -> None:
    """Everybody can read it there."""
    post("/v1/track", TRACK, server_key)
    assert not shelf.sender.is_web
    assert post("/v1/track", TRACK, server_key, Origin=PAGE).status_code == 200
    assert shelf.sender.is_web


@pytest.mark.parametrize("outcome", [APPLIED, MERGED, SUPPRESSED])
def test_a_web_key_is_told_the_same_of_everybody(outcome: str, web_key: str, shelf: Shelf) -> None:
    shelf.outcomes = {0: outcome}
    plain = {"success": True, "received": 1, "accepted": 1, "duplicates": 0, "rejected": 0, "errors": []}
    assert post("/v1/identify", {"userId": "42"}, web_key).json() == plain


def test_strict_mode_takes_all_or_nothing(server_key: str, shelf: Shelf) -> None:
    strict = {"X-Strict-Mode": "1"}
    assert post("/v1/batch", {"batch": [TRACK]}, server_key, **strict).status_code == 200
    assert shelf.calls[-1][2]["is_strict"] is True
    response = post("/v1/batch", {"batch": [TRACK, {"type": "sing", "messageId": "x"}]}, server_key, **strict)
    message = "1 of 2 items are not valid, and X-Strict-Mode is on: nothing was stored."
    assert problem(response) == (400, "strict_refused", message)
    answer = response.json()
    assert (answer["success"], answer["received"], answer["accepted"], answer["rejected"]) == (False, 2, 0, 1)
    assert [(error["index"], error["messageId"], error["code"]) for error in answer["errors"]] == [
        (1, "x", "unknown_type")
    ]
    assert post("/v1/batch", {"batch": [TRACK, 1]}, server_key, **{"X-Strict-Mode": "0"}).status_code == 200


# --- Forms and limits of a call ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "said", "kinds"),
    [
        ("/v1/batch", [], []),
        ("/v1/batch", {"batch": []}, []),
        ("/v1/batch", TRACK, ["track"]),
        ("/v1/batch", [TRACK, {**TRACK, "type": "page"}], ["track", "page"]),
        # An SDK pointed at the wrong address still says what it means.
        (
            "/v1/track",
            {"batch": [{**TRACK, "type": "page"}, {"userId": "1", "event": "a"}]},
            ["page", "track"],
        ),
        ("/v1/page", TRACK, ["page"]),
    ],
)
def test_each_form_of_a_body_is_read(
    address: str, said: Any, kinds: list[str], server_key: str, shelf: Shelf
) -> None:
    assert post(address, said, server_key).json()["accepted"] == len(kinds)
    assert [item.kind for items, *_ in shelf.calls for item in items] == kinds


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (7, (400, "not_an_object", "The body is neither a JSON object nor a list of them.")),
        ("text", (400, "not_an_object", "The body is neither a JSON object nor a list of them.")),
        (None, (400, "not_an_object", "The body is neither a JSON object nor a list of them.")),
        ({"batch": {}}, (400, "invalid_batch", "“batch” is not a list of items.")),
        ({"batch": None}, (400, "invalid_batch", "“batch” is not a list of items.")),
        (
            [1] * 2501,
            (413, "too_many_items", "The batch has 2,501 items; the limit is 2,500. Send smaller batches."),
        ),
        (b"", (400, "empty_body", "The body is empty. Send a JSON object.")),
        (b"{", (400, "invalid_json", "The body is not JSON at line 1, column 2.")),
        (
            b'{"context":{"a":' + b"[" * 60 + b"]" * 60 + b'},"batch":[]}',
            (400, "too_deep", "The batch's context nests more than 40 levels."),
        ),
    ],
)
@pytest.mark.parametrize("address", ["/v1/batch", "/v1/track"])
def test_what_is_no_call_says_why(
    address: str, said: Any, expected: tuple[int, str, str], server_key: str, shelf: Shelf
) -> None:
    assert problem(post(address, said, server_key)) == expected
    assert shelf.calls == []


def test_two_and_a_half_thousand_items_are_taken(server_key: str, shelf: Shelf) -> None:
    assert post("/v1/batch", {"batch": [TRACK] * 2500}, server_key).json()["received"] == 2500


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_an_item_too_large_or_too_deep_is_rejected_and_the_batch_kept(server_key: str, shelf: Shelf) -> None:
    def sized(size: int) -> dict[str, Any]:
        bare = len(json.dumps({**TRACK, "properties": {"a": ""}}, separators=(",", ":")))
        return {**TRACK, "properties": {"a": "x" * (size - bare)}}

    items = [
        sized(32 * 1024),
        {**sized(32 * 1024 + 1), "messageId": "m-1"},
        {**TRACK, "properties": nested(39)},
        {**TRACK, "properties": nested(40)},
        {**TRACK, "properties": nested(900)},
        {**TRACK, "properties": {str(n): n for n in range(200_000)}},
        TRACK,
    ]
    answer = post("/v1/batch", {"batch": items}, server_key).json()
    assert (answer["received"], answer["accepted"], answer["rejected"]) == (7, 3, 4)
    large = "This item is over 32 KB. Send less in its properties."
    deep = "This item nests more than 40 levels of lists and objects."
    assert [(error["index"], error["code"], error["message"]) for error in answer["errors"]] == [
        (1, "too_large", large),
        (3, "too_deep", deep),
        (4, "too_deep", deep),
        (5, "too_large", large),
    ]
    refused = shelf.items[1]
    assert (refused.kind, refused.name, refused.message_text) == ("track", "Seen", "m-1")
    # Kept for the inbox; what is nested too deeply is not.
    assert refused.raw == items[1]
    assert [shelf.items[place].raw is None for place in (3, 4, 5)] == [True, True, False]


def test_a_batchs_context_counts_for_every_item(server_key: str) -> None:
    """Or 2,500 small items would be stored with a megabyte each."""
    call = {"batch": [TRACK], "context": {"a": "x" * 33_000}}
    assert post("/v1/batch", call, server_key).json()["errors"][0]["code"] == "too_large"


def test_values_are_clean_before_they_are_stored(server_key: str, shelf: Shelf) -> None:
    body = (
        b'{"batch": [{"type": "track", "userId": "4\\u00002", "event": "Seen",'
        b' "properties": {"a": NaN, "b": 1e400, "c\\ud800": "\\udfff", "d": 99999999999999999999, "e": 1.5}}],'
        b' "context": {"ip": "\\u0000"}, "sentAt": "\\u0000"}'
    )
    assert post("/v1/batch", body, server_key).json()["accepted"] == 1
    raw = shelf.items[0].raw
    assert raw["userId"] == "42"
    assert raw["properties"] == {"a": None, "b": None, "c\ufffd": "\ufffd", "d": None, "e": 1.5}


# --- Pages ------------------------------------------------------------------------------------------------


def test_a_web_key_writes_from_its_own_pages_alone(web_key: str, server_key: str, shelf: Shelf) -> None:
    source_id = WriteKey.objects.get(kind="web").source_id
    assert post("/v1/track", TRACK, web_key, Origin="https://anywhere.example").status_code == 200
    change_source(source_id=source_id, changes={"allowed_origins": [PAGE]}, actor=SYSTEM)
    assert post("/v1/track", TRACK, web_key, Origin=PAGE).status_code == 200
    stranger = post("/v1/track", TRACK, web_key, Origin="https://evil.example")
    message = "This write key may not be used from {}. Its source's settings list the allowed web addresses."
    assert problem(stranger) == (403, "origin_not_allowed", message.format("https://evil.example"))
    # Its page can read that, and stops.
    assert stranger["Access-Control-Allow-Origin"] == "https://evil.example"
    nowhere = post("/v1/track", {**TRACK, "writeKey": web_key})
    assert problem(nowhere) == (403, "origin_not_allowed", message.format("a call without Origin"))
    backend = create_key(source_id=source_id, kind="server", actor=SYSTEM).write_key
    assert post("/v1/track", TRACK, backend).status_code == 200
    assert len(shelf.calls) == 3


@pytest.mark.parametrize(
    ("content", "key", "status"),
    [(TRACK, True, 200), (TRACK, False, 401), (b"{", True, 400), (b" " * 4_194_305, True, 413)],
)
def test_a_page_can_read_every_answer(content: Any, key: bool, status: int, web_key: str) -> None:
    response = post("/v1/track", content, web_key if key else None, Origin=PAGE)
    assert response.status_code == status
    assert response["Access-Control-Allow-Origin"] == PAGE
    assert response["Access-Control-Allow-Credentials"] == "true"
    assert "Retry-After" in response["Access-Control-Expose-Headers"]
    assert response["Vary"].startswith("Origin")
    assert not response.cookies
    assert "Access-Control-Allow-Origin" not in post("/v1/track", content, web_key if key else None)


# --- Not now ----------------------------------------------------------------------------------------------


def database_error(kind: type[Exception], cause: Exception) -> Exception:
    error = kind(str(cause))
    error.__cause__ = cause
    return error


AWAY = "The database cannot be reached right now. Nothing was stored; send the call again."
FULL = "The disk of the database is full. Nothing was stored or changed. Try again once there is room on it."
MET = "Another call changed the same data. Nothing was stored; send the call again."


@pytest.mark.parametrize(
    ("error", "code", "message", "seconds"),
    [
        (
            database_error(OperationalError, psycopg.OperationalError("connection refused")),
            "unavailable",
            AWAY,
            "5",
        ),
        (database_error(OperationalError, psycopg.errors.TooManyConnections("x")), "unavailable", AWAY, "5"),
        (database_error(OperationalError, psycopg.errors.DiskFull("no space")), "disk_full", FULL, "5"),
        (database_error(InterfaceError, psycopg.InterfaceError("closed")), "unavailable", AWAY, "5"),
        (
            database_error(OperationalError, psycopg.errors.DeadlockDetected("deadlock")),
            "collision",
            MET,
            "1",
        ),
        (Collision("locked"), "collision", MET, "1"),
    ],
)
def test_without_its_database_the_door_asks_to_come_again(
    error: Exception, code: str, message: str, seconds: str, web_key: str, shelf: Shelf
) -> None:
    shelf.error = error
    response = post("/v1/batch", {"batch": [TRACK]}, web_key, Origin=PAGE)
    assert problem(response) == (503, code, message)
    assert response["Retry-After"] == seconds
    assert response["Access-Control-Allow-Origin"] == PAGE
    shelf.error = None
    assert post("/v1/batch", {"batch": [TRACK]}, web_key).status_code == 200


def test_a_key_that_cannot_be_looked_up_is_no_unknown_key(
    web_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise database_error(OperationalError, psycopg.OperationalError("connection refused"))

    monkeypatch.setattr(views.write_keys, "find_sender", refuse)
    assert problem(post("/v1/track", TRACK, web_key)) == (503, "unavailable", AWAY)
    assert Client().get(f"/v1/projects/{web_key}/settings")["Retry-After"] == "5"


def test_one_value_that_cannot_be_stored_is_found_among_many(server_key: str, shelf: Shelf) -> None:
    def refuse(entries: Sequence[BatchEntry]) -> Exception | None:
        is_in = any(getattr(entry, "message_text", "") == "m-5" and entry.raw for entry in entries)
        return DataError("cannot be stored") if is_in else None

    shelf.error = refuse
    items = [{**TRACK, "messageId": f"m-{n}"} for n in range(9)]
    answer = post("/v1/batch", {"batch": items}, server_key).json()
    assert (answer["received"], answer["accepted"], answer["rejected"]) == (9, 8, 1)
    message = "A value of this item cannot be stored."
    assert answer["errors"] == [{"index": 5, "messageId": "m-5", "code": "not_storable", "message": message}]
    strict = post("/v1/batch", {"batch": items}, server_key, **{"X-Strict-Mode": "1"})
    assert problem(strict)[:2] == (400, "not_storable")


@override_settings(TRACK_RATE_PER_MINUTE=3)
def test_a_key_that_sends_too_much_is_told_when_to_come_again(web_key: str, server_key: str) -> None:
    assert [post("/v1/track", TRACK, web_key).status_code for _ in range(3)] == [200] * 3
    response = post("/v1/track", TRACK, web_key, Origin=PAGE)
    wait = response["Retry-After"]
    assert 1 <= int(wait) <= 60
    assert response["X-RateLimit-Reset"] == wait
    message = f"More than 3 calls within a minute. Wait {wait} seconds and send larger batches."
    assert problem(response) == (429, "rate_limited", message)
    assert response["Access-Control-Allow-Origin"] == PAGE
    assert post("/v1/track", TRACK, server_key).status_code == 200


@override_settings(TRACK_RATE_PER_MINUTE=0)
def test_no_limit_counts_nothing(web_key: str, django_assert_num_queries: Any) -> None:
    post("/v1/track", TRACK, web_key)
    with django_assert_num_queries(0):
        assert post("/v1/track", TRACK, web_key).status_code == 200


def test_a_call_costs_no_query_but_those_of_storing(web_key: str, django_assert_num_queries: Any) -> None:
    """Neither for its key, its rate, a session nor a login, once the key was seen."""
    post("/v1/track", TRACK, web_key)
    client = Client(headers={"Authorization": basic(web_key), "Cookie": "sessionid=of-a-login"})
    with django_assert_num_queries(0):
        for _ in range(5):
            response = client.post("/v1/batch", json.dumps({"batch": [TRACK]}), content_type="text/plain")
            assert response.status_code == 200
    ttl_cache.forget_all()
    with django_assert_num_queries(1):
        client.post("/v1/batch", json.dumps({"batch": [TRACK]}), content_type="text/plain")


# --- What SDKs load first ---------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ENDS)
def test_a_browser_sdk_is_sent_back_here_and_nowhere_else(end: str, web_key: str) -> None:
    address = f"/v1/projects/{web_key}/settings{end}"
    response = Client().get(address, headers={"Origin": PAGE, "Host": "127.0.0.1:8000"})
    answer = response.json()
    assert response.status_code == 200
    assert response["Access-Control-Allow-Origin"] == PAGE
    assert response["Cache-Control"] == "public, max-age=60"
    # With a second integration analytics-next would load a part of itself from here, and send nothing.
    assert list(answer["integrations"]) == ["Segment.io"]
    ours = answer["integrations"]["Segment.io"]
    assert (ours["apiKey"], ours["apiHost"], ours["protocol"]) == (web_key, "127.0.0.1:8000/v1", "http")
    for_customer_io = Client().get(f"/customerio{address}", headers={"Host": "127.0.0.1:8000"}).json()
    assert for_customer_io["integrations"] == {"Customer.io Data Pipelines": ours}
    assert answer["metrics"] == {"sampleRate": 0, "host": "127.0.0.1:8000/v1", "protocol": "http"}
    assert answer["remotePlugins"] == []
    assert answer["plan"]["track"]["__default"]["enabled"] is True
    over_tls = Client().get(address, secure=True).json()
    assert over_tls["integrations"]["Segment.io"]["protocol"] == "https"
    assert Client().head(address).status_code == 200


def test_the_standard_script_tag_gets_a_loader(web_key: str, django_assert_num_queries: Any) -> None:
    address = f"/analytics.js/v1/{web_key}/analytics.min.js"
    with django_assert_num_queries(0):
        response = Client().get(address, headers={"Origin": PAGE})
    assert (response.status_code, response["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert response["Access-Control-Allow-Origin"] == "*"
    assert b"/analytics.js/v1/" in response.content
    assert web_key.encode() not in response.content
    again = Client().get(address, headers={"If-None-Match": response["ETag"]})
    assert again.status_code == 304
    assert Client().post(address).status_code == 405


def test_the_settings_of_an_unknown_key_are_a_404(web_key: str) -> None:
    revoke_key(key_id=WriteKey.objects.get().pk, actor=SYSTEM)
    for key in (web_key, "nobodys", "%00"):
        response = Client().get(f"/v1/projects/{key}/settings", headers={"Origin": PAGE})
        assert problem(response) == (404, *WRONG_KEY[1:])
        assert response["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize("end", ENDS)
def test_rudderstack_sdks_get_a_source_without_destinations(end: str, web_key: str) -> None:
    for headers, query in (({"Authorization": basic(web_key)}, ""), ({}, f"?writeKey={web_key}&p=npm")):
        response = Client().get(f"/sourceConfig{end}{query}", headers=headers)
        assert response.status_code == 200
        source = response.json()["source"]
        assert (source["enabled"], source["destinations"], source["name"]) == (True, [], "Website")
        assert source["id"]
        off = {"enabled": False}
        assert source["config"]["statsCollection"] == {"errors": off, "metrics": off}
    assert problem(Client().get("/sourceConfig")) == NO_KEY
    assert problem(Client().get("/sourceConfig?writeKey=nobodys")) == WRONG_KEY


def test_a_malformed_address_is_a_400_that_a_page_can_read(web_key: str) -> None:
    many = "&".join(f"a{n}=1" for n in range(2000))
    response = post(f"/v1/track?{many}", TRACK, Origin=PAGE)
    assert problem(response) == (400, "malformed", "The address or a header of this call is malformed.")
    assert response["Access-Control-Allow-Origin"] == PAGE


def test_write_keys_stay_out_of_the_log(web_key: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        post(f"/v1/track?writeKey={web_key}", TRACK)
        post(f"/v1/track?writeKey={web_key}", b"{")
        Client().get(f"/v1/projects/{web_key}/settings")
        Client().get(f"/v1/projects/{web_key}x/settings")
    assert caplog.records
    assert not any(web_key in str(vars(record)) for record in caplog.records if record.name == "cdp.request")
    assert web_key not in caplog.text
