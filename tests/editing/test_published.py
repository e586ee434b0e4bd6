"""Whatever changes a profile is sent to webhooks, with the names of the fields."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.models import OutboxMessage, Webhook
from profiles.bulk.run_action import actions
from profiles.consent.ledger import record_consent
from profiles.editing import (
    add_address,
    attach_identifier,
    detach_identifier,
    remove_address,
    set_lock,
    update_profile,
)
from profiles.journal import REQUEST
from profiles.models import Address, Change
from profiles.tagging import tag_profiles, untag_profiles
from tests.api.caller import Caller
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

Verb = Callable[[int, dict[str, Any]], object]


@pytest.fixture
def api(db: None) -> Caller:
    return Caller(create_key(name="shop", scopes=["all"], actor=Actor.system()))


def _bulk(name: str, **params: Any) -> Verb:
    return lambda pk, by: actions[name].apply([pk], params, **by, cause=REQUEST)


VERBS: dict[str, tuple[Verb, list[str]]] = {
    "update": (lambda pk, by: update_profile(profile_id=pk, values={"city": "Oslo"}, **by), ["city"]),
    "tag": (lambda pk, by: tag_profiles(profile_ids=[pk], tag_names=["gold"], **by), ["tags"]),
    "untag": (lambda pk, by: untag_profiles(profile_ids=[pk], tag_names=["vip"], **by), ["tags"]),
    "attach": (
        lambda pk, by: attach_identifier(profile_id=pk, type_name="customer_id", raw="C1", **by),
        ["identifiers"],
    ),
    "detach": (
        lambda pk, by: detach_identifier(profile_id=pk, type_name="email", raw="ann@example.com", **by),
        ["identifiers"],
    ),
    "lock": (lambda pk, by: set_lock(profile_id=pk, is_locked=True, **by), ["locked"]),
    "add address": (
        lambda pk, by: add_address(profile_id=pk, values={"city": "Rome"}, **by),
        ["addresses"],
    ),
    "remove address": (
        lambda pk, by: remove_address(profile_id=pk, address_id=Address.objects.get().pk, **by),
        ["addresses"],
    ),
    "consent": (
        lambda pk, by: record_consent(
            profile_id=pk,
            channel="email",
            purpose="news",
            state="withdrawn",
            at=None,
            wording="",
            proof={},
            **by,
        ),
        ["consents"],
    ),
    "bulk tag": (_bulk("tag", tags=["gold"]), ["tags"]),
    "bulk untag": (_bulk("untag", tags=["vip"]), ["tags"]),
    "bulk lock": (_bulk("lock", is_locked=True), ["locked"]),
    "bulk attribute": (_bulk("set", field="city", value="Oslo"), ["city"]),
}


@pytest.mark.parametrize("name", VERBS)
def test_a_change_is_published_with_its_fields(name: str, by_staff: dict[str, Any]) -> None:
    verb, fields = VERBS[name]
    ann = make_profile(email="ann@example.com", tags=["vip"])
    add_address(profile_id=ann.pk, values={"city": "Bonn"}, **by_staff)
    Webhook.objects.create(name="shop", url="https://example.com", topics=["profile.updated"])
    changes = Change.objects.count()
    verb(ann.pk, by_staff)
    assert Change.objects.count() == changes + 1
    message = OutboxMessage.objects.get()
    assert (message.topic, message.profile_id) == ("profile.updated", ann.pk)
    assert message.payload == {"profile_id": ann.pk, "fields": fields}


@pytest.mark.parametrize(
    "name",
    ["update", "tag", "untag", "attach", "lock", "bulk tag", "bulk untag", "bulk lock", "bulk attribute"],
)
def test_what_changes_nothing_is_not_published(name: str, by_staff: dict[str, Any]) -> None:
    verb, _ = VERBS[name]
    ann = make_profile(email="ann@example.com", tags=["vip"])
    verb(ann.pk, by_staff)
    Webhook.objects.create(name="shop", url="https://example.com", topics=["profile.updated"])
    verb(ann.pk, by_staff)
    assert not OutboxMessage.objects.exists()


# --- No verb forgets it -----------------------------------------------------------------------------------

PROJECT = Path(__file__).parents[2]
APPS = ("cdp", "profiles", "segments", "imports")
# Whose journal entries are published by another function of the same module, and by which.
PUBLISHED_BY = {
    "profiles/tracking/ingest/write_plan.py:_record_journal": "write_plan",
    "profiles/editing/profiles.py:_journal_created": "create_profile",
    "imports/apply_sql.py:_write_journal": "imports/apply.py:_publish",
}
# What writes the journal and tells nobody, and why.
SILENT = {
    "profiles/journal.py:record": "only passes on",
    "profiles/journal.py:record_many": "the one place that writes",
    "profiles/demo/load.py:load_demo": "demo people, before there is a webhook",
}


def writers() -> dict[str, str]:
    """``{"file:function": its source}`` of every function that writes rows of the journal."""
    found = {}
    for path in sorted(path for app in APPS for path in (PROJECT / app).rglob("*.py")):
        text = path.read_text()
        if "journal" not in text and "profiles_change" not in text and "Change" not in text:
            continue
        imported = re.search(r"from profiles.journal import [^\n]*\brecord(_many)?\b", text)
        imported = imported or re.search(r"from profiles.journal import \([^)]*\brecord(_many)?\b", text)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                source = ast.get_source_segment(text, node) or ""
                calls = imported and re.search(r"(?<![.\w])record(_many)?\(", source)
                writes = "INSERT INTO profiles_change" in source or "Change.objects.bulk_create" in source
                if (
                    calls
                    or writes
                    or f"{path.name}:{node.name}" in ("journal.py:record", "journal.py:record_many")
                ):
                    found[f"{path.relative_to(PROJECT)}:{node.name}"] = source
    return found


def test_every_writer_of_the_journal_publishes() -> None:
    found = writers()
    assert len(found) > 12, "the scan finds the verbs"
    forgotten = []
    for place, source in found.items():
        if "publish" in source or place in SILENT:
            continue
        other = PUBLISHED_BY.get(place, "")
        path, _, name = other.rpartition(":")
        text = (PROJECT / (path or place.partition(":")[0])).read_text()
        if not other or f"def {name}(" not in text or "publish" not in text:
            forgotten.append(place)
    assert not forgotten, "These write a change and no webhook hears of it"
    assert SILENT.keys() | PUBLISHED_BY.keys() <= found.keys()


def test_over_the_api_too(api: Caller) -> None:
    """Every verb of the API that changes one person."""
    ann = make_profile(email="ann@example.com", tags=["vip"])
    Webhook.objects.create(name="shop", url="https://example.com", topics=["profile.updated"])
    path = f"profiles/{ann.pk}/"
    for method, address, body, fields in (
        ("PUT", "tags/gold/", None, ["tags"]),
        ("DELETE", "tags/vip/", None, ["tags"]),
        ("PUT", "identifiers/customer_id/C1/", None, ["identifiers"]),
        ("PUT", "identifiers/phone/+48600100200/", None, ["identifiers", "phone"]),
        ("DELETE", "identifiers/customer_id/C1/", None, ["identifiers"]),
        ("PATCH", "", {"city": "Oslo"}, ["city"]),
    ):
        OutboxMessage.objects.all().delete()
        changes = Change.objects.count()
        answer = api.send(method, path + address, body)
        assert answer.status_code < 300, (method, address, answer.data)
        assert Change.objects.count() == changes + 1, address
        assert OutboxMessage.objects.get().payload == {"profile_id": ann.pk, "fields": fields}, address
