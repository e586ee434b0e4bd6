"""The page that lists how long everything is kept: what is deleted and when, what stays and why."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from cdp import retention
from cdp.admin.site import ExtraPage, extra_pages

PERMISSION = "cdp.view_auditentry"


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    rows = retention.listed()
    context = {
        **admin.site.each_context(request),
        "title": "Retention",
        "deleted": [row for row in rows if row.rule.by],
        "kept": [row for row in rows if not row.rule.by],
    }
    return TemplateResponse(request, "admin/cdp/retention.html", context)


extra_pages.register("cdp_retention", ExtraPage("privacy/retention/", page, "cdp_retention"))
