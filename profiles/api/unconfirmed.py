"""Calls on identifiers that wait for confirmation → the list of them, and the share that is confirmed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.problems import BadParameter
from cdp.errors import Invalid
from cdp.looks import saw
from cdp.times import iso
from profiles import masking
from profiles.api.base import PersonalDataView
from profiles.tracking.pending.unconfirmed import DAYS, confirmed_share, list_unconfirmed

_FILTERS = [
    OpenApiParameter("type", str, description="For example email."),
    OpenApiParameter("source", str, description="Name or id of a source."),
]


class UnconfirmedRow(serializers.Serializer[Any]):
    type = serializers.CharField()
    value = serializers.CharField()
    profile_id = serializers.IntegerField(help_text="The surviving profile that has it.")
    source = serializers.CharField()  # type: ignore[assignment]
    first_seen_at = serializers.DateTimeField()
    confirm = serializers.CharField(
        allow_null=True, help_text="POST here once its owner has confirmed it. Null without the scope pii."
    )


class ShareRow(serializers.Serializer[Any]):
    waiting = serializers.IntegerField()
    confirmed = serializers.IntegerField()
    percent = serializers.IntegerField(allow_null=True, help_text="Null when none came.")
    days = serializers.IntegerField()


class UnconfirmedList(PersonalDataView):
    permissions = {"GET": "profiles.view_profile"}

    @extend_schema(
        operation_id="listUnconfirmed",
        tags=["Tracking"],
        summary="Addresses that wait for confirmation",
        parameters=[*_FILTERS, *api_schema.PAGE],
        responses={200: api_schema.page_of(UnconfirmedRow, share=ShareRow())},
    )
    def get(self, request: Request) -> Response:
        """Identifiers that identify nobody until their owner confirms them, newest first. `share` is of those that came in the
        last 30 days at sources that ask for confirmation.
        """
        self.known_parameters("type", "source", "count")
        params = request.query_params
        try:
            waiting = list_unconfirmed(type_name=params.get("type", ""), source=params.get("source", ""))
        except Invalid as error:
            problem = error.problems[0]
            raise BadParameter(problem["field"], problem["message"], problem["value"]) from error
        response = self.page(waiting, lambda rows: [self._row(row) for row in rows])
        share = confirmed_share()
        response.data["share"] = {
            "waiting": share.waiting,
            "confirmed": share.confirmed,
            "percent": share.percent,
            "days": DAYS,
        }
        return response

    def _row(self, row: Any) -> dict[str, Any]:
        saw([row.root_id])
        name = row.type.name
        can_view = self.presenter.can_view_pii
        value = row.value if can_view else masking.mask_identifier(name, row.value)
        address = f"/api/v1/profiles/{row.root_id}/identifiers/{name}/{quote(row.value)}/confirm/"
        return {
            "type": name,
            "value": value,
            "profile_id": row.root_id,
            "source": row.source.name,
            "first_seen_at": iso(row.first_seen_at),
            "confirm": address if can_view else None,
        }
