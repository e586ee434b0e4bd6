"""Calls on segments → segments with their rule, members and freshness; made, changed, archived and brought back by the verbs."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db.models import Count, Min, Q
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.parameters import choice, expected_version
from cdp.api.request_bodies import StrictSerializer, TextField
from cdp.api.viewsets import ApiModelViewSet
from cdp.times import iso
from segments.api.base import pointing_at_rules
from segments.conditions.member import segments_in
from segments.editing import archive_segment, bring_back, change_segment, create_segment
from segments.models import Membership, QueueEntry, Segment, SegmentVersion

_RULES = "A group `all`, `any` or `none` of conditions; `GET /api/v1/docs/` shows an example."
_WANTED = (Segment.State.LIVE, Segment.State.ARCHIVED)


class UsedBy(serializers.Serializer[Any]):
    kind = serializers.CharField(help_text="segment")
    id = serializers.IntegerField()
    name = serializers.CharField()


class SegmentSerializer(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    name = TextField(help_text="No two segments in use have the same, whatever its case.")
    description = TextField(required=False, allow_blank=True)
    kind = serializers.ChoiceField(
        Segment.Kind.choices, required=False, help_text="`rule` when left out. It cannot be changed."
    )
    state = serializers.ChoiceField(
        Segment.State.choices, read_only=True, help_text="A broken one keeps the members it had."
    )
    problem = serializers.CharField(read_only=True, help_text="Why it is broken, as a sentence.")
    rules = serializers.JSONField(required=False, help_text=_RULES)
    text = serializers.CharField(read_only=True, help_text="The rule in words; empty for a segment by hand.")
    version = serializers.IntegerField(
        read_only=True, help_text="Of the rule. Also the ETag; send it back with a change."
    )
    members = serializers.IntegerField(read_only=True)
    filled_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="As of when everybody was last compared with the rule."
    )
    behind_seconds = serializers.IntegerField(
        read_only=True,
        help_text="The age of the oldest change of anybody that waits to be compared with rules; 0 when none waits.",
    )
    owner = serializers.CharField(
        read_only=True, allow_null=True, help_text="Who is told when it breaks; null when an API key made it."
    )
    used_by = UsedBy(many=True, read_only=True, help_text="What is made from it.")
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)


class ChangeSegmentBody(StrictSerializer):
    name = TextField(required=False)
    description = TextField(required=False, allow_blank=True)
    rules = serializers.JSONField(required=False, help_text=_RULES)
    version = serializers.IntegerField(
        required=False, help_text="The version you looked at; a 409 where somebody saved another rule since."
    )
    state = serializers.ChoiceField(
        [(state.value, state.label) for state in _WANTED],
        required=False,
        help_text="`archived`, or `live` to bring back an archived one, or a broken one whose rule can be read again.",
    )


class SegmentVersionSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    rules = serializers.DictField()
    text = serializers.CharField(help_text="The rule in words, as it was then.")
    author = serializers.CharField()
    created_at = serializers.DateTimeField()
    entered = serializers.IntegerField(
        allow_null=True, help_text="How many came in by it; null until it was carried out."
    )
    left = serializers.IntegerField(allow_null=True)


def as_api(segments: list[Segment]) -> list[dict[str, Any]]:
    """A page of segments, with their owners joined in. Four queries for any number of them."""
    members = dict(
        Membership.objects.current()
        .filter(segment__in=segments)
        .order_by()
        .values("segment_id")
        .annotate(people=Count("pk"))
        .values_list("segment_id", "people")
    )
    versions = SegmentVersion.objects.filter(segment__in=segments).values_list("segment", "version", "text")
    texts = {(pk, version): text for pk, version, text in versions}
    dependants, behind = _dependants(), _behind_seconds()
    return [
        {
            "id": segment.pk,
            "name": segment.name,
            "description": segment.description,
            "kind": segment.kind,
            "state": segment.state,
            "problem": segment.problem,
            "rules": segment.rules,
            "text": texts.get((segment.pk, segment.version), ""),
            "version": segment.version,
            "members": members.get(segment.pk, 0),
            "filled_at": iso(segment.filled_at),
            "behind_seconds": behind,
            "owner": segment.owner.get_username() if segment.owner else None,
            "used_by": dependants[segment.pk],
            "created_at": iso(segment.created_at),
            "updated_at": iso(segment.updated_at),
        }
        for segment in segments
    ]


def _dependants() -> dict[int, list[dict[str, Any]]]:
    """Segment → the segments in use whose rule names it. One query."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    rows = Segment.objects.in_use().filter(kind=Segment.Kind.RULE).order_by("name", "pk")
    for pk, name, rules in rows.values_list("pk", "name", "rules"):
        for used in segments_in(rules) - {pk}:
            found[used].append({"kind": "segment", "id": pk, "name": name})
    return found


def _behind_seconds() -> int:
    oldest = QueueEntry.objects.aggregate(at=Min("queued_at"))["at"]
    return max(0, int((timezone.now() - oldest).total_seconds())) if oldest else 0


def _version(row: SegmentVersion) -> dict[str, Any]:
    names = ("version", "rules", "text", "author", "entered", "left")
    return {**{name: getattr(row, name) for name in names}, "created_at": iso(row.created_at)}


_EXAMPLE = OpenApiExample(
    "Left a cart, bought nothing",
    value={
        "name": "Left a cart, bought nothing",
        "rules": {
            "version": 1,
            "all": [
                {"event": "Added to Cart", "within": {"days": 1}},
                {
                    "not": {
                        "event": "Order Completed",
                        "since": {"event": "Added to Cart"},
                    }
                },
                {"any": [{"attribute": "country", "op": "in", "value": ["PL", "DE"]}, {"tag": "vip"}]},
            ],
        },
    },
    request_only=True,
)


@extend_schema(tags=["Segments"])
@extend_schema_view(
    list=extend_schema(
        operation_id="listSegments",
        summary="Segments, newest first",
        description="Those in use; archived ones by `state=archived`.",
        parameters=[
            OpenApiParameter("state", str, enum=Segment.State.values),
            OpenApiParameter("kind", str, enum=Segment.Kind.values),
            OpenApiParameter("q", str, description="A part of the name or description."),
        ],
    ),
    create=extend_schema(
        operation_id="createSegment",
        summary="Make a segment",
        description="By rule: it is filled in the background, and `state` is `live` then. With `kind=static` by hand: put"
        " people in with `POST …/members/`. What is wrong with the rule comes with a pointer to its place.",
        examples=[_EXAMPLE],
    ),
    retrieve=extend_schema(operation_id="getSegment", summary="A segment"),
    destroy=extend_schema(
        operation_id="archiveSegment",
        summary="Archive a segment",
        description="Out of lists and not kept up to date any more; its history stays, and `POST …/restore/` brings it back."
        " Segments made from it are broken, with a sentence.",
    ),
)
class SegmentViewSet(ApiModelViewSet):
    queryset = Segment.objects.select_related("owner")
    serializer_class = SegmentSerializer
    ordering = ("-id",)
    permissions = {
        "GET": "segments.view_segment",
        "POST": "segments.add_segment",
        "PATCH": "segments.change_segment",
        "DELETE": "segments.delete_segment",
    }

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.known_parameters("state", "kind", "q", "count")
        state = choice(request, "state", Segment.State.values)
        kind = choice(request, "kind", Segment.Kind.values)
        segments = Segment.objects.filter(state=state) if state else Segment.objects.in_use()
        if kind:
            segments = segments.filter(kind=kind)
        if words := request.query_params.get("q", "").strip():
            segments = segments.filter(Q(name__icontains=words) | Q(description__icontains=words))
        return self.page(segments.select_related("owner"), as_api)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        body = self.body(SegmentSerializer)
        with pointing_at_rules():
            made = create_segment(**body, actor=self.actor)
        answer = self._answer(made.pk, status=201)
        answer["Location"] = f"/api/v1/segments/{made.pk}/"
        return answer

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self._answer(self.get_object().pk)

    @extend_schema(
        operation_id="updateSegment",
        summary="Change a segment, archive it or bring it back",
        description="What is left out stays. Another rule is a new version, in force at once and filled in the background.",
        parameters=[
            OpenApiParameter(
                "If-Match",
                str,
                OpenApiParameter.HEADER,
                description='The version you looked at, in quotes: `"7"`.',
            )
        ],
        request=ChangeSegmentBody,
        responses={200: SegmentSerializer},
    )
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        pk = self.get_object().pk
        body = self.body(ChangeSegmentBody)
        state = body.pop("state", None)
        body["version"] = expected_version(request, body.get("version"))
        with pointing_at_rules():
            if state == Segment.State.LIVE:
                bring_back(segment_id=pk, actor=self.actor)
            change_segment(segment_id=pk, **body, actor=self.actor)
            if state == Segment.State.ARCHIVED:
                self.require("segments.delete_segment")
                archive_segment(segment_id=pk, actor=self.actor)
        return self._answer(pk)

    def perform_destroy(self, instance: Segment) -> None:
        archive_segment(segment_id=instance.pk, actor=self.actor)

    @extend_schema(
        operation_id="restoreSegment",
        summary="Bring back an archived segment, or a broken one",
        request=None,
        responses={200: SegmentSerializer},
    )
    @action(detail=True, methods=["post"], permissions={"POST": "segments.change_segment"})
    def restore(self, request: Request, pk: int) -> Response:
        """It is filled anew. A rule that names what is gone is a 400, a name that was taken meanwhile a 409."""
        with pointing_at_rules():
            bring_back(segment_id=self.get_object().pk, actor=self.actor)
        return self._answer(pk)

    @extend_schema(
        operation_id="listSegmentVersions",
        summary="The rules a segment had, the present one first",
        parameters=api_schema.PAGE,
        responses={200: api_schema.page_of(SegmentVersionSerializer)},
    )
    @action(detail=True)
    def versions(self, request: Request, pk: int) -> Response:
        self.known_parameters("count")
        self.ordering = ("-version",)
        versions = SegmentVersion.objects.filter(segment=self.get_object()).select_related("user", "key")
        return self.page(versions, lambda page: [_version(row) for row in page])

    def _answer(self, pk: int, *, status: int = 200) -> Response:
        segment = self.get_queryset().get(pk=pk)
        (data,) = as_api([segment])
        return Response(data, status=status, headers={"ETag": f'"{segment.version}"'})
