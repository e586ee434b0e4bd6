"""Numbers of rows as they come in addresses and forms."""

from __future__ import annotations

from collections.abc import Iterable


def row_id(text: str | None) -> int:
    """The id a text says; 0, which no row has, for what is none or more than a column holds."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else 0


def row_ids(texts: Iterable[str]) -> list[int]:
    """The ids among some texts, each once, in their order."""
    return list(dict.fromkeys(filter(None, map(row_id, texts))))
