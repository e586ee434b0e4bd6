"""Roles, API scopes and rights in words: apps register what their permissions mean → groups after each migrate.

A role is an ordinary group, so an admin may change it or add others. After each migrate, missing groups are
made and permissions that are new to this database are handed to the groups they ship with; nothing an
admin took away or added is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.apps import apps
from django.db import transaction

_NO_CODES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Role:
    """``summary`` is the sentence the help page and the user form show."""

    summary: str
    permissions: frozenset[str] = _NO_CODES


@dataclass(frozen=True, slots=True)
class Right:
    """What somebody may do, in words, at a task of the menu (a key of ``cdp.admin.navigation.TASKS``).

    ``code`` is the permission it stands for; ``also`` come and go with it. ``needs`` is the code of a right without
    which this one opens no page.
    """

    code: str
    task: str
    label: str
    also: frozenset[str] = _NO_CODES
    needs: str = ""

    @property
    def codes(self) -> frozenset[str]:
        return self.also | {self.code}


@dataclass(frozen=True, slots=True)
class Rights:
    """What one app adds: permissions (``app.codename``) by role, by API scope, and in words."""

    roles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    scopes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    words: Sequence[Right] = ()


# The shipped roles; apps add their permissions.
ROLES: dict[str, Role] = {
    "viewer": Role("Sees people and their history with personal data masked. Changes nothing."),
    "support": Role(
        "Finds one person, sees everything about them, edits, merges and un-merges, answers access requests."
    ),
    "marketer": Role("Reads and edits people, manages tags, changes many people at once, exports lists."),
    "data admin": Role(
        "Imports files and undoes imports, repairs what tracking rejected, manages attributes, identity rules, consents,"
        " sources, event schemas and webhooks, deletes and restores people, one or many."
    ),
    "privacy officer": Role(
        "Answers access and deletion requests, records consents and says what they are about, deletes and restores"
        " people, reads the audit log."
    ),
}
# What an API key's scope lets it do, as the form of keys and docs/security.md say it.
SCOPE_DESCRIPTIONS = {
    "profiles:read": "Read people, their history and duplicates, masked unless “pii” is added",
    "profiles:write": "Read people; add, change, delete and restore single ones, with their tags, identifiers, consents,"
    " notes and events",
    "merge": "Read people; merge profiles and undo merges, decide about duplicates, scan for them",
    "imports": "Upload, plan and apply files; pause, resume and cancel the key's own imports",
    "exports": "Export people, one or many",
    "segments": "Build segments, count and explain rules, put people in by hand; who is in one as people, with “profiles:read”",
    "privacy": "Delete and restore people, one or many; answer access requests; record a yes after a no, with “profiles:write”",
    "pii": "See personal data unmasked in what the other scopes show",
    "admin": "Manage tags, attributes, identifier types, lists of consents, event schemas, views, sources and webhooks;"
    " repair what tracking rejected; read the audit log and everybody's jobs. What writes people this way (write keys,"
    " signing secrets, replays) needs “profiles:write” too, what merges them “merge”",
}
# The same in the permissions roles are made of.
SCOPES: dict[str, frozenset[str]] = dict.fromkeys(SCOPE_DESCRIPTIONS, _NO_CODES)
# What a person can be given, by the permission it stands for. Permissions without words are internal.
RIGHTS: dict[str, Right] = {}

_registered: dict[str, Rights] = {}


def register_rights(app: str, rights: Rights) -> None:
    """Add an app's permissions to the shipped roles, the scopes and the words. Once per app.

    Raises ValueError for a role or scope that is not shipped, and for an app that registers twice.
    """
    if app in _registered:
        raise ValueError(f"The rights of “{app}” are registered twice.")
    for kind, known, named in (("role", ROLES, rights.roles), ("scope", SCOPES, rights.scopes)):
        if unknown := named.keys() - known.keys():
            raise ValueError(f"“{min(unknown)}” is not a {kind}. Known: {', '.join(known)}.")
    _registered[app] = rights
    for name, codes in rights.roles.items():
        ROLES[name] = replace(ROLES[name], permissions=ROLES[name].permissions | codes)
    for name, codes in rights.scopes.items():
        SCOPES[name] |= codes
    RIGHTS.update({right.code: right for right in rights.words})


def app_labels() -> tuple[str, ...]:
    """The apps whose permissions mean something here, in the order they registered."""
    return tuple(_registered)


def rights_of_scope(scope: str) -> list[str]:
    """The rights a scope includes, by the labels they have on the page of roles."""
    return [right.label for right in RIGHTS.values() if right.code in SCOPES[scope]]


def codes(app: str, *names: str) -> frozenset[str]:
    """``codes("profiles", "view_pii")`` → ``{"profiles.view_pii"}``."""
    return frozenset(f"{app}.{name}" for name in names)


def manage(app: str, *models: str) -> frozenset[str]:
    """View, add, change and delete of these models."""
    return frozenset(
        f"{app}.{verb}_{model}" for verb in ("view", "add", "change", "delete") for model in models
    )


def ensure_roles(*, using: str = "default", **_: Any) -> None:
    """Make missing groups; give new permissions to the groups they ship with. Idempotent.

    Connected to post_migrate: called before Django made the permissions of the apps migrated after ours,
    hence the call to ``create_permissions`` here.
    """
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group

    with transaction.atomic(using):
        before = _permission_ids(using)
        for label in app_labels():
            create_permissions(apps.get_app_config(label), verbosity=0, using=using)
        after = _permission_ids(using)
        for name, role in ROLES.items():
            group, is_new = Group.objects.using(using).get_or_create(name=name)
            grant = role.permissions if is_new else role.permissions - before.keys()
            group.permissions.add(*(after[code] for code in sorted(grant)))


def _permission_ids(using: str) -> dict[str, int]:
    from django.contrib.auth.models import Permission

    rows = Permission.objects.using(using).filter(content_type__app_label__in=app_labels())
    named = rows.values_list("content_type__app_label", "codename", "pk")
    return {f"{app}.{codename}": pk for app, codename, pk in named}


PLATFORM = Rights(
    roles={
        "marketer": codes("cdp", "view_job", "change_job"),
        "data admin": manage("cdp", "webhook")
        | codes("cdp", "view_delivery", "change_delivery", "view_job", "change_job", "view_mail"),
        "privacy officer": codes("cdp", "view_auditentry", "view_look", "view_job", "change_job"),
    },
    scopes={"admin": manage("cdp", "webhook") | codes("cdp", "view_auditentry", "view_look", "view_job")},
    words=(
        Right(
            "cdp.view_auditentry",
            "privacy",
            "Read the audit log and who looked at whom",
            codes("cdp", "view_look"),
        ),
        # Not delete: a login is deactivated, so that what it did keeps its name.
        Right(
            "cdp.change_user",
            "settings",
            "Manage logins and give them roles",
            codes("cdp", "view_user", "add_user"),
        ),
        Right("auth.change_group", "settings", "Manage what each role may do", manage("auth", "group")),
        Right("cdp.change_apikey", "settings", "Manage API keys", codes("cdp", "view_apikey", "add_apikey")),
        Right(
            "cdp.change_webhook",
            "settings",
            "Manage webhooks",
            manage("cdp", "webhook") | codes("cdp", "view_delivery", "change_delivery"),
        ),
        Right("cdp.change_job", "settings", "See and stop everybody's jobs", codes("cdp", "view_job")),
        Right("cdp.view_mail", "settings", "Read mails the product sent"),
    ),
)
