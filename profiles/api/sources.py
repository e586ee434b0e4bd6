"""Sources, their tracking settings and their write keys, managed from outside."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.request_bodies import Shape, TextField
from cdp.errors import NotFound
from cdp.times import iso
from profiles.api.definitions import DefinitionApi
from profiles.models import Source, WriteKey
from profiles.tracking.sources.sources import (
    OVERLAP_HOURS,
    change_source,
    create_key,
    create_source,
    revoke_key,
    rotate_key,
)

_KINDS = ["web", "server"]
_FLAGS = ("identifies_by_email", "needs_confirmation", "needs_user_hash", "adopts_attributes")


class SourceShape(Shape):
    name = TextField(max_length=60)
    kind = serializers.ChoiceField(
        choices=_KINDS, required=False, help_text="Of its write key: web keys stand in pages."
    )


class SettingsDoc(serializers.Serializer[Any]):
    main_type = serializers.CharField(
        allow_null=True, help_text="The identifier type of its userId; null for customer_id."
    )
    identifies_by_email = serializers.BooleanField(help_text="Whether traits.email of identify identifies.")
    needs_confirmation = serializers.BooleanField(help_text="E-mails wait for their owner's confirmation.")
    needs_user_hash = serializers.BooleanField(help_text="A browser's userId counts only when it is signed.")
    adopts_attributes = serializers.BooleanField(help_text="Unknown traits become attributes.")
    allowed_origins = serializers.ListField(
        child=serializers.CharField(), help_text="Where browser keys may write from; empty for anywhere."
    )
    schema_mode = serializers.CharField(help_text=", ".join(Source.SchemaMode.values))
    merges_per_hour = serializers.IntegerField(help_text="More automatic merges than this are held.")


class SourceChanges(Shape):
    """Whatever is left out stays. The verb reads and checks the values."""

    name = TextField(max_length=60, required=False)
    main_type = TextField(required=False, allow_null=True)
    identifies_by_email = serializers.JSONField(required=False)
    needs_confirmation = serializers.JSONField(required=False)
    needs_user_hash = serializers.JSONField(required=False)
    adopts_attributes = serializers.JSONField(required=False)
    allowed_origins = serializers.JSONField(required=False)
    schema_mode = TextField(required=False)
    merges_per_hour = serializers.JSONField(required=False)


class SourceRow(SettingsDoc):
    id = serializers.IntegerField()
    name = serializers.CharField()
    door = serializers.CharField()
    is_builtin = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    write_key = serializers.CharField(required=False, help_text="Shown once, when the source is made.")


class KeyShape(Shape):
    kind = TextField(help_text="web or server")


class RotateShape(Shape):
    overlap_hours = serializers.IntegerField(
        required=False, default=OVERLAP_HOURS, help_text="How long the old key works on: 0 to 720."
    )


class KeyRow(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.CharField(help_text="web or server")
    prefix = serializers.CharField(help_text="How it begins.")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To the hour.")
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    write_key = serializers.CharField(required=False, help_text="Shown once, when the key is made.")


def _source(row: Source) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "door": row.channel,
        "is_builtin": row.is_builtin,
        "created_at": iso(row.created_at),
        "main_type": row.main_type.name if row.main_type else None,
        **{name: getattr(row, name) for name in _FLAGS},
        "allowed_origins": row.allowed_origins,
        "schema_mode": row.schema_mode,
        "merges_per_hour": row.merges_per_hour,
    }


def _key(row: WriteKey, write_key: str = "") -> dict[str, Any]:
    shown = {
        "id": row.pk,
        "kind": row.kind,
        "prefix": row.prefix,
        "created_at": iso(row.created_at),
        "last_used_at": iso(row.last_used_at),
        "expires_at": iso(row.expires_at),
        "revoked_at": iso(row.revoked_at),
    }
    return {**shown, "write_key": write_key} if write_key else shown


class SourceApi(DefinitionApi):
    model = Source

    def row(self) -> Any:
        found = Source.objects.select_related("main_type").filter(pk=self.kwargs["pk"]).first()
        if found is None:
            raise NotFound(f"There is no source #{self.kwargs['pk']}.")
        return found

    def key(self) -> WriteKey:
        """The key of this very source. A 404 for any other."""
        found = self.row().write_keys.filter(pk=self.kwargs["writekey_id"]).first()
        if found is None:
            raise NotFound(f"There is no write key #{self.kwargs['writekey_id']}.")
        value: WriteKey = found
        return value


class SourceList(SourceApi):
    permissions = {"GET": "profiles.view_source", "POST": "profiles.add_source"}

    @extend_schema(
        operation_id="listSources",
        tags=["Definitions"],
        summary="Sources",
        parameters=api_schema.PAGE,
        responses={200: api_schema.page_of(SourceRow), **api_schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        found = Source.objects.select_related("main_type")
        return self.page(found, lambda rows: [_source(row) for row in rows])

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


class SourceDetail(SourceApi):
    """A source is never deleted: whatever came through it names it."""

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
        operation_id="changeSource",
        tags=["Definitions"],
        summary="Change a source's settings",
        parameters=api_schema.WRITE,
        request=SourceChanges,
        responses={200: SourceRow, **api_schema.WRITE_ERRORS},
    )
    def patch(self, request: Request, pk: int) -> Response:
        """What is left out stays; every process obeys within five seconds."""
        body = self.body(SourceChanges)
        change_source(source_id=self.row().pk, changes=body, actor=self.actor)
        return Response(_source(self.row()))


class KeyList(SourceApi):
    permissions = {"GET": "profiles.view_source", "POST": "profiles.change_source"}

    @extend_schema(
        operation_id="listWriteKeys",
        tags=["Definitions"],
        summary="Write keys of a source",
        parameters=api_schema.PAGE,
        responses={200: api_schema.page_of(KeyRow), **api_schema.ERRORS},
    )
    def get(self, request: Request, pk: int) -> Response:
        """The keys themselves are shown once, when they are made."""
        found = WriteKey.objects.filter(source=self.row())
        return self.page(found, lambda rows: [_key(row) for row in rows])

    @extend_schema(
        operation_id="createWriteKey",
        tags=["Definitions"],
        summary="Make a write key",
        parameters=api_schema.WRITE,
        request=KeyShape,
        responses={201: KeyRow, **api_schema.WRITE_ERRORS},
    )
    def post(self, request: Request, pk: int) -> Response:
        """The key is in this answer and nowhere else."""
        kind = self.body(KeyShape)["kind"]
        made = create_key(source_id=pk, kind=kind, actor=self.actor)
        made.key.refresh_from_db()
        return Response(_key(made.key, made.write_key), status=201)


class KeyRotate(SourceApi):
    permissions = {"POST": "profiles.change_source"}

    @extend_schema(
        operation_id="rotateWriteKey",
        tags=["Definitions"],
        summary="Rotate a write key",
        parameters=api_schema.WRITE,
        request=RotateShape,
        responses={201: KeyRow, **api_schema.WRITE_ERRORS},
    )
    def post(self, request: Request, pk: int, writekey_id: int) -> Response:
        """A new key in the place of this one, which works on for `overlap_hours`."""
        hours = self.body(RotateShape)["overlap_hours"]
        made = rotate_key(key_id=self.key().pk, overlap_hours=hours, actor=self.actor)
        made.key.refresh_from_db()
        return Response(_key(made.key, made.write_key), status=201)


class KeyRevoke(SourceApi):
    permissions = {"POST": "profiles.change_source"}

    @extend_schema(
        operation_id="revokeWriteKey",
        tags=["Definitions"],
        summary="Revoke a write key",
        parameters=api_schema.WRITE,
        request=None,
        responses={200: KeyRow, **api_schema.WRITE_ERRORS},
    )
    def post(self, request: Request, pk: int, writekey_id: int) -> Response:
        """Its calls are refused within five seconds. Revoking twice changes nothing."""
        return Response(_key(revoke_key(key_id=self.key().pk, actor=self.actor)))
