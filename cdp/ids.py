"""Text from a URL or form → a row's id, or 0 for what is none."""

from __future__ import annotations

from collections.abc import Iterable


def row_id(text: str | None) -> int:
    """The id in a text; 0, which no row has, for what is none or too big for the column."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else 0


def row_ids(texts: Iterable[str]) -> list[int]:
    """The ids among some texts, each once, in their order."""
    return list(dict.fromkeys(filter(None, map(row_id, texts))))
