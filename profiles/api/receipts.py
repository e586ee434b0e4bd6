"""Calls on receipts → the outcome of each tracked item; rejected items repaired and replayed, or dismissed."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import jobs as job_api
from cdp.api import schema as api_schema
from cdp.api.problems import BadParameter
from cdp.api.request_bodies import IdField, StrictSerializer, TextField
from cdp.errors import Invalid
from cdp.models import Job
from cdp.times import iso
from profiles import masking
from profiles.api.base import PersonalDataView
from profiles.looks import saw_receipts
from profiles.models import Receipt
from profiles.tracking.parse.envelope import FIELDS
from profiles.tracking.rejected import receipts, replay
from profiles.tracking.rejected.receipts import ALL, STATES, Choice
from profiles.tracking.rejected.repair import read_repairs

MAX_IDS = 5_000
_FILTERS = [
    OpenApiParameter("state", str, enum=list(STATES), description="`waiting` is the Rejected inbox."),
    OpenApiParameter("outcome", str, enum=Receipt.Outcome.values),
    OpenApiParameter("source", str, description="Name or id of a source."),
    OpenApiParameter("code", str, description="For example schema_violation."),
    OpenApiParameter("kind", str, description="identify, track …"),
    OpenApiParameter("name", str, description="The event's name, exactly."),
    OpenApiParameter("message_id", str, description="As it was sent."),
    OpenApiParameter("received_at_after", str, description="A time; received then or later."),
    OpenApiParameter("received_at_before", str, description="A time; received before."),
]


class ReceiptRow(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    received_at = serializers.DateTimeField()
    source = serializers.CharField()  # type: ignore[assignment]
    kind = serializers.CharField()
    name = serializers.CharField()
    message_id = serializers.CharField(help_text="As it was sent.")
    outcome = serializers.CharField(help_text=", ".join(Receipt.Outcome.values))
    code = serializers.CharField()
    message = serializers.CharField()
    problems = serializers.ListField(
        help_text="`[{pointer, code, message, kept}]`: why, or what was not stored as sent of an item that was applied;"
        " `kept` says where the value is: alternate, event, stored, left_out, or rejected"
    )
    profile_id = serializers.IntegerField(allow_null=True)
    replay_of = serializers.IntegerField(allow_null=True)
    resolved_at = serializers.DateTimeField(allow_null=True)
    resolution = serializers.CharField(help_text="replayed or dismissed")


class ReceiptWhole(ReceiptRow):
    payload = serializers.JSONField(help_text="The item, when it was not processed.")
    problems = serializers.ListField(help_text="`[{pointer, value, message, code, kept}]`")


class ReplayAnswer(serializers.Serializer[Any]):
    outcome = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()
    messageId = serializers.CharField()
    profile_id = serializers.IntegerField(allow_null=True)
    replay_of = serializers.IntegerField()
    receipt_id = serializers.IntegerField()


class ReasonBody(StrictSerializer):
    reason = TextField(required=False, allow_blank=True, max_length=replay.MAX_REASON, default="")


class ReplayBody(StrictSerializer):
    """`{}` replays the item as it was sent; `payload` is the item corrected. That item alone, without `payload` around
    it, is taken as well.
    """

    payload = serializers.JSONField(required=False)


class FilterBody(StrictSerializer):
    """Which waiting receipts: as the list's parameters choose them."""

    source = serializers.CharField(required=False)  # type: ignore[assignment]
    outcome = TextField(required=False)
    code = TextField(required=False)
    kind = TextField(required=False)
    name = TextField(required=False)
    message_id = TextField(required=False)
    received_at_after = TextField(required=False)
    received_at_before = TextField(required=False)


class ManyBody(StrictSerializer):
    """Either `ids` or `filter`."""

    ids = serializers.ListField(child=IdField(), required=False, max_length=MAX_IDS, min_length=1)
    filter = FilterBody(required=False)


class ReplayManyBody(ManyBody):
    repairs = serializers.JSONField(
        required=False,
        help_text='At most 10: `{"do": "rename", "name": "product_sku", "value": "sku"}`, `{"do": "set", "name", "value"}`'
        ' for what is missing, `{"do": "number", "name"}` for a number sent as text.',
    )


class DismissManyBody(ManyBody):
    reason = TextField(required=False, allow_blank=True, max_length=replay.MAX_REASON, default="")


class ReceiptApi(PersonalDataView):
    def receipt(self) -> Receipt:
        return receipts.get_receipt(self.kwargs["pk"])

    def row(self, receipt: Receipt) -> dict[str, Any]:
        return {
            "id": receipt.pk,
            "received_at": iso(receipt.received_at),
            "source": receipt.source.name,
            "kind": receipt.kind,
            "name": receipt.name,
            "message_id": receipt.message_id,
            "outcome": receipt.outcome,
            "code": receipt.code,
            "message": self._text(receipt.message),
            "problems": self._problems(receipt),
            "profile_id": receipt.profile_id,
            "replay_of": receipt.replay_of_id,
            "resolved_at": iso(receipt.resolved_at),
            "resolution": receipt.resolution,
        }

    def page_of(self, page: list[Receipt]) -> list[dict[str, Any]]:
        saw_receipts(page)
        return [self.row(row) for row in page]

    def _text(self, text: str) -> str:
        return text if self.presenter.can_view_pii else masking.mask_text(text)

    def _problems(self, receipt: Receipt) -> list[dict[str, Any]]:
        """Why it was rejected, or what was left out of an item that was not; without the values."""
        return [
            {
                "pointer": problem.get("pointer", ""),
                "code": problem.get("code", ""),
                "message": self._text(str(problem.get("message", ""))),
                "kept": receipts.kept_of(receipt, problem),
            }
            for problem in receipt.problems or []
            if isinstance(problem, dict)
        ]

    def whole(self, receipt: Receipt) -> dict[str, Any]:
        saw_receipts([receipt])
        problems = [
            {**problem, "kept": receipts.kept_of(receipt, problem)}
            for problem in receipt.problems or []
            if isinstance(problem, dict)
        ]
        return {
            **self.row(receipt),
            "payload": receipts.payload_of(receipt, can_view_pii=self.presenter.can_view_pii),
            "problems": problems if self.presenter.can_view_pii else [*map(_masked, problems)],
        }

    def choice(self, params: Any, state: str) -> Choice:
        try:
            return receipts.parse_choice(params, state=state)
        except Invalid as error:
            problem = error.problems[0]
            raise BadParameter(problem["field"], problem["message"], problem["value"]) from error

    def started(self, job: Job) -> Response:
        return Response(job_api.as_api(Job.objects.select_related("user", "key").get(pk=job.pk)), status=202)


def _masked(problem: dict[str, Any]) -> dict[str, Any]:
    """A problem with its value by the class of where it stands, and without values in its sentence."""
    return {
        **problem,
        "value": masking.mask_at(str(problem.get("pointer", "")), problem.get("value")),
        "message": masking.mask_text(str(problem.get("message", ""))),
    }


class ReceiptList(ReceiptApi):
    permissions = {"GET": "profiles.view_receipt"}

    @extend_schema(
        operation_id="listReceipts",
        tags=["Tracking"],
        summary="What became of each item",
        parameters=[*_FILTERS, *api_schema.PAGE],
        responses={200: api_schema.page_of(ReceiptRow)},
    )
    def get(self, request: Request) -> Response:
        """Every item of every call has one, the newest first. `state=waiting` is the Rejected inbox."""
        self.known_parameters(*(parameter.name for parameter in _FILTERS), "count")
        chosen = receipts.filtered_receipts(self.choice(request.query_params.dict(), ALL))
        chosen = chosen.select_related("source").defer("payload")
        return self.page(chosen, self.page_of)


class ReceiptDetail(ReceiptApi):
    permissions = {"GET": "profiles.view_receipt"}

    @extend_schema(
        operation_id="getReceipt",
        tags=["Tracking"],
        summary="A receipt, with the item that was rejected",
        responses={200: ReceiptWhole},
    )
    def get(self, request: Request, pk: int) -> Response:
        receipt = self.receipt()
        return Response(self.whole(receipt))


class ReceiptReplay(ReceiptApi):
    permissions = {"POST": ("profiles.view_receipt", replay.PERMISSION)}

    @extend_schema(
        operation_id="replayReceipt",
        tags=["Tracking"],
        summary="Repair and replay a rejected item",
        request=ReplayBody,
        responses={200: ReplayAnswer},
    )
    def post(self, request: Request, pk: int) -> Response:
        """As if it came when it first came, onto the right person. The receipt is resolved; the replay has one of
        its own, which waits again when it was rejected again. What does not wait is a 409.
        """
        result = replay.replay_receipt(receipt_id=pk, payload=self._corrected(), actor=self.actor)
        made = receipts.replays_of(self.receipt())
        return Response(
            {
                "outcome": result.outcome,
                "code": result.code,
                "message": result.message,
                "messageId": result.message_id,
                "profile_id": result.profile_id,
                "replay_of": pk,
                "receipt_id": made[-1].pk if made else None,
            }
        )

    def _corrected(self) -> Any:
        sent = self.sent
        is_item = (
            isinstance(sent, dict)
            and "payload" not in sent
            and any(not names.isdisjoint(sent) for names in FIELDS.values())
        )
        return sent if is_item else self.body(ReplayBody).get("payload")


class ReceiptDismiss(ReceiptApi):
    permissions = {"POST": ("profiles.view_receipt", replay.PERMISSION)}

    @extend_schema(
        operation_id="dismissReceipt",
        tags=["Tracking"],
        summary="Take a rejected item out of the inbox",
        request=ReasonBody,
        responses={200: ReceiptWhole},
    )
    def post(self, request: Request, pk: int) -> Response:
        """It is not carried out; its receipt stays. One that does not wait stays as it is."""
        reason = self.body(ReasonBody)["reason"]
        self.receipt()  # a 404 for what is not there
        replay.dismiss(receipt_ids=[pk], reason=reason, actor=self.actor)
        return Response(self.whole(self.receipt()))


class ReplayMany(ReceiptApi):
    permissions = {"POST": ("profiles.view_receipt", replay.PERMISSION)}

    @extend_schema(
        operation_id="replayReceipts",
        tags=["Tracking"],
        summary="Repair and replay many rejected items",
        request=ReplayManyBody,
        responses={202: job_api.JobSerializer},
    )
    def post(self, request: Request) -> Response:
        """A job over what waits now: `ids`, or all that `filter` chooses."""
        body = self.body(ReplayManyBody)
        repairs = read_repairs(body.get("repairs", []))
        job = replay.replay_many(**_which(self, body), repairs=repairs, actor=self.actor)
        return self.started(job)


class DismissMany(ReceiptApi):
    permissions = {"POST": ("profiles.view_receipt", replay.PERMISSION)}

    @extend_schema(
        operation_id="dismissReceipts",
        tags=["Tracking"],
        summary="Take many rejected items out of the inbox",
        request=DismissManyBody,
        responses={202: job_api.JobSerializer},
    )
    def post(self, request: Request) -> Response:
        """A job over what waits now: `ids`, or all that `filter` chooses."""
        body = self.body(DismissManyBody)
        return self.started(
            replay.dismiss_many(**_which(self, body), reason=body["reason"], actor=self.actor)
        )


def _which(view: ReceiptApi, body: dict[str, Any]) -> dict[str, Any]:
    if ("ids" in body) == ("filter" in body):
        raise Invalid([{"pointer": "", "message": "Name receipts by “ids”, or choose them with “filter”."}])
    if "ids" in body:
        return {"ids": body["ids"]}
    try:
        return {"choice": receipts.parse_choice(body["filter"])}
    except Invalid as error:
        raise Invalid(
            [{**problem, "pointer": f"/filter/{problem['field']}"} for problem in error.problems]
        ) from error
