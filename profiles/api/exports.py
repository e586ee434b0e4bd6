"""Requests under /api/v1/exports/ → exports of people: started by a filter, listed, downloaded."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse, QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.jobs import JobProgressSerializer
from cdp.api.jobs import as_api as job_as_api
from cdp.api.parameters import choice
from cdp.api.request_bodies import IdField, StrictSerializer, TextField
from cdp.errors import Invalid
from cdp.models import Job
from cdp.times import iso
from profiles.api.base import PersonalDataView
from profiles.bulk.exports import (
    CONTENT_TYPES,
    FORMATS,
    KEPT_DAYS,
    LEFT_OUT,
    PERMISSION,
    Export,
    export_jobs,
    export_of,
    find_export,
    open_export,
    start_export,
)
from profiles.bulk.run_action import freeze
from profiles.models import Profile
from profiles.search.filters import ProfileFilter
from profiles.tagging import unknown_tags

_BOTH = "Choose the people by “filter” or by “segment”, not by both."
_NO_FORMAT = f"“{{input}}” is not a format of exports. Formats: {', '.join(FORMATS)}."
_NO_FILTER_VALUE = "Send a text, a number, true or false, or a list of them."


class ExportBody(StrictSerializer):
    fields = serializers.ListField(  # type: ignore[assignment]
        child=TextField(),
        required=False,
        help_text="Columns beside `id` and `type`; all of them when left out. `consents` stands for all consents.",
    )
    filter = serializers.DictField(
        required=False,
        help_text="Filters of `GET /api/v1/profiles/` by their names; everybody when left out or empty.",
    )
    segment = IdField(
        required=False,
        help_text='Whoever is in this segment now, in place of `filter`: `{"segment": 7}` there.',
    )
    format = serializers.ChoiceField(
        list(FORMATS), default="csv", required=False, error_messages={"invalid_choice": _NO_FORMAT}
    )
    spreadsheet_safe = serializers.BooleanField(
        default=True,
        required=False,
        help_text="Of CSV: an apostrophe before what a spreadsheet would run as a formula, and phones written as text.",
    )


class LeftOut(serializers.Serializer[Any]):
    reason = serializers.ChoiceField([(code, text) for code, text in LEFT_OUT.items()])
    count = serializers.IntegerField()


class ExportResult(serializers.Serializer[Any]):
    people = serializers.IntegerField(help_text="In the file.")
    left_out = LeftOut(many=True, help_text="Of the people chosen, those who are not in the file, and why.")


class ExportFile(serializers.Serializer[Any]):
    size = serializers.IntegerField(help_text="Bytes.")
    download = serializers.CharField(help_text="Its address.")
    expires_at = serializers.DateTimeField()


class ExportSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(help_text="Also the id of its job, by which it is paused or canceled.")
    state = serializers.CharField(help_text=", ".join(Job.State.values))
    people = serializers.IntegerField(
        help_text="How many people the filter chose when the export was started."
    )
    fields = serializers.ListField(child=serializers.CharField())  # type: ignore[assignment]
    filter = serializers.DictField(
        allow_null=True, help_text="null: people were ticked one by one on the page of the list."
    )
    format = serializers.CharField(help_text=", ".join(FORMATS))
    spreadsheet_safe = serializers.BooleanField()
    masked = serializers.BooleanField(
        help_text="Whether personal data is masked, because whoever started the export may not see it."
    )
    progress = JobProgressSerializer()
    result = ExportResult()
    file = ExportFile(
        allow_null=True, help_text="null until the export is done, and when its file was deleted."
    )
    problem = serializers.CharField()
    actor = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


def as_api(export: Export) -> dict[str, Any]:
    """No query."""
    of_job = job_as_api(export.job)
    names = ("id", "state", "progress", "problem", "actor", "created_at", "started_at", "finished_at")
    return {
        **{name: of_job[name] for name in names},
        "people": export.people,
        "fields": export.columns,
        "filter": None if export.filters is None else _as_given(QueryDict(export.filters)),
        "format": export.format,
        "spreadsheet_safe": export.spreadsheet_safe,
        "masked": export.is_masked,
        "result": {
            "people": export.written,
            "left_out": [{"reason": reason, "count": count} for reason, count in export.left_out.items()],
        },
        "file": None if export.size is None else _file(export),
    }


def _file(export: Export) -> dict[str, Any]:
    return {
        "size": export.size,
        "download": f"/api/v1/exports/{export.job.pk}/download",
        "expires_at": iso(export.expires_at),
    }


def _as_given(filters: QueryDict) -> dict[str, Any]:
    return {name: texts if len(texts) > 1 else texts[0] for name, texts in filters.lists()}


class ExportList(PersonalDataView):
    permissions = {"GET": PERMISSION, "POST": PERMISSION}
    confirmed = frozenset({"POST"})

    @extend_schema(
        operation_id="listExports",
        tags=["Exports"],
        summary="Exports, newest first",
        parameters=[OpenApiParameter("state", str, enum=Job.State.values), *api_schema.PAGE],
        responses={200: api_schema.page_of(ExportSerializer)},
    )
    def get(self, request: Request) -> Response:
        """Your own; a login also sees those of the API keys it made."""
        self.known_parameters("state", "count")
        jobs = export_jobs(self.actor)
        if state := choice(request, "state", Job.State.values):
            jobs = jobs.filter(state=state)
        return self.page(jobs, lambda page: [as_api(export_of(job)) for job in page])

    @extend_schema(
        operation_id="startExport",
        tags=["Exports"],
        summary="Export people to a file",
        request=ExportBody,
        responses={202: ExportSerializer},
        examples=[
            OpenApiExample(
                "People in Poland",
                value={"fields": ["email", "tags", "consents"], "filter": {"country": "PL"}, "format": "csv"},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Written in the background: follow `GET /api/v1/exports/{id}/` until `state` is `done`, then fetch
        `file.download`. Exactly those who match now are exported. Values are masked for a key without the scope `pii`.
        An import reads the file back unchanged.
        """
        body = self.body(ExportBody)
        params = _chosen(body)
        job = start_export(
            profile_ids=_people(params, place="" if "segment" in body else "/filter"),
            columns=body.get("fields"),
            file_format=body["format"],
            spreadsheet_safe=body["spreadsheet_safe"],
            filters=params.urlencode(),
            actor=self.actor,
        )
        answer = Response(as_api(find_export(job.pk, self.actor)), status=202)
        answer["Location"] = f"/api/v1/exports/{job.pk}/"
        return answer


def _bad(pointer: str, message: str, value: Any) -> Invalid:
    return Invalid([{"pointer": pointer, "value": value, "message": message}])


def _chosen(body: dict[str, Any]) -> QueryDict:
    """The parameters of the list with the people to export."""
    if "segment" not in body:
        return _parameters(body.get("filter", {}))
    if "filter" in body:
        raise _bad("/segment", _BOTH, body["segment"])
    return _parameters({"segment": body["segment"]})


def _parameters(given: dict[str, Any]) -> QueryDict:
    """The filter as the parameters of the list."""
    params = QueryDict(mutable=True)
    for name, value in given.items():
        texts = [_text(name, item) for item in (value if isinstance(value, list) else [value])]
        params.setlist(name, texts)
    return params


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, int, float)):
        raise _bad(f"/filter/{name}", _NO_FILTER_VALUE, value)
    return str(value)


def _people(params: QueryDict, *, place: str) -> list[int]:
    """Whom the list with these parameters has, with the list's own refusals; ``place`` is where the body names them."""
    try:
        filters = ProfileFilter(params)
        _check(filters, params)
        return freeze(filters.qs)
    except Invalid as error:
        problem = error.problems[0]
        if "pointer" in problem:
            raise
        raise _bad(f"{place}/{problem['field']}", problem["message"], problem.get("value")) from error


def _check(filters: ProfileFilter, params: QueryDict) -> None:
    for name in params:
        if name not in filters.filters:
            known = ", ".join(sorted(key for key in filters.filters if key != "status"))
            message = f"There is no filter “{name}”. Known filters: {known}, attributes.<name>."
            raise _bad(f"/filter/{name}", message, params[name])
    if params.get("status") == Profile.Status.DELETED:
        raise _bad("/filter/status", "Deleted people cannot be exported.", params["status"])
    if not filters.is_valid():
        name, messages = next(iter(filters.errors.items()))
        raise _bad(f"/filter/{name}", str(messages[0]), params.get(name))
    if unknown := unknown_tags(params.getlist("tag")):
        raise _bad("/filter/tag", f"There is no tag “{unknown[0]}”.", unknown[0])


class ExportDetail(PersonalDataView):
    permissions = {"GET": PERMISSION}

    @extend_schema(
        operation_id="getExport", tags=["Exports"], summary="One export", responses={200: ExportSerializer}
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(as_api(find_export(pk, self.actor)))


class ExportDownload(PersonalDataView):
    permissions = {"GET": PERMISSION}
    confirmed = frozenset({"GET", "HEAD"})

    @extend_schema(
        operation_id="downloadExport",
        tags=["Exports"],
        summary="The file of an export",
        responses={(200, kind.partition(";")[0]): OpenApiTypes.BINARY for kind in CONTENT_TYPES.values()},
        description=f"For {KEPT_DAYS} days after it was written, to whoever started the export and may still export; a 404 says "
        "why there is no file.",
    )
    def get(self, request: Request, pk: int) -> FileResponse:
        path = open_export(job_id=pk, actor=self.actor)
        kind = find_export(pk, self.actor).format
        return FileResponse(
            path.open("rb"),
            as_attachment=True,
            filename=f"people-{pk}.{kind}",
            content_type=CONTENT_TYPES[kind],
        )
