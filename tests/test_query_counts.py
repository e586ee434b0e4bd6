"""How many queries every list, card and API page causes: the same for few rows and for many, and as many as checked in.

`QUERY_COUNTS=write make test TESTS=tests/test_query_counts.py` rewrites the table after a change that is meant.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cdp import ttl_cache
from cdp.actors import Actor
from cdp.admin.navigation import navigation
from cdp.api.keys import create_key
from cdp.models import ApiKey, AuditEntry, Job, Look, Mail, User, Webhook
from imports.models import Import
from profiles.builtin_sources import builtin_source
from profiles.bulk.exports import KIND
from profiles.bulk.run_action import pack
from profiles.consent.ledger import record_consent
from profiles.editing import add_event, add_note
from profiles.merging.merge import merge_profiles
from profiles.models import (
    AttributeDefinition,
    ConsentChannel,
    ConsentPurpose,
    DuplicatePair,
    EventSchema,
    MergeBatch,
    Receipt,
    SavedView,
    Source,
)
from segments.models import Membership, Segment, SegmentVersion
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
TABLE = Path(__file__).with_name("query_counts.json")
FEW, MANY = 2, 12
ALMOST = {
    "version": 1,
    "all": [{"attribute": "email", "op": "exists"}, {"attribute": "language", "op": "exists"}],
}
API = (
    "profiles",
    "events",
    "merges",
    "merges/batches",
    "duplicates",
    "duplicate-cases",
    "segments",
    "tags",
    "saved-views",
    "attributes",
    "consent-channels",
    "consent-purposes",
    "identifier-types",
    "sources",
    "event-schemas",
    "held-joins",
    "unconfirmed-identifiers",
    "receipts",
    "scorecard",
    "scorecard/alarms",
    "imports",
    "exports",
    "jobs",
    "webhooks",
    "audit",
    "looks",
)


def fill(prefix: str, number: int, person: int | None = None) -> int:
    """``number`` more rows of everything lists show; the id of the person whose history they are."""
    by: dict[str, Any] = {"actor": Actor.system(), "source": builtin_source("staff")}
    person = person or make_profile(first_name="Ann", email="ann@example.com").pk
    for row in range(number):
        name = f"{prefix}{row}"
        other = make_profile(first_name=name, email=f"{name}@example.com", tags=[name], city="Oslo")
        loser = make_profile(first_name=name, city="Rome")
        merge_profiles(winner_id=person, loser_id=loser.pk, **by)
        add_event(profile_id=person, name=name, **by)
        add_note(profile_id=person, text=name, **by)
        ConsentChannel.objects.create(name=name, label=name)
        ConsentPurpose.objects.create(name=name, label=name)
        decision = {"channel": "email", "purpose": "newsletter", "state": "granted", "at": timezone.now()}
        for pk in (person, other.pk):
            record_consent(profile_id=pk, **decision, **by)
        DuplicatePair.objects.create(a_id=person, b=other, tier="probable", score=5.0)
        AttributeDefinition.objects.create(name=name)
        SavedView.objects.create(name=name, query="country=PL", is_shared=True)
        EventSchema.objects.create(name=name)
        add_segment(name, person, other.pk)
        source = Source.objects.create(name=name, channel="web")
        Receipt.objects.create(source=source, outcome="invalid", payload={}, kind="track")
        MergeBatch.objects.create(title=name, origin="csv", size=0, state="ready", source=by["source"])
        Import.objects.create(name=f"{name}.csv", size=1, sha256=name, source=by["source"], state="done")
        Job.objects.create(kind="test", title=name)
        params = {"ids": pack([person]), "columns": ["id", "type", "email"], "filters": "country=PL"}
        for owner in ({"user": User.objects.get(username="ada")}, {"key": ApiKey.objects.get(name="all")}):
            Job.objects.create(kind=KIND, title=name, params=params, state="done", **owner)
        Mail.objects.create(to=[f"{name}@example.com"], subject=name, text=name)
        Webhook.objects.create(name=name, url=f"https://{name}.example.com/", topics=["profile.merged"])
        AuditEntry.objects.create(actor="ada", action="profile.note", subject=f"profile:{person}")
        Look.objects.create(actor="ada", kind="list", profile_ids=[person, other.pk], subject="job:1")
        User.objects.create_user(name, is_staff=True)
    return person


def add_segment(name: str, *members: int) -> None:
    """A segment, and these people in it and in the first of all, whose pages are counted; all lack one condition of its rule."""
    own = Segment.objects.create(name=name, state="live", rules=ALMOST)
    SegmentVersion.objects.create(segment=own, version=1, rules=ALMOST, text="a")
    first = Segment.objects.order_by("pk")[0]
    if first != own:
        SegmentVersion.objects.create(segment=first, version=own.pk, rules=ALMOST, text="a")
    for segment in {own, first}:
        for pk in members:
            Membership.objects.get_or_create(
                segment=segment, profile_id=pk, defaults={"entered_at": timezone.now(), "entered_by": "rule"}
            )


def pages(ada: User, person: int) -> Iterator[tuple[str, str]]:
    """Name in the table → address: the tabs of the menu, the card, the lists of the API."""
    factory = RequestFactory()
    for task in navigation(_request(factory, "/admin/", ada)).tasks:
        yield task.url, task.url
        for tab in navigation(_request(factory, task.url, ada)).tabs:
            yield tab.url, tab.url
    yield "card", f"/admin/profiles/profile/{person}/change/"
    yield from ((f"/api/v1/{name}/", f"/api/v1/{name}/") for name in API)
    yield from (
        (f"/api/v1/profiles/<ref>{part}", f"/api/v1/profiles/{person}{part}")
        for part in ("/", "/timeline/", "/events/", "/consents/")
    )

    first = Segment.objects.order_by("pk").values_list("pk", flat=True)[0]
    yield from (
        (f"/api/v1/segments/<int:pk>{part}", f"/api/v1/segments/{first}{part}")
        for part in ("/", "/members/", "/changes/", "/versions/", "/almost/", "/reach/?channel=email")
    )


def _request(factory: RequestFactory, path: str, user: User) -> Any:
    request = factory.get(path)
    request.user = user
    return request


def count(clients: dict[bool, Client], ada: User, person: int) -> dict[str, int]:
    counts = {}
    for name, address in pages(ada, person):
        client = clients[address.startswith("/api/")]
        client.get(address)  # what is read once per process is read now
        with CaptureQueriesContext(connection) as caught:
            assert client.get(address).status_code == 200, address
        counts[name] = len(caught)
    return counts


def test_query_counts_are_those_of_the_table_and_do_not_grow_with_rows(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine what is kept for some seconds would run out within a page.
    for cache in ttl_cache._all:
        monkeypatch.setattr(cache, "_seconds", 3600.0)
    secret = create_key(name="all", scopes=["all"], actor=Actor.system()).secret
    clients = {False: Client(), True: Client(headers={"Authorization": f"Bearer {secret}"})}
    clients[False].force_login(ada)
    person = fill("few", FEW)
    few = count(clients, ada, person)
    if os.environ.get("QUERY_COUNTS") == "write":
        TABLE.write_text(json.dumps(few, indent=1, sort_keys=True) + "\n")
    fill("more", MANY, person)
    many = count(clients, ada, person)
    assert {name: (number, many[name]) for name, number in few.items() if many[name] != number} == {}
    assert few == json.loads(TABLE.read_text())
