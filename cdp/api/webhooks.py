"""`/api/v1/webhooks/` → webhooks and their deliveries."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp import audit
from cdp.api import schema
from cdp.api.problems import BadParameter
from cdp.api.request_bodies import Shape, TextField
from cdp.api.views import ApiView, rows
from cdp.errors import Invalid, NotFound
from cdp.http_client import Forbidden, check_url
from cdp.models import Delivery, Webhook
from cdp.times import iso
from cdp.webhooks import TOPICS, replay, send_test


class WebhookShape(Shape):
    name = TextField(max_length=100)
    url = TextField(max_length=500, help_text="https, on a public network.")
    topics = serializers.ListField(
        child=serializers.ChoiceField(choices=list(TOPICS)), min_length=1, max_length=len(TOPICS)
    )
    is_active = serializers.BooleanField(required=False)


class WebhookChanges(WebhookShape):
    name = TextField(max_length=100, required=False)
    url = TextField(max_length=500, required=False)
    topics = serializers.ListField(
        child=serializers.ChoiceField(choices=list(TOPICS)),
        required=False,
        min_length=1,
        max_length=len(TOPICS),
    )


class WebhookRow(WebhookShape):
    id = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    secret = serializers.CharField(required=False, help_text="Shown once, when the webhook is made.")


class DeliveryRow(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    webhook_id = serializers.IntegerField()
    message_id = serializers.IntegerField()
    topic = serializers.CharField()
    profile_id = serializers.IntegerField(allow_null=True)
    state = serializers.CharField(help_text=", ".join(Delivery.State.values))
    attempts = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True, help_text="The last HTTP status.")
    problem = serializers.CharField()
    next_at = serializers.DateTimeField()
    delivered_at = serializers.DateTimeField(allow_null=True)


def _webhook(row: Webhook) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "url": row.url,
        "topics": row.topics,
        "is_active": row.is_active,
        "created_at": iso(row.created_at),
    }


def _delivery(row: Delivery) -> dict[str, Any]:
    return {
        "id": row.pk,
        "webhook_id": row.webhook_id,
        "message_id": row.message_id,
        "topic": row.message.topic,
        "profile_id": row.profile_id,
        "state": row.state,
        "attempts": row.attempts,
        "status": row.status,
        "problem": row.problem,
        "next_at": iso(row.next_at),
        "delivered_at": iso(row.delivered_at),
    }


class WebhookApi(ApiView):
    def row(self) -> Webhook:
        webhook = Webhook.objects.filter(pk=self.kwargs["pk"]).first()
        if webhook is None:
            raise NotFound(f"There is no webhook #{self.kwargs['pk']}.")
        return webhook

    def save(self, row: Webhook, values: dict[str, Any], verb: str) -> Webhook:
        if "url" in values:
            try:
                check_url(values["url"])
            except Forbidden as error:
                raise Invalid([{"field": "url", "value": values["url"], "message": str(error)}]) from error
        for name, value in values.items():
            setattr(row, name, value)
        row.save()
        row.refresh_from_db()
        detail = {"fields": sorted(values)}
        audit.record(f"webhook.{verb}", actor=self.actor, subject=f"webhook:{row.pk}", detail=detail)
        return row


class WebhookList(WebhookApi):
    permissions = {"GET": "cdp.view_webhook", "POST": "cdp.add_webhook"}

    @extend_schema(
        operation_id="listWebhooks",
        tags=["Webhooks"],
        summary="Webhooks",
        parameters=schema.PAGE,
        responses={200: schema.page_of(WebhookRow), **schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        return self.page(Webhook.objects.all(), rows(_webhook))

    @extend_schema(
        operation_id="createWebhook",
        tags=["Webhooks"],
        summary="Tell an address about what happens",
        parameters=schema.WRITE,
        request=WebhookShape,
        responses={201: WebhookRow, **schema.WRITE_ERRORS},
    )
    def post(self, request: Request) -> Response:
        """The secret that signs every delivery is in this answer and nowhere else."""
        made = self.save(Webhook(), self.body(WebhookShape), "create")
        return Response({**_webhook(made), "secret": made.secret}, status=201)


class WebhookDetail(WebhookApi):
    permissions = {
        "GET": "cdp.view_webhook",
        "PATCH": "cdp.change_webhook",
        "DELETE": "cdp.delete_webhook",
    }

    @extend_schema(
        operation_id="getWebhook",
        tags=["Webhooks"],
        summary="A webhook",
        responses={200: WebhookRow, **schema.ERRORS},
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(_webhook(self.row()))

    @extend_schema(
        operation_id="updateWebhook",
        tags=["Webhooks"],
        summary="Change a webhook, or switch it off",
        parameters=schema.WRITE,
        request=WebhookChanges,
        responses={200: WebhookRow, **schema.WRITE_ERRORS},
    )
    def patch(self, request: Request, pk: int) -> Response:
        return Response(_webhook(self.save(self.row(), self.body(WebhookChanges), "update")))

    @extend_schema(
        operation_id="deleteWebhook",
        tags=["Webhooks"],
        summary="Remove a webhook and what it has not been told yet",
        parameters=schema.WRITE,
        responses={204: None, **schema.WRITE_ERRORS},
    )
    def delete(self, request: Request, pk: int) -> Response:
        row = self.row()
        audit.record("webhook.delete", actor=self.actor, subject=f"webhook:{row.pk}")
        row.delete()
        return Response(status=204)


class WebhookTest(WebhookApi):
    """Not rehearsed and not saved under a key: it talks to the outside at once."""

    permissions = {"POST": "cdp.change_webhook"}
    reads = frozenset({"POST"})

    @extend_schema(
        operation_id="testWebhook",
        tags=["Webhooks"],
        summary="Send one test message now",
        request=None,
        responses={200: DeliveryRow, **schema.ERRORS},
    )
    def post(self, request: Request, pk: int) -> Response:
        done = send_test(webhook_id=self.row().pk, actor=self.actor)
        return Response(_delivery(done))


class DeliveryList(WebhookApi):
    permissions = {"GET": "cdp.view_webhook"}

    @extend_schema(
        operation_id="listDeliveries",
        tags=["Webhooks"],
        summary="What a webhook was told, newest first",
        parameters=[OpenApiParameter("state", str, enum=Delivery.State.values), *schema.PAGE],
        responses={200: schema.page_of(DeliveryRow), **schema.ERRORS},
    )
    def get(self, request: Request, pk: int) -> Response:
        deliveries = Delivery.objects.filter(webhook=self.row()).select_related("message")
        if state := request.query_params.get("state"):
            if state not in Delivery.State.values:
                raise BadParameter("state", f"state is one of {', '.join(Delivery.State.values)}.", state)
            deliveries = deliveries.filter(state=state)
        return self.page(deliveries, rows(_delivery))


class DeliveryReplay(WebhookApi):
    permissions = {"POST": "cdp.change_webhook"}

    @extend_schema(
        operation_id="replayDelivery",
        tags=["Webhooks"],
        summary="Send a message again",
        parameters=schema.WRITE,
        request=None,
        responses={200: DeliveryRow, **schema.WRITE_ERRORS},
    )
    def post(self, request: Request, pk: int, delivery_id: int) -> Response:
        deliveries = Delivery.objects.filter(webhook=self.row(), pk=delivery_id).select_related("message")
        if not deliveries.exists():
            raise NotFound(f"This webhook has no delivery #{delivery_id}.")
        replay(delivery_ids=[delivery_id], actor=self.actor)
        return Response(_delivery(deliveries.get()))
