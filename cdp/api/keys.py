"""A name and scopes → an API key, whose secret is returned once; and its revocation."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.api.authentication import digest_of
from cdp.errors import Invalid
from cdp.models import ApiKey
from cdp.roles_and_scopes import SCOPES


@dataclass(frozen=True, slots=True)
class NewKey:
    """``secret`` is in this value alone and stored nowhere."""

    key: ApiKey
    secret: str


@transaction.atomic
def create_key(*, name: str, scopes: Iterable[str], actor: Actor) -> NewKey:
    """Make a key with these scopes (``["all"]`` for every one). Raises Invalid for a name or scope that is none."""
    wanted = list(dict.fromkeys(scopes))
    wanted = list(SCOPES) if wanted == ["all"] else wanted
    name = name.strip()
    problems: list[dict[str, str | None]] = []
    if not 0 < len(name) <= 100:
        problems.append(
            {"field": "name", "value": name[:100], "message": "Give the key a name of 1 to 100 characters."}
        )
    known = ", ".join(SCOPES)
    for scope in wanted:
        if scope not in SCOPES:
            message = f"“{scope}” is not a scope. Known scopes: {known}."
            problems.append({"field": "scopes", "value": scope, "message": message})
    if not wanted:
        problems.append({"field": "scopes", "value": None, "message": f"Choose at least one scope: {known}."})
    if problems:
        raise Invalid(problems)
    secret = f"cdp_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        name=name, prefix=secret[:12], digest=digest_of(secret), scopes=wanted, created_by_id=actor.user_id
    )
    audit.record("key.create", actor=actor, subject=f"key:{key.pk}", detail={"scopes": wanted})
    return NewKey(key, secret)


@transaction.atomic
def revoke_key(*, key_id: int, actor: Actor) -> ApiKey:
    """End a key at once and for good; the next request with it is a 401. Revoking twice changes nothing."""
    key = ApiKey.objects.select_for_update().get(pk=key_id)
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        audit.record("key.revoke", actor=actor, subject=f"key:{key.pk}")
    return key
