"""`/api/v1/retention/` → how long everything that grows is kept."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp import retention
from cdp.api import schema
from cdp.api.views import ApiView


class RetentionRuleSerializer(serializers.Serializer[Any]):
    key = serializers.CharField(help_text="The table (cdp.Mail) or the files (files of exports).")
    what = serializers.CharField()
    deleted = serializers.BooleanField(help_text="Whether anything is deleted by time.")
    text = serializers.CharField(help_text="How long, or why it is kept.")
    setting = serializers.CharField(allow_null=True)
    days = serializers.IntegerField(allow_null=True, help_text="The setting's value.")


class RetentionRules(ApiView):
    permissions = {"GET": "cdp.view_auditentry"}

    @extend_schema(
        operation_id="listRetentionRules",
        tags=["Privacy"],
        summary="How long things are kept",
        responses={200: schema.page_of(RetentionRuleSerializer)},
    )
    def get(self, request: Request) -> Response:
        """All of them, in one page."""
        rows = [
            {
                "key": row.key,
                "what": row.what,
                "deleted": bool(row.rule.by),
                "text": row.rule.sentence,
                "setting": row.rule.setting or None,
                "days": row.rule.days,
            }
            for row in retention.listed()
        ]
        return Response({"next": None, "previous": None, "results": rows})
