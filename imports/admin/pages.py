"""Requests → the list of imports, the upload form, and one import as it is now: plan, progress, report."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from cdp.actors import Actor
from cdp.errors import NotFound, Refused
from cdp.ids import row_id
from cdp.looks import saw
from cdp.templatetags.cdp import split_bar
from imports import quality
from imports.admin.cell_rows import cell_table
from imports.admin.column_form import posted_number
from imports.admin.report_rows import (
    file_settings,
    mapped_columns,
    outcome_counts,
    rejection_reasons,
    sampled_changes,
    sampled_new_people,
    shared_rows,
    split_parts,
    things_to_know,
)
from imports.alternates import alternates_count
from imports.apply import apply_import
from imports.cells import ALTERNATE, IGNORED, KEPT_OUT, LEFT_OUT, ROW_REJECTED, STORED
from imports.downloads import can_view_pii, can_view_stored
from imports.job_controls import cancel_import, pause_import, resume_import
from imports.models import Import
from imports.partitions import has_rows
from imports.plan import plan_import
from imports.report import REJECTED
from imports.upload import upload_import
from profiles.admin.staff_views import form_page, staff_view, write
from profiles.builtin_sources import builtin_source

PAGE = 50

_RUNNING = (Import.State.PLANNING, Import.State.APPLYING, Import.State.UNDOING)


def render(
    request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    request.current_app = admin.site.name
    frame = admin.site.each_context(request)
    return TemplateResponse(request, f"admin/imports/{template}", {**frame, **context}, status=status)


def get_import(import_id: int) -> Import:
    """The import with its job and uploader. One query. Raises NotFound."""
    import_ = Import.objects.select_related("job", "user", "key").filter(pk=import_id).first()
    if import_ is None:
        raise NotFound(f"No import #{import_id}.")
    return import_


def url(name: str, import_: Import) -> str:
    return reverse(f"admin:imports_import_{name}", args=[import_.pk])


# --- The list -------------------------------------------------------------------------------------------


@staff_view("imports.view_import")
def imports(request: HttpRequest) -> HttpResponse:
    rows = Import.objects.select_related("user", "key", "job").order_by("-pk")
    if before := row_id(request.GET.get("before")):
        rows = rows.filter(pk__lt=before)
    page = list(rows[: PAGE + 1])
    context = {
        "title": "Imports",
        "rows": page[:PAGE],
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "is_first": not before,
    }
    return render(request, "list.html", context)


# --- The upload -------------------------------------------------------------------------------------------


@form_page("imports.view_import", "imports.add_import")
def upload(request: HttpRequest) -> HttpResponse:
    context: dict[str, Any] = {"title": "Import a file", "limit": settings.CDP_IMPORT_MAX_BYTES}
    if request.method != "POST":
        return render(request, "upload.html", context)
    file = request.FILES.get("file")
    if file is None:
        return render(request, "upload.html", {**context, "problem": "Choose a file."}, status=400)
    header_line = posted_number(request.POST, "header_line")
    try:
        import_ = upload_import(
            file=file,
            options={"header_line": header_line} if header_line is not None else {},
            actor=Actor.of_request(request),
            source=builtin_source("staff"),
        )
    except Refused as refusal:
        line = refusal.problems[0].get("line") if refusal.problems else None
        message = " ".join(item["message"] for item in refusal.problems) or refusal.message
        context |= {"problem": message, "line": line, "name": file.name, "header_line": header_line}
        return render(request, "upload.html", context, status=refusal.status)
    return redirect(url("columns", import_))


# --- One import -------------------------------------------------------------------------------------------


@staff_view("imports.view_import")
def show(request: HttpRequest, import_id: int) -> HttpResponse:
    """Its plan, progress or report, whatever there is by now; a file that is not mapped goes to its columns."""
    import_ = get_import(import_id)
    may_import = request.user.has_perm("imports.add_import")
    if import_.state == Import.State.UPLOADED and may_import:
        return redirect(url("columns", import_))
    actor = Actor.of_request(request)
    unmasked = can_view_pii(import_, actor)
    counts = import_.counts
    with_rows = bool(counts) and has_rows(import_)
    saw([], subject=f"import:{import_.pk}")
    can_change = import_.can_change and may_import
    problems = rejection_reasons(import_, can_view_pii=unmasked) if with_rows else []
    things = things_to_know(import_)
    context = {
        "title": import_.name,
        "import": import_,
        "step": _step(import_),
        "is_running": import_.state in _RUNNING,
        "may_import": may_import,
        "can_change": can_change,
        "cells": cell_table(
            import_,
            _cell_links(
                request, import_, has_problems=bool(problems), has_things=bool(things), with_rows=with_rows
            ),
            can_change=can_change,
        ),
        "outcomes": outcome_counts(counts),
        "bar": split_bar(*split_parts(counts)),
        "to_write": counts.get("created", 0) + counts.get("updated", 0),
        "to_keep": alternates_count(import_),
        "rejected_count": sum(counts.get(outcome, 0) for outcome in REJECTED),
        "problems": problems,
        "things": things,
        "shared": shared_rows(import_, can_view_pii=unmasked) if with_rows else [],
        "changes": sampled_changes(import_, can_view_pii=unmasked, can_view_stored=can_view_stored(actor))
        if with_rows
        else [],
        "new_people": sampled_new_people(import_) if with_rows and unmasked else [],
        "has_rows": with_rows,
        "quality": quality.figures([import_])[0] if _has_quality(request, import_) else None,
        "settings": file_settings(import_),
        "mapped": mapped_columns(import_) if import_.mapping else [],
        "here": url("change", import_),
    }
    return render(request, "show.html", context)


def _cell_links(
    request: HttpRequest, import_: Import, *, has_problems: bool, has_things: bool, with_rows: bool
) -> dict[str, str]:
    """Outcome of cells → where such cells are listed."""
    links = {IGNORED: "#mapping"} if import_.mapping else {}
    if has_problems:
        links[ROW_REJECTED] = "#rejected-title"
    if has_things:
        links[LEFT_OUT] = "#things-title"
    if with_rows:
        links |= dict.fromkeys((ALTERNATE, KEPT_OUT), url("plan_csv", import_))
    if import_.state == Import.State.DONE and request.user.has_perm("profiles.view_profile"):
        links[STORED] = f"{reverse('admin:profiles_profile_changelist')}?import={import_.pk}"
    return links


def _has_quality(request: HttpRequest, import_: Import) -> bool:
    """Once it has written people, for who may see duplicates."""
    is_applied = import_.applied_at is not None and import_.state not in _RUNNING
    return (
        is_applied
        and import_.kind == Import.Kind.PROFILES
        and request.user.has_perm("profiles.view_duplicatepair")
    )


def _step(import_: Import) -> str:
    if import_.state in (Import.State.PLANNING, Import.State.PLANNED):
        return "plan"
    if import_.state == Import.State.APPLYING:
        return "apply"
    return "report" if import_.applied_at else "plan"


# --- Writes -------------------------------------------------------------------------------------------


@write("imports.add_import")
def apply(request: HttpRequest, import_id: int) -> HttpResponseBase:
    raw = request.POST.get("revision", "")
    revision = int(raw) if raw.isascii() and raw.isdigit() else None
    apply_import(import_id=get_import(import_id).pk, revision=revision, actor=Actor.of_request(request))
    return redirect(url("change", get_import(import_id)))


@write("imports.add_import")
def pause(request: HttpRequest, import_id: int) -> HttpResponseBase:
    pause_import(import_id=import_id, actor=Actor.of_request(request))
    messages.success(request, "The import pauses after the current step.")
    return redirect(url("change", get_import(import_id)))


@write("imports.add_import")
def resume(request: HttpRequest, import_id: int) -> HttpResponseBase:
    resume_import(import_id=import_id, actor=Actor.of_request(request))
    messages.success(request, "The import continues where it stopped.")
    return redirect(url("change", get_import(import_id)))


@write("imports.add_import")
def cancel(request: HttpRequest, import_id: int) -> HttpResponseBase:
    import_ = cancel_import(import_id=get_import(import_id).pk, actor=Actor.of_request(request))
    message = (
        "The import stops after the current step; rows already imported stay."
        if import_.applied_at
        else "Nothing was imported, and nothing will be."
    )
    messages.success(request, message)
    return redirect(url("change", get_import(import_id)))


def start_plan(request: HttpRequest, import_: Import) -> HttpResponseBase:
    """Plan the mapping that was just saved."""
    plan_import(import_id=import_.pk, revision=import_.revision, actor=Actor.of_request(request))
    return redirect(url("change", import_))
