"""A messageId of any length, text or number → the text it is, and the UUID and column it is kept as. Pure."""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Any

from profiles.tracking.parse.item_text import MAX_TEXT, number_text

# Of message ids that are not UUIDs. Never change it: a repeated call would no longer be known as one.
NAMESPACE = uuid.UUID("6c1f0a52-93a4-5d0e-8b57-0f6f2f6d7c11")
_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def message_uuid(text: str) -> uuid.UUID:
    """What a message id is kept as: a canonical UUID as itself, any other text as a UUID made from it."""
    if _CANONICAL.fullmatch(text):
        return uuid.UUID(int=int(text.replace("-", ""), 16))
    return uuid.uuid5(NAMESPACE, column_text(text))


def column_text(message_text: str) -> str:
    """A message id as its column has it: a long one is its beginning with a hash of the whole."""
    if len(message_text) <= MAX_TEXT:
        return message_text
    digest = hashlib.sha256(message_text.encode(errors="surrogatepass")).hexdigest()
    return f"{message_text[: MAX_TEXT - len(digest) - 1]}…{digest}"


def message_text_of(raw: Any) -> str:
    """A messageId as text, a number too; empty when it is neither."""
    if isinstance(raw, str):
        return raw
    return (number_text(raw) or "") if type(raw) in (int, float) else ""
