"""Every model can be managed in the admin and over the API, or says here why not."""

from __future__ import annotations

import re
from pathlib import Path

from django.apps import apps
from django.contrib import admin
from django.urls import get_resolver

from tests.test_rights import _walk

APPS = ("cdp", "profiles", "segments", "imports")
TESTS = Path(__file__).parent

# Model → the collection under /api/v1/ that shows or changes its rows.
API = {
    "cdp.AuditEntry": "audit",
    "cdp.Delivery": "webhooks/<int:pk>/deliveries",
    "cdp.Job": "jobs",
    "cdp.Look": "looks",
    "cdp.Webhook": "webhooks",
    "imports.Import": "imports",
    "profiles.Address": "profiles/<ref:ref>/addresses",
    "profiles.AttributeDefinition": "attributes",
    "profiles.Change": "profiles/<ref:ref>/timeline",
    "profiles.Consent": "profiles/<ref:ref>/consents",
    "profiles.ConsentChannel": "consent-channels",
    "profiles.ConsentPurpose": "consent-purposes",
    "profiles.DuplicateCase": "duplicate-cases",
    "profiles.DuplicatePair": "duplicates",
    "profiles.DuplicatePolicy": "duplicate-policy",
    "profiles.Event": "events",
    "profiles.EventSchema": "event-schemas",
    "profiles.HeldMerge": "held-joins",
    "profiles.Identifier": "profiles/<ref:ref>/identifiers/<str:type>/<text:value>",
    "profiles.IdentifierType": "identifier-types",
    "profiles.Merge": "merges",
    "profiles.MergeBatch": "merges/batches",
    "profiles.MergeBatchRow": "merges/batches/<int:batch_id>/rows",
    "profiles.Message": "profiles/<ref:ref>/timeline",
    "profiles.Note": "profiles/<ref:ref>/notes",
    "profiles.Profile": "profiles",
    "profiles.ProfileTag": "profiles/<ref:ref>/tags/<text:tag>",
    "profiles.Receipt": "receipts",
    "profiles.SavedView": "saved-views",
    "profiles.Source": "sources",
    "profiles.SourceAlarm": "scorecard/alarms",
    "profiles.SourceHour": "scorecard",
    "profiles.Tag": "tags",
    "profiles.WriteKey": "sources/<int:pk>/keys",
    "segments.HandPick": "segments/<int:pk>/members",
    "segments.Membership": "segments/<int:pk>/members",
    "segments.Segment": "segments",
    "segments.SegmentVersion": "segments/<int:pk>/versions",
}
_STAFF_ONLY = "Logins and keys are given out by people who are signed in."
_INTERNAL = "Bookkeeping of the product; its effects are shown where they matter."
NOT_IN_THE_API = {
    "cdp.ApiKey": _STAFF_ONLY,
    "cdp.ApiKeyUse": _STAFF_ONLY,
    "cdp.User": _STAFF_ONLY,
    "cdp.IdempotencyKey": _INTERNAL,
    "cdp.LoginSession": "Browsers people are signed in with: they see and end them on their account page.",
    "cdp.Mail": "The mailbox is for people on a machine without a mail server.",
    "cdp.OutboxMessage": "Shown as the deliveries it became.",
    "cdp.RateWindow": _INTERNAL,
    "cdp.Worker": "Shown by /readyz.",
    "imports.Row": "Downloaded as plan.csv and rejected.csv.",
    "imports.SavedMapping": "A mapping is sent with the file.",
    "profiles.Alternate": "Part of a profile; promoting one is a call of its own.",
    "profiles.Cart": "Carts get their place with segments.",
    "profiles.EventName": "Shown as the name of each event.",
    "profiles.LinkInterval": "Shown by the why page of two profiles.",
    "profiles.ScorecardState": _INTERNAL,
    "profiles.Visit": _INTERNAL,
    "profiles.MatchBase": _INTERNAL,
    "profiles.FrequentValue": _INTERNAL,
    "profiles.MatchQueue": _INTERNAL,
    "profiles.MatchRarity": _INTERNAL,
    "profiles.MatchRow": _INTERNAL,
    "segments.NextCheck": _INTERNAL,
    "segments.QueueEntry": _INTERNAL,
    "segments.Watch": _INTERNAL,
}
_ON_THE_CARD = "Shown and changed on the person's card."
NOT_IN_THE_ADMIN = {
    "cdp.ApiKeyUse": "Shown on the page of its key.",
    "cdp.IdempotencyKey": _INTERNAL,
    "cdp.LoginSession": "Shown on the account page and on the page of its login.",
    "cdp.OutboxMessage": "Shown as the deliveries it became.",
    "cdp.RateWindow": _INTERNAL,
    "cdp.Worker": "Shown by /readyz and doctor.",
    "imports.Row": "Shown on the import's plan and report.",
    "imports.SavedMapping": "Chosen, saved and deleted on the columns page.",
    "profiles.Address": _ON_THE_CARD,
    "profiles.Alternate": _ON_THE_CARD,
    "profiles.Change": _ON_THE_CARD,
    "profiles.Consent": _ON_THE_CARD,
    "profiles.Event": _ON_THE_CARD,
    "profiles.Identifier": _ON_THE_CARD,
    "profiles.Message": _ON_THE_CARD,
    "profiles.Note": _ON_THE_CARD,
    "profiles.ProfileTag": _ON_THE_CARD,
    "profiles.Cart": "Carts get their place with segments.",
    "profiles.EventName": "Shown as the name of each event.",
    "profiles.LinkInterval": "Shown by the why page of two profiles.",
    "profiles.MergeBatchRow": "Shown on the page of its batch.",
    "profiles.SavedView": "The tabs of the people list.",
    "profiles.ScorecardState": _INTERNAL,
    "profiles.SourceHour": "Shown on the quality page.",
    "profiles.Visit": _INTERNAL,
    "profiles.WriteKey": "Shown on the page of its source.",
    "profiles.MatchBase": _INTERNAL,
    "profiles.FrequentValue": _INTERNAL,
    "profiles.MatchQueue": _INTERNAL,
    "profiles.MatchRarity": _INTERNAL,
    "profiles.MatchRow": _INTERNAL,
    "segments.HandPick": "Shown with the members of its segment.",
    "segments.Membership": "Shown with the members of its segment.",
    "segments.NextCheck": _INTERNAL,
    "segments.QueueEntry": _INTERNAL,
    "segments.SegmentVersion": "Shown on the page of its segment.",
    "segments.Watch": _INTERNAL,
}


def ours() -> dict[str, type]:
    return {model._meta.label: model for app in APPS for model in apps.get_app_config(app).get_models()}


def test_every_model_is_in_the_admin_or_says_why_not() -> None:
    registered = {model._meta.label for model in admin.site._registry}
    assert ours().keys() - registered == NOT_IN_THE_ADMIN.keys()


def test_every_model_is_in_the_api_or_says_why_not() -> None:
    routes = set(_walk(get_resolver()))
    assert ours().keys() == API.keys() | NOT_IN_THE_API.keys()
    assert API.keys() & NOT_IN_THE_API.keys() == set()
    assert {path for path in API.values() if f"api/v1/{path}/" not in routes} == set()


def test_every_model_is_named_in_a_test() -> None:
    text = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py") if path.name != "test_parity.py")
    named = set(re.findall(r"\b[A-Z]\w+\b", text))
    assert {label for label in ours() if label.partition(".")[2] not in named} == set()
