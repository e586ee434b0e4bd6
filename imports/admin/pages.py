"""The list of imports, the upload, and one import as it is now: plan, progress, report."""

from __future__ import annotations

from dataclasses import dataclass
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
from cdp.templatetags.cdp import split_bar
from imports import quality
from imports.apply import apply_import
from imports.control import cancel_import, pause_import, resume_import
from imports.downloads import can_view_pii
from imports.models import Import, Row
from imports.partitions import has_rows
from imports.plan import plan_import
from imports.report import row_problems
from imports.upload import upload_import
from profiles.admin.door import door, form_page, write
from profiles.builtin_sources import builtin_source
from profiles.masking import DOTS, mask_fields
from profiles.models import Profile
from profiles.values.attributes import attribute_specs, display, label_of

PAGE = 50
REJECTED_SHOWN = 50
CHANGES_SHOWN = 12

_RUNNING = (Import.State.PLANNING, Import.State.APPLYING, Import.State.UNDOING)
# What each outcome is called before and after applying, and its part of the split bar.
_OUTCOMES = (
    ("created", "new people", "new"),
    ("updated", "updated with new information", "upd"),
    ("unchanged", "already fully present", "same"),
    ("duplicate_in_file", "same person again in the file", "same"),
    ("failed", "rejected", "bad"),
    ("conflict", "conflicts, left out", "warn"),
    ("held", "held, changed meanwhile", "warn"),
    ("suppressed", "erased people, kept out", "warn"),
    ("not_applied", "not applied", "warn"),
)


def render(
    request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    request.current_app = admin.site.name
    frame = admin.site.each_context(request)
    return TemplateResponse(request, f"admin/imports/{template}", {**frame, **context}, status=status)


def found(import_id: int) -> Import:
    """The import, or NotFound. One query."""
    job = Import.objects.select_related("job", "user", "key").filter(pk=import_id).first()
    if job is None:
        raise NotFound(f"No import #{import_id}.")
    return job


def url(name: str, job: Import) -> str:
    return reverse(f"admin:imports_import_{name}", args=[job.pk])


# --- The list -------------------------------------------------------------------------------------------


@door("imports.view_import")
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
    try:
        job = upload_import(file=file, actor=Actor.of_request(request), source=builtin_source("staff"))
    except Refused as refusal:
        line = refusal.problems[0].get("line") if refusal.problems else None
        context |= {"problem": refusal.message, "line": line, "name": file.name}
        return render(request, "upload.html", context, status=refusal.status)
    return redirect(url("columns", job))


# --- One import -------------------------------------------------------------------------------------------


@door("imports.view_import")
def show(request: HttpRequest, import_id: int) -> HttpResponse:
    """Whatever there is to see of it now."""
    job = found(import_id)
    if job.state == Import.State.UPLOADED and request.user.has_perm("imports.add_import"):
        return redirect(url("columns", job))
    actor = Actor.of_request(request)
    sees = can_view_pii(job, actor)
    counts = {name: job.counts.get(name, 0) for name, _, _ in _OUTCOMES}
    rows_there = has_rows(job)
    context = {
        "title": job.name,
        "job": job,
        "step": _step(job),
        "is_running": job.state in _RUNNING,
        "may_apply": request.user.has_perm("imports.add_import"),
        "can_change": job.can_change and request.user.has_perm("imports.add_import"),
        "outcomes": [(counts[name], text) for name, text, _ in _OUTCOMES if counts[name] or name in _ALWAYS],
        "bar": split_bar(*_parts(counts)),
        "to_write": counts["created"] + counts["updated"],
        "rejected_count": counts["failed"] + counts["conflict"] + counts["held"],
        "problems": _problems(job, sees) if rows_there and counts else [],
        "changes": _changes(job, sees) if rows_there and job.counts else [],
        "has_rows": rows_there,
        "card": quality.figures([job])[0] if _has_card(request, job) else None,
        "here": url("change", job),
    }
    return render(request, "show.html", context)


def _has_card(request: HttpRequest, job: Import) -> bool:
    """Once it has written people, for who may see duplicates."""
    is_applied = job.applied_at is not None and job.state not in _RUNNING
    return (
        is_applied
        and job.kind == Import.Kind.PROFILES
        and request.user.has_perm("profiles.view_duplicatepair")
    )


_ALWAYS = ("created", "updated", "unchanged", "failed")


def _step(job: Import) -> str:
    if job.state in (Import.State.PLANNING, Import.State.PLANNED):
        return "plan"
    if job.state == Import.State.APPLYING:
        return "apply"
    return "report" if job.applied_at else "plan"


def _parts(counts: dict[str, int]) -> list[Any]:
    """Alternating label, number, kind, as the split bar takes them."""
    return [piece for name, text, kind in _OUTCOMES if counts[name] for piece in (text, counts[name], kind)]


def _problems(job: Import, sees: bool) -> list[dict[str, Any]]:
    rows = row_problems(job, limit=REJECTED_SHOWN)
    return rows if sees else [{**row, "value": DOTS if row["value"] else ""} for row in rows]


@dataclass(frozen=True, slots=True)
class Changed:
    """One field of one sampled row."""

    line: int
    profile_id: int | None
    person: str
    field: str
    old: str
    new: str


def _changes(job: Import, sees: bool) -> list[Changed]:
    """What some updates change. Two queries and the attributes' names."""
    updates = Row.objects.filter(import_id=job.pk, outcome=Row.Outcome.UPDATED).order_by("line")
    rows: list[Any] = list(updates.values_list("line", "profile_id", "diff")[:CHANGES_SHOWN])
    names = {person.pk: person.name for person in Profile.objects.filter(pk__in=[row[1] for row in rows])}
    specs = attribute_specs()
    shown = []
    for line, profile_id, diff in rows:
        fields = diff if sees else mask_fields(diff, specs)
        person = names.get(profile_id, "") if sees else f"#{profile_id}"
        for field, (old, new) in fields.items():
            label = label_of(field, specs) if field in specs else field.capitalize()
            shown.append(Changed(line, profile_id, person, label, display(field, old), display(field, new)))
    return shown[: CHANGES_SHOWN * 2]


# --- Going on -------------------------------------------------------------------------------------------


@write("imports.add_import")
def apply(request: HttpRequest, import_id: int) -> HttpResponseBase:
    raw = request.POST.get("revision", "")
    revision = int(raw) if raw.isascii() and raw.isdigit() else None
    apply_import(import_id=found(import_id).pk, revision=revision, actor=Actor.of_request(request))
    return redirect(url("change", found(import_id)))


@write("imports.add_import")
def pause(request: HttpRequest, import_id: int) -> HttpResponseBase:
    pause_import(import_id=import_id, actor=Actor.of_request(request))
    messages.success(request, "The import pauses after the step it is in.")
    return redirect(url("change", found(import_id)))


@write("imports.add_import")
def resume(request: HttpRequest, import_id: int) -> HttpResponseBase:
    resume_import(import_id=import_id, actor=Actor.of_request(request))
    messages.success(request, "The import goes on where it stopped.")
    return redirect(url("change", found(import_id)))


@write("imports.add_import")
def cancel(request: HttpRequest, import_id: int) -> HttpResponseBase:
    job = cancel_import(import_id=found(import_id).pk, actor=Actor.of_request(request))
    said = (
        "The import stops after the step it is in; what it wrote stays."
        if job.applied_at
        else "Nothing was written, and nothing will be."
    )
    messages.success(request, said)
    return redirect(url("change", found(import_id)))


def start_plan(request: HttpRequest, job: Import) -> HttpResponseBase:
    """Plan the mapping that was just saved."""
    plan_import(import_id=job.pk, revision=job.revision, actor=Actor.of_request(request))
    return redirect(url("change", job))
