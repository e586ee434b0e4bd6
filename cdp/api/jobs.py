"""`/api/v1/jobs/` → jobs with their progress; pause, resume and cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp import audit, jobs
from cdp.api import schema
from cdp.api.parameters import choice
from cdp.api.views import ApiView, rows
from cdp.errors import NotFound
from cdp.models import Job
from cdp.times import iso


class JobProgressSerializer(serializers.Serializer[Any]):
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True)
    unit = serializers.CharField()
    rate = serializers.FloatField(allow_null=True, help_text="Units per second.")
    eta_seconds = serializers.IntegerField(allow_null=True)


class JobSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.CharField()
    title = serializers.CharField()
    state = serializers.CharField(help_text=", ".join(Job.State.values))
    wish = serializers.CharField(help_text="pause or cancel while that was asked and has not happened yet.")
    progress = JobProgressSerializer()
    result = serializers.DictField()
    errors = serializers.ListField()  # type: ignore[assignment]
    problem = serializers.CharField()
    actor = serializers.CharField(allow_null=True)
    resumes = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


def as_api(job: Job) -> dict[str, Any]:
    """The job of the HTTP contract; expects ``user`` and ``key`` joined in."""
    actor = job.user.get_username() if job.user else job.key.name if job.key else None
    return {
        "id": job.pk,
        "kind": job.kind,
        "title": job.title,
        "state": job.state,
        "wish": job.wish,
        "progress": {
            "done": job.done,
            "total": job.total,
            "unit": job.unit,
            "rate": job.rate,
            "eta_seconds": job.eta_seconds,
        },
        "result": job.result,
        "errors": job.errors,
        "problem": job.problem,
        "actor": actor,
        "resumes": job.resumes,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
    }


class JobApi(ApiView):
    """Everybody reads and steers the jobs they started; others' with the right to see or change jobs."""

    def visible(self) -> QuerySet[Job]:
        visible = Job.objects.select_related("user", "key")
        if self.actor.can("cdp.view_job"):
            return visible
        own = Q(key_id=self.actor.key_id) if self.actor.key else Q(user_id=self.actor.user_id)
        return visible.filter(own)

    def job(self) -> Job:
        job = self.visible().filter(pk=self.kwargs["pk"]).first()
        if job is None:
            raise NotFound(f"There is no job #{self.kwargs['pk']}.")
        return job


class JobList(JobApi):
    permissions = {"GET": None}

    @extend_schema(
        operation_id="listJobs",
        tags=["Jobs"],
        summary="Jobs, newest first",
        parameters=[
            OpenApiParameter("state", str, enum=Job.State.values),
            OpenApiParameter("kind", str, description="For example import.apply."),
            *schema.PAGE,
        ],
        responses={200: schema.page_of(JobSerializer), **schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        """Your own; all of them with the scope `admin`."""
        visible = self.visible()
        if state := choice(request, "state", Job.State.values):
            visible = visible.filter(state=state)
        if kind := request.query_params.get("kind"):
            visible = visible.filter(kind=kind)
        return self.page(visible, rows(as_api))


class JobDetail(JobApi):
    permissions = {"GET": None}

    @extend_schema(
        operation_id="getJob",
        tags=["Jobs"],
        summary="One job",
        responses={200: JobSerializer, **schema.ERRORS},
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(as_api(self.job()))


class Steer(JobApi):
    """The base of the three switches, for whoever may do what the job does. What committed chunks wrote stays."""

    permissions = {"POST": None}
    name: str
    verb: Callable[..., Job]

    def steer(self) -> Response:
        job = self.job()
        type(self).verb(job_id=job.pk, actor=self.actor)
        audit.record(f"job.{self.name}", actor=self.actor, subject=f"job:{job.pk}")
        return Response(as_api(self.job()))


def _described(name: str, summary: str) -> Any:
    return extend_schema(
        operation_id=f"{name}Job",
        tags=["Jobs"],
        summary=summary,
        parameters=schema.WRITE,
        request=None,
        responses={200: JobSerializer, **schema.WRITE_ERRORS},
    )


class Pause(Steer):
    name, verb = "pause", staticmethod(jobs.pause_job)

    @_described("pause", "Pause before the next chunk")
    def post(self, request: Request, pk: int) -> Response:
        return self.steer()


class Resume(Steer):
    name, verb = "resume", staticmethod(jobs.resume_job)

    @_described("resume", "Go on after a pause or a failure")
    def post(self, request: Request, pk: int) -> Response:
        return self.steer()


class Cancel(Steer):
    name, verb = "cancel", staticmethod(jobs.cancel_job)

    @_described("cancel", "Stop for good before the next chunk")
    def post(self, request: Request, pk: int) -> Response:
        return self.steer()
