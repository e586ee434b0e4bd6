"""`/api/v1/looks/` → who was shown whom; `/api/v1/looks/people/` → whose data a login, key or file showed."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema
from cdp.api.problems import BadParameter
from cdp.api.views import ApiView, rows
from cdp.looks import kinds, label_of
from cdp.models import Look
from cdp.times import iso
from profiles.reading.looks import looks_at, people_of

MOST_PEOPLE = 1000

_FILTERS = [
    OpenApiParameter("profile", int, description="A person, by any id they had."),
    OpenApiParameter("user", int, description="A login's id."),
    OpenApiParameter("key", int, description="An API key's id."),
    OpenApiParameter("kind", str, description="card, list, search, export, gdpr_export …"),
    OpenApiParameter("subject", str, description="job:9 (an export), import:7, receipt:3, mail:4."),
    OpenApiParameter("since", OpenApiTypes.DATETIME, description="At or after this time."),
    OpenApiParameter("until", OpenApiTypes.DATETIME, description="Before this time."),
]


class LookSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    user_id = serializers.IntegerField(allow_null=True)
    key_id = serializers.IntegerField(allow_null=True)
    kind = serializers.CharField(help_text="What was looked at: card, list, search, edit, export …")
    looked_at = serializers.CharField(help_text="The same in words.")
    profile_ids = serializers.ListField(child=serializers.IntegerField(), help_text="Whom it showed.")
    subject = serializers.CharField(help_text="What else it showed or came from, for example import:7.")
    is_masked = serializers.BooleanField(help_text="Whether personal data was masked.")
    address = serializers.CharField(allow_null=True)
    request_id = serializers.CharField()


class SeenPersonSerializer(serializers.Serializer[Any]):
    profile_id = serializers.IntegerField()
    looks = serializers.IntegerField(help_text="How often they were shown.")
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()


class SeenPeopleSerializer(serializers.Serializer[Any]):
    results = SeenPersonSerializer(many=True)
    next_after = serializers.IntegerField(
        allow_null=True, help_text="Send it as `after` for the people behind."
    )


def as_api(look: Look) -> dict[str, Any]:
    return {
        "id": look.pk,
        "at": iso(look.at),
        "actor": look.actor,
        "user_id": look.user_id,
        "key_id": look.key_id,
        "kind": look.kind,
        "looked_at": label_of(look.kind),
        "profile_ids": look.profile_ids,
        "subject": look.subject,
        "is_masked": look.is_masked,
        "address": look.address,
        "request_id": look.request_id,
    }


class _Looks(ApiView):
    permissions = {"GET": "cdp.view_look"}

    def chosen(self, *further: str) -> Any:
        """The looks that the address asks for. Raises BadParameter."""
        params = self.request.query_params
        self.known_parameters(*(parameter.name for parameter in _FILTERS), *further)
        kind = params.get("kind", "")
        if kind and kind not in kinds:
            listed = ", ".join(sorted(name for name, _ in kinds.items()))
            raise BadParameter("kind", f"kind is one of {listed}.", kind)
        profile = self.number("profile")
        looks = Look.objects.all() if profile is None else looks_at(profile)
        wanted = {
            "user_id": self.number("user"),
            "key_id": self.number("key"),
            "kind": kind,
            "subject": params.get("subject"),
            "at__gte": self.moment("since"),
            "at__lt": self.moment("until"),
        }
        return looks.filter(**{name: value for name, value in wanted.items() if value not in (None, "")})


class LookList(_Looks):
    @extend_schema(
        operation_id="listLooks",
        tags=["Privacy"],
        summary="Who looked at whom",
        parameters=[*_FILTERS, *schema.PAGE],
        responses={200: schema.page_of(LookSerializer), **schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        """Newest first. One row is a page, an answer or a file with the people it showed; rows are kept for a year
        unless the installation says otherwise.
        """
        return self.page(self.chosen("count"), rows(as_api))


class SeenPeople(_Looks):
    @extend_schema(
        operation_id="listSeenPeople",
        tags=["Privacy"],
        summary="Whose data was looked at",
        parameters=[*_FILTERS, OpenApiParameter("after", int, description="Only people with a greater id.")],
        responses={200: SeenPeopleSerializer, **schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        """What a data breach asks: everybody whom a login, key or export (`subject`) showed between two times, by id,
        1,000 in one answer. What was changed is in the audit log.
        """
        people = people_of(self.chosen("after"), after=self.number("after") or 0, limit=MOST_PEOPLE + 1)
        more = people[MOST_PEOPLE - 1].profile_id if len(people) > MOST_PEOPLE else None
        results = [
            {
                "profile_id": person.profile_id,
                "looks": person.looks,
                "first_at": iso(person.first_at),
                "last_at": iso(person.last_at),
            }
            for person in people[:MOST_PEOPLE]
        ]
        return Response({"results": results, "next_after": more})
