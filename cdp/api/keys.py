"""A name and scopes → an API key, whose secret is returned once; its revocation, and its way to another owner."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from cdp import audit, notices
from cdp.actors import Actor
from cdp.api.authentication import digest_of
from cdp.errors import Conflict, Forbidden, Invalid, NotFound
from cdp.models import ApiKey, User
from cdp.roles_and_scopes import SCOPES


@dataclass(frozen=True, slots=True)
class NewKey:
    """``secret`` is in this value alone and stored nowhere."""

    key: ApiKey
    secret: str


@transaction.atomic
def create_key(*, name: str, scopes: Iterable[str], actor: Actor) -> NewKey:
    """Make a key with these scopes (``["all"]`` for every one), which its maker owns.

    A key made on the command line belongs to the system. Raises Invalid for a name or scope that is none, Forbidden for
    a scope whose rights the maker does not have: nobody hands on more than they hold.
    """
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
    if beyond := scopes_beyond(actor, wanted):
        raise Forbidden(
            f"{actor.name} may not give a key the scope {_listed(beyond)}: it includes rights {actor.name} does not have."
        )
    secret = f"cdp_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        name=name,
        prefix=secret[:12],
        digest=digest_of(secret),
        scopes=wanted,
        created_by_id=actor.user_id,
        owner_id=actor.user_id,
        is_system=actor.is_system,
    )
    audit.record("key.create", actor=actor, subject=f"key:{key.pk}", detail={"scopes": wanted})
    notices.key_created(key, actor=actor)
    return NewKey(key, secret)


@transaction.atomic
def revoke_key(*, key_id: int, actor: Actor) -> ApiKey:
    """End a key at once and for good; the next request with it is a 401. Revoking twice changes nothing."""
    key = ApiKey.objects.select_for_update(of=("self",)).select_related("owner").get(pk=key_id)
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        audit.record("key.revoke", actor=actor, subject=f"key:{key.pk}")
        notices.key_revoked(key, actor=actor)
    return key


@transaction.atomic
def hand_over_key(*, key_id: int, user_id: int, actor: Actor) -> ApiKey:
    """Another login answers for the key from now on; secret and scopes stay, and it works while that login does.

    Raises NotFound, Conflict for a revoked key, Invalid for a login that is deactivated or has fewer rights than the
    key, Forbidden where the actor has fewer.
    """
    key = ApiKey.objects.select_for_update(of=("self",)).select_related("owner").filter(pk=key_id).first()
    if key is None:
        raise NotFound(f"There is no API key #{key_id}.")
    if key.revoked_at is not None:
        raise Conflict(f"The API key “{key.name}” was revoked, for good. Create a new one.")
    if beyond := scopes_beyond(actor, key.scopes):
        raise Forbidden(
            f"{actor.name} may not hand over the key “{key.name}”: its scope {_listed(beyond)} includes rights"
            f" {actor.name} does not have. Revoke it, or ask somebody who has them."
        )
    user = User.objects.filter(pk=user_id).first()
    problem = _problem_of_owner(user, key)
    if user is None or problem:
        raise Invalid([{"field": "owner", "value": str(user or user_id), "message": problem}])
    before = key.owner
    if before != user:
        key.owner, key.is_system = user, False
        key.save(update_fields=["owner", "is_system"])
        detail = {"from": before.pk if before else None, "to": user.pk}
        audit.record("key.hand_over", actor=actor, subject=f"key:{key.pk}", detail=detail)
        notices.key_handed_over(key, before=before, actor=actor)
    return key


def scopes_beyond(actor: Actor, scopes: Iterable[str]) -> list[str]:
    """Those of the scopes that include a permission the actor does not have."""
    return [scope for scope in scopes if not all(actor.can(code) for code in SCOPES.get(scope, ()))]


def _problem_of_owner(user: User | None, key: ApiKey) -> str:
    if user is None:
        return "There is no such login."
    owner = Actor.of_user(user)
    if block := owner.block:
        return f"{block.text} Choose another login."
    if beyond := scopes_beyond(owner, key.scopes):
        return (
            f"The login “{owner.name}” has fewer rights than the key: those of the scope {_listed(beyond)} are missing."
            " Choose another login."
        )
    return ""


def _listed(scopes: list[str]) -> str:
    return ", ".join(f"“{scope}”" for scope in scopes)
