"""Signed user ids: your server renders them, so that a page's public key may say who somebody is."""

from __future__ import annotations

import hashlib
import hmac

from profiles.models import Source


def sign_user(source: Source, user_id: str) -> str:
    """The ``context.userHash`` of a user id: HMAC-SHA-256 with the source's secret, in hexadecimal."""
    return hmac.new(source.hash_secret.encode(), user_id.encode(), hashlib.sha256).hexdigest()


def is_signed(source: Source, user_id: str, given: str) -> bool:
    """Whether ``given`` is the signature of this user id; takes the same time for any wrong one."""
    return hmac.compare_digest(sign_user(source, user_id).encode(), given.strip().lower().encode())
