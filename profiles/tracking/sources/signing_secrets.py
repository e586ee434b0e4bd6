"""The secret a source's server signs user ids with → rotated with an overlap, the old one revoked.

Pages that were rendered before a rotation, and servers that do not have the new secret yet, go on signing with the
old one; for each secret it is kept when it was used last, so that one can see when nobody needs the old one any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format

from cdp import audit, clock
from cdp.actors import Actor
from cdp.errors import Invalid, RuleForbids
from profiles.models import Source
from profiles.models.definition import new_secret
from profiles.tracking.sources import write_keys
from profiles.tracking.sources.may_send import check_may_send
from profiles.tracking.sources.sources import TRACKING, lock_source
from profiles.tracking.sources.user_hash import accepts_old_secret

OVERLAP_DAYS = 7
MAX_OVERLAP_DAYS = 365


@dataclass(frozen=True, slots=True)
class RotatedSecret:
    """``message`` names the time until which the old secret is accepted."""

    source: Source
    secret: str
    message: str


@transaction.atomic
def rotate_secret(*, source_id: int, overlap_days: int | None = OVERLAP_DAYS, actor: Actor) -> RotatedSecret:
    """A new secret at once; the one so far is taken for ``overlap_days`` more (0: not any more, None: until revoked).

    Every process obeys within five seconds. Raises Forbidden for an actor who may not write people; NotFound; Invalid for days outside 0 to 365; RuleForbids for a
    source nobody sends to, and while a secret from before the last rotation is still taken.
    """
    check_may_send(actor, "Whoever has a signing secret")
    source = lock_source(source_id)
    if source.channel not in TRACKING:
        raise RuleForbids(f"“{source.name}” receives no tracking calls, so nothing is signed for it.")
    if overlap_days is not None and not 0 <= overlap_days <= MAX_OVERLAP_DAYS:
        message = (
            f"Write a number of days from 0 to {MAX_OVERLAP_DAYS}, or nothing for “until it is revoked”."
        )
        raise Invalid([{"field": "overlap_days", "value": overlap_days, "message": message}])
    if accepts_old_secret(source):
        raise RuleForbids(
            f"The secret before this one is still accepted {until(source)}. Revoke it first, then rotate again."
        )
    now = clock.now()
    # One that is not taken any more is not kept either.
    source.old_hash_secret, source.hash_secret = "" if overlap_days == 0 else source.hash_secret, new_secret()
    source.old_hash_secret_used_at, source.hash_secret_used_at = source.hash_secret_used_at, None
    source.old_hash_secret_until = None if overlap_days is None else now + timedelta(days=overlap_days)
    source.hash_secret_since = now
    _save(source, "source.secret.rotate", {"overlap_days": overlap_days}, actor)
    old = f"is accepted {until(source)}" if accepts_old_secret(source) else "is not accepted any more"
    return RotatedSecret(source, source.hash_secret, f"The new secret works from now on. The old one {old}.")


@transaction.atomic
def revoke_old_secret(*, source_id: int, actor: Actor) -> Source:
    """What is signed with the secret before the last rotation counts no more, within five seconds.

    Raises NotFound; RuleForbids when none is taken.
    """
    source = lock_source(source_id)
    if not accepts_old_secret(source):
        raise RuleForbids(f"“{source.name}” accepts only one secret; there is no old one to revoke.")
    source.old_hash_secret, source.old_hash_secret_until = "", clock.now()
    _save(source, "source.secret.revoke", {}, actor)
    return source


def until(source: Source) -> str:
    """Until when the old secret is taken, as part of a sentence."""
    end = source.old_hash_secret_until
    if end is None:
        return "until it is revoked"
    return f"until {date_format(timezone.localtime(end), 'j M Y, H:i')}"


_FIELDS = (
    "hash_secret",
    "hash_secret_since",
    "hash_secret_used_at",
    "old_hash_secret",
    "old_hash_secret_until",
    "old_hash_secret_used_at",
)


def _save(source: Source, action: str, detail: dict[str, int | None], actor: Actor) -> None:
    source.save(update_fields=_FIELDS)
    audit.record(action, actor=actor, subject=f"source:{source.pk}", detail=detail)
    write_keys.forget_known_keys()
