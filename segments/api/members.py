"""A segment → the people in it, now or at a past moment; put in and taken out by hand; who came in and went out, and why."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.pagination import link, page_size, read_cursor, write_cursor
from cdp.api.parameters import choice, read_moment
from cdp.api.problems import BadParameter
from cdp.api.request_bodies import IdField, StrictSerializer, TextField
from cdp.errors import RuleForbids
from cdp.looks import saw
from cdp.times import iso
from profiles.api import schema
from profiles.api.base import PersonalDataView
from profiles.models import Profile
from segments.api.base import find_segment
from segments.editing import MOST_PICKS, pick_profiles
from segments.membership.changes import KINDS, MembershipChange, Place, changes_of
from segments.models import Cause, Membership

IN, OUT = "in", "out"
_CURSOR = ("changes", "side", "stay")


class UnpickBody(StrictSerializer):
    profile_ids = serializers.ListField(
        child=IdField(),
        allow_empty=False,
        help_text=f"At most {MOST_PICKS:,}; ids merged away count as their surviving profiles.",
    )


class PickBody(UnpickBody):
    reason = TextField(required=False, allow_blank=True, max_length=300)
    always = serializers.ChoiceField(
        [(IN, "In"), (OUT, "Out")],
        required=False,
        help_text="`in` when left out. `out` keeps people out of a segment by rule, whatever the rule says.",
    )


class Picked(serializers.Serializer[Any]):
    profiles = serializers.IntegerField(help_text="How many people it concerns.")
    skipped = serializers.ListField(
        child=serializers.IntegerField(), help_text="Ids of nobody who is in use: unknown or deleted."
    )


class ChangeCause(serializers.Serializer[Any]):
    kind = serializers.CharField(help_text=", ".join(Cause.values))
    id = serializers.IntegerField(
        allow_null=True, help_text="The event, import, merge, version or segment, by its kind."
    )
    text = serializers.CharField()


class MembershipChangeSerializer(serializers.Serializer[Any]):
    change = serializers.ChoiceField(choices=list(KINDS))
    profile_id = serializers.IntegerField(help_text="The surviving profile.")
    member_id = serializers.IntegerField(help_text="The profile it was about then.")
    at = serializers.DateTimeField(help_text="When it became true.")
    recorded_at = serializers.DateTimeField(
        help_text="When it was written; later where workers had been away."
    )
    cause = ChangeCause()


class Members(PersonalDataView):
    """The people of a segment."""

    permissions = {
        "GET": ("segments.view_membership", "profiles.view_profile"),
        "POST": "segments.change_segment",
        "DELETE": "segments.change_segment",
    }

    @extend_schema(
        operation_id="listSegmentMembers",
        tags=["Segments"],
        summary="The people in a segment",
        parameters=[
            OpenApiParameter(
                "at",
                OpenApiTypes.DATETIME,
                description="Who was in it at this moment, which is not in the future.",
            ),
            *api_schema.PAGE,
        ],
        responses={200: api_schema.page_of(schema.Profile)},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Newest first. With `at`, who was in it then: people merged since are their surviving profiles, deleted ones are left
        out. Of broken and archived segments, those they had.
        """
        self.known_parameters("at", "count")
        segment = find_segment(pk)
        stays = Membership.objects.filter(segment=segment)
        moment = self.moment("at")
        ids = (
            stays.current().values_list("profile")
            if moment is None
            else stays.at(moment).values_list("profile__canonical")
        )
        roots = Profile.objects.live().filter(pk__in=ids)
        return self.page(roots.defer("search"), self.presenter.profiles, counted=roots)

    @extend_schema(
        operation_id="addSegmentMembers",
        tags=["Segments"],
        summary="Put people into a segment by hand, or keep them out",
        request=PickBody,
        responses={200: Picked},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Into a segment by hand; of one by rule always in, or with `always` `out` always out, whatever the rule says. Takes
        effect within seconds.
        """
        body = self.body(PickBody)
        is_in = body.get("always", IN) == IN
        segment = find_segment(pk)
        if segment.is_static and not is_in:
            raise RuleForbids(
                f"“{segment.name}” has no rule that could let them in. Take them out with DELETE instead."
            )
        return self._pick(pk, body, is_in=is_in)

    @extend_schema(
        operation_id="removeSegmentMembers",
        tags=["Segments"],
        summary="Take people out of a segment by hand, or leave them to its rule again",
        request=UnpickBody,
        responses={200: Picked},
    )
    def delete(self, request: Request, pk: int) -> Response:
        """Takes effect within seconds."""
        body = self.body(UnpickBody)
        find_segment(pk)
        return self._pick(pk, body, is_in=None)

    def _pick(self, pk: int, body: dict[str, Any], *, is_in: bool | None) -> Response:
        ids = body["profile_ids"]
        count = pick_profiles(
            segment_id=pk, profile_ids=ids, is_in=is_in, reason=body.get("reason", ""), actor=self.actor
        )
        live = Profile.objects.filter(pk__in=ids, canonical__status=Profile.Status.LIVE)
        known = set(live.values_list("pk", flat=True))
        skipped = [number for number in dict.fromkeys(ids) if number not in known]
        return Response({"profiles": count, "skipped": skipped})


class Changes(PersonalDataView):
    """Who came in and went out."""

    permissions = {"GET": "segments.view_membership"}

    @extend_schema(
        operation_id="listSegmentChanges",
        tags=["Segments"],
        summary="Who came into a segment and who left it, and why",
        parameters=[
            OpenApiParameter("since", OpenApiTypes.DATETIME, description="At or after this time."),
            OpenApiParameter("kind", str, enum=list(KINDS)),
            *api_schema.PAGE[:2],
        ],
        responses={200: api_schema.page_of(MembershipChangeSerializer)},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Newest first; `previous` is always null. What workers noticed late is at the time it became true, with `recorded_at`
        later: ask again from somewhat before the last `at` you have.
        """
        self.known_parameters("since", "kind")
        segment = find_segment(pk)
        size = page_size(request)
        changes = changes_of(
            segment.pk,
            kind=choice(request, "kind", KINDS),
            since=self.moment("since"),
            older_than=self._place(),
            limit=size + 1,
        )
        page = changes[:size]
        saw(change.profile_id for change in page)
        older = write_cursor(_CURSOR, page[-1].place, is_back=False) if len(changes) > size else None
        return Response(
            {
                "next": link(request, older) if older else None,
                "previous": None,
                "results": [_change(change) for change in page],
            }
        )

    def _place(self) -> Place | None:
        cursor = self.request.query_params.get("cursor")
        if not cursor:
            return None
        (at, side, stay), _ = read_cursor(cursor, _CURSOR)
        moment = read_moment(at)
        if moment is None:
            raise BadParameter("cursor", "This cursor is not one of ours.")
        return moment, side, stay


def _change(change: MembershipChange) -> dict[str, Any]:
    return {
        "change": change.kind,
        "profile_id": change.profile_id,
        "member_id": change.member_id,
        "at": iso(change.at),
        "recorded_at": iso(change.recorded_at),
        "cause": {"kind": change.cause, "id": change.cause_id, "text": change.cause_text},
    }
