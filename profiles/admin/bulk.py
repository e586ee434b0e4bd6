"""People ticked or filtered → a confirmation with their exact count → the action on exactly these."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Invalid, Refused
from cdp.ids import row_ids
from cdp.models import Job
from profiles.admin.forms import AttributesForm
from profiles.admin.profile_list import filter_of
from profiles.admin.staff_views import by, list_url, may_see, render, staff_view, write
from profiles.bulk.actions import ACTIONS, INLINE, freeze, pack, run_bulk, unpack
from profiles.bulk.csv_rows import BOM, as_csv, columns, header, rows
from profiles.bulk.exports import KIND, file_of, open_export, start_export
from profiles.masking import mask_profile
from profiles.models import Profile, Tag
from profiles.values.attributes import attribute_specs

EXPORT = "export"
_PERMISSION = {
    **{name: action.permission for name, action in ACTIONS.items()},
    EXPORT: "profiles.bulk_export",
}
_VERBS = {
    "tag": "Add tags to",
    "untag": "Remove tags from",
    "set": "Set an attribute of",
    "lock": "Lock",
    "unlock": "Unlock",
    "delete": "Delete",
    EXPORT: "Export",
}
_SALT = "profiles.bulk"
_VALID_SECONDS = 3600
# The signed list travels in the form; above this the form itself would be refused.
_MAX_PACKED = 3_000_000
_SAMPLE = 8


@write("profiles.view_profile")
def bulk(request: HttpRequest, action: str) -> HttpResponse:
    """First call: the ids ticked, or everybody matching the list's filters → the confirmation.
    Second call: the signed list and the confirmation → the action."""
    if action not in _VERBS:
        raise Http404(f"“{action}” is not something to do to many people.")
    if not request.user.has_perm(_PERMISSION[action]):
        raise PermissionDenied
    if "frozen" not in request.POST:
        return _confirm(request, action, _chosen(request), problems=[])
    ids = _thaw(request, action)
    problems = _unconfirmed(request, action, len(ids))
    if not problems:
        try:
            return _do(request, action, ids)
        except Refused as refusal:
            problems = [problem["message"] for problem in refusal.problems] or [refusal.message]
    return _confirm(request, action, ids, problems=problems)


def _chosen(request: HttpRequest) -> list[int]:
    """The people meant now, in id order: ticked ones, or all the filters match. One or a few queries."""
    if request.POST.get("everyone"):
        filters, problems = filter_of(QueryDict(request.POST.get("filters", "")))
        if problems:
            raise Invalid([{"field": "filters", "value": None, "message": problems[0]}])
        ids = freeze(filters.qs)
    else:
        ticked = row_ids(request.POST.getlist("ids"))
        ids = freeze(Profile.objects.live().filter(pk__in=ticked))
    if not ids:
        raise Invalid([{"field": "ids", "value": None, "message": "Tick at least one person first."}])
    return ids


def _confirm(request: HttpRequest, action: str, ids: list[int], *, problems: list[str]) -> HttpResponse:
    frozen = signing.dumps({"a": action, "u": request.user.pk, "i": pack(ids)}, salt=_SALT)
    if len(frozen) > _MAX_PACKED:
        message = f"{len(ids):,} people are too many for one action. Narrow the list with a filter."
        raise Invalid([{"field": "ids", "value": None, "message": message}])
    sample = Profile.objects.filter(pk__in=ids[:_SAMPLE]).order_by("pk")
    specs = attribute_specs() if action == "set" else {}
    context = {
        "title": f"{_VERBS[action]} {_count(len(ids))}",
        "action": action,
        "verb": _VERBS[action],
        "count": len(ids),
        "frozen": frozen,
        "sample": [profile if may_see(request) else mask_profile(profile) for profile in sample],
        "more": max(0, len(ids) - _SAMPLE),
        "is_job": len(ids) > INLINE,
        "problems": problems,
        "params": request.POST,
        "specs": [spec for key, spec in specs.items() if key not in ("email", "phone")],
        "tag_names": list(Tag.objects.values_list("name", flat=True)[:300]) if "tag" in action else [],
        "back": list_url(),
    }
    return render(request, "bulk.html", context)


def _count(count: int) -> str:
    return f"{count:,} {'person' if count == 1 else 'people'}"


def _thaw(request: HttpRequest, action: str) -> list[int]:
    """The list as it was counted, for this person and action alone, within the hour."""
    expired = "This confirmation is too old or not yours. Choose the people again."
    try:
        signed = signing.loads(request.POST["frozen"], salt=_SALT, max_age=_VALID_SECONDS)
    except signing.BadSignature as error:
        raise Invalid([{"field": "frozen", "value": None, "message": expired}]) from error
    if signed["a"] != action or signed["u"] != request.user.pk:
        raise Invalid([{"field": "frozen", "value": None, "message": expired}])
    return list(unpack(signed["i"]))


def _unconfirmed(request: HttpRequest, action: str, count: int) -> list[str]:
    """Deleting asks for the number to be typed."""
    if action != "delete":
        return []
    typed = request.POST.get("count", "").replace(",", "").replace(" ", "").replace("\u202f", "")
    return [] if typed == str(count) else [f"Type {count:,} to confirm that this many people are deleted."]


def _do(request: HttpRequest, action: str, ids: list[int]) -> HttpResponse:
    if action == EXPORT:
        return _export(request, ids)
    done = run_bulk(action=action, profile_ids=ids, params=_params(request, action), **by(request))
    if done.job is not None:
        messages.success(request, f"Started: {done.job.title}. You can leave this page.")
        return redirect("admin:cdp_job_change", done.job.pk)
    same = done.asked - done.changed
    text = f"{_count(done.changed)} {'deleted' if action == 'delete' else 'changed'}."
    messages.success(request, text + (f" {same:,} needed no change." if same and action != "delete" else ""))
    return redirect(list_url())


def _params(request: HttpRequest, action: str) -> dict[str, Any]:
    post = request.POST
    if action in ("tag", "untag"):
        return {"tags": [name for name in post.get("tags", "").split(",") if name.strip()]}
    if action == "set":
        specs = attribute_specs()
        key = post.get("field", "")
        if key in specs:
            # The one form over attributes knows how each type is typed.
            return {
                "field": key,
                "value": AttributesForm([specs[key]], {key: post.get("value", "")}).values()[key],
            }
        return {"field": key, "value": post.get("value", "")}
    return {"reason": post.get("reason", "").strip()}


# --- Export -----------------------------------------------------------------------------------------------


def _export(request: HttpRequest, ids: list[int]) -> HttpResponse:
    """A short list at once, a long one as a job with a page that leads to the file."""
    actor = Actor.of_request(request)
    if len(ids) > INLINE:
        return redirect("admin:profiles_profile_export", start_export(profile_ids=ids, actor=actor).pk)
    specs = columns()
    audit.record("profile.bulk_export", actor=actor, detail={"people": len(ids)})
    content = BOM + as_csv([header(specs), *rows(ids, specs, can_view_pii=may_see(request))])
    response = HttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="people.csv"'
    return response


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
