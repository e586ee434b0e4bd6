"""Who does something (a staff login, an API key, the system itself) → whether they may, as they are now.

Verbs take ``actor`` and write it to the journal and the audit log. Pages, endpoints and jobs all ask ``actor.can``; what
keeps a login or key from doing anything at all is decided in one place, ``Actor.block``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cdp.models import ApiKey, User
from cdp.roles_and_scopes import RIGHTS, SCOPES


@dataclass(frozen=True, slots=True)
class Block:
    """Why a login or key may do nothing at all: ``code`` for programs and the audit log, ``text`` for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Actor:
    """``label`` is stable (``user:3``, ``key:7``, ``system``); ``name`` is what people read.

    An actor that is no login, no key and not the system (somebody who failed to sign in) may do nothing.
    """

    label: str
    name: str
    user: User | None = None
    key: ApiKey | None = None
    is_system: bool = False

    @classmethod
    def of_user(cls, user: User) -> Actor:
        return cls(f"user:{user.pk}", user.get_username(), user=user)

    @classmethod
    def of_key(cls, key: ApiKey) -> Actor:
        """Expects the key's ``owner`` joined in; asking ``can`` costs a query otherwise."""
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
        return cls("system", "system", is_system=True)

    @classmethod
    def nobody(cls) -> Actor:
        """Stands for a login or key that is gone."""
        return cls("nobody", "nobody")

    @property
    def user_id(self) -> int | None:
        return self.user.pk if self.user else None

    @property
    def key_id(self) -> int | None:
        return self.key.pk if self.key else None

    @property
    def block(self) -> Block | None:
        """What keeps this actor from doing anything, as they are now; None where nothing does."""
        if self.is_system:
            return None
        if self.user is not None:
            return block_of_user(self.user)
        if self.key is not None:
            return block_of_key(self.key)
        return Block("unknown", "The login or API key it was started with is gone.")

    def can(self, permission: str) -> bool:
        """Whether this actor holds ``app.codename``; the system may do everything."""
        if self.block is not None:
            return False
        if self.user is not None:
            return self.user.has_perm(permission)
        if self.key is not None:
            return any(permission in SCOPES.get(scope, ()) for scope in self.key.scopes)
        return self.is_system


def block_of_user(user: User) -> Block | None:
    """A login works while it is active and has staff status."""
    if not user.is_active:
        return Block("login_inactive", f"The login “{user.get_username()}” is deactivated.")
    if not user.is_staff:
        return Block("login_not_staff", f"The login “{user.get_username()}” is no staff login any more.")
    return None


def block_of_key(key: ApiKey) -> Block | None:
    """A key works until it is revoked, and while the login that answers for it works."""
    if key.revoked_at is not None:
        return Block("key_revoked", f"The API key “{key.name}” was revoked.")
    if key.is_system:
        return None
    if key.owner is None:
        return Block(
            "key_without_owner",
            f"The API key “{key.name}” belongs to a login that is gone. Hand it over to another login, or revoke it.",
        )
    if block_of_user(key.owner) is not None:
        why = "no staff login any more" if key.owner.is_active else "deactivated"
        return Block(
            "key_owner_inactive",
            f"The API key “{key.name}” belongs to the login “{key.owner.get_username()}”, which is {why}."
            " Hand the key over to another login, or revoke it.",
        )
    return None


def right_in_words(permission: str) -> str:
    """``profiles.merge_profile`` → “Merge people”; the code itself where it has no words."""
    right = RIGHTS.get(permission)
    return f"“{right.label}”" if right else permission
