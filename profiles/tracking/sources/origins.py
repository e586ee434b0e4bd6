"""Web addresses typed by staff → the origins whose pages may use a source's key, and whether a page's is one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable


def is_allowed(origin: str, allowed: Iterable[str]) -> bool:
    """Whether a page's origin is among a source's; ``https://*.example.com`` stands for its subdomains."""
    origin = origin.lower()
    return any(_matches(origin, pattern) for pattern in allowed)


def clean_origin(raw: str) -> str:
    """``https://shop.example.com`` out of an address typed by hand. Raises ValueError for what is none."""
    text = raw.strip().lower()
    parts = urlsplit(text if "://" in text else f"https://{text}")
    host = parts.hostname or ""
    bare = host.removeprefix("*.")
    if (
        parts.scheme not in ("http", "https")
        or parts.username is not None
        or not bare
        or not all(label and label.replace("-", "").isalnum() for label in bare.split("."))
        or (bare != host and "." not in bare)
        or not bare.isascii()
    ):
        raise ValueError(raw)
    default = {"http": 80, "https": 443}[parts.scheme]
    port = f":{parts.port}" if parts.port not in (None, default) else ""
    return f"{parts.scheme}://{host}{port}"


def _matches(origin: str, pattern: str) -> bool:
    scheme, _, host = pattern.partition("://")
    if not host.startswith("*."):
        return origin == pattern
    return origin.startswith(f"{scheme}://") and origin.endswith(host[1:])
