"""Write keys: two kinds, displayed once, rotated with an overlap, revoked within five seconds; and a source's settings."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from cdp import ttl_cache
from cdp.actors import Actor
from cdp.errors import Conflict, Invalid, NotFound, RuleForbids
from cdp.models import AuditEntry
from profiles.builtin_sources import builtin_source
from profiles.models import IdentifierType, Source, WriteKey
from profiles.tracking.sources import origins, write_keys
from profiles.tracking.sources.sources import change_source, create_key, create_source, revoke_key, rotate_key

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()


def actions(subject: str = "") -> list[str]:
    entries = AuditEntry.objects.order_by("pk")
    return [*(entries.filter(subject=subject) if subject else entries).values_list("action", flat=True)]


def end_now(key: WriteKey, **fields: Any) -> None:
    """Behind the verbs' back, as another process would."""
    WriteKey.objects.filter(pk=key.pk).update(**fields)


@pytest.mark.parametrize("kind", ["web", "server"])
def test_a_key_leads_to_its_source_and_kind(kind: str) -> None:
    made = create_source(name="Shop", kind=kind, actor=SYSTEM)
    sender = write_keys.find_sender(made.write_key)
    assert (sender.source, sender.is_web) == (made.source, kind == "web")
    assert sender.key_id == WriteKey.objects.get().pk
    for other in ("", made.write_key[:-1], made.write_key + "x", "\x00", "é", "x" * 200, "a\nb"):
        assert write_keys.find_sender(other) is None


def test_a_key_is_looked_up_once_in_five_seconds(
    django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create_source(name="Shop", kind="web", actor=SYSTEM)
    clock = [100.0]
    monkeypatch.setattr(ttl_cache.time, "monotonic", lambda: clock[0])
    with django_assert_num_queries(2):  # the key, and when it was used
        write_keys.find_sender(made.write_key)
    with django_assert_num_queries(0):
        assert write_keys.find_sender(made.write_key).source == made.source
        clock[0] += 4.9
        assert write_keys.find_sender(made.write_key).source == made.source
    end_now(WriteKey.objects.get(), revoked_at=timezone.now())
    clock[0] += 0.2
    with django_assert_num_queries(1):
        assert write_keys.find_sender(made.write_key) is None


def test_when_a_key_was_used_is_known_to_the_hour(django_assert_num_queries: Any) -> None:
    made = create_source(name="Shop", kind="web", actor=SYSTEM)
    write_keys.find_sender(made.write_key)
    used = WriteKey.objects.get().last_used_at
    assert (used.minute, used.second, used.microsecond) == (0, 0, 0)
    assert timezone.now() - used < timedelta(hours=1)
    write_keys.forget_known_keys()
    with django_assert_num_queries(1):
        write_keys.find_sender(made.write_key)


def test_a_rotated_key_works_beside_its_successor_until_the_overlap_ends() -> None:
    made = create_source(name="Shop", kind="server", actor=SYSTEM)
    old = WriteKey.objects.get()
    new = rotate_key(key_id=old.pk, overlap_hours=2, actor=SYSTEM)
    assert (new.key.kind, new.key.source) == ("server", made.source)
    assert write_keys.find_sender(made.write_key).key_id == old.pk
    assert write_keys.find_sender(new.write_key).key_id == new.key.pk
    old.refresh_from_db()
    assert timedelta(hours=1) < old.expires_at - timezone.now() <= timedelta(hours=2)
    end_now(old, expires_at=timezone.now() - timedelta(seconds=1))
    write_keys.forget_known_keys()
    assert write_keys.find_sender(made.write_key) is None
    assert write_keys.find_sender(new.write_key) is not None
    entry = AuditEntry.objects.get(action="writekey.rotate")
    assert entry.detail["old"] == old.pk
    assert new.write_key not in str(entry.detail)


def test_a_remembered_key_ends_with_its_overlap_to_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    made = create_source(name="Shop", kind="server", actor=SYSTEM)
    now = timezone.now()
    end_now(WriteKey.objects.get(), expires_at=now + timedelta(seconds=2))
    assert write_keys.find_sender(made.write_key) is not None
    assert write_keys.remembered(made.write_key) is not None
    monkeypatch.setattr(write_keys.clock, "now", lambda: now + timedelta(seconds=3))
    assert write_keys.remembered(made.write_key) is None


def test_rotating_without_overlap_ends_the_old_key_at_once() -> None:
    made = create_source(name="Shop", kind="server", actor=SYSTEM)
    rotate_key(key_id=WriteKey.objects.get().pk, overlap_hours=0, actor=SYSTEM)
    assert write_keys.find_sender(made.write_key) is None


def test_a_revoked_key_is_over_and_revoking_twice_changes_nothing() -> None:
    made = create_source(name="Shop", kind="server", actor=SYSTEM)
    assert write_keys.find_sender(made.write_key) is not None
    key = revoke_key(key_id=WriteKey.objects.get().pk, actor=SYSTEM)
    assert write_keys.find_sender(made.write_key) is None
    assert revoke_key(key_id=key.pk, actor=SYSTEM).revoked_at == key.revoked_at
    assert actions(f"writekey:{key.pk}") == ["writekey.revoke"]


def test_what_cannot_be_done_with_a_key_says_why() -> None:
    create_source(name="Shop", kind="server", actor=SYSTEM)
    key = WriteKey.objects.get()
    with pytest.raises(NotFound, match="There is no write key #0."):
        revoke_key(key_id=0, actor=SYSTEM)
    with pytest.raises(Invalid, match="Write a number of hours from 0 to 720."):
        rotate_key(key_id=key.pk, overlap_hours=721, actor=SYSTEM)
    rotate_key(key_id=key.pk, actor=SYSTEM)
    with pytest.raises(
        RuleForbids, match=f"Key {key.prefix}… was already rotated; rotate the newer key instead."
    ):
        rotate_key(key_id=key.pk, actor=SYSTEM)
    revoke_key(key_id=key.pk, actor=SYSTEM)
    with pytest.raises(RuleForbids, match=f"Key {key.prefix}… is revoked. Create a new key instead."):
        rotate_key(key_id=key.pk, actor=SYSTEM)
    assert WriteKey.objects.count() == 2


def test_a_source_may_have_keys_of_both_kinds_and_only_one_that_is_sent_to_has_any() -> None:
    made = create_source(name="Shop", kind="web", actor=SYSTEM)
    backend = create_key(source_id=made.source.pk, kind="server", actor=SYSTEM)
    assert write_keys.find_sender(made.write_key).is_web
    assert not write_keys.find_sender(backend.write_key).is_web
    assert actions(f"writekey:{backend.key.pk}") == ["writekey.create"]
    with pytest.raises(RuleForbids, match="“Staff” receives no tracking calls, so it has no write keys."):
        create_key(source_id=builtin_source("staff").pk, kind="web", actor=SYSTEM)
    with pytest.raises(Invalid, match="Write “web” or “server”."):
        create_key(source_id=made.source.pk, kind="pigeon", actor=SYSTEM)
    with pytest.raises(NotFound, match="There is no source #0."):
        create_key(source_id=0, kind="web", actor=SYSTEM)


def test_settings_are_changed_told_and_obeyed() -> None:
    made = create_source(name="Shop", kind="web", actor=SYSTEM)
    write_keys.find_sender(made.write_key)
    phone = IdentifierType.objects.create(name="member_no")
    changes = {
        "name": "  Web   shop ",
        "main_type": "member_no",
        "needs_confirmation": True,
        "allowed_origins": [
            "HTTPS://Shop.example.com/path",
            "https://*.example.org",
            "http://localhost:8000",
        ],
        "schema_mode": "quarantine",
        "merges_per_hour": 5,
        "adopts_attributes": True,
    }
    changed = change_source(source_id=made.source.pk, changes=changes, actor=SYSTEM)
    assert set(changed.fields) == set(changes) - {"adopts_attributes"}
    source = Source.objects.get(pk=made.source.pk)
    assert (source.name, source.main_type, source.schema_mode) == ("Web shop", phone, "quarantine")
    assert source.allowed_origins == [
        "https://shop.example.com",
        "https://*.example.org",
        "http://localhost:8000",
    ]
    assert write_keys.find_sender(made.write_key).source.needs_confirmation
    assert actions(f"source:{source.pk}") == ["source.create", "source.update"]
    again = change_source(
        source_id=source.pk, changes={"merges_per_hour": 5, "main_type": phone.pk}, actor=SYSTEM
    )
    assert again.fields == ()
    assert (
        change_source(source_id=source.pk, changes={"main_type": None}, actor=SYSTEM).source.main_type is None
    )
    assert len(actions(f"source:{source.pk}")) == 3


def test_every_setting_that_cannot_be_is_named_and_none_is_changed() -> None:
    made = create_source(name="Shop", kind="web", actor=SYSTEM)
    create_source(name="Other", kind="web", actor=SYSTEM)
    with pytest.raises(Invalid) as refused:
        change_source(
            source_id=made.source.pk,
            changes={
                "name": "",
                "main_type": "anonymous_id",
                "needs_user_hash": "on",
                "allowed_origins": ["https://a b"],
                "schema_mode": "shout",
                "merges_per_hour": -1,
                "hash_secret": "x",
                "needs_confirmation": True,
            },
            actor=SYSTEM,
        )
    assert {problem["field"]: problem["message"] for problem in refused.value.problems} == {
        "name": "Give the source a name of 1 to 60 characters.",
        "main_type": "“anonymous_id” can be several people's, so it cannot be a userId.",
        "needs_user_hash": "Write true or false.",
        "allowed_origins": "“https://a b” is not a web address. Write it like https://shop.example.com.",
        "schema_mode": "Choose one of: observe, warn, quarantine, reject.",
        "merges_per_hour": "Write a whole number from 0 to 1000000.",
        "hash_secret": "“hash_secret” is not a setting of a source.",
    }
    with pytest.raises(Conflict, match="There is a source “OTHER” already."):
        change_source(source_id=made.source.pk, changes={"name": "OTHER"}, actor=SYSTEM)
    with pytest.raises(NotFound):
        change_source(source_id=0, changes={}, actor=SYSTEM)
    assert not Source.objects.get(pk=made.source.pk).needs_confirmation


@pytest.mark.parametrize(
    ("raw", "origin"),
    [
        ("shop.example.com", "https://shop.example.com"),
        ("https://shop.example.com:443/", "https://shop.example.com"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        (" https://*.Example.com ", "https://*.example.com"),
    ],
)
def test_an_address_typed_by_hand_becomes_an_origin(raw: str, origin: str) -> None:
    assert origins.clean_origin(raw) == origin


@pytest.mark.parametrize(
    "raw",
    ["", "*", "https://*", "https://*.com", "ftp://a.example", "https://a..example", "https://u@a.example"],
)
def test_what_is_no_origin_is_refused(raw: str) -> None:
    with pytest.raises(ValueError):
        origins.clean_origin(raw)


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("https://shop.example.com", True),
        ("https://SHOP.example.com", True),
        ("http://shop.example.com", False),
        ("https://shop.example.com:8443", False),
        ("https://shop.example.com.evil.example", False),
        ("https://a.example.org", True),
        ("https://a.b.example.org", True),
        ("https://example.org", False),
        ("https://evilexample.org", False),
        ("http://a.example.org", False),
        ("null", False),
        ("", False),
    ],
)
def test_origins_are_compared_whole(origin: str, is_allowed: bool) -> None:
    allowed = ["https://shop.example.com", "https://*.example.org"]
    assert origins.is_allowed(origin, allowed) is is_allowed


def test_keys_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    def lines(*command: str) -> list[str]:
        call_command("source", *command)
        return capsys.readouterr().out.splitlines()

    lines("create", "Shop", "--kind", "web")
    first = WriteKey.objects.get()
    assert lines("keys", "shop") == [f"#{first.pk}  {first.prefix}…  Shop  web  (never used)"]
    said, rotated = lines("rotate", str(first.pk), "--overlap", "1")
    assert re.fullmatch(rf"Key #\d+ of “Shop”; #{first.pk} works for 1 hours more:", said)
    assert write_keys.find_sender(rotated).is_web
    added = lines("add-key", str(first.source_id), "--kind", "server")[-1]
    assert not write_keys.find_sender(added).is_web
    ended = write_keys.find_sender(added).key_id
    assert lines("revoke", str(ended)) == [f"Key #{ended} {added[:8]}… of “Shop” is revoked."]
    states = [line.split("  ")[-1] for line in lines("keys")]
    assert states[0].startswith("(works until ")
    assert states[1].startswith("(last used ")
    assert states[2] == "(revoked)"
    for command, message in [
        (("keys", "nobody"), "There is no source “nobody”. “source list” shows them."),
        (("rotate", "0"), "There is no write key #0."),
        (
            ("rotate", str(first.pk)),
            f"Key {first.prefix}… was already rotated; rotate the newer key instead.",
        ),
        (("revoke", "0"), "There is no write key #0."),
    ]:
        with pytest.raises(CommandError) as error:
            call_command("source", *command)
        assert str(error.value) == message
