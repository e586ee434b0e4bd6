"""Calls on saved views of the people list → the views the caller may open, changed by the list's own verbs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers

from cdp.api.request_bodies import StrictSerializer, TextField, TimeField
from cdp.api.viewsets import ApiModelViewSet
from profiles.models import SavedView
from profiles.search.saved_views import change_view, delete_view, save_view, visible_views


class SavedViewSerializer(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    name = TextField(help_text="One’s own views have different names, whatever their case.")
    query = TextField(
        required=False,
        allow_blank=True,
        help_text="Filters as in the address of the list of people, and `sort` (newest or seen).",
    )
    columns = serializers.ListField(
        child=TextField(),
        required=False,
        help_text="Empty: those each person chose for the list.",
    )
    is_shared = serializers.BooleanField(
        required=False, help_text="A tab for everybody. What an API key saves has to be."
    )
    owner = serializers.CharField(
        source="owner.username",
        read_only=True,
        allow_null=True,
        help_text="The login that saved it; null when an API key did, or when the login is gone.",
    )
    created_at = TimeField()
    updated_at = TimeField()


@extend_schema(tags=["Definitions"])
@extend_schema_view(
    list=extend_schema(
        operation_id="listSavedViews",
        summary="Saved views of the list of people",
        description="Shared ones, and those of the login that asks. Those whose filters may name somebody are left"
        " out for callers without the scope `pii`.",
    ),
    create=extend_schema(operation_id="createSavedView", summary="Save a view"),
    retrieve=extend_schema(operation_id="getSavedView", summary="A saved view"),
    partial_update=extend_schema(
        operation_id="updateSavedView", summary="Rename, change or share a view, or stop sharing it"
    ),
    destroy=extend_schema(
        operation_id="deleteSavedView",
        summary="Delete a view",
        description="The people in it stay as they are.",
    ),
)
class SavedViewViewSet(ApiModelViewSet):
    queryset = SavedView.objects.all()
    serializer_class = SavedViewSerializer
    ordering = ("id",)
    permissions = {
        "GET": "profiles.view_profile",
        "POST": "profiles.save_view",
        "PATCH": "profiles.save_view",
        "DELETE": "profiles.save_view",
    }

    def get_queryset(self) -> Any:
        return visible_views(self.actor)

    def perform_create(self, serializer: Any) -> None:
        serializer.instance = save_view(**serializer.validated_data, actor=self.actor)

    def perform_update(self, serializer: Any) -> None:
        view_id = serializer.instance.pk
        serializer.instance = change_view(view_id=view_id, **serializer.validated_data, actor=self.actor)

    def perform_destroy(self, instance: SavedView) -> None:
        delete_view(view_id=instance.pk, actor=self.actor)
