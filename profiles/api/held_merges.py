"""Calls on merges that wait for a decision → what was asked for, and what was decided."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.problems import BadParameter
from cdp.api.request_bodies import StrictSerializer, TextField
from cdp.errors import Invalid
from cdp.looks import saw
from cdp.times import iso
from profiles import masking
from profiles.api.base import PersonalDataView
from profiles.models import HeldMerge
from profiles.tracking.pending.decide_held import MERGE, STATES, decide_held_merge
from profiles.tracking.pending.held_merges import ALL, DECIDED, OPEN, explain_held_merge, list_held_merges
from profiles.tracking.pending.reopen_held import reopen_held_merge

_FILTERS = [
    OpenApiParameter(
        "state",
        str,
        enum=[DECIDED, ALL, *HeldMerge.State.values],
        default=OPEN,
        description="Which waiting merges.",
    ),
    OpenApiParameter("source", str, description="Name or id of a source."),
]


class HeldMergeRow(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    state = serializers.CharField(help_text=", ".join(HeldMerge.State.values))
    reason = serializers.CharField(help_text="value or rate")
    explanation = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    type = serializers.CharField()
    value = serializers.CharField()
    profile_id = serializers.IntegerField(help_text="The profile the call was about; the surviving one.")
    other_id = serializers.IntegerField(help_text="The profile that the value identified; the surviving one.")
    people = serializers.IntegerField(help_text="How many people had the value by then.")
    count = serializers.IntegerField(help_text="How often a call would have merged them.")
    created_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)


class DecidedAnswer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    state = serializers.CharField()
    decided = serializers.ListField(
        child=serializers.IntegerField(), help_text="Every waiting merge that was decided with it."
    )
    message = serializers.CharField()
    profile_id = serializers.IntegerField(
        allow_null=True, help_text="The surviving profile of a merge, or the device's own."
    )


class ReopenedAnswer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    state = serializers.CharField(help_text="open; or dismissed, when it already waits as a newer one.")
    was = serializers.CharField(help_text="What had been decided.")
    reopened = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="Every merge that waits again, also those decided with it.",
    )
    message = serializers.CharField()
    profile_id = serializers.IntegerField(
        allow_null=True, help_text="The profile that the value identifies now, if that was changed."
    )


class MergedAnywayProblem(api_schema.Problem):
    merge_id = serializers.IntegerField(required=False, help_text="The merge to undo first.")
    unmerge = serializers.CharField(required=False, help_text="The address that undoes it.")


class DecideBody(StrictSerializer):
    """What to do with the held_merge."""

    decision = TextField(help_text=", ".join(STATES))


class HeldMergeList(PersonalDataView):
    permissions = {"GET": "profiles.view_heldmerge"}

    @extend_schema(
        operation_id="listHeldJoins",
        tags=["Tracking"],
        summary="Merges that wait for a decision",
        parameters=[*_FILTERS, *api_schema.PAGE],
        responses={200: api_schema.page_of(HeldMergeRow)},
    )
    def get(self, request: Request) -> Response:
        """Merges of two profiles that traffic asked for and the circuit breaker stopped, newest first."""
        self.known_parameters("state", "source", "count")
        params = request.query_params
        try:
            held_merges = list_held_merges(state=params.get("state", OPEN), source=params.get("source", ""))
        except Invalid as error:
            problem = error.problems[0]
            raise BadParameter(problem["field"], problem["message"], problem["value"]) from error
        return self.page(held_merges, lambda rows: [self._row(row) for row in rows])

    def _row(self, held_merge: Any) -> dict[str, Any]:
        saw([held_merge.root_id, held_merge.other_root_id])
        value = (
            held_merge.value
            if self.presenter.can_view_pii
            else masking.mask_identifier(held_merge.type.name, held_merge.value)
        )
        return {
            "id": held_merge.pk,
            "state": held_merge.state,
            "reason": held_merge.reason,
            "explanation": explain_held_merge(held_merge, value),
            "source": held_merge.source.name,
            "type": held_merge.type.name,
            "value": value,
            "profile_id": held_merge.root_id,
            "other_id": held_merge.other_root_id,
            "people": held_merge.people,
            "count": held_merge.count,
            "created_at": iso(held_merge.created_at),
            "last_at": iso(held_merge.last_at),
            "decided_at": iso(held_merge.decided_at),
        }


class HeldMergeDecide(PersonalDataView):
    permissions = {"POST": ("profiles.view_heldmerge", "profiles.change_heldmerge")}

    @extend_schema(
        operation_id="decideHeldJoin",
        tags=["Tracking"],
        summary="Decide about a pending merge",
        request=DecideBody,
        responses={200: DecidedAnswer},
    )
    def post(self, request: Request, pk: int) -> Response:
        """`block`: the value identifies nobody from now on. `shared`: it joins nobody again; what comes by it alone
        goes to an anonymous profile. `merge`: the two become one; needs the scope merge, too. `dismiss`: nothing.
        One that was decided is a 409.
        """
        body = self.body(DecideBody)
        if body["decision"] == MERGE:
            self.require("profiles.merge_profile")
        done = decide_held_merge(held_merge_id=pk, decision=body["decision"], actor=self.actor)
        # Only a merge's sentence names no value.
        is_plain = self.presenter.can_view_pii or body["decision"] == MERGE
        message = done.message if is_plain else f"{HeldMerge.State(done.state).label}."
        return Response(
            {
                "id": done.held_merge_id,
                "state": done.state,
                "decided": done.decided,
                "message": message,
                "profile_id": done.profile_id,
            }
        )


class HeldMergeReopen(PersonalDataView):
    permissions = {"POST": ("profiles.view_heldmerge", "profiles.change_heldmerge")}

    @extend_schema(
        operation_id="reopenHeldJoin",
        tags=["Tracking"],
        summary="Take back a decision about a pending merge",
        request=None,
        responses={
            200: ReopenedAnswer,
            **api_schema.errors(422, problem=MergedAnywayProblem),
        },
    )
    def post(self, request: Request, pk: int) -> Response:
        """The merge waits again: a blocked value is free, a shared one identifies whom it did. One that is open is a
        409. One that was merged is a 422 with `merge_id` and the address to `unmerge` it; after that it can be reopened.
        """
        done = reopen_held_merge(held_merge_id=pk, actor=self.actor)
        is_plain = self.presenter.can_view_pii or done.was in (
            HeldMerge.State.MERGED,
            HeldMerge.State.DISMISSED,
        )
        return Response(
            {
                "id": done.held_merge_id,
                "state": OPEN if pk in done.reopened else HeldMerge.State.DISMISSED,
                "was": done.was,
                "reopened": done.reopened,
                "message": done.message if is_plain else "The merge waits again.",
                "profile_id": done.profile_id,
            }
        )
