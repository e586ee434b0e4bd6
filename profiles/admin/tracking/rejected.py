"""The Rejected inbox: what was sent and not carried out, grouped by reason, repaired and sent through again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse

from cdp.actors import Actor
from cdp.errors import Invalid, Refused, RuleForbids
from cdp.ids import row_id
from cdp.limits import TooSlow, time_limit
from profiles.admin.list_filters import without
from profiles.admin.staff_views import form_page, may_see, render, staff_view, write
from profiles.looks import saw_receipts
from profiles.masking import mask_text
from profiles.models import Receipt, Source
from profiles.tracking.parse.item_types import ItemResult
from profiles.tracking.rejected import receipts
from profiles.tracking.rejected.receipts import STATES, WAITING, Choice
from profiles.tracking.rejected.repair import pretty, read_payload
from profiles.tracking.rejected.replay import (
    PERMISSION,
    dismiss,
    replay_receipt,
    why_not_unchanged,
)

PAGE = 50
_MILLISECONDS = 5_000
_CURSORS = ("after", "before")
# Shows single items where the page would group them.
_SINGLE = "items"
_KINDS = ("track", "identify", "page", "screen", "group", "alias", "update", "consent")


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One receipt as the list displays it."""

    receipt: Receipt
    why: str
    outcome: str
    is_waiting: bool


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Items rejected alike; ``query`` chooses them all, ``url`` lists them."""

    newest: ItemRow
    count: int
    query: str

    @property
    def url(self) -> str:
        return f"?{self.query}"


def list_url() -> str:
    return reverse("admin:profiles_receipt_changelist")


def receipt_url(receipt_id: int) -> str:
    return reverse("admin:profiles_receipt_change", args=[receipt_id])


# --- The list -------------------------------------------------------------------------------------------


@staff_view("profiles.view_receipt")
def inbox(request: HttpRequest) -> HttpResponse:
    """What waits, newest first; by state, code, source, outcome, kind, event and day. Seven queries.

    Without another filter than the source, items rejected for one reason are one row.
    """
    params = request.GET
    problems: list[str] = []
    try:
        choice = receipts.parse_choice(params.dict())
    except Invalid as error:
        choice, problems = Choice(), [problem["message"] for problem in error.problems]
    rows: list[Receipt] = []
    groups: list[receipts.AlikeItems] = []
    newer = older = ""
    is_grouped = choice == Choice(source_id=choice.source_id) and not params.get(_SINGLE)
    if not problems:
        try:
            if is_grouped:
                groups = receipts.alike_items(choice)
            else:
                with time_limit(_MILLISECONDS):
                    rows, newer, older = _page(choice, params)
        except TooSlow:
            problems.append("This search takes too long. Narrow it with another filter.")
    saw_receipts([*rows, *(group.newest for group in groups)])
    counts = receipts.count_codes(choice) if not problems else None
    context = {
        "title": "Rejected",
        "rows": [_row(row, may_see(request)) for row in rows],
        "groups": [_group(group, may_see(request)) for group in groups],
        "is_grouped": is_grouped,
        "single_url": _url(params, **{_SINGLE: "1"}),
        "counts": counts,
        "codes": _codes(params, choice, counts),
        "states": [(label, _url(params, state=key), key == choice.state) for key, label in STATES.items()],
        "choice": choice,
        "params": params,
        "problems": problems,
        "total": counts.total.number if counts else 0,
        "is_filtered": not choice.is_plain,
        "chips": _chips(params),
        "filters_query": without(params, *_CURSORS, _SINGLE).urlencode(),
        "newer_url": newer,
        "older_url": older,
        "may_replay": request.user.has_perm(PERMISSION) and choice.state == WAITING,
        "sources": list(Source.objects.values_list("name", flat=True)),
        "outcomes": [
            (value, label)
            for value, label in Receipt.Outcome.choices
            if choice.state != WAITING or value in Receipt.WAITING
        ],
        "kinds": _KINDS,
    }
    return render(request, "tracking/inbox.html", context)


def _page(choice: Choice, params: QueryDict) -> tuple[list[Receipt], str, str]:
    """A page by id, with the addresses of those around it. One query."""
    items = receipts.filtered_receipts(choice).select_related("source").defer("payload")
    after, before = row_id(params.get("after")), row_id(params.get("before"))
    if before:
        rows = list(items.filter(pk__gt=before).order_by("pk")[: PAGE + 1])
        has_more, rows = len(rows) > PAGE, rows[:PAGE][::-1]
        newer, older = has_more, True
    else:
        items = items.filter(pk__lt=after) if after else items
        rows = list(items.order_by("-pk")[: PAGE + 1])
        has_more, rows = len(rows) > PAGE, rows[:PAGE]
        newer, older = bool(after), has_more
    if not rows:
        return [], "", ""
    return (
        rows,
        _url(params, before=str(rows[0].pk)) if newer else "",
        _url(params, after=str(rows[-1].pk)) if older else "",
    )


def _row(receipt: Receipt, can_view_pii: bool) -> ItemRow:
    # The payload is not read along; in the inbox's own state every row has one.
    is_open = receipt.resolved_at is None and receipt.outcome in Receipt.WAITING
    why = receipts.describe_receipt(receipt)
    outcome = receipt.get_outcome_display().lower()
    return ItemRow(receipt, why if can_view_pii else mask_text(why), outcome, is_open)


def _group(group: receipts.AlikeItems, can_view_pii: bool) -> GroupRow:
    newest = group.newest
    query = {
        "source": newest.source.name,
        "outcome": newest.outcome,
        "code": newest.code,
        "kind": newest.kind,
        "name": newest.name,
    }
    chosen = {name: value for name, value in query.items() if value}
    return GroupRow(_row(newest, can_view_pii), group.count, urlencode(chosen))


def _codes(
    params: QueryDict, choice: Choice, counts: receipts.ReceiptCounts | None
) -> list[tuple[str, Any, str, bool]]:
    """Chips: label, count, address, whether chosen."""
    if counts is None:
        return []
    chips = [("Any reason", counts.total, _url(params, code=""), not choice.code)]
    for by_code in counts.codes:
        label = by_code.code.replace("_", " ") or "no code"
        url = _url(params, code=by_code.code)
        chips.append((label, by_code.count, url, by_code.code == choice.code))
    return chips


_LABELS = {"message_id": "messageId", "kind": "call", "name": "event"}


def _chips(params: QueryDict) -> list[tuple[str, str]]:
    """The filters in force in words; state and reason have chips of their own."""
    plain = without(params, *_CURSORS, _SINGLE, "state", "code")
    return [
        (_LABELS.get(name, name.replace("_", " ")).capitalize(), str(value)) for name, value in plain.items()
    ]


def _url(params: QueryDict, **changes: str) -> str:
    plain = without(params, *_CURSORS, *changes)
    for name, value in changes.items():
        if value:
            plain[name] = value
    return f"?{plain.urlencode()}"


# --- One item -------------------------------------------------------------------------------------------


@form_page("profiles.view_receipt")
def receipt(request: HttpRequest, receipt_id: int) -> HttpResponse:
    """One receipt: what is wrong with the item, the item itself to correct, and what became of it."""
    row = receipts.get_receipt(receipt_id)
    if request.method != "POST":
        return _show(request, row)
    if not (request.user.has_perm(PERMISSION) and may_see(request)):
        raise PermissionDenied
    typed = request.POST.get("payload", "")
    try:
        payload = read_payload(typed)
        result = replay_receipt(receipt_id=row.pk, payload=payload, actor=Actor.of_request(request))
    except (Invalid, RuleForbids) as error:
        return _show(request, row, typed=typed, wrong=error.message)
    return _report(request, row, result)


@write("profiles.view_receipt", PERMISSION)
def replay(request: HttpRequest, receipt_id: int) -> HttpResponse:
    """As it was sent: for what was only missing something on our side, a schema or a setting."""
    row = receipts.get_receipt(receipt_id)
    try:
        result = replay_receipt(receipt_id=row.pk, actor=Actor.of_request(request))
    except Refused as refusal:
        return _back_to(request, refusal, row.pk)
    return _report(request, row, result)


@write("profiles.view_receipt", PERMISSION)
def dismiss_one(request: HttpRequest, receipt_id: int) -> HttpResponse:
    row = receipts.get_receipt(receipt_id)
    try:
        count = dismiss(
            receipt_ids=[row.pk], reason=request.POST.get("reason", ""), actor=Actor.of_request(request)
        )
    except Refused as refusal:
        return _back_to(request, refusal, row.pk)
    if count:
        messages.success(request, f"Item #{row.pk} is dismissed. Its receipt stays.")
    else:
        messages.error(request, f"Item #{row.pk} does not wait any more.")
    return redirect(receipt_url(row.pk))


def _back_to(request: HttpRequest, refusal: Refused, receipt_id: int) -> HttpResponse:
    messages.error(request, refusal.message)
    return redirect(receipt_url(receipt_id))


def _report(request: HttpRequest, row: Receipt, result: ItemResult) -> HttpResponse:
    """To the replay's own receipt when it waits again, else back to this one."""
    if result.is_rejected:
        messages.error(request, f"Rejected again: {result.message or result.outcome}")
        again = receipts.replays_of(row)
        return redirect(receipt_url(again[-1].pk if again else row.pk))
    outcome = Receipt.Outcome(result.outcome).label
    messages.success(request, f"Replayed: {outcome[0].lower()}{outcome[1:]}.")
    return redirect(receipt_url(row.pk))


def _show(request: HttpRequest, row: Receipt, *, typed: str | None = None, wrong: str = "") -> HttpResponse:
    can_view_pii = may_see(request)
    saw_receipts([row])
    may_replay = request.user.has_perm(PERMISSION)
    is_waiting = receipts.is_waiting(row)
    payload = receipts.payload_of(row, can_view_pii=can_view_pii)
    text = typed if typed is not None else pretty(payload)
    context = {
        "title": row.name or row.kind or "An item",
        "receipt": row,
        "why": _row(row, can_view_pii).why,
        "item_problems": receipts.problems_of(row, can_view_pii=can_view_pii),
        "payload": payload,
        "text": text,
        "lines": min(32, max(8, text.count("\n") + 2)),
        "wrong": wrong,
        "is_waiting": is_waiting,
        "waiting_outcomes": Receipt.WAITING,
        "may_edit": is_waiting and may_replay and can_view_pii,
        "may_replay": is_waiting and may_replay,
        "not_as_it_is": why_not_unchanged(row) if is_waiting else "",
        "replays": receipts.replays_of(row),
        "note": row.note if can_view_pii else mask_text(row.note),
    }
    return render(request, "tracking/receipt.html", context, status=400 if wrong else 200)
