"""Whatever changes a profile is sent to webhooks, with the names of the fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

Verb = Callable[[int, dict[str, Any]], object]


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
