"""The page that lists how long everything is kept: what is deleted and when, what stays and why."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from cdp import retention
from cdp.admin.site import ExtraPage, extra_pages

PERMISSION = "cdp.view_auditentry"


def _by_reason(rows: Iterable[retention.Listed]) -> list[tuple[str, list[str]]]:
    """What is kept for the same reason stands together, where most is kept first."""
    whats: dict[str, list[str]] = {}
    for row in rows:
        whats.setdefault(row.rule.sentence, []).append(row.what)
    return sorted(whats.items(), key=lambda item: (-len(item[1]), item[0]))


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    rows = retention.listed()
    context = {
        **admin.site.each_context(request),
        "title": "Retention",
        "deleted": [row for row in rows if row.rule.by],
        "kept": _by_reason(row for row in rows if not row.rule.by),
    }
    return TemplateResponse(request, "admin/cdp/retention.html", context)


extra_pages.register("cdp_retention", ExtraPage("privacy/retention/", page, "cdp_retention"))
