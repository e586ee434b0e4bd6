"""Filters → stored events of all profiles."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.parameters import choice
from cdp.api.problems import BadParameter
from cdp.errors import Invalid
from profiles.api import schema
from profiles.api.base import PersonalDataView
from profiles.identity.lookup import find_visible
from profiles.models import Event, EventName, Profile, Source
from profiles.tracking.parse.message_ids import message_uuid
from profiles.tracking.rejected.receipts import source_named

_FILTERS = [
    OpenApiParameter("source", str, description="Name or id of a source."),
    OpenApiParameter("kind", str, enum=Event.Kind.values),
    OpenApiParameter("name", str, description="The event's name, exactly."),
    OpenApiParameter("profile", str, description="Of one person: an id they have or had, or `type:value`."),
    OpenApiParameter("message_id", str, description="As it was sent."),
    OpenApiParameter("received_at_after", str, description="A time; received then or later."),
    OpenApiParameter("received_at_before", str, description="A time; received before."),
]


class EventList(PersonalDataView):
    """Events and other calls of all people, the last stored first."""

    permissions = {"GET": "profiles.view_event"}

    @extend_schema(
        operation_id="listAllEvents",
        tags=["Tracking"],
        summary="Events",
        parameters=[*_FILTERS, *api_schema.PAGE],
        responses={200: api_schema.page_of(schema.StoredEvent)},
    )
    def get(self, request: Request) -> Response:
        """What was stored, identify and other calls too (`kind`). `profile_id` is the surviving profile;
        `message_id`, `user_id` and `anonymous_id` are as they were sent.
        """
        self.known_parameters(*(parameter.name for parameter in _FILTERS), "count")
        events = self._filtered(request).by_canonical().select_related("name", "source")
        return self.page(events, lambda rows: [self.presenter.stored_event(row) for row in rows])

    def _filtered(self, request: Request) -> Any:
        params = request.query_params
        events = Event.objects.all()
        if ref := params.get("profile"):
            root = find_visible(ref, actor=self.actor).root
            # As a list: the planner then knows how many events these people have.
            members = list(Profile.objects.members_of(root.pk).values_list("pk", flat=True))
            events = events.filter(profile_id__in=members)
        if source := params.get("source"):
            events = events.filter(source=self._source(source))
        if kind := choice(request, "kind", Event.Kind.values):
            events = events.filter(kind=kind)
        if name := params.get("name"):
            # Looked up here: the planner then knows how frequent the name is.
            row = EventName.objects.filter(name=name).first()
            events = events.filter(name=row) if row else events.none()
        if message_id := params.get("message_id"):
            events = self._of_message(events, message_id, by_source=bool(params.get("source")))
        if (after := self.moment("received_at_after")) is not None:
            events = events.filter(received_at__gte=after)
        if (before := self.moment("received_at_before")) is not None:
            events = events.filter(received_at__lt=before)
        return events

    def _of_message(self, events: Any, message_id: str, *, by_source: bool) -> Any:
        """By the unique index, which begins with the source: all of them are named when none is."""
        events = events.filter(message_id=message_uuid(message_id))
        if by_source:
            return events
        return events.filter(source_id__in=list(Source.objects.values_list("pk", flat=True)))

    def _source(self, name: str) -> Any:
        try:
            return source_named(name)
        except Invalid as error:
            raise BadParameter("source", error.message, name) from error
