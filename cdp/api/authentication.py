"""A request → its caller: an API key in the Authorization header, or signed-in staff."""

from __future__ import annotations

import copy
import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser
from django.http import QueryDict
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed

if TYPE_CHECKING:
    from rest_framework.request import Request

    from cdp.models import ApiKey

# ``last_used_at`` is for people; one write a minute per key is exact enough for them.
USED_EVERY = timedelta(minutes=1)


def digest_of(secret: str) -> str:
    """What is kept of a key. Keys have 256 random bits, so a plain SHA-256 cannot be guessed backwards."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer <key>``. Costs one query; nothing is cached, so a revoked key ends at once.

    So does one whose owner's login is deactivated.

    The key becomes ``request.auth`` and ``request.user`` stays anonymous: a key is no person.
    """

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return AnonymousUser(), self._key(secret.strip())

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'

    def _key(self, secret: str) -> ApiKey:
        from cdp.actors import block_of_key
        from cdp.models import ApiKey

        key = ApiKey.objects.select_related("owner").filter(digest=digest_of(secret)).first()
        if key is None:
            raise AuthenticationFailed("This API key is not known here. Check that it was copied whole.")
        if key.revoked_at is not None:
            raise AuthenticationFailed(f"The API key “{key.name}” was revoked. Use another key.")
        if problem := block_of_key(key):
            raise AuthenticationFailed(problem.text)
        _note_use(key)
        return key


class StaffSession(SessionAuthentication):
    """Who is signed in to the admin; a write sends the CSRF token in the header ``X-CSRFToken``.

    A session ends here when it ends in the admin: at once when the login is deactivated or loses its staff status.

    Django looks for the token in a form first, which would read the body before its length and type are checked,
    and leave nothing to read afterwards.
    """

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        from cdp.actors import block_of_user

        signed_in = super().authenticate(request)
        if signed_in is not None and (problem := block_of_user(signed_in[0])):
            raise AuthenticationFailed(problem.text)
        return signed_in

    def enforce_csrf(self, request: Any) -> None:
        plain = copy.copy(request._request)
        plain._post = QueryDict()
        super().enforce_csrf(plain)


def _note_use(key: ApiKey) -> None:
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > USED_EVERY:
        type(key).objects.filter(pk=key.pk).update(last_used_at=now)
