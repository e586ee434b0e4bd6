"""Calls on webhooks and their deliveries → the rows; a new webhook with the secret that signs its messages."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cdp import audit
from cdp.api import schema
from cdp.api.idempotency import with_secrets
from cdp.api.parameters import choice
from cdp.api.request_bodies import StrictSerializer, TextField, TimeField
from cdp.api.viewsets import ApiModelViewSet
from cdp.errors import Invalid, NotFound
from cdp.http_client import Forbidden, check_url
from cdp.models import Delivery, Webhook
from cdp.webhooks import TOPICS, replay, send_test


class WebhookSerializer(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    name = TextField(max_length=100)
    url = TextField(max_length=500, help_text="https, on a public network.")
    topics = serializers.ListField(
        child=serializers.ChoiceField(choices=list(TOPICS)), min_length=1, max_length=len(TOPICS)
    )
    is_active = serializers.BooleanField(required=False)
    created_at = TimeField()

    def validate_url(self, url: str) -> str:
        try:
            check_url(url)
        except Forbidden as error:
            raise Invalid([{"field": "url", "value": url, "message": str(error)}]) from error
        return url


class NewWebhookSerializer(WebhookSerializer):
    secret = serializers.CharField(
        read_only=True, help_text="In this answer only; empty where the call is repeated."
    )


class DeliverySerializer(serializers.Serializer[Any]):
    # Reads ``message``: join it in.
    id = serializers.IntegerField()
    webhook_id = serializers.IntegerField()
    message_id = serializers.IntegerField()
    topic = serializers.CharField(source="message.topic")
    profile_id = serializers.IntegerField(allow_null=True)
    state = serializers.CharField(help_text=", ".join(Delivery.State.values))
    attempts = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True, help_text="The last HTTP status.")
    problem = serializers.CharField()
    next_at = TimeField()
    delivered_at = TimeField(allow_null=True)


@extend_schema(tags=["Webhooks"])
@extend_schema_view(
    list=extend_schema(operation_id="listWebhooks", summary="Webhooks"),
    create=extend_schema(
        operation_id="createWebhook",
        summary="Send what happens to an address",
        description="The secret that signs every delivery is in this answer and nowhere else.",
    ),
    retrieve=extend_schema(operation_id="getWebhook", summary="A webhook"),
    partial_update=extend_schema(operation_id="updateWebhook", summary="Change a webhook, or switch it off"),
    destroy=extend_schema(
        operation_id="deleteWebhook", summary="Remove a webhook and the messages that wait for it"
    ),
)
class WebhookViewSet(ApiModelViewSet):
    queryset = Webhook.objects.all()
    permissions = {
        "GET": "cdp.view_webhook",
        "POST": "cdp.add_webhook",
        "PATCH": "cdp.change_webhook",
        "DELETE": "cdp.delete_webhook",
    }
    confirmed = frozenset({"POST", "PATCH", "DELETE"})

    def get_serializer_class(self) -> Any:
        return NewWebhookSerializer if self.action == "create" else WebhookSerializer

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return with_secrets(super().create(request, *args, **kwargs), "secret")

    def perform_create(self, serializer: Any) -> None:
        serializer.instance = self._save(Webhook(), serializer.validated_data, "create")

    def perform_update(self, serializer: Any) -> None:
        self._save(serializer.instance, serializer.validated_data, "update")

    def perform_destroy(self, instance: Webhook) -> None:
        audit.record("webhook.delete", actor=self.actor, subject=f"webhook:{instance.pk}")
        instance.delete()

    def _save(self, webhook: Webhook, values: dict[str, Any], verb: str) -> Webhook:
        for name, value in values.items():
            setattr(webhook, name, value)
        webhook.save()
        webhook.refresh_from_db()
        detail = {"fields": sorted(values)}
        audit.record(f"webhook.{verb}", actor=self.actor, subject=f"webhook:{webhook.pk}", detail=detail)
        return webhook

    @extend_schema(
        operation_id="testWebhook",
        summary="Send one test message now",
        request=None,
        responses={200: DeliverySerializer},
    )
    # Sent at once: it can be neither rolled back by a dry run nor saved under an Idempotency-Key.
    @action(
        detail=True,
        methods=["post"],
        permissions={"POST": "cdp.change_webhook"},
        reads=frozenset({"POST"}),
        confirmed=frozenset(),
    )
    def test(self, request: Request, pk: int) -> Response:
        delivery = send_test(webhook_id=self.get_object().pk, actor=self.actor)
        return Response(DeliverySerializer(delivery).data)

    @extend_schema(
        operation_id="listDeliveries",
        summary="What was sent to a webhook, newest first",
        parameters=[OpenApiParameter("state", str, enum=Delivery.State.values), *schema.PAGE],
        responses={200: schema.page_of(DeliverySerializer)},
    )
    @action(detail=True)
    def deliveries(self, request: Request, pk: int) -> Response:
        deliveries = Delivery.objects.filter(webhook=self.get_object()).select_related("message")
        if state := choice(request, "state", Delivery.State.values):
            deliveries = deliveries.filter(state=state)
        return self.page(deliveries, lambda rows: list(DeliverySerializer(rows, many=True).data))

    @extend_schema(
        operation_id="replayDelivery",
        summary="Send a message again",
        request=None,
        responses={200: DeliverySerializer},
    )
    @action(
        detail=True,
        methods=["post"],
        url_path="deliveries/<int:delivery_id>/replay",
        permissions={"POST": "cdp.change_webhook"},
        confirmed=frozenset(),
    )
    def replay_delivery(self, request: Request, pk: int, delivery_id: int) -> Response:
        deliveries = Delivery.objects.filter(webhook=self.get_object(), pk=delivery_id)
        if not deliveries.exists():
            raise NotFound(f"This webhook has no delivery #{delivery_id}.")
        replay(delivery_ids=[delivery_id], actor=self.actor)
        return Response(DeliverySerializer(deliveries.select_related("message").get()).data)
