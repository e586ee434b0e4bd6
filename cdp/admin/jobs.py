"""Admin pages of jobs: what is running, how far it is; pause, resume and cancel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST

from cdp import audit, jobs
from cdp.actors import Actor
from cdp.admin.model_admin import ReadOnlyAdmin
from cdp.admin.today import open_jobs_for
from cdp.errors import Forbidden
from cdp.job_steps import STARTER
from cdp.models import Job
from cdp.registry import Registry
from cdp.templatetags.cdp import ago, state_badge

MAX_ERRORS_LISTED = 100

Verb = Callable[..., Job]


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What can be done about a job that ended: a button on its page."""

    label: str
    url: str


# Apps register what their jobs offer: (job, login) → the button, or None. Asked for jobs that ended.
follow_ups: Registry[Callable[[Job, Any], FollowUp | None]] = Registry("The follow-up of jobs")


class JobAdmin(ReadOnlyAdmin):
    """All jobs with the right to change jobs, otherwise one's own. ``jobs.may_control`` says who may steer one."""

    list_display = ("name", "state_display", "progress", "started_by", "created")
    list_display_links = ("name",)
    list_filter = ("state",)
    list_select_related = ("user", "key")
    page_sub = "Long work runs in the background; you can leave a page and come back."
    empty = (
        "No jobs yet",
        "Imports, exports and changes to many people at once are listed here.",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return super().get_queryset(request).filter(open_jobs_for(request.user))

    def has_view_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        """The list needs the right; a job one started oneself can always be looked at."""
        if obj is not None and obj.user_id == request.user.pk:
            return True
        return super().has_view_permission(request, obj)

    @admin.display(description="Job")
    def name(self, job: Job) -> str:
        return str(job)

    @admin.display(description="State")
    def state_display(self, job: Job) -> SafeString:
        return state_badge(job)

    @admin.display(description="Progress")
    def progress(self, job: Job) -> SafeString:
        return render_to_string("cdp/job_bar.html", {"job": job})

    @admin.display(description="Started by")
    def started_by(self, job: Job) -> str:
        return job.starter

    @admin.display(description="When")
    def created(self, job: Job) -> str:
        return ago(job.created_at)

    def get_urls(self) -> list[Any]:
        steer = {"pause": jobs.pause_job, "resume": jobs.resume_job, "cancel": jobs.cancel_job}
        return [
            path(
                "<int:job_id>/progress/",
                self.admin_site.admin_view(self.progress_view),
                name="cdp_job_progress",
            ),
            *(
                path(
                    f"<int:job_id>/{name}/",
                    self.admin_site.admin_view(require_POST(self._steer(name, verb))),
                    name=f"cdp_job_{name}",
                )
                for name, verb in steer.items()
            ),
            *super().get_urls(),
        ]

    def progress_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """The progress part alone, for polling; when the job has ended, asks the page to load anew."""
        job = self._job(request, job_id)
        response = TemplateResponse(request, "cdp/job_progress.html", {"job": job})
        if not job.is_open:
            response["HX-Refresh"] = "true"
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not object_id.isdigit():
            raise Http404("There is no such job.")
        return require_GET(self._detail)(request, int(object_id))

    def _detail(self, request: HttpRequest, job_id: int) -> HttpResponse:
        job = self._job(request, job_id)
        context = {
            **self.admin_site.each_context(request),
            "title": str(job),
            "opts": self.opts,
            "job": job,
            "may_steer": jobs.may_control(job, Actor.of_request(request)),
            "follow_ups": [] if job.is_open else [up for of in follow_ups if (up := of(job, request.user))],
            "facts": [
                (key, value) for key, value in job.result.items() if isinstance(value, str | int | float)
            ],
            "errors": job.errors[:MAX_ERRORS_LISTED],
            "more_errors": max(0, len(job.errors) - MAX_ERRORS_LISTED),
        }
        return TemplateResponse(request, "admin/cdp/job/detail.html", context)

    def _job(self, request: HttpRequest, job_id: int) -> Job:
        job = Job.objects.select_related(*STARTER).filter(pk=job_id).first()
        if job is None:
            if not super().has_view_permission(request):
                raise PermissionDenied
            raise Http404(f"There is no job #{job_id}.")
        if not (job.user_id == request.user.pk or request.user.has_perm("cdp.change_job")):
            raise PermissionDenied
        return job

    def _steer(self, name: str, verb: Verb) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, job_id: int) -> HttpResponse:
            job = self._job(request, job_id)
            actor = Actor.of_request(request)
            try:
                job = verb(job_id=job.pk, actor=actor)
            except Forbidden as refusal:
                raise PermissionDenied(refusal.message) from refusal
            audit.record(f"job.{name}", actor=actor, subject=f"job:{job.pk}")
            messages.success(request, _describe_action(name, job))
            return redirect(back_path(request) or reverse("admin:cdp_job_change", args=[job.pk]))

        return view


def back_path(request: HttpRequest) -> str:
    """The page the switch was on (an import, say), when it is one of ours."""
    target = request.POST.get("back", "")
    is_ours = target.startswith("/") and url_has_allowed_host_and_scheme(target, {request.get_host()})
    return target if is_ours else ""


def _describe_action(name: str, job: Job) -> str:
    if job.wish:
        doing = "pauses" if job.wish == Job.Wish.PAUSE else "stops"
        return f"The job {doing} after the current step."
    return f"The job is {job.get_state_display().lower()} now."


admin.site.register(Job, JobAdmin)
