"""People ticked or filtered → a CSV file of exactly these: a short list at once, a long one by a job with a page."""

from __future__ import annotations

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from cdp import audit
from cdp.actors import Actor
from cdp.models import Job
from profiles.admin.bulk_confirmation import Confirmation, confirmed
from profiles.admin.bulk_forms import BulkForm
from profiles.admin.staff_views import may_see, render, staff_view, write
from profiles.bulk.csv_rows import BOM, as_csv, columns, header, rows
from profiles.bulk.exports import KIND, file_of, open_export, start_export
from profiles.bulk.run_action import INLINE


@write("profiles.view_profile")
def export_people(request: HttpRequest) -> HttpResponse:
    """The confirmation, then the file or the page that leads to it."""
    return confirmed(request, _EXPORT)


def _export(request: HttpRequest, ids: list[int]) -> HttpResponse:
    actor = Actor.of_request(request)
    if len(ids) > INLINE:
        return redirect("admin:profiles_profile_export", start_export(profile_ids=ids, actor=actor).pk)
    specs = columns()
    audit.record("profile.bulk_export", actor=actor, detail={"people": len(ids)})
    content = BOM + as_csv([header(specs), *rows(ids, specs, can_view_pii=may_see(request))])
    response = HttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="people.csv"'
    return response


_EXPORT = Confirmation(
    name="export",
    verb="Export",
    permission="profiles.bulk_export",
    form=BulkForm("admin/profiles/bulk_export.html"),
    run=_export,
)


@staff_view("profiles.bulk_export")
def export(request: HttpRequest, job_id: int) -> HttpResponse:
    """How far an export is, and its file once it is there. Each sees their own."""
    job = Job.objects.filter(pk=job_id, kind=KIND).first()
    if job is None or job.user_id != request.user.pk:
        raise Http404(f"There is no export {job_id}.")
    is_ready = job.state == Job.State.DONE and file_of(job).exists()
    size = file_of(job).stat().st_size if is_ready else 0
    context = {"title": job.title, "job": job, "is_ready": is_ready, "size": size}
    return render(request, "export.html", context)


@staff_view("profiles.bulk_export")
def export_file(request: HttpRequest, job_id: int) -> HttpResponseBase:
    path = open_export(job_id=job_id, actor=Actor.of_request(request))
    return FileResponse(path.open("rb"), as_attachment=True, filename="people.csv", content_type="text/csv")
