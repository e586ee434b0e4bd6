"""Watching calls come in: everything a source gets, or what one browser sends, with what is wrong about it."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from cdp.ids import row_id
from cdp.looks import saw, subject_of
from profiles.admin.staff_views import may_see, render, staff_view
from profiles.admin.tracking.sources import frame, source_of
from profiles.masking import mask_identifier
from profiles.models import Source
from profiles.tracking.monitor.browser_flags import flags_of
from profiles.tracking.monitor.checklist import Confirmations, checklist, confirmations
from profiles.tracking.monitor.live import RecordedCall, calls_of_browser, mask_calls, newest_calls
from profiles.tracking.snippet.views import COOKIE

MAX_ID = 255
_MAX_CALLS = 50
# Characters of one call; an event has at most 32 KB.
_MAX_CHARACTERS = 36_000


@staff_view("profiles.view_source", "profiles.view_receipt", "profiles.view_event")
def live(request: HttpRequest, source_id: int) -> HttpResponse:
    """The newest calls of a source. A script asks for more; without it, reloading does. At most five queries."""
    source = source_of(source_id)
    calls = newest_calls(source.pk)
    context = {
        **frame(request, source, "live"),
        "calls": with_payloads(request, calls),
        "newest_id": calls[0].receipt_id if calls else 0,
    }
    return render(request, "tracking/live.html", context)


@staff_view("profiles.view_source", "profiles.view_receipt", "profiles.view_event")
def live_rows(request: HttpRequest, source_id: int) -> HttpResponse:
    """Only the rows behind ``?after=``, for the script; 204 when there are none."""
    source = source_of(source_id)
    calls = newest_calls(source.pk, after=row_id(request.GET.get("after")))
    if not calls:
        return HttpResponse(status=204)
    context = {"calls": with_payloads(request, calls), "newest_id": calls[0].receipt_id, "is_fresh": True}
    response = TemplateResponse(request, "admin/profiles/tracking/live_rows.html", context)
    response["X-Newest"] = str(calls[0].receipt_id)
    return response


@staff_view("profiles.view_source", "profiles.view_receipt", "profiles.view_event")
def checkup(request: HttpRequest, source_id: int) -> HttpResponse:
    """What one browser sent and what looks wrong about it, beside the checklist of the whole source."""
    source = source_of(source_id)
    context = {
        **frame(request, source, "checkup"),
        **_browser(request, source_id),
        "own_id": _own_id(request),
        "checks": checklist(source),
        "confirmations": _confirmations(request, source),
        "browser_id_url": request.build_absolute_uri(reverse("browser-id")),
    }
    return render(request, "tracking/checkup.html", context)


@staff_view("profiles.view_source", "profiles.view_receipt", "profiles.view_event")
def checkup_browser(request: HttpRequest, source_id: int) -> HttpResponse:
    """The part about the browser alone, for the script."""
    source = source_of(source_id)
    context = {**_browser(request, source.pk), "source": source}
    return TemplateResponse(request, "admin/profiles/tracking/checkup_browser.html", context)


def _browser(request: HttpRequest, source_id: int) -> dict[str, Any]:
    anonymous_id = request.GET.get("anonymous_id", "").strip().replace("\x00", "")[:MAX_ID]
    calls = calls_of_browser(source_id, anonymous_id) if anonymous_id else []
    # Before masking: what is hidden from somebody may still be what is wrong.
    flags = flags_of(calls)
    return {
        "anonymous_id": anonymous_id,
        "calls": with_payloads(request, calls[:_MAX_CALLS]),
        "older": max(0, len(calls) - _MAX_CALLS),
        "flags": flags,
    }


def _confirmations(request: HttpRequest, source: Source) -> Confirmations | None:
    """Whose addresses wait, masked without the right to see personal data."""
    found = confirmations(source)
    if found is not None:
        saw(row.profile_id for row in found.newest)
    if found is not None and not may_see(request):
        for row in found.newest:
            row.value = mask_identifier(row.type.name, row.value)
    return found


def _own_id(request: HttpRequest) -> str:
    """This very browser's id, when the site that is tracked shares its address with this page."""
    return request.COOKIES.get(COOKIE, "").strip()[:MAX_ID]


def with_payloads(request: HttpRequest, calls: list[RecordedCall]) -> list[tuple[RecordedCall, str]]:
    """Each call with its payload as text, masked without the right to see personal data."""
    receipt_ids = [call.receipt_id for call in calls if call.receipt_id]
    subject = subject_of("receipt", receipt_ids) if receipt_ids else ""
    saw((call.profile_id for call in calls), subject=subject)
    readable = calls if may_see(request) else mask_calls(calls)
    return [(call, _text(call.payload)) for call in readable]


def _text(payload: dict[str, Any]) -> str:
    """Fifty rows of items that were too large would be megabytes; their receipts show them whole."""
    text = json.dumps(payload, ensure_ascii=False, indent=2)
    return (
        text
        if len(text) <= _MAX_CHARACTERS
        else f"{text[:_MAX_CHARACTERS]}\n… {len(text) - _MAX_CHARACTERS:,} more characters"
    )
