"""Joins the circuit breaker held, and deciding about them, from outside."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.problems import BadParameter
from cdp.api.request_bodies import Shape, TextField
from cdp.errors import Invalid
from cdp.times import iso
from profiles import masking
from profiles.api.base import PeopleApi
from profiles.models import HeldMerge
from profiles.tracking.rejected.decide_held import MERGE, STATES, decide_held_merge
from profiles.tracking.rejected.held_merges import ALL, DECIDED, OPEN, explain_held_merge, list_held_merges
from profiles.tracking.rejected.reopen_held import reopen_held_merge

_FILTERS = [
    OpenApiParameter(
        "state", str, enum=[DECIDED, ALL, *HeldMerge.State.values], default=OPEN, description="Which joins."
    ),
    OpenApiParameter("source", str, description="Name or id of a source."),
]


class HeldRow(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    state = serializers.CharField(help_text=", ".join(HeldMerge.State.values))
    reason = serializers.CharField(help_text="value or rate")
    explanation = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    type = serializers.CharField()
    value = serializers.CharField()
    profile_id = serializers.IntegerField(help_text="Where the call went; the surviving profile.")
    other_id = serializers.IntegerField(help_text="Whom the value led to; the surviving profile.")
    people = serializers.IntegerField(help_text="How many people the value led to by then.")
    count = serializers.IntegerField(help_text="How often it was asked for.")
    created_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)


class DecidedAnswer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    state = serializers.CharField()
    decided = serializers.ListField(
        child=serializers.IntegerField(), help_text="Every join that was decided along with it."
    )
    message = serializers.CharField()
    profile_id = serializers.IntegerField(
        allow_null=True, help_text="The surviving profile of a merge, or the device's own."
    )


class ReopenedAnswer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    state = serializers.CharField(help_text="open; or dismissed, when it waits already as a newer join.")
    was = serializers.CharField(help_text="What had been decided.")
    reopened = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="Every join that waits again, those decided along with it too.",
    )
    message = serializers.CharField()
    profile_id = serializers.IntegerField(
        allow_null=True, help_text="Whom the value leads to now, if it was changed."
    )


class DecideShape(Shape):
    """What to do with the join."""

    decision = TextField(help_text=", ".join(STATES))


class HeldList(PeopleApi):
    permissions = {"GET": "profiles.view_heldmerge"}

    @extend_schema(
        operation_id="listHeldJoins",
        tags=["Tracking"],
        summary="Joins that wait for a decision",
        parameters=[*_FILTERS, *api_schema.PAGE],
        responses={200: api_schema.page_of(HeldRow), **api_schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        """Joins of two profiles that traffic asked for and the circuit breaker held, newest first."""
        self.known_parameters("state", "source", "count")
        params = request.query_params
        try:
            found = list_held_merges(state=params.get("state", OPEN), source=params.get("source", ""))
        except Invalid as error:
            problem = error.problems[0]
            raise BadParameter(problem["field"], problem["message"], problem["value"]) from error
        return self.page(found, lambda rows: [self._row(row) for row in rows])

    def _row(self, held: Any) -> dict[str, Any]:
        value = held.value if self.shown.is_open else masking.mask_identifier(held.type.name, held.value)
        return {
            "id": held.pk,
            "state": held.state,
            "reason": held.reason,
            "explanation": explain_held_merge(held, value),
            "source": held.source.name,
            "type": held.type.name,
            "value": value,
            "profile_id": held.root_id,
            "other_id": held.other_root_id,
            "people": held.people,
            "count": held.count,
            "created_at": iso(held.created_at),
            "last_at": iso(held.last_at),
            "decided_at": iso(held.decided_at),
        }


class HeldDecide(PeopleApi):
    permissions = {"POST": ("profiles.view_heldmerge", "profiles.change_heldmerge")}

    @extend_schema(
        operation_id="decideHeldJoin",
        tags=["Tracking"],
        summary="Decide about a held join",
        parameters=api_schema.WRITE,
        request=DecideShape,
        responses={200: DecidedAnswer, **api_schema.WRITE_ERRORS},
    )
    def post(self, request: Request, pk: int) -> Response:
        """`block`: the value identifies nobody from now on. `shared`: it joins nobody again; what comes by it alone
        goes to an anonymous profile. `merge`: the two become one; needs the scope merge, too. `dismiss`: nothing.
        One that was decided is a 409.
        """
        body = self.body(DecideShape)
        if body["decision"] == MERGE:
            self.require("profiles.merge_profile")
        done = decide_held_merge(held_merge_id=pk, decision=body["decision"], actor=self.actor)
        # Only a merge's sentence names no value.
        is_plain = self.shown.is_open or body["decision"] == MERGE
        said = done.message if is_plain else f"{HeldMerge.State(done.state).label}."
        return Response(
            {
                "id": done.held_merge_id,
                "state": done.state,
                "decided": done.decided,
                "message": said,
                "profile_id": done.profile_id,
            }
        )


class HeldReopen(PeopleApi):
    permissions = {"POST": ("profiles.view_heldmerge", "profiles.change_heldmerge")}

    @extend_schema(
        operation_id="reopenHeldJoin",
        tags=["Tracking"],
        summary="Take back a decision about a held join",
        parameters=api_schema.WRITE,
        request=None,
        responses={200: ReopenedAnswer, **api_schema.WRITE_ERRORS},
    )
    def post(self, request: Request, pk: int) -> Response:
        """The join waits again: a blocked value is free, a shared one leads to whom it led to. One that is open is a
        409. One that was merged is a 422 with `merge_id` and the address to `unmerge` it; after that it can be reopened.
        """
        done = reopen_held_merge(held_merge_id=pk, actor=self.actor)
        is_plain = self.shown.is_open or done.was in (HeldMerge.State.MERGED, HeldMerge.State.DISMISSED)
        return Response(
            {
                "id": done.held_merge_id,
                "state": OPEN if pk in done.reopened else HeldMerge.State.DISMISSED,
                "was": done.was,
                "reopened": done.reopened,
                "message": done.message if is_plain else "The join waits again.",
                "profile_id": done.profile_id,
            }
        )
