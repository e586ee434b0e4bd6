"""Requests → downloads: the template, the whole plan, the rejected rows to correct."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from cdp import audit
from cdp.actors import Actor
from cdp.errors import NotFound
from imports import downloads
from imports.admin.pages import get_import, url
from imports.models import Import
from profiles.admin.staff_views import staff_view

View = Callable[..., HttpResponseBase]


def _attachment(content: Iterator[bytes] | bytes, name: str) -> HttpResponseBase:
    headers: Any = {"Content-Disposition": f'attachment; filename="{name}"'}
    if isinstance(content, bytes):
        return HttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)
    return StreamingHttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)


@staff_view("imports.view_import")
def template(request: HttpRequest) -> HttpResponseBase:
    return _attachment(downloads.template_csv(), "people-template.csv")


def _back_when_gone(view: View) -> View:
    """Rows and files leave by retention: then back to the import, which says so."""

    @wraps(view)
    def guarded(request: HttpRequest, import_id: int) -> HttpResponseBase:
        import_ = get_import(import_id)
        try:
            return view(request, import_)
        except NotFound as refusal:
            messages.error(request, refusal.message)
            return redirect(url("change", import_))

    return guarded


@staff_view("imports.view_import")
@_back_when_gone
def plan(request: HttpRequest, import_: Import) -> HttpResponseBase:
    actor = Actor.of_request(request)
    rows = downloads.plan_csv(import_, actor=actor)
    audit.record("import.download", actor=actor, subject=f"import:{import_.pk}", detail={"what": "plan"})
    return _attachment(rows, downloads.file_name(import_, "plan"))


@staff_view("imports.view_import")
@_back_when_gone
def rejected(request: HttpRequest, import_: Import) -> HttpResponseBase:
    actor = Actor.of_request(request)
    rows = downloads.rejected_csv(import_, actor=actor)
    audit.record("import.download", actor=actor, subject=f"import:{import_.pk}", detail={"what": "rejected"})
    return _attachment(rows, downloads.file_name(import_, "rejected"))
