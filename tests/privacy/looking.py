"""A response → its text, streamed or not."""

from __future__ import annotations

from typing import Any


def seen_in(response: Any) -> str:
    if response.status_code >= 300:
        return ""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return str(body.decode(errors="replace"))
