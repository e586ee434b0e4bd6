"""Event schemas, managed from outside, and what breaks them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.parameters import expected_version
from cdp.api.request_bodies import Shape, TextField
from cdp.times import iso
from profiles.api.definitions import DefinitionApi
from profiles.models import EventSchema, Receipt, Source
from profiles.tracking.schemas.edit import MAX_NAME, change_schema, create_schema, delete_schema
from profiles.tracking.schemas.infer import adopt_schema
from profiles.tracking.schemas.violations import violating_receipts, violations_of

_PROPERTIES = (
    "`{name: {type, required, aliases, enum, minimum, maximum, pattern, description, items}}`; `type` is string,"
    " number, integer, boolean, datetime, array or object; `items` describes the entries of a list."
    " Names not listed are allowed."
)


class SchemaChanges(Shape):
    properties = serializers.DictField(required=False, help_text=_PROPERTIES)
    description = TextField(required=False, allow_blank=True)
    mode = serializers.ChoiceField(
        choices=["", *Source.SchemaMode.values],
        required=False,
        allow_blank=True,
        help_text="Empty: as the source says.",
    )


class SchemaShape(SchemaChanges):
    name = TextField(max_length=MAX_NAME, help_text="The event's name, exactly; fixed once made.")
    properties = serializers.DictField(help_text=_PROPERTIES)


class AdoptShape(Shape):
    name = TextField(max_length=MAX_NAME, help_text="An event's name that was seen and has no schema.")


class SchemaRow(SchemaShape):
    id = serializers.IntegerField()
    is_builtin = serializers.BooleanField()
    version = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class ViolationProblem(serializers.Serializer[Any]):
    property = serializers.CharField()
    value = serializers.JSONField(allow_null=True)
    message = serializers.CharField()


class ViolationRow(serializers.Serializer[Any]):
    receipt_id = serializers.IntegerField()
    message_id = serializers.CharField()
    received_at = serializers.DateTimeField()
    source = serializers.CharField()  # type: ignore[assignment]
    outcome = serializers.CharField()
    problems = ViolationProblem(many=True)


def _schema(row: EventSchema) -> dict[str, Any]:
    names = ("id", "name", "description", "properties", "mode", "is_builtin", "version")
    shown = {name: getattr(row, name) for name in names}
    return {**shown, "created_at": iso(row.created_at), "updated_at": iso(row.updated_at)}


class SchemaList(DefinitionApi):
    model = EventSchema
    ordering = ("name", "id")
    permissions = {"GET": "profiles.view_eventschema", "POST": "profiles.add_eventschema"}

    @extend_schema(
        operation_id="listEventSchemas",
        tags=["Definitions"],
        summary="Event schemas",
        parameters=api_schema.PAGE,
        responses={200: api_schema.page_of(SchemaRow), **api_schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        return self.listed(_schema)

    @extend_schema(
        operation_id="createEventSchema",
        tags=["Definitions"],
        summary="Describe an event",
        parameters=api_schema.WRITE,
        request=SchemaShape,
        responses={201: SchemaRow, **api_schema.WRITE_ERRORS},
    )
    def post(self, request: Request) -> Response:
        made = create_schema(**self.body(SchemaShape), actor=self.actor, source=self.source)
        return Response(_schema(made.schema), status=201)


class SchemaAdopt(DefinitionApi):
    model = EventSchema
    permissions = {"POST": "profiles.add_eventschema"}

    @extend_schema(
        operation_id="adoptEventSchema",
        tags=["Definitions"],
        summary="Make a schema of what was seen",
        parameters=api_schema.WRITE,
        request=AdoptShape,
        responses={201: SchemaRow, **api_schema.WRITE_ERRORS},
    )
    def post(self, request: Request) -> Response:
        """From up to 1,000 of each source's newest events of the name."""
        made = adopt_schema(name=self.body(AdoptShape)["name"], actor=self.actor, source=self.source)
        return Response(_schema(made.schema), status=201)


class SchemaDetail(DefinitionApi):
    model = EventSchema
    permissions = {
        "GET": "profiles.view_eventschema",
        "PATCH": "profiles.change_eventschema",
        "DELETE": "profiles.delete_eventschema",
    }

    @extend_schema(
        operation_id="getEventSchema",
        tags=["Definitions"],
        summary="An event schema",
        responses={200: SchemaRow, **api_schema.ERRORS},
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(_schema(self.row()))

    @extend_schema(
        operation_id="updateEventSchema",
        tags=["Definitions"],
        summary="Change an event schema",
        parameters=api_schema.WRITE,
        request=SchemaChanges,
        responses={200: SchemaRow, **api_schema.WRITE_ERRORS},
    )
    def patch(self, request: Request, pk: int) -> Response:
        """`properties` is replaced as a whole. With `If-Match: "<version>"` only that version is changed."""
        saved = change_schema(
            schema_id=pk,
            **self.body(SchemaChanges),
            expected_version=expected_version(request),
            actor=self.actor,
            source=self.source,
        )
        return Response(_schema(saved.schema))

    @extend_schema(
        operation_id="deleteEventSchema",
        tags=["Definitions"],
        summary="Remove an event schema",
        parameters=api_schema.WRITE,
        responses={204: None, **api_schema.WRITE_ERRORS},
    )
    def delete(self, request: Request, pk: int) -> Response:
        """Only one of your own; the shipped ones stay."""
        delete_schema(schema_id=pk, actor=self.actor, source=self.source)
        return Response(status=204)


class SchemaViolations(DefinitionApi):
    model = EventSchema
    ordering = ("-id",)
    permissions = {"GET": ("profiles.view_eventschema", "profiles.view_receipt")}

    @extend_schema(
        operation_id="listEventSchemaViolations",
        tags=["Definitions"],
        summary="Events that broke the schema, newest first",
        parameters=api_schema.PAGE,
        responses={200: api_schema.page_of(ViolationRow), **api_schema.ERRORS},
    )
    def get(self, request: Request, pk: int) -> Response:
        return self.page(
            violating_receipts(self.row().name).select_related("source").defer("payload"), self._shown
        )

    def _shown(self, rows: list[Receipt]) -> list[dict[str, Any]]:
        return [
            {
                "receipt_id": one.receipt.pk,
                "message_id": one.receipt.message_id,
                "received_at": iso(one.receipt.received_at),
                "source": one.receipt.source.name,
                "outcome": one.receipt.outcome,
                "problems": [
                    {"property": name, "value": value, "message": message}
                    for name, value, message in one.problems
                ],
            }
            for one in violations_of(rows, can_view_pii=self.actor.can("profiles.view_pii"))
        ]
