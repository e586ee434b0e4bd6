"""Calls on the identifiers of a profile → attached, detached, confirmed, also where only the value is known."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.looks import saw
from profiles import masking
from profiles.api import parameters, schema
from profiles.api.base import PersonalDataView
from profiles.api.request_bodies import AttachBody, ConfirmBody
from profiles.editing import attach_identifier, detach_identifier
from profiles.models import Identifier
from profiles.tracking.pending.double_opt_in import ConfirmedIdentifier, confirm_identifier, confirm_waiting


class IdentifierDetail(PersonalDataView):
    """One identifier of one person."""

    permissions = {"PUT": "profiles.add_identifier", "DELETE": "profiles.delete_identifier"}

    @extend_schema(
        operation_id="attachIdentifier",
        tags=["Profiles"],
        summary="Add an identifier",
        parameters=[parameters.REF, *parameters.IDENTIFIER_PATH],
        request=AttachBody,
        responses={200: schema.Identifier, 201: schema.Identifier},
    )
    def put(self, request: Request, ref: str, type: str, value: str) -> Response:  # noqa: A002
        """201 when it is new to the person, 200 when they had it; a 409 names whom else it identifies."""
        body = self.body(AttachBody)
        target = self.find()
        done = attach_identifier(
            profile_id=target.root.pk,
            via_id=target.via_id,
            type_name=type,
            raw=value,
            is_verified=body["verified"],
            **self.verb(),
        )
        row = Identifier.objects.select_related("type", "source").get(pk=done.identifier.pk)
        return Response(self.presenter.identifier(row), status=201 if done.is_new else 200)

    @extend_schema(
        operation_id="detachIdentifier",
        tags=["Profiles"],
        summary="Remove an identifier",
        parameters=[parameters.REF, *parameters.IDENTIFIER_PATH],
        responses={204: None},
    )
    def delete(self, request: Request, ref: str, type: str, value: str) -> Response:  # noqa: A002
        detach_identifier(profile_id=self.find().root.pk, type_name=type, raw=value, **self.verb())
        return Response(status=204)


class IdentifierConfirm(PersonalDataView):
    """An identifier that waits for its owner to confirm it."""

    permissions = {"POST": ("profiles.add_identifier", "profiles.merge_profile")}

    @extend_schema(
        operation_id="confirmIdentifier",
        tags=["Profiles"],
        summary="Confirm an identifier",
        parameters=[parameters.REF, *parameters.IDENTIFIER_PATH],
        request=None,
        responses={200: schema.ConfirmAnswer},
    )
    def post(self, request: Request, ref: str, type: str, value: str) -> Response:  # noqa: A002
        """The last step of a double opt-in: the value is verified, and identifies the person. `outcome` is
        `applied`, `merged` (it identified an anonymous profile, or this person was one), `conflict` (it identifies
        somebody who stays apart) or `unchanged`. Needs the scopes profiles:write and merge.
        """
        done = confirm_identifier(profile_id=self.find().root.pk, type_name=type, raw=value, **self.verb())
        return confirmed(self, done)


class ConfirmWaiting(PersonalDataView):
    """Like above, for who knows the value and not the person."""

    permissions = {"POST": ("profiles.add_identifier", "profiles.merge_profile")}

    @extend_schema(
        operation_id="confirmWaitingIdentifier",
        tags=["Profiles"],
        summary="Confirm an identifier wherever it waits",
        request=ConfirmBody,
        responses={200: schema.ConfirmAnswer},
    )
    def post(self, request: Request) -> Response:
        """All who wait for it become one person, as far as they are not known as different ones. 404 when nobody waits
        for it; a 409 where more than 50 do.
        """
        body = self.body(ConfirmBody)
        done = confirm_waiting(type_name=body["type"], raw=body["value"], **self.verb())
        return confirmed(self, done)


def confirmed(view: PersonalDataView, done: ConfirmedIdentifier) -> Response:
    row = Identifier.objects.select_related("type", "source").get(pk=done.identifier.pk)
    saw([done.profile.pk])
    identifier = view.presenter.identifier(row)
    message = masking.mask_text(done.message.replace(row.value, identifier["value"]))
    return Response(
        {
            "outcome": done.outcome,
            "message": done.message if view.presenter.can_view_pii else message,
            "merged": done.merged,
            "profile_id": done.profile.pk,
            "identifier": identifier,
        }
    )
