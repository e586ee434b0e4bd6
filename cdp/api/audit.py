"""`/api/v1/audit/` → rows of the audit log."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema
from cdp.api.views import ApiView, rows
from cdp.models import AuditEntry
from cdp.times import iso


class AuditEntrySerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    user_id = serializers.IntegerField(allow_null=True)
    key_id = serializers.IntegerField(allow_null=True)
    action = serializers.CharField(help_text="For example profile.merge.")
    subject = serializers.CharField(help_text="For example profile:48211.")
    detail = serializers.DictField()
    address = serializers.CharField(allow_null=True)
    request_id = serializers.CharField()
    sealed = serializers.IntegerField(allow_null=True, help_text="Position in the chain.")
    digest = serializers.CharField()


def as_api(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.pk,
        "at": iso(entry.at),
        "actor": entry.actor,
        "user_id": entry.user_id,
        "key_id": entry.key_id,
        "action": entry.action,
        "subject": entry.subject,
        "detail": entry.detail,
        "address": entry.address,
        "request_id": entry.request_id,
        "sealed": entry.sealed,
        "digest": entry.digest,
    }


class AuditLog(ApiView):
    permissions = {"GET": "cdp.view_auditentry"}

    @extend_schema(
        operation_id="listAuditEntries",
        tags=["Privacy"],
        summary="Who did or looked at what",
        parameters=[
            OpenApiParameter("subject", str, description="profile:48211, import:3, key:7 …"),
            OpenApiParameter(
                "action", str, description="profile.merge, or profile. for everything about profiles."
            ),
            OpenApiParameter("actor", str, description="The name at the time."),
            OpenApiParameter("user", int, description="A login's id."),
            OpenApiParameter("key", int, description="An API key's id."),
            OpenApiParameter("since", OpenApiTypes.DATETIME, description="At or after this time."),
            OpenApiParameter("until", OpenApiTypes.DATETIME, description="Before this time."),
            *schema.PAGE,
        ],
        responses={200: schema.page_of(AuditEntrySerializer), **schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        """Newest first. Append-only and hash-chained: `digest` covers the row and the digest before it."""
        self.known_parameters("subject", "action", "actor", "user", "key", "since", "until", "count")
        return self.page(AuditEntry.objects.filter(**self._wanted(request)), rows(as_api))

    def _wanted(self, request: Request) -> dict[str, Any]:
        params = request.query_params
        action = params.get("action", "")
        wanted = {
            "subject": params.get("subject"),
            "action__startswith" if action.endswith(".") else "action": action,
            "actor": params.get("actor"),
            "user_id": self.number("user"),
            "key_id": self.number("key"),
            "at__gte": self.moment("since"),
            "at__lt": self.moment("until"),
        }
        return {name: value for name, value in wanted.items() if value not in (None, "")}
