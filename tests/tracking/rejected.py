"""Sources that send, and receipts of what they sent, without going through HTTP."""

from __future__ import annotations

import datetime
import itertools
import uuid
from typing import Any

from django.utils import timezone

from cdp.actors import Actor
from profiles.models import Receipt, Source, WriteKey
from profiles.tracking.ingest.ingest import ingest_items
from profiles.tracking.parse.item_types import BatchResult
from profiles.tracking.parse.items import read_item
from profiles.tracking.sources.sources import create_source
from profiles.tracking.sources.write_keys import Sender

_serial = itertools.count(1)


def make_source(kind: str = "server", name: str = "") -> Source:
    name = name or f"Shop {next(_serial)}"
    return create_source(name=name, kind=kind, actor=Actor.system()).source


def send(source: Source, *items: dict[str, Any], at: datetime.datetime | None = None) -> BatchResult:
    """The items as one batch that came in ``at`` (now), each without a messageId gets one."""
    key = WriteKey.objects.filter(source=source).order_by("pk").first()
    assert key is not None
    sent = [{"messageId": str(uuid.uuid4()), **item} for item in items]
    received_at = at or timezone.now()
    entries = [read_item(raw, index=index, received_at=received_at) for index, raw in enumerate(sent)]
    return ingest_items(entries, sender=Sender.of(key))


def reject(
    source: Source, payload: Any = None, *, at: datetime.datetime | None = None, **fields: Any
) -> Receipt:
    """A receipt that waits in the inbox: by default a track call about nobody."""
    if payload is None:
        payload = {
            "type": "track",
            "event": "Added to Cart",
            "messageId": str(uuid.uuid4()),
            "properties": {},
        }
    item = payload if isinstance(payload, dict) else {}
    defaults: dict[str, Any] = {
        "kind": item.get("type", ""),
        "name": item.get("event", ""),
        "message_id": item.get("messageId", ""),
        "outcome": "invalid",
        "code": "missing_identifier",
        "message": "Give a userId, an anonymousId or one of context.externalIds.",
        "received_at": at or timezone.now(),
    }
    row = Receipt.objects.create(source=source, payload=payload, **{**defaults, **fields})
    row.refresh_from_db()
    return row
