"""Names of a shop's events, and whether their properties have a value. Pure."""

from __future__ import annotations

from typing import Any

CART_NAMES = frozenset(
    {
        "added to cart",
        "product added",
        "removed from cart",
        "product removed",
        "cart viewed",
        "checkout started",
        "order completed",
    }
)
ORDER = "order completed"


def has_value(box: Any, *names: str) -> bool:
    return isinstance(box, dict) and any(box.get(name) not in (None, "") for name in names)
