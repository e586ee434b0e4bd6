"""What the pages of ``profiles`` add to the admin's frame: tabs of the menu, parts of the first page, further pages."""

from cdp.admin import audit_wording
from cdp.admin.audit import subject_pages
from cdp.admin.jobs import follow_ups
from cdp.admin.navigation import Tab, register_tab
from cdp.admin.site import ExtraPage, extra_pages
from profiles.admin import today
from profiles.admin.bulk_confirmation import undo_of_deletion
from profiles.admin.identity_setup import setup
from profiles.identity.lookup import VIEW_DELETED

extra_pages.register("cdp_setup", ExtraPage("setup/", setup, "cdp_setup"))
for kind in ("profile", "tag", "source", "merge", "receipt"):
    subject_pages.register(kind, f"admin:profiles_{kind}_change")
subject_pages.register("view", "admin:profiles_profile_view")

_PAIRS, _CASES = "admin:profiles_duplicatepair_changelist", "admin:profiles_duplicatecase_changelist"
_SEE_DUPLICATES = "profiles.view_duplicatepair"
_TABS = {
    "people": (
        Tab("Everyone", "admin:profiles_profile_changelist", "profiles.view_profile"),
        Tab("Deleted", "admin:profiles_profile_deleted", VIEW_DELETED),
    ),
    "duplicates": (
        Tab("To review", _PAIRS, _SEE_DUPLICATES),
        Tab("Groups", _CASES, "profiles.view_duplicatecase"),
        Tab("Waiting merges", "admin:profiles_heldmerge_changelist", "profiles.view_heldmerge"),
        Tab("History", "admin:profiles_merge_changelist", "profiles.view_merge"),
        Tab("Bulk", "admin:profiles_mergebatch_changelist", "profiles.view_merge"),
        Tab("Rules", "admin:profiles_duplicatepolicy_changelist", "profiles.view_duplicatepolicy"),
    ),
    "imports": (Tab("Exports", "admin:profiles_profile_exports", "profiles.bulk_export"),),
    "sources": (
        Tab("Sources", "admin:profiles_source_changelist", "profiles.view_source"),
        Tab("Quality", "admin:profiles_scorecard", "profiles.view_sourcealarm"),
        Tab("Rejected", "admin:profiles_receipt_changelist", "profiles.view_receipt"),
        Tab("Confirmations", "admin:profiles_source_unconfirmed", "profiles.view_source"),
        Tab("Event schemas", "admin:profiles_eventschema_changelist", "profiles.view_eventschema"),
    ),
    "settings": (
        Tab("Identity", "admin:profiles_identifiertype_changelist", "profiles.view_identifiertype", "Data"),
        Tab(
            "Attributes",
            "admin:profiles_attributedefinition_changelist",
            "profiles.view_attributedefinition",
            "Data",
        ),
        Tab("Tags", "admin:profiles_tag_changelist", "profiles.view_tag", "Data"),
    ),
    "privacy": (
        Tab("Consent purposes", "admin:profiles_consentpurpose_changelist", "profiles.view_consentpurpose"),
        Tab("Consent channels", "admin:profiles_consentchannel_changelist", "profiles.view_consentchannel"),
        Tab("Who looked", "admin:cdp_look_changelist", "cdp.view_look"),
    ),
}
for task, tabs in _TABS.items():
    for order, tab in enumerate(tabs, 10):
        register_tab(task, tab, order=order)
today.register()
follow_ups.register("undo a deletion", undo_of_deletion)
audit_wording.register(
    {
        "profile.create": "added",
        "profile.update": "changed",
        "profile.delete": "deleted",
        "profile.restore": "restored",
        "profile.merge": "merged another profile into",
        "profile.unmerge": "undid a merge into",
        "profile.export": "downloaded the GDPR export of",
        "profile.bulk_export": "exported many people",
        "profile.bulk_export.download": "downloaded an export of many people",
        "profile.address": "changed an address of",
        "profile.confirm": "confirmed an identifier of",
        "profile.consent": "recorded a consent of",
        "profile.event": "added an event to",
        "profile.lock": "locked or unlocked",
        "profile.note": "wrote a note on",
        "profile.tags": "changed the tags of",
        "profile.message": "sent a message to",
        "receipt.dismiss": "dismissed a rejected item",
        "receipt.bulk": "decided about many rejected items",
        "merge.batch.start": "started merging many pairs",
        "merge.batch.undo": "undid many merges",
        "merge.batch.discard": "discarded a list of merges",
        "merge.batch.download": "downloaded a list of merges",
        "duplicate.policy": "changed the rules for duplicates",
        "duplicate.report": "sent the duplicate report",
        "duplicate.scan": "started a scan for duplicates",
        "source.create": "created",
        "source.update": "changed",
        "source.alarm": "raised an alarm about",
        "source.alarm_read": "acknowledged an alarm about",
        "writekey.create": "created a write key for",
        "writekey.revoke": "revoked a write key of",
        "writekey.rotate": "rotated a write key of",
        "tag.rename": "renamed",
        "view.create": "saved",
        "view.update": "changed",
        "view.delete": "deleted",
        "attribute.create": "added an attribute",
        "demo.load": "loaded the demo data",
    }
)
