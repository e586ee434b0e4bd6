"""Requests under /api/v1/imports/ → the verbs of the imports app, and their results as JSON or CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.db import transaction
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from cdp import audit
from cdp.api import schema
from cdp.api.json import StrictJSONParser, parse
from cdp.api.problems import BadParameter
from cdp.api.request_bodies import IdField, StrictSerializer
from cdp.api.views import ApiView
from cdp.errors import Invalid, NotFound
from imports import downloads
from imports.api.responses import ImportDoc, ImportSummary, detail, summary
from imports.apply import apply_import
from imports.job_controls import cancel_import, pause_import, resume_import
from imports.mappings import map_import
from imports.models import Import
from imports.options import DIALECT
from imports.plan import plan_import
from imports.upload import reread_import, upload_import
from profiles.builtin_sources import builtin_source

RELATED = ("job", "user", "key")


class UploadBody(serializers.Serializer[Any]):
    """The multipart form; `mapping` and `options` are JSON texts."""

    file = serializers.FileField()
    mapping = serializers.JSONField(
        required=False,
        help_text='{"Column": {"to": "email", "policy": "overwrite"}}. Where cells hold several values: "separator": ";".'
        ' Of a consent: "meaning": "opted_out" where a yes is a no, "values": {"word": "granted|withdrawn|none"}.'
        ' {"to": "ignore", "confirmed": true} leaves out what looks like a consent.',
    )
    options = serializers.JSONField(
        required=False,
        help_text='{"encoding", "delimiter", "quotechar", "skip_space", "header_line", "has_header", "max_quoted_lines", '
        '"policy", "auto_apply": false, "on_conflict": "stronger|hold", "empty_words": true, '
        '"bad_cells": "leave_out|reject_row", "date_order": "dmy|mdy", '
        '"phone_country": "a country\'s code|row|row:DE|international"} (empty_words: NULL, n/a, #N/A and their like are '
        "read as empty cells; date_order and phone_country are found out where the cells show them). A yes of somebody who "
        'had said no is left out and listed, but for "regrant_reason" and "regrant_proof" by who has the scope privacy',
    )


class ChangeBody(StrictSerializer):
    """How the file is read and its columns are mapped from now on."""

    mapping = serializers.DictField(required=False)
    options = serializers.DictField(required=False)
    revision = IdField(required=False)


class RevisionBody(StrictSerializer):
    """`revision` of the plan that was looked at; another one is a 409."""

    revision = IdField(required=False)


class ImportApi(ApiView):
    def get_import(self) -> Import:
        import_ = Import.objects.select_related(*RELATED).filter(pk=self.kwargs["pk"]).first()
        if import_ is None:
            raise NotFound(f"There is no import #{self.kwargs['pk']}.")
        return import_

    def answer(self, status: int = 200) -> Response:
        return Response(detail(self.get_import(), self.actor), status=status)

    def file(self, kind: str, write: Callable[..., Iterator[bytes]]) -> StreamingHttpResponse:
        """A download, recorded in the audit log."""
        import_ = self.get_import()
        pieces = write(import_, actor=self.actor)
        audit.record(
            "import.download", actor=self.actor, subject=f"import:{import_.pk}", detail={"what": kind}
        )
        return csv_response(pieces, downloads.file_name(import_, kind))


class ImportList(ImportApi):
    permissions = {"GET": "imports.view_import", "POST": "imports.add_import"}
    parser_classes = [MultiPartParser]
    # The size of files has its own limit and its own sentence.
    max_body = None

    @extend_schema(
        operation_id="listImports",
        tags=["Imports"],
        summary="Imports, newest first",
        parameters=[OpenApiParameter("state", str, enum=Import.State.values), *schema.PAGE],
        responses={200: schema.page_of(ImportSummary), **schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        """Without `problems`."""
        rows = Import.objects.select_related(*RELATED)
        if state := request.query_params.get("state"):
            if state not in Import.State.values:
                raise BadParameter("state", f"state is one of {', '.join(Import.State.values)}.", state)
            rows = rows.filter(state=state)
        return self.page(rows, lambda page: [summary(import_) for import_ in page])

    @extend_schema(
        operation_id="createImport",
        tags=["Imports"],
        summary="Upload a file and plan it",
        parameters=schema.WRITE,
        request={"multipart/form-data": UploadBody},
        responses={201: ImportDoc, **schema.WRITE_ERRORS},
    )
    def post(self, request: Request) -> Response:
        """The plan is made in the background: follow `GET /api/v1/imports/{id}/` until `state` is `planned`, look at
        `counts`, then `POST …/apply/`. Columns are guessed when `mapping` is absent; `auto_apply` skips the look, unless
        `file.doubts` lists a guess about the file that may be wrong, or a column looks like a consent and is left out.
        """
        fields: Any = request.data
        file = fields.get("file")
        if file is None or isinstance(file, str):
            raise Invalid([_missing("Send the file as the multipart field “file”.")])
        if unknown := set(fields) - {"file", "mapping", "options"}:
            name = sorted(unknown)[0]
            raise Invalid(
                [_missing(f"There is no field “{name}” here. Known fields: file, mapping, options.", name)]
            )
        import_ = upload_import(
            file=file,
            mapping=_json(fields, "mapping"),
            options=_json(fields, "options"),
            actor=self.actor,
            source=builtin_source("api"),
        )
        plan_import(import_id=import_.pk, actor=self.actor)
        self.kwargs["pk"] = import_.pk
        response = self.answer(201)
        response["Location"] = f"/api/v1/imports/{import_.pk}/"
        return response


def _missing(message: str, field: str = "file") -> dict[str, Any]:
    return {"field": field, "value": None, "message": message}


def _json(fields: Any, name: str) -> dict[str, Any] | None:
    """A multipart field with a JSON object as its text; None when it is absent or empty."""
    raw = fields.get(name)
    if raw in (None, ""):
        return None
    if not isinstance(raw, str):
        raw = raw.read().decode(errors="replace")
    value = parse(raw.encode())
    if not isinstance(value, dict):
        raise Invalid([{"field": name, "value": None, "message": f"{name} is a JSON object."}])
    return value


class ImportDetail(ImportApi):
    permissions = {"GET": "imports.view_import", "PATCH": "imports.change_import"}
    parser_classes = [StrictJSONParser]

    @extend_schema(
        operation_id="getImport",
        tags=["Imports"],
        summary="One import with its counts and problems",
        responses={200: ImportDoc, **schema.ERRORS},
    )
    def get(self, request: Request, pk: int) -> Response:
        return self.answer()

    @extend_schema(
        operation_id="changeImport",
        tags=["Imports"],
        summary="Map the columns differently and plan again",
        parameters=schema.WRITE,
        request=ChangeBody,
        responses={200: ImportDoc, **schema.WRITE_ERRORS},
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Only before anything was applied; the older plan is void. `options` may also change how the file is read:
        `encoding`, `delimiter`, `quotechar`, `skip_space`, `header_line`, `has_header`, `max_quoted_lines`.
        """
        body = self.body(ChangeBody)
        options, revision = body.get("options") or {}, body.get("revision")
        with transaction.atomic():
            if reading := {name: options.pop(name) for name in DIALECT if name in options}:
                reread_import(import_id=pk, options=reading, revision=revision, actor=self.actor)
                revision = None
            map_import(
                import_id=pk,
                mapping=body.get("mapping", self.get_import().mapping),
                options=options,
                revision=revision,
                actor=self.actor,
            )
        plan_import(import_id=pk, actor=self.actor)
        return self.answer()


def _described(name: str, summary_text: str, *, status: int = 200, body: Any = None) -> Any:
    return extend_schema(
        operation_id=f"{name}Import",
        tags=["Imports"],
        summary=summary_text,
        parameters=schema.WRITE,
        request=body,
        responses={status: ImportDoc, **schema.WRITE_ERRORS},
    )


class Apply(ImportApi):
    permissions = {"POST": "imports.change_import"}

    @_described("apply", "Apply the plan", status=202, body=RevisionBody)
    def post(self, request: Request, pk: int) -> Response:
        """Exactly the plan: rows whose profile changed since are *held* and listed. 409 unless `planned`."""
        apply_import(import_id=pk, revision=self.body(RevisionBody).get("revision"), actor=self.actor)
        return self.answer(202)


class Pause(ImportApi):
    permissions = {"POST": "imports.change_import"}

    @_described("pause", "Pause before the next chunk")
    def post(self, request: Request, pk: int) -> Response:
        pause_import(import_id=pk, actor=self.actor)
        return self.answer()


class Resume(ImportApi):
    permissions = {"POST": "imports.change_import"}

    @_described("resume", "Go on after a pause or a failure")
    def post(self, request: Request, pk: int) -> Response:
        resume_import(import_id=pk, actor=self.actor)
        return self.answer()


class Cancel(ImportApi):
    permissions = {"POST": "imports.change_import"}

    @_described("cancel", "Stop for good, or discard the plan")
    def post(self, request: Request, pk: int) -> Response:
        """What was written stays; `counts.not_applied` says how many planned rows were not."""
        cancel_import(import_id=pk, actor=self.actor)
        return self.answer()


# --- Files --------------------------------------------------------------------------------------------

_CSV = {(200, "text/csv"): OpenApiTypes.STR, **schema.ERRORS}


class PlanFile(ImportApi):
    permissions = {"GET": "imports.view_import"}

    @extend_schema(operation_id="getImportPlan", tags=["Imports"], summary="The whole plan", responses=_CSV)
    def get(self, request: Request, pk: int) -> StreamingHttpResponse:
        """One line per row of the file: its outcome, the profile, what changes, why not."""
        return self.file("plan", downloads.plan_csv)


class RejectedFile(ImportApi):
    permissions = {"GET": "imports.view_import"}

    @extend_schema(
        operation_id="getRejectedRows", tags=["Imports"], summary="The rejected rows", responses=_CSV
    )
    def get(self, request: Request, pk: int) -> StreamingHttpResponse:
        """As they stand in the file, with line, column and reason before them: correct and upload it again."""
        return self.file("rejected", downloads.rejected_csv)


class TemplateFile(ApiView):
    permissions = {"GET": None}

    @extend_schema(
        operation_id="getImportTemplate", tags=["Imports"], summary="A file to start from", responses=_CSV
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        return csv_response([downloads.template_csv()], "template.csv")


def csv_response(pieces: Any, name: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
