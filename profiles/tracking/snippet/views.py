"""A request for one of the scripts → the script, the same for every page; a visitor → the id of their browser."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.http import HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

FOLDER = Path(__file__).resolve().parent
FILES = {
    "cdp.js": "cdp.min.js",
    "cdp-debug.js": "cdp-debug.js",
    "cdp-id.js": "cdp-id.js",
    "analytics.js": "analytics.js",
}
# The first-party cookie that the snippet keeps a browser's id in (data-cookie), seen here on the same site.
COOKIE = "cdp_id"
_ID = re.compile(r"[\w-]{2,255}", re.ASCII)
# A new version reaches every page within the hour; until then, and while it is fetched, no page waits for it.
CACHE_CONTROL = "public, max-age=3600, stale-while-revalidate=604800"
_METHODS = ["GET", "HEAD", "OPTIONS"]


@dataclass(frozen=True, slots=True)
class SnippetAsset:
    """A script's bytes, plain and gzipped, each with its own strong ETag."""

    plain: bytes
    zipped: bytes
    etag: str

    @classmethod
    def read(cls, path: Path) -> SnippetAsset:
        plain = path.read_bytes()
        zipped = gzip.compress(plain, compresslevel=9, mtime=0)
        return cls(plain, zipped, hashlib.sha256(plain).hexdigest()[:20])


@cache
def asset(name: str) -> SnippetAsset:
    """Read once per process; a release restarts them."""
    return SnippetAsset.read(FOLDER / FILES[name])


def serve(request: HttpRequest, name: str, write_key: str = "") -> HttpResponseBase:
    """GET, HEAD and OPTIONS of one of FILES; 304 when the browser has it. The script reads the key in its address."""
    if request.method not in _METHODS:
        return HttpResponseNotAllowed(_METHODS)
    script = asset(name)
    is_zipped = "gzip" in request.headers.get("Accept-Encoding", "")
    response = HttpResponse(
        script.zipped if is_zipped else script.plain, content_type="text/javascript; charset=utf-8"
    )
    if is_zipped:
        response["Content-Encoding"] = "gzip"
    etag = f'"{script.etag}{"-gz" if is_zipped else ""}"'
    response["ETag"] = etag
    response["Cache-Control"] = CACHE_CONTROL
    response["Vary"] = "Accept-Encoding"
    # Any page may load it, also one that isolates itself (COEP) or pins its digest (integrity).
    response["Access-Control-Allow-Origin"] = "*"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    response["Timing-Allow-Origin"] = "*"
    response["X-Content-Type-Options"] = "nosniff"
    return get_conditional_response(request, etag=etag, response=response) or response


@never_cache
@require_safe
def browser_id(request: HttpRequest) -> HttpResponse:
    """What a visitor reads to support when asked which id their browser has. Says nothing about anybody, and stores nothing.

    Seen only where the site shares its cookie with this address; elsewhere the page says how a site can show it.
    """
    found = request.COOKIES.get(COOKIE, "").strip()
    # "0" stands for a “no”.
    context = {"browser_id": found if _ID.fullmatch(found) else ""}
    return render(request, "cdp/browser_id.html", context)
