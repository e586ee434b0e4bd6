"""Signs user ids, so that a browser cannot call itself somebody else."""

from __future__ import annotations

import hashlib
import hmac


def sign_user(secret: str, user_id: object) -> str:
    """``context.userHash`` of a user id: HMAC-SHA256 with the source's secret, as 64 hex digits."""
    return hmac.new(secret.encode(), str(user_id).encode(), hashlib.sha256).hexdigest()
