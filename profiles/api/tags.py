"""The tags themselves, managed from outside; a tag on one person is in parts.py."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.request_bodies import IdField, Shape, TextField
from cdp.times import iso
from profiles.admin.tags import TagForm, people_by_tag
from profiles.api.definitions import DefinitionApi, save_form
from profiles.models import Tag
from profiles.tagging import delete_tag, merge_tags, rename_tag


class TagShape(Shape):
    name = TextField(max_length=60)
    color = serializers.ChoiceField(choices=Tag.Color.values, required=False)
    description = TextField(required=False, allow_blank=True)


class TagChanges(TagShape):
    name = TextField(max_length=60, required=False)


class TagRow(TagShape):
    id = serializers.IntegerField()
    people = serializers.IntegerField(help_text="How many people carry it.")
    created_at = serializers.DateTimeField()


class TagMergeShape(Shape):
    loser_id = IdField()


def _tags(tags: list[Tag]) -> list[dict[str, Any]]:
    people = people_by_tag([tag.pk for tag in tags])
    return [
        {
            "id": tag.pk,
            "name": tag.name,
            "color": tag.color,
            "description": tag.description,
            "people": people.get(tag.pk, 0),
            "created_at": iso(tag.created_at),
        }
        for tag in tags
    ]


def _tag(tag_id: int) -> dict[str, Any]:
    return _tags([Tag.objects.get(pk=tag_id)])[0]


class TagList(DefinitionApi):
    model = Tag
    permissions = {"GET": "profiles.view_tag", "POST": "profiles.add_tag"}

    @extend_schema(
        operation_id="listTags",
        tags=["Definitions"],
        summary="Tags",
        parameters=api_schema.PAGE,
        responses={200: api_schema.page_of(TagRow), **api_schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        return self.page(Tag.objects.all(), _tags)

    @extend_schema(
        operation_id="createTag",
        tags=["Definitions"],
        summary="Make a tag",
        parameters=api_schema.WRITE,
        request=TagShape,
        responses={201: TagRow, **api_schema.WRITE_ERRORS},
    )
    def post(self, request: Request) -> Response:
        tag = save_form(TagForm, self.body(TagShape)).save()
        self.told("create", tag)
        return Response(_tag(tag.pk), status=201)


class TagDetail(DefinitionApi):
    model = Tag
    permissions = {
        "GET": "profiles.view_tag",
        "PATCH": "profiles.change_tag",
        "DELETE": "profiles.delete_tag",
    }

    @extend_schema(
        operation_id="getTag",
        tags=["Definitions"],
        summary="A tag",
        responses={200: TagRow, **api_schema.ERRORS},
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(_tag(self.row().pk))

    @extend_schema(
        operation_id="updateTag",
        tags=["Definitions"],
        summary="Rename or recolor a tag",
        parameters=api_schema.WRITE,
        request=TagChanges,
        responses={200: TagRow, **api_schema.WRITE_ERRORS},
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Everybody who carries the tag carries the new name."""
        tag, body = self.row(), self.body(TagChanges)
        if "name" in body and body["name"] != tag.name:
            rename_tag(tag_id=tag.pk, name=body["name"], actor=self.actor, source=self.source)
        save_form(TagForm, body, self.row()).save()
        self.told("update", tag, {"fields": sorted(body)})
        return Response(_tag(pk))

    @extend_schema(
        operation_id="deleteTag",
        tags=["Definitions"],
        summary="Delete a tag",
        parameters=api_schema.WRITE,
        responses={204: None, **api_schema.WRITE_ERRORS},
    )
    def delete(self, request: Request, pk: int) -> Response:
        """Takes it off everybody; each person's journal tells of it."""
        delete_tag(tag_id=self.row().pk, actor=self.actor, source=self.source)
        return Response(status=204)


class TagMerge(DefinitionApi):
    model = Tag
    permissions = {"POST": ("profiles.change_tag", "profiles.delete_tag")}

    @extend_schema(
        operation_id="mergeTags",
        tags=["Definitions"],
        summary="Merge another tag into this one",
        parameters=api_schema.WRITE,
        request=TagMergeShape,
        responses={200: TagRow, **api_schema.WRITE_ERRORS},
    )
    def post(self, request: Request, pk: int) -> Response:
        loser_id = self.body(TagMergeShape)["loser_id"]
        merge_tags(winner_id=self.row().pk, loser_id=loser_id, actor=self.actor, source=self.source)
        return Response(_tag(pk))
