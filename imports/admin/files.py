"""Downloads: the template, the whole plan, the rejected rows to correct."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from cdp import audit
from cdp.actors import Actor
from imports import downloads
from imports.admin.pages import found
from profiles.admin.door import door


def _attachment(content: Iterator[bytes] | bytes, name: str) -> HttpResponseBase:
    headers: Any = {"Content-Disposition": f'attachment; filename="{name}"'}
    if isinstance(content, bytes):
        return HttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)
    return StreamingHttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)


@door("imports.view_import")
def template(request: HttpRequest) -> HttpResponseBase:
    return _attachment(downloads.template_csv(), "people-template.csv")


@door("imports.view_import")
def plan(request: HttpRequest, import_id: int) -> HttpResponseBase:
    job, actor = found(import_id), Actor.of_request(request)
    rows = downloads.plan_csv(job, actor=actor)
    audit.record("import.download", actor=actor, subject=f"import:{job.pk}", detail={"what": "plan"})
    return _attachment(rows, downloads.file_name(job, "plan"))


@door("imports.view_import")
def rejected(request: HttpRequest, import_id: int) -> HttpResponseBase:
    job, actor = found(import_id), Actor.of_request(request)
    rows = downloads.rejected_csv(job, actor=actor)
    audit.record("import.download", actor=actor, subject=f"import:{job.pk}", detail={"what": "rejected"})
    return _attachment(rows, downloads.file_name(job, "rejected"))
