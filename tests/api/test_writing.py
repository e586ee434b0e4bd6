"""Writes: repeated safely, rehearsed without a trace, one profile however many send it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone
from psycopg import errors as pg

from cdp.api import idempotency
from cdp.models import AuditEntry, IdempotencyKey, OutboxMessage, Webhook
from imports.models import Import
from profiles.models import Change, Event, Note, Profile
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile


@pytest.mark.django_db
def test_same_key_gets_the_saved_answer(api: Caller) -> None:
    body = {"first_name": "Ann", "email": "ann@example.com"}
    first = api.post("profiles/", body, Idempotency_Key="k1")
    again = api.post("profiles/", body, Idempotency_Key="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert (again["Location"], again["ETag"]) == (first["Location"], first["ETag"])
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert "RateLimit-Limit" in again
    assert Profile.objects.count() == 1
    sentence = (
        "This Idempotency-Key was already used for another request."
        " Use a new key, or send exactly the same request."
    )
    assert refusal(api.post("profiles/", {"first_name": "Bob"}, Idempotency_Key="k1")) == (422, sentence)
    assert refusal(api.post("profiles/?upsert=true", body, Idempotency_Key="k1")) == (422, sentence)
    assert api.post("profiles/", {"first_name": "Bob"}, Idempotency_Key="k2").status_code == 201


@pytest.mark.django_db
def test_upload_sent_twice_is_one_import(api: Caller) -> None:
    def upload(content: bytes) -> Any:
        body = (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="p.csv"\r\n\r\n'
            + content
            + b"\r\n--x--\r\n"
        )
        kind = "multipart/form-data; boundary=x"
        return api.send("POST", "imports/", body, Content_Type=kind, Idempotency_Key="k1")

    first, again = upload(b"email\nann@example.com\n"), upload(b"email\nann@example.com\n")
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.content, again["Idempotent-Replayed"]) == (first.content, "true")
    assert Import.objects.count() == 1
    assert refusal(upload(b"email\nbob@example.com\n"))[0] == 422


@pytest.mark.django_db
def test_refusal_is_saved_too_but_a_fault_is_not(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = make_profile(email="ann@example.com")
    taken = api.post("profiles/", {"email": "ann@example.com"}, Idempotency_Key="k1")
    assert taken.status_code == 409
    api.delete(f"profiles/{ann.pk}/")
    again = api.post("profiles/", {"email": "ann@example.com"}, Idempotency_Key="k1")
    assert (again.content, again["Content-Type"]) == (taken.content, "application/problem+json")

    with monkeypatch.context() as patch:
        patch.setattr("profiles.api.profiles.create_profile", _shutdown)
        assert refusal(api.post("profiles/", {"first_name": "Bob"}, Idempotency_Key="k2"))[0] == 503
    assert api.post("profiles/", {"first_name": "Bob"}, Idempotency_Key="k2").status_code == 201


def _shutdown(**_: Any) -> None:
    raise OperationalError from pg.AdminShutdown()


@pytest.mark.django_db
def test_keys_of_different_callers_do_not_meet(with_scopes: Callable[..., Caller]) -> None:
    one, two = with_scopes("all", name="one"), with_scopes("all", name="two")
    assert one.post("profiles/", {"first_name": "Ann"}, Idempotency_Key="k").data["first_name"] == "Ann"
    assert two.post("profiles/", {"first_name": "Bob"}, Idempotency_Key="k").data["first_name"] == "Bob"


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * 256, "kö", "a\tb"])
def test_key_that_is_none_is_refused(api: Caller, key: str) -> None:
    answer = api.post("profiles/", {"first_name": "Ann"}, Idempotency_Key=key)
    assert refusal(answer) == (400, "An Idempotency-Key has 1 to 255 visible ASCII characters.")


@pytest.mark.django_db
def test_answers_are_kept_for_a_day(api: Caller) -> None:
    api.post("profiles/", {"first_name": "Ann"}, Idempotency_Key="k1")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24, minutes=30))
    assert idempotency.expire_idempotency_keys() == 0
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=26))
    assert idempotency.expire_idempotency_keys() == 1


def test_key_in_flight_is_a_409_and_only_one_write_happens(
    with_scopes: Callable[..., Caller], transactional_db: None, two_connections: Callable[..., list[Any]]
) -> None:
    """Real connections: the second finds the key held while the first is still working."""
    api = with_scopes("all")

    def post() -> Any:
        answer = Caller(api.key).post("profiles/", {"first_name": "Ann"}, Idempotency_Key="k1")
        return answer.status_code, answer.get("Idempotent-Replayed")

    with transaction.atomic():
        assert idempotency._lock(f"key:{api.key.key.pk}", "k1")
        assert two_connections(post) == [(409, None)]
    outcomes = two_connections(*[post] * 8)
    assert Profile.objects.count() == 1
    assert outcomes.count((201, None)) == 1
    assert set(outcomes) <= {(201, None), (201, "true"), (409, None)}


def test_fifty_identical_posts_make_one_profile(
    with_scopes: Callable[..., Caller], transactional_db: None, two_connections: Callable[..., list[Any]]
) -> None:
    api = with_scopes("all")
    body = {"first_name": "Ann", "email": "ann@example.com"}

    def post(path: str) -> Callable[[], tuple[int, Any]]:
        def send() -> tuple[int, Any]:
            statuses = [Caller(api.key).post(path, body) for _ in range(5)]
            return tuple(
                (answer.status_code, answer.data.get("id") or answer.data.get("profile_id"))
                for answer in statuses
            )  # type: ignore[return-value]

        return send

    rounds = two_connections(*[post("profiles/?upsert=true")] * 5, *[post("profiles/")] * 5)
    answers = [answer for one in rounds for answer in one]
    assert len(answers) == 50
    ann = Profile.objects.get()
    assert {profile_id for _, profile_id in answers} == {ann.pk}
    assert [status for status, _ in answers].count(201) == 1
    assert {status for status, _ in answers} <= {200, 201, 409}
    assert Change.objects.filter(kind="created").count() == 1


@pytest.mark.django_db
def test_collision_is_tried_again(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from profiles.editing import create_profile

    tries = []

    def collide(**kwargs: Any) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError from pg.DeadlockDetected()
        return create_profile(**kwargs)

    monkeypatch.setattr("profiles.api.profiles.create_profile", collide)
    assert api.post("profiles/", {"first_name": "Ann"}).status_code == 201
    assert (len(tries), Profile.objects.count()) == (3, 1)


# --- dry run --------------------------------------------------------------------------------------------


def test_dry_run_answers_the_same_and_changes_nothing(
    with_scopes: Callable[..., Caller], transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = with_scopes("all")
    Webhook.objects.create(
        name="shop", url="https://example.com", topics=["profile.created", "profile.updated"]
    )
    fired: list[int] = []
    monkeypatch.setattr("profiles.api.profiles.reload", _noting(fired))
    ann = make_profile(first_name="Ann", city="Oslo")
    before = _everything()
    made = api.post("profiles/?dry_run=true", {"first_name": "Bob", "tags": ["new"]}).data
    assert (made["first_name"], made["tags"], made["dry_run"]) == ("Bob", ["new"], True)
    kinds = [effect["kind"] for effect in made["effects"]]
    assert kinds[:2] == ["profile.created", "profile.updated"]
    assert {"kind": "webhook", "topic": "profile.created", "profile_id": made["id"]} in made["effects"]
    tag = {"kind": "rows", "of": "tag", "created": 1, "changed": 0, "deleted": 0}
    assert tag in made["effects"]
    changed = api.patch(f"profiles/{ann.pk}/?dry_run=true", {"city": "Rome"}).data
    assert (changed["city"], changed["dry_run"]) == ("Rome", True)
    assert {"kind": "profile.updated", "profile_id": ann.pk, "fields": {"city": ["Oslo", "Rome"]}} in changed[
        "effects"
    ]
    gone = api.delete(f"profiles/{ann.pk}/?dry_run=true")
    assert (gone.status_code, gone.data["dry_run"]) == (200, True)
    assert gone.data["effects"][0]["kind"] == "profile.deleted"
    assert fired == []
    assert _everything() == before
    assert api.patch(f"profiles/{ann.pk}/", {"city": "Rome"}).data["city"] == "Rome"


def _noting(fired: list[int]) -> Callable[[int], Profile]:
    """Like ``reload``, with a callback for the commit that a dry run must never have."""
    from profiles.api.base import reload

    def noting(profile_id: int) -> Profile:
        transaction.on_commit(lambda: fired.append(profile_id))
        return reload(profile_id)

    return noting


def _everything() -> dict[str, Any]:
    models = (Profile, Change, Event, Note, OutboxMessage, AuditEntry, IdempotencyKey)
    return {model.__name__: sorted(map(str, model.objects.values())) for model in models}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "profiles/{id}/events/", {"name": "Order Completed"}),
        ("POST", "profiles/{id}/notes/", {"text": "Called."}),
        ("PUT", "profiles/{id}/tags/vip/", None),
        ("POST", "profiles/{id}/consents/", {"channel": "email", "purpose": "news", "state": "granted"}),
        ("PUT", "profiles/{id}/identifiers/customer_id/C1/", None),
        ("POST", "profiles/{id}/addresses/", {"city": "Oslo"}),
        ("POST", "profiles/{id}/lock/", None),
        ("POST", "tags/", {"name": "vip"}),
        ("POST", "attributes/", {"name": "plan"}),
        ("POST", "identifier-types/", {"name": "card"}),
        ("POST", "sources/", {"name": "till"}),
        ("POST", "webhooks/", {"name": "w", "url": "https://example.com/", "topics": ["profile.merged"]}),
    ],
)
def test_every_write_can_be_rehearsed(api: Caller, method: str, path: str, body: Any) -> None:
    ann = make_profile(first_name="Ann")
    version, journal = Profile.objects.get().version, Change.objects.count()
    rehearsed = api.send(method, path.format(id=ann.pk) + "?dry_run=true", body)
    assert rehearsed.data["dry_run"] is True
    assert rehearsed.data["effects"]
    assert (Profile.objects.get().version, Change.objects.count()) == (version, journal)
    done = api.send(method, path.format(id=ann.pk), body)
    assert done.status_code == rehearsed.status_code
    assert done.data.keys() == rehearsed.data.keys() - {"dry_run", "effects"}


@pytest.mark.django_db
def test_rehearsal_refuses_what_the_write_would(api: Caller) -> None:
    ann = make_profile(email="ann@example.com")
    sentence = f"email ann@example.com already belongs to profile #{ann.pk}."
    assert refusal(api.post("profiles/?dry_run=true", {"email": "ann@example.com"})) == (409, sentence)
    assert refusal(api.post("profiles/?dry_run=maybe", {"first_name": "B"})) == (
        400,
        "dry_run is true or false.",
    )


@pytest.mark.django_db
def test_rehearsal_hides_values_from_who_may_not_see_them(with_scopes: Callable[..., Caller]) -> None:
    writer = with_scopes("profiles:write")
    answer = writer.post("profiles/?dry_run=true", {"first_name": "Bob", "email": "bob@example.com"})
    assert answer.status_code == 201
    assert b"bob@example.com" not in answer.content
    assert answer.data["effects"][0]["fields"] == ["email", "first_name", "identifiers"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("sources/", {"name": "Shop", "kind": "server"}, "write_key"),
        ("sources/{source}/keys/", {"kind": "server"}, "write_key"),
        ("sources/{source}/keys/{key}/rotate/", {"overlap_hours": 1}, "write_key"),
        ("sources/{source}/signing-secret/rotate/", {}, "secret"),
        (
            "webhooks/",
            {"name": "CRM", "url": "https://crm.example.com/hook", "topics": ["profile.created"]},
            "secret",
        ),
    ],
)
def test_a_secret_is_in_no_saved_answer(
    api: Caller, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any], field: str
) -> None:
    monkeypatch.setattr("cdp.api.webhooks.check_url", lambda url: None)
    source = api.post("sources/", {"name": "Old", "kind": "server"}).data["id"]
    key = api.get(f"sources/{source}/keys/").data["results"][0]["id"]
    path = path.format(source=source, key=key)
    first = api.post(path, body, Idempotency_Key="k1")
    again = api.post(path, body, Idempotency_Key="k1")
    assert (first.status_code, again.status_code, again["Idempotent-Replayed"]) == (201, 201, "true")
    assert len(first.data[field]) > 20
    assert again.data == {**first.data, field: ""}
    saved = IdempotencyKey.objects.get(key="k1")
    assert first.data[field].encode() not in bytes(saved.body)
