"""Calls on event schemas → the schemas, and the events that broke one."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.parameters import expected_version
from cdp.api.request_bodies import StrictSerializer, TextField, TimeField
from cdp.api.viewsets import ApiModelViewSet
from cdp.times import iso
from profiles.api.base import ProfilesApiView
from profiles.models import EventSchema, Receipt, Source
from profiles.tracking.schemas.edit import MAX_NAME, change_schema, create_schema, delete_schema
from profiles.tracking.schemas.infer import adopt_schema
from profiles.tracking.schemas.violations import violating_receipts, violations_of

_PROPERTIES = (
    "`{name: {type, required, aliases, enum, minimum, maximum, pattern, description, items}}`; `type` is string,"
    " number, integer, boolean, datetime, array or object; `items` describes the entries of a list."
    " Names not listed are allowed."
)


class EventSchemaSerializer(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    name = TextField(max_length=MAX_NAME, help_text="The event's name, exactly; cannot be changed later.")
    properties = serializers.DictField(help_text=_PROPERTIES)
    description = TextField(required=False, allow_blank=True)
    mode = serializers.ChoiceField(
        choices=["", *Source.SchemaMode.values],
        required=False,
        allow_blank=True,
        help_text="Empty: the source's setting applies.",
    )
    is_builtin = serializers.BooleanField(read_only=True)
    version = serializers.IntegerField(read_only=True)
    created_at = TimeField()
    updated_at = TimeField()


class EventSchemaChanges(EventSchemaSerializer):
    """What PATCH takes: the name is fixed."""

    name = TextField(read_only=True)


class AdoptBody(StrictSerializer):
    name = TextField(max_length=MAX_NAME, help_text="An event's name that was seen and has no schema.")


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


@extend_schema(tags=["Definitions"])
@extend_schema_view(
    list=extend_schema(operation_id="listEventSchemas", summary="Event schemas"),
    create=extend_schema(operation_id="createEventSchema", summary="Describe an event"),
    retrieve=extend_schema(operation_id="getEventSchema", summary="An event schema"),
    partial_update=extend_schema(
        operation_id="updateEventSchema",
        summary="Change an event schema",
        description='`properties` is replaced as a whole. With `If-Match: "<version>"` only that version is changed.',
    ),
    destroy=extend_schema(
        operation_id="deleteEventSchema",
        summary="Remove an event schema",
        description="Only one of your own; the shipped ones stay.",
    ),
)
class EventSchemaViewSet(ProfilesApiView, ApiModelViewSet):
    queryset = EventSchema.objects.all()
    ordering = ("name", "id")
    permissions = {
        "GET": "profiles.view_eventschema",
        "POST": "profiles.add_eventschema",
        "PATCH": "profiles.change_eventschema",
        "DELETE": "profiles.delete_eventschema",
    }

    def get_serializer_class(self) -> Any:
        return EventSchemaChanges if self.action == "partial_update" else EventSchemaSerializer

    def perform_create(self, serializer: Any) -> None:
        saved = create_schema(**serializer.validated_data, actor=self.actor, source=self.source)
        serializer.instance = saved.schema

    def perform_update(self, serializer: Any) -> None:
        saved = change_schema(
            schema_id=serializer.instance.pk,
            **serializer.validated_data,
            expected_version=expected_version(self.request),
            actor=self.actor,
            source=self.source,
        )
        serializer.instance = saved.schema

    def perform_destroy(self, instance: EventSchema) -> None:
        delete_schema(schema_id=instance.pk, actor=self.actor, source=self.source)

    @extend_schema(
        operation_id="adoptEventSchema",
        summary="Create a schema from what was sent",
        request=AdoptBody,
        responses={201: EventSchemaSerializer},
    )
    @action(detail=False, methods=["post"])
    def adopt(self, request: Request) -> Response:
        """From up to 1,000 of each source's newest events of the name."""
        saved = adopt_schema(name=self.body(AdoptBody)["name"], actor=self.actor, source=self.source)
        return Response(self.get_serializer(saved.schema).data, status=201)

    @extend_schema(
        operation_id="listEventSchemaViolations",
        summary="Events that broke the schema, newest first",
        parameters=api_schema.PAGE,
        responses={200: api_schema.page_of(ViolationRow)},
    )
    @action(
        detail=True,
        ordering=("-id",),
        permissions={"GET": ("profiles.view_eventschema", "profiles.view_receipt")},
    )
    def violations(self, request: Request, pk: int) -> Response:
        receipts = violating_receipts(self.get_object().name).select_related("source").defer("payload")
        return self.page(receipts, self._violations)

    def _violations(self, receipts: list[Receipt]) -> list[dict[str, Any]]:
        return [
            {
                "receipt_id": violation.receipt.pk,
                "message_id": violation.receipt.message_id,
                "received_at": iso(violation.receipt.received_at),
                "source": violation.receipt.source.name,
                "outcome": violation.receipt.outcome,
                "problems": [
                    {"property": name, "value": value, "message": message}
                    for name, value, message in violation.problems
                ],
            }
            for violation in violations_of(receipts, can_view_pii=self.actor.can("profiles.view_pii"))
        ]
