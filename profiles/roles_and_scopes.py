"""What the permissions of ``profiles`` mean: which shipped role and API scope holds them, and their names for people."""

from cdp.roles_and_scopes import Rights, codes, manage

_APP = "profiles"
_READ_MODELS = (
    "profile",
    "address",
    "identifier",
    "event",
    "change",
    "merge",
    "note",
    "message",
    "consent",
    "duplicatepair",
    "duplicatecase",
    "tag",
    "profiletag",
    "attributedefinition",
    "identifiertype",
    "source",
    "sourcealarm",
    "eventschema",
    "linkinterval",
    "cart",
)
_READ = codes(_APP, *(f"view_{model}" for model in _READ_MODELS))
# A view is a way to look, kept for oneself; sharing it is a right of its own.
_READ_IN_ADMIN = _READ | codes(_APP, "view_eventname", "view_duplicatepolicy", "save_view")
_READ_BY_KEY = _READ | codes(_APP, "view_receipt", "view_heldmerge")
_EDIT_ONE = codes(
    _APP,
    "view_pii",
    "add_profile",
    "change_profile",
    "add_identifier",
    "delete_identifier",
    "add_address",
    "change_address",
    "delete_address",
    "add_note",
    "add_event",
    "add_consent",
    "add_profiletag",
    "delete_profiletag",
    "message_profile",
)
_MERGE = codes(_APP, "merge_profile", "unmerge_profile", "change_duplicatepair", "change_duplicatecase")
# Thousands of merges at once, the rules for merging without asking, and scans of everybody.
_MERGE_MANY = codes(_APP, "bulk_merge", "scan_duplicates", "change_duplicatepolicy")
# What came in and was not carried out; support looks, whoever answers for the data repairs.
_SEE_REJECTED = codes(_APP, "view_receipt", "view_heldmerge")
_REPAIR_REJECTED = (
    _SEE_REJECTED
    | codes(_APP, "change_receipt", "replay_receipt", "change_heldmerge", "change_sourcealarm")
    | manage(_APP, "eventschema")
)
_DEFINE = manage(_APP, "tag", "attributedefinition", "identifiertype", "source")

_ROLES = {
    "viewer": _READ_IN_ADMIN,
    "support": _READ_IN_ADMIN | _EDIT_ONE | _MERGE | _SEE_REJECTED | codes(_APP, "export_profile"),
    "marketer": _READ_IN_ADMIN
    | _EDIT_ONE
    | manage(_APP, "tag")
    | codes(_APP, "bulk_update", "bulk_export", "share_view"),
    "data admin": _READ_IN_ADMIN
    | _EDIT_ONE
    | _MERGE
    | _MERGE_MANY
    | _REPAIR_REJECTED
    | _DEFINE
    | codes(
        _APP,
        "delete_profile",
        "restore_profile",
        "export_profile",
        "bulk_export",
        "bulk_update",
        "bulk_delete",
        "share_view",
    ),
    "privacy officer": _READ_IN_ADMIN
    | _SEE_REJECTED
    | codes(
        _APP,
        "view_pii",
        "add_note",
        "add_consent",
        "export_profile",
        "delete_profile",
        "restore_profile",
        "bulk_delete",
        "erase_profile",
    ),
}

_SCOPES = {
    "profiles:read": _READ_BY_KEY,
    "profiles:write": _READ_BY_KEY
    | codes(
        _APP,
        "add_profile",
        "change_profile",
        "delete_profile",
        "bulk_update",
        "add_identifier",
        "delete_identifier",
        "add_address",
        "delete_address",
        "add_note",
        "add_event",
        "add_consent",
        "add_profiletag",
        "delete_profiletag",
    ),
    "merge": _READ_BY_KEY | _MERGE | codes(_APP, "scan_duplicates", "bulk_merge"),
    "imports": codes(_APP, "bulk_update"),
    "exports": codes(_APP, "export_profile", "bulk_export"),
    "privacy": codes(_APP, "export_profile", "erase_profile", "bulk_delete", "restore_profile"),
    "pii": codes(_APP, "view_pii"),
    # Managers (tags, attributes, identifier types, sources, schemas), views of the team, what tracking rejected,
    # rules for duplicates.
    "admin": manage(_APP, "tag", "attributedefinition", "identifiertype", "source", "eventschema")
    | _SEE_REJECTED
    | codes(
        _APP,
        "save_view",
        "share_view",
        "change_receipt",
        "replay_receipt",
        "change_heldmerge",
        "view_sourcealarm",
        "change_sourcealarm",
        "view_duplicatepolicy",
        "change_duplicatepolicy",
    ),
}

_LABELS = {
    "profiles.view_profile": "See people (masked)",
    "profiles.view_pii": "See personal data",
    "profiles.change_profile": "Edit one person",
    "profiles.add_profile": "Add a person",
    "profiles.message_profile": "Send a message",
    "profiles.merge_profile": "Merge",
    "profiles.unmerge_profile": "Undo a merge",
    "profiles.change_duplicatepair": "Decide about duplicates",
    "profiles.scan_duplicates": "Scan everybody for duplicates",
    "profiles.bulk_merge": "Merge many at once",
    "profiles.change_duplicatepolicy": "Set the rules for duplicates",
    "profiles.export_profile": "Export one person",
    "profiles.bulk_export": "Export many",
    "profiles.bulk_update": "Change many at once",
    "profiles.delete_profile": "Delete one",
    "profiles.bulk_delete": "Delete many",
    "profiles.restore_profile": "Restore a deleted person",
    "profiles.erase_profile": "Erase for ever",
    "profiles.save_view": "Save views of the people list",
    "profiles.share_view": "Share views with the team",
    "profiles.change_tag": "Manage tags",
    "profiles.change_attributedefinition": "Manage attributes",
    "profiles.change_identifiertype": "Manage identity rules",
    "profiles.change_source": "Manage sources",
    "profiles.view_receipt": "See what tracking sent and rejected",
    "profiles.replay_receipt": "Repair and replay rejected items",
    "profiles.change_heldmerge": "Decide about waiting merges",
    "profiles.change_eventschema": "Manage event schemas",
    "profiles.change_sourcealarm": "Acknowledge alarms about sources",
}

RIGHTS = Rights(roles=_ROLES, scopes=_SCOPES, labels=_LABELS)
