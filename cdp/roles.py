"""The roles staff can have: groups that ship with the product (G5).

A role is an ordinary group, so an admin may change it or add others. After each migrate, missing groups are
made and permissions that are new to this database are handed to the groups they ship with; nothing an
admin took away or added is touched.
"""

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import transaction


@dataclass(frozen=True, slots=True)
class Role:
    """``summary`` is the sentence the help page and the user form show."""

    summary: str
    permissions: frozenset[str]


def _codes(app: str, *names: str) -> frozenset[str]:
    return frozenset(f"{app}.{name}" for name in names)


def _manage(app: str, *models: str) -> frozenset[str]:
    return frozenset(
        f"{app}.{verb}_{model}" for verb in ("view", "add", "change", "delete") for model in models
    )


READ = _codes(
    "profiles",
    "view_profile",
    "view_address",
    "view_identifier",
    "view_event",
    "view_eventname",
    "view_change",
    "view_merge",
    "view_note",
    "view_message",
    "view_consent",
    "view_duplicatepair",
    "view_duplicatecase",
    "view_duplicatepolicy",
    "view_tag",
    "view_profiletag",
    "view_attributedefinition",
    "view_identifiertype",
    "view_source",
    "view_sourcealarm",
    "view_eventschema",
    "view_linkinterval",
    "view_cart",
)
EDIT_ONE = _codes(
    "profiles",
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
MERGE = _codes("profiles", "merge_profile", "unmerge_profile", "change_duplicatepair", "change_duplicatecase")
# Thousands of merges at once, the rules for merging without asking, and scans of everybody.
MERGE_MANY = _codes("profiles", "bulk_merge", "scan_duplicates", "change_duplicatepolicy")
IMPORT = (
    _codes("imports", "view_import", "add_import", "change_import", "undo_import")
    | _manage("imports", "savedmapping")
    | _codes("cdp", "view_job", "change_job")
)
# What came in and was not carried out; support looks, whoever answers for the data repairs.
LOOK_IN = _codes("profiles", "view_receipt", "view_heldjoin")
TRACK = (
    LOOK_IN
    | _codes("profiles", "change_receipt", "replay_receipt", "change_heldjoin", "change_sourcealarm")
    | _manage("profiles", "eventschema")
)
DEFINE = _manage("profiles", "tag", "attributedefinition", "identifiertype", "source")
CONNECT = _manage("cdp", "webhook") | _codes("cdp", "view_delivery", "change_delivery")

ROLES: dict[str, Role] = {
    "viewer": Role(
        "Sees people and their history with personal data masked. Changes nothing.",
        READ,
    ),
    "support": Role(
        "Finds one person, sees everything about them, edits, merges and un-merges, answers access requests.",
        READ | EDIT_ONE | MERGE | LOOK_IN | _codes("profiles", "export_profile"),
    ),
    "marketer": Role(
        "Reads and edits people, manages tags, changes many people at once, exports lists.",
        READ
        | EDIT_ONE
        | _manage("profiles", "tag")
        | _codes("profiles", "bulk_update", "bulk_export")
        | _codes("cdp", "view_job", "change_job"),
    ),
    "data admin": Role(
        "Imports files and undoes imports, repairs what tracking rejected, manages attributes, identity rules,"
        " sources, event schemas and webhooks, deletes and restores people, one or many.",
        READ
        | EDIT_ONE
        | MERGE
        | MERGE_MANY
        | IMPORT
        | TRACK
        | DEFINE
        | CONNECT
        | _codes(
            "profiles",
            "delete_profile",
            "restore_profile",
            "export_profile",
            "bulk_export",
            "bulk_update",
            "bulk_delete",
        )
        | _codes("cdp", "view_mail"),
    ),
    "privacy officer": Role(
        "Answers access and deletion requests, records consents, erases people, reads the audit log.",
        READ
        | LOOK_IN
        | _codes(
            "profiles",
            "view_pii",
            "add_note",
            "add_consent",
            "export_profile",
            "delete_profile",
            "restore_profile",
            "bulk_delete",
            "erase_profile",
        )
        | _codes("imports", "view_import")
        | _codes("cdp", "view_auditentry", "view_job", "change_job"),
    ),
}

# The rights a person can be given, in the words of the help page.
RIGHTS: dict[str, str] = {
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
    "imports.add_import": "Import",
    "imports.undo_import": "Undo an import",
    "profiles.export_profile": "Export one person",
    "profiles.bulk_export": "Export many",
    "profiles.bulk_update": "Change many at once",
    "profiles.delete_profile": "Delete one",
    "profiles.bulk_delete": "Delete many",
    "profiles.restore_profile": "Restore a deleted person",
    "profiles.erase_profile": "Erase for ever",
    "profiles.change_tag": "Manage tags",
    "profiles.change_attributedefinition": "Manage attributes",
    "profiles.change_identifiertype": "Manage identity rules",
    "profiles.change_source": "Manage sources",
    "profiles.view_receipt": "See what tracking sent and rejected",
    "profiles.replay_receipt": "Repair and replay rejected items",
    "profiles.change_heldjoin": "Decide about held joins",
    "profiles.change_eventschema": "Manage event schemas",
    "profiles.change_sourcealarm": "Acknowledge alarms about sources",
    "cdp.change_webhook": "Manage webhooks",
    "cdp.change_apikey": "Manage API keys",
    "cdp.change_user": "Manage logins and roles",
    "cdp.view_auditentry": "Read the audit log",
}

_APPS = ("cdp", "profiles", "imports")


def ensure_roles(*, using: str = "default", **_: Any) -> None:
    """Make missing groups; give new permissions to the groups they ship with. Idempotent.

    Connected to post_migrate: called before Django made the permissions of the apps migrated after ours,
    hence the call to ``create_permissions`` here.
    """
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group

    with transaction.atomic(using):
        before = _permission_ids()
        for label in _APPS:
            create_permissions(apps.get_app_config(label), verbosity=0, using=using)
        after = _permission_ids()
        for name, role in ROLES.items():
            group, is_new = Group.objects.using(using).get_or_create(name=name)
            grant = role.permissions if is_new else role.permissions - before.keys()
            group.permissions.add(*(after[code] for code in sorted(grant)))


def _permission_ids() -> dict[str, int]:
    from django.contrib.auth.models import Permission

    rows = Permission.objects.filter(content_type__app_label__in=_APPS).values_list(
        "content_type__app_label", "codename", "pk"
    )
    return {f"{app}.{codename}": pk for app, codename, pk in rows}
