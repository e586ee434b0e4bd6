"""People ticked or filtered → a file of exactly these: a short list at once, a long one by a job; all are listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from cdp.actors import Actor
from cdp.errors import NotFound
from cdp.jobs import may_control
from cdp.models import Job
from profiles.admin.bulk_confirmation import Chosen, Confirmation, confirmed
from profiles.admin.bulk_forms import BulkForm
from profiles.admin.list_filters import filters_in_words
from profiles.admin.staff_views import render, staff_view, write
from profiles.bulk.csv_rows import ALWAYS, CONSENTS, choosable_columns
from profiles.bulk.exports import (
    CONTENT_TYPES,
    CSV,
    JSON_LINES,
    KEPT_DAYS,
    LEFT_OUT,
    Export,
    exports_of,
    find_export,
    open_export,
    start_export,
)
from profiles.bulk.run_action import INLINE
from profiles.values.attributes import AttributeSpec, attribute_specs

LISTED = 50
_NAMED = 4
# The form's choice → format, and whether spreadsheets are guarded against.
_CHOICES = {CSV: (CSV, True), "plain": (CSV, False), JSON_LINES: (JSON_LINES, True)}
_LABELS = {
    CSV: "CSV for spreadsheets",
    "plain": "CSV for programs",
    JSON_LINES: "JSON Lines",
}


@dataclass(frozen=True, slots=True)
class ExportRow:
    """An export as pages show it: the people, columns and left-out ones in words."""

    export: Export
    who: str
    chosen_by: str
    columns: list[str]
    left_out: list[tuple[int, str]]

    @property
    def first_columns(self) -> str:
        more = len(self.columns) - _NAMED
        named = ", ".join(self.columns[:_NAMED])
        return f"{named} and {more} more" if more > 0 else named


@write("profiles.view_profile", is_confirmed=True)
def export_people(request: HttpRequest) -> HttpResponse:
    """The confirmation, then the file or the page that leads to it."""
    return confirmed(request, _EXPORT)


def _export(request: HttpRequest, chosen: Chosen) -> HttpResponse:
    actor = Actor.of_request(request)
    file_format, is_safe = _CHOICES.get(
        request.POST.get("format", CSV), (request.POST.get("format", ""), True)
    )
    at_once = len(chosen.ids) <= INLINE
    job = start_export(
        profile_ids=chosen.ids,
        # Without a box ticked there are no further columns; without the form there is no choice.
        columns=request.POST.getlist("fields") if {"fields", "format"} & request.POST.keys() else None,
        file_format=file_format,
        spreadsheet_safe=is_safe,
        filters=chosen.filters,
        at_once=at_once,
        actor=actor,
    )
    if not at_once or job.state != Job.State.DONE:
        return redirect("admin:profiles_profile_export", job.pk)
    content = open_export(job_id=job.pk, actor=actor).read_bytes()
    response = HttpResponse(content, content_type=CONTENT_TYPES[file_format])
    response["Content-Disposition"] = f'attachment; filename="people.{file_format}"'
    return response


_EXPORT = Confirmation(
    name="export",
    verb="Export",
    permission="profiles.bulk_export",
    form=BulkForm(
        "admin/profiles/bulk_export.html",
        context=lambda: {"fields": choosable_columns(), "formats": _LABELS.items(), "days": KEPT_DAYS},
    ),
    run=_export,
)


# --- The list -------------------------------------------------------------------------------------------


@staff_view("profiles.bulk_export")
def exports(request: HttpRequest) -> HttpResponse:
    """The exports one has started, also by one's API keys, with their files as long as they are kept."""
    found = exports_of(Actor.of_request(request), limit=LISTED + 1)
    specs = attribute_specs() if found else {}
    labels = _column_labels(specs)
    context = {
        "title": "Exports",
        "rows": [_row(export, labels, specs) for export in found[:LISTED]],
        "is_cut": len(found) > LISTED,
        "listed": LISTED,
        "days": KEPT_DAYS,
    }
    return render(request, "exports.html", context)


@staff_view("profiles.bulk_export")
def export(request: HttpRequest, job_id: int) -> HttpResponse:
    """How far an export is, and its file once it is there. Each sees their own."""
    found, specs = _find(request, job_id), attribute_specs()
    context = {
        "title": found.job.title,
        "job": found.job,
        "export": found,
        "row": _row(found, _column_labels(specs), specs),
        "may_steer": may_control(found.job, Actor.of_request(request)),
        "days": KEPT_DAYS,
    }
    return render(request, "export.html", context)


@staff_view("profiles.bulk_export", is_confirmed=True)
def export_file(request: HttpRequest, job_id: int) -> HttpResponseBase:
    path = open_export(job_id=job_id, actor=Actor.of_request(request))
    kind = _find(request, job_id).format
    return FileResponse(
        path.open("rb"), as_attachment=True, filename=f"people.{kind}", content_type=CONTENT_TYPES[kind]
    )


def _find(request: HttpRequest, job_id: int) -> Export:
    try:
        return find_export(job_id, Actor.of_request(request))
    except NotFound as error:
        raise Http404(error.message) from error


def _row(found: Export, labels: Mapping[str, str], specs: dict[str, AttributeSpec]) -> ExportRow:
    return ExportRow(
        export=found,
        who=f"API key “{found.job.key.name}”" if found.job.key else str(found.job.user or ""),
        chosen_by=_chosen_by(found.filters, specs),
        columns=list(dict.fromkeys(_label(name, labels) for name in found.columns if name not in ALWAYS)),
        left_out=[(count, LEFT_OUT.get(reason, reason)) for reason, count in found.left_out.items()],
    )


def _label(name: str, labels: Mapping[str, str]) -> str:
    return labels[CONSENTS] if name.startswith("consent.") else labels.get(name, name)


def _chosen_by(filters: str | None, specs: dict[str, AttributeSpec]) -> str:
    if filters is None:
        return "Ticked in the list"
    return filters_in_words(QueryDict(filters), specs) or "Everybody"


def _column_labels(specs: dict[str, AttributeSpec]) -> dict[str, str]:
    """Header → what people call the column."""
    return {column.name: column.label for column in choosable_columns(specs)}
