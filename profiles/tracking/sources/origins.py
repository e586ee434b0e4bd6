"""Who may call from a page, and the headers that let a browser through.

Write keys travel in the request and no cookie counts here, so any page may read its answer: origin and asked
headers are reflected, on errors too (a page that cannot read a 400 retries it for ever).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.http import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpRequest

_READABLE = "Retry-After, X-RateLimit-Reset, X-Request-ID"
_DEFAULT_HEADERS = "authorization, content-type, content-encoding, x-write-key, x-strict-mode"
MAX_AGE_SECONDS = 86_400


def origin_of(request: HttpRequest) -> str:
    """The page's origin; empty when no browser sent this."""
    return request.headers.get("Origin", "")


def preflight(request: HttpRequest, methods: Iterable[str]) -> HttpResponse:
    """The answer to OPTIONS, before anybody's key is looked at."""
    asked = request.headers.get("Access-Control-Request-Headers") or _DEFAULT_HEADERS
    allow = ", ".join(methods)
    return HttpResponse(
        status=204,
        headers={
            "Allow": allow,
            "Access-Control-Allow-Methods": allow,
            "Access-Control-Allow-Headers": asked,
            "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
        },
    )


def let_through(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Puts the reflected origin on the answer. ``credentials`` because sendBeacon always asks with them."""
    response["Vary"] = "Origin, Access-Control-Request-Headers"
    if origin := origin_of(request):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Allow-Credentials"] = "true"
        response["Access-Control-Expose-Headers"] = _READABLE
    return response


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
