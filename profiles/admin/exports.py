"""People ticked or filtered → a CSV file of exactly these: a short list at once, a long one by a job, listed with others."""

from __future__ import annotations

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from cdp import audit
from cdp.actors import Actor
from cdp.models import Job
from cdp.spreadsheets import BOM, as_csv
from profiles.admin.bulk_confirmation import Confirmation, confirmed
from profiles.admin.bulk_forms import BulkForm
from profiles.admin.staff_views import may_see, render, staff_view, write
from profiles.bulk.csv_rows import choosable_columns, column_names, rows
from profiles.bulk.exports import KEPT_DAYS, KIND, export_of, exports_of, open_export, start_export
from profiles.bulk.run_action import INLINE


@write("profiles.view_profile")
def export_people(request: HttpRequest) -> HttpResponse:
    """The confirmation, then the file or the page that leads to it."""
    return confirmed(request, _EXPORT)


def _export(request: HttpRequest, ids: list[int]) -> HttpResponse:
    actor = Actor.of_request(request)
    chosen = request.POST.getlist("fields") or None
    if len(ids) > INLINE:
        job = start_export(profile_ids=ids, columns=chosen, actor=actor)
        return redirect("admin:profiles_profile_export", job.pk)
    names = column_names(chosen)
    audit.record("profile.bulk_export", actor=actor, detail={"people": len(ids)})
    content = BOM + as_csv([names, *rows(ids, names, can_view_pii=may_see(request))])
    response = HttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="people.csv"'
    return response


_EXPORT = Confirmation(
    name="export",
    verb="Export",
    permission="profiles.bulk_export",
    form=BulkForm("admin/profiles/bulk_export.html", context=lambda: {"fields": choosable_columns()}),
    run=_export,
)


@staff_view("profiles.bulk_export")
def exports(request: HttpRequest) -> HttpResponse:
    """The exports one has started, with their files as long as they are kept."""
    context = {"title": "Exports", "exports": exports_of(Actor.of_request(request)), "days": KEPT_DAYS}
    return render(request, "exports.html", context)


@staff_view("profiles.bulk_export")
def export(request: HttpRequest, job_id: int) -> HttpResponse:
    """How far an export is, and its file once it is there. Each sees their own."""
    job = Job.objects.filter(pk=job_id, kind=KIND).first()
    if job is None or job.user_id != request.user.pk:
        raise Http404(f"There is no export {job_id}.")
    context = {"title": job.title, "job": job, "export": export_of(job), "days": KEPT_DAYS}
    return render(request, "export.html", context)


@staff_view("profiles.bulk_export")
def export_file(request: HttpRequest, job_id: int) -> HttpResponseBase:
    path = open_export(job_id=job_id, actor=Actor.of_request(request))
    return FileResponse(path.open("rb"), as_attachment=True, filename="people.csv", content_type="text/csv")
