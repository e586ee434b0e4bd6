"""Calls on the secret that a source's server signs user ids with → when it was made and used; a new one on rotation."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api.idempotency import with_secrets
from cdp.api.request_bodies import StrictSerializer
from cdp.api.views import ApiView
from cdp.times import iso
from profiles.api.sources import find_source
from profiles.models import Source
from profiles.tracking.sources.signing_secrets import OVERLAP_DAYS, revoke_old_secret, rotate_secret
from profiles.tracking.sources.user_hash import accepts_old_secret

PREFIX_LENGTH = 6


class OldSecretRow(serializers.Serializer[Any]):
    prefix = serializers.CharField(help_text="How it begins.")
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To the hour.")
    expires_at = serializers.DateTimeField(allow_null=True, help_text="null: until it is revoked.")


class SecretRow(serializers.Serializer[Any]):
    prefix = serializers.CharField(help_text="How it begins.")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To the hour.")
    old = OldSecretRow(allow_null=True, help_text="The previous one, while it is still accepted.")
    secret = serializers.CharField(
        required=False, help_text="In the answer to a rotation only; empty where the call is repeated."
    )


class RotateSecretBody(StrictSerializer):
    overlap_days = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=OVERLAP_DAYS,
        help_text="How long the old secret is accepted, in days: 0 to 365; null: until it is revoked.",
    )


def _row(source: Source, secret: str = "") -> dict[str, Any]:
    old = None
    if accepts_old_secret(source):
        old = {
            "prefix": source.old_hash_secret[:PREFIX_LENGTH],
            "last_used_at": iso(source.old_hash_secret_used_at),
            "expires_at": iso(source.old_hash_secret_until),
        }
    data = {
        "prefix": source.hash_secret[:PREFIX_LENGTH],
        "created_at": iso(source.hash_secret_since),
        "last_used_at": iso(source.hash_secret_used_at),
        "old": old,
    }
    return {**data, "secret": secret} if secret else data


class SecretDetail(ApiView):
    permissions = {"GET": ("profiles.view_source", "profiles.change_source")}

    @extend_schema(
        operation_id="getSigningSecret",
        tags=["Definitions"],
        summary="The signing secret of a source",
        responses={200: SecretRow},
    )
    def get(self, request: Request, pk: int) -> Response:
        """When it was made and last used, and the old one while that is taken. The secret itself is not in it."""
        return Response(_row(find_source(pk)))


class SecretRotate(ApiView):
    permissions = {"POST": ("profiles.view_source", "profiles.change_source")}
    confirmed = frozenset({"POST"})

    @extend_schema(
        operation_id="rotateSigningSecret",
        tags=["Definitions"],
        summary="Rotate the signing secret of a source",
        request=RotateSecretBody,
        responses={201: SecretRow},
    )
    def post(self, request: Request, pk: int) -> Response:
        """A new secret, which is in this answer; the old one is taken for `overlap_days`. While one from before is
        taken, a 422: revoke that first.
        """
        days = self.body(RotateSecretBody)["overlap_days"]
        done = rotate_secret(source_id=pk, overlap_days=days, actor=self.actor)
        return with_secrets(Response(_row(done.source, done.secret), status=201), "secret")


class SecretRevoke(ApiView):
    permissions = {"POST": ("profiles.view_source", "profiles.change_source")}

    @extend_schema(
        operation_id="revokeOldSigningSecret",
        tags=["Definitions"],
        summary="Revoke the old signing secret of a source",
        request=None,
        responses={200: SecretRow},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Within five seconds nothing signed with it is accepted any more. Without an old one that is taken, a 422."""
        return Response(_row(revoke_old_secret(source_id=pk, actor=self.actor)))
