"""Addresses of the endpoints about profiles. Longer ones first: a ``type:value`` reference may contain slashes."""

from typing import Any

from cdp.api.routes import Router, both
from profiles.api import (
    consent_lists,
    definitions,
    duplicates,
    event_schemas,
    events,
    exports,
    held_merges,
    looks,
    merge_batches,
    merging,
    privacy,
    profile_identifiers,
    profile_parts,
    profiles,
    receipts,
    saved_views,
    scorecard,
    signing_secrets,
    sources,
    tags,
    unconfirmed,
    why,
)

_PROFILE = "v1/profiles/<ref:ref>"

router = Router()
router.register("v1/tags", tags.TagViewSet, "api-tag")
router.register("v1/saved-views", saved_views.SavedViewViewSet, "api-saved-view")
router.register("v1/attributes", definitions.AttributeViewSet, "api-attribute")
router.register("v1/identifier-types", definitions.IdentifierTypeViewSet, "api-identifier-type")
router.register("v1/consent-channels", consent_lists.ChannelViewSet, "api-consent-channel")
router.register("v1/consent-purposes", consent_lists.PurposeViewSet, "api-consent-purpose")
router.register("v1/sources", sources.SourceViewSet, "api-source")
router.register("v1/sources/<int:pk>/keys", sources.WriteKeyViewSet, "api-source-key")
router.register("v1/event-schemas", event_schemas.EventSchemaViewSet, "api-event-schema")

urlpatterns: list[Any] = [
    *router.urls,
    *both("v1/profiles", profiles.ProfileList, "api-profiles"),
    *both("v1/profiles/restore", profiles.RestoreMany, "api-profiles-restore"),
    *both(f"{_PROFILE}/timeline", profile_parts.Timeline, "api-profile-timeline"),
    *both(f"{_PROFILE}/events", profile_parts.Events, "api-profile-events"),
    *both(f"{_PROFILE}/carts", profile_parts.Carts, "api-profile-carts"),
    *both(f"{_PROFILE}/notes", profile_parts.Notes, "api-profile-notes"),
    *both(f"{_PROFILE}/tags/<text:tag>", profile_parts.Tag, "api-profile-tag"),
    *both(f"{_PROFILE}/consents", profile_parts.Consents, "api-profile-consents"),
    *both(
        f"{_PROFILE}/identifiers/<str:type>/<text:value>/confirm",
        profile_identifiers.IdentifierConfirm,
        "api-profile-identifier-confirm",
    ),
    *both(
        f"{_PROFILE}/identifiers/<str:type>/<text:value>",
        profile_identifiers.IdentifierDetail,
        "api-profile-identifier",
    ),
    *both(f"{_PROFILE}/addresses", profile_parts.Addresses, "api-profile-addresses"),
    *both(f"{_PROFILE}/addresses/<int:address_id>", profile_parts.AddressDetail, "api-profile-address"),
    *both(f"{_PROFILE}/alternates/promote", profile_parts.Promote, "api-profile-promote"),
    *both(f"{_PROFILE}/lock", profile_parts.Lock, "api-profile-lock"),
    *both(f"{_PROFILE}/unlock", profile_parts.Unlock, "api-profile-unlock"),
    *both(f"{_PROFILE}/merge", merging.Merge, "api-profile-merge"),
    *both(f"{_PROFILE}/why/<ref:other>/fix", why.ProfileWhyFix, "api-profile-why-fix"),
    *both(f"{_PROFILE}/why/<ref:other>", why.ProfileWhy, "api-profile-why"),
    *both(f"{_PROFILE}/restore", profiles.Restore, "api-profile-restore"),
    *both(f"{_PROFILE}/gdpr-export", privacy.GdprExport, "api-profile-gdpr-export"),
    *both(_PROFILE, profiles.ProfileDetail, "api-profile"),
    *both("v1/identifiers/confirm", profile_identifiers.ConfirmWaiting, "api-identifier-confirm"),
    *both("v1/resolve", profiles.Resolve, "api-resolve"),
    *both("v1/merges", merging.MergeList, "api-merges"),
    *both("v1/merges/bulk", merge_batches.MergeBulk, "api-merge-bulk"),
    *both("v1/merges/batches", merge_batches.BatchList, "api-merge-batches"),
    *both("v1/merges/batches/<int:batch_id>", merge_batches.BatchDetail, "api-merge-batch"),
    *both("v1/merges/batches/<int:batch_id>/rows", merge_batches.BatchRows, "api-merge-batch-rows"),
    *both("v1/merges/batches/<int:batch_id>/undo", merge_batches.BatchUndo, "api-merge-batch-undo"),
    *both("v1/merges/<int:merge_id>", merging.MergeDetail, "api-merge"),
    *both("v1/merges/<int:merge_id>/unmerge", merging.Unmerge, "api-unmerge"),
    *both("v1/duplicates", duplicates.DuplicateList, "api-duplicates"),
    *both("v1/duplicates/scan", duplicates.DuplicateScan, "api-duplicates-scan"),
    *both("v1/duplicates/<int:pk>", duplicates.DuplicateDetail, "api-duplicate"),
    *both("v1/duplicates/<int:pk>/decide", duplicates.DuplicateDecide, "api-duplicate-decide"),
    *both("v1/duplicates/<int:pair_id>/why", why.PairWhy, "api-duplicate-why"),
    *both("v1/duplicates/<int:pair_id>/why/fix", why.PairWhyFix, "api-duplicate-why-fix"),
    *both("v1/duplicate-cases", duplicates.CaseList, "api-duplicate-cases"),
    *both("v1/duplicate-cases/<int:pk>", duplicates.CaseDetail, "api-duplicate-case"),
    *both("v1/duplicate-cases/<int:pk>/decide", duplicates.CaseDecide, "api-duplicate-case-decide"),
    *both("v1/sources/<int:pk>/signing-secret", signing_secrets.SecretDetail, "api-source-secret"),
    *both(
        "v1/sources/<int:pk>/signing-secret/rotate", signing_secrets.SecretRotate, "api-source-secret-rotate"
    ),
    *both(
        "v1/sources/<int:pk>/signing-secret/revoke", signing_secrets.SecretRevoke, "api-source-secret-revoke"
    ),
    *both("v1/events", events.EventList, "api-events"),
    *both("v1/looks", looks.LookList, "api-looks"),
    *both("v1/looks/people", looks.SeenPeople, "api-seen-people"),
    *both("v1/exports", exports.ExportList, "api-exports"),
    *both("v1/exports/<int:pk>", exports.ExportDetail, "api-export"),
    *both("v1/exports/<int:pk>/download", exports.ExportDownload, "api-export-download"),
    *both("v1/held-joins", held_merges.HeldMergeList, "api-held-joins"),
    *both("v1/unconfirmed-identifiers", unconfirmed.UnconfirmedList, "api-unconfirmed-identifiers"),
    *both("v1/held-joins/<int:pk>/decide", held_merges.HeldMergeDecide, "api-held-join-decide"),
    *both("v1/scorecard", scorecard.Scorecard, "api-scorecard"),
    *both("v1/scorecard/imports", scorecard.ImportScorecard, "api-import-scorecard"),
    *both("v1/scorecard/alarms", scorecard.AlarmList, "api-source-alarms"),
    *both(
        "v1/scorecard/alarms/<int:pk>/acknowledge",
        scorecard.AlarmAcknowledge,
        "api-source-alarm-acknowledge",
    ),
    *both("v1/duplicate-policy", scorecard.Policy, "api-duplicate-policy"),
    *both("v1/held-joins/<int:pk>/reopen", held_merges.HeldMergeReopen, "api-held-join-reopen"),
    *both("v1/receipts", receipts.ReceiptList, "api-receipts"),
    *both("v1/receipts/replay", receipts.ReplayMany, "api-receipts-replay"),
    *both("v1/receipts/dismiss", receipts.DismissMany, "api-receipts-dismiss"),
    *both("v1/receipts/<int:pk>", receipts.ReceiptDetail, "api-receipt"),
    *both("v1/receipts/<int:pk>/replay", receipts.ReceiptReplay, "api-receipt-replay"),
    *both("v1/receipts/<int:pk>/dismiss", receipts.ReceiptDismiss, "api-receipt-dismiss"),
]
