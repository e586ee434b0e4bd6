"""Sources, managed from outside."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.shapes import Shape, TextField
from profiles.api.definitions import DefinitionApi
from profiles.errors import Conflict, Invalid
from profiles.models import Source
from profiles.reading import iso
from profiles.sources import create_source


class SourceShape(Shape):
    name = TextField(max_length=60)
    kind = serializers.ChoiceField(
        choices=["web", "server"], required=False, help_text="Of its write key: web keys stand in pages."
    )


class SourceChanges(Shape):
    name = TextField(max_length=60)


class SourceRow(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    door = serializers.CharField()
    is_builtin = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    write_key = serializers.CharField(required=False, help_text="Shown once, when the source is made.")


def _source(row: Source) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "door": row.door,
        "is_builtin": row.is_builtin,
        "created_at": iso(row.created_at),
    }


class SourceList(DefinitionApi):
    model = Source
    permissions = {"GET": "profiles.view_source", "POST": "profiles.add_source"}

    @extend_schema(
        operation_id="listSources",
        tags=["Definitions"],
        summary="Sources",
        parameters=api_schema.PAGE,
        responses={200: api_schema.page_of(SourceRow), **api_schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        return self.listed(_source)

    @extend_schema(
        operation_id="createSource",
        tags=["Definitions"],
        summary="Add a source",
        parameters=api_schema.WRITE,
        request=SourceShape,
        responses={201: SourceRow, **api_schema.WRITE_ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Its write key is in this answer and nowhere else."""
        body = self.body(SourceShape)
        made = create_source(name=body["name"], kind=body.get("kind", "server"), actor=self.actor)
        made.source.refresh_from_db()
        return Response({**_source(made.source), "write_key": made.write_key}, status=201)


class SourceDetail(DefinitionApi):
    """A source is never deleted: whatever came through it names it."""

    model = Source
    permissions = {"GET": "profiles.view_source", "PATCH": "profiles.change_source"}

    @extend_schema(
        operation_id="getSource",
        tags=["Definitions"],
        summary="A source",
        responses={200: SourceRow, **api_schema.ERRORS},
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(_source(self.row()))

    @extend_schema(
        operation_id="renameSource",
        tags=["Definitions"],
        summary="Rename a source",
        parameters=api_schema.WRITE,
        request=SourceChanges,
        responses={200: SourceRow, **api_schema.WRITE_ERRORS},
    )
    def patch(self, request: Request, pk: int) -> Response:
        row, name = self.row(), " ".join(self.body(SourceChanges)["name"].split())
        if not name:
            raise Invalid(
                [{"field": "name", "value": "", "message": "Give the source a name of 1 to 60 characters."}]
            )
        if Source.objects.filter(name__iexact=name).exclude(pk=row.pk).exists():
            raise Conflict(f"There is a source “{name}” already.")
        row.name = name
        row.save(update_fields=["name"])
        self.told("update", row, {"fields": ["name"]})
        return Response(_source(row))
