"""Downloads: the template, the whole plan, the rejected rows to correct."""

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
from imports.admin.pages import found, url
from imports.models import Import
from profiles.admin.door import door

View = Callable[..., HttpResponseBase]


def _attachment(content: Iterator[bytes] | bytes, name: str) -> HttpResponseBase:
    headers: Any = {"Content-Disposition": f'attachment; filename="{name}"'}
    if isinstance(content, bytes):
        return HttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)
    return StreamingHttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)


@door("imports.view_import")
def template(request: HttpRequest) -> HttpResponseBase:
    return _attachment(downloads.template_csv(), "people-template.csv")


def _gone(view: View) -> View:
    """Rows and files leave by retention: then back to the import, which says so."""

    @wraps(view)
    def guarded(request: HttpRequest, import_id: int) -> HttpResponseBase:
        job = found(import_id)
        try:
            return view(request, job)
        except NotFound as refusal:
            messages.error(request, refusal.message)
            return redirect(url("change", job))

    return guarded


@door("imports.view_import")
@_gone
def plan(request: HttpRequest, job: Import) -> HttpResponseBase:
    actor = Actor.of_request(request)
    rows = downloads.plan_csv(job, actor=actor)
    audit.record("import.download", actor=actor, subject=f"import:{job.pk}", detail={"what": "plan"})
    return _attachment(rows, downloads.file_name(job, "plan"))


@door("imports.view_import")
@_gone
def rejected(request: HttpRequest, job: Import) -> HttpResponseBase:
    actor = Actor.of_request(request)
    rows = downloads.rejected_csv(job, actor=actor)
    audit.record("import.download", actor=actor, subject=f"import:{job.pk}", detail={"what": "rejected"})
    return _attachment(rows, downloads.file_name(job, "rejected"))
