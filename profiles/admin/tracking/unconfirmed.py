"""Addresses that wait for their owner's confirmation: a list by source and type, and how many are confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse

from cdp.errors import Invalid
from cdp.ids import row_id
from profiles.admin.staff_views import may_see, render, staff_view
from profiles.masking import displayed, mask_identifier
from profiles.models import Identifier, Profile, Source
from profiles.tracking.pending.unconfirmed import COUNTED, DAYS, confirmed_share, list_unconfirmed

PAGE = 50


@dataclass(frozen=True, slots=True)
class UnconfirmedRow:
    """One identifier ready to display."""

    identifier: Identifier
    value: str
    profile: Profile


@staff_view("profiles.view_source", "profiles.view_profile")
def unconfirmed(request: HttpRequest) -> HttpResponse:
    """Newest first, by source. Five queries."""
    params = request.GET
    problems: list[str] = []
    found: list[Any] = []
    try:
        waiting = list_unconfirmed(type_name=params.get("type", ""), source=params.get("source", ""))
        if after := row_id(params.get("after")):
            waiting = waiting.filter(pk__lt=after)
        found = list(waiting.order_by("-pk")[: PAGE + 1])
    except Invalid as error:
        problems = [problem["message"] for problem in error.problems]
    older = ""
    if len(found) > PAGE:
        query = params.copy()
        query["after"] = str(found[PAGE - 1].pk)
        older = f"?{query.urlencode()}"
    can_view_pii = may_see(request)
    context = {
        "title": "Waiting for confirmation",
        "rows": [_row(row, can_view_pii=can_view_pii) for row in found[:PAGE]],
        "sources": list(Source.objects.values_list("name", flat=True)),
        "params": params,
        "problems": problems,
        "older_url": older,
        "share": confirmed_share(),
        "days": DAYS,
        "counted": COUNTED,
        "may_confirm": can_view_pii and request.user.has_perm("profiles.add_identifier"),
    }
    return render(request, "tracking/unconfirmed.html", context)


def _row(row: Identifier, *, can_view_pii: bool) -> UnconfirmedRow:
    value = row.value if can_view_pii else mask_identifier(row.type.name, row.value)
    return UnconfirmedRow(row, value, displayed(row.profile.canonical, can_view_pii=can_view_pii))
