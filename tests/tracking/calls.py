"""Calls as SDKs send them, through the reading and the receiving everybody goes through."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils import timezone

from cdp.actors import Actor
from profiles.models import Event, Identifier, Profile, Receipt, Source, WriteKey
from profiles.tracking.ingest.ingest import ingest_items
from profiles.tracking.parse.item_types import BatchResult, ItemResult
from profiles.tracking.parse.items import read_item
from profiles.tracking.sources.sources import create_source
from profiles.tracking.sources.write_keys import Sender


def make_sender(kind: str = "server", *, name: str = "", **settings: Any) -> Sender:
    """A sender with a source of its own; ``make_sender("web", needs_user_hash=True)``."""
    made = create_source(name=name or f"{kind} {uuid.uuid4().hex[:8]}", kind=kind, actor=Actor.system())
    Source.objects.filter(pk=made.source.pk).update(**settings)
    return Sender.of(WriteKey.objects.select_related("source").get(source_id=made.source.pk))


def call(sender: Sender, *items: Any, **options: Any) -> BatchResult:
    now = timezone.now()
    entries = [read_item(item, index=index, received_at=now) for index, item in enumerate(items)]
    return ingest_items(entries, sender=sender, **options)


def send_item(sender: Sender, kind: str, **item: Any) -> ItemResult:
    """The result of a call of one item."""
    return call(sender, {"type": kind, **item}).results[0]


def identify(sender: Sender, **item: Any) -> ItemResult:
    return send_item(sender, "identify", **item)


def track(sender: Sender, name: str = "Looked", **item: Any) -> ItemResult:
    return send_item(sender, "track", event=name, **item)


def holder(kind: str, value: str) -> Profile | None:
    """The surviving profile an identifier leads to."""
    row = (
        Identifier.objects.resolving().filter(type__name=kind, value=value).select_related("profile").first()
    )
    return Profile.objects.get(pk=row.profile.canonical_id) if row else None


def events_of(profile: Profile) -> list[str]:
    """Names of a person's events, oldest first."""
    rows = Event.objects.of_profiles(profile.pk).select_related("name").order_by("occurred_at", "pk")
    return [row.name.name for row in rows]


def receipts() -> list[tuple[str, str]]:
    return list(Receipt.objects.order_by("pk").values_list("outcome", "code"))
