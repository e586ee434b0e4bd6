"""``{% load cdp_site %}``: the snippet in a template, with no inline script, so that a strict CSP lets it through."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..signing import sign_user

register = template.Library()
_COOKIE_MIDDLEWARE = "cdp_site.middleware.AnonymousId"


@register.simple_tag
def cdp_snippet(user_id: Any = None, *, nonce: str = "", page: bool = True) -> SafeString:
    """The script element. ``user_id`` of who is logged in identifies them, signed; empty for a visitor.

    ``page=False`` leaves page views to the site (``cdp.page()``); ``nonce`` is for policies that ask for one.
    """
    url, key = (_required(name) for name in ("CDP_URL", "CDP_WRITE_KEY"))
    parts = [("src", url.rstrip("/") + "/cdp.js"), ("data-key", key)]
    if nonce:
        parts.append(("nonce", nonce))
    if getattr(settings, "CDP_CONSENT_REQUIRED", False):
        parts.append(("data-consent", "required"))
    if getattr(settings, "CDP_HONOR_GPC", False):
        parts.append(("data-gpc", "honor"))
    if any(name.endswith(_COOKIE_MIDDLEWARE) for name in settings.MIDDLEWARE):
        parts.append(("data-cookie", getattr(settings, "CDP_COOKIE_DOMAIN", "")))
    if not page:
        parts.append(("data-page", "off"))
    return format_html("<script async {}{}></script>", _attributes(parts), _user(user_id))


@register.simple_tag
def cdp_user(user_id: Any = None) -> SafeString:
    """The attributes of a hand-written script element: `` data-user-id="42" data-user-hash="…"``, or nothing."""
    return _user(user_id)


def _user(user_id: Any) -> SafeString:
    if user_id is None or user_id == "":
        return SafeString("")
    parts = [("data-user-id", str(user_id))]
    if secret := getattr(settings, "CDP_HASH_SECRET", ""):
        parts.append(("data-user-hash", sign_user(secret, user_id)))
    return format_html(" {}", _attributes(parts))


def _attributes(parts: list[tuple[str, str]]) -> SafeString:
    return format_html_join(" ", '{}="{}"', parts)


def _required(name: str) -> str:
    value = str(getattr(settings, name, ""))
    if not value:
        raise ImproperlyConfigured(f"Set {name} in the site's settings; {{% cdp_snippet %}} needs it.")
    return value
