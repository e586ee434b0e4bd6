"""A caller and a permission → allowed or refused, in the permissions that staff roles are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.urls import reverse
from rest_framework.exceptions import MethodNotAllowed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission

from cdp.actors import Actor
from cdp.plurals import counted
from cdp.roles_and_scopes import SCOPES
from cdp.sessions import is_confirmed

if TYPE_CHECKING:
    from rest_framework.request import Request

SIGN_IN = "Send an API key as “Authorization: Bearer <key>”. Keys are created in the admin under Settings."


class HasScope(BasePermission):
    """Reads ``view.permissions``: method → permission, a tuple of permissions (all needed) or None.

    A view without the attribute, or a method it does not name, is closed to everybody.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method != "OPTIONS" and not hasattr(view, method.lower()):
            raise MethodNotAllowed(method)
        if request.auth is None and not request.user.is_authenticated:
            raise NotAuthenticated(SIGN_IN)
        if method == "OPTIONS":
            return True
        permissions: dict[str, Any] = getattr(view, "permissions", {})
        if method not in permissions:
            raise PermissionDenied("Nobody is allowed to do this here.")
        needed = permissions[method] or ()
        actor = Actor.of_request(request)
        for permission in (needed,) if isinstance(needed, str) else needed:
            require(actor, permission)
        return True


class PasswordNotConfirmed(PermissionDenied):
    """Of a session alone: a key has no password."""

    default_code = "password_not_confirmed"


def require_confirmed(request: Request) -> None:
    """Raise a 403 for a session that has not given its password lately, as pages ask for it."""
    if request.auth is None and not is_confirmed(request):
        page = reverse("admin:cdp_confirm")
        raise PasswordNotConfirmed(
            f"Confirm your password at {page} and send this again: your session has not given it within"
            f" {counted(settings.CDP_CONFIRM_MINUTES, 'minutes')}. An API key is not asked."
        )


def require(actor: Actor, permission: str) -> None:
    """Raise a 403 that names what is missing."""
    if not actor.can(permission):
        raise PermissionDenied(_missing(actor, permission))


def _missing(actor: Actor, permission: str) -> str:
    if actor.key is None:
        return f"Your role does not include the permission {permission}."
    scopes = [name for name, permissions in SCOPES.items() if permission in permissions]
    if not scopes:
        return f"No scope of an API key includes the permission {permission}."
    return f"The API key “{actor.name}” needs the scope {' or '.join(scopes)} for this."
