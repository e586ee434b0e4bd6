"""Calls on tags → the tags with how many people carry each; a tag on one profile is in ``profile_parts``."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api.request_bodies import IdField, StrictSerializer, TextField, TimeField
from cdp.api.viewsets import ApiModelViewSet
from profiles.admin.tags import TagForm, people_by_tag
from profiles.api.definitions import AuditedViewSet, save_form
from profiles.models import Tag
from profiles.tagging import delete_tag, merge_tags, rename_tag


class TagSerializer(StrictSerializer):
    # Reads ``people``, which ``with_counts`` sets.
    id = serializers.IntegerField(read_only=True)
    name = TextField(max_length=60)
    color = serializers.ChoiceField(choices=Tag.Color.values, required=False)
    description = TextField(required=False, allow_blank=True)
    people = serializers.IntegerField(read_only=True, help_text="How many people have it.")
    created_at = TimeField()


class TagMergeBody(StrictSerializer):
    loser_id = IdField()


def with_counts(tags: list[Tag]) -> list[Tag]:
    """The tags with ``people`` set. One query."""
    counts = people_by_tag([tag.pk for tag in tags])
    for tag in tags:
        tag.people = counts.get(tag.pk, 0)  # type: ignore[attr-defined]
    return tags


@extend_schema(tags=["Definitions"])
@extend_schema_view(
    list=extend_schema(operation_id="listTags", summary="Tags"),
    create=extend_schema(operation_id="createTag", summary="Create a tag"),
    retrieve=extend_schema(operation_id="getTag", summary="A tag"),
    partial_update=extend_schema(
        operation_id="updateTag",
        summary="Rename or recolor a tag",
        description="Everybody with the tag has the new name.",
    ),
    destroy=extend_schema(
        operation_id="deleteTag",
        summary="Delete a tag",
        description="Takes it off everybody; each person's timeline has it.",
    ),
)
class TagViewSet(AuditedViewSet, ApiModelViewSet):
    queryset = Tag.objects.all()
    serializer_class = TagSerializer
    permissions = {
        "GET": "profiles.view_tag",
        "POST": "profiles.add_tag",
        "PATCH": "profiles.change_tag",
        "DELETE": "profiles.delete_tag",
    }

    def get_object(self) -> Tag:
        return with_counts([super().get_object()])[0]

    def paginate_queryset(self, queryset: Any) -> Any:
        return with_counts(super().paginate_queryset(queryset) or [])

    def perform_create(self, serializer: Any) -> None:
        serializer.instance = save_form(TagForm, serializer.validated_data).save()
        self.record("create", serializer.instance)
        with_counts([serializer.instance])

    def perform_update(self, serializer: Any) -> None:
        tag, values = serializer.instance, serializer.validated_data
        if "name" in values and values["name"] != tag.name:
            rename_tag(tag_id=tag.pk, name=values["name"], actor=self.actor, source=self.source)
        save_form(TagForm, values, self.get_object()).save()
        self.record("update", tag, {"fields": sorted(values)})
        serializer.instance = self.get_object()

    def perform_destroy(self, instance: Tag) -> None:
        delete_tag(tag_id=instance.pk, actor=self.actor, source=self.source)

    @extend_schema(
        operation_id="mergeTags",
        summary="Merge another tag into this one",
        request=TagMergeBody,
        responses={200: TagSerializer},
    )
    @action(
        detail=True, methods=["post"], permissions={"POST": ("profiles.change_tag", "profiles.delete_tag")}
    )
    def merge(self, request: Request, pk: int) -> Response:
        loser_id = self.body(TagMergeBody)["loser_id"]
        winner_id = self.get_object().pk
        merge_tags(winner_id=winner_id, loser_id=loser_id, actor=self.actor, source=self.source)
        return Response(self.get_serializer(self.get_object()).data)
