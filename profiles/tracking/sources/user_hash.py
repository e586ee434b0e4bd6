"""A user id and its signature → which of its source's secrets signed it.

A site's server signs the ids it renders, so that a page's public key may identify somebody.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import timedelta

from django.utils import timezone

from cdp import clock
from profiles.models import Source

# The two secrets by their columns.
CURRENT, OLD = "hash_secret", "old_hash_secret"
_USED_AGAIN_AFTER = timedelta(hours=1)


def sign_user(source: Source, user_id: str) -> str:
    """The ``context.userHash`` of a user id: HMAC-SHA-256 with the source's secret, in hexadecimal."""
    return _signature(source.hash_secret, user_id)


def matching_secret(source: Source, user_id: str, signature: str) -> str:
    """Which secret ``signature`` is this user id's signature by: CURRENT, OLD while that one is taken, or "" for none.

    Takes the same time for any wrong one.
    """
    sent = signature.strip().lower().encode()
    matched = ""
    secrets = [(CURRENT, source.hash_secret)]
    if accepts_old_secret(source):
        secrets.append((OLD, source.old_hash_secret))
    for name, secret in secrets:
        if hmac.compare_digest(_signature(secret, user_id).encode(), sent):
            matched = matched or name
    return matched


def is_signed(source: Source, user_id: str, signature: str) -> bool:
    return bool(matching_secret(source, user_id, signature))


def accepts_old_secret(source: Source) -> bool:
    """Whether the secret before the last rotation still counts."""
    until = source.old_hash_secret_until
    return bool(source.old_hash_secret) and (until is None or until > clock.now())


def record_use(source: Source, names: Iterable[str]) -> None:
    """These secrets were signed with just now; one UPDATE an hour and secret, none in between."""
    now = timezone.now()
    for name in sorted(names):
        column = f"{name}_used_at"
        last = getattr(source, column)
        if last is not None and now - last < _USED_AGAIN_AFTER:
            continue
        hour = now.replace(minute=0, second=0, microsecond=0)
        setattr(source, column, hour)
        # Not of another secret: this process may not know of a rotation yet.
        Source.objects.filter(pk=source.pk, **{name: getattr(source, name)}).update(**{column: hour})


def _signature(secret: str, user_id: str) -> str:
    return hmac.new(secret.encode(), user_id.encode(), hashlib.sha256).hexdigest()
