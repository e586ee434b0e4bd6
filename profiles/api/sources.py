"""Calls on sources and their write keys → the sources with their tracking settings, and the keys."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api.idempotency import with_secrets
from cdp.api.request_bodies import StrictSerializer, TextField, TimeField
from cdp.api.viewsets import ApiViewSet
from cdp.errors import NotFound
from profiles.models import Source, WriteKey
from profiles.tracking.sources.sources import (
    OVERLAP_HOURS,
    NewKey,
    change_source,
    create_key,
    create_source,
    revoke_key,
    rotate_key,
)


class SourceBody(StrictSerializer):
    name = TextField(max_length=60)
    kind = serializers.ChoiceField(
        choices=["web", "server"],
        required=False,
        default="server",
        help_text="Of its write key: web keys are public, in pages.",
    )


class SourceChanges(StrictSerializer):
    """Whatever is left out stays. The verb reads and checks the values."""

    name = TextField(max_length=60, required=False)
    main_type = TextField(required=False, allow_null=True)
    identifies_by_email = serializers.JSONField(required=False)
    needs_confirmation = serializers.JSONField(required=False)
    needs_user_hash = serializers.JSONField(required=False)
    merges_recognized = serializers.JSONField(required=False)
    adopts_attributes = serializers.JSONField(required=False)
    allowed_origins = serializers.JSONField(required=False)
    schema_mode = TextField(required=False)
    merges_per_hour = serializers.JSONField(required=False)


class SourceSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    door = serializers.CharField(
        source="channel", help_text="The channel: web, api, import, staff or system."
    )
    is_builtin = serializers.BooleanField()
    created_at = TimeField()
    main_type = serializers.CharField(
        source="main_type.name",
        allow_null=True,
        help_text="The identifier type of its userId; null for customer_id.",
    )
    identifies_by_email = serializers.BooleanField(help_text="Whether traits.email of identify identifies.")
    needs_confirmation = serializers.BooleanField(help_text="E-mails wait for their owner's confirmation.")
    needs_user_hash = serializers.BooleanField(help_text="A browser's userId counts only when it is signed.")
    merges_recognized = serializers.BooleanField(
        help_text="Whether an alias call of its server merges two recognized people; else they are suggested."
    )
    adopts_attributes = serializers.BooleanField(help_text="Unknown traits become attributes.")
    allowed_origins = serializers.ListField(
        child=serializers.CharField(), help_text="Where browser keys may write from; empty for anywhere."
    )
    schema_mode = serializers.CharField(help_text=", ".join(Source.SchemaMode.values))
    merges_per_hour = serializers.IntegerField(help_text="More automatic merges than this wait for a review.")


class NewSourceSerializer(SourceSerializer):
    write_key = serializers.CharField(help_text="In this answer only.")


class WriteKeyBody(StrictSerializer):
    kind = TextField(help_text="web or server")


class RotateBody(StrictSerializer):
    overlap_hours = serializers.IntegerField(
        required=False,
        default=OVERLAP_HOURS,
        help_text="How long the old key keeps working, in hours: 0 to 720.",
    )


class WriteKeySerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.CharField(help_text="web or server")
    prefix = serializers.CharField(help_text="How it begins.")
    created_at = TimeField()
    last_used_at = TimeField(allow_null=True, help_text="To the hour.")
    expires_at = TimeField(allow_null=True)
    revoked_at = TimeField(allow_null=True)


class NewWriteKeySerializer(WriteKeySerializer):
    write_key = serializers.CharField(help_text="In this answer only.")


def find_source(source_id: int) -> Source:
    """Raises NotFound. One query."""
    source = Source.objects.filter(pk=source_id).first()
    if source is None:
        raise NotFound(f"There is no source #{source_id}.")
    return source


@extend_schema(tags=["Definitions"])
@extend_schema_view(
    list=extend_schema(operation_id="listSources", summary="Sources"),
    retrieve=extend_schema(operation_id="getSource", summary="A source"),
)
class SourceViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ApiViewSet):
    """A source is never deleted: whatever came through it names it."""

    queryset = Source.objects.select_related("main_type")
    serializer_class = SourceSerializer
    ordering = ("id",)
    permissions = {
        "GET": "profiles.view_source",
        "POST": "profiles.add_source",
        "PATCH": "profiles.change_source",
    }
    confirmed = frozenset({"POST"})

    @extend_schema(
        operation_id="createSource",
        summary="Add a source",
        request=SourceBody,
        responses={201: NewSourceSerializer},
    )
    def create(self, request: Request) -> Response:
        """Its write key is in this answer and nowhere else: where the call is repeated it is empty."""
        new = create_source(**self.body(SourceBody), actor=self.actor)
        new.source.refresh_from_db()
        data = SourceSerializer(new.source).data
        return with_secrets(Response({**data, "write_key": new.write_key}, status=201), "write_key")

    @extend_schema(
        operation_id="changeSource",
        summary="Change a source's settings",
        request=SourceChanges,
    )
    def partial_update(self, request: Request, pk: int) -> Response:
        """What is left out stays; every process obeys within five seconds."""
        change_source(source_id=self.get_object().pk, changes=self.body(SourceChanges), actor=self.actor)
        return Response(self.get_serializer(self.get_object()).data)


@extend_schema(tags=["Definitions"])
@extend_schema_view(
    list=extend_schema(
        operation_id="listWriteKeys",
        summary="Write keys of a source",
        description="A key itself is only in the answer that creates it.",
    ),
)
class WriteKeyViewSet(mixins.ListModelMixin, ApiViewSet):
    """The write keys of the source that the address names."""

    queryset = WriteKey.objects.all()
    serializer_class = WriteKeySerializer
    lookup_url_kwarg = "writekey_id"
    permissions = {"GET": "profiles.view_source", "POST": "profiles.change_source"}
    confirmed = frozenset({"POST"})

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(source=find_source(self.kwargs["pk"]))

    @extend_schema(
        operation_id="createWriteKey",
        summary="Create a write key",
        request=WriteKeyBody,
        responses={201: NewWriteKeySerializer},
    )
    def create(self, request: Request, pk: int) -> Response:
        """The key is in this answer and nowhere else."""
        new = create_key(source_id=pk, kind=self.body(WriteKeyBody)["kind"], actor=self.actor)
        return self._new_key_response(new)

    @extend_schema(
        operation_id="rotateWriteKey",
        summary="Rotate a write key",
        request=RotateBody,
        responses={201: NewWriteKeySerializer},
    )
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: int, writekey_id: int) -> Response:
        """A new key instead of this one, which works on for `overlap_hours`."""
        hours = self.body(RotateBody)["overlap_hours"]
        return self._new_key_response(
            rotate_key(key_id=self.get_object().pk, overlap_hours=hours, actor=self.actor)
        )

    @extend_schema(
        operation_id="revokeWriteKey",
        summary="Revoke a write key",
        request=None,
        responses={200: WriteKeySerializer},
    )
    @action(detail=True, methods=["post"], confirmed=frozenset())
    def revoke(self, request: Request, pk: int, writekey_id: int) -> Response:
        """Its calls are refused within five seconds. Revoking twice changes nothing."""
        return Response(self.get_serializer(revoke_key(key_id=self.get_object().pk, actor=self.actor)).data)

    def _new_key_response(self, new: NewKey) -> Response:
        new.key.refresh_from_db()
        data = {**self.get_serializer(new.key).data, "write_key": new.write_key}
        return with_secrets(Response(data, status=201), "write_key")
