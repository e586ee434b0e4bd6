"""What the permissions of ``profiles`` mean: which shipped role and API scope holds them, and what they are called."""

from cdp.roles_and_scopes import Right, Rights, codes, manage

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
    "consentchannel",
    "consentpurpose",
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
# What people can be asked for, and the right to record a yes of somebody who said no.
_ANSWER_FOR_CONSENT = manage(_APP, "consentchannel", "consentpurpose") | codes(_APP, "regrant_consent")

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
    | _ANSWER_FOR_CONSENT
    | codes(
        _APP,
        "delete_profile",
        "view_deleted",
        "restore_profile",
        "export_profile",
        "bulk_export",
        "bulk_update",
        "bulk_delete",
        "bulk_restore",
        "share_view",
    ),
    "privacy officer": _READ_IN_ADMIN
    | _SEE_REJECTED
    | _ANSWER_FOR_CONSENT
    | codes(
        _APP,
        "view_pii",
        "add_note",
        "add_consent",
        "export_profile",
        "delete_profile",
        "view_deleted",
        "restore_profile",
        "bulk_delete",
        "bulk_restore",
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
        "view_deleted",
        "restore_profile",
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
    "exports": codes(_APP, "export_profile", "bulk_export"),
    "privacy": codes(
        _APP,
        "export_profile",
        "delete_profile",
        "view_deleted",
        "restore_profile",
        "bulk_delete",
        "bulk_restore",
        "erase_profile",
        "regrant_consent",
    ),
    "pii": codes(_APP, "view_pii"),
    # Managers (tags, attributes, identifier types, sources, schemas, consent lists), views of the team, what tracking
    # rejected, rules for duplicates.
    "admin": manage(_APP, "tag", "attributedefinition", "identifiertype", "source", "eventschema")
    | manage(_APP, "consentchannel", "consentpurpose")
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

_SEE = "profiles.view_profile"
_SEE_PAIRS = "profiles.view_duplicatepair"
_SEE_SOURCES = "profiles.view_source"
_SEE_DEFINITIONS = "profiles.view_tag"
_SEE_CONSENT_LISTS = "profiles.view_consentpurpose"

_PEOPLE = (
    Right(
        _SEE,
        "people",
        "See people (masked)",
        codes(
            _APP,
            *("view_address", "view_identifier", "view_event", "view_eventname", "view_change", "view_note"),
            *("view_message", "view_consent", "view_profiletag", "view_cart"),
        ),
    ),
    Right("profiles.view_pii", "people", "See personal data", needs=_SEE),
    Right("profiles.save_view", "people", "Save views of the people list", needs=_SEE),
    Right("profiles.share_view", "people", "Share views with the team", needs="profiles.save_view"),
    Right("profiles.add_profile", "people", "Add a person", needs="profiles.view_pii"),
    Right(
        "profiles.change_profile",
        "people",
        "Edit one person",
        codes(
            _APP,
            *("add_address", "change_address", "delete_address", "add_identifier", "delete_identifier"),
            *("add_event", "add_profiletag", "delete_profiletag"),
        ),
        needs="profiles.view_pii",
    ),
    Right("profiles.add_note", "people", "Write notes", needs=_SEE),
    Right("profiles.add_consent", "people", "Record consents", needs=_SEE),
    Right(
        "profiles.regrant_consent",
        "people",
        "Record a yes of somebody who said no",
        needs="profiles.add_consent",
    ),
    Right("profiles.message_profile", "people", "Send a message", needs="profiles.view_pii"),
    Right("profiles.bulk_update", "people", "Change many at once", needs=_SEE),
    Right("profiles.delete_profile", "people", "Delete one person", needs=_SEE),
    Right("profiles.bulk_delete", "people", "Delete many at once", needs=_SEE),
    Right("profiles.view_deleted", "people", "See deleted people", needs=_SEE),
    Right("profiles.restore_profile", "people", "Restore a deleted person", needs="profiles.view_deleted"),
    Right("profiles.bulk_restore", "people", "Restore many at once", needs="profiles.restore_profile"),
)
_DUPLICATES = (
    Right(
        _SEE_PAIRS,
        "duplicates",
        "See duplicates and merges",
        codes(_APP, "view_duplicatecase", "view_duplicatepolicy", "view_merge", "view_linkinterval"),
        needs=_SEE,
    ),
    Right(
        "profiles.change_duplicatepair",
        "duplicates",
        "Decide about duplicates",
        codes(_APP, "change_duplicatecase"),
        needs=_SEE_PAIRS,
    ),
    Right("profiles.merge_profile", "duplicates", "Merge two people", needs=_SEE),
    Right("profiles.unmerge_profile", "duplicates", "Undo a merge", needs=_SEE_PAIRS),
    Right("profiles.view_heldmerge", "duplicates", "See waiting merges", needs=_SEE),
    Right(
        "profiles.change_heldmerge",
        "duplicates",
        "Decide about waiting merges",
        needs="profiles.view_heldmerge",
    ),
    Right("profiles.bulk_merge", "duplicates", "Merge many at once", needs=_SEE_PAIRS),
    Right("profiles.scan_duplicates", "duplicates", "Scan everybody for duplicates", needs=_SEE_PAIRS),
    Right("profiles.change_duplicatepolicy", "duplicates", "Set the rules for duplicates", needs=_SEE_PAIRS),
)
_SOURCES = (
    Right(
        _SEE_SOURCES,
        "sources",
        "See sources and their quality",
        codes(_APP, "view_sourcealarm", "view_eventschema"),
    ),
    Right(
        "profiles.change_source",
        "sources",
        "Manage sources",
        codes(_APP, "add_source", "delete_source"),
        needs=_SEE_SOURCES,
    ),
    Right(
        "profiles.change_sourcealarm",
        "sources",
        "Acknowledge alarms about sources",
        needs=_SEE_SOURCES,
    ),
    Right("profiles.view_receipt", "sources", "See what tracking sent and rejected"),
    Right(
        "profiles.replay_receipt",
        "sources",
        "Repair and replay rejected items",
        codes(_APP, "change_receipt"),
        needs="profiles.view_receipt",
    ),
    Right(
        "profiles.change_eventschema",
        "sources",
        "Manage event schemas",
        codes(_APP, "add_eventschema", "delete_eventschema"),
        needs=_SEE_SOURCES,
    ),
)
_OTHERS = (
    Right("profiles.bulk_export", "imports", "Export many people", needs=_SEE),
    Right(
        "profiles.export_profile",
        "privacy",
        "Export all that is known about one person",
        needs="profiles.view_pii",
    ),
    Right(_SEE_CONSENT_LISTS, "privacy", "See what consents are about", codes(_APP, "view_consentchannel")),
    Right(
        "profiles.change_consentpurpose",
        "privacy",
        "Manage consent channels and purposes",
        codes(
            _APP,
            *("add_consentpurpose", "delete_consentpurpose"),
            *("add_consentchannel", "change_consentchannel", "delete_consentchannel"),
        ),
        needs=_SEE_CONSENT_LISTS,
    ),
    Right(
        _SEE_DEFINITIONS,
        "settings",
        "See tags, attributes and identity rules",
        codes(_APP, "view_attributedefinition", "view_identifiertype"),
    ),
    *(
        Right(
            f"profiles.change_{model}",
            "settings",
            f"Manage {what}",
            codes(_APP, f"add_{model}", f"delete_{model}"),
            needs=_SEE_DEFINITIONS,
        )
        for model, what in (
            ("tag", "tags"),
            ("attributedefinition", "attributes"),
            ("identifiertype", "identity rules"),
        )
    ),
)

RIGHTS = Rights(roles=_ROLES, scopes=_SCOPES, words=(*_PEOPLE, *_DUPLICATES, *_SOURCES, *_OTHERS))
