"""Where the pages about tracking are, under the names the admin's links expect."""

from __future__ import annotations

from django.contrib import admin

from profiles.admin.profile_urls import OwnPages
from profiles.admin.tracking import (
    held_merges,
    live,
    rejected,
    rejected_bulk,
    signing_secrets,
    sources,
    unconfirmed,
)
from profiles.models import HeldMerge, Receipt, Source


class ReceiptAdmin(OwnPages):
    pages = (
        ("", rejected.inbox, "changelist"),
        ("bulk/", rejected_bulk.bulk, "bulk"),
        ("<int:receipt_id>/change/", rejected.receipt, "change"),
        ("<int:receipt_id>/replay/", rejected.replay, "replay"),
        ("<int:receipt_id>/dismiss/", rejected.dismiss_one, "dismiss"),
    )


class HeldMergeAdmin(OwnPages):
    pages = (
        ("", held_merges.inbox, "changelist"),
        ("decide/", held_merges.decide, "decide"),
        ("<int:heldmerge_id>/reopen/", held_merges.reopen, "reopen"),
    )


class SourceAdmin(OwnPages):
    """Never deleted: whatever came through a source names it."""

    pages = (
        ("", sources.sources, "changelist"),
        ("add/", sources.add, "add"),
        ("unconfirmed/", unconfirmed.unconfirmed, "unconfirmed"),
        ("<int:source_id>/change/", sources.source, "change"),
        ("<int:source_id>/settings/", sources.settings, "settings"),
        ("<int:source_id>/connect/", sources.connect, "connect"),
        ("<int:source_id>/live/", live.live, "live"),
        ("<int:source_id>/live/rows/", live.live_rows, "live_rows"),
        ("<int:source_id>/check-up/", live.checkup, "checkup"),
        ("<int:source_id>/check-up/browser/", live.checkup_browser, "checkup_browser"),
        ("<int:source_id>/secret/rotate/", signing_secrets.rotate, "secret_rotate"),
        ("<int:source_id>/secret/revoke/", signing_secrets.revoke, "secret_revoke"),
        ("<int:source_id>/key/", sources.key_add, "key_add"),
        ("<int:source_id>/key/<int:writekey_id>/rotate/", sources.key_rotate, "key_rotate"),
        ("<int:source_id>/key/<int:writekey_id>/revoke/", sources.key_revoke, "key_revoke"),
    )


admin.site.register(HeldMerge, HeldMergeAdmin)
admin.site.register(Receipt, ReceiptAdmin)
admin.site.register(Source, SourceAdmin)
