"""Who does something: a staff login, an API key, or the system itself.

Verbs take ``actor`` and write it to the journal and the audit log; doors and jobs ask ``actor.can``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cdp.models import ApiKey, User
from cdp.roles_and_scopes import SCOPES


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
