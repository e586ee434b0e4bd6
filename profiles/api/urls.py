"""Addresses of the endpoints about people. Longer ones first: a ``type:value`` reference may hold slashes."""

from django.urls import URLPattern

from cdp.api.routes import both
from profiles.api import (
    definitions,
    events,
    merging,
    parts,
    people,
    privacy,
    receipts,
    schemas,
    sources,
    tags,
)

_ONE = "v1/profiles/<ref:ref>"
_KEY = "v1/sources/<int:pk>/keys/<int:writekey_id>"

urlpatterns: list[URLPattern] = [
    *both("v1/profiles", people.ProfileList, "api-profiles"),
    *both(f"{_ONE}/timeline", parts.Timeline, "api-profile-timeline"),
    *both(f"{_ONE}/events", parts.Events, "api-profile-events"),
    *both(f"{_ONE}/notes", parts.Notes, "api-profile-notes"),
    *both(f"{_ONE}/tags/<text:tag>", parts.Tag, "api-profile-tag"),
    *both(f"{_ONE}/consents", parts.Consents, "api-profile-consents"),
    *both(
        f"{_ONE}/identifiers/<str:type>/<text:value>/confirm",
        parts.IdentifierConfirm,
        "api-profile-identifier-confirm",
    ),
    *both(f"{_ONE}/identifiers/<str:type>/<text:value>", parts.IdentifierDetail, "api-profile-identifier"),
    *both(f"{_ONE}/addresses", parts.Addresses, "api-profile-addresses"),
    *both(f"{_ONE}/addresses/<int:address_id>", parts.AddressDetail, "api-profile-address"),
    *both(f"{_ONE}/alternates/promote", parts.Promote, "api-profile-promote"),
    *both(f"{_ONE}/lock", parts.Lock, "api-profile-lock"),
    *both(f"{_ONE}/unlock", parts.Unlock, "api-profile-unlock"),
    *both(f"{_ONE}/merge", merging.Merge, "api-profile-merge"),
    *both(f"{_ONE}/restore", people.Restore, "api-profile-restore"),
    *both(f"{_ONE}/gdpr-export", privacy.GdprExport, "api-profile-gdpr-export"),
    *both(_ONE, people.ProfileDetail, "api-profile"),
    *both("v1/identifiers/confirm", parts.ConfirmWaiting, "api-identifier-confirm"),
    *both("v1/resolve", people.Resolve, "api-resolve"),
    *both("v1/merges", merging.MergeList, "api-merges"),
    *both("v1/merges/<int:merge_id>", merging.MergeDetail, "api-merge"),
    *both("v1/merges/<int:merge_id>/unmerge", merging.Unmerge, "api-unmerge"),
    *both("v1/tags", tags.TagList, "api-tags"),
    *both("v1/tags/<int:pk>", tags.TagDetail, "api-tag"),
    *both("v1/tags/<int:pk>/merge", tags.TagMerge, "api-tag-merge"),
    *both("v1/attributes", definitions.AttributeList, "api-attributes"),
    *both("v1/attributes/<int:pk>", definitions.AttributeDetail, "api-attribute"),
    *both("v1/identifier-types", definitions.IdentifierTypeList, "api-identifier-types"),
    *both("v1/identifier-types/<int:pk>", definitions.IdentifierTypeDetail, "api-identifier-type"),
    *both("v1/sources", sources.SourceList, "api-sources"),
    *both("v1/sources/<int:pk>", sources.SourceDetail, "api-source"),
    *both("v1/sources/<int:pk>/keys", sources.KeyList, "api-source-keys"),
    *both(f"{_KEY}/rotate", sources.KeyRotate, "api-source-key-rotate"),
    *both(f"{_KEY}/revoke", sources.KeyRevoke, "api-source-key-revoke"),
    *both("v1/event-schemas", schemas.SchemaList, "api-event-schemas"),
    *both("v1/event-schemas/adopt", schemas.SchemaAdopt, "api-event-schema-adopt"),
    *both("v1/event-schemas/<int:pk>", schemas.SchemaDetail, "api-event-schema"),
    *both("v1/event-schemas/<int:pk>/violations", schemas.SchemaViolations, "api-event-schema-violations"),
    *both("v1/events", events.EventList, "api-events"),
    *both("v1/receipts", receipts.ReceiptList, "api-receipts"),
    *both("v1/receipts/replay", receipts.ReplayMany, "api-receipts-replay"),
    *both("v1/receipts/dismiss", receipts.DismissMany, "api-receipts-dismiss"),
    *both("v1/receipts/<int:pk>", receipts.ReceiptDetail, "api-receipt"),
    *both("v1/receipts/<int:pk>/replay", receipts.ReceiptReplay, "api-receipt-replay"),
    *both("v1/receipts/<int:pk>/dismiss", receipts.ReceiptDismiss, "api-receipt-dismiss"),
]
