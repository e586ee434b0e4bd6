"""Keeps a visitor's anonymous id in a long-lived first-party cookie.

Safari forgets after seven days whatever a page's script stores; a cookie the site's own server sets lives on.
The value is ``<id>.<day>``: the day (since 1970) it was last set on, so that it is renewed once a day and not
with every page. The snippet writes the id alone, which is renewed at once.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

COOKIE = "cdp_id"
# What the visitor's “no” is kept as: nothing is set in its place.
REFUSED = "0"
# 400 days are the longest a browser keeps a cookie.
MAX_AGE_SECONDS = 400 * 24 * 3600
_VALUE = re.compile(r"([A-Za-z0-9_-]{2,100})(?:\.(\d{1,6}))?")

Answer = HttpResponseBase | Awaitable[HttpResponseBase]


class AnonymousId:
    """Sets and renews the cookie on pages, and gives views the id as ``request.cdp_anonymous_id`` (or None).

    Where consent is required it never makes an id: it only renews the one the snippet wrote after the visitor
    agreed. A visitor who said no keeps their no.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Answer:
        if iscoroutinefunction(self.get_response):
            return self._later(request)
        value = self._before(request)
        response: HttpResponseBase = self.get_response(request)
        return self._after(request, response, value)

    async def _later(self, request: HttpRequest) -> HttpResponseBase:
        value = self._before(request)
        response: HttpResponseBase = await self.get_response(request)
        return self._after(request, response, value)

    def _before(self, request: HttpRequest) -> str | None:
        """The id to set or renew with the answer; None when there is nothing to do."""
        kept = request.COOKIES.get(COOKIE, "")
        match = _VALUE.fullmatch(kept)
        visitor_id = match[1] if match else None
        is_due = not match or match[2] != str(_today())
        if visitor_id is None and kept != REFUSED and not _asks_first(request):
            visitor_id = str(uuid.uuid4())
        request.cdp_anonymous_id = visitor_id  # type: ignore[attr-defined]
        return visitor_id if is_due else None

    def _after(self, request: HttpRequest, response: HttpResponseBase, value: str | None) -> HttpResponseBase:
        if value is None or not _is_page(request, response):
            return response
        # The snippet reads it: not HttpOnly. It says nothing by itself and opens nothing.
        response.set_cookie(
            COOKIE,
            f"{value}.{_today()}",
            max_age=MAX_AGE_SECONDS,
            domain=getattr(settings, "CDP_COOKIE_DOMAIN", "") or None,
            secure=request.is_secure(),
            samesite="Lax",
        )
        # A cache in front must not hand one visitor's id to the next.
        patch_vary_headers(response, ["Cookie"])
        return response


def _asks_first(request: HttpRequest) -> bool:
    if getattr(settings, "CDP_CONSENT_REQUIRED", False):
        return True
    refused = "1" in (request.headers.get("Sec-GPC"), request.headers.get("DNT"))
    return refused and getattr(settings, "CDP_HONOR_GPC", False)


def _is_page(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Pages a visitor opens; not files, not data, not what a shared cache was told to keep."""
    return (
        request.method == "GET"
        and response.status_code == 200
        and response.get("Content-Type", "").startswith("text/html")
        and "public" not in response.get("Cache-Control", "")
    )


def _today() -> int:
    return int(time.time() // 86_400)
