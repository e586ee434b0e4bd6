"""Who does something: a staff login, an API key, or the system itself.

Verbs take ``actor`` and write it to the journal and the audit log; doors and jobs ask ``actor.can``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdp.models import ApiKey, User

if TYPE_CHECKING:
    pass

_READ = frozenset(
    f"profiles.view_{model}"
    for model in (
        "profile",
        "address",
        "identifier",
        "event",
        "change",
        "merge",
        "note",
        "message",
        "consent",
        "tag",
        "profiletag",
        "attributedefinition",
        "identifiertype",
        "source",
        "sourcealarm",
        "receipt",
        "eventschema",
        "linkinterval",
        "heldjoin",
        "cart",
        "duplicatepair",
        "duplicatecase",
    )
)
# What an API key's scope stands for, in the permissions staff roles are made of.
SCOPES: dict[str, frozenset[str]] = {
    "profiles:read": _READ,
    "profiles:write": _READ
    | {
        f"profiles.{name}"
        for name in (
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
        )
    },
    "merge": _READ
    | {
        f"profiles.{name}"
        for name in (
            "merge_profile",
            "unmerge_profile",
            "change_duplicatepair",
            "change_duplicatecase",
            "scan_duplicates",
            "bulk_merge",
        )
    },
    "imports": frozenset(
        {
            "imports.view_import",
            "imports.add_import",
            "imports.change_import",
            "imports.undo_import",
            "profiles.bulk_update",
        }
    ),
    "exports": frozenset({"profiles.export_profile", "profiles.bulk_export"}),
    "segments": frozenset(),
    "privacy": frozenset(
        {
            "profiles.export_profile",
            "profiles.erase_profile",
            "profiles.bulk_delete",
            "profiles.restore_profile",
        }
    ),
    "pii": frozenset({"profiles.view_pii"}),
    # Managers (tags, attributes, identifier types, sources, schemas, webhooks), what tracking rejected, the audit log.
    "admin": frozenset(
        {
            f"profiles.{verb}_{model}"
            for verb in ("view", "add", "change", "delete")
            for model in ("tag", "attributedefinition", "identifiertype", "source", "eventschema")
        }
        | {f"profiles.{verb}" for verb in ("view_receipt", "change_receipt", "replay_receipt")}
        | {"profiles.view_heldjoin", "profiles.change_heldjoin"}
        | {"profiles.view_sourcealarm", "profiles.change_sourcealarm"}
        | {"profiles.view_duplicatepolicy", "profiles.change_duplicatepolicy"}
        | {f"cdp.{verb}_webhook" for verb in ("view", "add", "change", "delete")}
        | {"cdp.view_auditentry", "cdp.view_job"}
    ),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """``label`` is stable (``user:3``, ``key:7``, ``system``); ``name`` is what people read."""

    label: str
    name: str
    user: User | None = None
    key: ApiKey | None = None

    @classmethod
    def of_user(cls, user: User) -> Actor:
        return cls(f"user:{user.pk}", user.get_username(), user=user)

    @classmethod
    def of_key(cls, key: ApiKey) -> Actor:
        return cls(f"key:{key.pk}", key.name, key=key)

    @classmethod
    def of_request(cls, request: Any) -> Actor:
        """The actor behind a Django or DRF request; an API key travels as ``request.auth``."""
        key = getattr(request, "auth", None)
        if isinstance(key, ApiKey):
            return cls.of_key(key)
        return cls.of_user(request.user)

    @classmethod
    def system(cls) -> Actor:
        return cls("system", "system")

    @property
    def user_id(self) -> int | None:
        return self.user.pk if self.user else None

    @property
    def key_id(self) -> int | None:
        return self.key.pk if self.key else None

    def can(self, permission: str) -> bool:
        """Whether this actor holds ``app.codename``; the system may do everything."""
        if self.user is not None:
            return self.user.is_active and self.user.has_perm(permission)
        if self.key is not None:
            if self.key.revoked_at is not None:
                return False
            return any(permission in SCOPES.get(scope, ()) for scope in self.key.scopes)
        return True
