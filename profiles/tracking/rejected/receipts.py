"""A choice of receipts → the receipts, counts by code, and their problems as sentences; also the Rejected inbox."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import Q, QuerySet
from django.utils import timezone

from cdp.errors import Invalid, NotFound
from cdp.limits import Count, TooSlow, time_limit
from profiles.masking import mask_at, mask_json, mask_text
from profiles.models import Event, Receipt, Source
from profiles.search.filters import MomentField
from profiles.tracking.parse.message_ids import column_text, message_uuid
from profiles.tracking.parse.problem_codes import LABELS, kept_as

WAITING, RESOLVED, ALL = "waiting", "resolved", "all"
STATES = {WAITING: "Waiting", RESOLVED: "Replayed or dismissed", ALL: "Every receipt"}
REPLAYED, DISMISSED = "replayed", "dismissed"
# Counting this many takes some 10 ms; beyond it a list says “more than”.
COUNTED = 10_000
MAX_CODES = 12
_MILLISECONDS = 1_500
# An applied item's receipt is written in the transaction that stores its event.
_NEARBY = datetime.timedelta(seconds=5)

# Problems of values that were stored as they were sent; they are only in the wrong place.
KEPT = frozenset({"identifier_as_attribute"})
# What a code means, where a receipt has no sentence of its own.
CODES = {
    "not_an_object": "The item is not a JSON object.",
    "unknown_type": "The item's type is unknown.",
    "missing_event_name": "A track call without the name of its event.",
    "missing_identifier": "It does not say whom it is about: no userId, no anonymousId, no externalIds, no e-mail that identifies.",
    "missing_group_id": "A group call without a groupId.",
    "too_large": "The item is larger than 32 KB.",
    "too_deep": "The item is nested too deeply.",
    "bad_message_id": "The messageId is neither a text nor a number.",
    "id_too_long": "An id is longer than 255 characters.",
    "schema_violation": "The event breaks its schema.",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which receipts: empty fields choose all. ``day`` is a day in the site's time zone."""

    state: str = WAITING
    source_id: int | None = None
    outcome: str = ""
    code: str = ""
    kind: str = ""
    name: str = ""
    message_id: str = ""
    after: datetime.datetime | None = None
    before: datetime.datetime | None = None

    @property
    def is_plain(self) -> bool:
        """Nothing but the state is asked for."""
        return self == Choice(state=self.state)

    def replaced(self, **changes: Any) -> Choice:
        return Choice(**{**{field.name: getattr(self, field.name) for field in fields(self)}, **changes})


def parse_choice(params: Mapping[str, str], *, state: str = WAITING) -> Choice:
    """A choice from an address: ``source`` (name or id), ``received_at_after``, ``day`` … Raises Invalid."""
    given = {key: str(value).strip() for key, value in params.items() if str(value).strip()}
    state_name = given.get("state", state)
    if state_name not in STATES:
        raise _invalid(
            "state", state_name, f"“{state_name}” is not a state. Known states: {', '.join(STATES)}."
        )
    outcome = given.get("outcome", "")
    if outcome and outcome not in Receipt.Outcome.values:
        known = ", ".join(Receipt.Outcome.values)
        raise _invalid("outcome", outcome, f"“{outcome}” is not an outcome. Known outcomes: {known}.")
    after, before = _moment("received_at_after", given), _moment("received_at_before", given)
    if day := _day(given.get("day", "")):
        after, before = day, day + datetime.timedelta(days=1)
    return Choice(
        state=state_name,
        source_id=_source_id(given.get("source", "")),
        outcome=outcome,
        code=given.get("code", "")[:40],
        kind=given.get("kind", "")[:20],
        name=given.get("name", "")[:255],
        message_id=column_text(given.get("message_id", "")),
        after=after,
        before=before,
    )


def source_named(text: str) -> Source:
    """The source with this id or name, in any case. Raises Invalid."""
    match = Source.objects.filter(name__iexact=text).first()
    if match is None and text.isascii() and text.isdigit() and len(text) < 6:
        match = Source.objects.filter(pk=int(text)).first()
    if match is None:
        raise _invalid("source", text, f"There is no source “{text[:60]}”.")
    return match


def _source_id(text: str) -> int | None:
    return source_named(text).pk if text else None


def _moment(name: str, text: Mapping[str, str]) -> datetime.datetime | None:
    try:
        moment: datetime.datetime | None = MomentField().to_python(text.get(name, "").replace(" ", "+"))
    except ValidationError as error:
        raise _invalid(name, text[name], str(error.message)) from error
    return moment


def _day(text: str) -> datetime.datetime | None:
    if not text:
        return None
    try:
        day = datetime.date.fromisoformat(text)
        return timezone.make_aware(datetime.datetime.combine(day, datetime.time.min))
    except (ValueError, OverflowError) as error:
        raise _invalid("day", text, f"“{text[:30]}” is not a day. Write it like 2026-03-01.") from error


def _invalid(field: str, value: str, message: str) -> Invalid:
    return Invalid([{"field": field, "value": value[:100], "message": message}])


# --- Which receipts -------------------------------------------------------------------------------------


def waiting() -> QuerySet[Receipt]:
    """The Rejected inbox: not carried out, and waiting for somebody (partial index ``receipt_waiting``)."""
    return Receipt.objects.filter(payload__isnull=False, resolved_at__isnull=True)


def filtered_receipts(choice: Choice) -> QuerySet[Receipt]:
    """The receipts of a choice, unordered. Paged by id, newest first, every filter stays a bounded read."""
    receipts = Receipt.objects.all()
    if choice.state == WAITING:
        receipts = waiting()
    elif choice.state == RESOLVED:
        receipts = receipts.filter(resolved_at__isnull=False)
    plain = {
        "source_id": choice.source_id,
        "outcome": choice.outcome,
        "code": choice.code,
        "kind": choice.kind,
        "name": choice.name,
        "received_at__gte": choice.after,
        "received_at__lt": choice.before,
    }
    receipts = receipts.filter(**{name: value for name, value in plain.items() if value not in (None, "")})
    return receipts.filter(_of_message(choice)) if choice.message_id else receipts


def _of_message(choice: Choice) -> Q:
    """Receipts of one message: those not applied by their partial index, the applied ones through their event.

    An index over every message id would be paid for by every event; receipts and events share their time.
    Three queries.
    """
    same = Receipt.objects.filter(message_id=choice.message_id)
    receipt_ids = list(same.exclude(outcome=Receipt.Outcome.APPLIED).values_list("pk", flat=True)[:1000])
    if choice.state != WAITING:
        spans = Q(pk__in=[])
        for at in events_of_message(choice.message_id).values_list("received_at", flat=True)[:20]:
            spans |= Q(received_at__gte=at - _NEARBY, received_at__lte=at + _NEARBY)
        applied = same.filter(spans, outcome=Receipt.Outcome.APPLIED)
        receipt_ids += applied.order_by().values_list("pk", flat=True)[:1000]
    return Q(pk__in=receipt_ids)


def events_of_message(message_id: str) -> QuerySet[Event]:
    """The events a message id (as it was sent) became: one look-up per source in the unique index."""
    sources = list(Source.objects.values_list("pk", flat=True))
    return Event.objects.filter(source_id__in=sources, message_id=message_uuid(message_id))


# --- How many -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CodeCount:
    """How many receipts of a choice have one code; not exact when the choice was cut off at ``COUNTED``."""

    code: str
    count: Count


@dataclass(frozen=True, slots=True)
class ReceiptCounts:
    """``total`` of a choice and its most frequent codes. ``is_capped``: among the newest ``COUNTED`` only."""

    total: Count
    codes: list[CodeCount]
    is_capped: bool = False


def count_codes(choice: Choice) -> ReceiptCounts:
    """Counts by code over a choice, whatever code it asks for. One query over at most ``COUNTED`` rows."""
    newest = filtered_receipts(choice.replaced(code="")).order_by("-id").values("id", "code")[: COUNTED + 1]
    sql, params = newest.query.sql_with_params()
    try:
        with time_limit(_MILLISECONDS), connection.cursor() as cursor:
            cursor.execute(
                f'SELECT "code", count(*) FROM ({sql}) newest GROUP BY 1 ORDER BY 2 DESC, 1', params
            )
            rows: list[tuple[str, int]] = cursor.fetchall()
    except TooSlow:
        return ReceiptCounts(Count(0, is_exact=False), [], is_capped=True)
    total = sum(count for _, count in rows)
    is_capped = total > COUNTED
    listed = [CodeCount(code, Count(count, is_exact=not is_capped)) for code, count in rows[:MAX_CODES]]
    return ReceiptCounts(Count(min(total, COUNTED), is_exact=not is_capped), listed, is_capped)


@dataclass(frozen=True, slots=True)
class AlikeItems:
    """Waiting items rejected for one reason: ``newest`` is one of them, with its source."""

    newest: Receipt
    count: int


def alike_items(choice: Choice, *, limit: int = 50) -> list[AlikeItems]:
    """Items of a choice by source, reason, call and event, the most first; of the newest ``COUNTED``. Two queries.

    Raises TooSlow.
    """
    newest = filtered_receipts(choice).order_by("-id").values("pk")[:COUNTED]
    groups = (
        Receipt.objects.filter(pk__in=newest)
        .order_by()
        .values("source_id", "outcome", "code", "kind", "name")
        .annotate(count=models.Count("pk"), newest=models.Max("pk"))
        .order_by("-count", "-newest")
    )
    with time_limit(_MILLISECONDS):
        rows = list(groups[:limit])
    receipts = Receipt.objects.select_related("source").defer("payload")
    by_id = receipts.in_bulk([row["newest"] for row in rows])
    return [AlikeItems(by_id[row["newest"]], row["count"]) for row in rows if row["newest"] in by_id]


# --- One of them ----------------------------------------------------------------------------------------


def get_receipt(receipt_id: int) -> Receipt:
    """One receipt with its source and whoever resolved it. Raises NotFound."""
    receipt = Receipt.objects.select_related("source", "resolved_by").filter(pk=receipt_id).first()
    if receipt is None:
        raise NotFound(f"There is no receipt #{receipt_id}.")
    return receipt


def is_waiting(receipt: Receipt) -> bool:
    return receipt.payload is not None and receipt.resolved_at is None


def describe_receipt(receipt: Receipt) -> str:
    """Why, in words; the code itself when nothing better is known. Of what was applied: what was left out."""
    why = receipt.message or CODES.get(receipt.code, "") or receipt.code.replace("_", " ").capitalize()
    return why or left_out_of(receipt)


def left_out_of(receipt: Receipt) -> str:
    """The problems of an item beside its own message, as one text."""
    sentences = [
        str(problem.get("message", "")) for problem in receipt.problems or [] if isinstance(problem, dict)
    ]
    return " ".join(dict.fromkeys(sentence for sentence in sentences if sentence != receipt.message))


def problem_places(receipt: Receipt) -> tuple[str, ...]:
    """Where in an item something was left out, without the values."""
    pointers = [
        str(problem.get("pointer", ""))
        for problem in receipt.problems or []
        if isinstance(problem, dict) and problem.get("code") not in KEPT
    ]
    return tuple(dict.fromkeys(filter(None, map(pointer_text, pointers))))


def kept_of(receipt: Receipt, problem: Mapping[str, Any]) -> str:
    """Where the value a problem is about is kept (``problem_codes.kept_as``)."""
    return kept_as(str(problem.get("code", "")), is_rejected=receipt.outcome in Receipt.WAITING)


@dataclass(frozen=True, slots=True)
class ReceiptProblem:
    """One thing wrong with an item: where in it, the value there, a sentence about it, and where the value is kept."""

    where: str
    value: str
    message: str
    kept: str = ""


def problems_of(receipt: Receipt, *, can_view_pii: bool) -> list[ReceiptProblem]:
    """Every problem in words; values masked without the right to see personal data."""
    described = []
    for problem in receipt.problems or []:
        if not isinstance(problem, dict):
            continue
        pointer = str(problem.get("pointer") or problem.get("field") or "")
        value = problem.get("value")
        if value is not None and not can_view_pii:
            value = mask_at(pointer, value)
        value_text = (
            ""
            if value is None
            else value
            if isinstance(value, str)
            else json.dumps(value, ensure_ascii=False)
        )
        message = str(problem.get("message", ""))
        described.append(
            ReceiptProblem(
                pointer_text(pointer),
                value_text[:300],
                message if can_view_pii else mask_text(message),
                LABELS[kept_of(receipt, problem)],
            )
        )
    return described


def pointer_text(pointer: str) -> str:
    """``/properties/products/0/sku`` as people write it: ``properties.products.0.sku``."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/") if part]
    return ".".join(parts)


def payload_of(receipt: Receipt, *, can_view_pii: bool) -> Any:
    return receipt.payload if can_view_pii else mask_json(receipt.payload)


def replays_of(receipt: Receipt) -> list[Receipt]:
    """What became of it when it was replayed, oldest first. One query."""
    return list(Receipt.objects.filter(replay_of=receipt).order_by("pk")[:20])
