"""The secret that signs user ids, on a source's settings page: both shown, rotated, the old one revoked."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from cdp.actors import Actor
from cdp.errors import Refused
from profiles.admin.staff_views import write
from profiles.models import Source
from profiles.tracking.sources.signing_secrets import (
    MAX_OVERLAP_DAYS,
    OVERLAP_DAYS,
    revoke_old_secret,
    rotate_secret,
    until,
)
from profiles.tracking.sources.user_hash import accepts_old_secret

FOREVER = "revoked"
_OVERLAPS = (
    ("0", "at once"),
    ("1", "in 1 day"),
    ("7", "in 7 days"),
    ("30", "in 30 days"),
    ("90", "in 90 days"),
    (FOREVER, "when I revoke it"),
)


def about(source: Source) -> dict[str, Any]:
    """What the panel shows; no query."""
    is_taken = accepts_old_secret(source)
    return {
        "takes_old": is_taken,
        "old_until": until(source) if is_taken else "",
        "overlaps": [(value, label, value == str(OVERLAP_DAYS)) for value, label in _OVERLAPS],
    }


def _to_panel(source_id: int) -> HttpResponse:
    return redirect(reverse("admin:profiles_source_settings", args=[source_id]) + "#secret")


@write("profiles.view_source", "profiles.change_source", is_confirmed=True)
def rotate(request: HttpRequest, source_id: int) -> HttpResponse:
    """A new secret; the old one counts for the time chosen."""
    raw = request.POST.get("overlap_days", str(OVERLAP_DAYS))
    days = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 6 else MAX_OVERLAP_DAYS + 1
    try:
        done = rotate_secret(
            source_id=source_id,
            overlap_days=None if raw == FOREVER else days,
            actor=Actor.of_request(request),
        )
    except Refused as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, f"{done.message} Copy the new one to your server.")
    return _to_panel(source_id)


@write("profiles.view_source", "profiles.change_source")
def revoke(request: HttpRequest, source_id: int) -> HttpResponse:
    try:
        revoke_old_secret(source_id=source_id, actor=Actor.of_request(request))
    except Refused as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(
            request,
            "The old secret is revoked. Within five seconds nothing signed with it is accepted any more.",
        )
    return _to_panel(source_id)
